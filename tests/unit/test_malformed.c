// SPDX-License-Identifier: MIT
// Journals that no migrun wrote: each member missing, of each other type, out of range. Whatever reads them
// (history, show, recover, prune) ends with a sentence and a status of migrun's own, and nothing crashes.
#include "base/clock.h"
#include "base/io.h"
#include "base/json.h"
#include "base/process.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

enum { RUN_MS = 200000, SHOWN_EVERY = 40 };

static const char *const values[] = {NULL, "-1", "1e300", "\"../../x\"", "[null, 1]", "{}"};
static const char opening[] =
    "{'type': 'open', 'format': 1, 'migrun': '0.1.0', 'time': 1764000000.0, 'pid': 1, 'by': 'x', 'policy': "
    "'p.lua', 'text': 'return {}', 'xml': '<domain/>', 'source': 'a', 'dest': 'b', 'modules': {}, 'params': "
    "{}, "
    "'instance': {'name': 'n', 'uuid': '00000000-0000-0000-0000-000000000001'}, 'server': {}, 'hosts': ['a', "
    "'b'], "
    "'command': 'c', 'summary': 's'}";
static const char *const effects[] = {
    "{'kind': 'file.write', 'host': 'a', 'target': '/x', 'before': {'absent': true}, 'after': {'sha256': "
    "'x'}}",
    "{'kind': 'file.owner', 'host': 'a', 'target': '/x', 'before': {'uid': 0}, 'after': {'uid': 1}}",
    "{'kind': 'service', 'host': 'a', 'target': 'u', 'before': {'state': 'active'}, 'after': {'action': "
    "'stop'}}",
    "{'kind': 'command', 'host': 'a', 'target': 't', 'before': {}, 'after': {'argv': ['t'], 'undo': ['t']}}",
    "{'kind': 'surgery', 'host': 'a', 'target': 'libvirtd', 'before': {}, 'after': {'edits': []}}",
    "{'kind': 'libvirt.migrate', 'host': 'b', 'target': 'n', 'before': {}, 'after': {}}",
    "{'kind': 'nova.request', 'host': 'a', 'target': '/s', 'before': {}, 'after': {'path': '/s', 'undo': "
    "{}}}",
};

static char *folder, *program;
static int runs;

static json_t *json_of(const char *text)
{
    auto_free char *plain = xstrdup(text);
    for (char *p = plain; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    json_t *json = json_loads(plain, 0, NULL);
    assert_non_null(json);
    return json;
}

static void add_run(const json_t *first, const json_t *effect)
{
    auto_free char *name = xasprintf("r%d", runs++), *dir = xasprintf("%s/state/runs/%s", folder, name),
                   *path = xasprintf("%s/journal.jsonl", dir);
    auto_json json_t *line = json_deep_copy(first), *about = NULL;
    if (!json_object_get(line, "run"))
        json_object_set_new(line, "run", json_string(name));
    about = json_pack("{s:s, s:s, s:i, s:O}", "type", "about", "run", name, "number", 1, "effect", effect);
    auto_free char *one = json_dumps(line, 0), *two = json_dumps(about, 0),
                   *text = xasprintf("%s\n%s\n", one, two);
    auto_fd int fd = -1;
    if (mkdir(dir, 0700) < 0 || (fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) < 0 ||
        write_all(fd, text, strlen(text)) < 0)
        fail_msg("%s", path);
}

// A run for each value of each member, the members of the members that are objects too.
static void vary(json_t *first, json_t *effect, json_t *object)
{
    auto_json json_t *names = json_array();
    const char *name;
    json_t *value, *member;
    size_t i;
    json_object_foreach(object, name, value)
        json_array_append_new(names, json_string(name));
    json_array_foreach(names, i, member) {
        name = json_string_value(member);
        auto_json json_t *before = json_incref(json_object_get(object, name));
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            json_object_del(object, name);
            if (values[v])
                json_object_set_new(object, name, json_loads(values[v], JSON_DECODE_ANY, NULL));
            add_run(first, effect);
        }
        json_object_set(object, name, before);
        if (json_is_object(before))
            vary(first, effect, before);
    }
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX", own[4096];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0 || !mkdtemp(name))
        return -1;
    own[n] = '\0';
    for (int i = 0; i < 3; i++)
        *strrchr(own, '/') = '\0';
    folder = xstrdup(name);
    program = xasprintf("%s/migrun", own);
    auto_free char *path = xasprintf("%s:%s", folder, getenv("PATH")), *ssh = xasprintf("%s/ssh", folder),
                   *dir = xasprintf("%s/state", folder), *all = xasprintf("%s/runs", dir),
                   *site = xasprintf("%s/site.lua", folder);
    setenv("PATH", path, 1);
    // Nobody is reached, so that nothing can be done.
    static const char nobody[] = "#!/bin/sh\necho 'no route' >&2\nexit 255\n",
                      hosts[] = "return { hosts = { 'a', 'b' } }";
    auto_fd int fd = open(ssh, O_WRONLY | O_CREAT | O_CLOEXEC, 0755),
                file = open(site, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    return write_all(fd, nobody, strlen(nobody)) < 0 || write_all(file, hosts, strlen(hosts)) < 0 ||
                   mkdir(dir, 0700) < 0 || mkdir(all, 0700) < 0
               ? -1
               : 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free(folder);
    free(program);
    return 0;
}

// Its status.
static int ends_well(const char *const *argv)
{
    struct process_result cleanup(process_result_free) ended = {0};
    struct error err;
    if (process_run(&(struct process_request){.argv = argv, .watch_fd = -1, .deadline = deadline_in(RUN_MS)},
                    &ended, &err) < 0)
        fail_msg("%s", err.message);
    const char *out = ended.out.data ? ended.out.data : "", *said = ended.err.data ? ended.err.data : "";
    if (ended.timed_out || ended.status < 0 || ended.status > 6 || strstr(said, "Sanitizer") ||
        strstr(said, "runtime error") || strstr(said, "--help") || (!*out && !*said))
        fail_msg("%s: status %d, signal %d%s\n%.2000s\n%.6000s", argv[1], ended.status, ended.signal,
                 ended.timed_out ? " (no end)" : "", out, said);
    return ended.status;
}

static int show(const char *state, int run)
{
    auto_free char *name = xasprintf("r%d", run);
    return ends_well((const char *const[]){program, "show", "--state", state, name, NULL});
}

static void every_member_wrong(void **state)
{
    (void)state;
    auto_json json_t *first = json_of(opening);
    auto_free char *here = xasprintf("%s/state", folder), *site = xasprintf("%s/site.lua", folder);
    for (size_t i = 0; i < COUNT_OF(effects); i++) {
        auto_json json_t *effect = json_of(effects[i]);
        add_run(first, effect); // as it should be
        assert_int_equal(show(here, runs - 1), 0);
        if (i == 0)
            vary(first, effect, first);
        vary(first, effect, effect);
    }
    assert_int_equal(ends_well((const char *const[]){program, "history", "--state", here, NULL}), 0);
    ends_well((const char *const[]){program, "recover", "-n", "--state", here, "--site", site, NULL});
    for (int i = 0; i < runs; i += SHOWN_EVERY)
        show(here, i);
    ends_well((const char *const[]){program, "history", "--prune=1s", "--yes", "--state", here, NULL});
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_member_wrong)};
    return cmocka_run_group_tests_name("malformed", tests, setup, teardown);
}
