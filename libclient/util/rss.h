/*
 * rss.h - which core a flow belongs to, under mTCP's names
 *
 * The hash is the one mtcpd's engines use (shm/rss.h) with the symmetric
 * key, so both directions of a flow give the same answer.
 *
 * Units     Addresses and TCP ports in host order.
 * Threads   Pure functions.
 */
#ifndef MTCP_UTIL_RSS_H
#define MTCP_UTIL_RSS_H

#include <netinet/in.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

uint32_t GetRSSHash(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp);

/* 0 .. @num_cpus - 1; 0 when @num_cpus is not positive. */
int GetRSSCPUCore(in_addr_t sip, in_addr_t dip, in_port_t sp, in_port_t dp,
		  int num_cpus);

#ifdef __cplusplus
}
#endif

#endif
