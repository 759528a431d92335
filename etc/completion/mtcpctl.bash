# bash completion of mtcpctl(1); installed as
# /usr/share/bash-completion/completions/mtcpctl

_mtcpctl()
{
	local cur prev i command=
	local commands="stats conns top capture why trace clients listeners ports
		engines arp routes policy config log drain reload unmanaged"
	local options="--socket --watch --internals --json --color --version
		--help"
	local states="established syn-sent syn-received fin-wait-1 fin-wait-2
		close-wait closing last-ack time-wait listen all connected
		synchronized listening"
	local terms="state src dst sport dport port client id engine rtt rto
		cwnd mss send-q recv-q unsent retrans and or not"

	COMPREPLY=()
	cur=${COMP_WORDS[COMP_CWORD]}
	prev=${COMP_WORDS[COMP_CWORD - 1]}
	for ((i = 1; i < COMP_CWORD; i++)); do
		case ${COMP_WORDS[i]} in
		-s | --socket | -w | --watch | --color) ((i++)) ;;
		-*) ;;
		*) command=${COMP_WORDS[i]}; break ;;
		esac
	done
	case $prev in
	-s | --socket) mapfile -t COMPREPLY < <(compgen -f -- "$cur"); return ;;
	-w | --watch) return ;;
	--color) mapfile -t COMPREPLY < <(compgen -W "auto always never" \
		-- "$cur"); return ;;
	esac
	if [[ $cur == -* ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
	elif [[ -z $command ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$commands" -- "$cur")
	elif [[ $command == config && $prev == config ]]; then
		mapfile -t COMPREPLY < <(compgen -W \
			"show get set save diff import" -- "$cur")
	elif [[ $command =~ ^(conns|why|trace)$ && $prev == state ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$states" -- "$cur")
	elif [[ $command =~ ^(conns|why|trace)$ ]]; then
		mapfile -t COMPREPLY < <(compgen -W "$terms" -- "$cur")
	fi
}

complete -F _mtcpctl mtcpctl
