/*
 * bpf.h - classic BPF: does a frame match a filter?
 *
 * Programs come from mtcpctl, compiled by libpcap, and are checked before any
 * engine sees them: they only jump forward and end in a return, so a run takes
 * at most as many steps as there are instructions; loads outside of the frame
 * reject it; scratch memory and divisors are checked.
 *
 * Pure.
 */
#ifndef ENGINE_BPF_H
#define ENGINE_BPF_H

#include <stdbool.h>
#include <stdint.h>

#include "shm/capture.h"

bool bpf_check(const struct capture_insn *program, uint32_t count);

/* @len bytes at @frame; bytes to be captured, 0: it does not match.  Only of
 * checked programs. */
uint32_t bpf_run(const struct capture_insn *program, const uint8_t *frame,
		 uint32_t len);

#endif
