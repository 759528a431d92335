#include "base/line.h"
#include "engine/mailbox.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>


#define LINE		64
#define BELL_SHIFT	32	/* bells are bits 32.., mail is bits 0..31 */
#define SENDERS_MAX	32

struct mail_ring {
	_Alignas(LINE) _Atomic uint32_t tail;	/* sender stores */
	_Alignas(LINE) _Atomic uint32_t head;	/* receiver stores */
	struct mail *slots;
};

/*
 * `rung` gathers in one word who has published, so that an engine with
 * nothing to read looks at one line a loop.  A sender publishes, sets its
 * bit, then looks at `asleep`; the receiver sets `asleep`, then looks at
 * `rung`.  All four are sequentially consistent: one of the two sees the other.
 */
struct mailbox {
	_Alignas(LINE) _Atomic uint64_t rung;
	_Alignas(LINE) _Atomic uint32_t asleep;
	_Alignas(LINE) uint64_t seen;	/* receiver's: rung and not yet empty */
	uint32_t senders, mask;
	int fd;				/* eventfd, non-blocking */
	struct mail *slots;
	struct mail_ring rings[];
};

static const char *const reason_names[] = {
	[DETACH_NONE] = "none",
	[DETACH_EXIT] = "exit",
	[DETACH_RING_BROKEN] = "ring broken",
	[DETACH_BAD_RECORD] = "bad record",
	[DETACH_BAD_BLOCK] = "bad block",
	[DETACH_BAD_HANDLE] = "bad handle",
	[DETACH_BAD_COUNT] = "bad count",
	[DETACH_HOLE] = "hole in its segment",
	[DETACH_ADMIN] = "administrator",
	[DETACH_SHUTDOWN] = "shutdown",
};
_Static_assert(sizeof(reason_names) / sizeof(reason_names[0]) ==
	       DETACH_REASONS, "a name each");

const char *detach_reason_name(uint32_t reason)
{
	return reason < DETACH_REASONS ? reason_names[reason] : "unknown";
}

int mailbox_open(struct mailbox **out, uint32_t senders, uint32_t slots)
{
	size_t bytes = sizeof(struct mailbox) +
		       senders * sizeof(struct mail_ring);
	struct mailbox *m;

	if (senders == 0 || senders > SENDERS_MAX || slots == 0 ||
	    (slots & (slots - 1)))
		return -EINVAL;
	m = line_alloc(bytes);
	if (!m)
		return -ENOMEM;
	m->slots = calloc((size_t)senders * slots, sizeof(*m->slots));
	m->fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (!m->slots || m->fd < 0) {
		int err = m->slots ? -errno : -ENOMEM;

		mailbox_close(m);
		return err;
	}
	m->senders = senders;
	m->mask = slots - 1;
	for (uint32_t i = 0; i < senders; i++)
		m->rings[i].slots = m->slots + (size_t)i * slots;
	*out = m;
	return 0;
}

void mailbox_close(struct mailbox *m)
{
	if (!m)
		return;
	if (m->fd >= 0)
		close(m->fd);
	free(m->slots);
	free(m);
}

/* Sets @bit and wakes the receiver if it sleeps; a burst costs one write. */
static void ring_bit(struct mailbox *m, uint32_t bit)
{
	uint64_t one = 1;
	ssize_t n;

	atomic_fetch_or(&m->rung, 1ull << bit);
	if (!atomic_load(&m->asleep) || !atomic_exchange(&m->asleep, 0))
		return;
	n = write(m->fd, &one, sizeof(one));
	(void)n;		/* EAGAIN: the counter is far from empty */
}

int mail_send(struct mailbox *m, uint32_t from, const struct mail *mail)
{
	struct mail_ring *r = &m->rings[from];
	uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
	uint32_t head = atomic_load_explicit(&r->head, memory_order_acquire);

	if (tail - head > m->mask)
		return -EAGAIN;
	r->slots[tail & m->mask] = *mail;
	atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
	ring_bit(m, from);
	return 0;
}

/* Gathers what was rung; the exchange pairs with ring_bit()'s fetch_or. */
static uint64_t look(struct mailbox *m)
{
	if (atomic_load_explicit(&m->rung, memory_order_relaxed))
		m->seen |= atomic_exchange(&m->rung, 0);
	return m->seen;
}

int mail_receive(struct mailbox *m, struct mail *out)
{
	uint32_t waiting;

	while ((waiting = (uint32_t)look(m)) != 0) {
		uint32_t from = (uint32_t)__builtin_ctz(waiting);
		struct mail_ring *r = &m->rings[from];
		uint32_t head = atomic_load_explicit(&r->head,
						     memory_order_relaxed);

		if (head != atomic_load_explicit(&r->tail,
						 memory_order_acquire)) {
			*out = r->slots[head & m->mask];
			atomic_store_explicit(&r->head, head + 1,
					      memory_order_release);
			return 1;
		}
		m->seen &= ~(1ull << from);
	}
	return 0;
}

void mailbox_ring(struct mailbox *m, uint32_t bell)
{
	ring_bit(m, BELL_SHIFT + bell);
}

uint32_t mailbox_take_bells(struct mailbox *m)
{
	uint32_t bells = (uint32_t)(look(m) >> BELL_SHIFT);

	m->seen &= UINT32_MAX;
	return bells;
}

int mailbox_arm(struct mailbox *m)
{
	atomic_store(&m->asleep, 1);
	m->seen |= atomic_exchange(&m->rung, 0);
	return m->seen != 0;
}

void mailbox_disarm(struct mailbox *m)
{
	uint64_t count;
	ssize_t n;

	if (atomic_exchange(&m->asleep, 0))
		return;		/* nobody rang: nothing was written */
	n = read(m->fd, &count, sizeof(count));
	(void)n;		/* EAGAIN: the write is still to come */
}

int mailbox_fd(const struct mailbox *m)
{
	return m->fd;
}
