#include "libclient/preload/preload.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

/*
 * The environment of an image that sockets go to.
 *
 * Programs that execute others often give them an environment of their own
 * making (nginx's new binary, inetd, systemd-socket-activate), and what mtcp-run
 * has put into ours is not in it.  An image that gets sockets of ours needs it.
 * Any other gets what its program gave it, and nothing else.
 */

/* What mtcp-run sets, and where mtcpd is. */
static const char *const names[] = {
	CTL_SOCKET_ENV, "MTCP_RUN_RULES", "MTCP_RUN_CONTEXTS",
	"MTCP_RUN_FALLBACK", "MTCP_RUN_EXPLAIN",
};
#define NAMES	(sizeof(names) / sizeof(names[0]))
#define PRELOAD	"LD_PRELOAD"

static char *ours[NAMES];	/* NAME=value, as it was at the start */
static char *library;		/* as LD_PRELOAD has it; NULL: it has not */

static char *join(const char *a, const char *between, const char *b)
{
	size_t n = strlen(a) + strlen(between) + strlen(b) + 1;
	char *s = malloc(n);

	if (s)
		snprintf(s, n, "%s%s%s", a, between, b);
	return s;
}

/* Programs write over what they were given (setproctitle): copies. */
void env_remember(void)
{
	const char *list = getenv(PRELOAD);
	Dl_info info;

	for (size_t i = 0; i < NAMES; i++) {
		const char *value = getenv(names[i]);

		ours[i] = value ? join(names[i], "=", value) : NULL;
	}
	if (list && dladdr((void *)(uintptr_t)env_remember, &info) &&
	    info.dli_fname && strstr(list, info.dli_fname))
		library = strdup(info.dli_fname);
}

/* The value of @name in @env, and where it is; NULL: not in it. */
static const char *value_of(char *const env[], const char *name, size_t *at)
{
	size_t n = strlen(name);

	for (*at = 0; env && env[*at]; ++*at)
		if (!strncmp(env[*at], name, n) && env[*at][n] == '=')
			return env[*at] + n + 1;
	return NULL;
}

static size_t length(char *const env[])
{
	size_t n = 0;

	while (env && env[n])
		n++;
	return n;
}

/* Puts the library before what else is to be loaded. */
static char *preloads(const char *others)
{
	char *list = join(PRELOAD "=", library, others && *others ? ":" : "");
	char *all = list && others ? join(list, others, "") : list;

	if (all != list)
		free(list);
	return all;
}

struct env env_for(char *const given[])
{
	struct env e = { .env = given };
	size_t n = length(given), at;
	const char *others = value_of(given, PRELOAD, &at);
	char **copy;

	if (!library || (others && strstr(others, library)))
		return e;
	copy = calloc(n + NAMES + 2, sizeof(char *));
	if (copy)
		e.made = preloads(others);
	if (!e.made) {
		free(copy);
		return e;
	}
	if (n)
		memcpy(copy, given, n * sizeof(char *));
	copy[others ? at : n++] = e.made;
	for (size_t i = 0; i < NAMES; i++)
		if (ours[i] && !value_of(given, names[i], &at))
			copy[n++] = ours[i];
	e.env = e.copy = copy;
	return e;
}

void env_free(struct env *e)
{
	free(e->copy);
	free(e->made);
}
