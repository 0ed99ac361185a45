// SPDX-License-Identifier: MIT
// UNIX sockets: paths of any length, abstract names, nobody who listens, nobody who accepts.
#include "base/io.h"
#include "base/memory.h"
#include "base/socket.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

static char folder[] = "/tmp/migrun-test-XXXXXX";

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static int setup(void **state)
{
    (void)state;
    return mkdtemp(folder) ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    return rmdir(folder);
}

static void paths_of_any_length(void **state)
{
    (void)state;
    struct sockaddr_un address;
    char path[sizeof address.sun_path + 1] = "";
    size_t begin = (size_t)snprintf(path, sizeof path, "%s/", folder);
    memset(path + begin, 'x', sizeof path - 1 - begin);
    errno = 0;
    assert_int_equal(unix_listen(path, 1), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    errno = 0;
    assert_int_equal(unix_connect(path, SOCK_STREAM), -1);
    assert_int_equal(errno, ENAMETOOLONG);
    path[sizeof path - 2] = '\0'; // the longest
    auto_fd int listening = unix_listen(path, 1), client = unix_connect(path, SOCK_STREAM);
    assert_true(listening >= 0 && client >= 0);
    unlink(path);
}

// What a process that ended has left at the path is no hindrance.
static void it_listens_again(void **state)
{
    (void)state;
    auto_free char *path = at("s");
    int before = unix_listen(path, 1);
    close(before);
    errno = 0;
    assert_int_equal(unix_connect(path, SOCK_STREAM), -1);
    assert_int_equal(errno, ECONNREFUSED);
    auto_fd int listening = unix_listen(path, 1), client = unix_connect(path, SOCK_STREAM);
    assert_true(listening >= 0 && client >= 0);
    unlink(path);
    assert_int_equal(unix_connect(path, SOCK_STREAM), -1);
    assert_int_equal(errno, ENOENT);
}

// As systemd's notification socket may have one.
static void an_abstract_name(void **state)
{
    (void)state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    auto_free char *name = xasprintf("@migrun-test-%d", (int)getpid());
    memcpy(address.sun_path + 1, name + 1, strlen(name) - 1);
    auto_fd int receiving = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name));
    assert_int_equal(bind(receiving, (struct sockaddr *)&address, len), 0);
    auto_fd int sending = unix_connect(name, SOCK_DGRAM);
    assert_int_equal(send(sending, "READY=1", 7, 0), 7);
    char text[8] = "";
    assert_int_equal(recv(receiving, text, sizeof text - 1, 0), 7);
    assert_string_equal(text, "READY=1");
}

// A daemon that hangs takes as many clients as its queue has room for, and then none.
static void nobody_accepts(void **state)
{
    (void)state;
    auto_free char *path = at("s");
    auto_fd int listening = unix_listen(path, 1);
    int clients[8], error = 0;
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        clients[i] = unix_connect(path, SOCK_STREAM | SOCK_NONBLOCK);
        error = clients[i] < 0 ? errno : error;
    }
    assert_int_equal(error, EAGAIN);
    for (size_t i = 0; i < COUNT_OF(clients); i++)
        util_close_fd(&clients[i]);
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(paths_of_any_length),
        cmocka_unit_test(it_listens_again),
        cmocka_unit_test(an_abstract_name),
        cmocka_unit_test(nobody_accepts),
    };
    return cmocka_run_group_tests_name("socket", tests, setup, teardown);
}
