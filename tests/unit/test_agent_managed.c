// SPDX-License-Identifier: MIT
// The guests of a host whose libvirtd is to be restarted: which of them stand against it, and what is said of
// those that were lost. The virsh is a script that answers from files; each guest is a process of this test.
#include "base/io.h"
#include "base/spawn.h"
#include "world/agent/surgery.h"

#include "own_run.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "remove_all.h"

#define ONE "11111111-1111-1111-1111-111111111111"
#define TWO "22222222-2222-2222-2222-222222222222"

static bool have_run, have_hooks;
static char *folder;
static pid_t qemu[2];
static const char *const uuids[] = {ONE, TWO}, *const names[] = {"one", "two"};

static void put(const char *path, const char *text, mode_t mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
    close(fd);
}

static void put_answer(const char *question, const char *uuid, const char *text)
{
    auto_free char *path = xasprintf("%s/%s.%s", folder, question, uuid);
    put(path, text, 0644);
}

// What libvirt writes for a guest that runs as pid; more: of its status.
static void put_status(size_t guest, const char *more)
{
    auto_free char *path = xasprintf("/run/libvirt/qemu/%s.xml", names[guest]);
    auto_free char *text = xasprintf("<domstatus state='running' reason='booted' pid='%d'>\n  %s\n"
                                     "  <domain type='kvm'>\n    <name>%s</name>\n    <uuid>%s</uuid>\n"
                                     "  </domain>\n</domstatus>\n",
                                     (int)qemu[guest], more, names[guest], uuids[guest]);
    put(path, text, 0600);
}

static void start_guest(size_t guest)
{
    qemu[guest] = spawn(&(struct spawn){.in = -1, .out = -1, .err = -1, .dies_by = SIGKILL});
    if (qemu[guest] == 0)
        spawn_exec((const char *const[]){"/bin/sh", "-c", "kill -STOP $$", uuids[guest], NULL}, 2, false);
    int status;
    assert_int_equal(waitpid(qemu[guest], &status, WUNTRACED), qemu[guest]); // it is what it is to be
    put_status(guest, "<job type='none' async='none'/>");
    put_answer("domblkerror", uuids[guest], "No errors found\n");
    put_answer("domstate", uuids[guest], "running\n");
    put_answer("dominfo", uuids[guest], guest == 0 ? "Persistent:     yes\n" : "Persistent:     no\n");
}

static void end_guest(size_t guest)
{
    kill(qemu[guest], SIGKILL);
    waitpid(qemu[guest], NULL, 0);
}

static int setup(void **state)
{
    (void)state;
    if (!have_run)
        return 0;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    mkdir("/run/libvirt", 0755);
    mkdir("/run/libvirt/qemu", 0755);
    auto_free char *path = xasprintf("%s:%s", folder, getenv("PATH")), *virsh = xasprintf("%s/virsh", folder);
    auto_free char *script = xasprintf(
        "#!/bin/sh\ncd %s; echo \"$3\" >uri\nfor word in domblkerror domstate dominfo; "
        "do eval \"$word() { cat $word.\\$1 2>/dev/null; }\"; done\n# virsh ends no line of echo's\necho() { "
        "printf %%s \"$*\"; }\neval \"$4\"\n",
        folder);
    put(virsh, script, 0755);
    setenv("PATH", path, 1);
    start_guest(0);
    start_guest(1);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    if (!have_run)
        return 0;
    end_guest(0);
    end_guest(1);
    remove_all(folder);
    remove_all("/run/libvirt");
    setenv("PATH", strchr(getenv("PATH"), ':') + 1, 1);
    free(folder);
    return 0;
}

static json_t *manifest_of(json_t *guests)
{
    return json_pack("{s:s, s:o*}", "socket", "/run/libvirt/libvirt-sock", "guests", guests);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

static json_t *must_read(void)
{
    auto_json json_t *manifest = manifest_of(NULL);
    json_t *guests = NULL;
    struct error err;
    if (guests_read(manifest, &guests, &err) < 0)
        fail_msg("%s", err.message);
    return guests;
}

static void is_refused(const char *why)
{
    auto_json json_t *manifest = manifest_of(NULL), *guests = NULL;
    struct error err;
    assert_int_equal(guests_read(manifest, &guests, &err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    says(err.message, why);
    assert_null(guests);
}

// ---- before ----

static void all_guests_are_recorded(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    auto_json json_t *guests = must_read();
    assert_int_equal(json_array_size(guests), 2);
    for (size_t i = 0; i < 2; i++) {
        const json_t *guest = json_array_get(guests, i);
        size_t n = STREQ(json_str(guest, "name", ""), "one") ? 0 : 1;
        assert_string_equal(json_str(guest, "name", ""), names[n]);
        assert_string_equal(json_str(guest, "uuid", ""), uuids[n]);
        assert_int_equal(json_int(guest, "pid", 0), qemu[n]);
        assert_string_equal(json_str(guest, "state", ""), "running");
        assert_int_equal(json_flag(guest, "persistent", n == 1), n == 0);
    }
}

static void a_job_speaks_against_it(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    put_status(0, "<job type='none' async='migration out' phase='perform3'/>");
    is_refused("one has one (migration out)");
    put_status(0, "<blockjobs active='yes'/>");
    is_refused("one has one (a block job)");
}

static void a_status_file_that_is_none(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    put("/run/libvirt/qemu/one.xml", "<domstatus state='running'><domain/></domstatus>", 0600);
    is_refused("/run/libvirt/qemu/one.xml is not a status file as libvirtd writes it");
    put("/run/libvirt/qemu/one.xml", "<network/>", 0600); // another thing's
    auto_json json_t *guests = must_read();
    assert_int_equal(json_array_size(guests), 1);
}

static void a_guest_that_libvirtd_does_not_know(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    put_answer("domstate", ONE, "");
    put_answer("dominfo", ONE, "");
    put_answer("domblkerror", ONE, "");
    is_refused("it does not know one");
}

static void a_monitor_that_is_silent(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    put_answer("domblkerror", TWO, "");
    is_refused("the monitor of two");
}

// ---- after ----

// The sentence about the one guest that is not as before; NULL: all are.
static char *lost_of(const json_t *guests)
{
    auto_json json_t *manifest = manifest_of(json_deep_copy(guests)), *lost = guests_lost(manifest);
    assert_in_range(json_array_size(lost), 0, 1);
    return json_array_size(lost) ? xstrdup(json_string_value(json_array_get(lost, 0))) : NULL;
}

static void guests_that_are_as_before(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    auto_json json_t *guests = must_read();
    assert_null(lost_of(guests));
}

static void guests_that_are_not_as_before(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    auto_json json_t *guests = must_read();
    put_answer("domblkerror", ONE, "");
    auto_free char *silent = lost_of(guests);
    says(silent, "but its monitor does not answer");
    put_answer("domstate", ONE, "shut off\n");
    auto_free char *unmanaged = lost_of(guests);
    says(unmanaged, "but libvirtd does not manage it (it says: shut off): do NOT start it");
    end_guest(0);
    auto_free char *gone = lost_of(guests);
    says(gone, "one is not running any more");
}

// Another process got its pid meanwhile.
static void a_pid_that_is_anothers(void **state)
{
    (void)state;
    if (!have_run)
        skip();
    auto_json json_t *guests = must_read();
    json_t *one = json_array_get(guests,
                                 STREQ(json_str(json_array_get(guests, 0), "name", ""), "one") ? 0 : 1);
    json_object_set_new(one, "pid", json_integer(getpid()));
    auto_free char *gone = lost_of(guests);
    says(gone, "one is not running any more");
}

// ---- hooks ----

static int ask_hooks(struct error *err)
{
    auto_json json_t *guests = must_read();
    *err = (struct error){0};
    return hooks_pass(guests, err);
}

static void hooks(void **state)
{
    (void)state;
    struct error err;
    if (!have_hooks)
        skip();
    assert_int_equal(ask_hooks(&err), 0); // there is none
    mkdir("/etc/libvirt/hooks", 0755);
    put("/etc/libvirt/hooks/qemu", "#!/bin/sh\necho no >&2\nexit 1\n", 0644);
    assert_int_equal(ask_hooks(&err), 0); // it is not executable
    unlink("/etc/libvirt/hooks/qemu");
    put("/etc/libvirt/hooks/qemu",
        "#!/bin/sh\n[ \"$2 $3 $4\" = 'reconnect begin -' ] && grep -q \"<name>$1</name>\"\n", 0755);
    if (ask_hooks(&err) < 0)
        fail_msg("%s", err.message);
    mkdir("/etc/libvirt/hooks/qemu.d", 0755);
    put("/etc/libvirt/hooks/qemu.d/mine", "#!/bin/sh\necho \"not $2\" >&2\nexit 1\n", 0755);
    assert_int_equal(ask_hooks(&err), -1);
    assert_int_equal(err.domain, ERR_REFUSED);
    says(err.message, "/etc/libvirt/hooks/qemu.d/mine");
    says(err.message, "not reconnect");
}

int main(void)
{
    signal(SIGPIPE,
           SIG_IGN); // as the agent itself: a stand-in of virsh's may end before it has read its input
    have_run = own_run();
    have_hooks = have_run && cover("/etc/libvirt");
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(all_guests_are_recorded),
        TEST(a_job_speaks_against_it),
        TEST(a_status_file_that_is_none),
        TEST(a_guest_that_libvirtd_does_not_know),
        TEST(a_monitor_that_is_silent),
        TEST(guests_that_are_as_before),
        TEST(guests_that_are_not_as_before),
        TEST(a_pid_that_is_anothers),
        TEST(hooks),
    };
    return cmocka_run_group_tests_name("managed", tests, NULL, NULL);
}
