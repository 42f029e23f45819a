# SPDX-License-Identifier: MIT
# cmake -DINPUT=FILE -DOUTPUT=FILE.h -DNAME=array -P embed.cmake: a file's bytes
# as a C array.
file(READ ${INPUT} hex HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
string(REGEX REPLACE "(............................................................)" "\\1\n" bytes "${bytes}")
file(WRITE ${OUTPUT} "static const unsigned char ${NAME}[] = {\n${bytes}};\n")
