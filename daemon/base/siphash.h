/*
 * siphash.h - keyed hash for what an attacker must not guess or collide
 *
 * SipHash-2-4 (Aumasson and Bernstein, 2012): initial sequence numbers
 * (RFC 6528 3), flow-table buckets, fragment and neighbour tables.
 *
 * Threads   Pure function.
 */
#ifndef BASE_SIPHASH_H
#define BASE_SIPHASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t siphash(const uint8_t key[16], const void *data, size_t bytes);

#endif
