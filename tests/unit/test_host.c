// SPDX-License-Identifier: MIT
// A host's connection with a real agent, by an ssh that runs here what it should run there: agents that stand
// still, that are none, and what is open in the processes that carry all this.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/io.h"
#include "base/socket.h"
#include "world/host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

static char *folder, *path_before;
static struct host *host;
static const char *host_is = "a";

static char *at(const char *name) { return xasprintf("%s/%s", folder, name); }

static void put(const char *name, const char *text)
{
    auto_free char *path = at(name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

// The agent of this build: .../tests/unit/test_host is beside it, two folders down. Caller frees.
static char *agent_program(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    assert_true(n > 0);
    self[n] = '\0';
    for (int i = 0; i < 3; i++)
        *strrchr(self, '/') = '\0';
    return xasprintf("%s/migrun-agent", self);
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX";
    if (!mkdtemp(name))
        return -1;
    folder = xstrdup(name);
    path_before = xstrdup(getenv("PATH"));
    auto_free char *path = xasprintf("%s:%s", folder, path_before);
    setenv("PATH", path, 1);
    setenv("FOLDER", folder, 1);
    // The agent gets its pid.
    put("ssh", "#!/bin/sh\nwhile [ \"$1\" != -- ]; do shift; done\nshift 2\n"
               "[ -e $FOLDER/pid ] || echo $$ >$FOLDER/pid\neval \"exec $*\"\n");
    put("sudo", "#!/bin/sh\nshift\nexec \"$@\"\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    char byte;
    host_close(host);
    host = NULL;
    host_is = "a";
    while (interrupt_fd() >= 0 && read(interrupt_fd(), &byte, 1) > 0)
        ;
    interrupt_count = 0;
    setenv("PATH", path_before, 1);
    remove_all(folder);
    free(path_before);
    free(folder);
    return 0;
}

// agent NULL: the real one. more: of the host's ssh, ", …".
static int start(const char *agent, const char *more, bool local, struct error *err)
{
    auto_free char *own = agent ? xstrdup(agent) : agent_program();
    auto_free char *text = xasprintf(
        "{\"ssh\": {\"agent\": \"%s\", \"keep\": 0%s}, \"libvirt\": {\"socket\": "
        "\"%s/libvirt\", \"socket_ro\": \"%s/libvirt\"}}",
        own, more, folder, folder);
    auto_json json_t *json = json_loads(text, 0, NULL);
    struct site *site;
    struct host_spec *spec;
    if (site_from_json(json, "site.lua", NULL, &site, err) < 0 || site_host(site, host_is, &spec, err) < 0)
        fail_msg("%s", err->message);
    site_free(site);
    spec->local = local;
    *err = (struct error){0};
    int rc = host_start(spec, folder, false, &host, err);
    host_spec_free(spec);
    return rc < 0 ? -1 : host_finish(host, deadline_in(60000), err);
}

static void must_start(const char *more)
{
    struct error err;
    if (start(NULL, more, false, &err) < 0)
        fail_msg("%s", err.message);
}

static int ping(struct error *err)
{
    auto_message struct message answer = {0};
    *err = (struct error){0};
    return host_call(host, "ping", NULL, NULL, 0, 0, &answer, err);
}

static pid_t agent_pid(void)
{
    auto_free char *path = at("pid"), *text = NULL;
    size_t len;
    assert_int_equal(read_whole_file(path, 64, &text, &len), 0);
    return (pid_t)atoi(text);
}

static void says(const char *text, const char *part)
{
    if (!strstr(text, part))
        fail_msg("'%s' does not say '%s'", text, part);
}

// A process that interrupts this one, now and then, until it is ended.
static pid_t begin_interrupts(void)
{
    pid_t pid = fork();
    if (pid != 0)
        return pid;
    for (;;) {
        nap_ms(100);
        kill(getppid(), SIGINT);
    }
}

static void end_interrupts(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

// ---- an agent that answers ----

static void it_answers(void **state)
{
    (void)state;
    struct error err;
    must_start("");
    assert_int_equal(ping(&err), 0);
    auto_free char *text = xmalloc(1 << 20);
    memset(text, 'x', 1 << 20);
    auto_free char *path = at("file");
    auto_message struct message answer = {0};
    assert_int_equal(
        host_call(host, "write", json_pack("{s:s}", "path", path), text, 1 << 20, 0, &answer, &err), 0);
    assert_int_equal(json_int(json_object_get(answer.head, "result"), "size", 0), 1 << 20);
}

// ---- an agent that stands still ----

static void stand_still(void)
{
    int status;
    assert_int_equal(kill(agent_pid(), SIGSTOP), 0);
    assert_int_equal(waitpid(agent_pid(), &status, WUNTRACED), agent_pid());
}

static int send_much(int64_t timeout_ms, struct error *err)
{
    auto_free char *text = xcalloc(1, 8 << 20);
    auto_message struct message answer = {0};
    *err = (struct error){0};
    return host_call(host, "write", json_pack("{s:s}", "path", "/no/such/folder/file"), text, 8 << 20,
                     timeout_ms, &answer, err);
}

static void it_takes_no_more_by_the_deadline(void **state)
{
    (void)state;
    struct error err;
    must_start("");
    assert_int_equal(host_keep_alive(host, &err), 0);
    stand_still();
    assert_int_equal(send_much(300, &err), -1);
    assert_int_equal(err.domain, ERR_TIMEOUT);
    nap_ms(WIRE_PING_MS + 100); // a ping that nobody takes is no reason to hang either
    assert_int_equal(ping(&err), -1);
    assert_int_equal(err.code, HOST_LOST);
}

static void it_takes_no_more_and_is_interrupted(void **state)
{
    (void)state;
    struct error err;
    must_start("");
    stand_still();
    pid_t pid = begin_interrupts();
    int rc = send_much(600000, &err);
    end_interrupts(pid);
    assert_int_equal(rc, -1);
    assert_int_equal(err.domain, ERR_INTERRUPTED);
    says(err.message, "interrupted while sending to a");
}

static void it_does_not_answer_and_is_interrupted(void **state)
{
    (void)state;
    struct error err;
    must_start("");
    stand_still();
    pid_t pid = begin_interrupts();
    int rc = ping(&err);
    end_interrupts(pid);
    assert_int_equal(rc, -1);
    assert_int_equal(err.domain, ERR_INTERRUPTED);
    says(err.message, "interrupted while waiting for a");
    kill(agent_pid(), SIGCONT);
    assert_int_equal(ping(&err), 0); // what undoes, and what is asked at the end, still works
}

// ---- an agent that says more than it was asked for ----

// It greets, takes a request, and answers with these lengths and nothing more.
static int ask_one_that_says(const char *lengths, const char *op, json_t *args, struct error *err)
{
    auto_message struct message answer = {0};
    auto_free char *agent = at("agent"),
                   *script = xasprintf("#!/bin/sh\nprintf 'migrun-agent " MIGRUN_VERSION
                                       " 1\\n\\0\\0\\0\\14\\0\\0\\0\\0{\"hello\":{}}'\n"
                                       "head -c 8 >$FOLDER/request\nprintf '%s'\nexec sleep 600\n",
                                       lengths);
    put("agent", script);
    if (start(agent, "", false, err) < 0)
        fail_msg("%s", err->message);
    int rc = host_call(host, op, args, NULL, 0, 1000, &answer, err);
    host_close(host);
    host = NULL;
    return rc;
}

static void what_was_asked_bounds_the_answer(void **state)
{
    (void)state;
    struct error err;
    static const char head_16_mb[] = "\\0\\377\\377\\377\\0\\0\\0\\0", body_2[] = "\\0\\0\\0\\2\\0\\0\\0\\2",
                      body_256_mb[] = "\\0\\0\\0\\2\\20\\0\\0\\0";
    const struct {
        const char *lengths, *op;
        int limit;
        bool fits;
    } rows[] = {
        {head_16_mb, "stat", 0, false}, {head_16_mb, "list", 0, true},      {body_2, "list", 0, false},
        {body_2, "read", 1, false},     {body_2, "read", 2, true},          {body_256_mb, "read", 5, false},
        {body_256_mb, "log", 0, false}, {body_256_mb, "command", 0, false},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        json_t *args = rows[i].limit ? json_pack("{s:i}", "limit", rows[i].limit) : NULL;
        assert_int_equal(ask_one_that_says(rows[i].lengths, rows[i].op, args, &err), -1);
        assert_int_equal(err.domain, rows[i].fits ? ERR_TIMEOUT : ERR_HOST);
        if (!rows[i].fits)
            says(err.message, "more than was asked for");
    }
}

// ---- an agent that never stops ----

enum { FLOOD_MS = 15000 };

// It greets, and then sends answers that nobody asked for, and on stderr whatever it can.
static void start_flood(struct error *err)
{
    static const char frame[] = "\0\0\0\x09\0\0\0\0{\"id\":-1}", hello[] = "\0\0\0\x0c\0\0\0\0{\"hello\":{}}";
    auto_buf struct buf frames = {0};
    auto_free char *agent = at("agent"), *greeting = at("hello"), *flood = at("flood");
    for (int i = 0; i < 200000; i++)
        buf_add(&frames, frame, sizeof frame - 1);
    put("agent", "#!/bin/sh\necho migrun-agent " MIGRUN_VERSION " 1\ncat $FOLDER/hello\n"
                 "while :; do cat $FOLDER/flood >&2 || exit; done &\n"
                 "exec cat $(yes $FOLDER/flood | head -n 2000)\n");
    auto_fd int one = open(greeting, O_WRONLY | O_CREAT | O_CLOEXEC, 0600),
                all = open(flood, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write_all(one, hello, sizeof hello - 1), 0);
    assert_int_equal(write_all(all, frames.data, frames.len), 0);
    if (start(agent, "", false, err) < 0)
        fail_msg("%s", err->message);
}

static void a_flood_has_a_deadline(void **state)
{
    (void)state;
    struct error err;
    auto_message struct message answer = {0};
    start_flood(&err);
    int64_t began = now_ms();
    assert_int_equal(host_call(host, "ping", NULL, NULL, 0, 300, &answer, &err), -1);
    assert_int_equal(err.domain, ERR_TIMEOUT);
    assert_true(now_ms() - began < FLOOD_MS); // far more than it takes, far less than the flood lasts
}

static void a_flood_is_interrupted(void **state)
{
    (void)state;
    struct error err;
    auto_message struct message answer = {0};
    start_flood(&err);
    int64_t began = now_ms();
    pid_t pid = begin_interrupts();
    int rc = host_call(host, "ping", NULL, NULL, 0, 600000, &answer, &err);
    end_interrupts(pid);
    assert_true(now_ms() - began < FLOOD_MS);
    assert_int_equal(rc, -1);
    assert_int_equal(err.domain, ERR_INTERRUPTED);
}

// ---- a host that is not reached ----

// Each attempt ends with an interrupt of its own.
static void connecting_is_interrupted(void **state)
{
    (void)state;
    put("ssh", "#!/bin/sh\nexec sleep 600\n");
    for (int i = 0; i < 2; i++) {
        struct error err;
        pid_t pid = begin_interrupts();
        int rc = start(NULL, "", false, &err);
        end_interrupts(pid);
        assert_int_equal(rc, -1);
        assert_int_equal(err.domain, ERR_INTERRUPTED);
        says(err.message, "interrupted while connecting to a");
        host_close(host);
        host = NULL;
    }
}

static void an_agent_that_is_none(void **state)
{
    (void)state;
    static const struct {
        const char *script, *says;
        int code;
    } rows[] = {
        {"echo Welcome to my shell; exit 0",
         "is not migrun-agent: it answered 'Welcome to my shell' (status 0)", HOST_NO_AGENT},
        {"echo \"unknown option $1\" >&2; exit 2",
         "is not migrun-agent: it said 'unknown option --serve' (status 2)", HOST_NO_AGENT},
        {"exit 0", "is not migrun-agent: it said nothing (status 0)", HOST_NO_AGENT},
        {"exit 127", "a has no", HOST_NO_AGENT},
        {"echo migrun-agent 0.0.1 1", "a runs migrun-agent 0.0.1", HOST_VERSION},
    };
    for (int local = 0; local < 2; local++)
        for (size_t i = 0; i < COUNT_OF(rows); i++) {
            struct error err;
            auto_free char *script = xasprintf("#!/bin/sh\n%s\n", rows[i].script), *agent = at("agent");
            put("agent", script);
            assert_int_equal(start(agent, "", local, &err), -1);
            says(err.message, rows[i].says);
            assert_int_equal(err.domain, ERR_HOST);
            assert_int_equal(err.code, rows[i].code);
            host_close(host);
            host = NULL;
        }
}

// What ssh itself says, with its own status.
static void ssh_that_fails(void **state)
{
    (void)state;
    struct error err;
    put("ssh", "#!/bin/sh\necho 'ssh: connect to host a port 22: No route to host' >&2\nexit 255\n");
    assert_int_equal(start(NULL, "", false, &err), -1);
    assert_int_equal(err.code, HOST_UNREACHED);
    says(err.message, "host a cannot be reached: ssh: connect to host a port 22: No route to host");
}

// ---- the relay to libvirtd ----

static int descriptors_of(pid_t pid)
{
    auto_free char *path = xasprintf("/proc/%d/fd", (int)pid);
    DIR *all = opendir(path);
    int n = 0;
    assert_non_null(all);
    for (struct dirent *entry; (entry = readdir(all));)
        n += *entry->d_name != '.';
    closedir(all);
    return n;
}

// The pids of this process's children, as text.
static char *children(void)
{
    auto_free char *path = xasprintf("/proc/self/task/%d/children", (int)getpid());
    char *text = NULL;
    size_t len;
    assert_int_equal(read_whole_file(path, 65536, &text, &len), 0);
    return text;
}

// By then it serves: its client has been told that nobody listens over there.
static void wait_for_relay(bool read_only)
{
    auto_free char *uri = host_libvirt_uri(host, read_only);
    auto_fd int fd = unix_connect(strchr(uri, '=') + 1, SOCK_STREAM);
    char byte;
    assert_true(fd >= 0);
    assert_int_equal(read(fd, &byte, 1), 0);
}

// It would keep the streams of every agent that was started before it open.
static void a_relay_keeps_nothing_but_its_socket(void **state)
{
    (void)state;
    struct error err;
    int relays = 0;
    must_start(", \"become\": \"sudo\"");
    if (host_connect_libvirt(host, &err) < 0)
        fail_msg("%s", err.message);
    wait_for_relay(true);
    wait_for_relay(false);
    auto_free char *pids = children();
    char *rest = NULL;
    for (char *word = strtok_r(pids, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
        if (atoi(word) == agent_pid())
            continue;
        relays++;
        assert_int_equal(descriptors_of((pid_t)atoi(word)), 4);
    }
    assert_int_equal(relays, 2);
}

// Whatever the hosts are called.
static void each_host_has_its_own_sockets(void **state)
{
    (void)state;
    static const char *const names[] = {"compute", "compute-ro", "ro-compute", "rw-compute"};
    char *uris[2 * COUNT_OF(names)];
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        host_is = names[i];
        must_start("");
        uris[2 * i] = host_libvirt_uri(host, false);
        uris[2 * i + 1] = host_libvirt_uri(host, true);
        host_close(steal(&host));
    }
    for (size_t i = 0; i < COUNT_OF(uris); i++)
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(uris[i], uris[k]);
    for (size_t i = 0; i < COUNT_OF(uris); i++)
        free(uris[i]);
}

static void a_relay_leads_to_the_socket_there(void **state)
{
    (void)state;
    struct error err;
    char text[6] = "";
    auto_free char *there = at("libvirt");
    auto_fd int listening = unix_listen(there, 1);
    assert_true(listening >= 0);
    must_start(", \"become\": \"sudo\"");
    assert_int_equal(host_connect_libvirt(host, &err), 0);
    auto_free char *uri = host_libvirt_uri(host, true);
    auto_fd int near = unix_connect(strchr(uri, '=') + 1, SOCK_STREAM);
    assert_int_equal(write_all(near, "hello", 5), 0);
    auto_fd int far = accept(listening, NULL, NULL);
    assert_int_equal(recv(far, text, 5, MSG_WAITALL), 5);
    assert_string_equal(text, "hello");
    assert_int_equal(write_all(far, "world", 5), 0);
    assert_int_equal(recv(near, text, 5, MSG_WAITALL), 5);
    assert_string_equal(text, "world");
}

int main(void)
{
    util_signals();
#define TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(it_answers),
        TEST(it_takes_no_more_by_the_deadline),
        TEST(it_takes_no_more_and_is_interrupted),
        TEST(it_does_not_answer_and_is_interrupted),
        TEST(what_was_asked_bounds_the_answer),
        TEST(a_flood_has_a_deadline),
        TEST(a_flood_is_interrupted),
        TEST(connecting_is_interrupted),
        TEST(an_agent_that_is_none),
        TEST(ssh_that_fails),
        TEST(a_relay_keeps_nothing_but_its_socket),
        TEST(each_host_has_its_own_sockets),
        TEST(a_relay_leads_to_the_socket_there),
    };
    return cmocka_run_group_tests_name("host", tests, NULL, NULL);
}
