/* SPDX-License-Identifier: MIT */
/*
 * A firmware ROM that checks what a ROM is: the state of the processor at the
 * reset vector, writes that go nowhere, the ROM's two places, RAM behind it
 * (82441FX PAM registers), code that is replaced by a change of the map, and
 * every way to reset, each of which must come to the reset vector with the ROM
 * mapped and RAM untouched. Prints one line per check to port e9h.
 */
#include "rom.inc"

/* RAM lives over resets. */
#define PHASE   0x500
#define MAGIC   0x506
#define PAM     0x59
#define PAM_E0  0x5e /* of e0000h (low nibble) and e4000h */

    .section .low, "ax"
/* At e0000h: copied to RAM, changed there, and run from both. */
low_function:
    mov $0x1111, %ax
    lret
low_pattern:
    .long 0x600df00d

    .text
start:
    mov %cr0, %ebp
    cli
    cld
    xor %bx, %bx
    mov %bx, %ds
    mov %bx, %es
    mov %bx, %ss
    mov $0x7c00, %sp
    cmpl $0x52464c4c, MAGIC
    je again
    movl $0x52464c4c, MAGIC
    movw $0, PHASE
    movw $0, CHECKS
    movw $0, FAILED
again:
    /* SDM 3A table 9-1: 60000010h; caches and ET */
    cmp $0x60000010, %ebp
    check "cr0_at_reset"
    mov $PAM, %dl
    call pci_read
    cmp $0, %al
    check "attributes_at_reset"
    mov PHASE, %bx
    incw PHASE
    add %bx, %bx
    jmp *%cs:phases(%bx)
phases:
    .word first, by_92, by_cf9
    .word by_triple_fault, finish

/* --- memory ------------------------------------------------------------- */
first:
    call rom_is_read_only
    call high_rom
    call shadow_ram
    call shadow_code
    mov $0xfe, %al /* reset by the keyboard controller */
    out %al, $0x64
    jmp wait

rom_is_read_only:
    mov $0xe000, %ax
    mov %ax, %es
    mov $low_pattern, %di
    cmpl $0x600df00d, %es:(%di)
    check "rom_below_1m"
    movl $0x12345678, %es:(%di)
    cmpl $0x600df00d, %es:(%di)
    check "mov_writes_nothing"
    lock addl $1, %es:(%di)
    cmpl $0x600df00d, %es:(%di)
    check "lock_add_writes_nothing"
    mov $0xeeeeeeee, %eax
    stosl
    cmpl $0x600df00d, %es:-4(%di)
    check "stos_writes_nothing"
    mov $low_pattern, %di
    mov $2, %cx
    mov $0x1000, %si
    rep movsw
    cmpl $0x600df00d, %es:-4(%di)
    check "rep_movs_writes_nothing"
    ret

/* Unreal mode: 4 GiB in ds, to see the ROM below 4 GiB. */
high_rom:
    cli
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
    mov $(0xfffe0000 + low_pattern), %ebx
    cmpl $0x600df00d, (%ebx)
    check "rom_below_4g"
    movl $0, (%ebx)
    cmpl $0x600df00d, (%ebx)
    check "write_below_4g_goes_nowhere"
    mov $0xfffffff5, %ebx
    cmpl $0x302f3130, (%ebx) /* "01/01/26" */
    check "date_at_the_end"
    ret

shadow_ram:
    mov $PAM_E0, %dl
    mov $0x33, %al /* RAM to read and write */
    call pci_write
    mov $0xe000, %ax
    mov %ax, %es
    mov $low_pattern, %di
    movl $0xcafe1234, %es:(%di)
    cmpl $0xcafe1234, %es:(%di)
    check "ram_behind_the_rom"
    mov $(0xfffe0000 + low_pattern), %ebx
    cmpl $0x600df00d, (%ebx)
    check "rom_below_4g_is_not_shadowed"
    mov $PAM_E0, %dl
    mov $0x11, %al /* to read only */
    call pci_write
    movl $0, %es:(%di)
    cmpl $0xcafe1234, %es:(%di)
    check "shadow_ram_can_be_protected"
    mov $PAM_E0, %dl
    mov $0, %al
    call pci_write
    cmpl $0x600df00d, %es:(%di)
    check "the_rom_again"
    mov $PAM_E0, %dl
    mov $0x11, %al
    call pci_write
    cmpl $0xcafe1234, %es:(%di)
    check "ram_kept_its_contents"
    mov $PAM_E0, %dl
    mov $0x01, %al /* e4000h is ROM */
    call pci_write
    cmpl $0xcafe1234, %es:(%di)
    check "pieces_of_16k"
    ret

/* The same address is run as ROM, as RAM with other code, and as ROM. */
shadow_code:
    mov $3, %cx
1:  push %cx
    mov $PAM_E0, %dl
    mov $0, %al
    call pci_write
    lcall $0xe000, $low_function
    cmp $0x1111, %ax
    check "code_in_rom"
    mov $PAM_E0, %dl
    mov $0x33, %al
    call pci_write
    mov $0xe000, %ax
    mov %ax, %es
    movl $0x002222b8, %es:low_function /* mov $2222h, %ax */
    movw $0x9022, %es:low_function + 2
    movb $0xcb, %es:low_function + 3
    lcall $0xe000, $low_function
    cmp $0x2222, %ax
    check "code_in_shadow_ram"
    movw $0x3333, %es:low_function + 1
    lcall $0xe000, $low_function
    cmp $0x3333, %ax
    check "changed_code_in_shadow_ram"
    mov $PAM_E0, %dl
    mov $0x11, %al
    call pci_write
    movw $0x4444, %es:low_function + 1
    lcall $0xe000, $low_function
    cmp $0x3333, %ax
    check "code_in_protected_shadow_ram"
    pop %cx
    dec %cx
    jnz 1b
    ret

/* --- resets ------------------------------------------------------------- */
by_92:
    mov $0x33, %al
    mov $PAM_E0, %dl
    call pci_write
    in $0x92, %al
    or $1, %al
    out %al, $0x92
    jmp wait
by_cf9:
    mov $0xcf9, %dx
    mov $0x02, %al
    out %al, %dx
    mov $0x06, %al
    out %al, %dx
    jmp wait
by_triple_fault:
    lidtl %cs:no_idt
    ud2
    jmp wait

/* --- helpers ------------------------------------------------------------ */
/* %dl: register of the host bridge; %al. */
pci_select:
    push %eax
    movzbl %dl, %eax
    or $0x80000000, %eax
    and $0xfc, %al
    mov %dl, %dh
    push %dx
    mov $0xcf8, %dx
    out %eax, %dx
    pop %dx
    pop %eax
    movzbw %dl, %dx
    and $3, %dx
    add $0xcfc, %dx
    ret
pci_read:
    push %dx
    call pci_select
    in %dx, %al
    pop %dx
    ret
pci_write:
    push %dx
    call pci_select
    out %al, %dx
    pop %dx
    ret

    .balign 8
gdt:
    .quad 0, 0x008f93000000ffff
gdtr:
    .word 15
    .long gdt + 0xf0000
no_idt:
    .word 0
    .long 0
