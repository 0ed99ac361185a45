// SPDX-License-Identifier: MIT
// Listens for what guests announce (RARP, gratuitous ARP), on every interface of this host, so that it is
// seen where a frame came from and where it went. The kernel keeps the frames and their times until somebody
// looks: a socket that is open is all that there is between two requests.
#include "world/agent/watch.h"

#include "base/clock.h"
#include "world/agent/ops_internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum {
    MACS_MOST = 32,
    SEEN_MOST = 512,
    FRAME_MOST = 128, // bytes of a frame that matter
    BUFFER_BYTES = 2 << 20,
    LOOK_MOST_MS = 60000,
    TAGS_MOST = 2,
    NO_VLAN = 0,
    TAG_ID = 0xfff,
};

// ---- one frame ----

static unsigned two_bytes(const unsigned char *at) { return (unsigned)at[0] << 8 | at[1]; }

bool announcement_parse(const unsigned char *frame, size_t len, struct announcement *a)
{
    enum { MACS_LEN = 12, TYPE_LEN = 2, TAG_LEN = 4, ARP_LEN = 28 };
    static const unsigned char ethernet_ipv4[] = {0, 1, 8, 0, 6, 4}, nobody[4] = {0};
    size_t at = MACS_LEN;
    *a = (struct announcement){0};
    for (int tags = 0;; tags++) {
        if (len < at + TYPE_LEN)
            return false;
        unsigned type = two_bytes(frame + at);
        if (type == ETHERTYPE_ARP || type == ETHERTYPE_REVARP)
            break;
        if ((type != ETHERTYPE_VLAN && type != 0x88a8) || tags == TAGS_MOST || len < at + TAG_LEN)
            return false;
        if (tags == 0)
            a->vlan = (unsigned short)(two_bytes(frame + at + TYPE_LEN) & TAG_ID);
        at += TAG_LEN;
    }
    bool reverse = two_bytes(frame + at) == ETHERTYPE_REVARP;
    const unsigned char *arp = frame + at + TYPE_LEN;
    if (len < at + TYPE_LEN + ARP_LEN || memcmp(arp, ethernet_ipv4, sizeof ethernet_ipv4) != 0)
        return false;
    const unsigned char *sender = arp + 14, *target = arp + 24; // their IPv4 addresses
    memcpy(a->mac, frame + ETH_ALEN, ETH_ALEN);
    bool own = memcmp(sender, target, 4) == 0 && memcmp(sender, nobody, 4) != 0;
    a->kind = reverse ? ANNOUNCE_RARP : own ? ANNOUNCE_GARP : ANNOUNCE_ARP;
    if (!reverse)
        memcpy(a->address, sender, 4);
    return true;
}

int mac_parse(const char *text, unsigned char mac[6])
{
    for (int i = 0; i < ETH_ALEN; i++) {
        char *end;
        if (strspn(text, "0123456789abcdefABCDEF") != 2)
            return -1;
        mac[i] = (unsigned char)strtoul(text, &end, 16);
        if (*end != (i < ETH_ALEN - 1 ? ':' : '\0'))
            return -1;
        text = end + 1;
    }
    return 0;
}

// ---- what was seen ----

// Frames of one kind, from one guest, on one interface.
struct seen {
    struct announcement of;
    char interface[IF_NAMESIZE];
    bool out; // the host sent it on there
    unsigned count;
    double first, last;
};

struct watch {
    int fd;
    unsigned char macs[MACS_MOST][ETH_ALEN];
    size_t n_macs, n_seen;
    struct seen seen[SEEN_MOST];
    int64_t lost; // frames that came when the kernel had no room for them any more, or this table
};

void watch_leave(struct agent *agent)
{
    if (!agent->watch)
        return;
    util_close_fd(&agent->watch->fd);
    free(agent->watch);
    agent->watch = NULL;
}

static bool is_watched(const struct watch *w, const unsigned char *mac)
{
    for (size_t i = 0; i < w->n_macs; i++)
        if (memcmp(w->macs[i], mac, ETH_ALEN) == 0)
            return true;
    return false;
}

static void note(struct watch *w, const struct announcement *a, const char *interface, bool out, double time)
{
    size_t i = 0;
    while (i < w->n_seen && !(memcmp(&w->seen[i].of, a, sizeof *a) == 0 && w->seen[i].out == out &&
                              STREQ(w->seen[i].interface, interface)))
        i++;
    if (i == SEEN_MOST) {
        w->lost++;
        return;
    }
    struct seen *s = &w->seen[i];
    if (i == w->n_seen) {
        *s = (struct seen){.of = *a, .out = out, .first = time};
        snprintf(s->interface, sizeof s->interface, "%s", interface);
        w->n_seen++;
    }
    s->count++;
    s->last = time;
}

// What the kernel tells of a frame beside its bytes: when it came, and its tag, where that is not in it.
static double take_ancillary(struct msghdr *message, struct announcement *a)
{
    double time = wall_time();
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
        struct timespec at;
        struct tpacket_auxdata more;
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_TIMESTAMPNS) {
            memcpy(&at, CMSG_DATA(c), sizeof at);
            time = (double)at.tv_sec + (double)at.tv_nsec / 1e9;
        } else if (c->cmsg_level == SOL_PACKET && c->cmsg_type == PACKET_AUXDATA) {
            memcpy(&more, CMSG_DATA(c), sizeof more);
            if (more.tp_status & TP_STATUS_VLAN_VALID)
                a->vlan = more.tp_vlan_tci & TAG_ID;
        }
    }
    return time;
}

// Takes what the kernel has. Returns whether there was anything of these guests.
static bool drain(struct watch *w)
{
    bool any = false;
    for (;;) {
        unsigned char frame[FRAME_MOST];
        _Alignas(struct cmsghdr) char ancillary[256];
        struct sockaddr_ll from = {0};
        struct iovec into = {.iov_base = frame, .iov_len = sizeof frame};
        struct msghdr message = {.msg_name = &from,
                                 .msg_namelen = sizeof from,
                                 .msg_iov = &into,
                                 .msg_iovlen = 1,
                                 .msg_control = ancillary,
                                 .msg_controllen = sizeof ancillary};
        ssize_t n = recvmsg(w->fd, &message, MSG_DONTWAIT);
        if (n < 0 && (errno == EINTR || errno == ENETDOWN))
            continue; // an interface that went away
        if (n < 0)
            break;
        struct announcement a;
        char interface[IF_NAMESIZE] = "?";
        bool ethernet = from.sll_hatype == ARPHRD_ETHER;
        if (!ethernet || !announcement_parse(frame, (size_t)n, &a) || !is_watched(w, a.mac))
            continue;
        double time = take_ancillary(&message, &a);
        if_indextoname((unsigned)from.sll_ifindex, interface);
        note(w, &a, interface, from.sll_pkttype == PACKET_OUTGOING, time);
        any = true;
    }
    struct tpacket_stats stats;
    socklen_t size = sizeof stats;
    if (getsockopt(w->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &size) == 0)
        w->lost += stats.tp_drops;
    return any;
}

void watch_take(struct agent *agent)
{
    if (agent->watch)
        drain(agent->watch);
}

static json_t *frames_of(const struct watch *w)
{
    static const char *const kinds[] = {"rarp", "garp", "arp"};
    json_t *frames = json_array();
    for (size_t i = 0; i < w->n_seen; i++) {
        const struct seen *s = &w->seen[i];
        const unsigned char *m = s->of.mac;
        char mac[18], address[INET_ADDRSTRLEN] = "";
        snprintf(mac, sizeof mac, "%02x:%02x:%02x:%02x:%02x:%02x", m[0], m[1], m[2], m[3], m[4], m[5]);
        inet_ntop(AF_INET, s->of.address, address, sizeof address);
        json_t *frame = json_pack("{s:s, s:s, s:o, s:b, s:i, s:f, s:f}", "mac", mac, "kind",
                                  kinds[s->of.kind], "interface", json_text(s->interface), "out", s->out,
                                  "count", (int)s->count, "first", s->first, "last", s->last);
        if (s->of.vlan != NO_VLAN)
            json_object_set_new(frame, "vlan", json_integer(s->of.vlan));
        if (s->of.kind != ANNOUNCE_RARP && !STREQ(address, "0.0.0.0"))
            json_object_set_new(frame, "address", json_string(address));
        json_array_append_new(frames, frame);
    }
    return frames;
}

// ---- the socket ----

// Only ARP and RARP (maybe tagged) of these guests come in, so that what a guest sends else fills no buffer.
static int keep_out_others(int fd, const struct watch *w)
{
    enum { PER_MAC = 5, TYPES = 4 };
    static const unsigned types[TYPES] = {ETHERTYPE_ARP, ETHERTYPE_REVARP, ETHERTYPE_VLAN, 0x88a8};
    struct sock_filter program[MACS_MOST * PER_MAC + TYPES + 4];
    unsigned n = 0, of_types = (unsigned)w->n_macs * PER_MAC + 1;
    for (size_t i = 0; i < w->n_macs; i++) {
        const unsigned char *m = w->macs[i];
        uint32_t tail = (uint32_t)two_bytes(m + 2) << 16 | two_bytes(m + 4);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ETH_ALEN + 2);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, tail, 0, 3);
        program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, ETH_ALEN);
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, two_bytes(m), 0, 1);
        program[n] = (struct sock_filter)BPF_STMT(BPF_JMP | BPF_JA, of_types - n - 1);
        n++;
    }
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 2 * ETH_ALEN);
    for (unsigned i = 0; i < TYPES; i++)
        program[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, types[i],
                                                    (unsigned char)(TYPES - i), 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, 0);
    program[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, FRAME_MOST);
    struct sock_fprog filter = {.len = (unsigned short)n, .filter = program};
    return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof filter);
}

// It is bound to a protocol, and so gets frames, once it has its filter.
static int begin(struct agent *agent, const json_t *macs, json_t **result, struct error *err)
{
    size_t count = json_array_size(macs);
    if (!count || count > MACS_MOST)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "1 to %d MAC addresses can be watched, not %zu",
                         MACS_MOST, count);
    watch_leave(agent);
    struct watch *w = agent->watch = xcalloc(1, sizeof *w);
    w->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    for (; w->n_macs < count; w->n_macs++) {
        const char *text = json_string_value(json_array_get(macs, w->n_macs));
        if (!text || mac_parse(text, w->macs[w->n_macs]) < 0) {
            auto_free char *shown = printable(text ? text : "");
            watch_leave(agent);
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%s' is not a MAC address", shown);
        }
    }
    int on = 1, bytes = BUFFER_BYTES;
    struct sockaddr_ll all = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    if (w->fd >= 0 && setsockopt(w->fd, SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0)
        setsockopt(w->fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    if (w->fd < 0 || keep_out_others(w->fd, w) < 0 ||
        setsockopt(w->fd, SOL_SOCKET, SO_TIMESTAMPNS, &on, sizeof on) < 0 ||
        setsockopt(w->fd, SOL_PACKET, PACKET_AUXDATA, &on, sizeof on) < 0 ||
        bind(w->fd, (struct sockaddr *)&all, sizeof all) < 0) {
        int why = errno;
        watch_leave(agent);
        return error_errno(err, why, "cannot listen for frames");
    }
    *result = json_object();
    return 0;
}

SERVE(serve_watch)
{
    const char *action = json_str(request, "action", "");
    int64_t timeout = json_int(request, "timeout", 0);
    if (STREQ(action, "begin"))
        return begin(agent, json_object_get(request, "macs"), result, err);
    if (!STREQ(action, "look"))
        return error_set(err, ERR_BUG, 0, "watch has no action '%s'", action);
    struct watch *w = agent->watch;
    if (!w) {
        *result = json_object();
        return 0;
    }
    int64_t deadline = now_ms() + (timeout < LOOK_MOST_MS ? timeout : LOOK_MOST_MS);
    while (!drain(w) && now_ms() < deadline) {
        struct pollfd in = {.fd = w->fd, .events = POLLIN};
        poll(&in, 1, deadline_poll_ms(deadline));
    }
    *result = json_pack("{s:o, s:I}", "frames", frames_of(w), "lost", (json_int_t)w->lost);
    return 0;
}
