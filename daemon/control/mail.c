#include "control/mail.h"

#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "control/control.h"

#define MAILBOX_SLOTS	1024	/* from one engine */
#define MAIL_A_TURN	4096	/* then other events get their turn */
#define RETRY_US	1000	/* while an engine's ring is full */

/* ---- to engines ---- */

static void queue_push(struct mail_queue *q, const struct mail *mail)
{
	if (q->count == q->size) {
		uint32_t size = q->size ? q->size * 2 : 64;
		struct mail *all = calloc(size, sizeof(*all));

		ENSURE(all, "control has memory for a message to an engine");
		for (uint32_t i = 0; i < q->count; i++)
			all[i] = q->mail[(q->first + i) % q->size];
		free(q->mail);
		*q = (struct mail_queue){ .mail = all, .size = size,
					  .count = q->count };
	}
	q->mail[(q->first + q->count++) % q->size] = *mail;
}

static bool flush(struct control *c, uint32_t e)
{
	struct mail_queue *q = &c->queues[e];

	while (q->count && mail_send(engine_mailbox(c->engines[e]),
				     c->engine_count, &q->mail[q->first]) == 0) {
		q->first = (q->first + 1) % q->size;
		q->count--;
	}
	return q->count == 0;
}

static void flush_all(struct control *c)
{
	bool empty = true;
	struct timeval soon = { .tv_usec = RETRY_US };

	for (uint32_t e = 0; e < c->engine_count; e++)
		empty &= flush(c, e);
	if (!empty)
		event_add(c->retry_event, &soon);
}

void engines_tell(struct control *c, uint32_t engine, const struct mail *mail)
{
	queue_push(&c->queues[engine], mail);
	if (!flush(c, engine))
		flush_all(c);
}

void engines_tell_all(struct control *c, const struct mail *mail)
{
	for (uint32_t e = 0; e < c->engine_count; e++)
		engines_tell(c, e, mail);
}

/* ---- questions ---- */

static void op_open(struct control *c, struct op *op, struct mail *mail,
		    uint32_t answers,
		    void (*done)(struct control *, struct op *))
{
	ENSURE(!op->tag, "a question is asked again only after its answer");
	if (++c->next_tag == 0)
		c->next_tag = 1;
	*op = (struct op){ .next = c->ops, .tag = c->next_tag,
			   .waiting = answers, .done = done };
	c->ops = op;
	mail->tag = op->tag;
}

void op_ask(struct control *c, struct op *op, uint32_t engine,
	    struct mail *mail, void (*done)(struct control *, struct op *))
{
	op_open(c, op, mail, 1, done);
	engines_tell(c, engine, mail);
}

void op_open_all(struct control *c, struct op *op, struct mail *mail,
		 void (*done)(struct control *, struct op *))
{
	op_open(c, op, mail, c->engine_count, done);
}

void op_ask_all(struct control *c, struct op *op, struct mail *mail,
		void (*done)(struct control *, struct op *))
{
	op_open_all(c, op, mail, done);
	engines_tell_all(c, mail);
}

static void op_answered(struct control *c, const struct mail *m)
{
	struct op **at = &c->ops, *op;

	while (*at && (*at)->tag != m->tag)
		at = &(*at)->next;
	op = *at;
	if (!op) {
		log_debug("an engine answered question %u, which nobody asked",
			  m->tag);
		return;
	}
	if (m->done.error && !op->error)
		op->error = m->done.error > 0 ? -m->done.error : m->done.error;
	op->count = m->done.count;
	op->cursor = m->done.cursor;
	if (--op->waiting)
		return;
	*at = op->next;
	op->tag = 0;
	op->done(c, op);
}

/* ---- from engines ---- */

static void dispatch_mail(struct control *c, const struct mail *m)
{
	switch (m->type) {
	case MAIL_DONE:
		op_answered(c, m);
		break;
	case MAIL_WANT_SLAB:
		attach_want_slab(c, m->slab.client, m->slab.slab, m->slab.cls);
		break;
	case MAIL_CLIENT_BAD:
		client_mail_bad(c, m->bad.slot, m->bad.reason);
		break;
	case MAIL_CLIENT_GONE:
		client_mail_gone(c, m->client.slot);
		break;
	case MAIL_STOPPED:
		stop_mail_stopped(c);
		break;
	default:
		log_debug("unexpected mail %u from an engine", m->type);
	}
}

/* The box is left armed, so that the next message makes it readable. */
static void mail_readable(int fd, short what, void *arg)
{
	struct control *c = arg;
	struct mail m;
	uint32_t turn = 0;

	(void)fd;
	(void)what;
	mailbox_disarm(c->mailbox);
	do {
		while (turn < MAIL_A_TURN && mail_receive(c->mailbox, &m)) {
			dispatch_mail(c, &m);
			turn++;
		}
		if (turn >= MAIL_A_TURN) {
			event_active(c->mail_event, EV_READ, 0);
			break;
		}
	} while (mailbox_arm(c->mailbox));
	flush_all(c);
}

static void retry(int fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	flush_all(arg);
}

void mail_open(struct control *c, uint32_t engines)
{
	int err = mailbox_open(&c->mailbox, engines, MAILBOX_SLOTS);

	if (err < 0)
		log_fatalx("cannot make the mailbox of the control thread: %s",
			   strerror(-err));
	c->queues = calloc(engines, sizeof(*c->queues));
	c->mail_event = event_new(c->base, mailbox_fd(c->mailbox),
				  EV_READ | EV_PERSIST, mail_readable, c);
	c->retry_event = event_new(c->base, -1, 0, retry, c);
	if (!c->queues || !c->mail_event || !c->retry_event)
		log_fatalx("out of memory at start");
	event_add(c->mail_event, NULL);
	if (mailbox_arm(c->mailbox))
		event_active(c->mail_event, EV_READ, 0);
}

void mail_close(struct control *c)
{
	event_free(c->mail_event);
	event_free(c->retry_event);
	for (uint32_t e = 0; e < c->engine_count; e++)
		free(c->queues[e].mail);
	free(c->queues);
	mailbox_close(c->mailbox);
}
