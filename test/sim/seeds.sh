#!/bin/sh
#
# seeds.sh - runs one of two halves of the seeds, so that two cores share them
#
#	seeds.sh SIM 0|1 [PART]		PART 10: a tenth of the seeds
#
# Environment	SIM_SEEDS	both halves together (default 4000)
#		MTCPD_QUICK=1	1000 where SIM_SEEDS does not say
#		MTCPD_FULL=1	40000
set -eu
seeds=4000
[ "${MTCPD_QUICK:-0}" != 1 ] || seeds=1000
[ "${MTCPD_FULL:-0}" != 1 ] || seeds=40000
half=$((${SIM_SEEDS:-$seeds} / 2 / ${3:-1}))
exec "$1" --seeds $half --from $(($2 * half + 1))
