/* SPDX-License-Identifier: MIT */
/*
 * Entry of every guest, the 256 interrupt stubs, and the way into ring 3. The
 * stubs make one frame for every vector (struct frame) and reload ds and es,
 * because interrupted code may have had any.
 */
    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    cld
    mov $runtime_stack_top, %esp
    push $0
    popf
    mov %eax, multiboot_magic
    mov %ebx, multiboot_info
    call runtime_init
    call guest_main
    call guest_finish

/* Reloads all segment registers from the runtime's GDT. */
    .globl segments_reload
segments_reload:
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ss
    ljmp $0x08, $1f
1:  ret

/*
 * Stubs: vectors that push an error code get none from here. All are sixteen
 * bytes apart, at trap_stubs + 16 * vector.
 */
    .balign 16
    .globl trap_stubs
trap_stubs:
vector = 0
    .rept 256
    .balign 16
    .if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
    .else
    pushl $0
    .endif
    .if vector < 128
    .byte 0x6a, vector          /* push imm8 */
    jmp trap_common
    .else
    .byte 0x6a, vector - 256    /* sign-extended: made 8 bits below */
    jmp trap_common
    .endif
vector = vector + 1
    .endr

    .balign 16
trap_common:
    andl $0xff, %ss:(%esp)
    pusha
    push %ds
    push %es
    push %fs
    push %gs
    /* push of a segment register leaves the high half undefined */
    movw $0, 2(%esp)
    movw $0, 6(%esp)
    movw $0, 10(%esp)
    movw $0, 14(%esp)
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    cld
    mov %esp, %ebx
    push %ebx
    call trap_handle
    mov %ebx, %esp
    pop %gs
    pop %fs
    pop %es
    pop %ds
    popa
    add $8, %esp
    iret

/* u32 run_user_as(struct cpu *c, const void *code, u32 cs, u32 ss, u32 ds) */
    .globl run_user_as
run_user_as:
    push %ebp
    push %ebx
    push %esi
    push %edi
    pushf
    mov 24(%esp), %eax
    mov 28(%esp), %ecx
    mov %eax, run_cpu
    mov %esp, run_esp
    movl $1, run_active
    mov 32(%esp), %edx          /* cs */
    mov 36(%esp), %esi          /* ss */
    mov 40(%esp), %edi          /* ds */
    push %esi
    pushl 16(%eax)
    pushl 32(%eax)
    push %edx
    push %ecx
    pushl (%eax)
    mov 4(%eax), %ecx
    mov 8(%eax), %edx
    mov 12(%eax), %ebx
    mov 20(%eax), %ebp
    mov 24(%eax), %esi
    push %edi
    mov 28(%eax), %edi
    pop %eax
    mov %eax, %es
    mov %eax, %fs
    mov %eax, %gs
    mov %eax, %ds
    pop %eax
    iret

    .bss
    .balign 16
    .globl multiboot_info, multiboot_magic
multiboot_info:  .skip 4
multiboot_magic: .skip 4
    .balign 4096
    .skip 16384
runtime_stack_top:
