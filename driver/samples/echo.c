/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * echo.c - send every frame back to whom it came from, without a copy
 *
 * Use: echo PATH QUEUES [SECONDS]	ends after SECONDS without a frame
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../libps/ps.h"

static struct ps_chunk chunk;

static void swap_addresses(uint8_t *d)
{
	uint8_t a[6];

	memcpy(a, d, 6);
	memcpy(d, d + 6, 6);
	memcpy(d + 6, a, 6);
}

/*
 * Frames echoed, or -errno.  @inside: the last chunk ended within a frame, as a
 * long one's may that was still coming in.
 */
static int echo_queue(struct ps_handle *h, bool *inside)
{
	int n = ps_recv_chunk(h, &chunk, PS_CHUNK_MAX), frames = 0, r;

	for (int i = 0; i < n; i++) {
		struct ps_slot *s = &chunk.packet[i].slot;

		if (!*inside)
			swap_addresses(chunk.packet[i].data);
		*inside = s->flags & PS_F_MORE;
		frames += !*inside;
		s->flags &= PS_F_MORE;
	}
	while (n > 0 && chunk.count) {
		r = ps_send_chunk(h, &chunk);
		if (r < 0)
			return r;
	}
	return n < 0 ? n : frames;
}

int main(int argc, char **argv)
{
	struct ps_handle *h[15];
	bool inside[15] = { false };
	long total = 0, selects = 0, per[15] = { 0 };
	int n = argc > 2 ? atoi(argv[2]) : 0, ready = 0, r = 0;
	int idle_ms = argc > 3 ? atoi(argv[3]) * 1000 : -1;

	if (n < 1 || n > 15) {
		fprintf(stderr, "use: echo PATH QUEUES [SECONDS]\n");
		return 2;
	}
	for (int i = 0; i < n; i++) {
		struct ps_attach a = { .queue = (uint32_t)i };

		r = ps_attach_queue(&h[i], argv[1], &a);
		if (r < 0) {
			fprintf(stderr, "echo: %s queue %d: %s\n", argv[1], i,
				ps_explain(r));
			return 1;
		}
	}
	printf("echo: ready\n");
	fflush(stdout);
	while (r >= 0 && (ready = ps_select(h, n, -1, idle_ms)) > 0) {
		selects++;
		for (int i = 0; i < n && r >= 0; i++) {
			struct ps_event e;

			if (!(ready & 1 << i))
				continue;
			r = echo_queue(h[i], &inside[i]);
			if (r == 0)
				r = ps_read_event(h[i], &e);
			else if (r > 0)
				per[i] += r;
		}
	}
	for (int i = 0; i < n; i++) {
		const struct ps_head *c = ps_counters(h[i]);

		total += per[i];
		printf("echo: queue %d frames %ld received %llu sent %llu "
		       "dropped %llu bad %llu wakeups %llu state %u\n", i,
		       per[i], (unsigned long long)c->rx_frames,
		       (unsigned long long)c->tx_frames,
		       (unsigned long long)c->rx_dropped,
		       (unsigned long long)c->bad_slots,
		       (unsigned long long)c->wakeups, c->state);
		ps_detach_queue(h[i]);
	}
	printf("echo: total %ld selects %ld end %s\n", total, selects,
	       r < 0 ? strerror(-r) : "idle");
	return r < 0;
}
