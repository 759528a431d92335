/* tcp/tcp_state.c: every state with every event (RFC 9293 3.3.2, 3.10). */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "tcp/tcb.h"
#include "tcp/tcp_state.h"

/* What can happen; all else cannot. */
static const struct {
	enum tcp_state from;
	enum tcp_transition what;
	enum tcp_state to;
} moves[] = {
	{ TCP_CLOSED, TCP_DO_CONNECT, TCP_SYN_SENT },
	{ TCP_CLOSED, TCP_DO_ACCEPT, TCP_ESTABLISHED },
	{ TCP_CLOSED, TCP_DO_SYN_DATA, TCP_SYN_RECEIVED },
	{ TCP_CLOSED, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_SYN_SENT, TCP_DO_SYN, TCP_SYN_RECEIVED },
	{ TCP_SYN_SENT, TCP_DO_SYN_ACKED, TCP_ESTABLISHED },
	{ TCP_SYN_SENT, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_SYN_RECEIVED, TCP_DO_SYN_ACKED, TCP_ESTABLISHED },
	{ TCP_SYN_RECEIVED, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_ESTABLISHED, TCP_DO_CLOSE, TCP_FIN_WAIT_1 },
	{ TCP_ESTABLISHED, TCP_DO_FIN, TCP_CLOSE_WAIT },
	{ TCP_ESTABLISHED, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_FIN_WAIT_1, TCP_DO_FIN, TCP_CLOSING },
	{ TCP_FIN_WAIT_1, TCP_DO_FIN_ACKED, TCP_FIN_WAIT_2 },
	{ TCP_FIN_WAIT_1, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_FIN_WAIT_2, TCP_DO_FIN, TCP_TIME_WAIT },
	{ TCP_FIN_WAIT_2, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_CLOSE_WAIT, TCP_DO_CLOSE, TCP_LAST_ACK },
	{ TCP_CLOSE_WAIT, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_CLOSING, TCP_DO_FIN_ACKED, TCP_TIME_WAIT },
	{ TCP_CLOSING, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_LAST_ACK, TCP_DO_FIN_ACKED, TCP_CLOSED },
	{ TCP_LAST_ACK, TCP_DO_RESET, TCP_CLOSED },
	{ TCP_TIME_WAIT, TCP_DO_RESET, TCP_CLOSED },
};
#define MOVES	(sizeof(moves) / sizeof(moves[0]))

/* TCP_STATES: cannot happen. */
static enum tcp_state expected(int from, int what)
{
	for (size_t i = 0; i < MOVES; i++)
		if ((int)moves[i].from == from && (int)moves[i].what == what)
			return moves[i].to;
	return TCP_STATES;
}

static void test_table(void **state)
{
	(void)state;
	for (int s = 0; s < TCP_STATES; s++)
		for (int e = 0; e < TCP_TRANSITIONS; e++)
			assert_int_equal(
				tcp_state_next((enum tcp_state)s,
					       (enum tcp_transition)e),
				expected(s, e));
}

static void test_set(void **state)
{
	struct tcb t;

	(void)state;
	memset(&t, 0, sizeof(t));
	for (size_t i = 0; i < MOVES; i++) {
		t.state = (uint8_t)moves[i].from;
		tcp_state_set(&t, moves[i].what);
		assert_int_equal(t.state, moves[i].to);
	}
}

/* In a child: an impossible move ends the program, by SIGABRT. */
static void set_in_child(int from, int what)
{
	static const struct rlimit no_core = { 0, 0 };
	pid_t pid = fork();
	struct tcb t;
	int status;

	assert_true(pid >= 0);
	if (pid == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		close(STDERR_FILENO);
		memset(&t, 0, sizeof(t));
		t.state = (uint8_t)from;
		tcp_state_set(&t, (enum tcp_transition)what);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

static void test_impossible(void **state)
{
	(void)state;
	for (int s = 0; s < TCP_STATES; s++)
		for (int e = 0; e < TCP_TRANSITIONS; e++)
			if (expected(s, e) == TCP_STATES)
				set_in_child(s, e);
}

/* Everything that lives can be reset, and what is closed can be opened. */
static void test_ways_out(void **state)
{
	(void)state;
	for (int s = 0; s < TCP_STATES; s++)
		if (s != TCP_LISTEN)
			assert_int_equal(tcp_state_next((enum tcp_state)s,
							TCP_DO_RESET),
					 TCP_CLOSED);
}

static void test_names(void **state)
{
	(void)state;
	for (int s = 0; s < TCP_STATES; s++)
		for (int other = 0; other < s; other++)
			assert_string_not_equal(tcp_state_name((uint8_t)s),
						tcp_state_name((uint8_t)other));
	assert_string_equal(tcp_state_name(TCP_ESTABLISHED), "ESTABLISHED");
	assert_string_equal(tcp_state_name(TCP_STATES), "?");
	assert_string_equal(tcp_state_name(UINT8_MAX), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_set),
		cmocka_unit_test(test_impossible),
		cmocka_unit_test(test_ways_out),
		cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
