/*
 * mtcp-run - runs a program as it is over mtcpd
 *
 *	mtcp-run [options] -- program [argument...]
 *
 * Checks what would go wrong silently (no daemon, a static or setuid program),
 * reads the rules of run.conf and of the command line, and executes the
 * program with libmtcppreload.so in front of libc.
 */
#include <arpa/inet.h>
#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "shm/ctl.h"

#define CONF	"/etc/mtcpd/run.conf"
#define LIBRARY	"libmtcppreload.so"
#define RULES	8192
#define RULES_MAX 64		/* of the library */
#define CONTEXTS 16		/* HOMES_MAX of the library */

static char rules[RULES];
static int rule_count;

static void usage(FILE *to)
{
	fprintf(to,
"usage: mtcp-run [options] -- program [argument...]\n"
"Runs a program, as it is, over mtcpd's TCP.\n\n"
"  -c, --config FILE    rules (default " CONF ", if it is there)\n"
"  -r, --rule RULE      a rule before those of the file, in the file's form:\n"
"                       mtcpd|kernel listen|connect|any ADDRESS[/BITS]|* "
"PORT[-PORT]|*\n"
"  -n, --contexts N     up to N of mtcpd's contexts (1 - 16), for threads\n"
"  -f, --fallback       run on the kernel where there is no mtcpd\n"
"  -e, --explain        say for every socket which way it goes, and why\n"
"  -h, --help           this text\n\n"
"Exit status: the program's; 125: mtcp-run refused; 126, 127: as env(1).\n");
}

static void refuse(const char *what, const char *name, const char *todo)
{
	fprintf(stderr, "mtcp-run: %s%s%s\n", name, what, todo);
	exit(125);
}

/* ---- rules ---- */

static bool one_of(const char *s, const char *a, const char *b, const char *c)
{
	return !strcmp(s, a) || !strcmp(s, b) || (c && !strcmp(s, c));
}

static bool valid_addr(char *addr)
{
	char *bits = strchr(addr, '/');
	struct in_addr a;

	if (!strcmp(addr, "*"))
		return true;
	if (bits) {
		*bits++ = 0;
		if (!*bits || strlen(bits) > 2 ||
		    bits[strspn(bits, "0123456789")] || atoi(bits) > 32)
			return false;
	}
	return inet_pton(AF_INET, addr, &a) == 1;
}

/* As the library reads it (preload/policy.c). */
static bool valid_port(const char *port)
{
	unsigned int a, b;
	char more;

	if (!strcmp(port, "*"))
		return true;
	if (port[strspn(port, "0123456789-")])
		return false;
	switch (sscanf(port, "%5u-%5u%c", &a, &b, &more)) {
	case 1:
		return !strchr(port, '-') && strlen(port) <= 5 &&
		       a <= UINT16_MAX;
	case 2:
		return a <= b && b <= UINT16_MAX;
	default:
		return false;
	}
}

static bool valid(const char *line)
{
	char side[16], way[16], addr[64], port[16], more;

	return sscanf(line, "%15s %15s %63s %15s %c", side, way, addr, port,
		      &more) == 4 &&
	       one_of(side, "mtcpd", "kernel", NULL) &&
	       one_of(way, "listen", "connect", "any") &&
	       valid_addr(addr) && valid_port(port);
}

static void add_rule(const char *line, const char *where)
{
	size_t n = strlen(rules);

	if (!valid(line)) {
		fprintf(stderr, "mtcp-run: %s: not a rule: \"%s\" (mtcpd|kernel"
			" listen|connect|any ADDRESS[/BITS]|* PORT[-PORT]|*)\n",
			where, line);
		exit(125);
	}
	if (n + strlen(line) + 2 > sizeof(rules) || ++rule_count > RULES_MAX) {
		fprintf(stderr, "mtcp-run: %s: more than %d rules\n", where,
			RULES_MAX);
		exit(125);
	}
	snprintf(rules + n, sizeof(rules) - n, "%s%s", n ? ";" : "", line);
}

/* Threads share so many contexts; what was said first counts. */
static void set_contexts(const char *number, const char *where)
{
	char *end, text[8];
	unsigned long n = strtoul(number, &end, 10);

	if (*number < '0' || *number > '9' || end[strspn(end, " \t")] ||
	    n < 1 || n > CONTEXTS) {
		fprintf(stderr, "mtcp-run: %s: contexts is a number from 1 to "
			"%d, not \"%s\"\n", where, CONTEXTS, number);
		exit(125);
	}
	snprintf(text, sizeof(text), "%hu", (unsigned short)n);
	setenv("MTCP_RUN_CONTEXTS", text, 0);
}

/* A line that is a setting; false: it is a rule. */
static bool setting(const char *line, const char *where)
{
	static const char key[] = "contexts";
	const char *s = line + strspn(line, " \t");

	if (strncmp(s, key, sizeof(key) - 1))
		return false;
	s += sizeof(key) - 1;
	s += strspn(s, " \t");
	if (*s != '=')
		return false;
	s++;
	set_contexts(s + strspn(s, " \t"), where);
	return true;
}

static void read_rules(const char *path, bool must)
{
	FILE *f = fopen(path, "re");
	char line[256];

	if (!f) {
		if (must)
			refuse(": cannot be read: ", path, strerror(errno));
		return;
	}
	while (fgets(line, sizeof(line), f)) {
		if (strlen(line) == sizeof(line) - 1)
			refuse(": a line is too long: ", path, line);
		line[strcspn(line, "#\n")] = 0;
		if (strspn(line, " \t") != strlen(line) &&
		    !setting(line, path))
			add_rule(line, path);
	}
	fclose(f);
}

/* ---- checks ---- */

static bool daemon_answers(void)
{
	const char *path = getenv(CTL_SOCKET_ENV);
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	bool ok;

	snprintf(un.sun_path, sizeof(un.sun_path), "%s",
		 path && *path ? path : CTL_SOCKET);
	ok = fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) == 0;
	if (fd >= 0)
		close(fd);
	return ok;
}

/* The file that execvp() would run; NULL: none. */
static const char *find_program(const char *name, char *buf, size_t size)
{
	const char *path = getenv("PATH");

	if (strchr(name, '/'))
		return access(name, X_OK) ? NULL : name;
	if (!path)
		path = "/usr/bin:/bin";
	while (*path) {
		size_t n = strcspn(path, ":");

		snprintf(buf, size, "%.*s/%s", (int)n, path, name);
		if (!access(buf, X_OK))
			return buf;
		path += n + (path[n] == ':');
	}
	return NULL;
}

/* Has an ELF file an interpreter, that loads libraries?  Scripts have theirs. */
static bool is_static(const unsigned char *at, size_t size)
{
	Elf64_Ehdr e;
	Elf64_Phdr p;

	if (size < sizeof(e) || memcmp(at, ELFMAG, SELFMAG))
		return false;
	memcpy(&e, at, sizeof(e));
	for (unsigned int i = 0; i < e.e_phnum; i++) {
		size_t o = e.e_phoff + i * sizeof(p);

		if (o > size || size - o < sizeof(p))
			return false;
		memcpy(&p, at + o, sizeof(p));
		if (p.p_type == PT_INTERP)
			return false;
	}
	return true;
}

static void check_program(const char *name)
{
	char buf[PATH_MAX];
	const char *path = find_program(name, buf, sizeof(buf));
	int fd = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	struct stat st;
	void *at;

	if (!path) {
		fprintf(stderr, "mtcp-run: %s: no such program\n", name);
		exit(127);
	}
	if (fd < 0 || fstat(fd, &st))
		refuse(": cannot be read: ", path, strerror(errno));
	if ((st.st_mode & S_ISUID && st.st_uid != getuid()) ||
	    (st.st_mode & S_ISGID && st.st_gid != getgid()))
		refuse(" is setuid or setgid", path,
		       ": the loader ignores LD_PRELOAD for it; run it as the "
		       "user that it becomes");
	if (getuid() && fgetxattr(fd, "security.capability", NULL, 0) > 0)
		refuse(" has file capabilities", path,
		       ": the loader ignores LD_PRELOAD for it; take them away "
		       "(setcap -r), and give them by AmbientCapabilities= or "
		       "capsh(1)");
	at = st.st_size ? mmap(NULL, (size_t)st.st_size, PROT_READ,
			       MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (at != MAP_FAILED && is_static(at, (size_t)st.st_size))
		refuse(" is a static program", path,
		       ": nothing can be put in front of its libc; it would "
		       "run on the kernel");
	if (at != MAP_FAILED)
		munmap(at, (size_t)st.st_size);
	close(fd);
}

/* Beside us in the build, else where it is installed. */
static const char *find_library(char *buf, size_t size)
{
	static const char *const beside[] = {
		"../libclient/preload/" LIBRARY, "../lib/mtcpd/" LIBRARY,
		"../lib/x86_64-linux-gnu/mtcpd/" LIBRARY,
	};
	char self[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);

	if (n < 0)
		return NULL;
	self[n] = 0;
	*strrchr(self, '/') = 0;
	for (size_t i = 0; i < sizeof(beside) / sizeof(beside[0]); i++) {
		snprintf(buf, size, "%s/%s", self, beside[i]);
		if (!access(buf, R_OK))
			return buf;
	}
	return NULL;
}

static void set_preload(void)
{
	const char *old = getenv("LD_PRELOAD");
	char lib[2 * PATH_MAX], all[3 * PATH_MAX];
	const char *path = find_library(lib, sizeof(lib));

	if (!path)
		refuse(" is not installed beside mtcp-run", LIBRARY, "");
	snprintf(all, sizeof(all), "%s%s%s", path, old && *old ? ":" : "",
		 old ? old : "");
	setenv("LD_PRELOAD", all, 1);
}

static int parse(int argc, char **argv, const char **config)
{
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "rule", required_argument, NULL, 'r' },
		{ "contexts", required_argument, NULL, 'n' },
		{ "fallback", no_argument, NULL, 'f' },
		{ "explain", no_argument, NULL, 'e' },
		{ "help", no_argument, NULL, 'h' },
		{ NULL, 0, NULL, 0 },
	};
	int c;

	while ((c = getopt_long(argc, argv, "+c:r:n:feh", options, NULL)) != -1)
		switch (c) {
		case 'c':
			*config = optarg;
			break;
		case 'r':
			add_rule(optarg, "--rule");
			break;
		case 'n':
			unsetenv("MTCP_RUN_CONTEXTS");
			set_contexts(optarg, "--contexts");
			break;
		case 'f':
			setenv("MTCP_RUN_FALLBACK", "1", 1);
			break;
		case 'e':
			setenv("MTCP_RUN_EXPLAIN", "1", 1);
			break;
		case 'h':
			usage(stdout);
			exit(0);
		default:
			usage(stderr);
			exit(125);
		}
	return optind;
}

int main(int argc, char **argv)
{
	const char *config = NULL;
	int first = parse(argc, argv, &config);

	if (first >= argc) {
		usage(stderr);
		return 125;
	}
	read_rules(config ? config : CONF, config != NULL);
	check_program(argv[first]);
	if (daemon_answers()) {
		setenv("MTCP_RUN_RULES", rules, 1);
		set_preload();
	} else if (!getenv("MTCP_RUN_FALLBACK")) {
		refuse("mtcpd does not answer: start it (systemctl start "
		       "mtcpd), or name its socket in " CTL_SOCKET_ENV
		       ", or run on the kernel with --fallback", "", "");
	} else {
		fprintf(stderr, "mtcp-run: mtcpd does not answer: %s runs on "
			"the kernel\n", argv[first]);
	}
	execvp(argv[first], argv + first);
	fprintf(stderr, "mtcp-run: %s: %s\n", argv[first], strerror(errno));
	return errno == ENOENT ? 127 : 126;
}
