/* SPDX-License-Identifier: MIT */
/*
 * The smallest program: without a C library it ends as soon as it begins. What
 * its exec costs is the kernel's work alone.
 */
void _start(void) __attribute__((noreturn));

void _start(void)
{
    __asm__ volatile("int $0x80" : : "a"(1), "b"(0));
    __builtin_unreachable();
}
