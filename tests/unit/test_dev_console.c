/* SPDX-License-Identifier: MIT */
/*
 * The whole device set on real descriptors: nothing lost or reordered whatever
 * stdin and stdout are, the mux, the monitor, the terminal given back. Each
 * test is a process of its own (Check forks) and replaces its descriptors 0
 * and 1. The guest is a loop in the test that accesses ports under the machine
 * lock.
 */
#define _GNU_SOURCE
#include "monitor/clock.h"
#include "monitor/console/chardev.h"
#include "monitor/console/terminal.h"
#include "monitor/devices/devices.h"
#include "monitor/io_thread.h"

#include <check.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#define PASTE 100000

static struct device_set set;
static atomic_int requested; /* enum machine_request */
static atomic_int intr_edges;
static bool paused;
static char why[256];

static void on_request(struct machine *m, enum machine_request request,
                       int code)
{
    atomic_store(&requested, request);
}

static void on_intr(void *opaque, bool level)
{
    if (level)
        atomic_fetch_add(&intr_edges, 1);
}

static void on_set_paused(struct machine *m, bool to)
{
    paused = to;
}

static bool on_is_paused(struct machine *m)
{
    return paused;
}

static struct device_config config_with(const char *serial)
{
    return (struct device_config){
        .ram_size = 256 << 20,
        .serial = {serial},
        .intr = on_intr,
        .request = on_request,
        .set_paused = on_set_paused,
        .is_paused = on_is_paused,
    };
}

static void start(struct device_config config)
{
    ck_assert_msg(devices_create(&set, &config, why, sizeof(why)) == 0, "%s",
                  why);
    ck_assert_int_eq(io_thread_start(), 0);
}

static void stop(void)
{
    io_thread_stop();
    devices_destroy(&set);
}

static uint8_t rd(uint16_t port)
{
    uint8_t value;

    machine_lock();
    value = (uint8_t)bus_port_read(set.bus, port, 1);
    machine_unlock();
    return value;
}

static void wr(uint16_t port, uint8_t value)
{
    machine_lock();
    bus_port_write(set.bus, port, 1, value);
    machine_unlock();
}

static void nap(void)
{
    const struct timespec ms = {0, 1000000};

    nanosleep(&ms, NULL);
}

static void guest_puts(const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        while (!(rd(0x3fd) & 0x20))
            nap();
        wr(0x3f8, bytes[i]);
    }
}

/* Waits for count bytes of input; gives up (by Check's timeout) never. */
static void guest_gets(uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t status;

        while (!((status = rd(0x3fd)) & 0x01))
            nap();
        ck_assert_uint_eq(status & 0x02, 0); /* no overrun */
        to[i] = rd(0x3f8);
    }
}

static void fill(uint8_t *to, size_t count)
{
    for (size_t i = 0; i < count; i++)
        to[i] = (uint8_t)(i * 7 + i / 251);
}

/* Replaces stdin and stdout; gives our ends of two pipes. */
static void pipes(int *to_guest, int *from_guest)
{
    int in[2], out[2];

    ck_assert_int_eq(pipe2(in, O_CLOEXEC), 0);
    ck_assert_int_eq(pipe2(out, O_CLOEXEC), 0);
    dup2(in[0], 0);
    dup2(out[1], 1);
    close(in[0]);
    close(out[1]);
    *to_guest = in[1];
    *from_guest = out[0];
}

static void read_exactly(int fd, uint8_t *to, size_t count)
{
    while (count) {
        ssize_t got = read(fd, to, count);

        ck_assert_int_gt(got, 0);
        to += got;
        count -= (size_t)got;
    }
}

/* Reads until text has come; everything read is in a static buffer. */
static const char *read_until(int fd, const char *text)
{
    static char all[65536];
    size_t have = 0;

    memset(all, 0, sizeof(all));
    while (!strstr(all, text)) {
        ssize_t got = read(fd, all + have, sizeof(all) - 1 - have);

        ck_assert_msg(got > 0, "no '%s' in '%s'", text, all);
        have += (size_t)got;
    }
    return all;
}

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

static void type(int fd, const char *text)
{
    ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

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

/* ---- terminal ----------------------------------------------------------- */

/* A terminal on 0 and 1; the master's descriptor. */
static int terminal(char *name, size_t size)
{
    int fd = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), other;

    ck_assert_int_ge(fd, 0);
    ck_assert(grantpt(fd) == 0 && unlockpt(fd) == 0);
    ck_assert_int_eq(ptsname_r(fd, name, size), 0);
    other = open(name, O_RDWR | O_NOCTTY);
    dup2(other, 0);
    dup2(other, 1);
    close(other);
    return fd;
}

static tcflag_t local_flags(int fd)
{
    struct termios t;

    ck_assert_int_eq(tcgetattr(fd, &t), 0);
    return t.c_lflag & (ISIG | ICANON | ECHO | IEXTEN);
}

START_TEST(terminal_is_raw_while_we_run_and_restored_after)
{
    char name[64];
    int master = terminal(name, sizeof(name));
    tcflag_t before = local_flags(0);
    uint8_t got[2];

    ck_assert(before & ISIG);
    start(config_with("mon:stdio"));
    ck_assert_uint_eq(local_flags(0), 0);
    wr(0x3fa, 0x01);
    type(master, "\003\r");
    guest_gets(got, 2);
    ck_assert_mem_eq(got, "\003\r", 2);
    stop();
    ck_assert_uint_eq(local_flags(0), before);
}
END_TEST

START_TEST(plain_stdio_keeps_the_signal_keys)
{
    char name[64];

    terminal(name, sizeof(name));
    start(config_with("stdio"));
    ck_assert_uint_eq(local_flags(0), ISIG);
    stop();
}
END_TEST

static void on_quit(void *opaque, int signal)
{
    int *fd = opaque;

    ck_assert_int_eq(write(*fd, "q", 1), 1);
}

/* Runs a child with a raw terminal that never ends by itself; the way out is
 * done to it by the caller. */
static pid_t raw_child(int ready[2], void (*act)(void))
{
    char byte;
    pid_t child;

    ck_assert_int_eq(pipe(ready), 0);
    child = fork();
    if (child == 0) {
        terminal_signals(on_quit, &ready[1]);
        start(config_with("mon:stdio"));
        if (write(ready[1], "r", 1) == 1 && act)
            act();
        for (;;)
            pause();
    }
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    return child;
}

START_TEST(second_fatal_signal_kills_with_the_terminal_restored)
{
    char name[64], byte;
    int ready[2], status;
    tcflag_t before;
    pid_t child;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, NULL);
    ck_assert_uint_eq(local_flags(0), 0);
    kill(child, SIGTERM);
    ck_assert_int_eq(read(ready[0], &byte, 1), 1);
    ck_assert_int_eq(byte, 'q');
    kill(child, SIGTERM); /* at once: still the first request */
    usleep(800000);
    ck_assert_int_eq(waitpid(child, &status, WNOHANG), 0);
    kill(child, SIGTERM);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFSIGNALED(status));
    ck_assert_int_eq(WTERMSIG(status), SIGTERM);
    ck_assert_uint_eq(local_flags(0), before);
}
END_TEST

static void exit_without_ceremony(void)
{
    exit(3);
}

START_TEST(exit_restores_the_terminal)
{
    char name[64];
    int ready[2], status;
    tcflag_t before;
    pid_t child;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, exit_without_ceremony);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    ck_assert_uint_eq(local_flags(0), before);
}
END_TEST

START_TEST(stop_and_continue_give_and_take_the_terminal)
{
    char name[64];
    int ready[2], status;
    tcflag_t before;
    pid_t child;

    terminal(name, sizeof(name));
    before = local_flags(0);
    child = raw_child(ready, NULL);
    kill(child, SIGTSTP);
    ck_assert_int_eq(waitpid(child, &status, WUNTRACED), child);
    ck_assert(WIFSTOPPED(status));
    ck_assert_uint_eq(local_flags(0), before);
    kill(child, SIGCONT);
    while (local_flags(0) != 0)
        nap();
    kill(child, SIGKILL);
    waitpid(child, &status, 0);
}
END_TEST

/* ---- I/O thread --------------------------------------------------------- */

START_TEST(timer_interrupts_arrive_by_themselves)
{
    start(config_with("null"));
    wr(0x21, 0xfe);
    wr(0x43, 0x34);
    wr(0x40, 0xa9); /* 1193: 1 kHz */
    wr(0x40, 0x04);
    for (unsigned i = 0; i < 50; i++) {
        int seen = atomic_load(&intr_edges);

        machine_lock();
        devices_intr_ack(&set);
        machine_unlock();
        wr(0x20, 0x20);
        while (atomic_load(&intr_edges) == seen && !(rd(0x20) & 1))
            ;
    }
    stop();
}
END_TEST

static void count_event(void *opaque, uint32_t ready)
{
    struct io_watch **watch = opaque;

    io_thread_remove(*watch); /* from inside: not called again */
    *watch = NULL;
    atomic_fetch_add(&intr_edges, 1);
}

START_TEST(watch_removes_itself)
{
    struct io_watch *watch;
    int fds[2];

    ck_assert_int_eq(pipe(fds), 0);
    ck_assert_int_eq(io_thread_start(), 0);
    machine_lock();
    watch = io_thread_add_fd(fds[0], EPOLLIN, count_event, &watch);
    machine_unlock();
    ck_assert_int_eq(write(fds[1], "xx", 2), 2);
    while (atomic_load(&intr_edges) == 0)
        nap();
    for (unsigned i = 0; i < 10; i++)
        nap();
    ck_assert_int_eq(atomic_load(&intr_edges), 1);
    io_thread_stop();
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("console");
    TCase *tests = tcase_create("console");

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
    tcase_add_test(tests, terminal_is_raw_while_we_run_and_restored_after);
    tcase_add_test(tests, plain_stdio_keeps_the_signal_keys);
    tcase_add_test(tests, second_fatal_signal_kills_with_the_terminal_restored);
    tcase_add_test(tests, exit_restores_the_terminal);
    tcase_add_test(tests, stop_and_continue_give_and_take_the_terminal);
    tcase_add_test(tests, timer_interrupts_arrive_by_themselves);
    tcase_add_test(tests, watch_removes_itself);

    SRunner *runner = srunner_create(suite);
    int failed;

    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
