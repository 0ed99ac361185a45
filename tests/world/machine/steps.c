// SPDX-License-Identifier: MIT
// The steps of an agent: its calls that change a file, a folder or what is on disk. They are the agent's own
// code's; the calls are wrapped by the linker (build.mk).
#include "programs.h"

#include "../clock.h"
#include "../fault.h"
#include "base/memory.h"
#include "world/agent/ops.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROOM "MIGRUN_ROOM"

void steps_are_no_points(void) { setenv("MIGRUN_NO_POINTS", "1", 1); }

static bool are_points(void) { return fault_points() && !getenv("MIGRUN_NO_POINTS"); }

// ---- what an agent is doing, for the count of points by room ----

const struct op *__real_op_find(const char *name);
const struct op *__wrap_op_find(const char *name);
const struct op *__wrap_op_find(const char *name)
{
    setenv(ROOM, name, 1); // for the programs that it runs, too
    return __real_op_find(name);
}

static const char *room(void) { return getenv(ROOM) ? getenv(ROOM) : "agent"; }

// ---- steps ----

bool step(bool parent, const char *format, ...)
{
    char *what = NULL, host[65] = "";
    va_list args;
    if (!are_points())
        return true;
    va_start(args, format);
    if (vasprintf(&what, format, args) < 0)
        abort();
    va_end(args);
    gethostname(host, sizeof host - 1);
    enum fault fault = fault_begin("step", host, "%s: %s", room(), what);
    free(what);
    fault_end();
    if (fault == FAULT_FAIL) {
        kill(parent ? getppid() : getpid(), SIGKILL);
        _exit(1);
    }
    errno = EIO;
    return fault != FAULT_ERROR;
}

int __real_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to);
int __wrap_renameat(int from_folder, const char *from, int to_folder, const char *to)
{
    return step(false, "rename %s", to) ? __real_renameat(from_folder, from, to_folder, to) : -1;
}

int __real_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags);
int __wrap_renameat2(int from_folder, const char *from, int to_folder, const char *to, unsigned int flags)
{
    return step(false, "rename %s", to) ? __real_renameat2(from_folder, from, to_folder, to, flags) : -1;
}

int __real_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags);
int __wrap_linkat(int from_folder, const char *from, int to_folder, const char *to, int flags)
{
    return step(false, "link %s", to) ? __real_linkat(from_folder, from, to_folder, to, flags) : -1;
}

int __real_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags);
int __wrap_unlinkat(int folder, const char *name, int flags)
{
    return step(false, "unlink %s", name) ? __real_unlinkat(folder, name, flags) : -1;
}

int __real_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...);
int __wrap_openat(int folder, const char *name, int flags, ...)
{
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    return !(flags & O_CREAT) || step(false, "make %s", name) ? __real_openat(folder, name, flags, mode) : -1;
}

int __real_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode);
int __wrap_mkdir(const char *path, mode_t mode)
{
    struct stat st;
    return stat(path, &st) == 0 || step(false, "mkdir %s", path) ? __real_mkdir(path, mode) : -1;
}

int __real_rmdir(const char *path);
int __wrap_rmdir(const char *path);
int __wrap_rmdir(const char *path) { return step(false, "rmdir %s", path) ? __real_rmdir(path) : -1; }

int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __wrap_fsync(int fd) { return step(false, "sync") ? __real_fsync(fd) : -1; }

int __real_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid);
int __wrap_fchown(int fd, uid_t uid, gid_t gid)
{
    return step(false, "chown") ? __real_fchown(fd, uid, gid) : -1;
}

int __real_fchownat(int folder, const char *name, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int folder, const char *name, uid_t uid, gid_t gid, int flags);
int __wrap_fchownat(int folder, const char *name, uid_t uid, gid_t gid, int flags)
{
    return step(false, "chown") ? __real_fchownat(folder, name, uid, gid, flags) : -1;
}

int __real_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode);
int __wrap_fchmod(int fd, mode_t mode) { return step(false, "chmod") ? __real_fchmod(fd, mode) : -1; }

int __real_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode);
int __wrap_chmod(const char *path, mode_t mode)
{
    return step(false, "chmod") ? __real_chmod(path, mode) : -1;
}

// ---- time: a twentieth of it is slept ----

enum { FASTER = 20, NAP_MOST_MS = 100 };

static int64_t slept; // by this process alone

static void sleep_shorter(int64_t ms)
{
    struct timespec nap = {.tv_nsec = ms * 1000000 / FASTER};
    if (ms >= 1000)
        nap = (struct timespec){.tv_sec = ms / 1000 / FASTER, .tv_nsec = ms / 1000 % FASTER * 50000000};
    __real_nanosleep(&nap, NULL);
    slept += ms;
}

int __wrap_nanosleep(const struct timespec *wanted, struct timespec *left)
{
    (void)left;
    sleep_shorter((int64_t)wanted->tv_sec * 1000 + wanted->tv_nsec / 1000000);
    return 0;
}

int __wrap_clock_gettime(clockid_t id, struct timespec *now)
{
    return clock_now(id, slept + (fault_points() ? fault_points()->skipped : 0), now);
}

// Looking again and again is a nap, too.
int __real_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout);
int __wrap_poll(struct pollfd *fds, nfds_t count, int timeout)
{
    if (timeout <= 0 || timeout > NAP_MOST_MS)
        return __real_poll(fds, count, timeout);
    int rc = __real_poll(fds, count, 1 + timeout / FASTER);
    if (rc == 0)
        slept += timeout;
    return rc;
}
