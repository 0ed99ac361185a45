// SPDX-License-Identifier: MIT
// migrun-agent: serves the operations of ops.h on stdin and stdout, for the migrun at the other end.
#include "base/clock.h"
#include "base/io.h"
#include "base/lockdown.h"
#include "base/socket.h"
#include "base/spawn.h"
#include "world/agent/surgery.h"
#include "world/agent/watch.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int complain(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int complain(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "migrun-agent: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    return 1;
}

// How long to wait for migrun's next message. During a surgery it must neither be silent for long nor take
// too long.
static int patience(const struct agent *agent)
{
    if (!agent->surgery)
        return WIRE_SILENCE_MS;
    int left = deadline_poll_ms(surgery_deadline(agent));
    return left < SURGERY_SILENCE_MS ? left : SURGERY_SILENCE_MS;
}

// Serves until stdin ends, or until no ping has arrived for too long: migrun, or its host, is gone then.
static int serve(struct agent *agent, const char *missing)
{
    char hostname[256] = "";
    gethostname(hostname, sizeof hostname - 1);
    static const char greeting[] = "migrun-agent " MIGRUN_VERSION " ";
    auto_free char *line = xasprintf("%s%d\n", greeting, WIRE_PROTOCOL);
    auto_json json_t *hello = json_pack("{s:{s:b, s:b, s:s, s:s?}}", "hello", "read_only", agent->read_only,
                                        "root", geteuid() == 0, "hostname", hostname, "missing", missing);
    if (write_all(STDOUT_FILENO, line, strlen(line)) < 0 ||
        wire_send(STDOUT_FILENO, hello, NULL, 0, NULL) < 0)
        return 1;
    struct wire_reader reader = {0};
    int status = 0;
    for (bool open = true; open;) {
        auto_message struct message request = {0};
        struct error err;
        watch_take(agent); // at the latest with migrun's next ping
        int taken = wire_take(&reader, &request, &err);
        if (taken < 0) {
            status = complain("%s", err.message);
            break;
        }
        if (taken) {
            open = agent_answer(agent, &request, STDOUT_FILENO) == 0;
            continue;
        }
        struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
        int ready = poll(&in, 1, patience(agent));
        if (ready < 0 && errno == EINTR)
            continue;
        if (agent->surgery && now_ms() >= surgery_deadline(agent)) {
            surgery_leave(agent); // migrun learns of it when it asks the next time
            continue;
        }
        char chunk[65536];
        ssize_t n = ready > 0 ? read(STDIN_FILENO, chunk, sizeof chunk) : 0;
        if (n > 0)
            wire_feed(&reader, chunk, (size_t)n);
        else
            open = false;
    }
    surgery_leave(agent);
    watch_leave(agent);
    pulse_leave(agent);
    wire_reader_free(&reader);
    return status;
}

// Copies available bytes from one side to the other. 0: that side has ended.
static int pass_on(int from, int to)
{
    char chunk[65536];
    ssize_t n = read(from, chunk, sizeof chunk);
    return n > 0 && write_all(to, chunk, (size_t)n) == 0;
}

// Connects stdin and stdout with a UNIX socket of this host: the way to libvirtd if ssh cannot forward one.
static int relay(const char *path)
{
    int fd = unix_connect(path, SOCK_STREAM);
    if (fd < 0)
        return complain("cannot connect to %s: %s", path, strerror(errno));
    for (;;) {
        struct pollfd fds[] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
        if (poll(fds, COUNT_OF(fds), -1) < 0 && errno != EINTR)
            return complain("cannot wait: %s", strerror(errno));
        if ((fds[0].revents && !pass_on(STDIN_FILENO, fd)) || (fds[1].revents && !pass_on(fd, STDOUT_FILENO)))
            return 0;
    }
}

int main(int argc, char **argv)
{
    signal(SIGPIPE, SIG_IGN);
    spawn_keep_private(); // what it writes may be secret
    if (argc == 2 && STREQ(argv[1], "--version")) {
        puts("migrun-agent " MIGRUN_VERSION);
        return 0;
    }
    if (argc == 3 && STREQ(argv[1], "--relay"))
        return relay(argv[2]);
    if (argc == 3 && STREQ(argv[1], "--guard"))
        return guard_main(argv[2]);
    bool read_only = argc == 3 && STREQ(argv[2], "--read-only");
    if (argc < 2 || !STREQ(argv[1], "--serve") || (argc > 2 && !read_only))
        return complain("this program is started by migrun, as migrun-agent --serve [--read-only]");
    if (geteuid() != 0)
        keep_at_home();
    struct agent agent = {.read_only = read_only, .stdin_fd = STDIN_FILENO};
    struct error err;
    // Before anything else: from here on a preview's agent can change nothing. Where the kernel cannot keep
    // it from that, migrun decides.
    bool locked = read_only && lockdown_self(&err) == 0;
    return serve(&agent, read_only && !locked ? err.message : NULL);
}
