# SPDX-License-Identifier: MIT
"""Takes the ELF image out of a bzImage (Documentation/x86/boot in Linux): a
kernel that need not unpack itself under emulation boots in a quarter of
the time.

usage: unpack_kernel.py VMLINUZ VMLINUX
"""

import lzma
import pathlib
import struct
import sys

SETUP_SECTORS = 0x1f1
MAGIC = 0x202
PAYLOAD = 0x248  # offset behind the setup sectors, length


def unpack(image):
    if image[MAGIC:MAGIC + 4] != b"HdrS":
        sys.exit("unpack_kernel.py: not a bzImage")
    start = ((image[SETUP_SECTORS] or 4) + 1) * 512
    offset, length = struct.unpack_from("<II", image, PAYLOAD)
    payload = image[start + offset:start + offset + length]
    # The length of what comes out follows the compressed stream.
    elf = lzma.LZMADecompressor().decompress(payload)
    if elf[:4] != b"\x7fELF":
        sys.exit("unpack_kernel.py: the payload is no ELF image")
    return elf


def main(arguments):
    if len(arguments) != 2:
        sys.exit(__doc__.strip())
    image = pathlib.Path(arguments[0]).read_bytes()
    pathlib.Path(arguments[1]).write_bytes(unpack(image))


if __name__ == "__main__":
    main(sys.argv[1:])
