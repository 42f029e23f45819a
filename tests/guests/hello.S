/* SPDX-License-Identifier: MIT */
/*
 * The first guest a new virtual CPU has to run: prints a line on the debug
 * console and leaves through the debug-exit port. It is bare on purpose (no
 * runtime) and uses only mov, add, cmp, test, jcc, jmp, call, ret and out:
 * no descriptor tables, no paging, no interrupts, no string instructions.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    mov $stack_top, %esp
    mov $greeting, %esi
    call print

    /* 1 + 2 + ... + 100, by a loop, is 5050. */
    mov $0, %eax
    mov $100, %ecx
sum:
    add %ecx, %eax
    add $-1, %ecx
    cmp $0, %ecx
    jne sum
    mov %eax, total
    cmpl $5050, total
    jne bad
    mov $good, %esi
    call print
    mov $0, %eax
    jmp leave_guest
bad:
    mov $wrong, %esi
    call print
    mov $1, %eax
leave_guest:
    mov $0xf4, %edx
    out %eax, %dx
hang:
    jmp hang

/* Prints the string at esi; changes eax, edx, esi. */
print:
    mov (%esi), %al
    test %al, %al
    jz print_end
    mov $0xe9, %edx
    out %al, %dx
    add $1, %esi
    jmp print
print_end:
    ret

    .section .rodata
greeting: .asciz "hello from a bare guest\n"
good:     .asciz "ok a_loop_sums_one_to_one_hundred\n1 checks, 0 failed\n"
wrong:    .asciz "FAIL a_loop_sums_one_to_one_hundred\n1 checks, 1 failed\n"

    .bss
    .balign 16
total: .skip 4
    .balign 16
    .skip 4096
stack_top:
