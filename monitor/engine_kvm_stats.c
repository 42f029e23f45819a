/* SPDX-License-Identifier: MIT */
/*
 * The kernel's own counters of a virtual CPU (KVM_GET_STATS_FD): VM exits that
 * KVM handles without us are seen only there. What a kernel does not count
 * stays 0.
 */
#include "base/log.h"
#include "monitor/engine_kvm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { NAME_MAX_SIZE = 256, DESCRIPTORS_MAX = 1024 };

static const struct {
    const char *name; /* the kernel's */
    enum stat_counter counter;
} wanted[] = {
    {"exits", STAT_KVM_EXITS},
    {"irq_exits", STAT_KVM_EXITS_HOST},
    {"pf_taken", STAT_KVM_PAGE_FAULTS},
    {"insn_emulation", STAT_KVM_EMULATIONS},
    {"irq_injections", STAT_KVM_INJECTIONS},
};

static bool read_at(int fd, void *to, size_t size, uint64_t offset)
{
    return pread(fd, to, size, (off_t)offset) == (ssize_t)size;
}

static void take(const char *name, uint64_t value)
{
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (strcmp(name, wanted[i].name) == 0)
            stat_counters[wanted[i].counter] += value;
}

/* One descriptor, its name behind it, its value elsewhere. */
static void collect(int fd, const struct kvm_stats_header *header, uint32_t n)
{
    uint8_t room[sizeof(struct kvm_stats_desc) + NAME_MAX_SIZE + 1] = {0};
    struct kvm_stats_desc desc;
    size_t size = sizeof(desc) + header->name_size;
    uint64_t value;

    if (!read_at(fd, room, size, header->desc_offset + n * size))
        return;
    memcpy(&desc, room, sizeof(desc));
    if (desc.size == 1 &&
        read_at(fd, &value, sizeof(value), header->data_offset + desc.offset))
        take((const char *)room + sizeof(desc), value);
}

void kvm_stats_collect(int vcpu)
{
    int fd = ioctl(vcpu, KVM_GET_STATS_FD, NULL);
    struct kvm_stats_header header;

    if (fd < 0)
        return;
    if (read_at(fd, &header, sizeof(header), 0) &&
        header.name_size <= NAME_MAX_SIZE && header.num_desc <= DESCRIPTORS_MAX)
        for (uint32_t n = 0; n < header.num_desc; n++)
            collect(fd, &header, n);
    close(fd);
}
