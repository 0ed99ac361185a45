// SPDX-License-Identifier: MIT
#include "base/spawn.h"

#include "base/memory.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DESCRIPTORS_MOST = 65536 }; // that are closed one by one

static void close_between(unsigned int first, unsigned int last)
{
    if (first > last || close_range(first, last, 0) == 0)
        return;
    long most = sysconf(_SC_OPEN_MAX); // a kernel before 5.9
    if (most < 0 || most > DESCRIPTORS_MOST)
        most = DESCRIPTORS_MOST;
    for (unsigned int fd = first; fd <= last && fd < (unsigned int)most; fd++)
        close((int)fd);
}

static void take_descriptors(const struct spawn *how, int null)
{
    const int streams[] = {how->in, how->out, how->err};
    int high[COUNT_OF(streams)]; // where none is in the way of another
    for (size_t i = 0; i < COUNT_OF(streams); i++)
        high[i] = fcntl(streams[i] < 0 ? null : streams[i], F_DUPFD_CLOEXEC, 3);
    for (size_t i = 0; i < COUNT_OF(streams); i++)
        dup2(high[i], (int)i);
    bool ordered = how->keep[0] < how->keep[1];
    unsigned int from = 3;
    for (size_t i = 0; i < COUNT_OF(how->keep); i++) {
        int keep = how->keep[ordered ? i : 1 - i];
        if (keep < (int)from)
            continue;
        close_between(from, (unsigned int)keep - 1);
        from = (unsigned int)keep + 1;
    }
    close_between(from, ~0U);
}

static void take_default_signals(void)
{
    sigset_t none;
    for (int number = 1; number < NSIG; number++)
        signal(number, SIG_DFL);
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
}

// What migrun was told by its environment for itself alone: no child needs a cloud's passwords, nor the
// secrets of a policy's parameters.
static bool is_secret(const char *entry)
{
    static const char *const names[] = {
        "OS_PASSWORD=", "OS_TOKEN=",         "OS_AUTH_TOKEN=",   "OS_APPLICATION_CREDENTIAL_SECRET=",
        "OS_PASSCODE=", "OS_CLIENT_SECRET=", "OS_ACCESS_TOKEN=", SPAWN_SECRET};
    for (size_t i = 0; i < COUNT_OF(names); i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

// By hand: another thread may have held the lock of unsetenv as this process was made.
static void drop_secrets(void)
{
    char **to = environ;
    for (char **from = environ; from && *from; from++)
        if (!is_secret(*from))
            *to++ = *from;
    if (to)
        *to = NULL;
}

static void settle(const struct spawn *how, int null, pid_t parent)
{
    if (how->session)
        setsid();
    else
        setpgid(0, 0);
    take_default_signals();
    drop_secrets();
    if (how->dies_by) {
        prctl(PR_SET_PDEATHSIG, how->dies_by);
        if (getppid() != parent)
            raise(how->dies_by); // it ended before we asked
    }
    take_descriptors(how, null);
}

pid_t spawn(const struct spawn *how)
{
    auto_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0 && errno == EACCES)
        null = open("/dev/null", O_RDONLY | O_CLOEXEC); // locked in, on a kernel without Landlock
    if (null < 0)
        return -1;
    pid_t parent = getpid(), pid = fork();
    if (pid == 0) {
        pid_t own = how->detached ? fork() : 0;
        if (own != 0)
            _exit(own < 0 ? 1 : 0);
        settle(how, null, parent);
        return 0;
    }
    int status = 0;
    if (pid > 0 && how->detached) {
        while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
            ;
        errno = EAGAIN;
        return status == 0 ? pid : -1;
    }
    if (pid > 0 && !how->session)
        setpgid(pid, pid); // on both sides, so that neither is too late
    return pid;
}

void spawn_keep_private(void)
{
    struct rlimit none;
    if (getrlimit(RLIMIT_CORE, &none) == 0) {
        none.rlim_cur = 0;
        setrlimit(RLIMIT_CORE, &none);
    }
#ifndef __SANITIZE_ADDRESS__ // whose LeakSanitizer traces its own process
    prctl(PR_SET_DUMPABLE, 0);
#endif
}

pid_t spawn_copy(void) { return fork(); }

_Noreturn void spawn_exec(const char *const *argv, int error_fd, bool bare)
{
    execvp(argv[0], (char *const *)(uintptr_t)argv);
    dprintf(error_fd, bare ? "%s%s%s" : "%s: %s%s", bare ? "" : argv[0], strerror(errno), bare ? "" : "\n");
    _exit(127);
}
