// SPDX-License-Identifier: MIT
// Text: a growing buffer, escapes for a terminal, sizes for people, the nearest of several names.
#ifndef MIGRUN_BASE_TEXT_H
#define MIGRUN_BASE_TEXT_H

#include "base/memory.h"

#include <stdint.h>

// A growing text; data is always NUL-terminated once something was added (NULL before).
struct buf {
    char *data;
    size_t len, cap;
};
#define auto_buf cleanup(buf_free)
void buf_free(struct buf *b);
void buf_reserve(struct buf *b, size_t more); // room for so many bytes more and a NUL
void buf_add(struct buf *b, const void *bytes, size_t len);
void buf_puts(struct buf *b, const char *text);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buf_take(struct buf *b); // the text, never NULL; the buffer is empty afterwards

// Text for a terminal or one line of a log: control characters and broken UTF-8 as \xNN, what a terminal does
// not show or what turns text around as \u{NNNN}. Caller frees.
char *printable(const char *text);
// The length of the character at text, which is UTF-8, if printable() would escape it (*code), else 0. ASCII
// is left to the caller.
size_t unseen_length(const char *text, uint32_t *code);
// The same, but control characters stay: valid UTF-8.
char *valid_utf8(const char *text);
// "256 MiB", "11.3 GiB" of a number of bytes.
char *bytes_text(double bytes);
// The entry of names (count of them) nearest to word by edit distance, or NULL when none is near.
const char *nearest_name(const char *word, const char *const *names, size_t count);

#endif
