/* SPDX-License-Identifier: MIT */
/*
 * An option ROM that boots the Linux kernel firmware finds in fw_cfg: setup
 * code, kernel, command line and initrd go where fw_cfg says, by its DMA, which
 * knows physical addresses and so needs no mode but real mode; then the setup
 * code is entered (the kernel's Documentation/x86/boot.rst, "Running the
 * kernel"). Firmware takes it for a device to boot from (PnP BIOS
 * specification, "Option ROM": a bootstrap entry vector).
 *
 * Guest code, held as data; linux_rom.c fills in the checksums. It uses 7c00h,
 * the boot sector's place, for DMA requests and numbers.
 */
#define REQUEST    0x7c00 /* control, length, address: big-endian */
#define NUMBER     0x7c20
#define DMA_HIGH   0x514
#define DMA_LOW    0x518
#define DMA_READ   0x0a /* select an item, read it */

#define KERNEL_ADDR  0x07
#define KERNEL_SIZE  0x08
#define INITRD_ADDR  0x0a
#define INITRD_SIZE  0x0b
#define KERNEL_DATA  0x11
#define INITRD_DATA  0x12
#define CMDLINE_ADDR 0x13
#define CMDLINE_SIZE 0x14
#define CMDLINE_DATA 0x15
#define SETUP_ADDR   0x16
#define SETUP_SIZE   0x17
#define SETUP_DATA   0x18

        .section .rodata
        .globl  linux_rom_image, linux_rom_end
        .code16
        .balign 16
linux_rom_image:
        .byte   0x55, 0xaa, (linux_rom_end - linux_rom_image) / 512
        lret                            /* initialisation: there is none */
        .org    linux_rom_image + 0x1a
        .word   pnp - linux_rom_image

        .balign 16
pnp:    .ascii  "$PnP"
        .byte   1, 2                    /* revision; length, by 16 bytes */
        .word   0                       /* no next header */
        .byte   0, 0                    /* reserved; checksum */
        .long   0
        .word   maker - linux_rom_image, product - linux_rom_image
        .byte   0, 0, 0, 0x04           /* no class; a device to boot from */
        .word   0, 0                    /* no other vectors */
        .word   boot - linux_rom_image
        .word   0, 0

maker:  .asciz  "Ringfall"
product: .asciz "Linux kernel of -kernel"

boot:   cli
        cld
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    $SETUP_ADDR, %si
        movw    $SETUP_DATA, %bx
        call    load
        movw    $KERNEL_ADDR, %si
        movw    $KERNEL_DATA, %bx
        call    load
        movw    $CMDLINE_ADDR, %si
        movw    $CMDLINE_DATA, %bx
        call    load
        movw    $INITRD_ADDR, %si
        movw    $INITRD_DATA, %bx
        call    load

        movw    $SETUP_ADDR, %ax
        call    number
        movl    %eax, %ebx
        movw    $CMDLINE_ADDR, %ax
        call    number
        subl    %ebx, %eax              /* the stack ends below the line */
        subl    $16, %eax
        shrl    $4, %ebx
        movw    %bx, %ss
        movl    %eax, %esp
        movw    %bx, %ds
        movw    %bx, %es
        movw    %bx, %fs
        movw    %bx, %gs
        addw    $0x20, %bx
        pushw   %bx
        pushw   $0
        lret

/* The item bx, to the address in item si; its size is in item si + 1. */
load:   movw    %si, %ax
        call    number
        movl    %eax, %ebp
        leaw    1(%si), %ax
        call    number
        movl    %eax, %ecx
        movl    %ebp, %edi
        movw    %bx, %ax
        jmp     dma

/* eax: the number in item ax. */
number: movl    $NUMBER, %edi
        movl    $4, %ecx
        call    dma
        movl    NUMBER, %eax
        ret

/* ecx bytes of item ax to the linear address edi. Changes eax, ecx, edx. */
dma:    shll    $16, %eax
        orl     $DMA_READ, %eax
        bswapl  %eax
        movl    %eax, REQUEST
        bswapl  %ecx
        movl    %ecx, REQUEST + 4
        movl    $0, REQUEST + 8
        movl    %edi, %eax
        bswapl  %eax
        movl    %eax, REQUEST + 12
        xorl    %eax, %eax
        movw    $DMA_HIGH, %dx
        outl    %eax, %dx
        movl    $REQUEST, %eax
        bswapl  %eax
        movw    $DMA_LOW, %dx
        outl    %eax, %dx
1:      testl   $0xfeffffff, REQUEST    /* all but the error bit: not done */
        jnz     1b
        ret

        .org    linux_rom_image + 1024
linux_rom_end:
        .section .note.GNU-stack, "", @progbits
