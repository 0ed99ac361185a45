// SPDX-License-Identifier: MIT
// Memory, and variables that free themselves when they leave their scope (in the manner of bubblewrap).
#ifndef MIGRUN_BASE_MEMORY_H
#define MIGRUN_BASE_MEMORY_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define cleanup(fn) __attribute__((cleanup(fn)))
#define auto_free cleanup(util_free_pointer)
#define auto_fd cleanup(util_close_fd)
void util_free_pointer(void *pointer_to_pointer);
void util_close_fd(int *fd); // closes fd >= 0, keeps errno

// Takes a value out of its variable, which then frees nothing.
static inline void *steal_pointer(void *pointer_to_pointer)
{
    void **p = pointer_to_pointer, *value = *p;
    *p = NULL;
    return value;
}
#define steal(p) ((__typeof__(*(p)))steal_pointer(p))
static inline int steal_fd(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))
#define STREQ(a, b) (strcmp((a), (b)) == 0)

// These never return NULL: out of memory ends the process (abort).
void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *p, size_t size);
char *xstrdup(const char *text);
char *xstrndup(const char *text, size_t length);
char *xasprintf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *xvasprintf(const char *format, va_list args) __attribute__((format(printf, 1, 0)));

#endif
