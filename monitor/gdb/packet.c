/* SPDX-License-Identifier: MIT */
/*
 * A state machine over bytes, one at a time, so that it does not matter how
 * the transport cuts them. A '$' inside a packet begins a new one (the old one
 * was cut off). Data are kept unescaped; the checksum is over what was sent.
 */
#include "monitor/gdb/packet.h"

#define ESCAPE     0x7d
#define ESCAPE_XOR 0x20
#define CTRL_C     0x03

int gdb_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if (byte >= 'a' && byte <= 'f')
        return byte - 'a' + 10;
    if (byte >= 'A' && byte <= 'F')
        return byte - 'A' + 10;
    return -1;
}

bool gdb_number(const char **at, uint64_t *value)
{
    const char *start = *at;
    uint64_t number = 0;

    for (int digit; (digit = gdb_digit((uint8_t) * *at)) >= 0; ++*at) {
        if (number >> 60)
            return false;
        number = number << 4 | (unsigned)digit;
    }
    *value = number;
    return *at != start;
}

char *gdb_hex(char *to, const uint8_t *bytes, size_t count)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < count; i++) {
        *to++ = digits[bytes[i] >> 4];
        *to++ = digits[bytes[i] & 15];
    }
    *to = '\0';
    return to;
}

bool gdb_unhex(const char *text, uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int high = gdb_digit((uint8_t)text[2 * i]);
        int low = high < 0 ? -1 : gdb_digit((uint8_t)text[2 * i + 1]);

        if (low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

static void begin(struct gdb_packets *p)
{
    p->state = PACKET_DATA;
    p->length = 0;
    p->too_long = false;
    p->sum = 0;
    p->digits = 0;
}

static void add(struct gdb_packets *p, uint8_t byte)
{
    if (p->length == GDB_PACKET_SIZE)
        p->too_long = true;
    else
        p->data[p->length++] = byte;
}

static enum gdb_event outside(struct gdb_packets *p, uint8_t byte)
{
    if (byte == '$')
        begin(p);
    else if (byte == CTRL_C)
        return GDB_INTERRUPT;
    else if (byte == '-' && !p->no_ack)
        return GDB_REPEAT;
    return GDB_NOTHING;
}

static enum gdb_event sum_digit(struct gdb_packets *p, uint8_t byte)
{
    int high, low;

    p->digit[p->digits++] = byte;
    if (p->digits < 2)
        return GDB_NOTHING;
    p->state = PACKET_OUTSIDE;
    high = gdb_digit(p->digit[0]);
    low = gdb_digit(p->digit[1]);
    if (p->too_long) /* asking again would bring the same: an empty one */
        p->length = 0;
    p->data[p->length] = 0;
    if (!p->no_ack && (high < 0 || low < 0 || (high << 4 | low) != p->sum))
        return GDB_BAD;
    return GDB_PACKET;
}

enum gdb_event gdb_packets_byte(struct gdb_packets *p, uint8_t byte)
{
    switch (p->state) {
    case PACKET_OUTSIDE:
        return outside(p, byte);
    case PACKET_SUM:
        return sum_digit(p, byte);
    case PACKET_DATA:
    case PACKET_ESCAPE:
        break;
    }
    if (byte == '$') {
        begin(p);
        return GDB_NOTHING;
    }
    if (byte == '#') {
        p->state = PACKET_SUM;
        return GDB_NOTHING;
    }
    p->sum = (uint8_t)(p->sum + byte);
    if (p->state == PACKET_ESCAPE) {
        p->state = PACKET_DATA;
        add(p, byte ^ ESCAPE_XOR);
    } else if (byte == ESCAPE) {
        p->state = PACKET_ESCAPE;
    } else {
        add(p, byte);
    }
    return GDB_NOTHING;
}

static bool needs_escape(uint8_t byte)
{
    return byte == '$' || byte == '#' || byte == '*' || byte == ESCAPE;
}

size_t gdb_frame(uint8_t *to, const uint8_t *data, size_t length)
{
    uint8_t *p = to, sum = 0;
    char digits[3];

    *p++ = '$';
    for (size_t i = 0; i < length; i++) {
        uint8_t byte = data[i];

        if (needs_escape(byte)) {
            *p++ = ESCAPE;
            sum += ESCAPE;
            byte ^= ESCAPE_XOR;
        }
        *p++ = byte;
        sum += byte;
    }
    *p++ = '#';
    gdb_hex(digits, &sum, 1);
    *p++ = (uint8_t)digits[0];
    *p++ = (uint8_t)digits[1];
    return (size_t)(p - to);
}
