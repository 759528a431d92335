/*
 * capture.h - frames on their way from an engine to mtcpctl capture
 *
 *	memfd	| ring of engine 0 | ring of engine 1 | ...	CAPTURE_STRIDE each
 *	ring	| head | tail | records: header, bytes, header, bytes ... |
 *
 * The engine writes records at tail, mtcpctl takes them from head; both count
 * bytes and never wrap.  A record lies in one piece: where the rest of the ring
 * is too short, a record of CAPTURE_SKIP fills it.  What has no room is counted
 * and forgotten: seen = records written + dropped, exactly.
 *
 * Trust     mtcpctl may store anything here.  The engine uses head and tail
 *           only masked and compared: nonsense is a full ring or a wrong file,
 *           never a write outside.  The memfd is sealed against shrinking.
 * Threads   One engine, one mtcpctl.
 */
#ifndef SHM_CAPTURE_H
#define SHM_CAPTURE_H

#include <stdatomic.h>
#include <stdint.h>

#define CAPTURE_RING_BYTES	(4u << 20)	/* of records; a power of two */
#define CAPTURE_HEAD_BYTES	4096u
#define CAPTURE_STRIDE		(CAPTURE_HEAD_BYTES + CAPTURE_RING_BYTES)
#define CAPTURE_PROGRAM_MAX	4096u		/* instructions of a filter */
#define CAPTURE_SNAPLEN_MAX	65536u

struct capture_ring {
	_Alignas(64) _Atomic uint64_t tail;	/* engine stores */
	_Atomic uint64_t seen, dropped;		/* matched; had no room */
	_Alignas(64) _Atomic uint64_t head;	/* mtcpctl stores */
	uint8_t pad[CAPTURE_HEAD_BYTES - 128 + 56];
	unsigned char records[CAPTURE_RING_BYTES];
};
_Static_assert(sizeof(struct capture_ring) == CAPTURE_STRIDE, "shared");

enum capture_way { CAPTURE_IN = 1, CAPTURE_OUT = 2, CAPTURE_SKIP = 3 };

struct capture_record {
	uint32_t bytes;			/* with this header; a multiple of 8 */
	uint32_t captured, wire;	/* of the frame: here, and in all */
	uint8_t way, port;
	uint16_t zero;
	uint64_t at_us;			/* monotonic */
};
_Static_assert(sizeof(struct capture_record) == 24, "shared");

/* One instruction of a classic BPF program, as libpcap makes them. */
struct capture_insn {
	uint16_t code;
	uint8_t jt, jf;
	uint32_t k;
};
_Static_assert(sizeof(struct capture_insn) == 8, "as libpcap's");

#endif
