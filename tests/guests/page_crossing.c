/* SPDX-License-Identifier: MIT */
/*
 * Accesses of every size across the border of two pages that are neighbours
 * in the address space only: scattered frames, one frame twice, mixed rights,
 * read-modify-write, stack, string, x87, SSE and fxsave operands.
 */
#include "runtime/guest.h"

enum { VA = 0x40000000, EDGE = VA + 4096 };
static u8 frames[3][4096] __attribute__((aligned(4096)));
static u8 first[4096], second[4096];

static void map(u32 a, u32 b)
{
    map_page(VA, (u32)frames[a], PTE_P | PTE_W | PTE_U);
    map_page(EDGE, (u32)frames[b], PTE_P | PTE_W | PTE_U);
}

static void fill(void)
{
    for (u32 i = 0; i < 4096; i++) {
        frames[0][i] = first[i] = (u8)(i * 3);
        frames[1][i] = second[i] = (u8)(i * 5 + 1);
        frames[2][i] = 0;
    }
    BARRIER();
}

static u8 byte_at(int offset)
{
    return offset < 0 ? first[4096 + offset] : second[offset];
}

static u32 word_at(int offset, u32 bytes)
{
    u32 v = 0;

    for (u32 i = 0; i < bytes; i++)
        v |= (u32)byte_at(offset + (int)i) << i * 8;
    return v;
}

static void plain(void)
{
    struct tally t = {0};
    const u8 *read16 = SNIPPET("movw (%ebx), %ax");
    const u8 *read32 = SNIPPET("movl (%ebx), %eax");
    const u8 *write16 = SNIPPET("movw %ax, (%ebx)");
    const u8 *write32 = SNIPPET("movl %eax, (%ebx)");
    const u8 *add32 = SNIPPET("addl %eax, (%ebx)");
    const u8 *swap32 = SNIPPET("xchgl %eax, (%ebx)");
    const u8 *lock32 = SNIPPET("lock xaddl %eax, (%ebx)");

    for (int o = -4; o <= 0; o++) {
        CPU(c);

        c.ebx = EDGE + (u32)o;
        fill();
        map(0, 1);
        run(&c, read32);
        tally_eq(&t, "read", (u32)o, c.eax, word_at(o, 4));
        run(&c, read16);
        tally_eq(&t, "read16", (u32)o, c.eax & 0xffff, word_at(o, 2));
        c.eax = 0x11223344;
        run(&c, write32);
        tally_eq(&t, "write", (u32)o, PEEK32(EDGE + (u32)o), 0x11223344);
        tally_eq(&t, "first frame", (u32)o, PEEK8(&frames[0][4095]),
                 o == 0 ? first[4095] : 0xff & (0x11223344u >> (-1 - o) * 8));
        c.eax = 0x5566;
        run(&c, write16);
        tally_eq(&t, "write16", (u32)o, PEEK16(EDGE + (u32)o), 0x5566);
        fill();
        c.eax = 0x01010101;
        run(&c, add32);
        tally_eq(&t, "add", (u32)o, PEEK32(EDGE + (u32)o),
                 word_at(o, 4) + 0x01010101);
        fill();
        run(&c, swap32);
        tally_eq(&t, "xchg", (u32)o, c.eax, word_at(o, 4));
        tally_eq(&t, "xchg", (u32)o, PEEK32(EDGE + (u32)o), 0x01010101);
        fill();
        c.eax = 5;
        run(&c, lock32);
        tally_eq(&t, "xadd", (u32)o, c.eax, word_at(o, 4));
        tally_eq(&t, "xadd", (u32)o, PEEK32(EDGE + (u32)o), word_at(o, 4) + 5);
    }
    check_tally("reads_writes_and_updates_across_scattered_frames", &t);
}

static void wide(void)
{
    struct tally t = {0};
    static u8 out[512] __attribute__((aligned(16)));

    for (int o = -16; o <= 0; o++) {
        CPU(c);

        fill();
        map(0, 1);
        c.ebx = EDGE + (u32)o;
        c.edi = (u32)out;
        run(&c, SNIPPET("movups (%ebx), %xmm0\n movups %xmm0, (%edi)\n"
                        "fldt (%ebx)\n fstpt 16(%edi)\n movq (%ebx), %mm0\n"
                        "movq %mm0, 32(%edi)\n emms"));
        for (u32 i = 0; i < 16; i++)
            tally_eq(&t, "movups", (u32)o, out[i], byte_at(o + (int)i));
        for (u32 i = 0; i < 8; i++)
            tally_eq(&t, "movq", (u32)o, out[32 + i], byte_at(o + (int)i));
        for (u32 i = 0; i < 16; i++)
            out[i] = (u8)(0xa0 + i);
        run(&c, SNIPPET("movups (%edi), %xmm0\n movups %xmm0, (%ebx)"));
        BARRIER();
        for (u32 i = 0; i < 16; i++)
            tally_eq(&t, "movups store", (u32)o, PEEK8(EDGE + (u32)o + i),
                     0xa0 + i);
        if (o % 16 == 0) {
            c.ebx = EDGE - 256 + (u32)o;
            memory_set(out, 0, sizeof(out));
            run(&c, SNIPPET("fninit\n fld1\n fxsave (%ebx)\n fninit\n"
                            "fxrstor (%ebx)\n fistpl (%edi)\n fninit"));
            tally_eq(&t, "fxsave", (u32)o, PEEK32(out), 1);
        }
    }
    check_tally("wide_operands_across_scattered_frames", &t);
}

static void same_frame(void)
{
    CPU(c);

    fill();
    map(2, 2); /* the first bytes of the frame follow its last ones */
    c.ebx = EDGE - 2;
    c.eax = 0x44332211;
    run(&c, SNIPPET("movl %eax, (%ebx)\n movl (%ebx), %ecx"));
    BARRIER();
    check_eq("one_frame_mapped_twice_in_a_row", c.ecx, 0x44332211);
    check("  the_bytes_are_at_both_its_ends",
          frames[2][4094] == 0x11 && frames[2][0] == 0x33);
    map(1, 0); /* neighbours in memory, the other way round */
    fill();
    c.ebx = EDGE - 2;
    run(&c, SNIPPET("movl (%ebx), %ecx"));
    check_eq("frames_in_reverse_order", c.ecx,
             (u32)(frames[1][4094] | frames[1][4095] << 8 | frames[0][0] << 16 |
                   frames[0][1] << 24));
}

static void stack(void)
{
    CPU(c);

    fill();
    map(0, 1);
    c.esp = EDGE + 2;
    c.eax = 0x12345678;
    run(&c, SNIPPET("pushl %eax\n popl %ecx\n pusha\n popa\n"
                    "call 1f\n 1: popl %edx\n enter $2, $0\n leave"));
    check_eq("push_and_pop_across_the_border", c.ecx, 0x12345678);
    check_eq("esp_is_back", c.esp, EDGE + 2);
    c.esi = EDGE - 6;
    c.edi = EDGE - 3;
    c.ecx = 3;
    fill();
    run(&c, SNIPPET("rep movsl"));
    check("rep_movs_with_units_across_the_border",
          PEEK8(EDGE - 3) == byte_at(-6) && PEEK8(EDGE) == byte_at(-3) &&
              PEEK8(EDGE + 1) == PEEK8(EDGE - 2));
}

static void rights(void)
{
    CPU(c);

    fill();
    map(0, 1);
    map_page(EDGE, (u32)frames[1], PTE_P | PTE_W);
    c.ebx = EDGE - 1;
    check_precise("ring_3_into_a_kernel_page_reads", run_user, &c,
                  USER_SNIPPET("movl (%ebx), %eax"), 0, EXC_PF, 5);
    check_eq("  cr2_is_the_kernel_page", trap.cr2, EDGE);
    check_precise("ring_3_into_a_kernel_page_writes", run_user, &c,
                  USER_SNIPPET("movw %ax, (%ebx)"), 0, EXC_PF, 7);
    check_eq("  the_first_byte_is_untouched", PEEK8(EDGE - 1), first[4095]);
    map_page(VA, (u32)frames[0], PTE_P | PTE_U);
    map_page(EDGE, (u32)frames[1], PTE_P | PTE_W | PTE_U);
    check_precise("the_first_page_is_read_only", run, &c,
                  SNIPPET("movl %eax, (%ebx)"), 0, EXC_PF, 3);
    check_eq("  cr2_is_the_address", trap.cr2, EDGE - 1);
    check_eq("  the_second_page_is_untouched", PEEK8(EDGE), second[0]);
}

void guest_main(void)
{
    paging_on();
    fpu_enable();
    plain();
    wide();
    same_frame();
    stack();
    rights();
}
