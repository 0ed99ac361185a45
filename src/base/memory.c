// SPDX-License-Identifier: MIT
#include "base/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

void util_free_pointer(void *pointer_to_pointer) { free(*(void **)pointer_to_pointer); }

void util_close_fd(int *fd)
{
    if (*fd >= 0) {
        int saved = errno;
        close(*fd);
        errno = saved;
        *fd = -1;
    }
}

static void *or_abort(void *p)
{
    if (!p)
        abort();
    return p;
}

void *xmalloc(size_t size) { return or_abort(malloc(size ? size : 1)); }
void *xcalloc(size_t count, size_t size) { return or_abort(calloc(count ? count : 1, size ? size : 1)); }
void *xrealloc(void *p, size_t size) { return or_abort(realloc(p, size ? size : 1)); }
char *xstrdup(const char *text) { return or_abort(strdup(text)); }
char *xstrndup(const char *text, size_t length) { return or_abort(strndup(text, length)); }

char *xvasprintf(const char *format, va_list args)
{
    char *text;
    if (vasprintf(&text, format, args) < 0)
        abort();
    return text;
}

char *xasprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    return text;
}
