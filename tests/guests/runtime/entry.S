/* SPDX-License-Identifier: MIT */
/*
 * Entry of every guest, the 256 interrupt stubs, and the way into and out of
 * snippets. A snippet owns all registers, eflags and its stack; the runtime
 * finds its way back through the run_* variables only. Stores on the way out
 * go through ss, because a snippet may leave any ds behind.
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

/* u32 run(struct cpu *c, const void *code) */
    .globl run
run:
    push %ebp
    push %ebx
    push %esi
    push %edi
    pushf
    mov 24(%esp), %eax
    mov 28(%esp), %ecx
    mov %eax, run_cpu
    mov %ecx, run_code
    mov %esp, run_esp
    movl $1, run_active
    pushl 32(%eax)
    popf
    mov 4(%eax), %ecx
    mov 8(%eax), %edx
    mov 12(%eax), %ebx
    mov 20(%eax), %ebp
    mov 24(%eax), %esi
    mov 28(%eax), %edi
    mov 16(%eax), %esp
    mov (%eax), %eax
    jmp *run_code

    .globl run_exit
run_exit:
    mov %eax, %ss:run_out
    mov %ecx, %ss:run_out + 4
    mov %edx, %ss:run_out + 8
    mov %ebx, %ss:run_out + 12
    mov %esp, %ss:run_out + 16
    mov %ebp, %ss:run_out + 20
    mov %esi, %ss:run_out + 24
    mov %edi, %ss:run_out + 28
    mov %ss:run_esp, %esp
    pushf
    popl %ss:run_out + 32
    push $2
    popf
    mov %ds, %eax
    mov %eax, %ss:run_out + 36
    mov %es, %eax
    mov %eax, %ss:run_out + 40
    mov %fs, %eax
    mov %eax, %ss:run_out + 44
    mov %gs, %eax
    mov %eax, %ss:run_out + 48
    mov $0x10, %eax
    mov %eax, %ds
    mov %eax, %es
    mov $run_out, %esi
    mov run_cpu, %edi
    mov $13, %ecx
1:  mov (%esi), %eax
    mov %eax, (%edi)
    add $4, %esi
    add $4, %edi
    dec %ecx
    jnz 1b
    mov $0xff, %eax             /* NO_TRAP */
    mov %eax, trap
    jmp run_return

/* void run_abort(u32 vector): leaves run() or run_user() from a handler. */
    .globl run_abort
run_abort:
    mov 4(%esp), %eax
run_return:
    mov run_esp, %esp
    movl $0, run_active
    popf
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

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
    .globl multiboot_info, run_active, run_cpu
multiboot_info: .skip 4
run_active: .skip 4
run_cpu:    .skip 4
run_code:   .skip 4
run_esp:    .skip 4
run_out:    .skip 64
    .balign 4096
    .skip 16384
runtime_stack_top:
