// SPDX-License-Identifier: MIT
// The host in a URI of libvirt, IPv6 addresses above all.
#include "base/memory.h"
#include "base/uri.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define TCP "qemu+tcp://%s/system"

static void a_host_is_filled_in(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *host, *wanted;
    } cases[] = {
        {TCP, "compute-1", "qemu+tcp://compute-1/system"},
        {TCP, "10.0.0.12", "qemu+tcp://10.0.0.12/system"},
        {TCP, "fd00::12", "qemu+tcp://[fd00::12]/system"},
        {"qemu+tcp://%s:16510/system", "fd00::12", "qemu+tcp://[fd00::12]:16510/system"},
        {"qemu+ssh://root@%s/system", "::1", "qemu+ssh://root@[::1]/system"},
        {"tcp://%s", "2001:db8::1", "tcp://[2001:db8::1]"},
        // What is there is not written twice.
        {TCP, "[fd00::12]", "qemu+tcp://[fd00::12]/system"},
        {"qemu+tcp://[%s]/system", "fd00::12", "qemu+tcp://[fd00::12]/system"},
        {"qemu+tcp://[%s]/system", "[fd00::12]", "qemu+tcp://[fd00::12]/system"},
        {TCP, "fe80::1%eth0", "qemu+tcp://[fe80::1%25eth0]/system"},
        {TCP, "fe80::1%25eth0", "qemu+tcp://[fe80::1%25eth0]/system"},
        {TCP, "fe80::1%25", "qemu+tcp://[fe80::1%2525]/system"}, // the interface of the number 25
        {"qemu+tcp://[%s]/system", "fe80::1%eth0", "qemu+tcp://[fe80::1%25eth0]/system"},
        {"qemu+unix:///system", "fd00::12", "qemu+unix:///system"},
        {"%s", "compute-1", "compute-1"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_free char *uri = uri_fill(cases[i].pattern, cases[i].host);
        assert_string_equal(uri, cases[i].wanted);
    }
}

static void a_host_is_found(void **state)
{
    (void)state;
    static const struct {
        const char *uri, *name;
        int port;
    } cases[] = {
        {"qemu+tcp://compute-1/system", "compute-1", 16509},
        {"qemu+tcp://compute-1:16510/system", "compute-1", 16510},
        {"qemu+tls://compute-1/system", "compute-1", 16514},
        {"qemu://compute-1/system", "compute-1", 16514},
        {"qemu+ssh://root@compute-1/system?no_tty=1", "compute-1", 22},
        {"qemu+tcp://[fd00::12]/system", "fd00::12", 16509},
        {"qemu+tcp://[fd00::12]:5/system", "fd00::12", 5},
        {"qemu+ssh://root@[fd00::12]:2222/system", "fd00::12", 2222},
        {"qemu+tcp://[fe80::1%25eth0]/system", "fe80::1%eth0", 16509},
        {"qemu+tcp://[fe80::1%eth0]:5", "fe80::1%eth0", 5},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        auto_free char *name = NULL;
        int port;
        assert_int_equal(uri_target(cases[i].uri, &name, &port), 0);
        assert_string_equal(name, cases[i].name);
        assert_int_equal(port, cases[i].port);
    }
}

static void no_host_is_found(void **state)
{
    (void)state;
    static const char *const uris[] = {"qemu+tcp:///system", "compute-1", "", "qemu+tcp://:5/system"};
    for (size_t i = 0; i < sizeof uris / sizeof *uris; i++) {
        auto_free char *name = NULL;
        int port;
        assert_int_equal(uri_target(uris[i], &name, &port), -1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_host_is_filled_in),
        cmocka_unit_test(a_host_is_found),
        cmocka_unit_test(no_host_is_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
