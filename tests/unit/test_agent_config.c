// SPDX-License-Identifier: MIT
// Where libvirt's daemon has its configuration: the host's folder, or its own of that name.
#include "world/agent/ops_internal.h"

#include "base/io.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static char root[64], folder[80];

// A process that calls itself so, and whose root this is. It lives until it is ended.
static pid_t daemon_in(const char *name, const char *its_root)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (chroot(its_root) < 0 || prctl(PR_SET_NAME, name) < 0 || write(ready[1], "r", 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return pid;
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// A folder of configuration that this machine's own daemons, if it has any, do not know.
static int set_up(void **state)
{
    (void)state;
    if (geteuid() != 0)
        return 0;
    strcpy(root, "/tmp/migrun-config-XXXXXX");
    if (!mkdtemp(root))
        return -1;
    snprintf(folder, sizeof folder, "%s", root);
    auto_free char *inside = xasprintf("%s%s", root, folder);
    auto_free char *above = xasprintf("%s/tmp", root);
    return mkdir(above, 0755) < 0 || mkdir(inside, 0755) < 0 ? -1 : 0;
}

static int tear_down(void **state)
{
    (void)state;
    auto_free char *inside = xasprintf("%s%s", root, folder), *above = xasprintf("%s/tmp", root);
    if (geteuid() == 0) {
        rmdir(inside);
        rmdir(above);
        rmdir(root);
    }
    return 0;
}

static void expect(const char *wanted)
{
    bool unseen = true;
    auto_free char *found = daemon_config(folder, &unseen);
    assert_string_equal(found, wanted);
    assert_false(unseen);
}

static void a_daemon_with_a_root_of_its_own(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    expect(folder); // nobody
    static const char *const names[] = {"libvirtd", "virtqemud"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        pid_t pid = daemon_in(names[i], root);
        auto_free char *wanted = xasprintf("/proc/%d/root%s", pid, folder);
        expect(wanted);
        end(pid);
    }
    expect(folder);
}

static void a_daemon_of_the_host(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    pid_t other = daemon_in("libvirtd", root), own = daemon_in("libvirtd", "/"),
          nobody = daemon_in("libvirt-guests", root);
    expect(folder); // that of a container beside it is not the host's
    end(other);
    expect(folder);
    end(own);
    expect(folder);
    end(nobody);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_daemon_with_a_root_of_its_own),
        cmocka_unit_test(a_daemon_of_the_host),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
