/*
 * replay.c - drives a fuzz harness without libFuzzer
 *
 *	fuzz_NAME [-r ROUNDS] FILE-OR-FOLDER...
 *
 * Every file is an input, as libFuzzer writes and reads them.  With -r each
 * round takes one of them (or nothing), spoils it by a fixed pseudo-random
 * sequence, and feeds that too: the same inputs in every run.
 */
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define INPUTS_MAX	1024
#define INPUT_BYTES	4096

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct input {
	size_t size;
	uint8_t bytes[INPUT_BYTES];
};

static struct input *inputs[INPUTS_MAX];
static size_t input_count;

static uint64_t draw(uint64_t below)
{
	static uint64_t x = 0x2545f4914f6cdd1d;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x % below;
}

/* Exactly its bytes, so that a sanitizer sees what is read past them. */
static void feed(const uint8_t *bytes, size_t size)
{
	uint8_t *copy = malloc(size ? size : 1);

	if (!copy)
		abort();
	memcpy(copy, bytes, size);
	LLVMFuzzerTestOneInput(copy, size);
	free(copy);
}

static void read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	struct input *in = calloc(1, sizeof(*in));

	if (!file || !in || input_count == INPUTS_MAX) {
		fprintf(stderr, "%s: cannot read it, or too many inputs\n", path);
		exit(1);
	}
	in->size = fread(in->bytes, 1, sizeof(in->bytes), file);
	fclose(file);
	inputs[input_count++] = in;
	feed(in->bytes, in->size);
}

static void read_path(const char *path)
{
	char name[4096];
	struct dirent *entry;
	struct stat st;
	DIR *folder;

	if (stat(path, &st) != 0 || !S_ISDIR(st.st_mode)) {
		read_file(path);
		return;
	}
	folder = opendir(path);
	while (folder && (entry = readdir(folder)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		snprintf(name, sizeof(name), "%s/%s", path, entry->d_name);
		read_file(name);
	}
	if (folder)
		closedir(folder);
}

/* Changes, cuts, repeats or joins. */
static void spoil(struct input *in)
{
	const struct input *other;
	size_t at, part;

	switch (in->size ? draw(6) : 4) {
	case 0:
		in->size = draw(in->size + 1);
		break;
	case 1:
		in->bytes[draw(in->size)] ^= (uint8_t)(1u << draw(8));
		break;
	case 4:
		part = draw(64);
		for (at = 0; at < part && in->size < INPUT_BYTES; at++)
			in->bytes[in->size++] = (uint8_t)draw(256);
		break;
	case 5:
		other = input_count ? inputs[draw(input_count)] : in;
		part = other->size;
		if (part > INPUT_BYTES - in->size)
			part = INPUT_BYTES - in->size;
		memmove(in->bytes + in->size, other->bytes, part);
		in->size += part;
		break;
	default:
		in->bytes[draw(in->size)] = (uint8_t)draw(256);
	}
}

static void one_round(void)
{
	static struct input in;
	uint64_t times;

	in.size = 0;
	if (input_count && draw(20))
		in = *inputs[draw(input_count)];
	for (times = 1 + draw(8); times > 0; times--)
		spoil(&in);
	feed(in.bytes, in.size);
}

int main(int argc, char **argv)
{
	long rounds = 0, i;
	int arg = 1;

	if (argc > 2 && strcmp(argv[1], "-r") == 0) {
		rounds = strtol(argv[2], NULL, 10);
		arg = 3;
	}
	for (; arg < argc; arg++)
		read_path(argv[arg]);
	for (i = 0; i < rounds; i++)
		one_round();
	printf("%zu inputs, %ld mutations\n", input_count, rounds);
	while (input_count)
		free(inputs[--input_count]);
	return 0;
}
