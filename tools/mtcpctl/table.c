#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/mtcpctl/mtcpctl.h"

bool table_bold;

void table_begin(struct table *t, int columns, const char *const *heads)
{
	*t = (struct table){ .columns = columns };
	for (int i = 0; i < columns; i++)
		t->heads[i] = heads[i];
}

void table_add(struct table *t, const char *fmt, ...)
{
	va_list ap;
	char *cell;

	va_start(ap, fmt);
	if (vasprintf(&cell, fmt, ap) < 0)
		cell = NULL;
	va_end(ap);
	if (t->count == t->room) {
		char **more = realloc(t->cells, (t->room ? t->room * 2 : 64) *
				      sizeof(*more));

		if (!more) {
			free(cell);
			return;
		}
		t->cells = more;
		t->room = t->room ? t->room * 2 : 64;
	}
	t->cells[t->count++] = cell;
}

static void print_row(const struct table *t, const int *width,
		      const char *const *cells)
{
	int end = t->columns, gap = 0;

	while (end && !cells[end - 1][0])
		end--;
	for (int c = 0; c < end; c++) {
		int n = (int)strlen(cells[c]), pad = width[c] - n;
		bool left = t->heads[c][0] == '-';

		printf("%*s%s", gap + (left ? 0 : pad), "", cells[c]);
		gap = 2 + (left ? pad : 0);
	}
	putchar('\n');
}

static const char *head(const struct table *t, int column)
{
	return t->heads[column] + (t->heads[column][0] == '-');
}

static const char *cell(const struct table *t, size_t i)
{
	return t->cells[i] ? t->cells[i] : "";
}

static bool is_note(const struct table *t, size_t first)
{
	return cell(t, first)[0] == '\t';
}

static int width_of(const struct table *t, int column)
{
	int width = (int)strlen(head(t, column));

	for (size_t i = (size_t)column; i < t->count; i += (size_t)t->columns) {
		int n = column == 0 && is_note(t, i) ? 0 : (int)strlen(cell(t, i));

		width = n > width ? n : width;
	}
	return width;
}

/* A note fills a row: itself, then nothing. */
void table_note(struct table *t, const char *text)
{
	table_add(t, "\t%s", text);
	for (int c = 1; c < t->columns; c++)
		table_add(t, "%s", "");
}

void table_end(struct table *t)
{
	const char *row[TABLE_COLUMNS];
	int width[TABLE_COLUMNS];

	for (int c = 0; c < t->columns; c++) {
		width[c] = width_of(t, c);
		row[c] = head(t, c);
	}
	fputs(table_bold ? "\033[1m" : "", stdout);
	print_row(t, width, row);
	fputs(table_bold ? "\033[0m" : "", stdout);
	for (size_t i = 0; i + (size_t)t->columns <= t->count;
	     i += (size_t)t->columns) {
		if (is_note(t, i)) {
			puts(cell(t, i));
			continue;
		}
		for (int c = 0; c < t->columns; c++)
			row[c] = cell(t, i + (size_t)c);
		print_row(t, width, row);
	}
	for (size_t i = 0; i < t->count; i++)
		free(t->cells[i]);
	free(t->cells);
	*t = (struct table){ 0 };
}
