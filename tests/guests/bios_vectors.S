/* SPDX-License-Identifier: MIT */
/*
 * What stands behind the interrupt vectors when a kernel is entered: back in
 * real mode, with interrupts on, a guest is woken by the timer, whose ticks
 * are counted at 46ch; the vectors of exceptions are there; a line that the
 * guest did not ask for is ended. Runs from a copy at 8000h.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .set BASE, 0x8000
    .set TICKS, 0x46c

    .text
    .globl start
start:
    cli
    cld
    mov $stack_top, %esp
    lgdt gdt_pointer
    ljmp $0x08, $1f
1:  mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %ss
    mov $low_start, %esi
    mov $BASE, %edi
    mov $low_end - low_start, %ecx
    rep movsb
    lidt real_idt
    ljmp $0x18, $BASE

    .code16
low_start:
    mov $0x20, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov %cr0, %eax
    and $~1, %eax
    mov %eax, %cr0
    ljmp $0, $(real - low_start + BASE)
real:
    xor %ax, %ax
    mov %ax, %ds
    mov %ax, %es
    mov %ax, %ss
    mov $0x7c00, %sp
    mov $exceptions - low_start + BASE, %si
    call print
    /* vectors of exceptions and lines: none is null */
    mov $0, %bx
each:
    cmpl $0, (%bx)
    je fail
    add $4, %bx
    cmp $0x20 * 4, %bx
    jne next
    mov $0x70 * 4, %bx
next:
    cmp $0x78 * 4, %bx
    jne each
    call ok
    mov $returns - low_start + BASE, %si
    call print
    mov $0x1357, %ax
    int $0x1b
    cmp $0x1357, %ax
    jne fail
    call ok
    /* two ticks: the first was ended, or there would be no second */
    mov $ticks - low_start + BASE, %si
    call print
    mov TICKS, %ecx
wait:
    sti
    hlt
    cli
    mov TICKS, %eax
    sub %ecx, %eax
    cmp $2, %eax
    jb wait
    cmp $0x7c00, %sp
    jne fail
    call ok
    mov $summary - low_start + BASE, %si
    call print
    mov $0, %al
    jmp leave
ok:
    mov $good - low_start + BASE, %si
print:
    lodsb
    test %al, %al
    jz printed
    out %al, $0xe9
    jmp print
printed:
    ret
fail:
    mov $bad - low_start + BASE, %si
    call print
    mov $1, %al
leave:
    out %al, $0xf4
    jmp .

exceptions: .asciz "vectors of exceptions and lines are set: "
returns:    .asciz "an interrupt nobody serves returns: "
ticks:      .asciz "the timer wakes a halt and is ended: "
good:       .asciz "ok\n"
bad:        .asciz "FAIL\n"
summary:    .asciz "3 checks, 0 failed\n"
low_end:

#include "runtime/real_tables.inc"
