/* SPDX-License-Identifier: MIT */
/*
 * Character backends on real descriptors: nothing lost or reordered whatever
 * stdin and stdout are, the mux, the monitor, and what specs mean.
 */
#define _GNU_SOURCE
#include "test_dev_set.h"

#define PASTE 100000

/* ---- bytes -------------------------------------------------------------- */

static int reader_fd;
static uint8_t reader_bytes[PASTE];

static void *slow_reader(void *unused)
{
    for (size_t done = 0; done < PASTE;) {
        size_t step = PASTE - done < 5000 ? PASTE - done : 5000;

        nap();
        read_exactly(reader_fd, reader_bytes + done, step);
        done += step;
    }
    return unused;
}

static void write_to_slow_reader(int fd)
{
    static uint8_t bytes[PASTE];
    pthread_t thread;

    fill(bytes, PASTE);
    reader_fd = fd;
    start(config_with("stdio"));
    pthread_create(&thread, NULL, slow_reader, NULL);
    guest_puts(bytes, PASTE);
    stop();
    pthread_join(thread, NULL);
    ck_assert_mem_eq(reader_bytes, bytes, PASTE);
}

START_TEST(slow_pipe_reader_gets_all_output_in_order)
{
    int to, from;

    pipes(&to, &from);
    write_to_slow_reader(from);
}
END_TEST

START_TEST(slow_socket_reader_gets_all_output_in_order)
{
    int pair[2];

    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    dup2(pair[1], 0);
    dup2(pair[1], 1);
    close(pair[1]);
    write_to_slow_reader(pair[0]);
}
END_TEST

START_TEST(stuck_reader_holds_the_guest_not_memory)
{
    int to, from;
    unsigned written = 0, waits = 0;

    pipes(&to, &from);
    start(config_with("stdio"));
    while (waits < 100 && written < 10000000) {
        if (rd(0x3fd) & 0x20) {
            wr(0x3f8, 'x');
            written++;
            waits = 0;
        } else {
            waits++;
            nap();
        }
    }
    ck_assert_uint_ge(waits, 100);
    ck_assert_uint_le(written, 65536 + 16384 + 16);
    for (unsigned i = 0; i < written; i++) {
        uint8_t byte;

        read_exactly(from, &byte, 1);
        ck_assert_uint_eq(byte, 'x');
    }
    stop();
}
END_TEST

START_TEST(flags_of_shared_descriptors_stay)
{
    int to, from;

    pipes(&to, &from);
    start(config_with("mon:stdio"));
    guest_puts((const uint8_t *)"x", 1);
    read_until(from, "x");
    ck_assert_int_eq(fcntl(0, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
    stop();
    ck_assert_int_eq(fcntl(1, F_GETFL) & O_NONBLOCK, 0);
}
END_TEST

static int paste_fd;
static uint8_t paste[PASTE];

static void *paster(void *unused)
{
    for (size_t done = 0; done < PASTE;) {
        ssize_t step = write(paste_fd, paste + done, PASTE - done);

        if (step < 0)
            break;
        done += (size_t)step;
    }
    close(paste_fd);
    return unused;
}

START_TEST(paste_of_100_kb_loses_nothing)
{
    static uint8_t got[PASTE];
    pthread_t thread;
    int to, from;

    pipes(&to, &from);
    fill(paste, PASTE);
    paste_fd = to;
    start(config_with("stdio"));
    wr(0x3fa, 0x81);
    pthread_create(&thread, NULL, paster, NULL);
    guest_gets(got, PASTE);
    ck_assert_mem_eq(got, paste, PASTE);
    pthread_join(thread, NULL);
    guest_puts((const uint8_t *)"still here", 10); /* EOF ends nothing else */
    read_until(from, "still here");
    stop();
}
END_TEST

START_TEST(regular_file_as_stdin_arrives_whole)
{
    static uint8_t got[5000];
    FILE *file = tmpfile();
    int to, from;

    pipes(&to, &from);
    fill(paste, sizeof(got));
    ck_assert_uint_eq(fwrite(paste, 1, sizeof(got), file), sizeof(got));
    rewind(file);
    dup2(fileno(file), 0);
    start(config_with("stdio"));
    wr(0x3fa, 0x01);
    guest_gets(got, sizeof(got));
    ck_assert_mem_eq(got, paste, sizeof(got));
    stop();
}
END_TEST

/* The I/O thread sleeps: it has used next to no processor time. */
static void expect_idle(void)
{
    struct timespec before, after;
    int64_t used;

    for (unsigned i = 0; i < 20; i++)
        nap(); /* let what is at the end of file be noticed */
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before);
    usleep(300000);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after);
    used = (after.tv_sec - before.tv_sec) * 1000000000ll + after.tv_nsec -
           before.tv_nsec;
    ck_assert_int_lt(used, 150000000); /* a busy loop would use 300 ms */
}

START_TEST(stdin_without_input_costs_nothing)
{
    int to, from;

    pipes(&to, &from);
    dup2(open("/dev/null", O_RDWR), 0);
    start(config_with("stdio"));
    expect_idle();
    guest_puts((const uint8_t *)"ok", 2);
    read_until(from, "ok");
    stop();
}
END_TEST

START_TEST(closed_stdin_and_broken_stdout_are_survived)
{
    int to, from;

    signal(SIGPIPE, SIG_IGN);
    pipes(&to, &from);
    close(0);
    close(from);
    start(config_with("stdio"));
    for (unsigned i = 0; i < 50000; i++)
        guest_puts((const uint8_t *)"x", 1);
    expect_idle();
    stop();
}
END_TEST

/* ---- mux and monitor ---------------------------------------------------- */

START_TEST(escape_sends_itself_and_the_rest_passes)
{
    uint8_t got[4];
    int to, from;

    pipes(&to, &from);
    start(config_with("mon:stdio"));
    wr(0x3fa, 0x01);
    type(to, "a\001\001b\003");
    guest_gets(got, 4);
    ck_assert_mem_eq(got, "a\001b\003", 4);
    stop();
}
END_TEST

START_TEST(plain_stdio_has_no_escape)
{
    uint8_t got[3];
    int to, from;

    pipes(&to, &from);
    start(config_with("stdio"));
    wr(0x3fa, 0x01);
    type(to, "\001xz");
    guest_gets(got, 3);
    ck_assert_mem_eq(got, "\001xz", 3);
    ck_assert_int_eq(atomic_load(&requested), REQUEST_NONE);
    stop();
}
END_TEST

START_TEST(escape_x_quits_even_if_the_guest_reads_nothing)
{
    int to, from;

    pipes(&to, &from);
    start(config_with("mon:stdio"));
    for (unsigned i = 0; i < 100; i++)
        type(to, "ignored ");
    type(to, "\001x");
    while (atomic_load(&requested) != REQUEST_QUIT)
        nap();
    stop();
}
END_TEST

START_TEST(escape_b_sends_a_break_and_h_helps)
{
    int to, from;

    pipes(&to, &from);
    start(config_with("mon:stdio"));
    wr(0x3fa, 0x01);
    type(to, "\001h");
    read_until(from, "Ctrl-A x");
    type(to, "\001b");
    while (!(rd(0x3fd) & 0x10))
        nap();
    ck_assert_uint_eq(rd(0x3f8), 0);
    stop();
}
END_TEST

START_TEST(monitor_behind_the_console_takes_commands)
{
    uint8_t got[2];
    int to, from;

    pipes(&to, &from);
    start(config_with("mon:stdio"));
    wr(0x3fa, 0x01);
    type(to, "\001cinfo status\r");
    read_until(from, "VM status: running");
    type(to, "stop\rinfo status\r");
    read_until(from, "VM status: paused");
    type(to, "cox\bnt\r\ninfo status\r");
    read_until(from, "VM status: running");
    type(to, "nonsense\r");
    read_until(from, "unknown command: 'nonsense'");
    type(to, "system_reset\r");
    while (atomic_load(&requested) != REQUEST_RESET)
        nap();
    type(to, "quit\r");
    while (atomic_load(&requested) != REQUEST_QUIT)
        nap();
    type(to, "\001cok");
    guest_gets(got, 2);
    ck_assert_mem_eq(got, "ok", 2);
    stop();
}
END_TEST

START_TEST(power_button_reaches_the_guest)
{
    struct device_config config = config_with(NULL);
    int to, from;

    pipes(&to, &from);
    config.monitor = "stdio";
    start(config);
    type(to, "system_powerdown\n");
    while (!(rd(0x601) & 0x01))
        nap();
    stop();
}
END_TEST

/* ---- specs -------------------------------------------------------------- */

static void expect_refused(struct device_config config, const char *text)
{
    ck_assert_int_ne(devices_create(&set, &config, why, sizeof(why)), 0);
    ck_assert_msg(strstr(why, text), "'%s' is not in '%s'", text, why);
    ck_assert_ptr_null(set.bus);
}

START_TEST(bad_specs_are_refused_with_a_line)
{
    struct device_config config;

    expect_refused(config_with("carrier-pigeon"), "carrier-pigeon");
    expect_refused(config_with("file:/no/such/dir/file"), "No such file");
    expect_refused(config_with("pipe:/no/such/pipe"), "No such file");
    expect_refused(config_with("file:"), "path");
    expect_refused(config_with("chardev:ghost"), "ghost");
    config = config_with("stdio");
    config.serial[1] = "stdio";
    expect_refused(config, "user already");
    config = config_with("mon:stdio");
    config.monitor = "stdio";
    expect_refused(config, "in use");
    config = config_with("null");
    config.debug_exit = true;
    config.debug_exit_port = 0x3f8;
    expect_refused(config, "0x3f8");
}
END_TEST

START_TEST(file_backend_has_all_that_was_written)
{
    char path[] = "/tmp/ringfall-test-XXXXXX", spec[64], text[16] = {0};
    int fd = mkstemp(path);

    snprintf(spec, sizeof(spec), "file:%s", path);
    start(config_with(spec));
    guest_puts((const uint8_t *)"to a file", 9);
    stop();
    ck_assert_int_eq(read(fd, text, sizeof(text)), 9);
    ck_assert_str_eq(text, "to a file");
    unlink(path);
}
END_TEST

START_TEST(named_chardevs_can_be_shared_and_cut_off)
{
    const char *chardevs[] = {"stdio,id=c,mux=on", "null,id=n"};
    struct device_config config = config_with("chardev:c");
    int to, from;

    pipes(&to, &from);
    config.chardevs = chardevs;
    config.chardev_count = 2;
    config.debugcon = "chardev:c";
    config.serial[1] = "n";
    start(config);
    wr(0xe9, 'D');
    guest_puts((const uint8_t *)"S", 1);
    wr(0x2f8, 'N');
    ck_assert_uint_eq(rd(0x2fd) & 0x60, 0x60);
    ck_assert_uint_eq(rd(0xe9), 0xe9);
    ck_assert_uint_eq(rd(0x3e8), 0xff);
    read_until(from, "DS");
    stop();
}
END_TEST

START_TEST(fifo_backend_works_both_ways)
{
    char dir[] = "/tmp/ringfall-test-XXXXXX", path[64], spec[80];
    uint8_t got[2];
    int fd;

    ck_assert_ptr_nonnull(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/p.in", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    snprintf(path, sizeof(path), "%s/p.out", dir);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    snprintf(spec, sizeof(spec), "pipe:%s/p", dir);
    start(config_with(spec));
    wr(0x3fa, 0x01);
    fd = open(path, O_RDONLY);
    guest_puts((const uint8_t *)"out", 3);
    read_until(fd, "out");
    unlink(path);
    snprintf(path, sizeof(path), "%s/p.in", dir);
    fd = open(path, O_WRONLY);
    type(fd, "in");
    guest_gets(got, 2);
    ck_assert_mem_eq(got, "in", 2);
    stop();
    unlink(path);
    rmdir(dir);
}
END_TEST

/* stderr says which terminal it is. */
START_TEST(pty_backend_waits_for_somebody)
{
    char line[128], *name;
    uint8_t got[2];
    int said[2], fd;

    ck_assert_int_eq(pipe(said), 0);
    dup2(said[1], 2);
    start(config_with("pty"));
    wr(0x3fa, 0x01);
    guest_puts(paste, sizeof(paste)); /* nobody is there: goes nowhere */
    ck_assert_int_gt(read(said[0], line, sizeof(line)), 0);
    name = strstr(line, "/dev/");
    ck_assert_ptr_nonnull(name);
    name[strcspn(name, " \n")] = '\0';
    for (unsigned i = 0; i < 2; i++) { /* and again after a hang-up */
        fd = open(name, O_RDWR | O_NOCTTY);
        ck_assert_int_ge(fd, 0);
        type(fd, "in");
        guest_gets(got, 2);
        ck_assert_mem_eq(got, "in", 2);
        guest_puts((const uint8_t *)"out", 3);
        read_until(fd, "out");
        close(fd);
    }
    stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");
    TCase *tests = tcase_create("console");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_set_timeout(tests, 60);
    tcase_add_test(tests, slow_pipe_reader_gets_all_output_in_order);
    tcase_add_test(tests, slow_socket_reader_gets_all_output_in_order);
    tcase_add_test(tests, stuck_reader_holds_the_guest_not_memory);
    tcase_add_test(tests, flags_of_shared_descriptors_stay);
    tcase_add_test(tests, paste_of_100_kb_loses_nothing);
    tcase_add_test(tests, regular_file_as_stdin_arrives_whole);
    tcase_add_test(tests, stdin_without_input_costs_nothing);
    tcase_add_test(tests, closed_stdin_and_broken_stdout_are_survived);
    tcase_add_test(tests, escape_sends_itself_and_the_rest_passes);
    tcase_add_test(tests, plain_stdio_has_no_escape);
    tcase_add_test(tests, escape_x_quits_even_if_the_guest_reads_nothing);
    tcase_add_test(tests, escape_b_sends_a_break_and_h_helps);
    tcase_add_test(tests, monitor_behind_the_console_takes_commands);
    tcase_add_test(tests, power_button_reaches_the_guest);
    tcase_add_test(tests, bad_specs_are_refused_with_a_line);
    tcase_add_test(tests, file_backend_has_all_that_was_written);
    tcase_add_test(tests, named_chardevs_can_be_shared_and_cut_off);
    tcase_add_test(tests, fifo_backend_works_both_ways);
    tcase_add_test(tests, pty_backend_waits_for_somebody);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
