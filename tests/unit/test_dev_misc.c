/* SPDX-License-Identifier: MIT */
/*
 * The bus, the keyboard controller, PCI configuration, power management, DMA
 * registers and the debug ports.
 */
#include "monitor/console/chardev.h"
#include "monitor/devices/debug_ports.h"
#include "monitor/devices/i8042.h"
#include "monitor/devices/i8237.h"
#include "monitor/devices/pci_host.h"
#include "monitor/devices/piix4_pm.h"

#include "test_dev.h"

#include <errno.h>
#include <string.h>

static struct test_line lines[16];
static unsigned resets, power_offs;
static int exit_code;
static uint8_t console[16];
static size_t console_count;

void chardev_write_all(struct chardev *chr, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++)
        console[console_count++] = bytes[i];
}

static void on_reset(void *opaque)
{
    resets++;
}

static void on_power_off(void *opaque)
{
    power_offs++;
}

static void on_exit_code(void *opaque, int code)
{
    exit_code = code;
}

static struct irq line(unsigned n)
{
    return (struct irq){test_line_set, lines, n};
}

static void setup(void)
{
    test_begin();
    for (unsigned i = 0; i < 16; i++)
        lines[i] = (struct test_line){0};
    resets = power_offs = 0;
    console_count = 0;
    exit_code = -1;
}

static void teardown(void)
{
    bus_destroy(bus);
}

/* ---- bus ---------------------------------------------------------------- */

static uint32_t seen[8][3];
static unsigned seen_count;

static uint32_t spy_read(void *device, uint32_t offset, unsigned size)
{
    return 0x10101010u * (offset + 1);
}

static void spy_write(void *device, uint32_t offset, unsigned size,
                      uint32_t value)
{
    seen[seen_count][0] = offset;
    seen[seen_count][1] = size;
    seen[seen_count++][2] = value;
}

START_TEST(wide_accesses_are_split_for_narrow_devices)
{
    static const struct io_ops ops = {spy_read, spy_write, 1};

    seen_count = 0;
    ck_assert_int_eq(bus_add_ports(bus, 0x100, 4, &ops, NULL), 0);
    ck_assert_uint_eq(bus_port_read(bus, 0x100, 4), 0x40302010);
    ck_assert_uint_eq(bus_port_read(bus, 0x102, 4), 0xffff4030);
    bus_port_write(bus, 0x101, 2, 0xbbaa);
    ck_assert_uint_eq(seen_count, 2);
    ck_assert_uint_eq(seen[0][0], 1);
    ck_assert_uint_eq(seen[0][2], 0xaa);
    ck_assert_uint_eq(seen[1][0], 2);
    ck_assert_uint_eq(seen[1][2], 0xbb);
}
END_TEST

START_TEST(nobody_reads_as_ones_and_overlaps_are_refused)
{
    static const struct io_ops ops = {NULL, NULL, 4};

    ck_assert_uint_eq(bus_port_read(bus, 0x3f0, 1), 0xff);
    ck_assert_uint_eq(bus_port_read(bus, 0xffff, 4), 0xffffffff);
    ck_assert_int_eq(bus_add_ports(bus, 0x200, 8, &ops, NULL), 0);
    ck_assert_int_eq(bus_add_ports(bus, 0x207, 1, &ops, NULL), -EEXIST);
    ck_assert_uint_eq(bus_port_read(bus, 0x200, 2), 0xffff);
}
END_TEST

START_TEST(memory_regions_answer_by_address)
{
    static const struct io_ops ops = {spy_read, spy_write, 4};

    seen_count = 0;
    ck_assert_int_eq(bus_add_mmio(bus, 0xfee00000, 0x10, &ops, NULL), 0);
    ck_assert_int_eq(bus_add_mmio(bus, 0xfee0000f, 2, &ops, NULL), -EEXIST);
    ck_assert_uint_eq(bus_mmio_read(bus, 0xfee00001, 2), 0x2020);
    ck_assert_uint_eq(bus_mmio_read(bus, 0xfedffffc, 8), 0x10101010ffffffff);
    bus_mmio_write(bus, 0xfee00004, 8, 0x1122334455667788);
    ck_assert_uint_eq(seen_count, 2);
    ck_assert_uint_eq(seen[0][2], 0x55667788);
    ck_assert_uint_eq(seen[1][0], 8);
    ck_assert_uint_eq(seen[1][2], 0x11223344);
    bus_mmio_write(bus, 0xfee00005, 3, 0xccbbaa);
    ck_assert_uint_eq(seen_count, 4);
    ck_assert_uint_eq(seen[2][2], 0xaa);
    ck_assert_uint_eq(seen[3][2], 0xccbb);
}
END_TEST

/* ---- keyboard controller ------------------------------------------------ */

static uint8_t kbc_read(void)
{
    ck_assert_uint_eq(in(0x64) & 1, 1);
    return in(0x60);
}

START_TEST(keyboard_controller_answers_its_commands)
{
    struct i8042 *kbc = i8042_create(bus, line(1), line(12), on_reset, NULL);

    ck_assert_uint_eq(in(0x64) & 1, 0);
    out(0x64, 0xaa);
    ck_assert_uint_eq(kbc_read(), 0x55);
    out(0x64, 0x60);
    out(0x60, 0x74);
    out(0x64, 0x20);
    ck_assert_uint_eq(in(0x64) & 0x0c, 0x0c);
    ck_assert_uint_eq(kbc_read(), 0x74);
    out(0x64, 0xab);
    ck_assert_uint_eq(kbc_read(), 0x00);
    out(0x64, 0xa9);
    ck_assert_uint_eq(kbc_read(), 0x00);
    out(0x64, 0xd3); /* the auxiliary loop that drivers probe with */
    out(0x60, 0x5a);
    ck_assert_uint_eq(in(0x64) & 0x21, 0x21);
    ck_assert_uint_eq(in(0x60), 0x5a);
    out(0x64, 0xa8);
    out(0x64, 0x20);
    ck_assert_uint_eq(kbc_read() & 0x20, 0x00);
    out(0x64, 0xa7);
    out(0x64, 0x20);
    ck_assert_uint_eq(kbc_read() & 0x20, 0x20);
    i8042_destroy(kbc);
}
END_TEST

START_TEST(keyboard_and_mouse_answer_as_devices)
{
    struct i8042 *kbc = i8042_create(bus, line(1), line(12), on_reset, NULL);

    out(0x64, 0x60);
    out(0x60, 0x03); /* interrupts, no translation */
    out(0x60, 0xf2);
    ck_assert(lines[1].level);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    ck_assert_uint_eq(kbc_read(), 0xab);
    ck_assert_uint_eq(lines[1].edges, 3);
    ck_assert_uint_eq(kbc_read(), 0x83);
    ck_assert(!lines[1].level);
    out(0x60, 0xed);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    out(0x60, 0x07);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    out(0x60, 0xff);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    ck_assert_uint_eq(kbc_read(), 0xaa);
    out(0x60, 0x01);
    ck_assert_uint_eq(kbc_read(), 0xfe);
    out(0x64, 0xd4);
    out(0x60, 0xff);
    ck_assert(lines[12].level);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    ck_assert_uint_eq(kbc_read(), 0xaa);
    ck_assert_uint_eq(kbc_read(), 0x00);
    out(0x64, 0xd4);
    out(0x60, 0xe9);
    ck_assert_uint_eq(kbc_read(), 0xfa);
    ck_assert_uint_eq(kbc_read(), 0x00);
    ck_assert_uint_eq(kbc_read(), 0x02);
    ck_assert_uint_eq(kbc_read(), 100);
    ck_assert(!lines[12].level);
    i8042_destroy(kbc);
}
END_TEST

static int a20_changes[4];
static unsigned a20_count;

static void on_a20(void *opaque, bool open)
{
    ck_assert_uint_lt(a20_count, ARRAY_SIZE(a20_changes));
    a20_changes[a20_count++] = open;
}

/* The last one to write wins, as on QEMU; a reset opens. */
START_TEST(the_a20_gate_has_three_handles)
{
    struct i8042 *kbc = i8042_create(bus, line(1), line(12), on_reset, NULL);

    a20_count = 0;
    i8042_set_a20(kbc, on_a20, NULL);
    out(0x92, 0x02); /* as it was */
    ck_assert_uint_eq(a20_count, 0);
    out(0x64, 0xdd);
    ck_assert_uint_eq(in(0x92) & 2, 0);
    out(0x92, 0x02);
    out(0x64, 0xd1);
    out(0x60, 0xdd);
    i8042_reset(kbc);
    ck_assert_uint_eq(a20_count, 4);
    for (unsigned i = 0; i < 4; i++)
        ck_assert_int_eq(a20_changes[i], i & 1);
    i8042_destroy(kbc);
}
END_TEST

START_TEST(reset_and_a20_lines)
{
    struct i8042 *kbc = i8042_create(bus, line(1), line(12), on_reset, NULL);

    out(0x64, 0xff); /* pulses nothing */
    ck_assert_uint_eq(resets, 0);
    out(0x64, 0xfe);
    ck_assert_uint_eq(resets, 1);
    out(0x64, 0xd1);
    out(0x60, 0xdd);
    ck_assert_uint_eq(in(0x92) & 2, 0);
    out(0x92, 0x02);
    out(0x64, 0xd0);
    ck_assert_uint_eq(kbc_read() & 0x03, 0x03);
    ck_assert_uint_eq(resets, 1);
    out(0x64, 0xd1);
    out(0x60, 0x02);
    ck_assert_uint_eq(resets, 2);
    out(0x92, 0x03);
    ck_assert_uint_eq(resets, 3);
    i8042_destroy(kbc);
}
END_TEST

/* ---- PCI and power management ------------------------------------------- */

static uint32_t config(unsigned devfn, unsigned reg)
{
    bus_port_write(bus, 0xcf8, 4, 0x80000000u | devfn << 8 | reg);
    return bus_port_read(bus, 0xcfc, 4);
}

START_TEST(configuration_space_shows_the_chipset)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);
    struct piix4_pm *pm =
        piix4_pm_create(bus, pci, line(9), on_power_off, NULL);

    out(0xcfb, 0x01); /* how Linux begins its probe */
    bus_port_write(bus, 0xcf8, 4, 0x80000000u);
    ck_assert_uint_eq(bus_port_read(bus, 0xcf8, 4), 0x80000000u);
    ck_assert_uint_eq(config(0x00, 0), 0x12378086);
    ck_assert_uint_eq(config(0x00, 8) >> 8, 0x060000);
    ck_assert_uint_eq(config(0x08, 0), 0x70008086);
    ck_assert_uint_eq(config(0x08, 0x0c) >> 16 & 0xff, 0x80);
    ck_assert_uint_eq(config(0x0b, 0), 0x71138086);
    ck_assert_uint_eq(config(0x0b, 0x40), 0x601);
    ck_assert_uint_eq(config(0x10, 0), 0xffffffff);
    ck_assert_uint_eq(config(0x09, 0), 0xffffffff);
    bus_port_write(bus, 0xcf8, 4, 0x80010000u); /* bus 1 */
    ck_assert_uint_eq(bus_port_read(bus, 0xcfc, 4), 0xffffffff);
    bus_port_write(bus, 0xcf8, 4, 0); /* not enabled */
    ck_assert_uint_eq(bus_port_read(bus, 0xcfc, 4), 0xffffffff);
    piix4_pm_destroy(pm);
    pci_host_destroy(pci);
}
END_TEST

START_TEST(configuration_writes_keep_read_only_bits)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);

    config(0x08, 0);
    bus_port_write(bus, 0xcfc, 4, 0);
    ck_assert_uint_eq(config(0x08, 0), 0x70008086);
    config(0x08, 0x60);
    bus_port_write(bus, 0xcfe, 1, 0x05);
    ck_assert_uint_eq(config(0x08, 0x60), 0x0b050a0a);
    ck_assert_uint_eq(bus_port_read(bus, 0xcfd, 2), 0x050a);
    config(0x00, 0x10); /* a BAR that is not there */
    bus_port_write(bus, 0xcfc, 4, 0xffffffff);
    ck_assert_uint_eq(config(0x00, 0x10), 0);
    pci_host_reset(pci);
    ck_assert_uint_eq(config(0x08, 0x60), 0x0b0b0a0a);
    pci_host_destroy(pci);
}
END_TEST

static uint8_t shadow_pam[PCI_HOST_PAMS];
static unsigned shadow_calls;

static void on_shadow(void *opaque, const uint8_t pam[PCI_HOST_PAMS])
{
    memcpy(shadow_pam, pam, sizeof(shadow_pam));
    shadow_calls++;
}

START_TEST(firmware_hears_of_memory_attributes)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);

    ck_assert_uint_eq(config(0x00, 0x58), 0x11111000);
    pci_host_set_firmware(pci, on_shadow, NULL);
    memset(shadow_pam, 0xff, sizeof(shadow_pam));
    pci_host_reset(pci);
    ck_assert_uint_eq(shadow_calls, 1);
    for (unsigned i = 0; i < PCI_HOST_PAMS; i++)
        ck_assert_uint_eq(shadow_pam[i], 0);
    ck_assert_uint_eq(config(0x08, 0x60), 0x80808080);
    config(0x00, 0x58);
    bus_port_write(bus, 0xcfd, 1, 0x30);
    ck_assert_uint_eq(shadow_calls, 2);
    ck_assert_uint_eq(shadow_pam[0], 0x30);
    config(0x00, 0x5c);
    bus_port_write(bus, 0xcfc, 4, 0x33221100);
    ck_assert_uint_eq(shadow_pam[6], 0x33);
    ck_assert_uint_eq(shadow_pam[4], 0x11);
    config(0x00, 0x70);
    shadow_calls = 0;
    bus_port_write(bus, 0xcfc, 4, 0);
    ck_assert_uint_eq(shadow_calls, 0);
    pci_host_destroy(pci);
}
END_TEST

START_TEST(reset_control_register_resets)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);

    out(0xcf9, 0x02);
    ck_assert_uint_eq(resets, 0);
    ck_assert_uint_eq(in(0xcf9), 0x02);
    out(0xcf9, 0x06);
    ck_assert_uint_eq(resets, 1);
    pci_host_destroy(pci);
}
END_TEST

static uint32_t pm_timer(void)
{
    return bus_port_read(bus, 0x608, 4);
}

START_TEST(pm_timer_runs_at_its_frequency)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);
    struct piix4_pm *pm =
        piix4_pm_create(bus, pci, line(9), on_power_off, NULL);
    uint32_t before = pm_timer();

    advance(NS_PER_SEC);
    ck_assert_uint_eq((pm_timer() - before) & 0xffffff, 3579545);
    ck_assert_uint_eq(bus_port_read(bus, 0x608, 1), pm_timer() & 0xff);
    advance(10 * NS_PER_SEC);
    ck_assert_uint_eq(pm_timer() >> 24, 0);
    ck_assert_uint_eq((pm_timer() - before) & 0xffffff,
                      11 * 3579545 & 0xffffff);
    piix4_pm_destroy(pm);
    pci_host_destroy(pci);
}
END_TEST

START_TEST(acpi_events_raise_the_sci)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);
    struct piix4_pm *pm =
        piix4_pm_create(bus, pci, line(9), on_power_off, NULL);

    piix4_pm_power_button(pm);
    bus_port_write(bus, 0x602, 2, 0x0100);
    ck_assert(!lines[9].level); /* not in ACPI mode */
    out(0xb2, 0xf1);
    ck_assert_uint_eq(bus_port_read(bus, 0x604, 2) & 1, 1);
    ck_assert(lines[9].level);
    ck_assert_uint_eq(bus_port_read(bus, 0x600, 2) & 0x100, 0x100);
    bus_port_write(bus, 0x600, 2, 0x0100);
    ck_assert(!lines[9].level);
    bus_port_write(bus, 0x600, 2, 0x0001);
    bus_port_write(bus, 0x602, 2, 0x0001); /* timer: bit 23 toggles */
    ck_assert(!lines[9].level);
    advance(2400000000u);
    ck_assert(lines[9].level);
    bus_port_write(bus, 0x600, 2, 0x0001);
    ck_assert(!lines[9].level);
    out(0xb2, 0xf0);
    ck_assert_uint_eq(bus_port_read(bus, 0x604, 2) & 1, 0);
    piix4_pm_destroy(pm);
    pci_host_destroy(pci);
}
END_TEST

START_TEST(sleep_type_0_powers_off)
{
    struct pci_host *pci = pci_host_create(bus, on_reset, NULL);
    struct piix4_pm *pm =
        piix4_pm_create(bus, pci, line(9), on_power_off, NULL);

    bus_port_write(bus, 0x604, 2, 0x0001); /* without SLP_EN: nothing */
    bus_port_write(bus, 0x604, 2, 0x2401); /* S3: not offered */
    ck_assert_uint_eq(power_offs, 0);
    bus_port_write(bus, 0x604, 2, 0x2001);
    ck_assert_uint_eq(power_offs, 1);
    ck_assert_uint_eq(bus_port_read(bus, 0x604, 2), 0x0001);
    piix4_pm_destroy(pm);
    pci_host_destroy(pci);
}
END_TEST

/* ---- DMA and debug ports ------------------------------------------------ */

START_TEST(dma_registers_are_sixteen_bits_behind_a_pointer)
{
    struct i8237 *dma = i8237_create(bus);

    out(0x0c, 0);
    out(0x02, 0x34);
    out(0x02, 0x12);
    out(0xc4, 0x78);
    out(0xc4, 0x56);
    ck_assert_uint_eq(in(0x02), 0x34);
    ck_assert_uint_eq(in(0x02), 0x12);
    ck_assert_uint_eq(in(0xc4), 0x78);
    ck_assert_uint_eq(in(0xc4), 0x56);
    out(0x87, 0xa5);
    ck_assert_uint_eq(in(0x87), 0xa5);
    ck_assert_uint_eq(in(0x08), 0);
    i8237_destroy(dma);
}
END_TEST

START_TEST(debug_exit_gives_an_odd_code)
{
    struct debug_ports *debug = debug_ports_create(bus);

    debug_ports_add_exit(debug, 0xf4, 4, on_exit_code, NULL);
    ck_assert_int_eq(debug_ports_add_exit(debug, 0x80, 1, on_exit_code, NULL),
                     -EEXIST);
    bus_port_write(bus, 0xf4, 4, 0x10);
    ck_assert_int_eq(exit_code, 0x21);
    out(0xf4, 0);
    ck_assert_int_eq(exit_code, 1);
    debug_ports_destroy(debug);
}
END_TEST

START_TEST(debug_console_prints_and_identifies_itself)
{
    struct debug_ports *debug = debug_ports_create(bus);

    ck_assert_uint_eq(in(0xe9), 0xff);
    debug_ports_add_console(debug, 0xe9, NULL);
    ck_assert_uint_eq(in(0xe9), 0xe9);
    out(0xe9, 'o');
    out(0xe9, 'k');
    ck_assert_uint_eq(console_count, 2);
    ck_assert_mem_eq(console, "ok", 2);
    debug_ports_destroy(debug);
}
END_TEST

int main(void)
{
    Suite *suite = suite_create("devices");
    TCase *tests = tcase_create("devices");

    suite_add_tcase(suite, tests);
    tcase_add_checked_fixture(tests, setup, teardown);
    tcase_add_test(tests, wide_accesses_are_split_for_narrow_devices);
    tcase_add_test(tests, nobody_reads_as_ones_and_overlaps_are_refused);
    tcase_add_test(tests, memory_regions_answer_by_address);
    tcase_add_test(tests, keyboard_controller_answers_its_commands);
    tcase_add_test(tests, keyboard_and_mouse_answer_as_devices);
    tcase_add_test(tests, reset_and_a20_lines);
    tcase_add_test(tests, the_a20_gate_has_three_handles);
    tcase_add_test(tests, configuration_space_shows_the_chipset);
    tcase_add_test(tests, configuration_writes_keep_read_only_bits);
    tcase_add_test(tests, firmware_hears_of_memory_attributes);
    tcase_add_test(tests, reset_control_register_resets);
    tcase_add_test(tests, pm_timer_runs_at_its_frequency);
    tcase_add_test(tests, acpi_events_raise_the_sci);
    tcase_add_test(tests, sleep_type_0_powers_off);
    tcase_add_test(tests, dma_registers_are_sixteen_bits_behind_a_pointer);
    tcase_add_test(tests, debug_exit_gives_an_odd_code);
    tcase_add_test(tests, debug_console_prints_and_identifies_itself);
    return test_run(suite);
}
