// SPDX-License-Identifier: MIT
// A host that was taken over: migrun's runs with an agent that lies, floods, is silent or breaks off. This
// program is that agent too (--agent MISCHIEF), by an ssh that starts it. Every run ends by itself or by
// Ctrl-C, with a status of migrun's own and a sentence, and nothing crashes (the sanitizers look on).
#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "world/wire.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "remove_all.h"

enum { RUN_MS = 60000, ROUNDS = 15 };

// ---- the agent ----

static const char *const lies[] = {
    "null",
    "true",
    "-1",
    "1e300",
    "9223372036854775807",
    "\"\"",
    "\"\\u001b[2J\\u202e\\u0000x\"",
    "[]",
    "[null, 1, \"a\", [], {}]",
    "{}",
    "{\"a\": {\"b\": [{}]}}",
};
// Members that answers have; each is told with each of the lies.
static const char *const members[] = {
    "type",   "size",   "mode",    "uid",       "user",      "entries",  "status", "stderr", "timed_out",
    "state",  "sub",    "pid",     "address",   "ports",     "lines",    "inode",  "line",   "sha256",
    "claims", "held",   "paths",   "units",     "addresses", "mounts",   "memory", "cpu",    "users",
    "groups", "guests", "libvirt", "instances", "time",      "hostname", "told",
};

static void announce(uint32_t head, uint32_t body)
{
    uint32_t lengths[2] = {htonl(head), htonl(body)};
    if (write_all(STDOUT_FILENO, lengths, sizeof lengths) < 0)
        exit(0);
}

static void say(const char *head, size_t len)
{
    announce((uint32_t)len, 0);
    if (write_all(STDOUT_FILENO, head, len) < 0)
        exit(0);
}

static void answer(json_int_t id, const char *what, const char *value)
{
    auto_free char *head = xasprintf("{\"id\": %lld, \"%s\": %s}", (long long)id, what, value);
    say(head, strlen(head));
}

// An answer with one wrong member, another one each time; now and then an error that is none.
static void lie(json_int_t id)
{
    static size_t turn;
    const char *value = lies[turn % COUNT_OF(lies)],
               *member = members[turn / COUNT_OF(lies) % COUNT_OF(members)];
    auto_free char *text = xasprintf("{\"%s\": %s}", member, value);
    turn += 7; // which has no divisor in common with either
    if (turn % 5 == 0)
        answer(id, "error", value);
    else
        answer(id, "result", turn % 3 ? text : value);
}

static void deep_or_much(json_int_t id, const char *of, size_t size)
{
    struct buf text = {0};
    buf_printf(&text, "{\"id\": %lld, \"result\": [", (long long)id);
    while (text.len + strlen(of) + 16 < size)
        buf_puts(&text, of);
    buf_puts(&text, "0]}");
    say(text.data, text.len);
    buf_free(&text);
}

static _Noreturn void flood(void)
{
    for (;;)
        say("{\"id\":-1}", 9);
}

// True answers to what comes before and after a change, so that it is the changes and their undo that are
// lied to; true: it was such a question.
static bool help(const char *op, json_int_t id)
{
    static const char file[] = "{\"type\": \"file\", \"mode\": 420, \"uid\": 0, \"gid\": 0, \"size\": 3, "
                               "\"inode\": 1, \"device\": 1, \"links\": 1, \"mtime\": 1, \"sha256\": \"7692c"
                               "3ad3540bb803c020b3aee66cd8887123234ea0c6e7143c0add73ff431ed\"}";
    static const char *const plain[] = {"claim", "unclaim", "note", "forget", "tidy", "ping"};
    for (size_t i = 0; i < COUNT_OF(plain); i++)
        if (STREQ(op, plain[i])) {
            answer(id, "result", "{}");
            return true;
        }
    if (STREQ(op, "claims"))
        answer(id, "result", "{\"claims\": []}");
    else if (STREQ(op, "stat"))
        answer(id, "result", file);
    else if (STREQ(op, "read")) {
        auto_free char *head = xasprintf("{\"id\": %lld, \"result\": %s}", (long long)id, file);
        announce((uint32_t)strlen(head), 3);
        if (write_all(STDOUT_FILENO, head, strlen(head)) < 0 || write_all(STDOUT_FILENO, "one", 3) < 0)
            exit(0);
    } else {
        return false;
    }
    return true;
}

// ---- claims and notes that were planted ----

static const char claims[] =
    "{'claims': [{'run': '20260101-000000-abc', 'instance': '7eb1c886-6149-66f2-54b6-72643cf6c66c', "
    "'name': 'g', 'by': 'root on away', 'source': 'evil', 'dest': 'evil', 'since': 1764000000.5, "
    "'exclusive': true}]}";
static const char notes[] =
    "{'notes': {'1': {'kind': 'command', 'host': 'evil', 'target': 'touch', 'before': {}, "
    "'after': {'argv': ['true'], 'undo': ['true'], 'timeout': 5000}, 'step': 'a'}, "
    "'2': {'kind': 'file.write', 'host': 'evil', 'target': '/a', 'before': {'absent': true}, "
    "'after': {'sha256': '00', 'size': 3}, 'step': 'a'}, "
    "'3': {'kind': 'file.owner', 'host': 'evil', 'target': '/a', 'before': {'uid': 0, 'gid': 0, "
    "'mode': 420, 'user': 'root'}, 'after': {'uid': 1, 'gid': 1}, 'step': 'b'}, "
    "'4': {'kind': 'service', 'host': 'evil', 'target': 'cron', 'before': {'state': 'active'}, "
    "'after': {'action': 'stop'}, 'step': 'b'}, "
    "'5': {'kind': 'libvirt.migrate', 'host': 'evil', 'target': 'g', 'before': {'host': 'evil'}, "
    "'after': {'host': 'evil', 'timeout': 800}, 'step': 'c'}, "
    "'6': {'kind': 'surgery', 'host': 'evil', 'target': 'libvirtd', 'before': {}, "
    "'after': {'unit': 'libvirtd'}, 'step': 'c'}}, 'unreadable': []}";

static json_t *read_quoted(const char *text)
{
    auto_free char *copy = xstrdup(text);
    for (char *p = copy; *p; p++)
        *p = *p == '\'' ? '"' : *p;
    return json_loads(copy, 0, NULL);
}

static json_t *lie_at_random(void)
{
    return json_loads(lies[(size_t)rand() % COUNT_OF(lies)], JSON_DECODE_ANY, NULL);
}

// A copy in which each part has a chance of one in so many to be a lie, to go, or to have another name.
static json_t *spoilt(const json_t *json, int one_in)
{
    const char *key;
    json_t *part, *copy;
    size_t i;
    if (rand() % one_in == 0)
        return lie_at_random();
    if (json_is_array(json)) {
        copy = json_array();
        json_array_foreach(json, i, part)
            json_array_append_new(copy, spoilt(part, one_in));
        return copy;
    }
    if (!json_is_object(json))
        return json_deep_copy(json);
    copy = json_object();
    json_object_foreach((json_t *)(uintptr_t)json, key, part) {
        bool goes = rand() % (4 * one_in) == 0, renamed = rand() % (4 * one_in) == 0;
        if (!goes)
            json_object_set_new(copy, renamed ? members[(size_t)rand() % COUNT_OF(members)] : key,
                                spoilt(part, one_in));
    }
    return copy;
}

static void plant(const char *seed, const char *op, json_int_t id)
{
    bool asks_claims = STREQ(op, "claims");
    if (!asks_claims && !STREQ(op, "notes")) {
        if (!help(op, id))
            lie(id);
        return;
    }
    srand((unsigned)atoi(seed) * 2 + asks_claims);
    auto_json json_t *true_one = read_quoted(asks_claims ? claims : notes),
                     *false_one = spoilt(true_one, 12 + rand() % 40);
    auto_free char *text = json_dumps(false_one, JSON_COMPACT | JSON_ENCODE_ANY);
    answer(id, "result", text);
}

static void do_mischief(const char *what, const char *op, json_int_t id)
{
    static const char *const facts =
        "{\"units\": {}, \"addresses\": [], \"mounts\": [], \"memory\": {}, \"cpu\": "
        "{}, \"users\": {}, \"groups\": {}, \"guests\": [], \"libvirt\": {}}";
    bool planted = strncmp(what, "planted ", 8) == 0;
    bool early = STREQ(op, "facts") || STREQ(op, "storage");
    if (STREQ(what, "early lies"))
        lie(id);
    else if (planted && !early)
        plant(what + 8, op, id);
    else if (early || STREQ(op, "ping"))
        answer(id, "result", STREQ(op, "facts") ? facts : "{\"paths\": {}}");
    else if (STREQ(what, "lies"))
        lie(id);
    else if (STREQ(what, "lies about changes") && !help(op, id))
        lie(id);
    else if (STREQ(what, "flood"))
        flood();
    else if (STREQ(what, "giant head"))
        announce(WIRE_HEAD_MAX, 0);
    else if (STREQ(what, "giant body"))
        announce(2, WIRE_BODY_MAX);
    else if (STREQ(what, "half"))
        exit(write_all(STDOUT_FILENO, "\0\0\0\x40\0\0\0\0{\"id", 12) < 0);
    else if (STREQ(what, "no JSON"))
        say("{\"id\": 1, \xff]", 11);
    else if (STREQ(what, "much memory"))
        deep_or_much(id, "{},", 15 << 20);
    else if (STREQ(what, "deep"))
        deep_or_much(id, "[", 500000);
    else if (STREQ(what, "end"))
        exit(7);
    // and else it is silent
}

static int be_agent(const char *what, const char *read_only)
{
    struct wire_reader reader = {0};
    printf("migrun-agent " MIGRUN_VERSION " 1\n");
    fflush(stdout);
    auto_free char *hello = xasprintf("{\"hello\": {\"read_only\": %s, \"root\": true, \"hostname\": "
                                      "\"evil\"}}",
                                      read_only);
    say(hello, strlen(hello));
    for (;;) {
        char chunk[65536];
        struct message m;
        while (wire_take(&reader, &m, NULL) == 1) {
            if (json_object_get(m.head, "id"))
                do_mischief(what, json_str(m.head, "op", ""), json_int(m.head, "id", 0));
            message_free(&m);
        }
        ssize_t n = read(STDIN_FILENO, chunk, sizeof chunk);
        if (n <= 0)
            return 0;
        wire_feed(&reader, chunk, (size_t)n);
    }
}

// ---- runs ----

static char *folder, *program, *self, *output;

static void put(const char *name, const char *text)
{
    auto_free char *path = xasprintf("%s/%s", folder, name);
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0 && write_all(fd, text, strlen(text)) == 0);
}

static int setup(void **state)
{
    (void)state;
    char name[] = "/tmp/migrun-test-XXXXXX", own[4096];
    ssize_t n = readlink("/proc/self/exe", own, sizeof own - 1);
    if (n <= 0 || !mkdtemp(name))
        return -1;
    own[n] = '\0';
    folder = xstrdup(name);
    self = xstrdup(own);
    for (int i = 0; i < 3; i++)
        *strrchr(own, '/') = '\0';
    program = xasprintf("%s/migrun", own);
    auto_free char *path = xasprintf("%s:%s", folder, getenv("PATH"));
    setenv("PATH", path, 1);
    put("site.lua", "return { hosts = { \"evil\" }, ssh = { keep = 0, relay = \"agent\" } }");
    put("policy.lua",
        "local function ask(run, round)\n"
        "  local h, answers = run.hosts[1], 0\n"
        "  local calls = {\n"
        "    function() return h:stat('/a') end, function() return h:read('/a') end,\n"
        "    function() return h:list('/a') end, function() return h:log('/a'):lines() end,\n"
        "    function() return h:command({ 'true' }, { reads = true }) end,\n"
        "    function() return h:service('libvirtd'):state() end,\n"
        "    function() return h:reach('evil', 1) end, function() return h:storage({ '/a' }) end,\n"
        "  }\n"
        "  for _ = 1, round do for _, call in ipairs(calls) do\n"
        "    if pcall(call) then answers = answers + 1 end\n"
        "  end end\n"
        "  return 'asked ' .. h.name .. ', ' .. answers .. ' answers'\n"
        "end\n"
        "return { api = 1, summary = 'Ask', takes = { 'host' },\n"
        "  params = { rounds = { type = 'integer', default = 1, help = 'how often' } },\n"
        "  steps = { { 'ask', phase = 'check', run = function(run) return ask(run, run.params.rounds) end } "
        "} }\n");
    put("change.lua",
        "local function change(run, round)\n"
        "  local h = run.hosts[1]\n"
        "  local calls = {\n"
        "    function() h:write('/a', 'two' .. round) end, function() h:remove('/a') end,\n"
        "    function() h:edit('/a', function(text) return text .. round end) end,\n"
        "    function() h:chown('/a', round, round) end, function() h:chmod('/a', 256 + round) end,\n"
        "    function() h:command({ 'true' }, { undo = { 'false' } }) end,\n"
        "    function() h:service('cron'):restart() end,\n"
        "    function() h:service('libvirtd'):while_stopped(function() h:write('/b', 'x') end) end,\n"
        "  }\n"
        "  local done = 0\n"
        "  for _ = 1, round do for _, call in ipairs(calls) do\n"
        "    if pcall(call) then done = done + 1 end\n"
        "  end end\n"
        "  error('changed ' .. h.name .. ', ' .. done .. ' changes')\n"
        "end\n"
        "return { api = 1, summary = 'Change', takes = { 'host' },\n"
        "  params = { rounds = { type = 'integer', default = 1, help = 'how often' } },\n"
        "  steps = { { 'change', phase = 'prepare',\n"
        "    run = function(run) return change(run, run.params.rounds) end } } }\n");
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    remove_all(folder);
    free(folder);
    free(program);
    free(self);
    free(output);
    return 0;
}

// migrun, with that agent; interrupt_ms: after so long Ctrl-C is pressed, once.
static void migrun(const char *mischief, int interrupt_ms, const char *const *words)
{
    auto_free char *ssh = xasprintf("#!/bin/sh\ncase $* in *--read-only*) r=true;; *) r=false;; esac\n"
                                    "exec %s --agent '%s' $r\n",
                                    self, mischief),
                   *script = xasprintf("timeout -s INT %d.%03d \"$@\"", interrupt_ms / 1000,
                                       interrupt_ms % 1000);
    put("ssh", ssh);
    const char *argv[20] = {"sh", "-c", interrupt_ms ? script : "\"$@\"", "sh", program};
    for (size_t i = 0; words[i]; i++)
        argv[5 + i] = words[i];
    const struct process_request request = {.argv = argv, .watch_fd = -1, .deadline = deadline_in(RUN_MS)};
    struct process_result cleanup(process_result_free) ended = {0};
    struct error err;
    if (process_run(&request, &ended, &err) < 0)
        fail_msg("%s", err.message);
    const char *out = ended.out.data ? ended.out.data : "", *said = ended.err.data ? ended.err.data : "";
    bool known = ended.status >= 0 && (ended.status <= 6 || ended.status == 130 || ended.status == 124);
    if (ended.timed_out || !known || strstr(said, "Sanitizer") || strstr(said, "runtime error") ||
        (!*out && !*said))
        fail_msg("%s: status %d%s\n%.2000s\n%.4000s", mischief, ended.status,
                 ended.timed_out ? " (no end)" : "", out, said);
    if (strchr(out, '\033') || strchr(said, '\033') || strstr(out, "\u202e") || strstr(said, "\u202e"))
        fail_msg("%s: a terminal would obey\n%s\n%s", mischief, out, said);
    free(output);
    output = xasprintf("%s%s", out, said);
}

static char *in_folder(const char *name) { return xasprintf("%s/%s", folder, name); }

// Only change.lua is no preview.
static void run_policy(const char *name, const char *mischief, int rounds, int interrupt_ms)
{
    auto_free char *site = in_folder("site.lua"), *policy = in_folder(name), *kept = in_folder("state"),
                   *count = xasprintf("rounds=%d", rounds);
    bool changes = STREQ(name, "change.lua");
    migrun(mischief, interrupt_ms,
           (const char *const[]){"--site", site, "-p", count, policy, "evil", changes ? "--state" : "-n",
                                 changes ? kept : NULL, NULL});
}

static void run(const char *mischief, int rounds, int interrupt_ms)
{
    run_policy("policy.lua", mischief, rounds, interrupt_ms);
}

static void lies_about_changes(void **state)
{
    (void)state;
    run_policy("change.lua", "lies about changes", ROUNDS, 0);
    if (!strstr(output, "changed evil, "))
        fail_msg("%s", output); // it is these calls that are lied to
    if (!strstr(output, "could not be put back"))
        fail_msg("%s", output); // and their undo
}

// PLANTED=N: so many, from a seed that is told.
static void planted_claims_and_notes(void **state)
{
    (void)state;
    auto_free char *site = in_folder("site.lua"), *kept = in_folder("planted");
    const char *wanted = getenv("PLANTED");
    int first = wanted ? (int)time(NULL) % 100000 * 1000 : 1, n = wanted ? atoi(wanted) : ROUNDS;
    bool undone = false, refused = false;
    for (int i = 0; i < n; i++) {
        auto_free char *mischief = xasprintf("planted %d", first + i);
        migrun(mischief, 0,
               (const char *const[]){"recover", "--host", "evil", "--yes", "--site", site, "--state", kept,
                                     NULL});
        undone = undone || strstr(output, "undone") || strstr(output, "could not be put back");
        refused = refused || strstr(output, "refusing what evil keeps") || strstr(output, "malformed");
    }
    migrun("silence", 0, (const char *const[]){"history", "--state", kept, NULL});
    assert_true(undone && refused); // neither all true nor all nonsense
}

static void lies_in_every_answer(void **state)
{
    (void)state;
    run("lies", ROUNDS, 0);
    if (!strstr(output, "asked evil, "))
        fail_msg("%s", output); // it is these calls that are lied to
}

static void lies_in_its_facts(void **state)
{
    (void)state;
    run("early lies", 1, 0);
}

static void answers_that_break_off(void **state)
{
    (void)state;
    static const char *const kinds[] = {"half", "no JSON", "end", "giant head", "giant body", "deep"};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        run(kinds[i], 1, 0);
}

static void answers_of_much_memory(void **state)
{
    (void)state;
    run("much memory", 1, 0);
}

static void floods_and_silence_are_interrupted(void **state)
{
    (void)state;
    run("flood", 1, 3000);
    run("silence", 1, 3000);
}

int main(int argc, char **argv)
{
    if (argc == 4 && STREQ(argv[1], "--agent"))
        return be_agent(argv[2], argv[3]);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lies_in_every_answer),
        cmocka_unit_test(lies_in_its_facts),
        cmocka_unit_test(lies_about_changes),
        cmocka_unit_test(planted_claims_and_notes),
        cmocka_unit_test(answers_that_break_off),
        cmocka_unit_test(answers_of_much_memory),
        cmocka_unit_test(floods_and_silence_are_interrupted),
    };
    return cmocka_run_group_tests_name("evil", tests, setup, teardown);
}
