/* SPDX-License-Identifier: MIT */
/*
 * The frames of GDB's remote protocol: $DATA#SUM with its escapes, + and -,
 * and the interrupt byte. Knows nothing of what the data mean. Any bytes may
 * come in: what is no packet is answered or passed over, never trusted.
 */
#ifndef RINGFALL_MONITOR_GDB_PACKET_H
#define RINGFALL_MONITOR_GDB_PACKET_H

#include "base/types.h"

#define GDB_PACKET_SIZE 16384 /* data of one packet, unescaped */

struct gdb_packets {
    enum { PACKET_OUTSIDE, PACKET_DATA, PACKET_ESCAPE, PACKET_SUM } state;
    uint8_t data[GDB_PACKET_SIZE + 1]; /* a NUL follows the data */
    size_t length;
    bool too_long;
    uint8_t sum;      /* of what came */
    uint8_t digit[2]; /* what the sender says it is */
    unsigned digits;
    bool no_ack; /* both sides trust the transport */
};

enum gdb_event {
    GDB_NOTHING,
    GDB_PACKET,    /* data, length */
    GDB_BAD,       /* a damaged packet: ask for it again */
    GDB_REPEAT,    /* the other side wants our last packet again */
    GDB_INTERRUPT, /* Ctrl-C */
};

/* One byte that came in. The packet is good until the next byte. */
enum gdb_event gdb_packets_byte(struct gdb_packets *p, uint8_t byte);

/* Bytes that frame length bytes of data at most. */
#define GDB_FRAME_SIZE(length) (2 * (length) + 4)
/* The frame of data into to (GDB_FRAME_SIZE bytes); its length. */
size_t gdb_frame(uint8_t *to, const uint8_t *data, size_t length);

/* Value of a hexadecimal digit, or -1. */
int gdb_digit(uint8_t byte);
/* Hexadecimal number at *at (at least one digit), moves *at behind it. False:
 * no digit, or more than 64 bits. */
bool gdb_number(const char **at, uint64_t *value);
/* Two digits for each byte, and a NUL; returns the NUL's place. */
char *gdb_hex(char *to, const uint8_t *bytes, size_t count);
/* count bytes out of 2 * count digits; false if something else is there. */
bool gdb_unhex(const char *text, uint8_t *bytes, size_t count);

#endif
