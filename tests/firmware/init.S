/* SPDX-License-Identifier: MIT */
/*
 * A firmware ROM that sends INIT to its own processor by its local APIC, by
 * physical and by logical destination. The boot processor goes on at the reset
 * vector; what it has lost by then and what it has kept, SDM 3A table 9-1 and
 * 10.4.7.3 say (QEMU 7.2 clears MTRRs, which are not looked at). Prints one line
 * per check to port e9h.
 */
#include "rom.inc"

/* RAM lives over INIT. */
#define PHASE 0x500
#define MAGIC 0x506
#define TSC   0x510
#define APIC  0xfee00000
#define ID    0x20
#define TPR   0x80
#define LDR   0xd0
#define SVR   0xf0
#define LOW   0x300 /* of the command register */
#define HIGH  0x310
#define TIMER 0x320
#define COUNT 0x380

    .text
start:
    mov %cr0, %ebp
    mov %edx, %edi
    mov %sp, %si
    cli
    cld
    xor %bx, %bx
    mov %bx, %ds
    mov %bx, %es
    mov %bx, %ss
    mov $0x7c00, %sp
    cmpl $0x494e4954, MAGIC
    je again
    movl $0x494e4954, MAGIC
    movw $0, PHASE
    movw $0, CHECKS
    movw $0, FAILED
again:
    cmp $0x60000010, %ebp
    check "cr0"
    test %edi, %edi
    setz %al
    test %al, %al
    check "edx_names_the_processor"
    test %si, %si
    check "sp_is_zero"
    mov PHASE, %bx
    incw PHASE
    add %bx, %bx
    jmp *%cs:phases(%bx)
phases:
    .word first, after_physical, after_logical

/* ds gets 4 GiB, to reach the APIC. */
big_ds:
    lgdtl %cs:gdtr
    mov %cr0, %eax
    or $1, %al
    mov %eax, %cr0
    mov $8, %bx
    mov %bx, %ds
    and $0xfe, %al
    mov %eax, %cr0
    xor %bx, %bx
    mov %bx, %ds
    ret

first:
    call big_ds
    mov $0x200, %eax /* OSFXSR */
    mov %eax, %cr4
    fninit
    fld1
    fldpi
    fldcw %cs:control
    mov $0x13572468, %eax
    movd %eax, %xmm3
    mov $0xdead0000, %eax
    mov %eax, %cr2
    mov %eax, %dr1
    mov $0x174, %ecx /* SYSENTER_CS */
    mov $0x4321, %eax
    xor %edx, %edx
    wrmsr
    rdtsc
    mov %eax, TSC
    mov %edx, TSC + 4
    mov $APIC, %esi
    movl $0x1ff, %ds:SVR(%esi)
    movl $0x20, %ds:TPR(%esi)
    movl $0x40, %ds:TIMER(%esi)
    movl $0xffffffff, %ds:COUNT(%esi)
    /* a de-assertion has no effect */
    mov %ds:ID(%esi), %eax
    mov %eax, %ds:HIGH(%esi)
    movl $0x8500, %ds:LOW(%esi)
    mov $1000, %cx
1:  pause
    loop 1b
    cmpl $0x20, %ds:TPR(%esi)
    check "a_de_assertion_does_nothing"
    movl $0x4500, %ds:LOW(%esi)
    jmp wait

after_physical:
    mov %cr2, %eax
    test %eax, %eax
    check "cr2_is_zero"
    mov %cr4, %eax
    test %eax, %eax
    check "cr4_is_zero"
    mov %dr1, %eax
    test %eax, %eax
    check "dr1_is_zero"
    mov %dr7, %eax
    cmp $0x400, %eax
    check "dr7"
    mov $0x200, %eax
    mov %eax, %cr4
    movd %xmm3, %eax
    cmp $0x13572468, %eax
    check "xmm3_is_as_it_was"
    fnstcw 0x600
    cmpw $0x27f, 0x600
    check "the_x87_control_word_too"
    fldpi
    fucomip %st(1), %st
    check "and_its_stack"
    mov $0x174, %ecx
    rdmsr
    cmp $0x4321, %eax
    check "sysenter_cs_is_as_it_was"
    rdtsc
    sub TSC, %eax
    sbb TSC + 4, %edx
    setc %al
    test %al, %al
    check "the_tsc_went_on"
    call big_ds
    mov $APIC, %esi
    cmpl $0, %ds:TPR(%esi)
    check "the_apics_priority_is_zero"
    cmpl $0, %ds:COUNT(%esi)
    check "its_timer_stands"
    testl $0x10000, %ds:TIMER(%esi)
    setz %al
    test %al, %al
    check "and_is_masked"
    cmpl $0, %ds:LDR(%esi)
    check "its_logical_destination_is_zero"
    movl $0x04000000, %ds:LDR(%esi)
    movl $0x06000000, %ds:HIGH(%esi)
    movl $0x4d00, %ds:LOW(%esi)
    jmp wait

after_logical:
    jmp finish

    .balign 8
control:
    .word 0x27f
gdt:
    .quad 0
    .quad 0x00cf93000000ffff
gdtr:
    .word 15
    .long gdt + 0xf0000
