/* SPDX-License-Identifier: MIT */
/*
 * The kernel's services that touch no device: null system calls by both doors,
 * first touches of pages, and mappings made and removed. Law: the answer of
 * each system call is checked where that is no work of its own.
 */
#include "work.h"
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { PAGE = 4096, TOUCHED = 16 << 20, MAPPED = 16 * PAGE };

static unsigned long vsyscall_page;

static long by_int80(long number)
{
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(number) : "memory");
    return result;
}

static long by_vsyscall(long number)
{
    long result;
    __asm__ volatile("call *%2"
                     : "=a"(result)
                     : "0"(number), "m"(vsyscall_page)
                     : "memory");
    return result;
}

static const char *vsyscall_prepare(void)
{
    vsyscall_page = getauxval(AT_SYSINFO);
    return vsyscall_page ? NULL : "this kernel has no vsyscall page";
}

static uint64_t int80_run(unsigned long count)
{
    long parent = getppid();
    uint64_t began = work_now();
    while (count--)
        if (by_int80(SYS_getppid) != parent)
            work_fail("the kernel names another parent");
    return work_now() - began;
}

static uint64_t vsyscall_run(unsigned long count)
{
    long parent = getppid();
    uint64_t began = work_now();
    while (count--)
        if (by_vsyscall(SYS_getppid) != parent)
            work_fail("the kernel names another parent");
    return work_now() - began;
}

/* Only the touches are timed, and with small pages on every machine. */
static uint64_t touch_run(unsigned long count)
{
    uint64_t took = 0;
    while (count) {
        size_t size = count < TOUCHED / PAGE ? count * PAGE : TOUCHED;
        uint8_t *block = mmap(NULL, size, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            work_fail("mmap of %zu bytes failed", size);
        madvise(block, size, MADV_NOHUGEPAGE);
        uint64_t began = work_now();
        for (size_t at = 0; at < size; at += PAGE)
            ((volatile uint8_t *)block)[at] = 1;
        took += work_now() - began;
        munmap(block, size);
        count -= size / PAGE;
    }
    return took;
}

static uint64_t mmap_run(unsigned long count)
{
    uint64_t began = work_now();
    while (count--) {
        uint8_t *block = mmap(NULL, MAPPED, PROT_READ | PROT_WRITE,
                              MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (block == MAP_FAILED)
            work_fail("mmap failed");
        *(volatile uint8_t *)block = 1;
        if (munmap(block, MAPPED))
            work_fail("munmap failed");
    }
    return work_now() - began;
}

const struct workload system_workloads[] = {
    {"syscall_int80", "ns", "null system call, int 80h", NULL, int80_run},
    {"syscall_vsyscall", "ns", "null system call, vsyscall page",
     vsyscall_prepare, vsyscall_run},
    {"page_touch", "us", "first touch of a page", NULL, touch_run},
    {"mmap_munmap", "us", "mmap of 16 pages, touch 1, munmap", NULL, mmap_run},
    {NULL, NULL, NULL, NULL, NULL}};
