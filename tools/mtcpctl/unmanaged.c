/*
 * unmanaged.c - files that keep NetworkManager and systemd-networkd away from
 * the devices that mtcpd has for itself
 *
 *	mtcpctl unmanaged [nm | networkd]
 *
 * Both would give such a device addresses, routes and a DHCP client of their
 * own.  A device that is shared with the kernel stays theirs, and so does the
 * kernel's side of a card (psio).  Without a word both files are printed, each
 * below its name; with one, that file alone, as it is to be stored.
 */
#include <stdio.h>
#include <string.h>

#include "tools/mtcpctl/mtcpctl.h"

static bool ours_alone(const json_t *port)
{
	const char *driver = text(port, "driver");

	return (!strcmp(driver, "xdp") || !strcmp(driver, "tap")) &&
	       !json_is_true(json_object_get(port, "shared"));
}

static void print_names(const json_t *ports, const char *before,
			const char *between)
{
	const char *sep = "";
	const json_t *port;
	size_t i;

	json_array_foreach(ports, i, port) {
		if (!ours_alone(port))
			continue;
		printf("%s%s%s", sep, before, text(port, "device"));
		sep = between;
	}
	putchar('\n');
}

static void print_nm(const json_t *ports)
{
	printf("[keyfile]\nunmanaged-devices+=");
	print_names(ports, "interface-name:", ";");
}

static void print_networkd(const json_t *ports)
{
	printf("[Match]\nName=");
	print_names(ports, "", " ");
	printf("\n[Link]\nUnmanaged=yes\n");
}

static size_t count_ours(const json_t *ports)
{
	const json_t *port;
	size_t i, n = 0;

	json_array_foreach(ports, i, port)
		n += ours_alone(port);
	return n;
}

static void print_files(const json_t *ports, const char *which)
{
	if (!which)
		puts("# /etc/NetworkManager/conf.d/mtcpd.conf; then: "
		     "nmcli general reload");
	if (!which || !strcmp(which, "nm"))
		print_nm(ports);
	if (!which)
		puts("\n# /etc/systemd/network/10-mtcpd.network; then: "
		     "networkctl reload");
	if (!which || !strcmp(which, "networkd"))
		print_networkd(ports);
}

int run_unmanaged(const struct options *o)
{
	const char *which = o->arg_count ? o->args[0] : NULL;
	json_t *ports;
	int status = EXIT_OK;

	if (o->json || o->arg_count > 1 ||
	    (which && strcmp(which, "nm") && strcmp(which, "networkd")))
		return usage_error("unmanaged [nm | networkd] prints files, "
				   "no JSON");
	ports = ask_data(o, json_pack("{s:s}", "cmd", "ports"));
	if (!ports)
		return EXIT_ERROR;
	if (count_ours(ports)) {
		print_files(ports, which);
	} else {
		fputs("mtcpctl: mtcpd has no device for itself alone: nothing "
		      "is to be kept away\n", stderr);
		status = EXIT_NOTHING;
	}
	json_decref(ports);
	return status;
}
