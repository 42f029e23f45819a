/* SPDX-License-Identifier: MIT */
/*
 * A CPU after a reset is a new one: the first time round this guest changes
 * registers of every kind, turns on paging and ends in a triple fault; the
 * second time (memory keeps a mark) it looks for what is left of them. For a
 * machine without -no-reboot.
 */
#define MARK_AT   0x800000
#define TABLES    0x900000
#define MSR_CS    0x174
#define MSR_EFER  0xc0000080
#define MSR_ADJUST 0x3b
#define MSR_AUX   0xc0000103

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

/* Prints "ok NAME" if eax is WANT, else "FAIL NAME"; keeps ebp, counts. */
.macro expect name, want
    cmpl $(\want), %eax
    mov $1f, %esi
    call verdict
    .section .rodata
1:  .asciz "\name\n"
    .text
.endm

    .text
    .globl start
start:
    mov $stack_top, %esp
    cmpl $0x5ca1ab1e, MARK_AT
    je second
    movl $0x5ca1ab1e, MARK_AT

    mov $text_first, %esi
    call print
    fninit
    fldpi
    mov $0x123, %eax
    mov %eax, %dr0
    mov $0x403, %eax
    mov %eax, %dr7
    mov $MSR_CS, %ecx
    mov $0x1234, %eax
    xor %edx, %edx
    wrmsr
    mov $MSR_ADJUST, %ecx
    mov $0x1000, %eax
    wrmsr
    mov $MSR_AUX, %ecx
    mov $77, %eax
    wrmsr
    mov $MSR_EFER, %ecx
    mov $0x800, %eax
    wrmsr
    /* one 4 MiB page onto itself */
    movl $0x83, TABLES
    mov $TABLES, %eax
    mov %eax, %cr3
    mov $0x10, %eax
    mov %eax, %cr4
    mov $0x123456, %eax
    mov %eax, %cr2
    mov %cr0, %eax
    or $0x80010000, %eax
    mov %eax, %cr0
    lgdt small_gdt
    mov $8, %eax
    mov %eax, %fs
    pushl $0x247        /* IF, and flags */
    popfl
    lidt no_table
    ud2

second:
    mov $text_second, %esi
    call print
    pushfl
    popl %eax
    and $0x3f7300, %eax /* not the arithmetic flags of the comparison */
    expect "flags", 0
    mov %cr0, %eax
    expect "cr0", 0x11
    mov %cr2, %eax
    expect "cr2", 0
    mov %cr3, %eax
    expect "cr3", 0
    mov %cr4, %eax
    expect "cr4", 0
    mov %dr0, %eax
    expect "dr0", 0
    mov %dr7, %eax
    expect "dr7", 0x400
    mov $MSR_CS, %ecx
    rdmsr
    expect "sysenter_cs", 0
    mov $MSR_ADJUST, %ecx
    rdmsr
    expect "tsc_adjust", 0
    mov $MSR_AUX, %ecx
    rdmsr
    expect "tsc_aux", 0
    mov $MSR_EFER, %ecx
    rdmsr
    expect "efer", 0
    rdtsc
    mov %edx, %eax      /* counts from the reset on */
    shr $8, %eax
    expect "tsc_high", 0
    mov %fs, %eax
    mov %ds, %edx
    sub %edx, %eax
    expect "fs", 0
    xor %eax, %eax
    fnstcw word
    mov word, %eax
    expect "fpu_control", 0x40
    fnstsw word
    mov word, %eax
    expect "fpu_status", 0
    xor %eax, %eax      /* that paging is off */
    movl $0x600d, 0xc00000
    mov 0xc00000, %eax
    expect "no_paging", 0x600d

    mov $text_end, %esi
    call print
    mov failures, %eax
    mov $0xf4, %edx
    out %eax, %dx
hang:
    jmp hang

verdict:
    mov $text_ok, %edi
    je 1f
    mov $text_fail, %edi
    incl failures
1:  push %esi
    mov %edi, %esi
    call print
    pop %esi
print:
    lodsb
    test %al, %al
    jz 1f
    out %al, $0xe9
    jmp print
1:  ret

    .section .rodata
text_first:  .asciz "first\n"
text_second: .asciz "second\n"
text_ok:     .asciz "ok "
text_fail:   .asciz "FAIL "
text_end:    .asciz "end\n"
no_table:
    .word 0
    .long 0
    .balign 8
table:
    .quad 0
    .quad 0x004092001000ffff /* 64 KiB of data at 1000h */
small_gdt:
    .word 15
    .long table

    .data
    .balign 4
failures: .long 0
word:     .long 0

    .bss
    .balign 16
    .skip 4096
stack_top:
