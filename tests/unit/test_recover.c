// SPDX-License-Identifier: MIT
// Runs that are cut off, and what recover, show and history make of them: the real migrun, and the real agent
// on two hosts, "one" and "two", that are this machine with files of their own in /var/lib/migrun. A mount
// namespace keeps all of it apart; ssh is a script that runs here what it should run there.
#include "base/io.h"
#include "base/json.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define HERE "/run/here" // what this test's files lie in
#define STATE "/var/lib/migrun"

enum { OUTPUT_MOST = 1 << 20 };

static char *build, *output;
static int status;
static const char *as_user = ""; // a program that becomes another user

static void put(const char *path, const char *text)
{
    auto_fd int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
    assert_true(fd >= 0);
    assert_int_equal(write_all(fd, text, strlen(text)), 0);
}

static char *text_of(const char *path)
{
    char *text;
    size_t len;
    if (read_whole_file(path, OUTPUT_MOST, &text, &len) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return text;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

// ---- migrun ----

// Begins `migrun …` in a process group of its own; all that it says goes into HERE/output.
static pid_t begin(const char *arguments)
{
    auto_free char *line = xasprintf("exec %s %s/migrun %s </dev/null >" HERE "/output 2>&1", as_user, build,
                                     arguments);
    pid_t pid = fork();
    if (pid == 0) {
        setpgid(0, 0);
        execl("/bin/sh", "sh", "-c", line, NULL);
        _exit(127);
    }
    assert_true(pid > 0);
    return pid;
}

static void end(pid_t pid)
{
    int how;
    assert_int_equal(waitpid(pid, &how, 0), pid);
    status = WIFEXITED(how) ? WEXITSTATUS(how) : -WTERMSIG(how);
    free(output);
    output = text_of(HERE "/output");
}

static void migrun(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *arguments = xvasprintf(format, args);
    va_end(args);
    end(begin(arguments));
}

static void says(const char *text)
{
    if (!strstr(output, text))
        fail_msg("does not say \"%s\" but (status %d):\n%s", text, status, output);
}

static void says_not(const char *text)
{
    if (strstr(output, text))
        fail_msg("says \"%s\" (status %d):\n%s", text, status, output);
}

static void ends_with(int expected)
{
    if (status != expected)
        fail_msg("ended with status %d, not %d:\n%s", status, expected, output);
}

// ---- runs that are cut off ----

// Makes its change, waits for HERE/go, and is killed meanwhile.
static const char changes[] = "return { api = 1, summary = 'x', takes = { 'host' },\n"
                              "  params = { name = { type = 'string', default = 'file' } },\n"
                              "  steps = { { 'change', phase = 'prepare', run = function(run)\n"
                              "    local host = run.hosts[1]\n"
                              "    host:write('" HERE "/' .. run.params.name, 'text\\n')\n"
                              "    host:command({ 'sh', '-c', 'echo made >>" HERE "/commands' },\n"
                              "                     { undo = { 'sh', '-c', 'echo undone >>" HERE
                              "/commands' } })\n"
                              "    host:command({ 'sh', '-c', 'echo begun >" HERE "/begun; while [ ! -e " HERE
                              "/go ]; do sleep 0.01;"
                              " done' }, { timeout = 100, undo = { 'true' } })\n"
                              "  end } } }\n";

// Until a file is there; a run that ends before it makes it has failed.
static void await(const char *path, pid_t pid)
{
    for (siginfo_t ended = {0}; !is_there(path); usleep(10000))
        if (waitid(P_PID, (id_t)pid, &ended, WEXITED | WNOWAIT | WNOHANG) < 0 || ended.si_pid) {
            end(pid);
            fail_msg("it ended, with status %d:\n%s", status, output);
        }
}

// A run of the policy `changes` on a host, killed while it prepares.
static void cut_off(const char *options, const char *host)
{
    auto_free char *arguments = xasprintf("%s " HERE "/changes.lua %s", options, host);
    unlink(HERE "/begun");
    unlink(HERE "/go");
    pid_t pid = begin(arguments);
    await(HERE "/begun", pid);
    kill(pid, SIGKILL);
    end(pid);
    put(HERE "/go", "");
    ends_with(-SIGKILL);
}

// A run that ends at once.
static const char ends[] =
    "return { api = 1, summary = 'x', takes = { 'host' }, steps = { { 'change', phase = "
    "'prepare',\n  run = function(run) run.hosts[1]:write('" HERE
    "/ends', tostring(os.time()) .. math.random()) end } } }\n";

// The name of the one run that is recorded. Caller frees.
static char *only_run(void)
{
    migrun("history --json");
    auto_json json_t *row = json_loads(output, 0, NULL);
    if (!json_str(row, "run", NULL))
        fail_msg("not one run:\n%s", output);
    return xstrdup(json_str(row, "run", ""));
}

// ---- the hosts ----

static const char ssh[] =
    "#!/bin/sh\n"
    "while [ \"$1\" != -- ]; do shift; done\n"
    "host=$2; shift 2\n"
    "echo \"$host\" >>" HERE "/asked\n"
    "[ ! -e " HERE
    "/dead-$host ] || { echo \"ssh: connect to host $host: No route to host\" >&2; exit 255; }\n"
    "exec unshare -m sh -c \"mount --bind " HERE "/$host " STATE " && exec $*\"\n";

static void make_site(void)
{
    auto_free char *site = xasprintf(
        "return { hosts = { 'one', 'two', 'three' }, ssh = { agent = '%s/migrun-agent', "
        "relay = 'agent', keep = 0 } }\n",
        build);
    put(HERE "/site.lua", site);
    put(HERE "/bin/ssh", ssh);
    put(HERE "/changes.lua", changes);
}

static int setup(void **state)
{
    (void)state;
    static const char *const folders[] = {STATE, HERE, HERE "/bin", HERE "/one", HERE "/two", HERE "/three"};
    as_user = "";
    if (mount("none", "/run", "tmpfs", 0, "mode=755") < 0 ||
        mount("none", "/var/lib", "tmpfs", 0, "mode=755") < 0)
        return -1;
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        if (mkdir(folders[i], 0700) < 0)
            return -1;
    make_site();
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    umount2("/run", MNT_DETACH);
    umount2("/var/lib", MNT_DETACH);
    free(steal(&output));
    return 0;
}

static void find_build(void)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    self[n > 0 ? n : 0] = '\0';
    for (int i = 0; i < 3 && strrchr(self, '/'); i++)
        *strrchr(self, '/') = '\0';
    build = xstrdup(self);
}

static int setup_all(void **state)
{
    (void)state;
    find_build();
    auto_free char *path = xasprintf(HERE "/bin:%s", getenv("PATH"));
    setenv("PATH", path, 1);
    setenv("ASAN_OPTIONS", "exitcode=99", 1);
    setenv("UBSAN_OPTIONS", "halt_on_error=1:exitcode=99", 1);
    setenv("MIGRUN_SITE", HERE "/site.lua", 1);
    return unshare(CLONE_NEWNS) < 0 || mount("none", "/", "none", MS_REC | MS_PRIVATE, NULL) < 0 ? -1 : 0;
}

static int teardown_all(void **state)
{
    (void)state;
    free(build);
    return 0;
}

// ---- recover ----

static void a_run_is_undone(void **state)
{
    (void)state;
    cut_off("", "one");
    assert_true(is_there(HERE "/file"));
    migrun("recover");
    ends_with(3);
    says("3 changes undone");
    assert_false(is_there(HERE "/file"));
    migrun("recover");
    ends_with(0);
    says("Nothing to recover");
}

static void every_run_is_previewed(void **state)
{
    (void)state;
    cut_off("-p name=a", "one");
    cut_off("-p name=b", "two");
    migrun("recover -n");
    ends_with(3); // as the recovery will
    const char *first = strstr(output, "Would end as not moved: 3 changes would be undone");
    if (!first || !strstr(first + 1, "Would end as not moved: 3 changes would be undone"))
        fail_msg("does not tell of both:\n%s", output);
    assert_true(is_there(HERE "/a") && is_there(HERE "/b"));
}

// An undo that cannot be done, for as long as HERE/hard is there.
static const char fails[] =
    "return { api = 1, summary = 'x', takes = { 'host' }, steps = { { 'change', phase = 'prepare',\n"
    "  run = function(run)\n"
    "    run.hosts[1]:command({ 'true' }, { undo = { 'test', '!', '-e', '" HERE "/hard' } })\n"
    "    error('the reason of it all')\n"
    "  end } } }\n";

static void a_run_that_had_ended_keeps_its_cause(void **state)
{
    (void)state;
    put(HERE "/fails.lua", fails);
    put(HERE "/hard", "");
    migrun(HERE "/fails.lua one");
    ends_with(6);
    says("the reason of it all");
    for (int again = 0; again < 2; again++) {
        auto_free char *run = only_run();
        if (again)
            unlink(HERE "/hard");
        migrun("recover %s", run);
        ends_with(again ? 3 : 6);
        says("the reason of it all");
        says_not("cut off");
    }
}

// ---- recover --host ----

// A run of another controller, whose state is elsewhere, cut off on a host.
static void cut_off_elsewhere(const char *host) { cut_off("--state " HERE "/elsewhere", host); }

static void what_a_host_keeps_is_shown_and_asked_for(void **state)
{
    (void)state;
    cut_off_elsewhere("one");
    migrun("recover -n --host one");
    ends_with(3);
    says("3 changes would be undone");
    assert_true(is_there(HERE "/file"));
    migrun("recover --host one");
    ends_with(1);
    says("3 changes would be undone");
    says("--yes");
    assert_true(is_there(HERE "/file"));
    migrun("recover --host one --yes");
    ends_with(3);
    says("3 changes undone");
    assert_false(is_there(HERE "/file"));
    migrun("recover --host one --yes");
    ends_with(0);
    says("Nothing to recover");
}

// The undo of `slow` waits for HERE/go; that of `first`, which comes after it, must not be done twice when
// the recovery is killed between the two of them.
static const char undoes_slowly[] =
    "return { api = 1, summary = 'x', takes = { 'host' }, steps = { { 'change', phase = 'prepare',\n"
    "  run = function(run)\n"
    "    local host = run.hosts[1]\n"
    "    host:command({ 'true' }, { timeout = 100, undo = { 'sh', '-c', 'echo begun >" HERE
    "/begun; while [ ! -e " HERE "/go ]; do sleep 0.01; done' } })\n"
    "    host:command({ 'true' }, { undo = { 'sh', '-c', 'echo undone >>" HERE "/commands' } })\n"
    "    host:command({ 'sh', '-c', 'echo begun >" HERE "/begun; while [ ! -e " HERE
    "/go ]; do sleep 0.01; done' "
    "}, { timeout = 100, undo = { 'true' } })\n"
    "  end } } }\n";

static void what_was_undone_is_not_undone_again(void **state)
{
    (void)state;
    put(HERE "/changes.lua", undoes_slowly);
    cut_off_elsewhere("one");
    unlink(HERE "/begun");
    unlink(HERE "/go");
    pid_t pid = begin("recover --host one --yes");
    await(HERE "/begun", pid);
    kill(pid, SIGKILL);
    end(pid);
    put(HERE "/go", "");
    migrun("recover --host one --yes");
    ends_with(3);
    auto_free char *commands = text_of(HERE "/commands");
    assert_string_equal(commands, "undone\n");
}

static void notes_that_cannot_be_read_are_told_and_kept(void **state)
{
    (void)state;
    cut_off_elsewhere("one");
    migrun("history --json --state " HERE "/elsewhere");
    auto_json json_t *row = json_loads(output, 0, NULL);
    auto_free char *note = xasprintf(HERE "/one/kept/%s/2.note", json_str(row, "run", "?")),
                   *before = text_of(note);
    put(note, "{\"kind\" 3}");
    migrun("recover --host one --yes");
    ends_with(5);
    says("2.note");
    says("cannot be read");
    assert_true(is_there(note) && is_there(HERE "/file"));
    put(note, before);
    migrun("recover --host one --yes");
    ends_with(3);
}

// ---- a host whose root is an enemy ----

#define RUN "20260101-000000-abc"
#define UUID "7eb1c886-6149-66f2-54b6-72643cf6c66c"

// JSON with ' for its quotation marks; %HERE% is the controller's name. Caller frees.
static char *json_of(const char *text)
{
    char own[256] = "";
    gethostname(own, sizeof own - 1);
    const char *mark = strstr(text, "%HERE%");
    char *json = mark ? xasprintf("%.*s%s%s", (int)(mark - text), text, own, mark + 6) : xstrdup(text);
    for (char *p = json; *p; p++)
        if (*p == '\'')
            *p = '"';
    return json;
}

static void plant(const char *host, const char *claim, const char *name, const char *note)
{
    auto_free char *claims = xasprintf(HERE "/%s/claims", host), *kept = xasprintf(HERE "/%s/kept", host),
                   *run = xasprintf("%s/" RUN, kept), *path = xasprintf("%s/" RUN ".json", claims),
                   *claim_json = json_of(claim), *note_json = json_of(note),
                   *file = xasprintf("%s/%s.note", run, name);
    const char *const folders[] = {claims, kept, run};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        assert_true(mkdir(folders[i], 0700) == 0 || errno == EEXIST);
    put(path, claim_json);
    put(file, note_json);
}

static void is_refused(const char *why)
{
    migrun("recover -n --host one");
    says(why);
    ends_with(5);
    migrun("recover --host one --yes");
    says(why);
    ends_with(5);
    if (is_there(HERE "/pwned") || is_there(HERE "/new"))
        fail_msg("it was obeyed:\n%s", output);
}

#define CLAIM(more) \
    "{'run':'" RUN "','instance':'','name':'','by':'root on old','since':1764000000.0" more "}"
#define MOVES(source, dest)              \
    "{'run':'" RUN "','instance':'" UUID \
    "','name':'g','by':'root on old','since':1764000000.0,'source':'" source "','dest':'" dest "'}"
#define NOTE(kind, host, after) \
    "{'kind':'" kind "','host':'" host "','target':'/x','before':{},'after':{" after "},'step':'s'}"
#define UNDO "'argv':['true'],'undo':['touch','" HERE "/pwned'],'timeout':5000"

static void notes_of_an_enemy(void **state)
{
    (void)state;
    static const struct {
        const char *claim, *name, *note, *why;
    } rows[] = {
        {CLAIM(""), "1", NOTE("command", "%HERE%", UNDO), "a change on another host"},
        {CLAIM(""), "1", NOTE("command", "localhost", UNDO), "a change on another host"},
        {CLAIM(""), "1", NOTE("command", "two", UNDO), "a change on another host"},
        {CLAIM(""), "1", NOTE("command", "seven", UNDO), "a change on another host"},
        {CLAIM(""), "1", NOTE("command", "-oProxyCommand=x", UNDO), "a change on another host"},
        {CLAIM(""), "1", NOTE("file.write", "two", "'sha256':'x'"), "a change on another host"},
        {CLAIM(""), "1", NOTE("nova.request", "one", "'undo':{'method':'POST','path':'/users'}"),
         "leaves no notes"},
        {CLAIM(""), "1", NOTE("nova.lock", "one", ""), "leaves no notes"},
        {CLAIM(""), "1", NOTE("libvirt.autostart", "one", "'on':true"), "leaves no notes"},
        {CLAIM(""), "1", NOTE("step", "one", ""), "leaves no notes"},
        {CLAIM(""), "1", NOTE("zap", "one", ""), "leaves no notes"},
        {CLAIM(""), "1", "{}", "leaves no notes"},
        {CLAIM(""), "1",
         NOTE("service", "one", "'action':'start','commands':{'state':['touch','" HERE "/pwned']}"),
         "commands that are not the site file's"},
        {CLAIM(""), "1", NOTE("surgery", "one", "'commands':{'state':['touch','" HERE "/pwned']}"),
         "commands that are not the site file's"},
        {CLAIM(""), "1", NOTE("command", "one", "'argv':['true'],'timeout':1e300"), "a timeout"},
        {CLAIM(""), "1", NOTE("command", "one", "'argv':['true'],'timeout':-1"), "a timeout"},
        {CLAIM(""), "1", NOTE("service", "one", "'undo_timeout':9223372036854775807"), "a timeout"},
        {CLAIM(""), "x", NOTE("command", "one", ""), "invalid name 'x' of a note"},
        {CLAIM(""), "99999999", NOTE("command", "one", ""), "invalid name '99999999'"},
        {CLAIM(""), "0", NOTE("command", "one", ""), "number 0"},
        {CLAIM(""), "1", "{'kind':'command','host':'one','target':'x','before':{}}", "is not an effect"},
        {CLAIM(""), "1", "{'kind':'command','host':'one','target':5,'before':{},'after':{}}",
         "is not an effect"},
        {CLAIM(""), "1", NOTE("libvirt.migrate", "two", ""), "a note of a migration"},
        {CLAIM(",'source':'one'"), "1", NOTE("nova.live_migrate", "one", ""), "a note of a migration"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        teardown(state);
        assert_int_equal(setup(state), 0);
        plant("one", rows[i].claim, rows[i].name, rows[i].note);
        is_refused(rows[i].why);
    }
}

static void claims_of_an_enemy(void **state)
{
    (void)state;
    static const char note[] = NOTE("command", "one", UNDO);
    static const struct {
        const char *claim, *why;
    } rows[] = {
        {"{'run':'" RUN "','instance':'','name':'','by':'x','since':1e300}", "invalid time"},
        {"{'run':'" RUN "','instance':'','name':'','by':'x','since':-5}", "invalid time"},
        {"{'run':'" RUN "','instance':'','name':'','by':'x','since':'now'}", "invalid time"},
        {"{'run':'../x','instance':'','name':'','by':'x','since':5}", "invalid run name"},
        {"{'run':5,'instance':'','name':'','by':'x','since':5}", "invalid run name"},
        {"{'instance':'','name':'','by':'x','since':5}", "invalid run name"},
        {"{'run':'" RUN "','instance':'../servers','name':'g','by':'x','since':5,'source':'one'}",
         "invalid uuid"},
        {"{'run':'" RUN "','name':'g','by':'x','since':5,'source':'one'}", "invalid uuid"},
        {"{'run':'" RUN "','instance':'" UUID "','name':'g','by':'x','since':5}", "no source"},
        {"{'run':'" RUN "','instance':'','name':'\\u001b[31m','by':'x','since':5}", "invalid name"},
        {MOVES("one", "localhost"), "is not in the site file"},
        {MOVES("one", "%HERE%"), "is not in the site file"},
        {MOVES("seven", "one"), "is not in the site file"},
        {MOVES("-oProxyCommand=x", "one"), "is not in the site file"},
        {MOVES("two", "three"), "of a run between other hosts"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        teardown(state);
        assert_int_equal(setup(state), 0);
        plant("one", rows[i].claim, "1", note);
        is_refused(rows[i].why);
    }
}

// An enemy that names a run of others: they do not name it, so nothing of theirs is touched.
static void a_run_of_others_is_not_ended(void **state)
{
    (void)state;
    plant("one", MOVES("two", "one"), "1", NOTE("command", "one", UNDO));
    plant("two", MOVES("two", "three"), "2", NOTE("command", "two", UNDO));
    is_refused("on two does not name this host");
    assert_true(is_there(HERE "/two/claims/" RUN ".json"));
}

// One whose claim is gone has ended that run: what it keeps of it is not undone.
static void a_run_that_ended_there_is_not_undone(void **state)
{
    (void)state;
    plant("one", MOVES("two", "one"), "1", NOTE("command", "one", "'argv':['true'],'undo':['true']"));
    plant("two", MOVES("two", "one"), "2", NOTE("command", "two", UNDO));
    assert_int_equal(unlink(HERE "/two/claims/" RUN ".json"), 0);
    migrun("recover --host one --yes");
    says_not("on two   run");
    assert_false(is_there(HERE "/pwned"));
}

// Every run on a host meets what lies there, and a claim's sentence says how to end what it is of.
static void a_claim_is_told_with_its_remedy(void **state)
{
    (void)state;
    static const char *const times[] = {"1764000000.0", "1e300", "-1e300", "'now'"};
    put(HERE "/ends.lua", ends);
    for (size_t i = 0; i < COUNT_OF(times); i++) {
        auto_free char *claim = xasprintf("{'run':'" RUN "','instance':'','name':'g','by':'root on "
                                          "elsewhere','exclusive':true,'since':%s}",
                                          times[i]);
        plant("one", claim, "1", "{}");
        migrun(HERE "/ends.lua one");
        ends_with(2);
        says("has claimed one");
        says("migrun recover " RUN " on elsewhere");
        says("migrun recover --host one");
    }
}

// ---- journals of other hands ----

static void put_journal(const char *text)
{
    auto_free char *json = json_of(text);
    static const char *const folders[] = {STATE "/runs", STATE "/runs/" RUN};
    for (size_t i = 0; i < COUNT_OF(folders); i++)
        assert_true(mkdir(folders[i], 0700) == 0 || errno == EEXIST);
    put(STATE "/runs/" RUN "/journal.jsonl", json);
}

#define OPEN(more) "{'type':'open','run':'" RUN "'" more "}\n"
#define ABOUT(effect) "{'type':'about','number':1,'effect':" effect "}\n"

static void malformed_journals_are_told(void **state)
{
    (void)state;
    static const char *const rows[] = {
        OPEN(",'hosts':[null]"),
        OPEN(",'instance':{'name':'n','uuid':'u'}"),
        OPEN(",'hosts':['one']") ABOUT("null"),
        OPEN(",'hosts':['one']") ABOUT("{'kind':'libvirt.migrate','host':'one'}"),
        OPEN(",'hosts':['one']") ABOUT("[]") ABOUT("[]"),
        OPEN(",'format':2,'migrun':'9.9'"),
        OPEN(",'hosts':['one'],'params':5,'modules':[]"),
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        put_journal(rows[i]);
        migrun("recover");
        ends_with(5);
        says("the journal " STATE);
        migrun("show " RUN);
        ends_with(1);
        says("the journal " STATE);
        migrun("history");
        ends_with(0);
        says("unreadable");
    }
}

static void odd_journals_are_borne(void **state)
{
    (void)state;
    static const char *const rows[] = {
        OPEN(",'hosts':{},'time':1e300,'by':5"),
        OPEN(",'time':-1e300,'command':[],'text':'while true do end'"),
        OPEN(",'hosts':['one'],'text':'error(setmetatable({},{__index=function() error(1) end}))'"),
        OPEN("")
            ABOUT("{'kind':'command','host':'one','target':'t','before':{},'after':{'undo':'x','argv':5}}"),
        OPEN("")
            ABOUT("{'kind':'service','host':'one','target':'t','before':{'state':5},'after':{'action':{}}}"),
        OPEN("") ABOUT("{'kind':'libvirt.migrate','host':'one','target':'t','before':{},'after':{}}"),
        OPEN("") ABOUT("{'kind':'nova.live_migrate','host':'one','target':'t','before':{},'after':{}}"),
        OPEN("") ABOUT(
            "{'kind':'surgery','host':'one','target':'t','before':{},'after':{}}") "{'type':'done','number':"
                                                                                   "1,'result':5}\n",
        OPEN("") "{'type':'dest','dest':''}\n",
        OPEN("") "{'type':'verdict','status':'x','line':5,'outcome':{},'details':[5,{'label':'Cause'}]}\n",
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        static const char *const commands[] = {"history", "show " RUN, "recover -n", "recover " RUN};
        put_journal(rows[i]);
        for (size_t c = 0; c < COUNT_OF(commands); c++) {
            migrun("%s", commands[c]);
            if (status < 0 || status == 99)
                fail_msg("journal %zu: %s ended with %d:\n%s", i, commands[c], status, output);
        }
    }
}

static void a_cut_off_run_of_the_guest_is_told(void **state)
{
    (void)state;
    put(HERE "/guest.lua", "return { api = 1, summary = 'x', takes = { 'instance' }, steps = { { 'x', phase "
                           "= 'check', run = function() end } } }\n");
    put_journal(OPEN(",'instance':{'name':'g','uuid':'" UUID "'},'source':'one'"));
    migrun("--source one " HERE "/guest.lua g");
    ends_with(2);
    says("run " RUN " of g was cut off: migrun recover " RUN " ends it");
    migrun("--source one " HERE "/guest.lua other");
    ends_with(2);
    says_not("cut off");
}

// ---- users ----

static const char chats[] = "return { api = 1, summary = 'x', takes = {}, steps = { { 'tell', phase = "
                            "'prepare', run = function(run)\n"
                            "  run.here:command({ 'touch', '" HERE "/home/told' }, { undo = { 'true' } })\n"
                            "  run.here:write('" HERE "/home/file', 'text')\n"
                            "end } } }\n";

// What needs no root on the controller is done without, whatever the hosts ask for.
static void a_user_needs_no_root_here(void **state)
{
    (void)state;
    auto_free char *site = xasprintf(
        "return { hosts = { 'one' }, ssh = { agent = '%s/migrun-agent', become = "
        "'sudo' } }\n",
        build);
    put(HERE "/site.lua", site);
    put(HERE "/bin/sudo", "#!/bin/sh\necho 'sudo: a password is required' >&2\nexit 1\n");
    put(HERE "/chats.lua", chats);
    assert_int_equal(mkdir(HERE "/home", 0700) | chown(HERE "/home", 65534, 65534), 0);
    assert_int_equal(chmod(HERE, 0755) | chmod(HERE "/bin", 0755), 0);
    as_user = "setpriv --reuid 65534 --regid 65534 --clear-groups env HOME=" HERE "/home";
    migrun(HERE "/chats.lua");
    ends_with(0);
    assert_true(is_there(HERE "/home/told") && is_there(HERE "/home/file"));
    auto_free char *run = only_run();
    migrun("show %s", run);
    ends_with(0);
    migrun("history --prune 0s --yes");
    ends_with(0);
    as_user = "";
}

// ---- history --prune ----

static size_t count_runs(void)
{
    migrun("history --json");
    size_t n = 0;
    for (const char *p = output; (p = strchr(p, '\n')); p++)
        n++;
    return n;
}

static size_t times_asked(const char *host)
{
    auto_free char *asked = text_of(HERE "/asked"), *line = xasprintf("%s\n", host);
    size_t n = 0;
    for (const char *p = asked; (p = strstr(p, line)); p++)
        n++;
    return n;
}

// Runs on a host that has died since are kept, the others go; the host is waited for once.
static void dead_hosts_are_waited_for_once(void **state)
{
    (void)state;
    static const char *const hosts[] = {"one", "two", "one", "two", "three", "one"};
    put(HERE "/ends.lua", ends);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        migrun(HERE "/ends.lua %s", hosts[i]);
        ends_with(0);
    }
    put(HERE "/dead-two", "");
    put(HERE "/dead-three", "");
    put(HERE "/asked", "");
    migrun("history --prune 0s --yes");
    says("3 runs forgotten, 3 kept");
    says("No route to host");
    ends_with(1);
    assert_int_equal(times_asked("two"), 1);
    assert_int_equal(times_asked("three"), 1);
    assert_int_equal(count_runs(), 3);
}

static void what_is_forgotten_is_shown_and_asked_for(void **state)
{
    (void)state;
    put(HERE "/ends.lua", ends);
    migrun(HERE "/ends.lua one");
    ends_with(0);
    auto_free char *run = only_run();
    migrun("history --prune 0s -n");
    ends_with(0);
    says(run);
    migrun("history --prune 0s");
    ends_with(1);
    says(run);
    says("--yes");
    assert_int_equal(count_runs(), 1);
    migrun("history --prune 0s --yes");
    ends_with(0);
    says("1 run forgotten");
    assert_int_equal(count_runs(), 0);
}

static void runs_that_left_something_go_by_their_names(void **state)
{
    (void)state;
    put(HERE "/fails.lua", fails);
    put(HERE "/hard", "");
    migrun(HERE "/fails.lua one");
    ends_with(6);
    auto_free char *run = only_run();
    migrun("history --prune 0s --yes");
    ends_with(0);
    says("is kept: it left something");
    assert_int_equal(count_runs(), 1);
    migrun("history --prune %s --yes", run);
    ends_with(0);
    says("1 run forgotten");
    assert_int_equal(count_runs(), 0);
    cut_off("", "one");
    auto_free char *unfinished = only_run();
    migrun("history --prune %s --yes", unfinished);
    ends_with(1);
    says("is unfinished");
    assert_int_equal(count_runs(), 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_run_is_undone),
        TEST(every_run_is_previewed),
        TEST(a_run_that_had_ended_keeps_its_cause),
        TEST(what_a_host_keeps_is_shown_and_asked_for),
        TEST(what_was_undone_is_not_undone_again),
        TEST(notes_that_cannot_be_read_are_told_and_kept),
        TEST(notes_of_an_enemy),
        TEST(claims_of_an_enemy),
        TEST(a_run_of_others_is_not_ended),
        TEST(a_run_that_ended_there_is_not_undone),
        TEST(a_claim_is_told_with_its_remedy),
        TEST(malformed_journals_are_told),
        TEST(odd_journals_are_borne),
        TEST(a_cut_off_run_of_the_guest_is_told),
        TEST(a_user_needs_no_root_here),
        TEST(dead_hosts_are_waited_for_once),
        TEST(what_is_forgotten_is_shown_and_asked_for),
        TEST(runs_that_left_something_go_by_their_names),
    };
    (void)says_not;
    return cmocka_run_group_tests_name("recover", tests, setup_all, teardown_all);
}
