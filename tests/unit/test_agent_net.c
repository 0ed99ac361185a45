// SPDX-License-Identifier: MIT
// Whether ports of another host answer from here.
#include "world/agent/ops_internal.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int reach(const char *host, json_t *ports, json_t **result, struct error *err)
{
    struct agent agent = {.stdin_fd = -1};
    auto_json json_t *request = json_pack("{s:s, s:o, s:i}", "host", host, "ports", ports, "timeout", 30000);
    *result = NULL;
    *err = (struct error){0};
    return op_find("reach")->serve(&agent, request, NULL, 0, result, NULL, err);
}

// A port of this machine; it takes connections while the descriptor is open, and none is there afterwards.
static int some_port(int *fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    *fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*fd, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(*fd, 4), 0);
    assert_int_equal(getsockname(*fd, (struct sockaddr *)&address, &len), 0);
    return ntohs(address.sin_port);
}

static const json_t *port_of(const json_t *result, int port)
{
    auto_free char *name = xasprintf("%d", port);
    return json_object_get(json_object_get(result, "ports"), name);
}

static void open_and_closed_ports(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    int open_fd, closed_fd, open_port = some_port(&open_fd), closed_port = some_port(&closed_fd);
    close(closed_fd);
    assert_int_equal(reach("127.0.0.1", json_pack("[i,i]", open_port, closed_port), &result, &err), 0);
    close(open_fd);
    assert_string_equal(json_str(result, "address", ""), "127.0.0.1");
    assert_true(json_flag(port_of(result, open_port), "open", false));
    assert_null(json_object_get(port_of(result, open_port), "error"));
    assert_false(json_flag(port_of(result, closed_port), "open", true));
    assert_string_equal(json_str(port_of(result, closed_port), "error", ""), "Connection refused");
}

// Each address of a name is tried: where IPv6 is first and nobody listens there, IPv4 answers.
static void a_name_with_several_addresses(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    int fd, port = some_port(&fd);
    assert_int_equal(reach("localhost", json_pack("[i]", port), &result, &err), 0);
    close(fd);
    assert_true(json_flag(port_of(result, port), "open", false));
    assert_string_equal(json_str(result, "address", ""), "127.0.0.1");
}

static void no_ports_at_all(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    assert_int_equal(reach("127.0.0.1", json_array(), &result, &err), 0);
    assert_int_equal(json_object_size(json_object_get(result, "ports")), 0);
}

static void a_name_that_does_not_resolve(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    assert_int_equal(reach("no-such-host.invalid", json_pack("[i]", 22), &result, &err), -1);
    assert_int_equal(err.domain, ERR_HOST);
    assert_int_equal(err.code, HOST_UNREACHED);
    assert_non_null(strstr(err.message, "no-such-host.invalid does not resolve"));
}

static void ports_that_are_none(void **state)
{
    (void)state;
    static const json_int_t wrong[] = {0, -1, 65536, 1LL << 40};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        auto_json json_t *result = NULL;
        struct error err;
        assert_int_equal(reach("127.0.0.1", json_pack("[i,I]", 22, wrong[i]), &result, &err), -1);
        assert_int_equal(err.domain, ERR_REFUSED);
        assert_non_null(strstr(err.message, "is not a valid port (1 to 65535)"));
    }
}

static void too_many_ports(void **state)
{
    (void)state;
    auto_json json_t *result = NULL;
    struct error err;
    json_t *ports = json_array();
    for (int i = 1; i <= 513; i++)
        json_array_append_new(ports, json_integer(i));
    assert_int_equal(reach("127.0.0.1", ports, &result, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    assert_non_null(strstr(err.message, "at most 512 ports"));
}

// A URI of virsh's may name programs and files: none but a plain one is taken. The other side is this
// machine, where nobody listens.
static void logins(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "qemu:///system",
        "test:///default",
        "qemu+ext://h/system?command=/bin/sh",
        "qemu+ssh://h/system?command=/bin/sh",
        "qemu+ssh://h/system?keyfile=/etc/shadow",
        "qemu+tcp://h/session",
        "qemu+tcp:///system",
        "qemu+tcp://-h/system",
        "qemu+tcp://h/system/",
        "qemu+tcp://h h/system",
        "qemu+tcp://h/../system",
        "qemu+unix:///system?socket=/tmp/x",
    };
    struct agent agent = {.stdin_fd = -1};
    struct error err;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        auto_json json_t *request = json_pack("{s:s}", "uri", refused[i]), *result = NULL;
        err = (struct error){0};
        assert_int_equal(op_find("login")->serve(&agent, request, NULL, 0, &result, NULL, &err), -1);
        assert_non_null(strstr(err.message, "is no URI of another host's libvirtd"));
    }
    auto_json json_t *request = json_pack("{s:s}", "uri", "qemu+tcp://127.0.0.1:1/system"), *result = NULL;
    assert_int_equal(op_find("login")->serve(&agent, request, NULL, 0, &result, NULL, &err), 0);
    assert_non_null(strstr(json_str(result, "error", ""), "Connection refused"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(logins),
        cmocka_unit_test(open_and_closed_ports),
        cmocka_unit_test(a_name_with_several_addresses),
        cmocka_unit_test(no_ports_at_all),
        cmocka_unit_test(a_name_that_does_not_resolve),
        cmocka_unit_test(ports_that_are_none),
        cmocka_unit_test(too_many_ports),
    };
    return cmocka_run_group_tests_name("net", tests, NULL, NULL);
}
