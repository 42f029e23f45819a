/* SPDX-License-Identifier: MIT */
/*
 * Does the processor write into page-directory-pointer entries? It must not:
 * they have no accessed bit, and bit 5, where one would be, is reserved (SDM 3A
 * table 4-8). An emulated one that does makes KVM refuse the guest's next write
 * to CR4 that reloads them.
 */
#define POINTERS  0x900000
#define DIRECTORY 0x901000

    .section .multiboot, "a"
    .balign 4
    .long 0x1badb002, 3, -(0x1badb002 + 3)

    .text
    .globl start
start:
    cli
    movl $DIRECTORY | 1, POINTERS
    movl $0x83, DIRECTORY        /* 2 MiB pages onto themselves: code, tables */
    movl $0x800083, DIRECTORY + 32
    mov $POINTERS, %eax
    mov %eax, %cr3
    mov $0x20, %eax
    mov %eax, %cr4
    mov %cr0, %eax
    or $0x80000000, %eax
    mov %eax, %cr0
    mov $clean, %esi
    testl $0x20, POINTERS
    jz 1f
    mov $written, %esi
1:  lodsb
    test %al, %al
    jz 2f
    out %al, $0xe9
    jmp 1b
2:  xor %eax, %eax
    mov $0xf4, %edx
    out %eax, %dx
hang:
    jmp hang

    .section .rodata
clean:   .asciz "clean\n"
written: .asciz "written\n"
