/* SPDX-License-Identifier: MIT */
/*
 * What only 32-bit code can find out about the host's processor. A child runs
 * a few instructions in compatibility mode and exits with the answer; where
 * it cannot (no such segment, no child), the answer is what processors of
 * today do. Law: nothing here maps code in the monitor itself (S3).
 */
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "monitor/engine_bt.h"

#define PROBE_BYTES 8192 /* a page of code, a page of stack */

/* Linux's selectors: 23h is 32-bit code, 33h 64-bit code. */
static const uint8_t probe[] = {
    0x6a, 0xff,                   /* push -1 */
    0x8d, 0x64, 0x24, 0x04,       /* lea esp, [esp + 4] */
    0x1e,                         /* push ds */
    0x5f,                         /* pop edi */
    0xc1, 0xef, 0x10,             /* shr edi, 16 */
    0xea, 0,    0,    0,    0,    /* jmp 33h:next */
    0x33, 0,                      /* */
    0xb8, 0x3c, 0x00, 0x00, 0x00, /* next: mov eax, SYS_exit */
    0x0f, 0x05,                   /* syscall */
};
#define PROBE_FAR_OFFSET 12
#define PROBE_NEXT       18

__attribute__((noreturn)) static void probe_child(void)
{
    uint8_t *page = mmap(NULL, PROBE_BYTES, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    uint32_t next = (uint32_t)(uintptr_t)page + PROBE_NEXT;

    if (page == MAP_FAILED)
        _exit(1);
    memcpy(page, probe, sizeof(probe));
    memcpy(page + PROBE_FAR_OFFSET, &next, sizeof(next));
    if (mprotect(page, PROBE_BYTES / 2, PROT_READ | PROT_EXEC))
        _exit(1);
    __asm__ volatile("mov %0, %%rsp\n\t"
                     "pushq $0x23\n\t"
                     "pushq %1\n\t"
                     "lretq"
                     :
                     : "r"(page + PROBE_BYTES), "r"(page)
                     : "memory");
    __builtin_trap();
}

bool bt_host_pushes_words(void)
{
    pid_t child = fork();
    int status = 0;

    if (child == 0)
        probe_child();
    if (child < 0 || waitpid(child, &status, 0) != child)
        return true;
    return !(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}
