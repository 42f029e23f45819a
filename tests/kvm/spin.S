/* SPDX-License-Identifier: MIT */
/*
 * Puts known values into registers, says so (one character at port e9h) and
 * then does nothing any more that would leave the guest: whoever wants
 * something of the machine has to interrupt it.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    mov $'x', %al
    out %al, $0xe9
    mov $0x0badcafe, %eax
    mov $0x11111111, %ebx
    mov $0x22222222, %ecx
    mov $0x33333333, %edx
    mov $0x44444444, %esi
    mov $0x55555555, %edi
    mov $0x66666666, %ebp
    mov $0x77777777, %esp
    mov %ebx, %cr2
spin:
    jmp spin
