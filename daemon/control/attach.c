#define LOG_FACILITY LOG_FAC_CLIENT

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/log.h"
#include "control/account.h"
#include "control/control.h"

#define SLABS_MIN	8u	/* header, rings, and both classes for engines */

/* Checks HELLO; 0, or an errno after the client was told. */
static int check_hello(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	uint32_t version = req->hello.version;

	if (req->hello.magic != LAYOUT_MAGIC) {
		client_fail(cl, EPROTO, "this is no libmtcpclient: HELLO has a "
			    "wrong magic number");
		return EPROTO;
	}
	if (version != LAYOUT_VERSION && version + 1 != LAYOUT_VERSION) {
		client_fail(cl, EPROTONOSUPPORT, "mtcpd speaks layout version "
			    "%u, the program %u: install the libmtcpclient of "
			    "this mtcpd", LAYOUT_VERSION, version);
		return EPROTONOSUPPORT;
	}
	cl->layout = version;
	if (c->client_count >= c->cfg->limits.clients) {
		c->counters.refused++;
		client_fail(cl, EUSERS, "%u programs are attached already "
			    "([limits] clients in mtcpd.conf)",
			    c->client_count);
		return EUSERS;
	}
	return 0;
}

/* The client's share: what it wants, within the quota. */
static uint32_t slabs_for(const struct client *cl, uint64_t wanted)
{
	uint64_t slabs = cl->quota_memory / SLAB_BYTES;

	if (wanted && wanted / SLAB_BYTES < slabs)
		slabs = wanted / SLAB_BYTES;
	if (slabs > SEGMENT_SLABS_MAX)
		slabs = SEGMENT_SLABS_MAX;
	return slabs < SLABS_MIN ? SLABS_MIN : (uint32_t)slabs;
}

static uint32_t free_slot(const struct control *c)
{
	for (uint32_t slot = 1; slot < TCP_CLIENTS_MAX; slot++)
		if (!c->by_slot[slot])
			return slot;
	return 0;
}

static int make_pipes(struct client *cl)
{
	for (uint32_t e = 0; e < cl->control->engine_count; e++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
			return -errno;
		cl->wake_rd[e] = ends[0];
		cl->wake_wr[e] = ends[1];
	}
	return 0;
}

static int make_arenas(struct client *cl)
{
	uint32_t engines = cl->control->engine_count;

	cl->arenas = calloc(engines, sizeof(*cl->arenas));
	if (!cl->arenas)
		return -ENOMEM;
	for (uint32_t e = 0; e < engines; e++)
		if (arena_init(&cl->arenas[e], cl->segment.base,
			       cl->segment.slabs) < 0)
			return -ENOMEM;
	return 0;
}

static void answer_hello(struct client *cl)
{
	struct control *c = cl->control;
	struct ctl_reply r = { .hello = {
		.version = cl->layout, .client = cl->id,
		.engines = c->engine_count, .slabs = cl->segment.slabs,
		.daemon_start_us = c->start_us, .family = cl->family,
		.flags = CTL_HELLO_SLEEPERS | CTL_HELLO_BROTHERS |
			 (policy_asks_bind(cl) ? CTL_HELLO_ASK_BIND : 0) } };
	int fds[1 + ENGINES_MAX] = { cl->segment.fd };

	memcpy(r.hello.rss_key, c->rss_key, sizeof(r.hello.rss_key));
	for (uint32_t e = 0; e < 16; e++)
		r.hello.engine_cpu[e] = ~0u;
	for (uint32_t e = 0; e < c->engine_count; e++) {
		if (c->placement.cpu[e] >= 0)
			r.hello.engine_cpu[e] = (uint32_t)c->placement.cpu[e];
		fds[1 + e] = cl->wake_wr[e];
	}
	client_reply(cl, &r, fds, 1 + c->engine_count);
	for (uint32_t e = 0; e < c->engine_count; e++) {
		if (cl->wake_wr[e] >= 0)
			close(cl->wake_wr[e]);
		cl->wake_wr[e] = -1;
	}
}

static void engines_know(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error) {
		client_fail(cl, ENOMEM, "an engine cannot take the program: %s",
			    strerror(-op->error));
		client_let_go(cl, DETACH_ADMIN);
		return;
	}
	answer_hello(cl);
}

static void tell_engines(struct client *cl)
{
	struct control *c = cl->control;
	struct mail m = { .type = MAIL_CLIENT_ADD };

	op_open_all(c, &cl->op, &m, engines_know);
	for (uint32_t e = 0; e < c->engine_count; e++) {
		m.client.slot = cl->slot;
		m.client.slabs = cl->segment.slabs;
		m.client.segment = cl->segment.base;
		m.client.arena = &cl->arenas[e];
		m.client.wake_rd = cl->wake_rd[e];
		m.client.quota_conns = cl->quota_conns;
		m.client.policy = cl->policy_name[0] ? &cl->policy : NULL;
		m.client.account = cl->account;
		engines_tell(c, e, &m);
	}
}

static void take_slot(struct client *cl, uint32_t slot)
{
	struct control *c = cl->control;

	event_del(cl->late);
	cl->state = CLIENT_ATTACHED;
	cl->slot = slot;
	stats_client_bytes(c, slot, &cl->base_in, &cl->base_out);
	cl->id = c->next_client++ * TCP_CLIENTS_MAX + slot;
	c->by_slot[slot] = cl;
	c->client_count++;
	c->pending_count--;
	c->counters.attached++;
	hole_watch(slot, cl->segment.base,
		   (uint64_t)cl->segment.slabs * SLAB_BYTES);
}

/* Who knows a family's number is of it.  A child outlives the parent that
 * opened its socket, so only the hang-up tells of its death. */
static int take_family(struct client *cl, const struct ctl_request *req)
{
	cl->family = req->hello.family;
	while (!cl->family)
		if (getrandom(&cl->family, sizeof(cl->family), 0) !=
		    (ssize_t)sizeof(cl->family)) {
			client_fail(cl, ENOMEM, "no random numbers");
			return ENOMEM;
		}
	if (req->hello.flags & CTL_HELLO_CHILD && cl->died)
		event_del(cl->died);
	return 0;
}

static void take_name(struct client *cl, const char name[32])
{
	for (int i = 0; i < 31 && name[i]; i++)
		cl->name[i] = name[i] > ' ' && name[i] < 127 ? name[i] : '_';
}

void attach_hello(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	char text[CTL_TEXT_BYTES];
	uint32_t slot = free_slot(c);
	int err;

	if (check_hello(cl, req) || policy_attach(cl) || take_family(cl, req))
		return;
	take_name(cl, req->hello.name);
	if (!slot) {
		client_fail(cl, EUSERS, "no slot is free for one more program");
		return;
	}
	err = segment_open(c, &cl->segment,
			   slabs_for(cl, req->hello.segment_bytes), cl->account,
			   cl->name, text);
	if (err == -EDQUOT) {
		policy_no_memory(cl);
		return;
	}
	if (err < 0) {
		client_fail(cl, -err, "%s", text);
		return;
	}
	err = make_pipes(cl);
	if (err == 0)
		err = make_arenas(cl);
	if (err < 0) {
		client_fail(cl, -err, "mtcpd cannot attach one more program: "
			    "%s", strerror(-err));
		client_let_go(cl, DETACH_ADMIN);
		return;
	}
	take_slot(cl, slot);
	log_event(LOG_EV_ATTACHED, LOG_LEVEL_INFO,
		  "client %u: %s attached (pid %d, uid %u, %lu MiB%s)", slot,
		 cl->name[0] ? cl->name : "?", (int)cl->pid, cl->uid,
		 (unsigned long)cl->segment.slabs * (SLAB_BYTES >> 20),
		 cl->segment.huge ? ", huge pages" : "");
	tell_engines(cl);
}

/* ---- more blocks ---- */

static int add_slab(struct client *cl, uint32_t engine, uint32_t cls)
{
	struct control *c = cl->control;
	uint32_t bytes = slab_meta_bytes((enum block_class)cls);
	struct mail m = { .type = MAIL_SLAB_ADD };
	void *meta = engine_node_alloc(c, engine, bytes);
	int slab;

	if (!meta)
		return -ENOMEM;
	slab = segment_grow(c, &cl->segment, 1);
	if (slab < 0) {
		engine_node_free(meta, bytes);
		return slab;
	}
	cl->segment.slab[slab] = (struct client_slab){
		.meta = meta, .meta_bytes = bytes, .cls = (uint8_t)cls };
	/* Read by the client before any record names a block of the slab. */
	__atomic_store_n(cl->segment.base + SLAB_CLASSES_OFFSET + slab,
			 (uint8_t)cls, __ATOMIC_RELEASE);
	m.slab.client = cl->slot;
	m.slab.slab = (uint32_t)slab;
	m.slab.cls = cls;
	m.slab.meta = meta;
	engines_tell(c, engine, &m);
	return 0;
}

/* No answer: the engine asks again while it is in need. */
static void deny_slab(struct client *cl, int err)
{
	cl->control->counters.slabs_denied++;
	if (cl->account)
		cl->account->denied++;
	if (cl->slabs_denied++ == 0)
		log_event(LOG_EV_QUOTA, LOG_LEVEL_INFO,
			  "client %u (%s): no more memory for it: %s", cl->slot,
			 cl->name, err == -EDQUOT ?
			 "its quota is used (memory of [limits] or of its "
			 "[policy] in mtcpd.conf)" :
			 strerror(-err));
}

void attach_want_slab(struct control *c, uint32_t slot, uint32_t engine,
		      uint32_t cls)
{
	struct client *cl = client_by_slot(c, slot);
	int err;

	if (!cl || cl->state != CLIENT_ATTACHED || cls >= BLOCK_CLASSES ||
	    engine >= c->engine_count)
		return;
	err = add_slab(cl, engine, cls);
	if (err < 0) {
		cl->denied[engine] |= (uint8_t)(1u << cls);
		deny_slab(cl, err);
	} else {
		cl->denied[engine] &= (uint8_t)~(1u << cls);
	}
}

void attach_retry_slabs(struct control *c)
{
	for (const struct client *cl = c->clients; cl; cl = cl->next)
		for (uint32_t e = 0; e < c->engine_count; e++)
			for (uint32_t cls = 0; cls < BLOCK_CLASSES; cls++)
				if (cl->denied[e] & 1u << cls)
					attach_want_slab(c, cl->slot, e, cls);
}
