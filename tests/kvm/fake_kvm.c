/* SPDX-License-Identifier: MIT */
/*
 * A /dev/kvm that has one fault, named by FAKE_KVM: preloaded into the program,
 * it answers open("/dev/kvm") and KVM's ioctls. No guest runs: KVM_RUN
 * tells of the exits that the program's start-up expects, then of one more. So
 * every way in which a host's KVM can be unfit is tried on any host.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define KVM_IOCTL_TYPE 0xaeu
enum { RUN_SIZE = 0x3000, DATA_AT = 0x1000, PROBE_PORT = 0x80, MARKER = 0xa5 };

static int vcpus, runs;
static struct kvm_run *run;

static int fault_is(const char *name)
{
    const char *fault = getenv("FAKE_KVM");

    return fault && strcmp(fault, name) == 0;
}

static int fails(int error)
{
    errno = error;
    return -1;
}

int open(const char *path, int flags, ...)
{
    va_list args;
    int mode;

    va_start(args, flags);
    mode = va_arg(args, int);
    va_end(args);
    if (strcmp(path, "/dev/kvm") == 0)
        return fault_is("no-device") ? fails(ENOENT)
                                     : memfd_create("fake-kvm", 0);
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static int create_vcpu(void)
{
    int fd = memfd_create("fake-vcpu", 0);

    if (fd < 0 || ftruncate(fd, RUN_SIZE) != 0)
        return -1;
    vcpus++;
    runs = 0;
    run = mmap(NULL, RUN_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    return run == MAP_FAILED ? -1 : fd;
}

/* The guest that finds out whether paging works; interrupted at first. */
static int run_probe(void)
{
    if (fault_is("no-entry"))
        return fails(EINVAL);
    if (runs++ < 2)
        return fails(runs == 1 ? EINTR : EAGAIN);
    run->exit_reason = KVM_EXIT_IO;
    if (fault_is("no-paging"))
        run->exit_reason = KVM_EXIT_SHUTDOWN;
    run->io.port = PROBE_PORT;
    run->io.size = 1;
    run->io.count = 1;
    run->io.direction = KVM_EXIT_IO_OUT;
    run->io.data_offset = DATA_AT;
    ((unsigned char *)run)[DATA_AT] = fault_is("wrong-paging") ? 0 : MARKER;
    return 0;
}

static int run_guest(void)
{
    if (fault_is("run-fails"))
        return fails(EFAULT);
    if (run->immediate_exit || runs++ < 2)
        return fails(EINTR);
    run->exit_reason = KVM_EXIT_SHUTDOWN;
    if (fault_is("gives-up")) {
        run->exit_reason = KVM_EXIT_INTERNAL_ERROR;
        run->internal.suberror = KVM_INTERNAL_ERROR_EMULATION;
    } else if (fault_is("entry-fails")) {
        run->exit_reason = KVM_EXIT_FAIL_ENTRY;
        run->fail_entry.hardware_entry_failure_reason = 0x80000021;
    }
    return 0;
}

static int check_extension(unsigned long number)
{
    const char *lacking = getenv("FAKE_KVM_LACKS");

    return !lacking || (unsigned long)atol(lacking) != number;
}

static int set_memory(const struct kvm_userspace_memory_region *region)
{
    return region->slot == 1 && fault_is("no-memory") ? fails(ENOMEM) : 0;
}

static int answer(unsigned long request, unsigned long argument)
{
    switch (request) {
    case KVM_GET_API_VERSION:
        return fault_is("no-kvm") ? fails(ENOTTY) : fault_is("old") ? 11 : 12;
    case KVM_CHECK_EXTENSION:
        return check_extension(argument);
    case KVM_CREATE_VM:
        return fault_is("busy") ? fails(EBUSY) : memfd_create("fake-vm", 0);
    case KVM_GET_VCPU_MMAP_SIZE:
        return fault_is("no-size") ? 0 : RUN_SIZE;
    case KVM_CREATE_VCPU:
        return vcpus && fault_is("no-cpu") ? fails(EEXIST) : create_vcpu();
    case KVM_SET_USER_MEMORY_REGION:
        return set_memory((const void *)argument);
    case KVM_GET_SUPPORTED_CPUID:
        ((struct kvm_cpuid2 *)argument)->nent = 0;
        return 0;
    case KVM_SET_CPUID2:
        return fault_is("no-cpuid") ? fails(E2BIG) : 0;
    case KVM_X86_SET_MSR_FILTER:
        return fault_is("no-filter") ? fails(EINVAL) : 0;
    case KVM_SET_SREGS:
        return vcpus > 1 && fault_is("no-sregs") ? fails(EINVAL) : 0;
    case KVM_SET_MSRS:
        return fault_is("no-msrs") ? 0 : 1; /* how many were set */
    case KVM_RUN:
        return vcpus == 1 ? run_probe() : run_guest();
    case KVM_GET_STATS_FD:
        return fails(ENOTTY);
    default:
        return 0;
    }
}

int ioctl(int fd, unsigned long request, ...)
{
    unsigned long argument;
    va_list args;

    va_start(args, request);
    argument = va_arg(args, unsigned long);
    va_end(args);
    if ((request >> 8 & 0xff) == KVM_IOCTL_TYPE)
        return answer(request, argument);
    return (int)syscall(SYS_ioctl, fd, request, argument);
}
