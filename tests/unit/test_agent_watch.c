// SPDX-License-Identifier: MIT
// What guests announce, and whether they answer: frames that anybody may have made, and a network of the
// test's own, with a tap as a guest has it.
#include "world/agent/ops_internal.h"
#include "world/agent/watch.h"

#include "base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define GUEST "\x52\x54\x00\x01\x02\x03"
#define EVERYBODY "\xff\xff\xff\xff\xff\xff"
#define ARP "\x00\x01\x08\x00\x06\x04"
#define NOBODY "\x00\x00\x00\x00\x00\x00"
#define OWN "\x0a\x00\x00\x05"
#define OTHER "\x0a\x00\x00\x01"
// clang-format off
#define GARP EVERYBODY GUEST "\x08\x06" ARP "\x00\x01" GUEST OWN NOBODY OWN
#define RARP EVERYBODY GUEST "\x80\x35" ARP "\x00\x03" GUEST "\x00\x00\x00\x00" GUEST "\x00\x00\x00\x00"
#define TAGGED(tag, type, rest) EVERYBODY GUEST tag type rest
#define BYTES(text) text, sizeof(text) - 1
static const struct {
    const char *frame;
    size_t len;
    bool is;
    enum announcement_kind kind;
    unsigned short vlan;
    const char *address;
} frames[] = {
    {BYTES(GARP), true, ANNOUNCE_GARP, 0, OWN},
    {BYTES(RARP), true, ANNOUNCE_RARP, 0, "\0\0\0\0"},
    // as a reply, padded to the least length of a frame
    {BYTES(EVERYBODY GUEST "\x08\x06" ARP "\x00\x02" GUEST OWN EVERYBODY OWN "\0\0\0\0\0\0\0\0\0\0\0\0"),
     true, ANNOUNCE_GARP, 0, OWN},
    {BYTES(EVERYBODY GUEST "\x08\x06" ARP "\x00\x01" GUEST OWN NOBODY OTHER), true, ANNOUNCE_ARP, 0, OWN},
    // a probe: the address is not its own yet
    {BYTES(EVERYBODY GUEST "\x08\x06" ARP "\x00\x01" GUEST "\0\0\0\0" NOBODY "\0\0\0\0"),
     true, ANNOUNCE_ARP, 0, "\0\0\0\0"},
    {BYTES(TAGGED("\x81\x00\x60\x07", "\x08\x06", ARP "\x00\x01" GUEST OWN NOBODY OWN)),
     true, ANNOUNCE_GARP, 7, OWN},
    {BYTES(TAGGED("\x88\xa8\x00\x64\x81\x00\x00\x07", "\x80\x35", ARP "\x00\x03" GUEST "\0\0\0\0" GUEST
                  "\0\0\0\0")), true, ANNOUNCE_RARP, 100, "\0\0\0\0"},
    {BYTES(TAGGED("\x81\x00\x00\x01\x81\x00\x00\x02\x81\x00\x00\x03", "\x08\x06",
                  ARP "\x00\x01" GUEST OWN NOBODY OWN)), false, 0, 0, NULL}, // three tags
    {BYTES(EVERYBODY GUEST "\x08\x00" "\x45\x00\x00\x1c"), false, 0, 0, NULL},      // IPv4
    {BYTES(EVERYBODY GUEST "\x08\x06" "\x00\x06\x08\x00\x06\x04\x00\x01" GUEST OWN NOBODY OWN),
     false, 0, 0, NULL},                                                            // not of Ethernet
    {BYTES(EVERYBODY GUEST "\x08\x06" "\x00\x01\x08\x00\xff\xff\x00\x01" GUEST OWN NOBODY OWN),
     false, 0, 0, NULL},                                                            // lengths that lie
};
// clang-format on

// The frame in memory of just its length, so that a byte read beyond it is noticed.
static bool parse(const char *frame, size_t len, struct announcement *a)
{
    auto_free unsigned char *exact = xmalloc(len ? len : 1);
    memcpy(exact, frame, len);
    return announcement_parse(exact, len, a);
}

static void frames_are_taken_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(frames); i++) {
        struct announcement a;
        if (parse(frames[i].frame, frames[i].len, &a) != frames[i].is)
            fail_msg("frame %zu", i);
        if (!frames[i].is)
            continue;
        assert_int_equal(a.kind, frames[i].kind);
        assert_int_equal(a.vlan, frames[i].vlan);
        assert_memory_equal(a.mac, GUEST, 6);
        assert_memory_equal(a.address, frames[i].address, 4);
    }
}

// Cut off anywhere before its end (its padding is no part of it), a frame is none.
static void cut_frames(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(frames); i++)
        for (size_t len = 0; len < frames[i].len; len++) {
            struct announcement a;
            if (parse(frames[i].frame, len, &a) && len < 42)
                fail_msg("frame %zu with %zu bytes", i, len);
        }
}

// Any bytes at all: the sanitizers see what is read.
static void arbitrary_frames(void **state)
{
    (void)state;
    unsigned seed = 1;
    for (int i = 0; i < 200000; i++) {
        char bytes[64];
        struct announcement a;
        memcpy(bytes, RARP, 42);
        for (int n = 0; n < 4; n++) {
            seed = seed * 1103515245 + 12345;
            bytes[seed >> 16 & 31] = (char)(seed >> 8);
        }
        parse(bytes, (seed >> 20) % 64, &a);
    }
}

static void mac_addresses(void **state)
{
    (void)state;
    unsigned char mac[6];
    assert_int_equal(mac_parse("52:54:00:aB:02:03", mac), 0);
    assert_memory_equal(mac, "\x52\x54\x00\xab\x02\x03", 6);
    static const char *const none[] = {"",
                                       "52",
                                       "52:54:00:01:02",
                                       "52:54:00:01:02:03:04",
                                       "52:54:00:01:02:0",
                                       "52-54-00-01-02-03",
                                       "52:54:00:01:02:0x",
                                       "+2:54:00:01:02:03",
                                       "525:4:00:01:02:03"};
    for (size_t i = 0; i < COUNT_OF(none); i++)
        if (mac_parse(none[i], mac) == 0)
            fail_msg("'%s'", none[i]);
}

// ---- the operations ----

static struct agent agent = {.stdin_fd = -1};

static int serve(const char *op, json_t *request, json_t **result, struct error *err)
{
    auto_json json_t *args = request;
    *result = NULL;
    *err = (struct error){0};
    return op_find(op)->serve(&agent, args, NULL, 0, result, NULL, err);
}

static void nobody_listens(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    static const char *const names[] = {"watch", "pulse"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(serve(names[i], json_pack("{s:s}", "action", "look"), &result, &err), 0);
        assert_int_equal(json_object_size(result), 0);
        json_decref(result);
    }
    assert_int_equal(
        serve("watch", json_pack("{s:s, s:[s]}", "action", "begin", "macs", "52:54"), &result, &err), -1);
    assert_string_equal(err.message, "'52:54' is not a MAC address");
    assert_int_equal(serve("watch", json_pack("{s:s, s:[]}", "action", "begin", "macs"), &result, &err), -1);
    assert_null(agent.watch);
}

// A network of the test's own, with a tap that is up, as QEMU has it: what is written to it comes in there.
// -1: not as this user. own_network_leave() leaves it.
static int own_network(int *was)
{
    *was = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (unshare(CLONE_NEWNET) < 0)
        return -1;
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    snprintf(request.ifr_name, sizeof request.ifr_name, "vnet0");
    int tap = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
    auto_fd int any = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (tap < 0 || ioctl(tap, TUNSETIFF, &request) < 0)
        return -1;
    request.ifr_flags = IFF_UP;
    assert_int_equal(ioctl(any, SIOCSIFFLAGS, &request), 0);
    const struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0xc0000202)};
    memcpy(&request.ifr_addr, &address, sizeof address); // 192.0.2.2, in 192.0.2.0/24
    assert_int_equal(ioctl(any, SIOCSIFADDR, &request), 0);
    return tap;
}

static void own_network_leave(int was)
{
    setns(was, CLONE_NEWNET);
    close(was);
}

static const json_t *frame_of(const json_t *result, const char *kind, int vlan)
{
    size_t i;
    json_t *frame;
    json_array_foreach(json_object_get(result, "frames"), i, frame)
        if (STREQ(json_str(frame, "kind", ""), kind) && json_int(frame, "vlan", 0) == vlan)
            return frame;
    fail_msg("no %s of VLAN %d", kind, vlan);
    return NULL;
}

static void a_guest_is_heard(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    int was;
    auto_fd int tap = own_network(&was);
    if (tap < 0)
        skip();
    static const char stranger[] = EVERYBODY "\x52\x54\x00\x09\x09\x09"
                                             "\x80\x35" ARP "\x00\x03" GUEST OWN GUEST OWN;
    static const char tagged[] = TAGGED("\x81\x00\x00\x07", "\x08\x06", ARP "\x00\x01" GUEST OWN NOBODY OWN);
    static const char ip[60] = EVERYBODY GUEST "\x08\x00\x45";
    assert_int_equal(write(tap, GARP, 42), 42); // nobody listens yet
    assert_int_equal(serve("watch",
                           json_pack("{s:s, s:[s,s]}", "action", "begin", "macs", "52:54:00:77:77:77",
                                     "52:54:00:01:02:03"),
                           &result, &err),
                     0);
    json_decref(result);
    double before = wall_time();
    for (int i = 0; i < 3; i++)
        assert_int_equal(write(tap, RARP, 42), 42);
    assert_int_equal(write(tap, GARP, 42), 42);
    assert_int_equal(write(tap, tagged, 46), 46);
    assert_int_equal(write(tap, stranger, 42), 42);
    assert_int_equal(write(tap, ip, 60), 60);
    assert_int_equal(
        serve("watch", json_pack("{s:s, s:i}", "action", "look", "timeout", 5000), &result, &err), 0);
    auto_json json_t *first = result;
    assert_int_equal(json_array_size(json_object_get(first, "frames")), 3);
    const json_t *rarp = frame_of(first, "rarp", 0), *garp = frame_of(first, "garp", 0);
    assert_int_equal(json_int(rarp, "count", 0), 3);
    assert_string_equal(json_str(rarp, "mac", ""), "52:54:00:01:02:03");
    assert_string_equal(json_str(rarp, "interface", ""), "vnet0");
    assert_false(json_flag(rarp, "out", true));
    assert_true(json_num(rarp, "first", 0) >= before && json_num(rarp, "last", 0) <= wall_time());
    assert_string_equal(json_str(garp, "address", ""), "10.0.0.5");
    assert_int_equal(json_int(frame_of(first, "garp", 7), "count", 0), 1);
    // Another look adds to it.
    assert_int_equal(write(tap, RARP, 42), 42);
    assert_int_equal(
        serve("watch", json_pack("{s:s, s:i}", "action", "look", "timeout", 5000), &result, &err), 0);
    auto_json json_t *last = result;
    assert_int_equal(json_int(frame_of(last, "rarp", 0), "count", 0), 4);
    watch_leave(&agent);
    own_network_leave(was);
}

// More frames than the kernel keeps, while a migration takes its time.
static void a_guest_is_heard_for_long(void **state)
{
    (void)state;
    enum { MANY = 20000, TAKEN_EVERY = 500 };
    json_t *result;
    struct error err;
    int was;
    auto_fd int tap = own_network(&was);
    if (tap < 0)
        skip();
    for (int taken = 0; taken <= 1; taken++) {
        assert_int_equal(serve("watch",
                               json_pack("{s:s, s:[s]}", "action", "begin", "macs", "52:54:00:01:02:03"),
                               &result, &err),
                         0);
        json_decref(result);
        for (int i = 0; i < MANY; i++) {
            assert_int_equal(write(tap, RARP, 42), 42);
            if (taken && i % TAKEN_EVERY == 0)
                watch_take(&agent);
        }
        assert_int_equal(serve("watch", json_pack("{s:s}", "action", "look"), &result, &err), 0);
        int64_t heard = json_int(frame_of(result, "rarp", 0), "count", 0),
                lost = json_int(result, "lost", -1);
        json_decref(result);
        assert_int_equal(heard + lost, MANY);
        assert_true(taken ? lost == 0 : lost > 0);
    }
    watch_leave(&agent);
    own_network_leave(was);
}

// What echoes on a port of this machine, but says nothing for so long after some bytes, or ends.
static pid_t echo(int *port, int pauses_after, int pause_ms, int ends_after)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(fd, 1), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &len), 0);
    *port = ntohs(address.sin_port);
    pid_t pid = fork();
    if (pid == 0) {
        int with = accept(fd, NULL, NULL);
        char byte;
        for (int n = 1; read(with, &byte, 1) == 1 && n != ends_after; n++) {
            if (n == pauses_after)
                nap_ms(pause_ms);
            if (write(with, &byte, 1) != 1)
                break;
        }
        _exit(0);
    }
    close(fd);
    return pid;
}

static json_t *look(int timeout)
{
    json_t *result;
    struct error err;
    assert_int_equal(
        serve("pulse", json_pack("{s:s, s:i}", "action", "look", "timeout", timeout), &result, &err), 0);
    assert_non_null(result);
    return result;
}

static void a_session_with_a_gap(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    int port;
    pid_t server = echo(&port, 4, 700, -1);
    assert_int_equal(serve("pulse",
                           json_pack("{s:s, s:s, s:i}", "action", "begin", "host", "127.0.0.1", "port", port),
                           &result, &err),
                     0);
    assert_string_equal(json_str(result, "address", ""), "127.0.0.1");
    json_decref(result);
    nap_ms(1600);
    auto_json json_t *seen = look(5000);
    kill(server, SIGKILL);
    waitpid(server, NULL, 0);
    assert_true(json_flag(seen, "answered", false));
    assert_true(json_int(seen, "answers", 0) >= 4);
    assert_true(json_num(seen, "longest", 0) >= 0.65); // its pause, and at most one byte was on its way
    assert_null(json_object_get(seen, "error"));
    pulse_leave(&agent);
}

static void a_session_that_breaks(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    int port;
    pid_t server = echo(&port, -1, 0, 3);
    assert_int_equal(serve("pulse",
                           json_pack("{s:s, s:s, s:i}", "action", "begin", "host", "127.0.0.1", "port", port),
                           &result, &err),
                     0);
    json_decref(result);
    waitpid(server, NULL, 0);
    nap_ms(300);
    auto_json json_t *seen = look(5000);
    assert_false(json_flag(seen, "answered", true));
    assert_string_equal(json_str(seen, "error", ""), "Connection reset by peer");
    pulse_leave(&agent);
    // Nobody is there any more.
    assert_int_equal(serve("pulse",
                           json_pack("{s:s, s:s, s:i}", "action", "begin", "host", "127.0.0.1", "port", port),
                           &result, &err),
                     -1);
    assert_string_equal(err.message, "cannot ask 127.0.0.1: Connection refused");
    assert_null(agent.pulse);
}

static void by_icmp(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    if (geteuid() != 0)
        skip();
    static const char *const own[] = {"127.0.0.1", "::1"};
    for (size_t i = 0; i < COUNT_OF(own); i++) {
        if (serve("pulse", json_pack("{s:s, s:s}", "action", "begin", "host", own[i]), &result, &err) < 0 &&
            i)
            skip(); // a machine without IPv6
        json_decref(result);
        auto_json json_t *seen = look(5000);
        assert_true(json_flag(seen, "answered", false));
        assert_string_equal(json_str(seen, "address", ""), own[i]);
    }
    pulse_leave(&agent);
}

// An address that nobody has: asking it is no error.
static void nobody_answers(void **state)
{
    (void)state;
    json_t *result;
    struct error err;
    int was;
    auto_fd int tap = own_network(&was);
    if (tap < 0)
        skip();
    assert_int_equal(
        serve("pulse", json_pack("{s:s, s:s}", "action", "begin", "host", "192.0.2.1"), &result, &err), 0);
    json_decref(result);
    auto_json json_t *seen = look(300);
    assert_false(json_flag(seen, "answered", true));
    assert_int_equal(json_int(seen, "answers", -1), 0);
    pulse_leave(&agent);
    own_network_leave(was);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_are_taken_apart),
        cmocka_unit_test(cut_frames),
        cmocka_unit_test(arbitrary_frames),
        cmocka_unit_test(mac_addresses),
        cmocka_unit_test(nobody_listens),
        cmocka_unit_test(a_guest_is_heard),
        cmocka_unit_test(a_guest_is_heard_for_long),
        cmocka_unit_test(a_session_with_a_gap),
        cmocka_unit_test(a_session_that_breaks),
        cmocka_unit_test(by_icmp),
        cmocka_unit_test(nobody_answers),
    };
    return cmocka_run_group_tests_name("agent: watch", tests, NULL, NULL);
}
