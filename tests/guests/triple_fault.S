/* SPDX-License-Identifier: MIT */
/*
 * A triple fault: prints a line, then faults with an IDT of limit zero. With
 * -no-reboot the program that runs the machine ends with status 0 and nothing
 * behind the fault is executed.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    cld
    mov $stack_top, %esp
    mov $before, %esi
    call print
    lidt no_table
    ud2
    mov $after, %esi
    call print
    mov $0xf4, %edx
    mov $1, %eax
    out %eax, %dx
hang:
    jmp hang

print:
    lodsb
    test %al, %al
    jz 1f
    out %al, $0xe9
    jmp print
1:  ret

    .section .rodata
before: .asciz "before the triple fault\n"
after:  .asciz "FAIL behind the triple fault\n"
no_table:
    .word 0
    .long 0

    .bss
    .balign 16
    .skip 4096
stack_top:
