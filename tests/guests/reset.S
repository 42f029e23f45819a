/* SPDX-License-Identifier: MIT */
/*
 * Reset through the keyboard controller (port 64h, command feh): with
 * -no-reboot the program that runs the machine ends with status 0.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    cld
    mov $before, %esi
1:  lodsb
    test %al, %al
    jz 2f
    out %al, $0xe9
    jmp 1b
2:  in $0x64, %al
    test $2, %al
    jnz 2b
    mov $0xfe, %al
    out %al, $0x64
    /* the reset may take a moment; a machine without it stays here */
3:  jmp 3b

    .section .rodata
before: .asciz "before the reset\n"
