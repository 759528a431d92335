/*
 * trace.h - segments for people (-v)
 *
 * Sequence numbers are as on the wire; the last digits are what one compares.
 *
 * Threads   One.
 */
#ifndef TEST_SIM_TRACE_H
#define TEST_SIM_TRACE_H

#include "tcp/tcp.h"

void trace_tx(int side, const struct tcp_tx *tx, mono_t now);
void trace_rx(int side, const struct tcp_rx *rx, mono_t now);

#endif
