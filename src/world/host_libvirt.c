// SPDX-License-Identifier: MIT
// The way to a host's libvirtd: the sockets that ssh forwards, or relays.
#include "base/clock.h"
#include "base/process.h"
#include "base/socket.h"
#include "base/spawn.h"
#include "world/host_internal.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { RELAY_BACKLOG = 8, FORWARD_MS = 2000 };

const char *host_control(const struct host *host)
{
    return host->login ? host->login->control : host->control;
}

static bool may_forward(const struct host_spec *spec)
{
    return !spec->local && !spec->become && STREQ(spec->relay, "auto");
}

void host_forward_libvirt(const struct host *host)
{
    const char *control = host_control(host);
    const struct login *login = host->login;
    if (!may_forward(host->spec) || !control)
        return;
    auto_words struct words words = {0};
    ssh_forward_words(&words, host->spec, control, login ? login->socket : host->socket,
                      login ? login->socket_ro : host->socket_ro);
    struct process_result result = {0};
    // Whether it leads anywhere is tried.
    process_run(&(struct process_request){.argv = (const char *const *)words.v,
                                          .deadline = deadline_in(FORWARD_MS),
                                          .watch_fd = -1},
                &result, NULL);
    process_result_free(&result);
}

// Whether a forwarded socket leads anywhere. If sshd forbids forwarding, ssh accepts the connection here and
// hangs up as soon as sshd refuses; libvirtd would wait for its client to speak. ssh keeps the order, so the
// answer to a ping sent after the connection was opened arrives after that refusal. (Twice, because ssh may
// handle the ping before it sees the connection.)
static bool leads_somewhere(struct host *host)
{
    auto_fd int fd = unix_connect(host->socket_ro, SOCK_STREAM | SOCK_NONBLOCK);
    if (fd < 0)
        return false;
    for (int i = 0; i < 2; i++) {
        auto_message struct message pong = {0};
        if (host_call(host, "ping", NULL, NULL, 0, 0, &pong, NULL) < 0)
            return false;
    }
    struct pollfd hangup = {.fd = fd, .events = POLLIN};
    return poll(&hangup, 1, 0) == 0;
}

static _Noreturn void serve_clients(int fd, const struct words *words)
{
    signal(SIGCHLD, SIG_IGN);
    for (int client; (client = accept(fd, NULL, NULL)) >= 0; close(client))
        if (spawn(&(struct spawn){
                .in = client, .out = client, .err = -1, .session = true, .dies_by = SIGTERM}) == 0)
            spawn_exec((const char *const *)words->v, STDERR_FILENO, false);
    _exit(0);
}

// Listens on path; for each client one more ssh runs the agent's relay to libvirt's socket over there.
static int start_relay(struct host *host, const char *path, const char *remote, pid_t *pid, struct error *err)
{
    auto_fd int fd = unix_listen(path, RELAY_BACKLOG);
    if (fd < 0)
        return error_errno(err, errno, "cannot listen on %s", path);
    auto_buf struct buf arguments = {0};
    buf_puts(&arguments, "--relay ");
    ssh_quote(&arguments, remote);
    auto_words struct words words = {0};
    ssh_words(&words, host->spec, host_control(host), false);
    words_add(&words, "--");
    words_add(&words, host->spec->address);
    words_take(&words, ssh_agent_command(host->spec, arguments.data));
    *pid = spawn(
        &(struct spawn){.in = -1, .out = -1, .err = -1, .keep = {fd}, .session = true, .dies_by = SIGTERM});
    if (*pid == 0)
        serve_clients(fd, &words);
    return *pid < 0 ? error_errno(err, errno, "cannot start a relay to %s", host->spec->name) : 0;
}

// Called before a preview locks itself in: sockets are made here.
int host_connect_libvirt(struct host *host, struct error *err)
{
    if (host->spec->local || (may_forward(host->spec) && leads_somewhere(host)))
        return 0;
    host_forward_libvirt(host); // unless the login that an earlier run made does so already
    if (may_forward(host->spec) && leads_somewhere(host))
        return 0;
    if (start_relay(host, host->socket, host_libvirt_setting(host->spec, "socket"), &host->relays[0], err) <
        0)
        return -1;
    return start_relay(host, host->socket_ro, host_libvirt_setting(host->spec, "socket_ro"), &host->relays[1],
                       err);
}

char *host_libvirt_uri(const struct host *host, bool read_only)
{
    return xasprintf("qemu+unix:///system?socket=%s", read_only ? host->socket_ro : host->socket);
}
