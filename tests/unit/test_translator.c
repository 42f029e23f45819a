/* SPDX-License-Identifier: MIT */
/*
 * Translated code at work: small pieces of guest code run by the bt engine on
 * a real MMU, in every form an access can have. What a CPU would do is
 * written down by hand.
 */
#include "tests/unit/translator_guest.h"

/* --- precise faults ------------------------------------------------------ */

/* eax = 8000h, ebx: good page, ecx = 2, esi: the hole, edi: its last two bytes
 * in front of the hole, ebp = good. */
enum { GOOD = DATA + 0x800, EDGE = HOLE - 2 };

static const struct fault_row {
    const char *name, *code;
    unsigned size;
    uint32_t esp, cr2;
} fault_rows[] = {
#define ROW(name, code, esp, cr2)              \
    {                                          \
        name, code, sizeof(code) - 1, esp, cr2 \
    }
    ROW("push [hole]", "\xff\x36", GOOD, HOLE),
    ROW("push [mem] on the hole", "\xff\x33", BEHIND, BEHIND - 4),
    ROW("push across pages", "\x50", HOLE + 2, HOLE),
    ROW("push reg", "\x50", BEHIND, BEHIND - 4),
    ROW("push 16 bits", "\x66\x50", BEHIND, BEHIND - 2),
    ROW("pop [hole]", "\x8f\x06", GOOD, HOLE),
    ROW("pop [mem] from the hole", "\x8f\x03", HOLE, HOLE),
    ROW("pop [mem] across pages", "\x8f\x03", EDGE, HOLE),
    ROW("pop reg", "\x58", EDGE, HOLE),
    ROW("pop esp", "\x5c", EDGE, HOLE),
    ROW("pop [esp + n]", "\x8f\x84\x24\xfc\x07\0\0", GOOD, HOLE),
    ROW("call", "\xe8\0\0\0\0", BEHIND, BEHIND - 4),
    ROW("call [hole]", "\xff\x16", GOOD, HOLE),
    ROW("call [mem] on the hole", "\xff\x13", BEHIND, BEHIND - 4),
    ROW("call reg", "\xff\xd3", BEHIND, BEHIND - 4),
    ROW("jmp [hole]", "\xff\x26", GOOD, HOLE),
    ROW("ret", "\xc3", HOLE, HOLE),
    ROW("ret n", "\xc2\x08\0", EDGE, HOLE),
    ROW("retf", "\xcb", EDGE - 2, HOLE),
    ROW("iret", "\xcf", HOLE - 8, HOLE),
    ROW("enter", "\xc8\x10\0\0", BEHIND, BEHIND - 4),
    ROW("leave", "\x89\xf5\xc9", GOOD, HOLE),
    ROW("popa", "\x61", HOLE - 16, HOLE),
    ROW("push es", "\x06", BEHIND, BEHIND - 4),
    ROW("pop es", "\x07", HOLE, HOLE),
    ROW("pushf", "\x9c", BEHIND, BEHIND - 4),
    ROW("popf", "\x9d", EDGE, HOLE),
    ROW("xchg [hole], eax", "\x87\x06", GOOD, HOLE),
    ROW("add across pages", "\x01\x07", GOOD, HOLE),
    ROW("adc reg, [across]", "\x13\x07", GOOD, HOLE),
    ROW("mov across pages", "\x89\x07", GOOD, HOLE),
    ROW("inc [hole]", "\xff\x06", GOOD, HOLE),
    ROW("cmpxchg [hole]", "\x0f\xb1\x0e", GOOD, HOLE),
    ROW("xadd across pages", "\x0f\xc1\x07", GOOD, HOLE),
    ROW("cmpxchg8b across pages", "\x0f\xc7\x0f", GOOD, HOLE),
    ROW("shld [across]", "\x0f\xa4\x07\x04", GOOD, HOLE),
    ROW("bts beyond the operand", "\x0f\xab\x03", GOOD, HOLE),
    ROW("div [hole]", "\xf7\x36", GOOD, HOLE),
    ROW("mul [across]", "\xf7\x27", GOOD, HOLE),
    ROW("movs from the hole", "\x89\xdf\xa5", GOOD, HOLE),
    ROW("movs to the hole", "\x89\xf7\x89\xde\xa5", GOOD, HOLE),
    ROW("stos across pages", "\xab", GOOD, HOLE),
    ROW("lods", "\xad", GOOD, HOLE),
    ROW("scas across pages", "\xaf", GOOD, HOLE),
    ROW("cmps", "\x89\xdf\xa7", GOOD, HOLE),
    ROW("les", "\xc4\x07", GOOD, HOLE),
    ROW("bound", "\x62\x07", GOOD, HOLE),
    ROW("sgdt", "\x0f\x01\x07", GOOD, HOLE),
    ROW("mov ah to the hole", "\x88\x26", GOOD, HOLE),
    ROW("mov [esp + n], ah", "\x88\xa4\x24\0\x08\0\0", GOOD, HOLE),
    ROW("add ch, [esp + n]", "\x02\xac\x24\0\x08\0\0", GOOD, HOLE),
    ROW("xchg [esp + n], bh", "\x86\xbc\x24\0\x08\0\0", GOOD, HOLE),
    ROW("cmpxchg [esp + n], dh", "\x0f\xb0\xb4\x24\0\x08\0\0", GOOD, HOLE),
    ROW("mov [esi], ds", "\x8c\x1e", GOOD, HOLE),
    ROW("movups", "\x0f\x11\x07", GOOD, HOLE),
    ROW("movq mm", "\x0f\x6f\x07", GOOD, HOLE),
    ROW("fld", "\xdd\x07", GOOD, HOLE),
    ROW("xlat", "\x89\xf3\x30\xc0\xd7", GOOD, HOLE),
    ROW("setc", "\x0f\x92\x06", GOOD, HOLE),
    ROW("movzx", "\x0f\xb7\x06", GOOD, HOLE),
    ROW("imul", "\x6b\x07\x03", GOOD, HOLE),
#undef ROW
};

/* The instruction under test is the row's last; those in front set it up. */
static void set_registers(const struct fault_row *row)
{
    static const uint32_t gprs[8] = {0x8000,       2,    0x22222222, DATA, 0,
                                     DATA + 0x100, HOLE, EDGE};

    memcpy(v->gpr, gprs, sizeof(gprs));
    v->gpr[GPR_ESP] = row->esp;
    v->eflags_arith = EFL_CF | EFL_SF;
}

static unsigned length_of_last(const struct fault_row *row)
{
    if (!strcmp(row->name, "leave") || !strncmp(row->name, "movs", 4) ||
        !strcmp(row->name, "xlat"))
        return 1;
    return !strcmp(row->name, "cmps") ? 1 : row->size;
}

/* At a place of its own, so that no row makes another's site guilty. */
static void check_fault(unsigned form, const struct fault_row *row)
{
    uint32_t before[8], frame[6];
    uint32_t code = CODE + 32 * (uint32_t)(row - fault_rows);
    uint32_t at = code + row->size - length_of_last(row);

    prepare(3, code, row->code, row->size);
    memset(m.ram + DATA, 0x5a, PAGE_SIZE);
    memset(m.ram + BEHIND, 0x5a, PAGE_SIZE);
    bt_machine_put32(&m, DATA, 0x1234);
    set_registers(row);
    memcpy(before, v->gpr, sizeof(before));
    if (!strcmp(row->name, "leave"))
        before[GPR_EBP] = HOLE;
    if (!strcmp(row->name, "movs to the hole")) {
        before[GPR_ESI] = DATA;
        before[GPR_EDI] = HOLE;
    }
    if (!strcmp(row->name, "movs from the hole") || !strcmp(row->name, "cmps"))
        before[GPR_EDI] = DATA;
    if (!strcmp(row->name, "xlat")) {
        before[GPR_EBX] = HOLE;
        before[GPR_EAX] &= ~0xffu;
    }
    run();
    memcpy(frame, m.ram + STACK0 - 24, sizeof(frame));
    ck_assert_msg(v->cr2 == row->cr2, "%s, form %u: cr2 %08x", row->name, form,
                  v->cr2);
    ck_assert_msg(frame[1] == at, "%s, form %u: eip %08x", row->name, form,
                  frame[1]);
    ck_assert_uint_eq(frame[2], 0x1b);
    if (strcmp(row->name, "xlat") != 0) /* set up by an xor */
        ck_assert_msg((frame[3] & EFL_ARITH) == (EFL_CF | EFL_SF),
                      "%s, form %u: eflags %08x", row->name, form, frame[3]);
    ck_assert_msg(frame[4] == row->esp, "%s, form %u: esp %08x", row->name,
                  form, frame[4]);
    for (unsigned i = 0; i < 8; i++)
        if (i != GPR_ESP)
            ck_assert_msg(v->gpr[i] == before[i],
                          "%s, form %u: register %u is %08x", row->name, form,
                          i, v->gpr[i]);
    for (unsigned i = 4; i < PAGE_SIZE; i++)
        ck_assert_msg(m.ram[DATA + i] == 0x5a && m.ram[BEHIND + i] == 0x5a,
                      "%s, form %u: byte %x written", row->name, form, i);
}

START_TEST(a_fault_in_the_middle_leaves_everything_as_it_was)
{
    bt_machine_open(&m, RAM, &forms[_i]);
    for (unsigned i = 0; i < ARRAY_SIZE(fault_rows); i++)
        check_fault((unsigned)_i, &fault_rows[i]);
    stop();
}
END_TEST

START_TEST(a_repeated_store_stops_at_the_hole_with_its_progress)
{
    START(_i, 3, "\xf3\xab");
    v->gpr[GPR_EAX] = 0x77777777;
    v->gpr[GPR_ECX] = 100;
    v->gpr[GPR_EDI] = HOLE - 40;
    run();
    ck_assert_uint_eq(v->cr2, HOLE);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 90);
    ck_assert_uint_eq(v->gpr[GPR_EDI], HOLE);
    ck_assert_uint_eq(get32(STACK0 - 20), CODE);
    ck_assert_uint_eq(get32(HOLE - 4), 0x77777777);
    ck_assert_uint_eq(get32(HOLE - 44), 0);
    stop();
}
END_TEST

/* Several rounds of it are one unit: neither the round nor the instruction in
 * it may get lost. */
START_TEST(a_loop_faults_in_the_round_where_it_is)
{
    uint64_t unrolled = stat_counters[STAT_UNROLLED];

    for (unsigned rounds = 1; rounds <= 20; rounds++) {
        bt_machine_open(&m, RAM, &forms[_i]);
        prepare(3, CODE, "\x47\x89\x47\x03\x83\xc7\x03\x49\x75\xf6", 10);
        v->gpr[GPR_EAX] = 0x77777777; /* inc edi; mov [edi + 3], eax; */
        v->gpr[GPR_ECX] = 100;        /* add edi, 3; dec ecx; jnz */
        v->gpr[GPR_EDI] = HOLE - 4 * rounds;
        run();
        ck_assert_uint_eq(v->cr2, HOLE);
        ck_assert_uint_eq(v->gpr[GPR_ECX], 100 - rounds + 1);
        ck_assert_uint_eq(v->gpr[GPR_EDI], HOLE - 3);
        ck_assert_uint_eq(get32(STACK0 - 20), CODE + 1);
        ck_assert_uint_eq(get32(HOLE - 4), rounds > 1 ? 0x77777777 : 0);
        stop();
    }
    unrolled = stat_counters[STAT_UNROLLED] - unrolled;
    ck_assert_uint_eq(unrolled != 0,
                      !(forms[_i].without & (OPT_UNROLL | OPT_CHAINS)) &&
                          !forms[_i].tc_size);
}
END_TEST

START_TEST(a_loop_ends_after_any_number_of_rounds)
{
    for (unsigned rounds = 1; rounds <= 20; rounds++) {
        START(_i, 0,
              "\x40"         /* again: inc eax */
              "\x83\xe9\x01" /* sub ecx, 1 */
              "\x77\xfa"     /* ja again */
              "\xf4");
        v->gpr[GPR_ECX] = rounds;
        run();
        ck_assert_uint_eq(v->gpr[GPR_EAX], rounds);
        ck_assert_uint_eq(v->gpr[GPR_ECX], 0);
        ck_assert_uint_eq(v->eip, CODE + 7);
        stop();
    }
}
END_TEST

START_TEST(misalignment_comes_before_absence)
{
    START(_i, 3, "\x0f\x28\x46\x04"); /* movaps xmm0, [esi + 4] */
    v->gpr[GPR_ESI] = HOLE;
    run();
    ck_assert_uint_eq(get32(STACK0 - 24), 0); /* #GP(0), not #PF */
    ck_assert_uint_eq(get32(STACK0 - 20), CODE);
    ck_assert_uint_eq(v->cr2, 0);
    stop();
}
END_TEST

/* --- forms of operands --------------------------------------------------- */

START_TEST(high_byte_registers_work_beside_esp)
{
    START(_i, 0,
          "\x8a\x64\x24\x04"     /* mov ah, [esp + 4] */
          "\x88\x7c\x24\x08"     /* mov [esp + 8], bh */
          "\x86\x34\x24"         /* xchg [esp], dh */
          "\x00\x6c\x34\x0c"     /* add [esp + esi + 12], ch */
          "\x0f\xb6\x5c\x24\x04" /* movzx ebx, byte [esp + 4] */
          "\x0f\xbe\xfd"         /* movsx edi, ch */
          "\x0f\xb6\xe6"         /* movzx esp, dh */
          "\xf4");
    v->gpr[GPR_EAX] = 0x11112233;
    v->gpr[GPR_EBX] = 0x4444bb55;
    v->gpr[GPR_ECX] = 0x6666cc77;
    v->gpr[GPR_EDX] = 0x8888dd99;
    v->gpr[GPR_ESI] = 1;
    v->gpr[GPR_ESP] = DATA;
    memcpy(m.ram + DATA, "abcdefghijklmnop", 16);
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 0x11116533);
    ck_assert_uint_eq(v->gpr[GPR_EDX], 0x88886199);
    ck_assert_uint_eq(v->gpr[GPR_EBX], 'e');
    ck_assert_uint_eq(v->gpr[GPR_EDI], 0xffffffcc);
    ck_assert_uint_eq(v->gpr[GPR_ESP], 'a');
    ck_assert_uint_eq(v->gpr[GPR_ESI], 1);
    ck_assert_int_eq(memcmp(m.ram + DATA,
                            "\xdd"
                            "bcdefgh\xbbjklm",
                            13),
                     0);
    ck_assert_uint_eq(m.ram[DATA + 13], (uint8_t)('n' + 0xcc));
    stop();
}
END_TEST

/* pcmpeqw mm0, mm1 with its upper half at stake: 66 is the usual size in
 * 16-bit code, and would make it the xmm form. */
START_TEST(mmx_stays_mmx_in_16_bit_code)
{
    START(_i, 0,
          "\x0f\xef\xc0" /* pxor mm0, mm0 */
          "\x0f\xef\xc9" /* pxor mm1, mm1 */
          "\x0f\x75\xc1" /* pcmpeqw mm0, mm1 */
          "\x0f\x7f\x07" /* movq [bx], mm0 */
          "\x0f\x77\xf4");
    v->seg[SEG_CS] = (struct segment){CODE, 0xffff, 0x30, 0x9b};
    vcpu_segment_changed(v, SEG_CS);
    v->gpr[GPR_EBX] = 0x8f00;
    v->eip = 0;
    memset(m.ram + 0x8f00, 0x5a, 16);
    run();
    ck_assert_uint_eq(get32(0x8f00), 0xffffffff);
    ck_assert_uint_eq(get32(0x8f04), 0xffffffff);
    ck_assert_uint_eq(get32(0x8f08), 0x5a5a5a5a);
    stop();
}
END_TEST

/* --- control flow -------------------------------------------------------- */

START_TEST(loops_and_calls_are_chained_once)
{
    START(_i, 0,
          "\xb9\xe8\x03\0\0" /* mov ecx, 1000 */
          "\x31\xc0"         /* xor eax, eax */
          "\xe8\x04\0\0\0"   /* again: call f */
          "\x49"             /* dec ecx */
          "\x75\xf8"         /* jnz again */
          "\xf4"             /* hlt */
          "\x01\xc8"         /* f: add eax, ecx */
          "\xc3");
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 1000 * 1001 / 2);
    if (_i == 0) {
        ck_assert_uint_le(stat_counters[STAT_EXIT_CHAIN], 8);
        ck_assert_uint_ge(stat_counters[STAT_CHAINS], 2);
        ck_assert_uint_le(stat_counters[STAT_EXIT_LOOKUP], 8);
    }
    if (forms[_i].without & OPT_CHAINS)
        ck_assert_uint_eq(stat_counters[STAT_CHAINS], 0);
    stop();
}
END_TEST

START_TEST(an_indirect_call_may_change_its_target)
{
    START(_i, 0,
          "\xb9\x64\0\0\0"           /* mov ecx, 100 */
          "\x31\xc0"                 /* xor eax, eax */
          "\x89\xcb"                 /* again: mov ebx, ecx */
          "\x83\xe3\x03"             /* and ebx, 3 */
          "\xff\x14\x9d\0\x40\x01\0" /* call [ebx * 4 + DATA] */
          "\x49"                     /* dec ecx */
          "\x75\xf1"                 /* jnz again */
          "\xf4"
          "\x40\xc3"             /* 17h: inc eax; ret */
          "\x83\xc0\x40\xc3"     /* 19h: add eax, 40h; ret */
          "\x05\0\x10\0\0\xc3"); /* 1dh: add eax, 1000h; ret */
    bt_machine_put32(&m, DATA, CODE + 0x17);
    bt_machine_put32(&m, DATA + 4, CODE + 0x19);
    bt_machine_put32(&m, DATA + 8, CODE + 0x1d);
    bt_machine_put32(&m, DATA + 12, CODE + 0x17);
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 50 + 25 * 0x40 + 25 * 0x1000);
    ck_assert_uint_eq(v->gpr[GPR_ESP], STACK);
    stop();
}
END_TEST

START_TEST(recursion_deeper_than_the_host_stack_comes_back)
{
    START(_i, 0,
          "\xb9\x30\x75\0\0" /* mov ecx, 30000 */
          "\x31\xc0"         /* xor eax, eax */
          "\xe8\x01\0\0\0"   /* call f */
          "\xf4"
          "\x49"                 /* f: dec ecx */
          "\x74\x05"             /* jz out */
          "\xe8\xf8\xff\xff\xff" /* call f */
          "\x40"                 /* out: inc eax */
          "\xc3");
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 30000);
    ck_assert_uint_eq(v->gpr[GPR_ESP], STACK);
    if (_i == 0)
        ck_assert_uint_gt(stat_counters[STAT_HOST_STACK_RESETS], 0);
    stop();
}
END_TEST

START_TEST(a_return_goes_where_the_guest_stack_says)
{
    START(_i, 0,
          "\xe8\x06\0\0\0"     /* call f */
          "\x31\xc0\xf4"       /* never: xor eax, eax; hlt */
          "\xb8\x2a\0\0\0\xf4" /* 8: mov eax, 42; hlt */
          "\xcc");
    memcpy(m.ram + CODE + 11, "\x83\x04\x24\x0e\xc3", 5); /* add [esp],14 */
    memcpy(m.ram + CODE + 19, "\xb8\x2a\0\0\0\xf4", 6);
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 42);
    stop();
}
END_TEST

/* A loop that never leaves the shadow of mov ss must still be interrupted. */
START_TEST(an_interrupt_gets_through_a_loop_of_shadows)
{
    START(_i, 0, "\x8e\xd0\xe8\xf9\xff\xff\xff"); /* mov ss, ax; call -7 */
    v->gpr[GPR_EAX] = 0x10;
    v->eflags_if = EFL_IF;
    vcpu_set_intr_line(v, true);
    run();
    ck_assert_uint_eq(v->eip, HANDLER + 1);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP]), CODE);
    stop();
}
END_TEST

/* Who asked for attention together with the interrupt is heard, too. */
START_TEST(an_interrupt_swallows_no_request)
{
    START(_i, 0, "\xeb\xfe"); /* jmp -2 */
    v->eflags_if = EFL_IF;
    vcpu_set_intr_line(v, true);
    ck_assert_int_eq(m.engine->run(m.engine), ENGINE_KICKED);
    ck_assert_uint_eq(v->eip, HANDLER);
    stop();
}
END_TEST

START_TEST(nothing_runs_behind_a_triple_fault)
{
    START(_i, 0, "\x90\x43\x43\xf4"); /* nop; inc ebx; inc ebx */
    v->idtr.limit = 0;
    v->eflags_sys |= EFL_TF;
    v->mode_dirty = true;
    ck_assert_int_eq(run_to_exit(), ENGINE_TRIPLE_FAULT);
    ck_assert_uint_eq(v->gpr[GPR_EBX], 0);
    ck_assert_uint_eq(v->eip, CODE + 1);
    stop();
}
END_TEST

/* --- code that changes --------------------------------------------------- */

START_TEST(a_store_into_its_own_block_counts_at_once)
{
    START(_i, 0,
          "\xc6\x05\x0e\0\x01\0\x55" /* mov byte [CODE + 14], 55h */
          "\xb9\x01\0\0\0"           /* mov ecx, 1 */
          "\x90"
          "\xb8\x11\0\0\0" /* mov eax, 11h -> 55h */
          "\xf4");
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 0x55);
    stop();
}
END_TEST

START_TEST(a_string_store_into_its_own_block_counts_at_once)
{
    START(_i, 0,
          "\xf3\xaa"       /* rep stosb */
          "\xb8\x11\0\0\0" /* mov eax, 11h -> 44434241h */
          "\xf4");
    v->gpr[GPR_EAX] = 0x41;
    v->gpr[GPR_ECX] = 4;
    v->gpr[GPR_EDI] = CODE + 3;
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 0x41414141);
    stop();
}
END_TEST

START_TEST(a_loop_that_rewrites_itself_sees_every_version)
{
    START(_i, 0,
          "\xb9\x32\0\0\0"       /* mov ecx, 50 */
          "\x31\xdb"             /* xor ebx, ebx */
          "\xb8\0\0\0\0"         /* again: mov eax, n */
          "\x01\xc3"             /* add ebx, eax */
          "\xff\x05\x08\0\x01\0" /* inc dword [CODE + 8] */
          "\xe2\xf1"             /* loop again */
          "\xf4");
    run();
    ck_assert_uint_eq(v->gpr[GPR_EBX], 50 * 49 / 2);
    stop();
}
END_TEST

START_TEST(an_instruction_over_two_pages_follows_its_second_page)
{
    START(_i, 0,
          "\xe8\xf8\x0f\0\0"                   /* call CODE + ffdh */
          "\x89\xc3"                           /* mov ebx, eax */
          "\xc7\x05\x44\xa0\0\0\x07\x80\x01\0" /* entry of CODE + 1000h */
          "\x0f\x01\x3d\0\x10\x01\0"           /* invlpg [CODE + 1000h] */
          "\xe8\xe0\x0f\0\0"                   /* call CODE + ffdh */
          "\x89\xc1"                           /* mov ecx, eax */
          "\xc6\x05\0\x80\x01\0\x99"           /* mov byte [18000h], 99h */
          "\xe8\xd2\x0f\0\0"                   /* call CODE + ffdh */
          "\xf4");
    memcpy(m.ram + CODE + 0xffd, "\xb8\x01\x02", 3);
    memcpy(m.ram + CODE + 0x1000, "\x03\x04\xc3", 3);
    memcpy(m.ram + 0x18000, "\x13\x14\xc3", 3);
    run();
    ck_assert_uint_eq(v->gpr[GPR_EBX], 0x04030201);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 0x14130201);
    ck_assert_uint_eq(v->gpr[GPR_EAX], 0x14990201);
    stop();
}
END_TEST

/* --- guilt --------------------------------------------------------------- */

START_TEST(a_site_that_keeps_faulting_turns_guilty_and_goes_on)
{
    START(_i, 0,
          "\xb9\x28\0\0\0"     /* mov ecx, 40 */
          "\xbf\0\0\x02\0"     /* mov edi, 20000h */
          "\x89\x0f"           /* again: mov [edi], ecx */
          "\x81\xc7\0\x30\0\0" /* add edi, 3000h */
          "\xe2\xf6"           /* loop again */
          "\xf4");
    run();
    for (unsigned i = 0; i < 40; i++)
        ck_assert_uint_eq(get32(0x20000 + 0x3000 * i), 40 - i);
    if (_i == 0) {
        ck_assert_uint_ge(stat_counters[STAT_GUILTY_SITES], 1);
        ck_assert_uint_lt(stat_counters[STAT_HIDDEN_FAULTS], 20);
    }
    stop();
}
END_TEST

START_TEST(a_segment_that_is_not_plain_is_checked_in_full)
{
    START(_i, 0,
          "\x64\xa1\xfc\x0f\0\0"     /* mov eax, fs:[ffch] */
          "\x64\x8b\x1d\xfd\x0f\0\0" /* mov ebx, fs:[ffdh]: beyond */
          "\xf4");
    v->seg[SEG_FS] = (struct segment){DATA, 0xfff, 0x33, 0x40f3};
    vcpu_segment_changed(v, SEG_FS);
    bt_machine_put32(&m, DATA + 0xffc, 0x12345678);
    run();
    ck_assert_uint_eq(v->gpr[GPR_EAX], 0x12345678);
    ck_assert_uint_eq(v->gpr[GPR_EBX], 0);
    ck_assert_uint_eq(v->eip, HANDLER + 1);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP] + 4), CODE + 6);
    stop();
}
END_TEST

/* --- fast paths ---------------------------------------------------------- */

/* A GDT whose entry 30h lies in a page of its own. */
enum { FAR_GDT = 0x1cfd0, FAR_SELECTOR = 0x30 };

static void far_gdt(uint64_t last)
{
    memcpy(m.ram + FAR_GDT, m.ram + GDT, 0x30);
    bt_machine_put64(&m, FAR_GDT + FAR_SELECTOR, last);
    v->gdtr = (struct table_register){FAR_GDT, 0x37};
    v->gpr[GPR_EAX] = FAR_SELECTOR;
    v->gpr[GPR_ECX] = 0x11223344;
}

START_TEST(a_descriptor_that_went_away_faults_in_the_load)
{
    START(_i, 0,
          "\x8e\xe0\x8e\xe0\x8e\xe0"     /* mov fs, ax, thrice */
          "\xc7\x05\x74\xa0\0\0\0\0\0\0" /* its page is not there */
          "\x0f\x01\x3d\0\xd0\x01\0"     /* invlpg [1d000h] */
          "\x8e\xe0\xf4");
    far_gdt(0x00cf930000000000 | 0xffff);
    run();
    ck_assert_uint_eq(v->cr2, 0x1d000);
    ck_assert_uint_eq(v->eip, HANDLER + 1);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP]), 0);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP] + 4), CODE + 23);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 0x11223344);
    ck_assert_uint_eq(v->seg[SEG_FS].selector, FAR_SELECTOR);
    if (_i == 0)
        ck_assert_uint_eq(stat_counters[STAT_FAST_SEGMENTS], 2);
    stop();
}
END_TEST

START_TEST(a_load_again_comes_to_what_the_first_came_to)
{
    START(_i, 0,
          "\x8e\xe0\x8e\xe0"              /* mov fs, ax, twice */
          "\x50\x50\x0f\xa9\x0f\xa9"      /* push eax, twice; pop gs, twice */
          "\x31\xd2\x8e\xe2"              /* xor edx, edx; mov fs, dx */
          "\x8e\xe0"                      /* mov fs, ax */
          "\x65\x8b\x1d\0\0\0\0\xf4");    /* mov ebx, gs:[0] */
    far_gdt(0x00cf930140000000 | 0xffff); /* base DATA */
    bt_machine_put32(&m, DATA, 0x55667788);
    run();
    ck_assert_uint_eq(v->eip, CODE + 24);
    ck_assert_uint_eq(v->gpr[GPR_EBX], 0x55667788);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 0x11223344);
    ck_assert_uint_eq(v->gpr[GPR_ESP], STACK);
    for (unsigned s = SEG_FS; s <= SEG_GS; s++) {
        ck_assert_uint_eq(v->seg[s].selector, FAR_SELECTOR);
        ck_assert_uint_eq(v->seg[s].base, DATA);
        ck_assert_uint_eq(v->seg[s].limit, 0xffffffff);
        ck_assert_uint_eq(v->seg[s].attr, 0xc093);
        ck_assert_uint_eq(v->seg_base[s], DATA);
        ck_assert(v->seg_simple[s]);
    }
    stop();
}
END_TEST

START_TEST(another_gdt_is_looked_at)
{
    START(_i, 0,
          "\x8e\xe0\x8e\xe0"         /* mov fs, ax, twice */
          "\x0f\x01\x15\0\x40\x01\0" /* lgdt [DATA] */
          "\x8e\xe0\xf4");           /* mov fs, ax: beyond the limit */
    far_gdt(0x00cf930000000000 | 0xffff);
    bt_machine_put32(&m, DATA, (FAR_GDT & 0xffffu) << 16 | 0x2f);
    bt_machine_put32(&m, DATA + 4, FAR_GDT >> 16);
    run();
    ck_assert_uint_eq(v->eip, HANDLER + 1);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP]), FAR_SELECTOR);
    ck_assert_uint_eq(get32(v->gpr[GPR_ESP] + 4), CODE + 11);
    stop();
}
END_TEST

/* Ring 3 goes through gate 80h to selector 30h and back three times, writes to
 * one of the tables, and does it again. */
enum { GATE = IDT + 8 * 0x80, OTHER_HANDLER = HANDLER + 0x100 };
#define NO_ERROR 0xffffffffu

static const struct table_row {
    const char *name, *store;
    unsigned size;
    uint32_t esp, error; /* where it halts */
} table_rows[] = {
    {"gate not present", "\xc6\x05\x05\x24\0\0\x6e", 7, STACK0 - 24, 0x402},
    {"gate of ring 0", "\xc6\x05\x05\x24\0\0\x8e", 7, STACK0 - 24, 0x402},
    {"gate to elsewhere", "\xc6\x05\x01\x24\0\0\x40", 7, STACK0 - 20, NO_ERROR},
    {"gate to another segment", "\xc6\x05\x02\x24\0\0\x20", 7, STACK0 - 24,
     0x20},
    {"code not present", "\xc6\x05\x05\xd0\x01\0\x1b", 7, STACK0 - 24,
     FAR_SELECTOR},
    {"code with a limit", "\xc6\x05\x06\xd0\x01\0\x40", 7, STACK0 - 24, 0},
    {"another esp0", "\x66\xc7\x05\x04\x30\0\0\0\x7f", 9, 0x7f00 - 24, 0},
    {"no code to return to", "\xc6\x05\xed\xcf\x01\0\x7b", 7, STACK0 - 20 - 16,
     0x18},
    {"no stack to return to", "\xc6\x05\xf5\xcf\x01\0\x73", 7, STACK0 - 20 - 16,
     0x20},
};

START_TEST(a_way_known_is_not_gone_when_a_table_changed)
{
    const struct table_row *row = &table_rows[_i];

    for (unsigned form = 0; form < ARRAY_SIZE(forms); form++) {
        uint8_t code[64] = "\xcd\x80\xcd\x80\xcd\x80"; /* int 80h */

        memcpy(code + 6, row->store, row->size);
        memcpy(code + 6 + row->size, "\xcd\x80\xf4", 3); /* #GP(0) */
        start(&forms[form], 3, code, sizeof(code));
        far_gdt(0x00cf9b000000ffff);
        memcpy(m.ram + OTHER_HANDLER, "\xcf", 1); /* iret */
        bt_machine_put64(&m, GATE, 0x0000ee0000304100);
        run();
        ck_assert_msg(v->eip == HANDLER + 1 && v->gpr[GPR_ESP] == row->esp,
                      "%s, form %u: eip %x esp %x", row->name, form, v->eip,
                      v->gpr[GPR_ESP]);
        if (row->error != NO_ERROR)
            ck_assert_msg(get32(v->gpr[GPR_ESP]) == row->error, "%s: error %x",
                          row->name, get32(v->gpr[GPR_ESP]));
        if (form == 0)
            ck_assert_uint_ge(stat_counters[STAT_FAST_GATES], 1);
        if (forms[form].without & OPT_MODES)
            ck_assert_uint_eq(stat_counters[STAT_FAST_GATES] +
                                  stat_counters[STAT_FAST_RETURNS],
                              0);
        stop();
    }
}
END_TEST

START_TEST(a_string_goes_the_way_df_says)
{
    START(_i, 0,
          "\xfd\xf3\xa5"     /* std; rep movsd */
          "\xa4\xac"         /* movsb; lodsb */
          "\xfc\x66\xab\xaa" /* cld; stosw; stosb */
          "\xf4");
    m.ram[DATA + 0xff] = 0x77;
    v->gpr[GPR_ESI] = DATA + 0x10c;
    v->gpr[GPR_EDI] = DATA + 0x20c;
    v->gpr[GPR_ECX] = 3;
    v->gpr[GPR_EAX] = 0x99aabbcc;
    for (unsigned i = 0; i < 16; i++)
        m.ram[DATA + 0x100 + i] = (uint8_t)i;
    run();
    ck_assert_uint_eq(get32(DATA + 0x20c), 0x0f0e0d0c);
    ck_assert_uint_eq(get32(DATA + 0x208), 0x0b0a0908);
    ck_assert_uint_eq(get32(DATA + 0x204), 0x07060504);
    ck_assert_uint_eq(get32(DATA + 0x200), 0x000077bb);
    ck_assert_uint_eq(v->gpr[GPR_ESI], DATA + 0xfe);
    ck_assert_uint_eq(v->gpr[GPR_EDI], DATA + 0x202);
    ck_assert_uint_eq(v->gpr[GPR_ECX], 0);
    stop();
}
END_TEST

START_TEST(longest_unit_has_room_for_the_costliest_instructions)
{
    const struct bt_options options = {
        .tu_max = 64, .checked_all = true, .host_hide = _i ? HOST_BMI2 : 0};
    uint8_t code[129];

    for (unsigned i = 0; i < 64; i++) {
        code[2 * i] = 0x8f; /* pop [esi] */
        code[2 * i + 1] = 0x06;
    }
    code[128] = 0xf4;
    start(&options, 0, code, sizeof(code));
    v->gpr[GPR_ESI] = DATA;
    v->gpr[GPR_ESP] = STACK - 256;
    bt_machine_put32(&m, STACK - 4, 0x1234);
    run();
    ck_assert_uint_eq(get32(DATA), 0x1234);
    ck_assert_uint_eq(v->gpr[GPR_ESP], STACK);
    stop();
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("translator");
    TCase *tc = tcase_create("translator");
    const int all = ARRAY_SIZE(forms);

    tcase_set_timeout(tc, 120);
#define ADD(test) tcase_add_loop_test(tc, test, 0, all)
    ADD(a_fault_in_the_middle_leaves_everything_as_it_was);
    ADD(a_repeated_store_stops_at_the_hole_with_its_progress);
    ADD(misalignment_comes_before_absence);
    ADD(high_byte_registers_work_beside_esp);
    ADD(mmx_stays_mmx_in_16_bit_code);
    ADD(a_descriptor_that_went_away_faults_in_the_load);
    ADD(a_load_again_comes_to_what_the_first_came_to);
    ADD(another_gdt_is_looked_at);
    tcase_add_loop_test(tc, a_way_known_is_not_gone_when_a_table_changed, 0,
                        ARRAY_SIZE(table_rows));
    ADD(a_string_goes_the_way_df_says);
    ADD(loops_and_calls_are_chained_once);
    ADD(a_loop_faults_in_the_round_where_it_is);
    ADD(a_loop_ends_after_any_number_of_rounds);
    ADD(an_indirect_call_may_change_its_target);
    ADD(recursion_deeper_than_the_host_stack_comes_back);
    ADD(a_return_goes_where_the_guest_stack_says);
    ADD(an_interrupt_gets_through_a_loop_of_shadows);
    ADD(an_interrupt_swallows_no_request);
    ADD(nothing_runs_behind_a_triple_fault);
    ADD(a_store_into_its_own_block_counts_at_once);
    ADD(a_string_store_into_its_own_block_counts_at_once);
    ADD(a_loop_that_rewrites_itself_sees_every_version);
    ADD(an_instruction_over_two_pages_follows_its_second_page);
    ADD(a_site_that_keeps_faulting_turns_guilty_and_goes_on);
    ADD(a_segment_that_is_not_plain_is_checked_in_full);
#undef ADD
    tcase_add_loop_test(
        tc, longest_unit_has_room_for_the_costliest_instructions, 0, 2);
    suite_add_tcase(s, tc);
    return s;
}

int main(void)
{
    SRunner *runner = srunner_create(suite());
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
