/* Which devices NetworkManager and systemd-networkd are told to leave alone. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "control/claim.h"

#define NM	"/run/NetworkManager/conf.d/mtcpd.conf"
#define NETWORKD "/run/systemd/network/10-mtcpd.network"

static char root[] = "/tmp/mtcpd-claim.XXXXXX";
static struct config *cfg;

static void put(const char *path)
{
	char full[256];

	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *at = strchr(full + strlen(root) + 1, '/'); at;
	     at = strchr(at + 1, '/')) {
		*at = '\0';
		mkdir(full, 0755);
		*at = '/';
	}
	close(open(full, O_CREAT | O_WRONLY, 0755));
}

static const char *read_all(const char *path)
{
	static char text[4096];
	char full[256];
	ssize_t n;
	int fd;

	snprintf(full, sizeof(full), "%s%s", root, path);
	fd = open(full, O_RDONLY);
	if (fd < 0)
		return NULL;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	assert_true(n >= 0);
	text[n] = '\0';
	return text;
}

static int remove_one(const char *path, const struct stat *st, int kind,
		      struct FTW *at)
{
	(void)st;
	(void)kind;
	(void)at;
	return remove(path);
}

static int begin(void **state)
{
	(void)state;
	strcpy(root + strlen(root) - 6, "XXXXXX");
	cfg = calloc(1, sizeof(*cfg));
	if (!cfg || !mkdtemp(root))
		return -1;
	config_defaults(cfg);
	return 0;
}

static int end(void **state)
{
	(void)state;
	free(cfg);
	return nftw(root, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void add_port(const char *driver, const char *device, bool share)
{
	struct config_port *p = &cfg->ports[cfg->port_count++];

	strcpy(p->io.driver, driver);
	strcpy(p->io.device, device);
	p->io.share = share;
}

static void both_are_told(void **state)
{
	struct stat st;
	char full[256];

	(void)state;
	put("/usr/sbin/NetworkManager");
	put("/lib/systemd/systemd-networkd");
	add_port("xdp", "eth1", false);
	add_port("xdp", "eth0", true);		/* the kernel's, too */
	add_port("tap", "mtcp0", false);
	add_port("psio", "xge0", false);
	add_port("xdp", "a;b\n[x]", false);	/* no name of a device */
	umask(077);
	assert_int_equal(claim_devices(cfg, root), 0);
	snprintf(full, sizeof(full), "%s/run/systemd/network", root);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0755);	/* a user's to read */
	assert_non_null(strstr(read_all(NM), "\n[keyfile]\nunmanaged-devices+="
			       "interface-name:=eth1;interface-name:=mtcp0\n"));
	assert_non_null(strstr(read_all(NETWORKD), "\n[Match]\nName=eth1 mtcp0"
			       "\n\n[Link]\nUnmanaged=yes\n"));
	snprintf(full, sizeof(full), "%s%s", root, NM);
	assert_int_equal(stat(full, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0644);
	assert_int_equal(claim_devices(cfg, root), 0);	/* again */
	cfg->daemon.claim = false;
	assert_int_equal(claim_devices(cfg, root), 0);
	assert_null(read_all(NM));
	assert_null(read_all(NETWORKD));
}

static void who_is_not_there_is_not(void **state)
{
	(void)state;
	put("/lib/systemd/systemd-networkd");
	add_port("xdp", "eth1", false);
	assert_int_equal(claim_devices(cfg, root), 0);
	assert_null(read_all(NM));
	assert_non_null(read_all(NETWORKD));
	assert_int_equal(claim_release(root), 0);
	assert_null(read_all(NETWORKD));
	assert_int_equal(claim_release(root), 0);	/* nothing to do */
}

static void nothing_of_ours(void **state)
{
	(void)state;
	put("/usr/sbin/NetworkManager");
	add_port("xdp", "eth0", false);
	assert_int_equal(claim_devices(cfg, root), 0);
	assert_non_null(read_all(NM));
	cfg->ports[0].io.share = true;
	assert_int_equal(claim_devices(cfg, root), 0);
	assert_null(read_all(NM));
}

/* What cannot be written is an error, and nothing half is left. */
static void no_room(void **state)
{
	(void)state;
	put("/usr/sbin/NetworkManager");
	put("/run/NetworkManager/conf.d");	/* a file where a folder should */
	add_port("xdp", "eth0", false);
	assert_true(claim_devices(cfg, root) < 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, begin, end)
	const struct CMUnitTest tests[] = {
		CASE(both_are_told),
		CASE(who_is_not_there_is_not),
		CASE(nothing_of_ours),
		CASE(no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
