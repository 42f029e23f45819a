/* SPDX-License-Identifier: MIT */
/*
 * The A20 gate in real-address mode: closed, FFFF:0010 is 0000:0000, for data
 * and code. Runs from a copy at 8000h.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .set BASE, 0x8000
    .set RESULTS, 0x7000

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
    mov %eax, %fs
    mov $low_start, %esi
    mov $BASE, %edi
    mov $low_end - low_start, %ecx
    rep movsb
    mov $RESULTS, %edi
    xor %eax, %eax
    mov $64, %ecx
    rep stosl
    lidt real_idt
    ljmp $0x18, $BASE

    .code16
low_start:
    /* still protected: 16-bit segments of 64 KiB before PE goes */
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
    mov %ax, %ss
    mov $0x7c00, %sp
    /* ffff:0510 is 0:0500 while the gate is closed */
    mov $0xffff, %ax
    mov %ax, %es
    movl $0x13572468, 0x500
    in $0x92, %al
    and $0xfc, %al
    out %al, $0x92
    mov %es:0x510, %eax
    mov %eax, RESULTS
    movl $0x24681357, %es:0x510
    mov 0x500, %eax
    mov %eax, RESULTS + 4
    /* ffff:0610 is 0:0600, for code too: mov $1, %al; lret */
    movl $0x00cb01b0, 0x600
    mov $0, %al
    lcall $0xffff, $0x610
    mov %al, RESULTS + 8
    in $0x92, %al
    and $0xfe, %al
    or $2, %al
    out %al, $0x92
    mov %es:0x510, %eax
    cmp 0x500, %eax
    setne RESULTS + 12
    /* back */
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $protected

low_end:

#define CHECKS "5"
#include "runtime/real_checks.inc"
    expect with_a20_closed_addresses_wrap_at_1_mib, 0, 0xffffffff, 0x13572468
    expect for_writes_too, 4, 0xffffffff, 0x24681357
    expect and_for_code, 8, 0xff, 1
    expect with_a20_open_they_do_not, 12, 0xff, 1
    expect nothing_else_was_written, 16, 0xffffffff, 0
    .section .data.checks, "aw"
    .long 0

#include "runtime/real_tables.inc"
