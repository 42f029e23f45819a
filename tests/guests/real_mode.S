/* SPDX-License-Identifier: MIT */
/*
 * Real-address mode and back: a 16-bit code segment, CR0.PE cleared, segments
 * as paragraphs, 16-bit stack, interrupts through the table at 0, faults with
 * real-mode frames, 4 GiB limits that survive in fs ("unreal mode"), string
 * instructions, then protected mode again. Runs from a copy at 8000h.
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
    movl $0x600df00d, 0x300000
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
    /* 0: mov from cs, cr0 */
    mov %cs, %ax
    mov %ax, RESULTS
    mov %cr0, %eax
    mov %eax, RESULTS + 4
    /* 1: paragraphs */
    mov $0x6000, %ax
    mov %ax, %es
    movl $0xcafe1234, %es:0x10
    movw $0x6001, %ax
    mov %ax, %gs
    mov %gs:0, %eax
    mov %eax, RESULTS + 8
    /* 2: an interrupt through the table at 0 */
    movw $(handler - low_start + BASE), 0x60 * 4
    movw $0, 0x60 * 4 + 2
    mov $0x1111, %ax
    int $0x60
after_int:
    mov %ax, RESULTS + 12
    mov %sp, RESULTS + 16
    /* 3: divide error pushes the ip of the instruction itself */
    movw $(divide - low_start + BASE), 0
    movw $0, 2
    xor %cx, %cx
faulting:
    div %cx
    nop
    /* 4: fs kept its 4 GiB limit and base 0 */
    mov $0x300000, %ebx
    mov %fs:(%ebx), %eax
    mov %eax, RESULTS + 24
    /* 5: string instructions and a far call */
    mov $0x6000, %ax
    mov %ax, %es
    mov $RESULTS, %si
    mov $0x100, %di
    mov $6, %cx
    rep movsw
    mov %cx, RESULTS + 28
    mov %si, RESULTS + 30
    mov %es:0x108, %ax
    mov %ax, RESULTS + 32
    lcall $0, $(far_target - low_start + BASE)
    mov %ax, RESULTS + 36
    /* 6: flags: pushf, popf, cli, sti are free */
    pushf
    pop %ax
    or $0x8d5, %ax
    push %ax
    popf
    pushf
    pop %ax
    and $0x8d5, %ax
    mov %ax, RESULTS + 40
    /* back */
    mov %cr0, %eax
    or $1, %eax
    mov %eax, %cr0
    ljmpl $0x08, $protected

handler:
    add $0x2222, %ax
    push %bp
    mov %sp, %bp
    mov 2(%bp), %bx
    mov %bx, RESULTS + 20
    pop %bp
    iret
divide:
    push %bp
    mov %sp, %bp
    mov 2(%bp), %bx
    mov %bx, RESULTS + 22
    addw $2, 2(%bp)
    pop %bp
    iret
far_target:
    mov $0x7777, %ax
    lret
low_end:

#define CHECKS "14"
#include "runtime/real_checks.inc"
    expect cs_is_zero_after_the_far_jump, 0, 0xffff, 0
    expect pe_is_clear, 4, 1, 0
    expect segments_are_paragraphs, 8, 0xffffffff, 0xcafe1234
    expect an_interrupt_goes_through_the_table_at_0, 12, 0xffff, 0x3333
    expect iret_levels_the_stack, 16, 0xffff, 0x7c00
    expect an_interrupt_pushes_the_next_ip, 20, 0xffff, after_int-low_start+BASE
    expect a_fault_pushes_its_own_ip, 22, 0xffff, faulting-low_start+BASE
    expect unreal_mode_reaches_above_1_mib, 24, 0xffffffff, 0x600df00d
    expect rep_movs_counts_cx, 28, 0xffff, 0
    expect rep_movs_advances_si, 30, 0xffff, RESULTS+12
    expect rep_movs_copies, 32, 0xffff, 0x1234
    expect a_far_call_and_return, 36, 0xffff, 0x7777
    expect popf_and_pushf, 40, 0xffff, 0x8d5
    expect nothing_else_was_written, 44, 0xffffffff, 0
    .section .data.checks, "aw"
    .long 0

#include "runtime/real_tables.inc"
