#!/bin/sh
#
# fuzz.sh - runs one harness under libFuzzer for its share of the time
#
#	fuzz.sh SECONDS HARNESS FOUND CORPUS
#
# FOUND is where new inputs go, never the source tree.
#
# Environment	MTCPD_FULL=1	ten minutes instead of SECONDS
set -eu
seconds=$1
[ "${MTCPD_FULL:-0}" != 1 ] || seconds=600
exec "$2" -max_total_time="$seconds" -timeout=5 -rss_limit_mb=1024 "$3" "$4"
