/*
 * capture.h - frames are copied to mtcpctl capture while one runs
 *
 *	port_rx --> burst --+--> the stack	port_tx <-- burst <--+
 *			    |						     |
 *			    +--> filter --> ring (shm/capture.h) <-----------+
 *
 * Control makes the job and tells each engine by MAIL_CAPTURE; the engine uses
 * it until it has answered the MAIL_CAPTURE that takes it away.  Without a job
 * a burst costs one comparison.
 *
 * What is sent is captured as it will be on the wire: sums that the port would
 * finish are finished in the copy.  A frame that the port cuts (TSO) is seen
 * whole, as the kernel's tcpdump does.
 *
 * Threads   The engine writes its ring; the job is immutable meanwhile.
 */
#ifndef ENGINE_CAPTURE_H
#define ENGINE_CAPTURE_H

#include <stdint.h>

#include "base/mono.h"
#include "io/frame.h"
#include "shm/capture.h"

struct capture_job {
	struct capture_ring *ring[16];	/* by engine */
	uint32_t snaplen;
	struct capture_insn program[CAPTURE_PROGRAM_MAX];	/* checked */
};

/* Frames of one burst into ring @engine of @job. */
void capture_frames(const struct capture_job *job, uint32_t engine,
		    struct frame *const *frames, int count,
		    enum capture_way way, mono_t now);

#endif
