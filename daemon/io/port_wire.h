/*
 * port_wire.h - two ports joined by an imaginary cable
 *
 *	end 0                    impair[0] >                    end 1
 *	queue 0..n  --tx-->  loss, rate, delay, order  --rx-->  queue 0..m
 *	            <--rx--              < impair[1]   <--tx--
 *
 * Virtual time (this header): both ends live in one process and one thread.
 * The cable knows no clock but the `now` handed to port_rx() and port_tx():
 * a frame sent at now arrives at the first port_rx() whose now has reached its
 * due time, and ops->next_due() names that time.  With the same seed and the
 * same calls the same things happen, so every bug replays.
 *
 *	struct wire_config cfg = { .seed = 7, .impair[0].loss_ppm = 20000 };
 *	wire_create(&w, &cfg);
 *	port_tx(wire_end(w, 0)->queues[0], f, n, now);
 *	now = wire_next_due(w);
 *	port_rx(wire_end(w, 1)->queues[0], f, PORT_BURST, now);
 *
 * Real time (port_wire_shm.c): driver "wire" joins two processes through a
 * file that both map; opened by port_open() with device "PATH:a", "PATH:b",
 * and see there.
 *
 * What an impairment does to a frame, in this order: filter, Gilbert burst
 * loss, random loss, corruption, rate and queue limit, delay with jitter (the
 * order is kept), reordering (a chosen frame comes reorder_us late and is
 * overtaken), duplication (the copy follows at once).  Probabilities are parts
 * per million.
 *
 * Invariant Every frame is in exactly one place: free, held by a user (rx or
 *           alloc made it so), or in flight.  wire_frames_held() and
 *           wire_frames_in_flight() count the last two.
 * Units     Microseconds, bytes of whole Ethernet frames, bits a second.
 * Threads   One for everything of a wire.
 */
#ifndef IO_PORT_WIRE_H
#define IO_PORT_WIRE_H

#include "io/port.h"

#define WIRE_TSO_MAX	65535	/* IP bytes of an uncut frame */
#define WIRE_PPM	1000000

struct wire_impair {
	uint32_t loss_ppm;
	uint32_t duplicate_ppm;
	uint32_t corrupt_ppm;	/* one random byte is changed */
	uint32_t reorder_ppm;
	uint32_t reorder_us;	/* how late a reordered frame comes */
	uint32_t burst_enter_ppm; /* Gilbert: good to bad, a frame ... */
	uint32_t burst_leave_ppm; /* ... and back; all is lost while bad */
	uint32_t delay_us;	/* one way */
	uint32_t jitter_us;	/* delay grows by 0..jitter_us */
	uint64_t rate_bps;	/* 0: no limit */
	uint32_t queue_bytes;	/* waiting for the rate at most; 0: no limit */
};

/* The queue of the receiving end for a frame; result is taken modulo. */
typedef uint32_t wire_steer_fn(void *arg, const struct frame *f);

/* Sees each frame that end @from sends, first of all; false drops it.  May
 * change the bytes. */
typedef bool wire_filter_fn(void *arg, int from, struct frame *f, mono_t now);

struct wire_config {
	uint64_t seed;
	uint16_t queues[2];	/* each end's; 0: 1 */
	uint32_t mtu;		/* 0: 1500 */
	uint32_t caps;		/* PORT_*: what both ends offer.  TX_CSUM: the
				 * cable finishes sums.  RX_CSUM: frames that
				 * were not corrupted come with FRAME_CSUM_OK.
				 * TSO: frames arrive uncut. */
	uint32_t frames;	/* buffers of the whole wire; 0: 4096 */
	uint8_t mac[2][6];	/* 0: 02:00:00:00:00:01 and :02 */
	uint8_t id[2];		/* port ids */
	struct wire_impair impair[2];	/* [0]: of frames that end 0 sends */
	wire_steer_fn *steer;	/* NULL: all to queue 0 */
	void *steer_arg;
	wire_filter_fn *filter;	/* NULL: none */
	void *filter_arg;
};

/* What happened to the frames that end @from sent. */
struct wire_stats {
	uint64_t sent;		/* handed to port_tx() */
	uint64_t delivered;	/* put on the cable, duplicates included */
	uint64_t filtered, lost, burst_lost, corrupted, reordered, duplicated;
	uint64_t queue_dropped;	/* over queue_bytes */
	uint64_t oversize;	/* larger than the cable's MTU: dropped */
};

struct wire;

/* 0, -EINVAL (queues, mtu or frames out of range) or -ENOMEM. */
int wire_create(struct wire **out, const struct wire_config *cfg);

/* Both ports die with the wire; port_close() is not called on them. */
void wire_destroy(struct wire *w);

/* End 0 or 1, as a port. */
struct port *wire_end(struct wire *w, int end);

/* Changes an impairment for the frames sent from now on. */
void wire_set_impair(struct wire *w, int from, const struct wire_impair *im);

/* When the next frame arrives at any queue of either end; MONO_NEVER. */
mono_t wire_next_due(const struct wire *w);

uint32_t wire_frames_in_flight(const struct wire *w);
/* Owned by users of end @end. */
uint32_t wire_frames_held(const struct wire *w, int end);
const struct wire_stats *wire_stats(const struct wire *w, int from);

/*
 * Ready-made steering: the symmetric RSS hash of an IPv4 TCP or UDP frame's
 * 4-tuple (addresses alone otherwise), 0 for what is not IPv4.  @arg is a
 * prepared struct rss (shm/rss.h).
 */
uint32_t wire_steer_rss(void *arg, const struct frame *f);

#endif
