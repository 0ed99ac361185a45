// SPDX-License-Identifier: MIT
// The network interfaces of a host, by the kernel's own word (rtnetlink): what a guest's interface may be
// plugged into, and which address is the host's own rather than one that floats from host to host.
#include "world/agent/ops_internal.h"

#include "base/clock.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { DUMP_MS = 5000, BUFFER = 1 << 16 };

typedef void take_message(const struct nlmsghdr *message, json_t *all);

// The attributes of a message, by their types below most; later ones of a type count.
static void sort_attributes(const struct rtattr *at, size_t len, const struct rtattr **sorted, size_t most)
{
    memset(sorted, 0, most * sizeof *sorted);
    for (; RTA_OK(at, len); at = RTA_NEXT(at, len))
        if ((at->rta_type & NLA_TYPE_MASK) < most)
            sorted[at->rta_type & NLA_TYPE_MASK] = at;
}

// An attribute's text, which need not end in a NUL. Caller frees; NULL where it is missing.
static char *text_of(const struct rtattr *at)
{
    return at ? xstrndup(RTA_DATA(at), strnlen(RTA_DATA(at), RTA_PAYLOAD(at))) : NULL;
}

static json_int_t number_of(const struct rtattr *at)
{
    uint32_t number = 0;
    if (at && RTA_PAYLOAD(at) >= sizeof number)
        memcpy(&number, RTA_DATA(at), sizeof number);
    return number;
}

// What made it, "bridge", "vlan", "openvswitch", … (absent: a driver of real hardware), and its VLAN.
static void add_kind(json_t *link, const struct rtattr *info)
{
    const struct rtattr *sorted[IFLA_INFO_DATA + 1], *of_vlan[IFLA_VLAN_ID + 1];
    if (!info)
        return;
    sort_attributes(RTA_DATA(info), RTA_PAYLOAD(info), sorted, COUNT_OF(sorted));
    auto_free char *kind = text_of(sorted[IFLA_INFO_KIND]);
    set_text(link, "kind", kind);
    if (!kind || !STREQ(kind, "vlan") || !sorted[IFLA_INFO_DATA])
        return;
    const struct rtattr *data = sorted[IFLA_INFO_DATA];
    uint16_t vlan;
    sort_attributes(RTA_DATA(data), RTA_PAYLOAD(data), of_vlan, COUNT_OF(of_vlan));
    if (!of_vlan[IFLA_VLAN_ID] || RTA_PAYLOAD(of_vlan[IFLA_VLAN_ID]) < sizeof vlan)
        return;
    memcpy(&vlan, RTA_DATA(of_vlan[IFLA_VLAN_ID]), sizeof vlan);
    json_object_set_new(link, "vlan", json_integer(vlan));
}

static json_t *with_index(json_t *all, json_int_t index)
{
    size_t i;
    json_t *link;
    json_array_foreach(all, i, link)
        if (json_int(link, "index", -1) == index)
            return link;
    return NULL;
}

static void take_link(const struct nlmsghdr *message, json_t *all)
{
    const struct ifinfomsg *info = NLMSG_DATA(message);
    const struct rtattr *sorted[IFLA_LINKINFO + 1];
    if (message->nlmsg_type != RTM_NEWLINK || message->nlmsg_len < NLMSG_LENGTH(sizeof *info))
        return;
    sort_attributes(IFLA_RTA(info), IFLA_PAYLOAD(message), sorted, COUNT_OF(sorted));
    auto_free char *name = text_of(sorted[IFLA_IFNAME]);
    if (!name)
        return;
    json_t *link = json_pack("{s:o, s:i, s:I, s:b, s:[]}", "name", json_text(name), "index", info->ifi_index,
                             "mtu", number_of(sorted[IFLA_MTU]), "up", (info->ifi_flags & IFF_UP) != 0,
                             "addresses");
    add_kind(link, sorted[IFLA_LINKINFO]);
    if (sorted[IFLA_MASTER])
        json_object_set_new(link, "master", json_integer(number_of(sorted[IFLA_MASTER])));
    json_array_append_new(all, link);
}

static void take_address(const struct nlmsghdr *message, json_t *all)
{
    const struct ifaddrmsg *info = NLMSG_DATA(message);
    const struct rtattr *sorted[IFA_LOCAL + 1];
    char text[INET6_ADDRSTRLEN];
    if (message->nlmsg_type != RTM_NEWADDR || message->nlmsg_len < NLMSG_LENGTH(sizeof *info))
        return;
    sort_attributes(IFA_RTA(info), IFA_PAYLOAD(message), sorted, COUNT_OF(sorted));
    const struct rtattr *at = sorted[IFA_LOCAL] ? sorted[IFA_LOCAL] : sorted[IFA_ADDRESS];
    json_t *link = with_index(all, info->ifa_index);
    size_t size = info->ifa_family == AF_INET ? 4 : 16;
    if (!link || !at || (info->ifa_family != AF_INET && info->ifa_family != AF_INET6) ||
        RTA_PAYLOAD(at) < size || !inet_ntop(info->ifa_family, RTA_DATA(at), text, sizeof text))
        return;
    // A second address of a network is secondary for IPv4; for IPv6 that bit means a temporary one, and
    // keepalived's are marked as deprecated.
    bool secondary = info->ifa_flags &
                     (info->ifa_family == AF_INET ? IFA_F_SECONDARY : IFA_F_TEMPORARY | IFA_F_DEPRECATED);
    json_array_append_new(
        json_object_get(link, "addresses"),
        json_pack("{s:s, s:i, s:b}", "address", text, "prefix", info->ifa_prefixlen, "secondary", secondary));
}

// The messages of one datagram; whether the dump has ended.
static bool take_all(const char *data, size_t len, take_message *take, json_t *all)
{
    for (const struct nlmsghdr *message = (const void *)data; NLMSG_OK(message, len);
         message = NLMSG_NEXT(message, len)) {
        if (message->nlmsg_type == NLMSG_DONE || message->nlmsg_type == NLMSG_ERROR)
            return true;
        take(message, all);
    }
    return false;
}

static void dump(int fd, uint16_t type, take_message *take, json_t *all)
{
    static _Alignas(struct nlmsghdr) char buffer[BUFFER];
    struct {
        struct nlmsghdr head;
        struct rtgenmsg body;
    } request = {.head = {.nlmsg_len = NLMSG_LENGTH(sizeof request.body),
                          .nlmsg_type = type,
                          .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP},
                 .body = {.rtgen_family = AF_UNSPEC}};
    int64_t deadline = deadline_in(DUMP_MS);
    struct pollfd readable = {.fd = fd, .events = POLLIN};
    if (send(fd, &request, request.head.nlmsg_len, 0) < 0)
        return;
    while (poll(&readable, 1, deadline_poll_ms(deadline)) > 0) {
        ssize_t n = recv(fd, buffer, sizeof buffer, 0);
        if (n <= 0 || take_all(buffer, (size_t)n, take, all))
            return;
    }
}

// The masters by their names, and no indices, which only this host knows.
static void name_masters(json_t *all)
{
    size_t i;
    json_t *link;
    json_array_foreach(all, i, link) {
        const json_t *master = with_index(all, json_int(link, "master", -1));
        if (master)
            json_object_set(link, "master", json_object_get(master, "name"));
        else
            json_object_del(link, "master");
    }
    json_array_foreach(all, i, link)
        json_object_del(link, "index");
}

json_t *links(void)
{
    json_t *all = json_array();
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    if (fd < 0)
        return all;
    dump(fd, RTM_GETLINK, take_link, all);
    dump(fd, RTM_GETADDR, take_address, all);
    close(fd);
    name_masters(all);
    return all;
}
