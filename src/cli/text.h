// SPDX-License-Identifier: MIT
// Text on a screen: its width, the characters that can be shown, and colour.
#ifndef MIGRUN_CLI_TEXT_H
#define MIGRUN_CLI_TEXT_H

#include <stdbool.h>
#include <stddef.h>

enum color_when { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER };
int color_parse(const char *text, enum color_when *when); // -1: none of auto, always, never
// auto: on a terminal that is not dumb, unless NO_COLOR is set.
bool color_wanted(enum color_when when, int fd);
bool is_live_terminal(int fd); // a terminal that can go back to the begin of its line

// Takes over the locale's characters and tells whether they are UTF-8. Called once, by main.
bool locale_utf8(void);
// One line of text from outside as it may be shown: no control characters, and ASCII only unless utf8 ("→" is
// "->" then).
char *shown_text(const char *text, bool utf8);
size_t text_columns(const char *text);                  // how many columns it takes
size_t text_bytes_in(const char *text, size_t columns); // how many bytes of it fit into so many columns

#endif
