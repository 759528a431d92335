/*
 * mail.h - control's side of the mailboxes (mail.c); the rest is control.h's
 *
 * Mail to an engine stays in order: once one message waits in an engine's
 * queue, all later ones do.
 *
 * Threads   Control.
 */
#ifndef CONTROL_MAIL_H
#define CONTROL_MAIL_H

#include "engine/mailbox.h"

struct control;

struct mail_queue {		/* to one engine: what its ring had no room for */
	struct mail *mail;	/* circular */
	uint32_t size, first, count;
};

/* Makes our mailbox and queues and watches it / forgets them. */
void mail_open(struct control *c, uint32_t engines);
void mail_close(struct control *c);

#endif
