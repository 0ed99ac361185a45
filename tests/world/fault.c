// SPDX-License-Identifier: MIT
#include "fault.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { DIED = 137 };

const char *const fault_names[FAULTS] = {"none", "fail",  "error", "agent",     "busy",        "page",
                                         "cut",  "token", "gone",  "interrupt", "kill-before", "kill-after"};

static enum fault current;
static char *gone;

static _Noreturn void broken(const char *what)
{
    fprintf(stderr, "the points: %s: %s\n", what, strerror(errno));
    abort();
}

static struct points *mapped;

void fault_points_make(const char *folder)
{
    auto_free char *path = xasprintf("%s/points", folder), *log = xasprintf("%s/points.log", folder);
    auto_fd int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666),
                emptied = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    static const struct points none;
    if (fd < 0 || emptied < 0 || write(fd, &none, sizeof none) != sizeof none)
        broken(path);
    if (mapped)
        munmap(mapped, sizeof *mapped);
    mapped = NULL; // this process may have had another folder before
}

struct points *fault_points(void)
{
    const char *folder = mapped ? NULL : getenv("MIGRUN_WORLD");
    if (!folder)
        return mapped;
    auto_free char *path = xasprintf("%s/points", folder);
    auto_fd int fd = open(path, O_RDWR | O_CLOEXEC);
    void *at = fd < 0 ? MAP_FAILED : mmap(NULL, sizeof *mapped, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (at != MAP_FAILED)
        mapped = at;
    return mapped;
}

// Opened at the first point: a preview could not later, once it is locked in.
static void note_point(const char *line)
{
    static int log = -1;
    if (log < 0 && !getenv("MIGRUN_POINTS"))
        return;
    if (log < 0) {
        auto_free char *path = xasprintf("%s/points.log", getenv("MIGRUN_WORLD"));
        log = open(path, O_WRONLY | O_APPEND | O_CLOEXEC, 0666);
    }
    auto_free char *whole = xasprintf("%s\n", line);
    if (log < 0 || write(log, whole, strlen(whole)) < 0)
        broken("points.log");
}

static enum fault wanted_now(void)
{
    const char *wanted = getenv("MIGRUN_FAULT");
    char *kind;
    if (!wanted || strtol(wanted, &kind, 10) != fault_points()->passed)
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
    if (!fault_points())
        broken("there are none");
    fault_points()->passed++;
    fault_points()->in_world = STREQ(kind, "virt") || STREQ(kind, "http");
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
    fault_points()->in_world = false;
}

bool fault_is_gone(const char *host) { return gone && STREQ(gone, host); }
