/*
 * client_kit.h - the opening of the client library's tests: a daemon of paper,
 * one context of cpu 1, whose engine is 1, and connections to 10.0.0.2:80
 *
 * What goes wrong here fails the test that calls.
 */
#ifndef TEST_CLIENT_KIT_H
#define TEST_CLIENT_KIT_H

#include "client_fake.h"
#include "libclient/client.h"

#define KIT_ENGINE	1u

mctx_t kit_begin(struct fake *f);
void kit_end(struct fake *f, mctx_t m);

/* A new socket whose non-blocking connect() is under way. */
int kit_connect(mctx_t m);
/* The cookie of @s. */
uint32_t kit_cookie(mctx_t m, int s);
/* The engine says that @s is connected, as @sock; its commands are skipped. */
void kit_connected(struct fake *f, mctx_t m, int s, uint64_t sock,
		   uint32_t limit);

#endif
