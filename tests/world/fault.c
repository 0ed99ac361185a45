// SPDX-License-Identifier: MIT
#include "fault.h"

#include "base/fault.h"
#include "base/memory.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIED = 137 };

const char *const fault_names[FAULTS] = {"none",      "fail",        "error",     "half",  "agent",
                                         "busy",      "page",        "cut",       "token", "gone",
                                         "interrupt", "kill-before", "kill-after"};

static long passed;
static enum fault current;
static char *gone;

// Opened at the first point: a preview could not later, once it is locked in.
static void note_point(const char *line)
{
    static FILE *log;
    const char *path = getenv("MIGRUN_FAULT_LOG");
    if (path && !log && !(log = fopen(path, "ae"))) {
        fprintf(stderr, "the points cannot be noted in %s\n", path);
        abort();
    }
    if (log) {
        fprintf(log, "%s\n", line);
        fflush(log);
    }
}

static enum fault wanted_now(void)
{
    const char *wanted = getenv("MIGRUN_FAULT");
    char *kind;
    if (!wanted || strtol(wanted, &kind, 10) != passed)
        return FAULT_NONE;
    for (size_t i = 0; i < COUNT_OF(fault_names); i++)
        if (STREQ(kind + 1, fault_names[i]))
            return (enum fault)i;
    fprintf(stderr, "MIGRUN_FAULT=%s: there is no such fault\n", wanted);
    abort();
}

enum fault fault_begin(const char *kind, const char *host, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *what = NULL;
    if (vasprintf(&what, format, args) < 0)
        abort();
    va_end(args);
    auto_free char *line = xasprintf("%s %s%s%s", kind, host, *host ? " " : "", what);
    free(what);
    passed++;
    note_point(line);
    current = wanted_now();
    if (current == FAULT_KILL_BEFORE)
        _exit(DIED);
    if (current == FAULT_INTERRUPT)
        raise(SIGINT);
    if (current == FAULT_GONE)
        gone = xstrdup(host);
    return current;
}

void fault_end(void)
{
    if (current == FAULT_KILL_AFTER)
        _exit(DIED);
    current = FAULT_NONE;
}

bool fault_is_gone(const char *host) { return gone && STREQ(gone, host); }

int fault_point(const char *what, struct error *err)
{
    enum fault fault = fault_begin("gate", "", "%s", what);
    return fault == FAULT_FAIL ? error_errno(err, EIO, "a test's fault at %s", what) : 0;
}
