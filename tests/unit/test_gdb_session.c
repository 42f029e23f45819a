/* SPDX-License-Identifier: MIT */
/*
 * The GDB stub without a machine: frames and checksums, what packets do to
 * registers, memory and breakpoints, and that no input does anything else.
 */
#include "vcpu_mock.h"

#include "monitor/gdb/packet.h"
#include "monitor/gdb/registers.h"
#include "monitor/gdb/session.h"
#include "monitor/gdb/session_impl.h"
#include "vcpu/debug.h"
#include "vcpu/fpu.h"

#include <stdio.h>

static struct {
    struct gdb_session *session;
    struct vcpu_debug points;
    uint8_t out[1 << 18];
    size_t out_count;
    unsigned resumes, stops, kills;
    bool step, interrupts, timers, stopped, deaf;
    char line[256];
} fake;

static bool fake_on_cpu(void *opaque, void (*fn)(void *), void *argument)
{
    if (fake.deaf)
        return false;
    fn(argument);
    return true;
}

/* Memory is the mock's; pages at and above MOCK_SIZE are not there. */
static size_t fake_read(void *opaque, gva_t gva, uint8_t *to, size_t len,
                        bool physical)
{
    size_t done = 0;

    for (; done < len && gva + done < MOCK_SIZE; done++)
        to[done] = mock.ram[gva + done] ^ (physical ? 0xff : 0);
    return done;
}

static size_t fake_write(void *opaque, gva_t gva, const uint8_t *from,
                         size_t len, bool physical)
{
    size_t done = 0;

    for (; done < len && gva + done < MOCK_SIZE; done++)
        mock.ram[gva + done] = from[done];
    return done;
}

static void fake_resume(void *opaque, bool step, bool interrupts, bool timers)
{
    fake.resumes++;
    fake.step = step;
    fake.interrupts = interrupts;
    fake.timers = timers;
    fake.stopped = false;
}

static void fake_stop(void *opaque)
{
    fake.stops++;
    fake.stopped = true;
}

static bool fake_is_stopped(void *opaque)
{
    return fake.stopped;
}

static void fake_monitor(void *opaque, const char *line, char *to, size_t size)
{
    snprintf(fake.line, sizeof(fake.line), "%s", line);
    snprintf(to, size, "%s", strcmp(line, "quiet") ? "hello\n" : "");
}

static void fake_kill(void *opaque)
{
    fake.kills++;
}

static void fake_send(void *connection, const uint8_t *bytes, size_t count)
{
    if (count > sizeof(fake.out) - fake.out_count)
        fake.out_count = 0;
    memcpy(fake.out + fake.out_count, bytes, count);
    fake.out_count += count;
}

static const struct gdb_target fake_target = {
    .vcpu = CPU,
    .on_cpu = fake_on_cpu,
    .read = fake_read,
    .write = fake_write,
    .resume = fake_resume,
    .stop = fake_stop,
    .is_stopped = fake_is_stopped,
    .monitor = fake_monitor,
    .kill = fake_kill,
    .send = fake_send,
};

static void open_session(void)
{
    setup_flat(0);
    memset(&fake, 0, sizeof(fake));
    CPU->debug = &fake.points;
    fake.session = gdb_session_create(&fake_target);
}

static void close_session(void)
{
    gdb_session_destroy(fake.session);
    CPU->debug = NULL;
}

static void input(const void *bytes, size_t count)
{
    fake.out_count = 0;
    gdb_session_input(fake.session, bytes, count);
    fake.out[fake.out_count] = 0;
}

/* Sends a packet of these bytes; what came back, unframed, after its '+'. */
static const char *ask_bytes(const void *data, size_t count)
{
    static uint8_t frame[GDB_FRAME_SIZE(GDB_PACKET_SIZE)];
    static struct gdb_packets parser;

    input(frame, gdb_frame(frame, data, count));
    ck_assert_uint_ge(fake.out_count, 1);
    ck_assert_int_eq(fake.out[0], '+');
    memset(&parser, 0, sizeof(parser));
    for (size_t i = 1; i < fake.out_count; i++)
        if (gdb_packets_byte(&parser, fake.out[i]) == GDB_PACKET)
            return (const char *)parser.data;
    return NULL;
}

static const char *ask(const char *text)
{
    return ask_bytes(text, strlen(text));
}

#define ASK(text, answer) ck_assert_str_eq(ask(text), answer)

/* --- frames -------------------------------------------------------------- */

START_TEST(a_frame_comes_back_as_its_data)
{
    struct gdb_packets p = {0};
    uint8_t data[256], frame[GDB_FRAME_SIZE(256)];
    enum gdb_event event = GDB_NOTHING;
    size_t length;

    for (unsigned i = 0; i < 256; i++)
        data[i] = (uint8_t)i;
    length = gdb_frame(frame, data, 256);
    ck_assert_uint_le(length, sizeof(frame));
    for (size_t i = 0; i < length; i++) {
        ck_assert_int_eq(event, GDB_NOTHING);
        event = gdb_packets_byte(&p, frame[i]);
    }
    ck_assert_int_eq(event, GDB_PACKET);
    ck_assert_uint_eq(p.length, 256);
    ck_assert_mem_eq(p.data, data, 256);
}
END_TEST

START_TEST(a_wrong_checksum_is_asked_for_again)
{
    open_session();
    input("$qC#00", 6);
    ck_assert_str_eq((char *)fake.out, "-");
    input("$qC#zz", 6);
    ck_assert_str_eq((char *)fake.out, "-");
    input("$qC#b4", 6);
    ck_assert_str_eq((char *)fake.out, "+$QC1#c5");
    input("-", 1); /* it got lost: once more */
    ck_assert_str_eq((char *)fake.out, "$QC1#c5");
    close_session();
}
END_TEST

START_TEST(a_packet_cut_off_by_another_is_forgotten)
{
    open_session();
    input("noise+$m10$qC#b4", 16);
    ck_assert_str_eq((char *)fake.out, "+$QC1#c5");
    close_session();
}
END_TEST

START_TEST(a_packet_that_is_too_long_is_not_supported)
{
    size_t size = GDB_PACKET_SIZE + 100;
    char *text = malloc(size + 4);

    open_session();
    memset(text, 'm', size);
    text[0] = '$';
    memcpy(text + size, "#00", 4);
    input(text, size + 3);
    ck_assert_str_eq((char *)fake.out, "-");
    snprintf(text + size + 1, 3, "%02x", (unsigned)(('m' * (size - 1)) & 0xff));
    input(text, size + 3);
    ck_assert_str_eq((char *)fake.out, "+$#00");
    ASK("qC", "QC1");
    free(text);
    close_session();
}
END_TEST

START_TEST(without_acknowledgements_none_are_sent_or_wanted)
{
    open_session();
    ASK("QStartNoAckMode", "OK");
    input("$qC#00", 6); /* nobody counts */
    ck_assert_str_eq((char *)fake.out, "$QC1#c5");
    input("-", 1);
    ck_assert_str_eq((char *)fake.out, "");
    close_session();
}
END_TEST

/* --- registers ----------------------------------------------------------- */

START_TEST(registers_are_read_and_written_by_number)
{
    open_session();
    CPU->gpr[GPR_EBX] = 0x12345678;
    ASK("p3", "78563412");
    ASK("P3=efbeadde", "OK");
    ck_assert_uint_eq(CPU->gpr[GPR_EBX], 0xdeadbeef);
    ASK("P8=00000400", "OK");
    ck_assert_uint_eq(CPU->eip, 0x40000);
    ASK("p38", "E16");
    ASK("p", "E16");
    ASK("P3=efbead", "E16");
    ASK("Pffffffff=00000000", "E16");
    ASK("P3=0000000000", "E16");
    close_session();
}
END_TEST

START_TEST(all_registers_come_back_as_they_were)
{
    static char text[2048];
    uint8_t fpu[512];
    uint32_t gpr[8];

    open_session();
    for (unsigned i = 0; i < 8; i++)
        CPU->gpr[i] = 0x1010101 * i;
    for (unsigned i = 0; i < 128; i++)
        CPU->fpu[160 + i] = (uint8_t)i;
    CPU->fpu[4] = 0x81;           /* two registers are in use */
    CPU->fpu[32] = 1;             /* a denormal, */
    CPU->fpu[32 + 16 + 9] = 0x3f; /* a number that is none */
    memcpy(fpu, CPU->fpu, sizeof(fpu));
    memcpy(gpr, CPU->gpr, sizeof(gpr));
    text[0] = 'G';
    snprintf(text + 1, sizeof(text) - 1, "%s", ask("g"));
    ck_assert_uint_eq(strlen(text),
                      1 + 2 * (16 * 4 + 80 + 32 + 128 + 4 + 6 * 4 + 8 +
                               (gdb_register_count(CPU) == 56 ? 128 : 0)));
    memset(CPU->gpr, 0, sizeof(gpr));
    memset(CPU->fpu + 160, 0, 128);
    ck_assert_str_eq(ask(text), "OK");
    ck_assert_mem_eq(CPU->gpr, gpr, sizeof(gpr));
    ck_assert_mem_eq(CPU->fpu, fpu, 288);
    ASK("G12", "E16");
    close_session();
}
END_TEST

START_TEST(a_state_the_cpu_cannot_have_is_refused)
{
    open_session();
    ASK("P9=02000200", "E16"); /* eflags: VM */
    ASK("Pa=3b000000", "E16"); /* cs in protected mode */
    ASK("Pc=58000000", "E16"); /* ds: not present */
    ASK("Pc=20000000", "OK");
    ck_assert_uint_eq(CPU->seg[SEG_DS].selector, SEL_DATA3);
    ASK("P28=801f0100", "E16"); /* mxcsr: reserved bits */
    ASK("P28=001f0000", "OK");
    ASK("P2b=00000080", "E16"); /* cr0: PG without PE */
    ASK("P2e=00000040", "E16"); /* cr4: bit 30 */
    ASK("P2d=00100000", "OK");  /* cr3 */
    ck_assert_uint_eq(CPU->cr3, 0x1000);
    ck_assert_int_eq(mock.cr3_loads, 1);
    close_session();
}
END_TEST

START_TEST(full_tags_tell_what_is_in_the_x87_stack)
{
    open_session();
    vcpu_fpu_reset(CPU);
    ASK("p1a", "55550000");             /* zeros */
    CPU->fpu[3] = 0x38;                 /* TOP is 7 */
    CPU->fpu[4] = 0xc0;                 /* 6 and 7 in use */
    memset(CPU->fpu + 32 + 112, 0, 10); /* st(7) is physical 6: zero */
    memcpy(CPU->fpu + 32, "\0\0\0\0\0\0\0\x80\xff\x3f", 10); /* 1.0 */
    ASK("p1a", "ff1f0000");
    ASK("P1a=ffff0000", "OK");
    ck_assert_uint_eq(CPU->fpu[4], 0);
    close_session();
}
END_TEST

static void expect_description(bool avx)
{
    const char *text;
    unsigned count = 0;

    mock.model.feat_1_ecx &= ~CPUID_1C_AVX;
    mock.model.feat_1_ecx |= avx ? CPUID_1C_AVX : 0;
    text = gdb_description(CPU);
    for (const char *at = text; (at = strstr(at, "<reg ")); at++)
        count++;
    ck_assert_uint_eq(count, gdb_register_count(CPU));
    ck_assert_ptr_nonnull(strstr(text, "org.gnu.gdb.i386.core"));
    ck_assert_ptr_nonnull(strstr(text, "org.gnu.gdb.i386.sse"));
    ck_assert(avx == (strstr(text, "org.gnu.gdb.i386.avx") != NULL));
}

START_TEST(the_description_has_every_register_once)
{
    setup_flat(0);
    expect_description(true);
    expect_description(false);
    expect_description(true);
}
END_TEST

START_TEST(upper_halves_are_there_when_they_are_in_use)
{
    open_session();
    mock.model.feat_1_ecx |= CPUID_1C_AVX;
    ASK("P30=01000000000000000000000000000080", "E16");
    CPU->ymm_used = true;
    ASK("P30=01000000000000000000000000000080", "OK");
    ck_assert_uint_eq(CPU->ymm_high[0][15], 0x80);
    ASK("p30", "01000000000000000000000000000080");
    mock.model.feat_1_ecx &= ~CPUID_1C_AVX;
    ASK("p30", "E16");
    close_session();
}
END_TEST

START_TEST(the_description_comes_in_pieces)
{
    static char whole[32768];
    char question[64];
    size_t length = 0;
    const char *piece;

    open_session();
    do {
        snprintf(question, sizeof(question),
                 "qXfer:features:read:target.xml:%zx,1ff", length);
        piece = ask(question);
        memcpy(whole + length, piece + 1, strlen(piece));
        length += strlen(piece) - 1;
    } while (piece[0] == 'm');
    ck_assert_int_eq(piece[0], 'l');
    ck_assert_str_eq(whole, gdb_description(CPU));
    ASK("qXfer:features:read:target.xml:ffffff,10", "l");
    ASK("qXfer:features:read:other.xml:0,10", "E00");
    ASK("qXfer:features:read:target.xml:0", "E16");
    close_session();
}
END_TEST

/* --- memory -------------------------------------------------------------- */

START_TEST(memory_is_read_and_written)
{
    open_session();
    ASK("M40000,4:01020304", "OK");
    ASK("m40000,4", "01020304");
    ck_assert_str_eq(ask_bytes("X40002,3:\0#$", 12), "OK");
    ASK("m40000,6", "010200232400");
    ASK("mffffe,8", "0000"); /* as far as there is any */
    ASK("m100000,1", "E0e");
    ASK("M100000,1:00", "E0e");
    ASK("m40000,0", "");
    close_session();
}
END_TEST

START_TEST(bad_memory_packets_are_refused)
{
    static const char *const bad[] = {"m",
                                      "m,",
                                      "m1000",
                                      "m1000,",
                                      "m100000000,1",
                                      "m1000,4x",
                                      "mzz,4",
                                      "M1000,2:00",
                                      "M1000,1:0g",
                                      "M1000,2:000000",
                                      "X1000,5:abc",
                                      "M1000,ffffffff:00",
                                      "X1000,ffffffff:00"};

    open_session();
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
        ck_assert_str_eq(ask(bad[i]), "E16");
    ck_assert_uint_gt(strlen(ask("m0,ffffffff")), 1000);
    close_session();
}
END_TEST

START_TEST(physical_memory_is_a_mode)
{
    open_session();
    mock.ram[0x40000] = 0x0f;
    ASK("qqemu.PhyMemMode", "0");
    ASK("Qqemu.PhyMemMode:1", "OK");
    ASK("m40000,1", "f0");
    ASK("Qqemu.PhyMemMode:x", "E16");
    ASK("qqemu.PhyMemMode", "1");
    ASK("Qqemu.PhyMemMode:0", "OK");
    ASK("m40000,1", "0f");
    close_session();
}
END_TEST

/* --- breakpoints, going on, stops ---------------------------------------- */

START_TEST(points_are_set_and_taken_away)
{
    open_session();
    ASK("Z0,1000,1", "OK");
    ASK("Z1,1000,1", "OK");
    ASK("Z0,800,1", "OK");
    ck_assert_uint_eq(fake.points.break_count, 2);
    ck_assert_uint_eq(vcpu_debug_break_at(CPU, 0x1000)->kinds, 3);
    ASK("z0,1000,1", "OK");
    ASK("z0,1000,1", "OK");
    ck_assert_uint_eq(vcpu_debug_break_at(CPU, 0x1000)->kinds, 2);
    ASK("z1,1000,1", "OK");
    ck_assert_ptr_null(vcpu_debug_break_at(CPU, 0x1000));
    ASK("Z2,40000,4", "OK");
    ASK("Z3,40000,4", "OK");
    ck_assert_uint_eq(fake.points.watch_count, 2);
    ck_assert(vcpu_mode(CPU) & TU_STEP);
    ASK("z2,40000,4", "OK");
    ASK("z3,40000,4", "OK");
    ck_assert(!(vcpu_mode(CPU) & TU_STEP));
    ASK("Z2,40000,0", "E1c");
    ASK("Z4,40000,ffffffff", "E1c");
    ASK("Z5,1000,1", "");
    ASK("Z0,1000", "E16");
    ASK("z,", "E16");
    for (unsigned i = 0; i < 2 * DEBUG_BREAKS; i++) {
        char text[32];

        snprintf(text, sizeof(text), "Z0,%x,1", (i * 7919) & 0xffff);
        ck_assert_str_eq(ask(text), fake.points.break_count <= DEBUG_BREAKS &&
                                            i < DEBUG_BREAKS - 1
                                        ? "OK"
                                        : "E1c");
    }
    for (unsigned i = 1; i < fake.points.break_count; i++)
        ck_assert_uint_lt(fake.points.breaks[i - 1].address,
                          fake.points.breaks[i].address);
    close_session();
    ck_assert_uint_eq(fake.points.break_count, 0);
}
END_TEST

START_TEST(a_session_begins_with_a_stop)
{
    open_session();
    ck_assert_uint_eq(fake.stops, 1);
    ASK("?", "T02thread:1;");
    gdb_session_stopped(fake.session, NULL); /* GDB knows: nothing is sent */
    ck_assert_uint_eq(fake.resumes, 0);
    close_session();
}
END_TEST

/* What is sent when the guest stops. */
static const char *stopped(const struct debug_stop *stop)
{
    fake.out_count = 0;
    gdb_session_stopped(fake.session, stop);
    fake.out[fake.out_count] = 0;
    return (const char *)fake.out;
}

START_TEST(stops_tell_why)
{
    const struct debug_stop soft = {DEBUG_STOP_BREAK, DEBUG_BREAK_SOFT, 1};
    const struct debug_stop hard = {DEBUG_STOP_BREAK, DEBUG_BREAK_HARD, 1};
    const struct debug_stop watch = {DEBUG_STOP_WATCH, DEBUG_WATCH_ACCESS,
                                     0x1234};
    const struct debug_stop step = {.reason = DEBUG_STOP_STEP};

    open_session();
    ck_assert_ptr_null(ask("c"));
    ck_assert_str_eq(stopped(&soft), "$T05thread:1;#d7");
    ck_assert_str_eq(stopped(&soft), ""); /* once */
    ck_assert_ptr_nonnull(
        strstr(ask("qSupported:swbreak+;hwbreak+;xx-"), ";swbreak+;hwbreak+"));
    ck_assert_ptr_null(ask("vCont;c"));
    ck_assert_ptr_nonnull(strstr(stopped(&soft), "$T05swbreak:;thread:1;#"));
    ck_assert_ptr_null(ask("c1000"));
    ck_assert_uint_eq(CPU->eip, 0x1000);
    ck_assert_ptr_nonnull(strstr(stopped(&hard), "$T05hwbreak:;thread:1;#"));
    ck_assert_ptr_null(ask("C05;2000"));
    ck_assert_uint_eq(CPU->eip, 0x2000);
    ck_assert_ptr_nonnull(strstr(stopped(&watch), "awatch:00001234;"));
    ck_assert_ptr_null(ask("s"));
    ck_assert_ptr_nonnull(strstr(stopped(&step), "$T05thread:1;#"));
    ck_assert_ptr_null(ask("c"));
    input("\x03", 1);
    ck_assert_uint_eq(fake.stops, 2);
    ck_assert_ptr_nonnull(strstr(stopped(NULL), "$T02thread:1;#"));
    input("\x03", 1);
    ck_assert_uint_eq(fake.stops, 2);
    close_session();
}
END_TEST

START_TEST(steps_come_without_interrupts_unless_asked_for)
{
    open_session();
    ck_assert_ptr_null(ask("s"));
    ck_assert(fake.step && !fake.interrupts && !fake.timers);
    stopped(NULL);
    ASK("qqemu.sstepbits", "ENABLE=1,NOIRQ=2,NOTIMER=4");
    ASK("qqemu.sstep", "0x7");
    ASK("Qqemu.sstep=8", "E16");
    ASK("Qqemu.sstep=0x1", "OK");
    ck_assert_ptr_null(ask("vCont;s:1;c"));
    ck_assert(fake.step && fake.interrupts && fake.timers);
    stopped(NULL);
    ck_assert_ptr_null(ask("vCont;s:2;c"));
    ck_assert(!fake.step && fake.interrupts && fake.timers);
    stopped(NULL);
    ASK("vCont;x", "E16");
    ASK("vCont", "E16");
    ASK("czz", "E16");
    close_session();
}
END_TEST

START_TEST(detaching_takes_the_points_and_goes_on)
{
    open_session();
    ask("Z0,1000,1");
    ask("Z2,1000,1");
    ASK("D", "OK");
    ck_assert_uint_eq(fake.resumes, 1);
    ck_assert_uint_eq(fake.points.break_count + fake.points.watch_count, 0);
    ck_assert_str_eq(stopped(NULL), "");
    close_session();
}
END_TEST

START_TEST(the_end_is_told_to_who_waits)
{
    open_session();
    gdb_session_ended(fake.session, 1);
    ck_assert_ptr_null(ask("c"));
    fake.out_count = 0;
    gdb_session_ended(fake.session, 259);
    ck_assert_mem_eq(fake.out, "$W03#", 5);
    ck_assert_ptr_null(ask("k"));
    ASK("vKill;1", "OK");
    ck_assert_uint_eq(fake.kills, 2);
    close_session();
}
END_TEST

START_TEST(monitor_commands_pass_through)
{
    open_session();
    ASK("qRcmd,696e666f", "68656c6c6f0a");
    ck_assert_str_eq(fake.line, "info");
    ASK("qRcmd,7175696574", "OK");
    ASK("qRcmd,7", "E16");
    ASK("qRcmd,7x", "E16");
    close_session();
}
END_TEST

START_TEST(small_questions_have_answers)
{
    static const char *const cases[][2] = {
        {"qC", "QC1"},
        {"qfThreadInfo", "m1"},
        {"qsThreadInfo", "l"},
        {"qThreadExtraInfo,1", "4350552330"},
        {"qAttached", "1"},
        {"qAttached:1", "1"},
        {"Hg0", "OK"},
        {"Hc-1", "OK"},
        {"Hg1", "OK"},
        {"Hg2", "E16"},
        {"T1", "OK"},
        {"T2", "E16"},
        {"vMustReplyEmpty", ""},
        {"qTStatus", ""},
        {"vCont?", "vCont;c;C;s;S"},
        {"", ""},
        {"!", ""},
        {"qCRC:1000,4", ""},
        {"gx", ""},
        {"H", "E16"},
    };

    open_session();
    for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
        ASK(cases[i][0], cases[i][1]);
    fake.deaf = true;
    ASK("g", "E6e");
    ASK("c", "E6e");
    close_session();
}
END_TEST

/* --- anything ------------------------------------------------------------ */

static uint32_t random_state = 20261121;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)random_state * below >> 32);
}

static const char *const seeds[] = {"g",
                                    "G0011",
                                    "p8",
                                    "P8=00000000",
                                    "m1000,10",
                                    "M1000,2:1234",
                                    "X1000,3:abc",
                                    "Z0,1000,1",
                                    "z0,1000,1",
                                    "Z2,2000,4",
                                    "vCont;s:1;c",
                                    "vCont;c",
                                    "s",
                                    "c1000",
                                    "C05;10",
                                    "qRcmd,696e666f",
                                    "qSupported:swbreak+",
                                    "qXfer:features:read:target.xml:0,100",
                                    "Hg1",
                                    "T1",
                                    "D",
                                    "?",
                                    "k",
                                    "Qqemu.sstep=7",
                                    "Qqemu.PhyMemMode:1"};

START_TEST(no_input_breaks_the_session)
{
    open_session();
    for (unsigned round = 0; round < 200000; round++) {
        uint8_t data[64], frame[GDB_FRAME_SIZE(64)];
        const char *seed = seeds[draw(ARRAY_SIZE(seeds))];
        size_t length = strlen(seed);

        memcpy(data, seed, length);
        for (unsigned n = draw(4); n; n--) {
            if (draw(3) == 0 && length < sizeof(data))
                data[length++] = (uint8_t)draw(256);
            else if (draw(4) == 0)
                length = draw((uint32_t)length + 1);
            else if (length)
                data[draw((uint32_t)length)] = (uint8_t)draw(256);
        }
        length = gdb_frame(frame, data, length);
        if (draw(8) == 0)
            frame[draw((uint32_t)length)] = (uint8_t)draw(256);
        input(frame, length);
        if (draw(2))
            gdb_session_stopped(fake.session, NULL);
        ck_assert_uint_le(fake.points.break_count, DEBUG_BREAKS);
        ck_assert_uint_le(fake.points.watch_count, DEBUG_WATCHES);
    }
    input("$qC#b4$qC#b4", 12);
    ck_assert_ptr_nonnull(strstr((char *)fake.out, "QC1"));
    close_session();
}
END_TEST

int main(void)
{
    const TTest *const tests[] = {
        a_frame_comes_back_as_its_data,
        a_wrong_checksum_is_asked_for_again,
        a_packet_cut_off_by_another_is_forgotten,
        a_packet_that_is_too_long_is_not_supported,
        without_acknowledgements_none_are_sent_or_wanted,
        registers_are_read_and_written_by_number,
        all_registers_come_back_as_they_were,
        a_state_the_cpu_cannot_have_is_refused,
        full_tags_tell_what_is_in_the_x87_stack,
        the_description_has_every_register_once,
        upper_halves_are_there_when_they_are_in_use,
        the_description_comes_in_pieces,
        memory_is_read_and_written,
        bad_memory_packets_are_refused,
        physical_memory_is_a_mode,
        points_are_set_and_taken_away,
        a_session_begins_with_a_stop,
        stops_tell_why,
        steps_come_without_interrupts_unless_asked_for,
        detaching_takes_the_points_and_goes_on,
        the_end_is_told_to_who_waits,
        monitor_commands_pass_through,
        small_questions_have_answers,
        no_input_breaks_the_session,
    };
    Suite *suite = suite_create("gdb-session");
    TCase *tcase = tcase_create("all");
    SRunner *runner;
    int failed;

    tcase_set_timeout(tcase, 120);
    for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
        tcase_add_test(tcase, tests[i]);
    suite_add_tcase(suite, tcase);
    runner = srunner_create(suite);
    srunner_run_all(runner, CK_NORMAL);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
