#!/bin/sh
# cwnd_plot.sh PROGRAM FOLDER - runs cwnd_plot for each algorithm and path, and
# draws a PNG a path into FOLDER, beside the numbers (*.tsv).  Without gnuplot
# only the numbers are made.
set -eu

program=$1
out=$2
mkdir -p "$out"
for path in clean loss mark; do
	for cc in reno cubic dctcp bbr; do
		"$program" $cc $path >"$out/$cc-$path.tsv"
	done
	command -v gnuplot >/dev/null || continue
	gnuplot <<PLOT
set terminal png size 1000,900 font ",10"
set output "$out/cwnd-$path.png"
set multiplot layout 4,1 title "cwnd and queue in kB: $path (20 Mb/s, 40 ms, queue 100 kB)"
set key right top
set yrange [0:350]
set grid
do for [cc in "reno cubic dctcp bbr"] {
	plot "$out/".cc."-$path.tsv" using 1:2 with lines lw 2 title cc." cwnd", \\
	     "$out/".cc."-$path.tsv" using 1:3 with lines title "queue"
}
PLOT
done
