#include "cpu.h"

#include <errno.h>
#include <sched.h>
#include <unistd.h>

/* libmtcpclient exports these, and hides all else. */
#define EXPORTED	__attribute__((visibility("default")))

EXPORTED int GetNumCPUs(void)
{
	long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 && n <= CPU_SETSIZE ? (int)n : 1;
}

EXPORTED int CoreAffinitize(int cpu)
{
	cpu_set_t set;

	if (cpu < 0 || cpu >= GetNumCPUs()) {
		errno = EINVAL;
		return -1;
	}
	CPU_ZERO(&set);
	CPU_SET((size_t)cpu, &set);
	return sched_setaffinity(0, sizeof(set), &set);
}
