/* SPDX-License-Identifier: MIT */
/*
 * Fills fw_cfg as QEMU's pc machine does: the same items, the same files in the
 * same formats (its docs/specs/fw_cfg; the
 * loader script is that of its hw/acpi/bios-linker-loader), so that SeaBIOS
 * finds what it looks for. Runs once, when the machine is made.
 */
#include "monitor/firmware_config.h"

#include "monitor/boot/boot.h"
#include "monitor/devices/hpet.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define RSDP_FILE   "etc/acpi/rsdp"
#define TABLES_FILE "etc/acpi/tables"

#define HPET_BLOCK_ID 0x8086a201u
#define HPET_MIN_TICK 100

static void put16(uint8_t *p, uint16_t value)
{
    memcpy(p, &value, 2);
}

static void put32(uint8_t *p, uint32_t value)
{
    memcpy(p, &value, 4);
}

static void put64(uint8_t *p, uint64_t value)
{
    memcpy(p, &value, 8);
}

/* --- the loader script --------------------------------------------------- */

/* Commands of 128 bytes: a number, then file names and numbers. */
#define COMMAND_SIZE 128
#define COMMANDS_MAX 64
enum { LOAD_ALLOCATE = 1, LOAD_ADD_POINTER = 2, LOAD_ADD_CHECKSUM = 3 };
enum { ZONE_HIGH = 1, ZONE_FSEG = 2 };

struct script {
    uint8_t bytes[COMMANDS_MAX * COMMAND_SIZE];
    unsigned count;
};

static uint8_t *command(struct script *s, uint32_t number, const char *file)
{
    uint8_t *c = s->bytes + s->count++ * COMMAND_SIZE;

    put32(c, number);
    strcpy((char *)c + 4, file);
    return c + 4 + FW_CFG_NAME_SIZE;
}

static void allocate(struct script *s, const char *file, uint32_t align,
                     unsigned zone)
{
    uint8_t *c = command(s, LOAD_ALLOCATE, file);

    put32(c, align);
    c[4] = (uint8_t)zone;
}

/* The file of what is at an offset of struct acpi_tables, and where there. */
static const char *file_of(uint32_t *at)
{
    if (*at < ACPI_TABLES_AT)
        return RSDP_FILE;
    *at -= ACPI_TABLES_AT;
    return TABLES_FILE;
}

static void write_script(struct script *s, const struct acpi_tables *t)
{
    allocate(s, RSDP_FILE, 16, ZONE_FSEG);
    allocate(s, TABLES_FILE, 64, ZONE_HIGH);
    for (unsigned i = 0; i < t->pointer_count; i++) {
        uint32_t at = t->pointers[i].at;
        uint8_t *c = command(s, LOAD_ADD_POINTER, file_of(&at));

        strcpy((char *)c, TABLES_FILE);
        put32(c + FW_CFG_NAME_SIZE, at);
        c[FW_CFG_NAME_SIZE + 4] = t->pointers[i].size;
    }
    for (unsigned i = 0; i < t->checksum_count; i++) {
        uint32_t at = t->checksums[i].at, start = t->checksums[i].start;
        uint8_t *c = command(s, LOAD_ADD_CHECKSUM, file_of(&at));

        file_of(&start);
        put32(c, at);
        put32(c + 4, start);
        put32(c + 8, t->checksums[i].size);
    }
}

/* Tables with addresses relative to their file. */
static bool add_acpi(struct fw_cfg *fw, const struct machine_options *o)
{
    struct script *script = calloc(1, sizeof(*script));
    uint8_t *bytes = calloc(1, ACPI_TABLES_MAX);
    struct acpi_tables t;

    if (script && bytes) {
        acpi_build(&t, bytes, 0u - ACPI_TABLES_AT, !o->no_hpet);
        write_script(script, &t);
        fw_cfg_add_file(fw, RSDP_FILE, bytes, ACPI_RSDP_SIZE);
        fw_cfg_add_file(fw, TABLES_FILE, bytes + ACPI_TABLES_AT,
                        t.size - ACPI_TABLES_AT);
        fw_cfg_add_file(fw, "etc/table-loader", script->bytes,
                        script->count * COMMAND_SIZE);
    }
    free(bytes);
    free(script);
    return script && bytes;
}

/* --- the rest ------------------------------------------------------------ */

static void add_machine(struct fw_cfg *fw, const struct machine_options *o)
{
    /* SLP_TYP by sleep state, bit 7: it is there; S5 alone is */
    static const uint8_t states[6] = {0x80, 0, 0, 1, 2, 0x80};
    static const uint8_t none[16];
    uint8_t e820[20] = {0}; /* base, size, type: all of it is RAM */
    uint8_t hpet[1 + 8 * 15] = {0};
    uint32_t wait = o->reboot_timeout_given ? o->reboot_timeout : UINT32_MAX;

    fw_cfg_set(fw, FW_CFG_UUID, none, 16);
    fw_cfg_set_number(fw, FW_CFG_RAM_SIZE, o->ram_size, 8);
    fw_cfg_set_number(fw, FW_CFG_NOGRAPHIC, o->no_graphics, 2);
    fw_cfg_set_number(fw, FW_CFG_NB_CPUS, 1, 2);
    fw_cfg_set_number(fw, FW_CFG_MAX_CPUS, 1, 2);
    fw_cfg_set_number(fw, FW_CFG_BOOT_MENU, o->boot_menu, 2);
    fw_cfg_set(fw, FW_CFG_NUMA, none, 16); /* no nodes; the CPU's */
    fw_cfg_set_number(fw, FW_CFG_IRQ0_OVERRIDE, 1, 4);
    if (!o->no_hpet) {
        hpet[0] = 1;
        put32(hpet + 1, HPET_BLOCK_ID);
        put64(hpet + 5, HPET_BASE);
        put16(hpet + 13, HPET_MIN_TICK);
    }
    fw_cfg_set(fw, FW_CFG_HPET, hpet, sizeof(hpet));
    put64(e820 + 8, o->ram_size);
    put32(e820 + 16, 1);
    fw_cfg_add_file(fw, "etc/e820", e820, sizeof(e820));
    fw_cfg_add_file(fw, "etc/boot-fail-wait", &wait, sizeof(wait));
    fw_cfg_add_file(fw, "etc/system-states", states, sizeof(states));
}

/* 0, or a negative errno. */
static int add_bytes(struct fw_cfg *fw, const char *name, const void *bytes,
                     uint64_t size)
{
    return size > UINT32_MAX
               ? -EFBIG
               : fw_cfg_add_file(fw, name, bytes, (uint32_t)size);
}

static bool add_user_file(struct fw_cfg *fw, const struct machine_fw_cfg *file,
                          char *why, size_t why_size)
{
    struct boot_blob blob = {0};
    int error;

    if (!file->from_file) {
        error = add_bytes(fw, file->name, file->value, strlen(file->value));
    } else {
        if (!boot_blob_read(&blob, file->value, why, why_size))
            return false;
        error = add_bytes(fw, file->name, blob.bytes, blob.size);
        boot_blob_free(&blob);
    }
    if (error)
        snprintf(why, why_size, "-fw_cfg: cannot add '%s': %s", file->name,
                 strerror(-error));
    return error == 0;
}

/* --- option ROMs and the kernel ------------------------------------------- */

#define ROM_DIRECTORY "genroms/" /* SeaBIOS runs what is in it */
#define LINUX_ROM     ROM_DIRECTORY "linuxboot.bin"

static bool add_file(struct fw_cfg *fw, const char *name, const void *bytes,
                     uint64_t size, char *why, size_t why_size)
{
    int error = add_bytes(fw, name, bytes, size);

    if (error)
        snprintf(why, why_size, "cannot add '%s' to fw_cfg: %s", name,
                 strerror(-error));
    return error == 0;
}

static bool add_rom(struct fw_cfg *fw, const char *path, char *why,
                    size_t why_size)
{
    const char *slash = strrchr(path, '/');
    char name[FW_CFG_NAME_SIZE];
    struct boot_blob rom;
    bool added;

    if (!boot_blob_read(&rom, path, why, why_size))
        return false;
    snprintf(name, sizeof(name), ROM_DIRECTORY "%s", slash ? slash + 1 : path);
    added = add_file(fw, name, rom.bytes, rom.size, why, why_size);
    boot_blob_free(&rom);
    return added;
}

static void set_part(struct fw_cfg *fw, enum fw_cfg_item address,
                     enum fw_cfg_item data, uint32_t at, const void *bytes,
                     uint64_t size)
{
    fw_cfg_set_number(fw, address, at, 4);
    fw_cfg_set_number(fw, address + 1, size, 4);
    fw_cfg_set(fw, data, bytes ? bytes : "", (uint32_t)size);
}

static bool add_kernel(struct fw_cfg *fw, const struct boot_image *image,
                       uint64_t ram_size, char *why, size_t why_size)
{
    static const char order[] = "/rom@" LINUX_ROM "\n";
    struct boot_items i;
    bool added;

    if (!boot_items_make(image, ram_size, &i, why, why_size))
        return false;
    set_part(fw, FW_CFG_SETUP_ADDR, FW_CFG_SETUP_DATA, i.setup_at,
             i.setup.bytes, i.setup.size);
    set_part(fw, FW_CFG_KERNEL_ADDR, FW_CFG_KERNEL_DATA, i.kernel_at,
             i.kernel.bytes, i.kernel.size);
    set_part(fw, FW_CFG_CMDLINE_ADDR, FW_CFG_CMDLINE_DATA, i.command_line_at,
             i.command_line, strlen(i.command_line) + 1);
    set_part(fw, FW_CFG_INITRD_ADDR, FW_CFG_INITRD_DATA, i.initrd_at,
             i.initrd.bytes, i.initrd.size);
    added = add_file(fw, LINUX_ROM, i.rom.bytes, i.rom.size, why, why_size) &&
            add_file(fw, "bootorder", order, sizeof(order), why, why_size);
    boot_items_free(&i);
    return added;
}

bool firmware_config_fill(struct fw_cfg *fw, const struct machine_options *o,
                          const struct boot_image *image, char *why,
                          size_t why_size)
{
    add_machine(fw, o);
    if (!o->no_acpi && !add_acpi(fw, o)) {
        snprintf(why, why_size, "out of memory");
        return false;
    }
    if (image && !add_kernel(fw, image, o->ram_size, why, why_size))
        return false;
    for (unsigned i = 0; i < o->option_rom_count; i++)
        if (!add_rom(fw, o->option_roms[i], why, why_size))
            return false;
    for (unsigned i = 0; i < o->fw_cfg_count; i++)
        if (!add_user_file(fw, &o->fw_cfg[i], why, why_size))
            return false;
    return true;
}
