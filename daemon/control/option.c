/*
 * option.c - what is rare about sockets: options of listeners, TCP_INFO
 *
 *	OPTION -> every engine     INFO -> the engine that the handle names
 *	PORT   -> the configuration
 */
#include <errno.h>
#include <string.h>

#include "control/control.h"
#include "shm/cmd.h"
#include "shm/record.h"

/* ---- OPTION ---- */

static void option_done(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error)
		client_fail(cl, -op->error, "the listener's option: %s",
			    strerror(-op->error));
	else
		client_reply(cl, &r, NULL, 0);
}

void option_request(struct client *cl, const struct ctl_request *req)
{
	struct control *c = cl->control;
	struct listener *l = listener_by_id(c, req->option.listener);
	struct mail m = { .type = MAIL_OPTION };

	if (req->option.name == 0 || req->option.name >= CMD_OPTS) {
		client_fail(cl, ENOPROTOOPT, "there is no option %u",
			    req->option.name);
		return;
	}
	if (!l || req->option.context >= CONTEXTS_MAX ||
	    listener_member(l, cl, req->option.context) < 0) {
		client_fail(cl, EINVAL, "context %u does not listen there",
			    req->option.context);
		return;
	}
	m.option.id = l->id;
	m.option.client = cl->slot;
	m.option.context = req->option.context;
	m.option.name = req->option.name;
	m.option.value = req->option.value;
	op_ask_all(c, &cl->op, &m, option_done);
}

/* ---- INFO ---- */

static void info_done(struct control *c, struct op *op)
{
	struct client *cl = client_of(op);
	struct ctl_reply r = { 0 };

	(void)c;
	if (cl->state == CLIENT_LEAVING)
		return;
	if (op->error) {
		client_fail(cl, -op->error, "there is no such socket");
		return;
	}
	r.known = cl->op_info;
	client_reply(cl, &r, NULL, 0);
}

/* What a socket has that nobody told anything. */
static void info_default(struct client *cl)
{
	struct ctl_reply r = { 0 };
	int cc = tcp_cc_find(cl->control->cfg->tcp.cc);

	r.known.info.state = 7;		/* Linux's CLOSED */
	r.known.cc = cc < 0 ? CMD_CC_CUBIC : (uint32_t)cc;
	client_reply(cl, &r, NULL, 0);
}

void info_request(struct client *cl, const struct ctl_request *req)
{
	struct mail m = { .type = MAIL_INFO };

	if (req->info.sock == HANDLE_NONE) {
		info_default(cl);
		return;
	}
	m.info.sock = req->info.sock;
	m.info.client = cl->slot;
	m.info.out = &cl->op_info;
	client_ask_owner(cl, req->info.sock, ENOENT, &m, info_done);
}

/* ---- PORT ---- */

void port_request(struct client *cl, const struct ctl_request *req)
{
	const struct config *cfg = cl->control->cfg;
	char name[sizeof(req->port.name)];
	struct ctl_reply r = { 0 };
	int id;

	memcpy(name, req->port.name, sizeof(name));
	name[sizeof(name) - 1] = '\0';
	id = config_port_id(cfg, name);
	if (id < 0) {
		client_fail(cl, ENODEV, "mtcpd has no port of that name");
		return;
	}
	r.port.port = (uint32_t)id;
	client_reply(cl, &r, NULL, 0);
}
