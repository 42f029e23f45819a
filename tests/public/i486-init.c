/* SPDX-License-Identifier: MIT */
/*
 * The first program of a guest with a 486, without the C library: one line and
 * power off. Its computation is of 486 instructions that a 386 has not.
 */
enum { SYS_WRITE = 4, SYS_REBOOT = 88 };

static int system_call(int number, unsigned a, unsigned b, unsigned c,
                       unsigned d)
{
    int result;

    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(number), "b"(a), "c"(b), "d"(c), "S"(d)
                     : "memory");
    return result;
}

__attribute__((noreturn)) void _start(void)
{
    static const char right[] = "i486-init: ok\n",
                      wrong[] = "i486-init: FAIL\n";
    unsigned value = 0x12345678, sum = 1;
    const char *text = right;

    __asm__("bswap %0\n\txadd %0, %1" : "+r"(value), "+r"(sum));
    if (value != 1 || sum != 0x78563413)
        text = wrong;
    system_call(SYS_WRITE, 1, (unsigned)text,
                text == right ? sizeof(right) - 1 : sizeof(wrong) - 1, 0);
    for (;;)
        system_call(SYS_REBOOT, 0xfee1dead, 672274793, 0x4321fedc, 0);
}
