/* SPDX-License-Identifier: MIT */
/*
 * The way of the native executor into 32-bit code and back. In: all registers
 * and segments of a case, by iretq to compatibility mode. Out: a signal comes,
 * its handler calls native_leave and native_enter returns.
 */
    .text
/* void native_enter(const struct test_case *c, const void *fx, u32 eip,
 *                   bool avx); fx with upper halves at 288 (FX_UPPER) */
    .globl native_enter
native_enter:
    push %rbx
    push %rbp
    push %r12
    push %r13
    push %r14
    push %r15
    mov %rsp, native_rsp(%rip)
    fxrstor (%rsi)
    test %ecx, %ecx
    jz 1f
    vinsertf128 $1, 288(%rsi), %ymm0, %ymm0
    vinsertf128 $1, 304(%rsi), %ymm1, %ymm1
    vinsertf128 $1, 320(%rsi), %ymm2, %ymm2
    vinsertf128 $1, 336(%rsi), %ymm3, %ymm3
    vinsertf128 $1, 352(%rsi), %ymm4, %ymm4
    vinsertf128 $1, 368(%rsi), %ymm5, %ymm5
    vinsertf128 $1, 384(%rsi), %ymm6, %ymm6
    vinsertf128 $1, 400(%rsi), %ymm7, %ymm7
1:
    mov %edx, %r8d              /* eip */
    mov %rdi, %r9
    movzwl 40(%r9), %eax        /* ss */
    push %rax
    mov 16(%r9), %eax           /* esp */
    push %rax
    mov 32(%r9), %eax           /* eflags */
    push %rax
    movzwl 54(%r9), %eax    /* cs */
    push %rax
    push %r8
    movzwl 42(%r9), %eax
    mov %eax, %fs
    movzwl 44(%r9), %eax
    mov %eax, %gs
    movzwl 36(%r9), %eax
    mov %eax, %ds
    movzwl 38(%r9), %eax
    mov %eax, %es
    mov 4(%r9), %ecx
    mov 8(%r9), %edx
    mov 12(%r9), %ebx
    mov 20(%r9), %ebp
    mov 24(%r9), %esi
    mov 28(%r9), %edi
    mov 0(%r9), %eax
    iretq

    .globl native_leave
native_leave:
    mov native_rsp(%rip), %rsp
    pop %r15
    pop %r14
    pop %r13
    pop %r12
    pop %rbp
    pop %rbx
    ret

/* Where signals arrive: a case's NT, AC and ID flags are not for C code. */
    .globl native_signal
native_signal:
    push $0x202
    popf
    jmp native_on_signal

    .bss
    .balign 8
native_rsp: .skip 8
    .section .note.GNU-stack, "", @progbits
