/*
 * tcp_sack.h - the seat of the SACK scoreboard (RFC 2018, 6675)
 *
 * Selective acknowledgements are parsed (tcp_opt.h) but not offered, so no
 * peer sends them and the board stays empty.  What belongs here: the blocks
 * that the peer reported above snd_una, filled in tcp_ack() before duplicate
 * ACKs are counted, read by tcp_out() to choose what to retransmit.
 *
 * Ownership Part of a connection's extension.
 */
#ifndef TCP_TCP_SACK_H
#define TCP_TCP_SACK_H

#include <stdint.h>

#include "tcp/seq.h"

#define SACK_BOARD_MAX	7

struct sack_board {
	uint32_t count;
	uint32_t pad;
	struct { seq_t left, right; } block[SACK_BOARD_MAX];
};
_Static_assert(sizeof(struct sack_board) == 64, "one line");

#endif
