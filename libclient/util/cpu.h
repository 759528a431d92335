/*
 * cpu.h - how many processors there are, and running on one of them
 *
 * mTCP's helper under mTCP's names.  libmtcpclient exports both functions
 * itself, since programs written for mTCP link no object for them.
 *
 * Units     Processors are numbered as the kernel numbers them, from 0.
 * Errors    CoreAffinitize() returns -1 and sets errno.
 * Threads   Any; CoreAffinitize() moves the calling thread.
 */
#ifndef MTCP_UTIL_CPU_H
#define MTCP_UTIL_CPU_H

#ifdef __cplusplus
extern "C" {
#endif

/* Processors that are online; at least 1. */
int GetNumCPUs(void);

/* Runs the calling thread on processor @cpu only. */
int CoreAffinitize(int cpu);

#ifdef __cplusplus
}
#endif

#endif
