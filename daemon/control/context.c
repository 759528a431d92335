/*
 * Contexts.  The rings of several lie in one slab, or those of one in several
 * slabs when there are many engines; a place is used again after all engines
 * have let go of the context that had it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

bool context_exists(const struct client *cl, uint32_t context)
{
	return context < CONTEXTS_MAX && cl->contexts[context] &&
	       !cl->contexts[context]->ending;
}

/* Populates slabs for more rings and cuts them into places. */
static int add_places(struct client *cl)
{
	uint32_t bytes = context_bytes(cl->control->engine_count);
	uint32_t slabs = (bytes + SLAB_BYTES - 1) / SLAB_BYTES;
	uint32_t more = slabs * SLAB_BYTES / bytes;
	struct ring_place *all;
	int first;

	all = realloc(cl->places, (cl->place_count + more) * sizeof(*all));
	if (!all)
		return -ENOMEM;
	cl->places = all;
	first = segment_grow(cl->control, &cl->segment, slabs);
	if (first < 0)
		return first;
	for (uint32_t i = 0; i < more; i++)
		all[cl->place_count++] = (struct ring_place){
			.offset = (uint64_t)first * SLAB_BYTES +
				  (uint64_t)i * bytes };
	return 0;
}

/* Both ends begin to count at 0; records are never read before they are
 * written, so the slots may keep what they held. */
static void clear_rings(struct client *cl, uint64_t offset)
{
	uint8_t *at = cl->segment.base + offset;

	memset(at, 0, sizeof(struct wake_shared));
	for (uint32_t e = 0; e < cl->control->engine_count; e++) {
		memset(at + context_cmd_ring_offset(e), 0,
		       sizeof(struct ring_shared));
		memset(at + context_event_ring_offset(e), 0,
		       sizeof(struct ring_shared));
	}
}

static int take_place(struct client *cl, uint32_t *place)
{
	for (int tries = 0; tries < 2; tries++) {
		int err;

		for (uint32_t i = 0; i < cl->place_count; i++) {
			if (cl->places[i].used)
				continue;
			cl->places[i].used = true;
			clear_rings(cl, cl->places[i].offset);
			*place = i;
			return 0;
		}
		err = add_places(cl);
		if (err < 0)
			return err;
	}
	return -ENOMEM;
}

static void context_free(struct client *cl, uint32_t number)
{
	struct context *x = cl->contexts[number];

	close(x->wake_wr);
	if (x->wake_rd >= 0)
		close(x->wake_rd);
	cl->places[x->place].used = false;
	free(x);
	cl->contexts[number] = NULL;
	cl->context_count--;
}

static int context_new(struct client *cl, uint32_t number)
{
	struct context *x = calloc(1, sizeof(*x));
	int ends[2], err;

	if (!x)
		return -ENOMEM;
	err = take_place(cl, &x->place);
	if (err < 0)
		goto fail;
	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0) {
		err = -errno;
		cl->places[x->place].used = false;
		goto fail;
	}
	x->wake_rd = ends[0];
	x->wake_wr = ends[1];
	cl->contexts[number] = x;
	cl->context_count++;
	return 0;

fail:
	free(x);
	return err;
}

static void context_undone(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	context_free(cl, cl->op_context);
	client_fail(cl, cl->op_error, "an engine cannot take one more context: "
		    "%s", strerror(cl->op_error));
}

/* Those engines that did take it let go again. */
static void context_undo(struct client *cl, int error)
{
	struct mail m = { .type = MAIL_CONTEXT_DEL };

	cl->op_error = error;
	cl->contexts[cl->op_context]->ending = true;
	m.context.client = cl->slot;
	m.context.context = cl->op_context;
	op_ask_all(cl->control, &cl->op, &m, context_undone);
}

static void context_known(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct context *x = cl->contexts[cl->op_context];
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error) {
		context_undo(cl, -op->error);
		return;
	}
	r.context.context = cl->op_context;
	r.context.rings_offset = cl->places[x->place].offset;
	client_reply(cl, &r, &x->wake_rd, 1);
	close(x->wake_rd);
	x->wake_rd = -1;
}

/* The first blocks come with the first context, the rest when wanted. */
static void first_blocks(struct client *cl)
{
	for (uint32_t e = 0; e < cl->control->engine_count; e++)
		attach_want_slab(cl->control, cl->slot, e, BLOCK_SMALL);
}

void context_request(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	struct mail m = { .type = MAIL_CONTEXT_ADD };
	uint32_t number = 0;
	int err;

	if (cl->context_count >= c->cfg->limits.contexts) {
		client_fail(cl, EMFILE, "a program may have %u contexts "
			    "([limits] contexts in mtcpd.conf)",
			    c->cfg->limits.contexts);
		return;
	}
	while (cl->contexts[number])
		number++;
	if (!cl->place_count)
		first_blocks(cl);
	err = context_new(cl, number);
	if (err < 0) {
		client_fail(cl, -err, "no room for the rings of one more "
			    "context: %s", strerror(-err));
		return;
	}
	cl->op_context = number;
	m.context.client = cl->slot;
	m.context.context = number;
	m.context.rings_offset = cl->places[cl->contexts[number]->place].offset;
	m.context.wake_wr = cl->contexts[number]->wake_wr;
	m.context.home = req->context.home < c->engine_count ?
			 req->context.home : ~0u;
	op_ask_all(c, &cl->op, &m, context_known);
}

static void context_ended(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	context_free(cl, cl->op_context);
	client_reply(cl, &r, NULL, 0);
}

void context_end_request(struct client *cl, const struct ctl_request *req)
{
	struct mail m = { .type = MAIL_CONTEXT_DEL };
	uint32_t number = req->context_end.context;

	if (!context_exists(cl, number)) {
		client_fail(cl, EINVAL, "there is no context %u", number);
		return;
	}
	listeners_leave(cl, number);
	cl->contexts[number]->ending = true;
	cl->op_context = number;
	m.context.client = cl->slot;
	m.context.context = number;
	op_ask_all(cl->control, &cl->op, &m, context_ended);
}

void contexts_free(struct client *cl)
{
	for (uint32_t i = 0; i < CONTEXTS_MAX; i++)
		if (cl->contexts[i])
			context_free(cl, i);
	free(cl->places);
	cl->places = NULL;
	cl->place_count = 0;
}
