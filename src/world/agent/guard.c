// SPDX-License-Identifier: MIT
// The guard of a surgery: a process that outlives the agent, its ssh and its migrun. It waits for the lock
// that the agent holds while it lives; if the surgery has not ended by then, it restores the originals.
#include "base/clock.h"
#include "base/process.h"
#include "base/socket.h"
#include "base/spawn.h"
#include "world/agent/surgery.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { LOOK_EVERY_MS = 100, ARM_MS = 15000 };

// ---- armed by the agent ----

static bool has_systemd(void) { return access("/run/systemd/system", F_OK) == 0; }

// A unit of its own outlives the agent's session. Type=notify: systemd-run returns once the guard waits.
static int arm_unit(const char *self, const char *keep, const struct surgery *s, struct error *err)
{
    auto_free char *unit = xasprintf("--unit=migrun-guard-%s-%s", s->run, s->number);
    const char *const argv[] = {"systemd-run",
                                "--quiet",
                                "--collect",
                                unit,
                                "--service-type=notify",
                                "--property=NotifyAccess=main",
                                "--property=Restart=no",
                                "--description=migrun: brings libvirtd back",
                                "--",
                                self,
                                "--guard",
                                keep,
                                NULL};
    struct process_result cleanup(process_result_free) ended = {0};
    if (process_run(&(struct process_request){.argv = argv, .deadline = deadline_in(ARM_MS), .watch_fd = -1},
                    &ended, err) < 0)
        return -1;
    if (ended.status == 0)
        return 0;
    auto_free char *said = process_said(&ended);
    return error_set(err, ERR_COMMAND, ended.status,
                     "refusing to stop %s: cannot start its watchdog (systemd-run: %.300s)", surgery_unit(s),
                     said);
}

// Without systemd: a process in a session of its own. A byte on the pipe says that it is waiting.
static int arm_process(const char *self, const char *keep, const struct surgery *s, struct error *err)
{
    int ready[2];
    char byte;
    if (pipe2(ready, O_CLOEXEC) < 0)
        return error_errno(err, errno, "refusing to stop %s: cannot start its watchdog", surgery_unit(s));
    pid_t pid = spawn(
        &(struct spawn){.in = -1, .out = ready[1], .err = -1, .session = true, .detached = true});
    if (pid == 0)
        spawn_exec((const char *const[]){self, "--guard", keep, NULL}, STDERR_FILENO, false);
    close(ready[1]);
    struct pollfd in = {.fd = ready[0], .events = POLLIN};
    bool armed = pid > 0 && poll(&in, 1, ARM_MS) > 0 && read(ready[0], &byte, 1) == 1;
    close(ready[0]);
    return armed ? 0
                 : error_set(err, ERR_SYSTEM, EAGAIN, "refusing to stop %s: cannot start its watchdog",
                             surgery_unit(s));
}

int guard_arm(const struct surgery *s, struct error *err)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return error_errno(err, errno, "refusing to stop %s: cannot find the agent's own program",
                           surgery_unit(s));
    self[n] = '\0';
    auto_free char *keep = xasprintf("%s/%s", s->run, s->number);
    return has_systemd() ? arm_unit(self, keep, s, err) : arm_process(self, keep, s, err);
}

// ---- its own life ----

static void say_ready(void)
{
    const char *path = getenv("NOTIFY_SOCKET");
    static const char ready[] = "READY=1";
    if (!path) {
        (void)!write(STDOUT_FILENO, ready, 1);
        close(STDOUT_FILENO);
        return;
    }
    auto_fd int fd = unix_connect(path, SOCK_DGRAM);
    if (fd >= 0)
        (void)send(fd, ready, strlen(ready), MSG_NOSIGNAL);
}

// Kills an agent that hangs, to free its lock.
static void end_agent(const struct surgery *s)
{
    pid_t pid = (pid_t)json_int(s->manifest, "agent", 0);
    char path[64], own[4096], its[4096];
    snprintf(path, sizeof path, "/proc/%d/exe", (int)pid);
    ssize_t mine = readlink("/proc/self/exe", own, sizeof own), other = readlink(path, its, sizeof its);
    if (pid > 1 && mine > 0 && mine == other && memcmp(own, its, (size_t)mine) == 0)
        kill(pid, SIGKILL);
}

int guard_main(const char *keep)
{
    struct surgery cleanup(surgery_free) s = NO_SURGERY;
    struct error err;
    signal(SIGHUP, SIG_IGN);
    if (surgery_load(keep, &s, &err) < 0)
        return 1;
    int got = surgery_lock(&s, false,
                           &err); // which holds the lock's file from here on, whatever becomes of it
    if (got < 0)
        return 1;
    say_ready();
    int64_t deadline = deadline_in(SURGERY_GUARD_MS);
    for (; got == 0; got = surgery_lock(&s, false, &err)) {
        nap_ms(LOOK_EVERY_MS);
        if (now_ms() < deadline)
            continue;
        end_agent(&s);
        deadline = deadline_in(SURGERY_GUARD_MS);
    }
    if (got < 0)
        return 1;
    // Read again, from the folder held since the start: the agent may have changed it, and another surgery
    // may have its name since.
    if (surgery_read(&s, &err) < 0)
        return 1;
    if (surgery_is_open(&s))
        surgery_end_left(&s, "its guard", "the agent that had stopped it is gone");
    return 0;
}
