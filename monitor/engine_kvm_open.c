/* SPDX-License-Identifier: MIT */
/*
 * Is the host's KVM fit for us? Everything that can be wrong with it is found
 * here, before anything of the machine depends on it, and told in one line.
 *
 * There are hosts whose KVM needs no VT and runs 64-bit guests only: they have
 * a /dev/kvm, but turning on CR0.PG in a 32-bit guest fails. No capability
 * says so; a guest of a few instructions does.
 */
#include "monitor/engine_kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define DEVICE      "/dev/kvm"
#define API_VERSION 12

/* --- the guest of a few instructions ------------------------------------- */

enum probe_place {
    AT_CODE = 0,
    AT_DIRECTORY = 0x1000,
    AT_TABLE = 0x2000,
    PROBE_BYTES = 0x3000,
    AT_MARKER = 0x800, /* physical; mapped there and 4 MiB above */
    PROBE_PORT = 0x80,
    PROBE_RUNS = 64, /* returns of KVM_RUN for signals, at most */
};
#define MARKER 0xa5

static const uint8_t probe_code[] = {
    0xb8, 0x00,       0x10, 0x00, 0x00, /* mov eax, AT_DIRECTORY */
    0x0f, 0x22,       0xd8,             /* mov cr3, eax */
    0x0f, 0x20,       0xc0,             /* mov eax, cr0 */
    0x0d, 0x00,       0x00, 0x00, 0x80, /* or eax, CR0_PG */
    0x0f, 0x22,       0xc0,             /* mov cr0, eax */
    0xa0, 0x00,       0x08, 0x40, 0x00, /* mov al, [4 MiB + AT_MARKER] */
    0xe6, PROBE_PORT,                   /* out PROBE_PORT, al */
    0xf4,                               /* hlt */
};

static void put32(uint8_t *to, uint32_t value)
{
    memcpy(to, &value, sizeof(value));
}

static void fill_memory(uint8_t *ram)
{
    memcpy(ram + AT_CODE, probe_code, sizeof(probe_code));
    ram[AT_MARKER] = MARKER;
    put32(ram + AT_DIRECTORY, AT_TABLE | 3);
    put32(ram + AT_DIRECTORY + 4, AT_TABLE | 3);
    for (uint32_t page = 0; page < PROBE_BYTES; page += PAGE_SIZE)
        put32(ram + AT_TABLE + page / PAGE_SIZE * 4, page | 3);
}

/* Protected mode with flat segments, at AT_CODE. */
static bool set_entry(int vcpu)
{
    const struct segment code = {0, 0xffffffff, 8,
                                 SEG_G | SEG_DB | SEG_P | SEG_S | 0xb};
    const struct segment data = {0, 0xffffffff, 16,
                                 SEG_G | SEG_DB | SEG_P | SEG_S | 0x3};
    struct kvm_regs regs = {.rip = AT_CODE, .rflags = EFL_ONE};
    struct kvm_sregs s;

    if (ioctl(vcpu, KVM_GET_SREGS, &s) != 0)
        return false;
    s.cs = kvm_segment_of(&code);
    s.ds = s.es = s.fs = s.gs = s.ss = kvm_segment_of(&data);
    s.cr0 |= CR0_PE;
    return ioctl(vcpu, KVM_SET_SREGS, &s) == 0 &&
           ioctl(vcpu, KVM_SET_REGS, &regs) == 0;
}

/* Did the guest read the marker through its page tables? */
static bool run_probe(int vcpu, struct kvm_run *run)
{
    int result = -1;

    for (unsigned i = 0; i < PROBE_RUNS && result != 0; i++) {
        result = ioctl(vcpu, KVM_RUN, 0);
        if (result != 0 && errno != EINTR && errno != EAGAIN)
            return false;
    }
    return result == 0 && run->exit_reason == KVM_EXIT_IO &&
           run->io.port == PROBE_PORT &&
           *((uint8_t *)run + run->io.data_offset) == MARKER;
}

static bool probe_in(int system, int vm, uint8_t *ram)
{
    const struct kvm_userspace_memory_region region = {
        .memory_size = PROBE_BYTES, .userspace_addr = (uintptr_t)ram};
    int size = ioctl(system, KVM_GET_VCPU_MMAP_SIZE, 0);
    int vcpu = ioctl(vm, KVM_CREATE_VCPU, 0);
    struct kvm_run *run = MAP_FAILED;
    bool good = false;

    if (vcpu < 0)
        return false;
    if (size >= (int)sizeof(*run))
        run = mmap(NULL, (size_t)size, PROT_READ | PROT_WRITE, MAP_SHARED, vcpu,
                   0);
    if (run != MAP_FAILED) {
        good = ioctl(vm, KVM_SET_USER_MEMORY_REGION, &region) == 0 &&
               set_entry(vcpu) && run_probe(vcpu, run);
        munmap(run, (size_t)size);
    }
    close(vcpu);
    return good;
}

/* Turns on 32-bit paging in a guest of a few instructions. */
static bool runs_paged_guests(int system, int vm)
{
    uint8_t *ram = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool good;

    if (ram == MAP_FAILED)
        return false;
    fill_memory(ram);
    ioctl(vm, KVM_SET_TSS_ADDR, KVM_TSS_ADDR);
    good = probe_in(system, vm, ram);
    munmap(ram, PROBE_BYTES);
    return good;
}

/* --- the device ---------------------------------------------------------- */

static const struct {
    int number;
    const char *name;
} needed[] = {
    {KVM_CAP_USER_MEMORY, "memory slots"},
    {KVM_CAP_EXT_CPUID, "a CPUID table"},
    {KVM_CAP_DEBUGREGS, "debug registers"},
    {KVM_CAP_VCPU_EVENTS, "CPU events"},
    {KVM_CAP_IMMEDIATE_EXIT, "immediate exits"},
    {KVM_CAP_X86_USER_SPACE_MSR, "MSRs in user space"},
    {KVM_CAP_X86_MSR_FILTER, "an MSR filter"},
    {KVM_CAP_VCPU_ATTRIBUTES, "TSC offsets"},
};

/* A line in why if something is missing. */
static bool check_capabilities(int system, char *why, size_t why_size)
{
    int version = ioctl(system, KVM_GET_API_VERSION, 0);

    if (version < 0)
        snprintf(why, why_size, "-accel kvm: " DEVICE " is not KVM: %s",
                 strerror(errno));
    else if (version != API_VERSION)
        snprintf(why, why_size,
                 "-accel kvm: the host's KVM has API version %d, not %d",
                 version, API_VERSION);
    if (version != API_VERSION)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(needed); i++) {
        if (ioctl(system, KVM_CHECK_EXTENSION, needed[i].number) > 0)
            continue;
        snprintf(why, why_size,
                 "-accel kvm: the host's KVM lacks %s (Linux 5.16 has all that "
                 "is needed)",
                 needed[i].name);
        return false;
    }
    return true;
}

/* A line in why if a guest cannot be run. */
static bool check_guest(int system, char *why, size_t why_size)
{
    int vm = ioctl(system, KVM_CREATE_VM, 0);
    bool good;

    if (vm < 0) {
        snprintf(why, why_size, "-accel kvm: cannot make a virtual machine: %s",
                 strerror(errno));
        return false;
    }
    good = runs_paged_guests(system, vm);
    if (!good)
        snprintf(why, why_size,
                 "-accel kvm: the host's KVM cannot run 32-bit guests with "
                 "paging (no VT?)");
    close(vm);
    return good;
}

int kvm_open(char *why, size_t why_size)
{
    int system = open(DEVICE, O_RDWR | O_CLOEXEC);

    if (system < 0) {
        snprintf(why, why_size, "-accel kvm: cannot open " DEVICE ": %s",
                 strerror(errno));
        return -1;
    }
    if (check_capabilities(system, why, why_size) &&
        check_guest(system, why, why_size))
        return system;
    close(system);
    return -1;
}
