// SPDX-License-Identifier: MIT
// Whether another host's ports answer from here: all of them side by side, each on the addresses that the
// name has, one after the other.
#include "world/agent/ops_internal.h"

#include "base/clock.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DEFAULT_TIMEOUT_MS = 5000, MOST_PORTS = 512 };

struct probe {
    uint16_t port;
    int fd;                    // -1: nothing is under way
    const struct addrinfo *at; // the address that is tried, or that answered; NULL: none is left
    int64_t began, until, deadline, ended;
    int error;
};

static void set_port(struct sockaddr_storage *address, uint16_t port)
{
    if (address->ss_family == AF_INET6)
        ((struct sockaddr_in6 *)address)->sin6_port = htons(port);
    else
        ((struct sockaddr_in *)address)->sin_port = htons(port);
}

static int64_t addresses_left(const struct addrinfo *at)
{
    int64_t n = 0;
    for (; at; at = at->ai_next)
        n++;
    return n;
}

// Tries the probe's address and those after it until one answers or may still answer.
static void try_addresses(struct probe *p)
{
    for (; p->at; p->at = p->at->ai_next) {
        struct sockaddr_storage address = {0};
        memcpy(&address, p->at->ai_addr, p->at->ai_addrlen);
        set_port(&address, p->port);
        int fd = socket(p->at->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        p->error = fd >= 0 && connect(fd, (struct sockaddr *)&address, p->at->ai_addrlen) == 0 ? 0 : errno;
        if (fd >= 0 && p->error == EINPROGRESS) {
            // An address that drops packets must leave time for the others.
            p->until = now_ms() + (p->deadline - now_ms()) / addresses_left(p->at);
            p->fd = fd;
            return;
        }
        util_close_fd(&fd);
        if (p->error == 0)
            break;
    }
    p->ended = now_ms();
}

static void settle(struct probe *p, bool ready)
{
    if (!ready && now_ms() < p->until)
        return;
    socklen_t size = sizeof p->error;
    if (!ready)
        p->error = ETIMEDOUT;
    else if (getsockopt(p->fd, SOL_SOCKET, SO_ERROR, &p->error, &size) < 0)
        p->error = errno;
    util_close_fd(&p->fd);
    p->ended = now_ms();
    if (p->error && p->at->ai_next) {
        p->at = p->at->ai_next;
        try_addresses(p);
    }
}

static int attend(struct probe *probes, size_t count, struct error *err)
{
    auto_free struct pollfd *fds = xcalloc(count, sizeof *fds);
    for (;;) {
        int64_t first = 0;
        for (size_t i = 0; i < count; i++) {
            fds[i] = (struct pollfd){.fd = probes[i].fd, .events = POLLOUT};
            if (probes[i].fd >= 0 && (!first || probes[i].until < first))
                first = probes[i].until;
        }
        if (!first)
            return 0;
        if (poll(fds, count, deadline_poll_ms(first)) < 0 && errno != EINTR)
            return error_errno(err, errno, "cannot wait for connections");
        for (size_t i = 0; i < count; i++)
            if (probes[i].fd >= 0)
                settle(&probes[i], fds[i].revents != 0);
    }
}

static json_t *answer_of(const struct probe *probes, size_t count, const struct addrinfo *addresses)
{
    const struct addrinfo *at = addresses;
    json_t *ports = json_object();
    for (size_t i = 0; i < count; i++) {
        const struct probe *p = &probes[i];
        char name[8];
        snprintf(name, sizeof name, "%u", p->port);
        if (!p->error)
            at = p->at;
        json_object_set_new(ports, name,
                            json_pack("{s:b, s:s*, s:I}", "open", p->error == 0, "error",
                                      p->error ? strerror(p->error) : NULL, "ms",
                                      (json_int_t)(p->ended - p->began)));
    }
    char text[NI_MAXHOST] = "";
    getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, NULL, 0, NI_NUMERICHOST);
    return json_pack("{s:s, s:o}", "address", text, "ports", ports);
}

int resolve(const char *host, struct addrinfo **addresses, struct error *err)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    int rc = getaddrinfo(host, NULL, &hints, addresses);
    if (rc == 0)
        return 0;
    auto_free char *shown = printable(host);
    return error_set(
        err, ERR_HOST, HOST_UNREACHED,
        "the name %s does not resolve: %s (a line in /etc/hosts, or the name server, would cure it)", shown,
        rc == EAI_SYSTEM ? strerror(errno) : gai_strerror(rc));
}

void free_addresses(struct addrinfo **addresses)
{
    if (*addresses)
        freeaddrinfo(*addresses);
}

SERVE(serve_reach)
{
    const json_t *ports = json_object_get(request, "ports");
    size_t count = json_array_size(ports);
    if (count > MOST_PORTS)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "at most %d ports can be probed at once, not %zu",
                         MOST_PORTS, count);
    auto_free struct probe *probes = xcalloc(count, sizeof *probes);
    for (size_t i = 0; i < count; i++) {
        json_int_t port = json_integer_value(json_array_get(ports, i));
        if (port < 1 || port > UINT16_MAX)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%lld is not a valid port (1 to 65535)",
                             (long long)port);
        probes[i].port = (uint16_t)port;
    }
    struct addrinfo cleanup(free_addresses) *addresses = NULL;
    if (resolve(json_str(request, "host", ""), &addresses, err) < 0)
        return -1;
    int64_t timeout = json_int(request, "timeout", 0), began = now_ms();
    for (size_t i = 0; i < count; i++) {
        probes[i].fd = -1;
        probes[i].at = addresses;
        probes[i].began = began;
        probes[i].deadline = began + (timeout > 0 ? timeout : DEFAULT_TIMEOUT_MS);
        try_addresses(&probes[i]);
    }
    int rc = attend(probes, count, err);
    for (size_t i = 0; i < count; i++)
        util_close_fd(&probes[i].fd);
    if (rc == 0)
        *result = answer_of(probes, count, addresses);
    return rc;
}
