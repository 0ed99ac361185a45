// SPDX-License-Identifier: MIT
#include "base/process.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "base/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DEFAULT_LIMIT = 16 << 20, TERM_PATIENCE_MS = 2000, LISTEN_EVERY_MS = 500, LOOK_EVERY_MS = 10 };

struct child {
    pid_t pid;
    int pid_fd;               // readable once it has ended; -1 where the kernel has none (before 5.3)
    int in, out, err, failed; // our ends; failed tells why it could not be started
    size_t written;
};

static void close_pair(int pair[2])
{
    util_close_fd(&pair[0]);
    util_close_fd(&pair[1]);
}

static int start(const struct process_request *request, struct child *c, struct error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1}, errors[2] = {-1, -1}, failed[2] = {-1, -1};
    if ((request->input && pipe2(in, O_CLOEXEC) < 0) || pipe2(out, O_CLOEXEC) < 0 ||
        pipe2(errors, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0)
        goto bad;
    // Its process group is its own, so that what it starts ends with it.
    c->pid = spawn(&(struct spawn){.in = in[0],
                                   .out = out[1],
                                   .err = errors[1],
                                   .keep = {failed[1], request->keep_fd},
                                   .dies_by = SIGKILL});
    if (c->pid < 0)
        goto bad;
    if (c->pid == 0) {
        if (request->before_exec)
            request->before_exec(request->before_exec_arg, failed[1]);
        spawn_exec(request->argv, failed[1], true);
    }
    c->pid_fd = (int)syscall(SYS_pidfd_open, c->pid, 0);
    c->in = steal_fd(&in[1]);
    c->out = steal_fd(&out[0]);
    c->err = steal_fd(&errors[0]);
    c->failed = steal_fd(&failed[0]);
    close_pair(in);
    close_pair(out);
    close_pair(errors);
    close_pair(failed);
    int ours[] = {c->in, c->out, c->err};
    for (size_t i = 0; i < COUNT_OF(ours); i++)
        if (ours[i] >= 0)
            fcntl(ours[i], F_SETFL, O_NONBLOCK);
    return 0;
bad:
    error_errno(err, errno, "cannot start %s", request->argv[0]);
    close_pair(in);
    close_pair(out);
    close_pair(errors);
    close_pair(failed);
    return -1;
}

// Reads the available output. -1 when it exceeds the limit.
static int drain(int *fd, struct buf *into, size_t limit)
{
    char chunk[65536];
    for (;;) {
        ssize_t n = read(*fd, chunk, sizeof chunk);
        if (n > 0) {
            if (into->len + (size_t)n > limit)
                return -1;
            buf_add(into, chunk, (size_t)n);
            continue;
        }
        if (n == 0 || (errno != EAGAIN && errno != EINTR))
            util_close_fd(fd), *fd = -1;
        return 0;
    }
}

static void push_input(const struct process_request *request, struct child *c)
{
    ssize_t n = write(c->in, (const char *)request->input + c->written, request->input_len - c->written);
    if (n > 0)
        c->written += (size_t)n;
    if (c->written == request->input_len || (n < 0 && errno != EAGAIN && errno != EINTR)) {
        util_close_fd(&c->in);
        c->in = -1;
    }
}

enum stop { STOP_NO, STOP_TIMEOUT, STOP_INTERRUPTED, STOP_HANGUP, STOP_TOO_MUCH };

// Whether watch_fd has been silent for too long: no new bytes have arrived there.
struct silence {
    int waiting;
    int64_t since;
};

static bool too_silent(const struct process_request *request, struct silence *s)
{
    int waiting = 0;
    if (!request->watch_silence_ms || ioctl(request->watch_fd, FIONREAD, &waiting) < 0)
        return false;
    if (waiting != s->waiting)
        *s = (struct silence){waiting, now_ms()};
    return now_ms() - s->since > request->watch_silence_ms;
}

static int at_most(int wait, int most) { return wait < 0 || wait > most ? most : wait; }

// How long to wait: until the deadline, but only a little while if silence is watched for, or if the child's
// end has to be polled for.
static int patience(const struct process_request *request, const struct child *c)
{
    int wait = deadline_poll_ms(request->deadline);
    if (request->watch_silence_ms)
        wait = at_most(wait, LISTEN_EVERY_MS);
    return c->pid_fd < 0 ? at_most(wait, LOOK_EVERY_MS) : wait;
}

// Leaves its status to be collected by waitpid.
static bool has_ended(const struct child *c)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)c->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 && info.si_pid == c->pid;
}

// Feeds and reads until the child has ended. Processes that it left in the background may hold the pipes
// open; they are not waited for.
static enum stop attend(const struct process_request *request, struct child *c, struct process_result *result)
{
    size_t limit = request->output_limit ? request->output_limit : DEFAULT_LIMIT;
    sig_atomic_t interrupts = interrupt_count;
    struct silence silence = {.since = now_ms()};
    if (c->in >= 0 && request->input_len == 0)
        push_input(request, c);
    for (;;) {
        struct pollfd fds[] = {
            {.fd = c->in, .events = POLLOUT},
            {.fd = c->out, .events = POLLIN},
            {.fd = c->err, .events = POLLIN},
            {.fd = c->pid_fd, .events = POLLIN},
            {.fd = request->watch_fd, .events = POLLRDHUP},
            {.fd = interrupts == 0 ? interrupt_fd() : -1, .events = POLLIN},
        };
        if (poll(fds, COUNT_OF(fds), patience(request, c)) < 0 && errno != EINTR)
            return STOP_HANGUP;
        if (fds[0].revents)
            push_input(request, c);
        bool ended = has_ended(c); // asked before its last output is read
        if ((c->out >= 0 && drain(&c->out, &result->out, limit) < 0) ||
            (c->err >= 0 && drain(&c->err, &result->err, limit) < 0))
            return STOP_TOO_MUCH;
        if (ended)
            return STOP_NO;
        if (fds[4].revents & (POLLHUP | POLLERR | POLLRDHUP) || too_silent(request, &silence))
            return STOP_HANGUP;
        if (interrupts == 0 && interrupt_count > 0)
            return STOP_INTERRUPTED;
        if (request->deadline && now_ms() >= request->deadline)
            return STOP_TIMEOUT;
    }
}

static void end(struct child *c)
{
    kill(-c->pid, SIGTERM);
    int64_t deadline = deadline_in(TERM_PATIENCE_MS);
    while (!has_ended(c) && now_ms() < deadline) {
        struct pollfd ended = {.fd = c->pid_fd, .events = POLLIN};
        poll(&ended, 1,
             at_most(deadline_poll_ms(deadline), c->pid_fd < 0 ? LOOK_EVERY_MS : TERM_PATIENCE_MS));
    }
    kill(-c->pid, SIGKILL);
}

int process_run(const struct process_request *request, struct process_result *result, struct error *err)
{
    struct child c = {.pid = -1, .pid_fd = -1, .in = -1, .out = -1, .err = -1, .failed = -1};
    *result = (struct process_result){0};
    if (start(request, &c, err) < 0)
        return -1;
    enum stop stop = attend(request, &c, result);
    if (stop != STOP_NO)
        end(&c);
    else if (request->nothing_left)
        kill(-c.pid, SIGKILL); // it has not been waited for, so the number is still its own
    int status = 0;
    while (waitpid(c.pid, &status, 0) < 0 && errno == EINTR)
        ;
    result->status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    result->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    result->timed_out = stop == STOP_TIMEOUT;
    char why[256];
    ssize_t n = read(c.failed, why, sizeof why - 1);
    int fds[] = {c.pid_fd, c.in, c.out, c.err, c.failed};
    for (size_t i = 0; i < COUNT_OF(fds); i++)
        util_close_fd(&fds[i]);
    const char *program = request->argv[0];
    int rc = n > 0 ? error_set(err, ERR_SYSTEM, ENOENT, "cannot start %s: %.*s", program, (int)n, why)
             : stop == STOP_INTERRUPTED
                 ? error_set(err, ERR_INTERRUPTED, 0, "%s was stopped: interrupted", program)
             : stop == STOP_HANGUP ? error_set(err, ERR_HOST, HOST_LOST,
                                               "%s was stopped: the connection to migrun is gone", program)
             : stop == STOP_TOO_MUCH
                 ? error_set(err, ERR_SYSTEM, EFBIG, "%s was stopped: its output is too large", program)
                 : 0;
    if (rc < 0)
        process_result_free(result);
    return rc;
}

char *process_said(const struct process_result *result)
{
    auto_free char *text = xstrdup(result->err.data ? result->err.data : "");
    for (size_t len = strlen(text); len && text[len - 1] == '\n'; len--)
        text[len - 1] = '\0';
    for (char *p = text; (p = strchr(p, '\n'));)
        *p = ' ';
    return printable(text);
}

void process_result_free(struct process_result *result)
{
    buf_free(&result->out);
    buf_free(&result->err);
    *result = (struct process_result){0};
}
