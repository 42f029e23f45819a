/* SPDX-License-Identifier: MIT */
/*
 * The command line: QEMU's spellings give QEMU's machine, everything unknown is
 * one line that names it, with the nearest known word.
 */
#include "base/log.h"
#include "monitor/options_internal.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static struct options options;
static char why[512];

/* Parses words separated by blanks. */
static enum options_result parse(const char *line)
{
    static char buffer[1024];
    static char *argv[64];
    int argc = 0;
    char *rest = NULL;

    snprintf(buffer, sizeof(buffer), "ringfall %s", line);
    for (char *word = strtok_r(buffer, " ", &rest); word;
         word = strtok_r(NULL, " ", &rest))
        argv[argc++] = word;
    why[0] = '\0';
    return options_parse(&options, argc, argv, why, sizeof(why));
}

static void accept(const char *line)
{
    enum options_result result = parse(line);

    ck_assert_msg(result == OPTIONS_RUN, "%s: %s", line, why);
}

/* Refused with one line that has both words. */
static void refuse(const char *line, const char *name, const char *hint)
{
    ck_assert_msg(parse(line) == OPTIONS_BAD, "accepted: %s", line);
    ck_assert_ptr_null(strchr(why, '\n'));
    ck_assert_msg(strstr(why, name) != NULL, "'%s' lacks '%s'", why, name);
    ck_assert_msg(strstr(why, hint) != NULL, "'%s' lacks '%s'", why, hint);
}

START_TEST(gdb_has_a_place)
{
    accept("-kernel k -s -S");
    ck_assert_str_eq(options.machine.gdb, "tcp::1234");
    ck_assert(options.machine.start_paused);
    accept("-kernel k -gdb unix:/tmp/socket");
    ck_assert_str_eq(options.machine.gdb, "unix:/tmp/socket");
    accept("-kernel k -s -gdb none");
    ck_assert_str_eq(options.machine.gdb, "none");
    refuse("-kernel k -gdb", "-gdb", "tcp:[HOST]:PORT");
}
END_TEST

START_TEST(the_main_command_is_understood)
{
    const struct machine_options *m = &options.machine;

    accept("-kernel vmlinuz -initrd initramfs.cpio.gz -append console=ttyS0 "
           "-m 256 -nographic");
    ck_assert_str_eq(m->kernel, "vmlinuz");
    ck_assert_str_eq(m->initrd, "initramfs.cpio.gz");
    ck_assert_str_eq(m->append, "console=ttyS0");
    ck_assert_uint_eq(m->ram_size, 256ull << 20);
    ck_assert_str_eq(m->serial[0], "mon:stdio");
    ck_assert_ptr_null(m->serial[1]);
    ck_assert_ptr_null(m->monitor);
    ck_assert(!m->no_reboot && !m->no_shutdown && !m->debug_exit);
}
END_TEST

START_TEST(two_dashes_are_as_good_as_one)
{
    accept("--kernel k --no-reboot --nographic");
    ck_assert_str_eq(options.machine.kernel, "k");
    ck_assert(options.machine.no_reboot);
}
END_TEST

START_TEST(memory_sizes_have_qemus_units)
{
    static const struct {
        const char *text;
        uint64_t mib;
    } sizes[] = {{"64", 64},   {"64M", 64},      {"65536k", 64},
                 {"1G", 1024}, {"1.5G", 1536},   {"size=96", 96},
                 {"96m", 96},  {"0100", 100},    {"3584", 3584},
                 {"2", 2},     {"67108864b", 64}};

    for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
        char line[64];

        snprintf(line, sizeof(line), "-kernel k -m %s", sizes[i].text);
        accept(line);
        ck_assert_uint_eq(options.machine.ram_size, sizes[i].mib << 20);
    }
    accept("-kernel k");
    ck_assert_uint_eq(options.machine.ram_size, 128ull << 20);
}
END_TEST

START_TEST(memory_sizes_out_of_range_are_refused)
{
    refuse("-kernel k -m 0", "-m", "'0'");
    refuse("-kernel k -m 1", "-m", "between");
    refuse("-kernel k -m 64G", "-m", "'64G'");
    refuse("-kernel k -m 3585", "-m", "between");
    refuse("-kernel k -m 99999999999999999999", "-m", "not a memory size");
    refuse("-kernel k -m 18446744073709551615T", "-m", "not a memory size");
    refuse("-kernel k -m -5", "-m", "'-5'");
    refuse("-kernel k -m lots", "-m", "'lots'");
    refuse("-kernel k -m 5X", "-m", "'5X'");
    refuse("-kernel k -m 64,maxmem=1G", "-m", "maxmem");
}
END_TEST

START_TEST(consoles_are_where_qemu_has_them)
{
    const struct machine_options *m = &options.machine;

    accept("-kernel k -nographic -monitor none");
    ck_assert_str_eq(m->serial[0], "stdio");
    ck_assert_str_eq(m->monitor, "none");
    accept("-kernel k -nographic -serial null");
    ck_assert_str_eq(m->serial[0], "null");
    ck_assert_str_eq(m->monitor, "stdio");
    accept("-kernel k -nographic -serial mon:stdio");
    ck_assert_str_eq(m->serial[0], "mon:stdio");
    ck_assert_ptr_null(m->monitor);
    accept("-kernel k -nographic -nodefaults");
    ck_assert_ptr_null(m->serial[0]);
    ck_assert_ptr_null(m->monitor);
    accept("-kernel k -display none -serial stdio -serial file:x");
    ck_assert_str_eq(m->serial[0], "stdio");
    ck_assert_str_eq(m->serial[1], "file:x");
    ck_assert_ptr_null(m->monitor);
    accept("-kernel k -display none");
    ck_assert_str_eq(m->serial[0], "null");
    accept("-kernel k -display none -nodefaults -debugcon stdio");
    ck_assert_ptr_null(m->serial[0]);
    ck_assert_str_eq(m->debugcon, "stdio");
    ck_assert_uint_eq(m->debugcon_port, 0xe9);
    accept("-kernel k -chardev stdio,id=c,mux=on -serial chardev:c "
           "-mon chardev=c,mode=readline");
    ck_assert_uint_eq(m->chardev_count, 1);
    ck_assert_str_eq(m->chardevs[0], "stdio,id=c,mux=on");
    ck_assert_str_eq(m->serial[0], "chardev:c");
    ck_assert_str_eq(m->monitor, "chardev:c");
    /* no display at all was mentioned: the terminal is the console */
    accept("-kernel k");
    ck_assert_str_eq(m->serial[0], "mon:stdio");
    accept("-kernel k -debugcon stdio");
    ck_assert_str_eq(m->serial[0], "null");
}
END_TEST

START_TEST(devices_take_qemus_properties)
{
    const struct machine_options *m = &options.machine;

    accept("-kernel k -device isa-debug-exit,iobase=0xf4,iosize=0x04");
    ck_assert(m->debug_exit);
    ck_assert_uint_eq(m->debug_exit_port, 0xf4);
    ck_assert_uint_eq(m->debug_exit_size, 4);
    accept("-kernel k -device isa-debug-exit");
    ck_assert_uint_eq(m->debug_exit_port, 0x501);
    ck_assert_uint_eq(m->debug_exit_size, 2);
    accept("-kernel k -chardev file,id=d,path=x "
           "-device isa-debugcon,iobase=0x402,chardev=d");
    ck_assert_str_eq(m->debugcon, "chardev:d");
    ck_assert_uint_eq(m->debugcon_port, 0x402);
    ck_assert(m->vga && !m->testdev);
    accept("-kernel k -vga none");
    ck_assert(!m->vga);
    accept("-kernel k -nodefaults");
    ck_assert(!m->vga);
    accept("-kernel k -nodefaults -device isa-vga");
    ck_assert(m->vga);
    accept("-kernel k -device pc-testdev");
    ck_assert(m->testdev);
    refuse("-kernel k -device pc-testdev,iobase=1", "pc-testdev", "iobase");
    refuse("-kernel k -device isa-debug-exi", "isa-debug-exi",
           "'isa-debug-exit'");
    refuse("-kernel k -device isa-debug-exit,iosize=3", "iosize", "3");
    refuse("-kernel k -device isa-debug-exit,iobase=0x10000", "iobase",
           "0x10000");
    refuse("-kernel k -device isa-debug-exit,port=1", "port", "isa-debug-exit");
    refuse("-kernel k -device isa-debugcon", "isa-debugcon", "chardev");
    refuse("-kernel k -device e1000", "e1000", "unknown device");
}
END_TEST

START_TEST(accelerator_properties_reach_the_engine)
{
    const struct bt_options *bt = &options.machine.bt;

    accept("-kernel k -accel bt,tu-max=1,tc-size=64K,chain=off,flush-every=7,"
           "fast-paths=off,unroll=off,checked=all,window-drop=3,stats=on,max-"
           "mappings=1000,"
           "host=-bmi2-fsgsbase-avx-userfaultfd-erms");
    ck_assert_uint_eq(bt->tu_max, 1);
    ck_assert_uint_eq(bt->tc_size, 65536);
    ck_assert(bt->checked_all && bt->stats);
    ck_assert_uint_eq(bt->without, OPT_CHAINS | OPT_FAST_PATHS | OPT_UNROLL);
    ck_assert_uint_eq(bt->flush_every, 7);
    ck_assert_uint_eq(bt->window_drop, 3);
    ck_assert_uint_eq(bt->max_mappings, 1000);
    ck_assert_uint_eq(bt->host_hide, HOST_BMI2 | HOST_FSGSBASE | HOST_AVX |
                                         HOST_UFFD | HOST_ERMS);
    accept("-kernel k -accel bt,site-faults=2,calm=99");
    ck_assert_uint_eq(bt->site_faults, 2);
    ck_assert_uint_eq(bt->calm, 99);
    accept("-kernel k -accel bt,host=-bmi2,calm=off");
    ck_assert_uint_eq(bt->without, OPT_CALM);
    ck_assert_uint_eq(bt->host_hide, HOST_BMI2);
    ck_assert(!bt->checked_all && !bt->stats);
    accept("-kernel k -accel tcg,thread=single,tb-size=16");
    ck_assert_uint_eq(bt->tc_size, 16u << 20);
}
END_TEST

START_TEST(each_optimisation_can_be_left_out)
{
    static const char *const names[] = {
#define X(id, name, counter, help) name,
        OPTIMISATIONS(X)
#undef X
    };
    const struct bt_options *bt = &options.machine.bt;
    char line[64];

    for (unsigned i = 0; i < ARRAY_SIZE(names); i++) {
        snprintf(line, sizeof(line), "-kernel k -accel bt,opt=-%s", names[i]);
        accept(line);
        ck_assert_uint_eq(bt->without, 1u << i);
    }
    accept("-kernel k -accel bt,opt=-divide-salt,opt=-polls");
    ck_assert_uint_eq(bt->without, OPT_DIVIDE | OPT_SALT | OPT_POLLS);
    accept("-kernel k -accel bt,opt=-all");
    ck_assert_uint_eq(bt->without, OPT_ALL);
    accept("-kernel k -accel bt,opt=-all,chain=on,fast-paths=on");
    ck_assert_uint_eq(bt->without, OPT_ALL & ~(OPT_CHAINS | OPT_FAST_PATHS));
    accept("-kernel k -accel bt,opt=-salt,fast-paths=on,host=-all");
    ck_assert_uint_eq(bt->without, OPT_SALT);
    ck_assert_uint_eq(bt->host_hide, HOST_BMI2 | HOST_FSGSBASE | HOST_AVX |
                                         HOST_UFFD | HOST_ERMS);
    accept("-kernel k");
    ck_assert_uint_eq(bt->without, 0);
    refuse("-kernel k -accel bt,opt=-divid", "optimisation 'divid'",
           "'divide'");
    refuse("-kernel k -accel bt,opt=-salt-xyzzyq", "xyzzyq", "unknown");
    refuse("-kernel k -accel bt,opt=divide", "opt", "-NAME...");
    refuse("-kernel k -accel bt,opt=off", "opt", "-NAME...");
    refuse("-kernel k -accel bt,opt=-salt--popf", "opt", "-NAME...");
    refuse("-kernel k -accel bt,opt=-", "opt", "-NAME...");
}
END_TEST

START_TEST(bad_accelerator_properties_are_refused)
{
    refuse("-kernel k -accel bt,tu-mx=1", "tu-mx", "'tu-max'");
    refuse("-kernel k -accel bt,tu-max=0", "tu-max", "'0'");
    refuse("-kernel k -accel bt,tu-max=", "tu-max", "''");
    refuse("-kernel k -accel bt,tc-size=1", "tc-size", "'1'");
    refuse("-kernel k -accel bt,chain=maybe", "chain", "maybe");
    refuse("-kernel k -accel bt,checked=some", "checked", "all|auto");
    refuse("-kernel k -accel bt,host=-avx512", "host feature", "'avx512'");
    refuse("-kernel k -accel bt,host=avx", "host", "avx");
    refuse("-kernel k -accel tgc", "tgc", "'tcg'");
}
END_TEST

START_TEST(accelerators_are_tried_in_their_order)
{
    const struct machine_options *m = &options.machine;

    accept("-kernel k");
    ck_assert_uint_eq(m->accel_count, 0);
    accept("-kernel k -accel kvm");
    ck_assert_uint_eq(m->accel_count, 1);
    ck_assert_int_eq(m->accel[0], ACCEL_KVM);
    accept("-kernel k -enable-kvm");
    ck_assert_int_eq(m->accel[0], ACCEL_KVM);
    accept("-kernel k -machine pc,accel=kvm:tcg");
    ck_assert_uint_eq(m->accel_count, 2);
    ck_assert_int_eq(m->accel[0], ACCEL_KVM);
    ck_assert_int_eq(m->accel[1], ACCEL_BT);
    accept("-kernel k -accel bt -accel kvm");
    ck_assert_int_eq(m->accel[0], ACCEL_BT);
    ck_assert_int_eq(m->accel[1], ACCEL_KVM);
    refuse("-kernel k -machine accel=bt:bt:bt:bt:bt:bt:bt:bt:bt", "at most",
           "8");
}
END_TEST

START_TEST(properties_of_kvm_are_its_own)
{
    accept("-kernel k -accel kvm,stats=on");
    ck_assert(options.machine.bt.stats);
    accept("-kernel k -accel kvm,kernel-irqchip=split,kvm-shadow-mem=16M");
    accept("-kernel k -accel kvm,dirty-ring-size=4096,notify-vmexit=run");
    refuse("-kernel k -accel kvm,tu-max=1", "property", "'tu-max'");
    refuse("-kernel k -accel kvm,stat=on", "'stat'", "'stats'");
    refuse("-kernel k -accel kvm,stats=maybe", "stats", "on|off");
    refuse("-kernel k -accel kvm,kernel-irqchip=maybe", "kernel-irqchip",
           "on|off|split");
    refuse("-kernel k -accel kvm,kvm-shadow-mem=big", "kvm-shadow-mem", "SIZE");
}
END_TEST

START_TEST(machine_is_the_pc)
{
    accept("-kernel k -M pc");
    accept("-kernel k -machine pc-i440fx-7.2,usb=off,hpet=off,accel=tcg");
    ck_assert(!options.machine.no_acpi);
    accept("-kernel k -machine pc,acpi=off");
    ck_assert(options.machine.no_acpi);
    accept("-kernel k -no-acpi");
    ck_assert(options.machine.no_acpi);
    refuse("-kernel k -M q35", "q35", "unknown machine");
    refuse("-kernel k -machine pc,acip=off", "acip", "'acpi'");
    refuse("-kernel k -smp 2", "-smp", "one CPU");
    accept("-kernel k -smp 1,cores=1");
}
END_TEST

START_TEST(endings_are_qemus)
{
    accept("-kernel k -action reboot=shutdown,shutdown=pause");
    ck_assert(options.machine.no_reboot && options.machine.no_shutdown);
    accept("-kernel k -no-shutdown -rtc base=localtime,clock=host");
    ck_assert(!options.machine.no_reboot && options.machine.no_shutdown);
    ck_assert(options.machine.rtc_localtime);
    refuse("-kernel k -action reboot=rest", "rest", "'reset'");
    refuse("-kernel k -rtc base=utcc", "utcc", "'utc'");
}
END_TEST

START_TEST(firmware_needs_no_kernel)
{
    accept("-bios b -m 16");
    ck_assert_ptr_null(options.machine.kernel);
    ck_assert_str_eq(options.machine.bios, "b");
    refuse("-m 16", "-kernel", "-bios");
    accept("-bios b -kernel k -option-rom x -option-rom y");
    ck_assert_uint_eq(options.machine.option_rom_count, 2);
    ck_assert_str_eq(options.machine.option_roms[1], "y");
    refuse("-kernel k -option-rom x", "-option-rom", "-bios");
}
END_TEST

START_TEST(firmware_files_and_hpet)
{
    accept("-bios b -boot dc,menu=on,reboot-timeout=100");
    ck_assert(options.machine.boot_menu);
    ck_assert_uint_eq(options.machine.reboot_timeout, 100);
    accept("-bios b -boot order=c,reboot-timeout=-1");
    ck_assert(!options.machine.reboot_timeout_given);
    refuse("-bios b -boot reboot-timeout=x", "'x'", "reboot-timeout");
    refuse("-bios b -boot menus=on", "menus", "'menu'");
    accept("-bios b -fw_cfg name=opt/a,string=x -fw_cfg opt/b,file=f");
    ck_assert_uint_eq(options.machine.fw_cfg_count, 2);
    ck_assert_str_eq(options.machine.fw_cfg[0].name, "opt/a");
    ck_assert_str_eq(options.machine.fw_cfg[0].value, "x");
    ck_assert(!options.machine.fw_cfg[0].from_file);
    ck_assert_str_eq(options.machine.fw_cfg[1].name, "opt/b");
    ck_assert(options.machine.fw_cfg[1].from_file);
    refuse("-bios b -fw_cfg name=a", "either", "string");
    refuse("-bios b -fw_cfg name=a,file=b,string=c", "either", "string");
    refuse("-bios b -fw_cfg nam=a,file=b", "nam", "'name'");
    ck_assert(!options.machine.no_hpet);
    accept("-bios b -no-hpet -nographic");
    ck_assert(options.machine.no_hpet && options.machine.no_graphics);
    accept("-bios b -machine pc,hpet=off,graphics=off");
    ck_assert(options.machine.no_hpet && options.machine.no_graphics);
    accept("-bios b -machine hpet=on");
    ck_assert(!options.machine.no_hpet);
}
END_TEST

START_TEST(options_without_effect_are_accepted)
{
    accept("-kernel k -name vm -boot c -k de -no-hpet -usb -net none -nic none "
           "-vga none -parallel none -bios b -no-user-config -L dir");
    ck_assert_str_eq(options.machine.bios, "b");
}
END_TEST

START_TEST(unknown_words_are_named_with_the_nearest_known)
{
    refuse("-kernal k", "'-kernal'", "'-kernel'");
    refuse("--no-rebot", "'--no-rebot'", "'-no-reboot'");
    refuse("-xyzzyplugh", "'-xyzzyplugh'", "-h");
    refuse("-kernel k -serial stdoi", "'stdoi'", "'stdio'");
    refuse("-kernel k -monitor telnet:x", "'telnet:x'", "unknown");
    refuse("-kernel k -display gtk", "'gtk'", "unknown");
    refuse("-kernel k -vga std", "'std'", "none");
    refuse("-kernel k -d in_sam", "'in_sam'", "'in_asm'");
    refuse("-kernel k -cpu nosuchcpu", "-cpu", "nosuchcpu");
    refuse("-kernel k disk.img", "'disk.img'", "disk images");
    refuse("-kernel k -", "'-'", "unknown option");
}
END_TEST

START_TEST(missing_parts_are_named)
{
    refuse("-nographic", "kernel", "-kernel FILE");
    refuse("-kernel", "-kernel", "needs a value");
    refuse("-kernel k -m", "-m", "needs a value");
}
END_TEST

START_TEST(log_channels_are_enabled)
{
    log_mask = 0;
    accept("-kernel k -d int,mmu -D file");
    ck_assert_uint_eq(log_mask, BIT(LOG_INT) | BIT(LOG_MMU));
    ck_assert_str_eq(options.log_file, "file");
    log_mask = 0;
}
END_TEST

START_TEST(help_and_lists_end_the_program_well)
{
    static const char *const lines[] = {
        "-h",          "--help",  "-version",      "-cpu help",   "-d help",
        "-accel help", "-M help", "-machine help", "-device help"};

    for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
        ck_assert_int_eq(parse(lines[i]), OPTIONS_DONE);
}
END_TEST

START_TEST(commas_in_values_are_doubled)
{
    struct pairs pairs = {"a,path=x,,y,b=1=2", "first"};
    struct pair pair;

    ck_assert_int_eq(pairs_next(&pairs, &pair), 1);
    ck_assert_str_eq(pair.key, "first");
    ck_assert_str_eq(pair.value, "a");
    ck_assert_int_eq(pairs_next(&pairs, &pair), 1);
    ck_assert_str_eq(pair.key, "path");
    ck_assert_str_eq(pair.value, "x,y");
    ck_assert_int_eq(pairs_next(&pairs, &pair), 1);
    ck_assert_str_eq(pair.value, "1=2");
    ck_assert_int_eq(pairs_next(&pairs, &pair), 0);
}
END_TEST

START_TEST(overlong_words_are_refused)
{
    char line[700];

    memset(line, 'x', sizeof(line));
    memcpy(line, "-kernel k -accel bt,", 20);
    line[600] = '\0';
    ck_assert_int_eq(parse(line), OPTIONS_BAD);
    memcpy(line, "-kernel k -serial x", 19);
    ck_assert_int_eq(parse(line), OPTIONS_BAD);
    line[0] = '-';
    memset(line + 1, 'x', 598);
    ck_assert_int_eq(parse(line), OPTIONS_BAD);
    ck_assert_ptr_null(strchr(why, '\n'));
}
END_TEST

int main(void)
{
    TCase *tests = tcase_create("options");
    Suite *suite = suite_create("options");
    SRunner *runner = srunner_create(suite);
    int failed;

    suite_add_tcase(suite, tests);
    tcase_add_test(tests, the_main_command_is_understood);
    tcase_add_test(tests, gdb_has_a_place);
    tcase_add_test(tests, two_dashes_are_as_good_as_one);
    tcase_add_test(tests, memory_sizes_have_qemus_units);
    tcase_add_test(tests, memory_sizes_out_of_range_are_refused);
    tcase_add_test(tests, consoles_are_where_qemu_has_them);
    tcase_add_test(tests, devices_take_qemus_properties);
    tcase_add_test(tests, accelerator_properties_reach_the_engine);
    tcase_add_test(tests, each_optimisation_can_be_left_out);
    tcase_add_test(tests, bad_accelerator_properties_are_refused);
    tcase_add_test(tests, accelerators_are_tried_in_their_order);
    tcase_add_test(tests, properties_of_kvm_are_its_own);
    tcase_add_test(tests, machine_is_the_pc);
    tcase_add_test(tests, endings_are_qemus);
    tcase_add_test(tests, firmware_needs_no_kernel);
    tcase_add_test(tests, firmware_files_and_hpet);
    tcase_add_test(tests, options_without_effect_are_accepted);
    tcase_add_test(tests, unknown_words_are_named_with_the_nearest_known);
    tcase_add_test(tests, missing_parts_are_named);
    tcase_add_test(tests, log_channels_are_enabled);
    tcase_add_test(tests, help_and_lists_end_the_program_well);
    tcase_add_test(tests, commas_in_values_are_doubled);
    tcase_add_test(tests, overlong_words_are_refused);
    srunner_run_all(runner, CK_ENV);
    failed = srunner_ntests_failed(runner);
    srunner_free(runner);
    return failed != 0;
}
