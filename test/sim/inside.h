/*
 * inside.h - what a simulation looks at inside of an engine
 *
 * Engine and TCP have private headers of their own, whose names meet: this is
 * the side that knows the engine's.
 */
#ifndef TEST_SIM_INSIDE_H
#define TEST_SIM_INSIDE_H

#include "base/mono.h"

struct engine;
struct tcp_env;

const struct tcp_env *inside_tcp(const struct engine *e);
/* When the engine has something to do, frames apart. */
mono_t inside_due(const struct engine *e);

#endif
