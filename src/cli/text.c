// SPDX-License-Identifier: MIT
#include "cli/text.h"

#include "base/memory.h"
#include "base/text.h"

#include <langinfo.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <wchar.h>

int color_parse(const char *text, enum color_when *when)
{
    static const char *const names[] = {
        [COLOR_AUTO] = "auto", [COLOR_ALWAYS] = "always", [COLOR_NEVER] = "never"};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (STREQ(names[i], text)) {
            *when = (enum color_when)i;
            return 0;
        }
    return -1;
}

bool is_live_terminal(int fd)
{
    const char *term = getenv("TERM");
    return isatty(fd) && term && *term && !STREQ(term, "dumb");
}

bool color_wanted(enum color_when when, int fd)
{
    const char *no_color = getenv("NO_COLOR");
    return when == COLOR_ALWAYS || (when == COLOR_AUTO && !(no_color && *no_color) && is_live_terminal(fd));
}

bool locale_utf8(void)
{
    if (setlocale(LC_CTYPE, "") && STREQ(nl_langinfo(CODESET), "UTF-8"))
        return true;
    // A locale that is named but not installed here, as often behind ssh: its name tells what the terminal
    // speaks.
    const char *name = getenv("LC_ALL");
    if (!name || !*name)
        name = getenv("LC_CTYPE");
    if (!name || !*name)
        name = getenv("LANG");
    return name && (strcasestr(name, "utf-8") || strcasestr(name, "utf8")) && setlocale(LC_CTYPE, "C.UTF-8");
}

char *shown_text(const char *text, bool utf8)
{
    static const struct {
        const char *from, *to;
    } plain[] = {
        {"→", "->"}, {"…", "..."}, {"·", "-"}, {"×", "x"}, {"−", "-"},  {"–", "-"},  {"—", "-"},
        {"≤", "<="}, {"≥", ">="},  {"‘", "'"}, {"’", "'"}, {"“", "\""}, {"”", "\""}, {"•", "*"},
    };
    char *clean = printable(text);
    if (utf8)
        return clean;
    struct buf out = {0};
    for (const char *p = clean; *p;) {
        size_t i = 0;
        if ((unsigned char)*p < 0x80) {
            buf_add(&out, p++, 1);
            continue;
        }
        while (i < COUNT_OF(plain) && strncmp(p, plain[i].from, strlen(plain[i].from)) != 0)
            i++;
        if (i < COUNT_OF(plain)) {
            buf_puts(&out, plain[i].to);
            p += strlen(plain[i].from);
        } else {
            buf_printf(&out, "\\x%02x", (unsigned char)*p++);
        }
    }
    free(clean);
    return buf_take(&out);
}

// The width of the character at p, and its length. What the locale cannot read counts as a column a byte.
static size_t character(const char *p, size_t *columns)
{
    if ((unsigned char)*p < 0x80) {
        *columns = 1;
        return 1;
    }
    mbstate_t state = {0};
    wchar_t wide;
    size_t n = mbrtowc(&wide, p, strlen(p), &state);
    if (n == 0 || n > 8) {
        *columns = 1;
        return 1;
    }
    int width = wcwidth(wide);
    *columns = width < 0 ? 0 : (size_t)width;
    return n;
}

size_t text_columns(const char *text)
{
    size_t sum = 0, columns;
    while (*text) {
        text += character(text, &columns);
        sum += columns;
    }
    return sum;
}

size_t text_bytes_in(const char *text, size_t columns)
{
    const char *p = text;
    while (*p) {
        size_t width, n = character(p, &width);
        if (width > columns)
            break;
        columns -= width;
        p += n;
    }
    return (size_t)(p - text);
}
