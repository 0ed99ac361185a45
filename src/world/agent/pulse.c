// SPDX-License-Identifier: MIT
// Asks an address again and again whether it answers, in a process of its own beside the agent's requests: by
// ICMP, or in a TCP session with what echoes there. The longest time between two answers is what somebody who
// uses the guest waits.
#include "base/clock.h"
#include "base/spawn.h"
#include "world/agent/ops_internal.h"
#include "world/agent/watch.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/ip_icmp.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { EVERY_MS = 100, CONNECT_MS = 3000, LOOK_MOST_MS = 60000, LOOK_EVERY_MS = 10 };

// What the process that asks tells the agent: memory of both.
struct beats {
    _Atomic int64_t answers, last, longest; // ms; last by now_ms()
    _Atomic double at;                      // when the longest gap was over
    _Atomic int error;                      // errno of what ended it
};

struct pulse {
    pid_t pid;
    struct beats *beats;
    char address[NI_MAXHOST];
};

void pulse_leave(struct agent *agent)
{
    struct pulse *p = agent->pulse;
    if (!p)
        return;
    if (p->pid > 0) {
        kill(p->pid, SIGKILL);
        while (waitpid(p->pid, NULL, 0) < 0 && errno == EINTR)
            ;
    }
    munmap(p->beats, sizeof *p->beats);
    free(p);
    agent->pulse = NULL;
}

// ---- in the process that asks ----

// How it asks: by ICMP of a family, or TCP.
struct asking {
    int fd, family;
    bool tcp;
    uint16_t id;
};

static uint16_t checksum(const void *data, size_t len)
{
    uint32_t sum = 0;
    for (size_t i = 0; i + 1 < len; i += 2) {
        uint16_t word;
        memcpy(&word, (const char *)data + i, sizeof word);
        sum += word;
    }
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

static void ask(const struct asking *a, uint16_t number)
{
    if (a->tcp) {
        send(a->fd, "\n", 1, MSG_DONTWAIT | MSG_NOSIGNAL);
        return;
    }
    struct icmphdr echo = {.type = a->family == AF_INET6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO,
                           .un.echo = {.id = htons(a->id), .sequence = htons(number)}};
    if (a->family == AF_INET) // of IPv6 the kernel makes it
        echo.checksum = checksum(&echo, sizeof echo);
    send(a->fd, &echo, sizeof echo, MSG_DONTWAIT);
}

// Whether these bytes are an answer: an IPv4 packet, an ICMPv6 message, or what TCP brought.
static bool is_answer(const struct asking *a, const unsigned char *bytes, size_t len)
{
    struct icmphdr echo;
    size_t head = a->family == AF_INET && len > 0 ? (size_t)(bytes[0] & 0xf) * 4 : 0;
    if (a->tcp)
        return len > 0;
    if (len < head + sizeof echo)
        return false;
    memcpy(&echo, bytes + head, sizeof echo);
    return echo.type == (a->family == AF_INET6 ? ICMP6_ECHO_REPLY : ICMP_ECHOREPLY) &&
           echo.un.echo.id == htons(a->id);
}

static void count(struct beats *b)
{
    int64_t now = now_ms(), gap = now - b->last;
    if (b->answers++ && gap > b->longest) {
        b->longest = gap;
        b->at = wall_time();
    }
    b->last = now;
}

// A host that cannot be reached for a while is what this is to see; only a session that has ended ends it.
_Noreturn static void keep_asking(const struct asking *a, struct beats *b)
{
    uint16_t number = 0;
    for (int64_t next = now_ms();;) {
        if (now_ms() >= next) {
            ask(a, ++number);
            next = now_ms() + EVERY_MS;
        }
        struct pollfd in = {.fd = a->fd, .events = POLLIN};
        if (poll(&in, 1, deadline_poll_ms(next)) <= 0)
            continue;
        unsigned char bytes[4096];
        ssize_t n = recv(a->fd, bytes, sizeof bytes, MSG_DONTWAIT);
        bool none = n < 0 && (errno == EAGAIN || errno == EINTR);
        if (a->tcp && n <= 0 && !none) {
            b->error = n == 0 ? ECONNRESET : errno;
            _exit(0);
        }
        if (n > 0 && is_answer(a, bytes, (size_t)n))
            count(b);
    }
}

// ---- in the agent ----

static int connect_within(int fd, const struct addrinfo *to, int timeout_ms)
{
    int error = 0;
    socklen_t size = sizeof error;
    struct pollfd out = {.fd = fd, .events = POLLOUT};
    if (connect(fd, to->ai_addr, to->ai_addrlen) == 0)
        return 0;
    if (errno == EINPROGRESS && poll(&out, 1, timeout_ms) == 0)
        errno = ETIMEDOUT;
    else if (errno == EINPROGRESS && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0)
        errno = error;
    return errno ? -1 : 0;
}

// The socket to one address. -1 with errno.
static int open_to(const struct addrinfo *to, uint16_t port)
{
    int on = 1, protocol = to->ai_family == AF_INET6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)(void *)to->ai_addr;
    struct sockaddr_in *four = (struct sockaddr_in *)(void *)to->ai_addr;
    *(to->ai_family == AF_INET6 ? &six->sin6_port : &four->sin_port) = htons(port);
    auto_fd int fd = socket(to->ai_family, (port ? SOCK_STREAM : SOCK_RAW) | SOCK_CLOEXEC | SOCK_NONBLOCK,
                            port ? 0 : protocol);
    if (fd < 0 || connect_within(fd, to, CONNECT_MS) < 0)
        return -1;
    if (port)
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return steal_fd(&fd);
}

static int begin(struct agent *agent, const json_t *request, json_t **result, struct error *err)
{
    struct addrinfo cleanup(free_addresses) *addresses = NULL;
    const char *host = json_str(request, "host", "");
    int64_t port = json_int(request, "port", 0);
    if (port < 0 || port > UINT16_MAX)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%lld is not a valid port (1 to 65535)",
                         (long long)port);
    pulse_leave(agent);
    if (resolve(host, &addresses, err) < 0)
        return -1;
    auto_fd int fd = -1;
    const struct addrinfo *to = addresses;
    for (; to && (fd = open_to(to, (uint16_t)port)) < 0; to = to->ai_next)
        ;
    struct beats *beats = mmap(NULL, sizeof *beats, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
                               0);
    if (fd < 0 || beats == MAP_FAILED) {
        auto_free char *shown = printable(host);
        int why = errno;
        if (beats != MAP_FAILED)
            munmap(beats, sizeof *beats);
        return error_errno(err, why, "cannot ask %s", shown);
    }
    struct pulse *p = agent->pulse = xcalloc(1, sizeof *p);
    const struct asking asking = {.fd = fd, .family = to->ai_family, .tcp = port, .id = (uint16_t)getpid()};
    p->beats = beats;
    getnameinfo(to->ai_addr, to->ai_addrlen, p->address, sizeof p->address, NULL, 0, NI_NUMERICHOST);
    p->pid = spawn(&(struct spawn){.in = -1, .out = -1, .err = -1, .keep = {fd}, .dies_by = SIGKILL});
    if (p->pid == 0)
        keep_asking(&asking, beats);
    if (p->pid < 0) {
        int why = errno;
        pulse_leave(agent);
        return error_errno(err, why, "cannot start asking");
    }
    *result = json_pack("{s:s}", "address", p->address);
    return 0;
}

SERVE(serve_pulse)
{
    const char *action = json_str(request, "action", "");
    int64_t timeout = json_int(request, "timeout", 0);
    if (STREQ(action, "begin"))
        return begin(agent, request, result, err);
    if (!STREQ(action, "look"))
        return error_set(err, ERR_BUG, 0, "pulse has no action '%s'", action);
    const struct pulse *p = agent->pulse;
    if (!p) {
        *result = json_object();
        return 0;
    }
    const struct beats *b = p->beats;
    int64_t deadline = now_ms() + (timeout < LOOK_MOST_MS ? timeout : LOOK_MOST_MS), before = b->answers;
    while (b->answers == before && !b->error && now_ms() < deadline)
        nap_ms(LOOK_EVERY_MS);
    *result = json_pack("{s:s, s:b, s:I, s:f, s:f, s:s*}", "address", p->address, "answered",
                        b->answers > before, "answers", (json_int_t)b->answers, "longest",
                        (double)b->longest / 1000, "at", b->at, "error",
                        b->error ? strerror(b->error) : NULL);
    return 0;
}
