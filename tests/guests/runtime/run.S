/* SPDX-License-Identifier: MIT */
/*
 * The way into and out of snippets. A snippet owns all registers, eflags and
 * its stack; run() finds its way back through the run_* variables only. Stores
 * on the way out go through ss, because a snippet may leave any ds behind.
 */
    .text
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
    mov %ds, run_ds
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
    mov %ss:run_ds, %eax
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
    .globl run_return
run_return:
    mov run_esp, %esp
    movl $0, run_active
    popf
    pop %edi
    pop %esi
    pop %ebx
    pop %ebp
    ret

    .bss
    .balign 16
    .globl run_active, run_cpu, run_esp
run_active: .skip 4
run_cpu:    .skip 4
run_code:   .skip 4
run_esp:    .skip 4
run_ds:     .skip 4
run_out:    .skip 64
