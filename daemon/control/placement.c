/*
 * Where engines run.  A core is an engine's own when the kernel keeps others
 * off it (isolcpus=): only there is polling for a longer while free.
 */
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/control.h"

#define SPIN_OWN_US	200
#define SPIN_SHARED_US	20

static uint32_t read_number(const char *path)
{
	FILE *f = fopen(path, "re");
	unsigned int n = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%9u", &n) != 1)
		n = 0;
	fclose(f);
	return n;
}

uint32_t huge_pages_free(void)
{
	return read_number("/sys/kernel/mm/hugepages/hugepages-2048kB/"
			   "free_hugepages");
}

/* Cores that the kernel keeps for those that name them. */
static uint32_t isolated_cores(uint32_t cores[ENGINES_MAX])
{
	FILE *f = fopen("/sys/devices/system/cpu/isolated", "re");
	char text[256] = "";
	uint32_t count = 0;

	if (!f)
		return 0;
	if (!fgets(text, sizeof(text), f))
		text[0] = '\0';
	fclose(f);
	text[strcspn(text, "\n")] = '\0';
	if (text_cores(text, cores, ENGINES_MAX, &count) < 0)
		return 0;
	return count;
}

static bool is_isolated(uint32_t cpu)
{
	uint32_t cores[ENGINES_MAX], count = isolated_cores(cores);

	for (uint32_t i = 0; i < count; i++)
		if (cores[i] == cpu)
			return true;
	return false;
}

static uint32_t usable_cores(cpu_set_t *set)
{
	if (sched_getaffinity(0, sizeof(*set), set) < 0)
		return 1;
	return (uint32_t)CPU_COUNT(set);
}

static int check_cores(const uint32_t *cores, uint32_t count, char *err)
{
	long online = sysconf(_SC_NPROCESSORS_CONF);

	for (uint32_t i = 0; i < count; i++) {
		if ((long)cores[i] < online)
			continue;
		snprintf(err, CONFIG_ERR_BYTES, "[engine] cores: this machine "
			 "has no core %u, only 0 - %ld", cores[i], online - 1);
		return -EINVAL;
	}
	return 0;
}

static uint32_t spin_of(const struct config_engine *cfg, int cpu, uint32_t usable)
{
	if (!cfg->spin_auto)
		return cfg->spin_us;
	if (cpu >= 0 && is_isolated((uint32_t)cpu))
		return SPIN_OWN_US;
	return usable > 1 ? SPIN_SHARED_US : 0;
}

int placement_decide(const struct config_engine *cfg, struct placement *out,
		     char *err)
{
	uint32_t cores[ENGINES_MAX], pinned = cfg->cpu_count, usable;
	cpu_set_t set;

	usable = usable_cores(&set);
	memcpy(cores, cfg->cpus, sizeof(cores));
	if (!pinned && !cfg->count)
		pinned = isolated_cores(cores);
	if (check_cores(cores, pinned, err) < 0)
		return -EINVAL;
	out->count = pinned ? pinned : cfg->count;
	if (!out->count)
		out->count = usable > 3 ? usable / 2 : 1;
	if (out->count > ENGINES_MAX)
		out->count = ENGINES_MAX;
	for (uint32_t e = 0; e < out->count; e++) {
		out->cpu[e] = pinned ? (int)cores[e] : -1;
		out->spin_us[e] = spin_of(cfg, out->cpu[e], usable);
	}
	return 0;
}
