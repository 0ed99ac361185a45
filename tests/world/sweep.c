// The fault sweep: each scenario (a policy in a world, and how its migration ends) is run once to count its points, and then once for each
// point and each fault there. The world afterwards must be as before, or moved and verified, and the verdict must say so.
//
//   sweep [--self] [WORD...]       scenarios whose name holds one of the words; --self: without faults
//   sweep --point SCENARIO N:KIND  one run, with what it tells and what is wrong afterwards
#include "fault.h"
#include "world.h"

#include "lua/lua.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SITE "examples/site.lua"

enum { PATIENCE_S = 60, WRONG_SHOWN = 6, DIED = 137, TEXT_MOST = 64 << 20 };

// ---- scenarios ----

static void guest_shut_off(json_t *w)
{
    json_t *domain = world_domain(w, "compute-1", WORLD_UUID);
    json_object_set_new(domain, "state", json_string("shut off"));
    json_object_set_new(domain, "pid", json_integer(0));
}

static void guest_is_there(json_t *w)
{
    json_t *copy = json_deep_copy(world_domain(w, "compute-1", WORLD_UUID));
    json_object_set_new(copy, "state", json_string("shut off"));
    json_object_set_new(copy, "pid", json_integer(0));
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "domains"), WORLD_UUID, copy);
}

static void older_cpu(json_t *w)
{
    json_object_set_new(world_host(w, "compute-2"), "cpu", json_string("incompatible"));
}

static void no_libvirtd(json_t *w)
{
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "services"), "libvirtd", json_string("inactive"));
}

static void known_for_shared(json_t *w)
{
    json_object_set_new(w, "storage", json_string("shared"));
}

static void claimed(json_t *w)
{
    json_t *claim = json_pack("{s:s, s:s, s:s, s:s, s:f, s:b}", "run", "another", "instance", WORLD_UUID, "name", WORLD_GUEST, "by",
                              "root on elsewhere", "since", 0.0, "exclusive", 0);
    json_object_set_new(json_object_get(world_host(w, "compute-2"), "claims"), "another", claim);
}

static void files_of_root(json_t *w)
{
    json_t *disk = world_file(w, "compute-1", WORLD_FOLDER "/disk");
    json_object_set_new(disk, "uid", json_integer(0));
    json_object_set_new(disk, "gid", json_integer(0));
}

static void transient(json_t *w)
{
    json_t *domain = world_domain(w, "compute-1", WORLD_UUID);
    json_object_set_new(domain, "persistent", json_false());
    json_object_set_new(domain, "autostart", json_false());
}

static const struct scenario {
    const char *policy, *outcome, *world;
    void (*vary)(json_t *w);
    int status;            // without a fault
    bool preview;
    bool stays;            // the policy takes no destination
    const char *cut;       // the run is killed after this point, and its recovery is swept
    bool elsewhere;        // what is killed is recovered by another controller, from what the hosts keep
} scenarios[] = {
    {"policies/libvirt.lua", "ok", .status = 0},
    {"policies/libvirt.lua", "fail", .status = 3},
    {"policies/libvirt.lua", "fail-after-switch", .status = 0},
    {"policies/libvirt.lua", "lost", .status = 0},
    {"policies/libvirt.lua", "lost-fail", .status = 3},
    {"policies/libvirt.lua", "split", .status = 5},
    {"policies/libvirt.lua", "left-over", .status = 4},
    {"policies/libvirt.lua", "endless", .status = 3},
    {"policies/libvirt.lua", "late-abort", .status = 0},
    {"policies/libvirt.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"policies/libvirt.lua", "ok", "transient guest", transient, .status = 0},
    {"policies/libvirt.lua", "ok", "guest shut off", guest_shut_off, .status = 2},
    {"policies/libvirt.lua", "ok", "guest there already", guest_is_there, .status = 2},
    {"policies/libvirt.lua", "ok", "older CPU there", older_cpu, .status = 2},
    {"policies/libvirt.lua", "ok", "no libvirtd there", no_libvirtd, .status = 2},
    {"policies/libvirt.lua", "ok", "claimed by another run", claimed, .status = 2},
    {"policies/libvirt.lua", "ok", .status = 0, .preview = true},
    {"policies/libvirt.lua", "ok", .status = 0, .cut = "virt compute-1 migrate"},
    {"policies/libvirt.lua", "fail", .status = 3, .cut = "virt compute-1 migrate"},
    {"policies/status-xml.lua", "ok", .status = 0},
    {"policies/status-xml.lua", "fail", .status = 3},
    {"policies/status-xml.lua", "lost", .status = 0},
    {"policies/status-xml.lua", "ok", .status = 0, .preview = true},
    {"policies/status-xml.lua", "ok", .status = 3, .cut = "host compute-1 surgery /run"},
    {"policies/status-xml.lua", "fail", .status = 3, .cut = "virt compute-1 migrate"},
    {"policies/status-xml.lua", "ok", .status = 0, .elsewhere = true},
    {"policies/status-xml.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"policies/fix-ownership.lua", "ok", "files of root", files_of_root, .status = 0, .stays = true},
    {"policies/fix-ownership.lua", "ok", .status = 0, .stays = true},
    {"examples/drain.lua", "ok", .status = 0},
    {"examples/drain.lua", "fail", .status = 3},
    {"examples/drain.lua", "lost", .status = 0},
    {"examples/drain.lua", "split", .status = 5},
    {"examples/drain.lua", "ok", .status = 0, .preview = true},
    {"tests/world/effects.lua", "ok", .status = 0},
    {"tests/world/effects.lua", "fail", .status = 3},
    {"tests/world/effects.lua", "fail-after-switch", .status = 0},
    {"tests/world/effects.lua", "fail", .status = 3, .cut = "virt compute-1 migrate"},
    {"tests/world/effects.lua", "ok", .status = 3, .cut = "host compute-2 command"},
    {"tests/world/effects.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"examples/drain.lua", "ok", "storage known for shared", known_for_shared, .status = 0},
    {"tests/world/effects.lua", "ok", .status = 0, .elsewhere = true},
    {"tests/world/effects.lua", "fail", .status = 3, .elsewhere = true},
};

static char *scenario_name(const struct scenario *s)
{
    struct buf name = {0};
    buf_printf(&name, "%s, %s", strrchr(s->policy, '/') + 1, s->outcome);
    if (s->world)
        buf_printf(&name, ", %s", s->world);
    if (s->preview)
        buf_puts(&name, ", preview");
    if (s->cut)
        buf_printf(&name, ", recovery after %s", s->cut);
    if (s->elsewhere)
        buf_puts(&name, ", recovered elsewhere");
    return buf_take(&name);
}

// ---- one run, in a process of its own ----

struct bench { char folder[64]; };

struct ending {
    bool killed;
    int status;
    json_t *verdict;
    char *warnings, *words; // what it said on stderr
};

static void ending_free(struct ending *e)
{
    json_decref(e->verdict);
    free(e->warnings);
    free(e->words);
}
#define auto_ending cleanup(ending_free)

static void fail(const char *what)
{
    fprintf(stderr, "sweep: %s: %s\n", what, strerror(errno));
    exit(2);
}

static int new_file(void)
{
    int fd = memfd_create("sweep", MFD_CLOEXEC);
    if (fd < 0)
        fail("memfd");
    return fd;
}

static char *file_text(int fd)
{
    char *text;
    size_t len;
    if (lseek(fd, 0, SEEK_SET) < 0 || read_whole_fd(fd, TEXT_MOST, &text, &len) < 0)
        fail("reading back");
    return text;
}

static void clear_folder(const char *path)
{
    DIR *folder = opendir(path);
    for (struct dirent *entry; folder && (entry = readdir(folder));) {
        if (STREQ(entry->d_name, ".") || STREQ(entry->d_name, ".."))
            continue;
        auto_free char *inner = xasprintf("%s/%s", path, entry->d_name);
        if (entry->d_type == DT_DIR) {
            clear_folder(inner);
            rmdir(inner);
        } else {
            unlink(inner);
        }
    }
    if (folder)
        closedir(folder);
}


static void hear(void *data, const json_t *event)
{
    const int *fd = data;
    auto_free char *text = json_dumps(event, JSON_COMPACT), *line = xasprintf("%s\n", text);
    write_all(*fd, line, strlen(line));
}

// What a process of its own shall do: a scenario's run, or the recovery of the run before.
struct job {
    const struct scenario *scenario;
    const struct bench *bench;
    const char *fault, *log; // MIGRUN_FAULT, MIGRUN_FAULT_LOG
    bool all;                // show all that it tells
    bool recovers;
    const char *run, *host;  // which one is recovered, or all that a host keeps; NULL: what is unfinished
};

static int move(const struct job *job, const char *state, const struct listener *listener, struct error *err)
{
    const struct scenario *s = job->scenario;
    const char *const arguments[] = {WORLD_GUEST, "compute-2"};
    auto_json json_t *params = json_object();
    const struct run_options options = {
        .policy = s->policy, .arguments = arguments, .n_arguments = s->stays ? 1 : 2, .params = params, .site = SITE, .state = state,
        .preview = s->preview, .command_line = "sweep",
    };
    return migrun_lua_move(&options, listener, err);
}

static int recover(const struct job *job, const char *state, const struct listener *listener, struct error *err)
{
    const struct recover_options options = {.runs = &job->run, .n_runs = job->run != NULL, .host = job->host, .site = SITE, .state = state};
    return migrun_lua_recover(&options, listener, err);
}

static _Noreturn void be_migrun(const struct job *job, int heard, int words)
{
    const struct listener listener = {.event = hear, .data = &heard};
    auto_free char *state = xasprintf("%s/state", job->bench->folder);
    struct error err = {0};
    alarm(PATIENCE_S);
    dup2(words, STDERR_FILENO);
    setenv("MIGRUN_WORLD", job->bench->folder, 1);
    if (job->fault)
        setenv("MIGRUN_FAULT", job->fault, 1);
    if (job->log)
        setenv("MIGRUN_FAULT_LOG", job->log, 1);
    util_signals();
    int status = job->recovers ? recover(job, state, &listener, &err) : move(job, state, &listener, &err);
    if (status < 0)
        fprintf(stderr, "%s\n", err.message);
    status = status < 0 ? OUTCOME_MISTAKE : status;
    // A search for leaks takes longer than the run: one at each point is enough.
    if (job->fault && !strstr(job->fault, ":fail"))
        _exit(status);
    exit(status);
}

// The run's own verdict counts; a recovery adds one of the whole, which counts where there is no other.
static void take_event(struct ending *ending, struct buf *warnings, json_t *event)
{
    const char *type = json_str(event, "type", "");
    bool of_whole = STREQ(json_str(event, "outcome", ""), "recovered");
    if (STREQ(type, "message") && STREQ(json_str(event, "level", ""), "warning"))
        buf_printf(warnings, "%s\n", json_str(event, "text", ""));
    if (!STREQ(type, "verdict") || (of_whole && ending->verdict))
        return;
    json_decref(ending->verdict);
    ending->verdict = json_incref(event);
}

static void take_events(struct ending *ending, const char *text)
{
    struct buf warnings = {0};
    for (const char *line = text; *line; line = strchr(line, '\n') + 1) {
        auto_json json_t *event = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
        take_event(ending, &warnings, event);
    }
    ending->warnings = buf_take(&warnings);
}

static void run(const struct job *job, struct ending *ending)
{
    int status;
    auto_fd int heard = new_file(), words = new_file();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        be_migrun(job, heard, words);
    if (pid < 0 || waitpid(pid, &status, 0) < 0)
        fail("fork");
    while (waitpid(-1, NULL, 0) > 0) // those who clear up after it
        ;
    auto_free char *events = file_text(heard);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    *ending = (struct ending){.killed = status == DIED, .status = status, .words = file_text(words)};
    take_events(ending, events);
    if (job->all)
        printf("%s%s", events, ending->words);
}

// ---- the world afterwards ----

static void flatten_files(json_t *flat, const char *where, const json_t *files)
{
    const char *path;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)files, path, file) {
        if (strncmp(path, "/var/log/", 9) == 0)
            continue;
        auto_free char *key = xasprintf("%s file %s", where, path);
        auto_free char *value = xasprintf("%s %04o %d:%d '%s'", json_str(file, "type", ""), (unsigned)json_int(file, "mode", 0),
                                          (int)json_int(file, "uid", -1), (int)json_int(file, "gid", -1), json_str(file, "content", ""));
        json_object_set_new(flat, key, json_string(value));
    }
}

static void flatten_named(json_t *flat, const char *where, const char *kind, const json_t *named)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)named, name, value) {
        auto_free char *key = xasprintf("%s %s %s", where, kind, name);
        json_object_set_new(flat, key, json_is_string(value) ? json_incref(value) : json_string("is there"));
    }
}

static void flatten_guests(json_t *flat, const char *where, const json_t *domains, bool with_pid)
{
    const char *uuid;
    json_t *domain;
    json_object_foreach((json_t *)(uintptr_t)domains, uuid, domain) {
        const char *name = json_str(domain, "name", "");
        auto_free char *key = xasprintf("%s guest %s", where, name);
        auto_free char *pid = with_pid ? xasprintf(", pid %d", (int)json_int(domain, "pid", 0)) : xstrdup("");
        auto_free char *value = xasprintf("%s%s%s%s", json_str(domain, "state", ""), json_flag(domain, "persistent", false) ? ", persistent" : "",
                                          json_flag(domain, "autostart", false) ? ", autostart" : "", pid);
        json_object_set_new(flat, key, json_string(value));
        static const char *const texts[] = {"xml", "inactive_xml"};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            auto_free char *text_key = xasprintf("%s %s %s", where, texts[i], name);
            json_object_set(flat, text_key, json_object_get(domain, texts[i]));
        }
    }
}

// Every thing of a world that counts, by "WHERE KIND NAME". Originals and notes stay on their host until `migrun prune`.
static json_t *flatten(const json_t *w, bool with_pid)
{
    json_t *flat = json_object(), *host;
    const char *name;
    flatten_files(flat, "both", json_object_get(w, "shared"));
    json_object_foreach(json_object_get(w, "hosts"), name, host) {
        static const char *const kinds[] = {"services", "claims"};
        flatten_files(flat, name, json_object_get(host, "files"));
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
            flatten_named(flat, name, kinds[i], json_object_get(host, kinds[i]));
        flatten_guests(flat, name, json_object_get(host, "domains"), with_pid);
    }
    return flat;
}

// {what differs: how}.
static json_t *differences(const json_t *is, const json_t *should, bool with_pid)
{
    auto_json json_t *now = flatten(is, with_pid), *then = flatten(should, with_pid);
    json_t *all = json_object(), *value;
    const char *key;
    json_object_foreach(now, key, value)
        if (!json_object_get(then, key))
            json_object_set_new(all, key, json_string("is left over"));
        else if (!json_equal(value, json_object_get(then, key)))
            json_object_set_new(all, key, json_sprintf("is %.60s, not %.60s", json_string_value(value), json_str(then, key, "")));
    json_object_foreach(then, key, value)
        if (!json_object_get(now, key))
            json_object_set_new(all, key, json_string("is gone"));
    return all;
}

static bool runs(const json_t *w, const char *host)
{
    const json_t *domain = world_domain(w, host, WORLD_UUID);
    return STREQ(json_str(domain, "state", ""), "running") && !STREQ(json_str(domain, "reason", ""), "post-copy failed");
}

static bool is_at(const json_t *w, const char *host, const char *other)
{
    const json_t *there = world_domain(w, other, WORLD_UUID);
    return runs(w, host) && (!there || STREQ(json_str(there, "state", ""), "shut off"));
}

// ---- judging ----

// NAMED: the verdict names all that is not as it should be.
enum judgement { AS_BEFORE, MOVED, NAMED, IN_DOUBT, WRONG, JUDGEMENTS };
static const char *const judgement_names[JUDGEMENTS] = {"as before", "moved", "named", "in doubt", "wrong"};

struct truth { json_t *before, *after, *now; };

static enum judgement wrong(char **why, const char *format, ...) __attribute__((format(printf, 2, 3)));
static enum judgement wrong(char **why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(why, format, args) < 0)
        abort();
    va_end(args);
    return WRONG;
}

static char *told_text(const struct ending *e)
{
    struct buf text = {0};
    size_t i;
    json_t *detail;
    buf_printf(&text, "%s\n%s", json_str(e->verdict, "line", ""), e->warnings);
    json_array_foreach(json_object_get(e->verdict, "details"), i, detail)
        buf_printf(&text, "\n%s: %s", json_str(detail, "label", ""), json_str(detail, "text", ""));
    return buf_take(&text);
}

static enum judgement list(char **why, const char *what, const json_t *differ)
{
    auto_buf struct buf all = {0};
    const char *key;
    json_t *how;
    json_object_foreach((json_t *)(uintptr_t)differ, key, how)
        buf_printf(&all, "; %s %s", key, json_string_value(how));
    return wrong(why, "%s%s", what, all.data);
}

// Whether a text names a thing; libvirtd's definition of a guest is named with the guest.
static bool names(const char *text, const char *key)
{
    const char *thing = strrchr(key, ' ') + 1;
    if (strncmp(thing, "/etc/libvirt/qemu/", 18) == 0)
        thing += 18;
    auto_free char *name = xstrndup(thing, strlen(thing) - (thing[0] != '/' && strstr(thing, ".xml") ? 4 : 0));
    return strstr(text, name);
}

// Whether the operator is told of each thing that is not as it should be; what a fix-up or an undo that failed was for, and what a run that has
// no fix-ups any more leaves to do, need not be named.
static enum judgement all_told(const struct ending *e, json_t *differ, const char *what, char **why)
{
    auto_free char *text = told_text(e);
    bool left = e->status == OUTCOME_MOVED_BUT || e->status == OUTCOME_NOT_RESTORED;
    bool half = (left && strstr(text, "failed:")) || strstr(e->warnings, "no fix-ups");
    const char *key;
    json_t *how;
    void *next;
    json_object_foreach_safe(differ, next, key, how)
        if (half || names(text, key))
            json_object_del(differ, key);
    return json_object_size(differ) ? list(why, what, differ) : NAMED;
}

static bool only_claims(const json_t *differ)
{
    const char *key;
    json_t *how;
    json_object_foreach((json_t *)(uintptr_t)differ, key, how)
        if (!strstr(key, " claims "))
            return false;
    return true;
}

static enum judgement judge_still(const struct truth *t, const struct ending *e, char **why)
{
    auto_json json_t *differ = differences(t->now, t->before, true);
    if (json_object_size(differ) == 0)
        return AS_BEFORE;
    bool untouched = e->status == OUTCOME_REFUSED || e->status == OUTCOME_MOVED; // refused, a preview, or nothing to recover
    if (untouched && !only_claims(differ))
        return list(why, "said to be untouched", differ);
    if (e->status == OUTCOME_NOT_RESTORED && !is_at(t->now, "compute-1", "compute-2"))
        return list(why, "said not to have moved", differ);
    return all_told(e, differ, "said to be as before", why);
}

static enum judgement judge_moved(const struct truth *t, const struct ending *e, bool stays, char **why)
{
    auto_json json_t *differ = differences(t->now, t->after, false);
    if (json_object_size(differ) == 0)
        return MOVED;
    if (e->status == OUTCOME_MOVED && !only_claims(differ) && !strstr(e->warnings, "no fix-ups"))
        return list(why, "said to be moved and verified", differ);
    if (!stays && !is_at(t->now, "compute-2", "compute-1"))
        return list(why, "said to have moved", differ);
    return all_told(e, differ, "said to be moved", why);
}

// Nothing was left to recover: the run had ended, one way or the other.
static enum judgement judge_ended(const struct truth *t, const struct ending *e, char **why)
{
    auto_json json_t *differ = differences(t->now, t->after, false);
    return json_object_size(differ) == 0 ? MOVED : judge_still(t, e, why);
}

static enum judgement judge(const struct scenario *s, const struct truth *t, const struct ending *e, bool faulty, char **why)
{
    if (!e->verdict || json_int(e->verdict, "status", -1) != e->status)
        return wrong(why, "ended with status %d, and its verdict with %d: %.300s", e->status, (int)json_int(e->verdict, "status", -1), e->words);
    const char *outcome = json_str(e->verdict, "outcome", "");
    if (STREQ(outcome, "in_doubt") && faulty) // an interrupted recovery, too
        return IN_DOUBT;
    switch (e->status) {
    case OUTCOME_MOVED:
        return STREQ(outcome, "recovered") ? judge_ended(t, e, why) : s->preview ? judge_still(t, e, why) : judge_moved(t, e, s->stays, why);
    case OUTCOME_MOVED_BUT: return judge_moved(t, e, s->stays, why);
    case OUTCOME_REFUSED:
    case OUTCOME_NOT_MOVED:
    case OUTCOME_NOT_RESTORED:
    case OUTCOME_INTERRUPTED: return judge_still(t, e, why);
    case OUTCOME_IN_DOUBT:
        if (!is_at(t->now, "compute-1", "compute-2") && !is_at(t->now, "compute-2", "compute-1"))
            return IN_DOUBT;
        return wrong(why, "said to be in doubt, though both hosts know: %s", json_str(e->verdict, "line", ""));
    default: return wrong(why, "ended with status %d", e->status);
    }
}

// ---- a scenario ----

struct count { size_t points, runs, recovered, of[JUDGEMENTS], shown; };

static json_t *world_of(const struct scenario *s, const char *outcome)
{
    json_t *w = world_standard();
    json_object_set_new(w, "outcome", json_string(outcome));
    if (s->vary)
        s->vary(w);
    return w;
}

static void make_world(const struct scenario *s, const struct bench *bench, const char *outcome)
{
    auto_json json_t *w = world_of(s, outcome);
    clear_folder(bench->folder);
    world_write(w, bench->folder);
}

// The world as it is once nothing moves any more.
static json_t *settled_world(const struct bench *bench)
{
    json_t *w = world_read(bench->folder);
    world_settle(w);
    return w;
}

// What the world is after the run that goes well.
static json_t *world_after(const struct scenario *s, const struct bench *bench)
{
    struct ending auto_ending ending = {0};
    make_world(s, bench, "ok");
    run(&(struct job){.scenario = s, .bench = bench}, &ending);
    return settled_world(bench);
}

static enum judgement run_and_judge(const struct job *job, const struct truth *known, struct ending *ending, char **why)
{
    struct truth t = *known;
    run(job, ending);
    t.now = settled_world(job->bench);
    enum judgement judgement = ending->killed ? IN_DOUBT : judge(job->scenario, &t, ending, job->fault != NULL, why);
    json_decref(t.now);
    return judgement;
}

// What a scenario begins with; cut (NULL: nothing) is the fault that ends the run whose recovery is tried.
static void prepare(const struct scenario *s, const struct bench *bench, const char *cut)
{
    struct ending auto_ending ending = {0};
    make_world(s, bench, s->outcome);
    if (cut)
        run(&(struct job){.scenario = s, .bench = bench, .fault = cut}, &ending);
}

// By another controller, which has no journal of it: from what each host keeps.
static enum judgement recover_elsewhere(const struct job *job, const struct truth *known, char **why)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    enum judgement judgement = WRONG;
    auto_free char *state = xasprintf("%s/state", job->bench->folder);
    clear_folder(state);
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        struct ending auto_ending ending = {0};
        struct job here = *job;
        here.host = hosts[i];
        free(steal(why));
        judgement = run_and_judge(&here, known, &ending, why);
        if (!STREQ(json_str(ending.verdict, "outcome", ""), "recovered"))
            return judgement;
    }
    return judgement;
}

// A run under a fault, and `migrun recover` where it leaves something to be done.
static enum judgement try(const struct job *job, const struct truth *known, const char *cut, struct count *count, char **why)
{
    struct ending auto_ending ending = {0}, auto_ending recovered = {0};
    prepare(job->scenario, job->bench, cut);
    enum judgement judgement = run_and_judge(job, known, &ending, why);
    if (judgement != IN_DOUBT && judgement != NAMED)
        return judgement;
    struct job again = {.scenario = job->scenario, .bench = job->bench, .all = job->all, .recovers = true};
    count->recovered++;
    if (job->scenario->elsewhere && judgement == IN_DOUBT)
        return recover_elsewhere(&again, known, why);
    again.run = judgement == NAMED ? json_str(ending.verdict, "run", NULL) : NULL;
    return run_and_judge(&again, known, &recovered, why);
}

// Whether a fault can happen at a point: "host NAME OPERATION …", "virt NAME …", "gate …".
static bool fits(enum fault fault, const char *point)
{
    bool host = strncmp(point, "host ", 5) == 0, gate = strncmp(point, "gate ", 5) == 0, connect = host && strstr(point, " connect");
    switch (fault) {
    case FAULT_ERROR: return host && !connect;
    case FAULT_HALF: return strstr(point, " write ") || strstr(point, " remove ") || strstr(point, " restore ") || strstr(point, " chown ") ||
                            strstr(point, " chmod ") || strstr(point, " surgery ") || strstr(point, " service ") || strstr(point, " command");
    case FAULT_AFTER: return !gate && !connect;
    case FAULT_GONE: return !gate;
    case FAULT_KILL_AFTER: return !gate;
    default: return true;
    }
}

// Whether the run that goes well, by which the others are judged, does what it should.
static enum judgement judge_model(const struct scenario *s, const struct truth *known, char **why)
{
    const json_t *disk = world_file(known->after, "compute-1", WORLD_FOLDER "/disk");
    const json_t *log = world_file(known->after, "compute-1", WORLD_FOLDER "/console.log");
    const json_t *was = world_domain(known->before, "compute-1", WORLD_UUID), *is = world_domain(known->after, "compute-2", WORLD_UUID);
    if (json_int(disk, "uid", -1) != WORLD_QEMU || json_int(disk, "gid", -1) != WORLD_QEMU || json_int(log, "uid", -1) != 0)
        return wrong(why, "the run that goes well leaves the guest's files to somebody else");
    if (s->stays)
        return AS_BEFORE;
    if (!is_at(known->after, "compute-2", "compute-1") || world_domain(known->after, "compute-1", WORLD_UUID))
        return wrong(why, "the run that goes well does not move the guest");
    bool persistent = json_flag(is, "persistent", false);
    if (persistent != json_flag(was, "persistent", false) || json_flag(is, "autostart", false) != json_flag(was, "autostart", false))
        return wrong(why, "the run that goes well loses the guest's definition or its autostart");
    if (strstr(json_str(is, "xml", ""), "10.88.0.11") || (persistent && strstr(json_str(is, "inactive_xml", ""), "10.88.0.11")))
        return wrong(why, "the run that goes well leaves an address of the source");
    return MOVED;
}

static void add(struct count *count, enum judgement judgement, const char *fault, const char *point, const char *why)
{
    count->runs++;
    count->of[judgement]++;
    if (judgement == WRONG && count->shown++ < WRONG_SHOWN)
        printf("# %s (%s): %s\n", fault, point, why);
}

static void sweep_points(const struct job *plain, const struct truth *known, const char *cut, char *points, struct count *count)
{
    bool only_kills = plain->scenario->elsewhere;
    char *rest = points;
    for (char *point; (point = strsep(&rest, "\n")) && *point;) {
        count->points++;
        for (enum fault fault = only_kills ? FAULT_KILL_BEFORE : FAULT_FAIL; fault <= FAULT_KILL_AFTER; fault++) {
            if (!fits(fault, point))
                continue;
            auto_free char *text = xasprintf("%zu:%s", count->points, fault_names[fault]), *why = NULL;
            struct job job = *plain;
            job.fault = text;
            enum judgement judgement = try(&job, known, cut, count, &why);
            add(count, judgement, text, point, why);
        }
    }
}

// The run without a fault: how it ends, and its points, a line each.
static char *run_plainly(const struct job *plain, const struct truth *known, const char *cut, struct ending *ending, enum judgement *judgement,
                         char **why)
{
    char log[64];
    auto_fd int points = new_file();
    snprintf(log, sizeof log, "/proc/%d/fd/%d", (int)getpid(), points);
    struct job job = *plain;
    job.log = log;
    prepare(job.scenario, job.bench, cut);
    *judgement = run_and_judge(&job, known, ending, why);
    return file_text(points);
}

// The fault that kills the run at the point where its scenario cuts it.
static char *cut_of(const struct scenario *s, const struct bench *bench, const struct truth *known)
{
    struct ending auto_ending ending = {0};
    enum judgement judgement;
    auto_free char *why = NULL, *points = run_plainly(&(struct job){.scenario = s, .bench = bench}, known, NULL, &ending, &judgement, &why);
    char *rest = points;
    int number = 0;
    for (char *point; (point = strsep(&rest, "\n")) && *point;) {
        number++;
        if (strncmp(point, s->cut, strlen(s->cut)) == 0)
            return xasprintf("%d:%s", number, fault_names[FAULT_KILL_AFTER]);
    }
    fprintf(stderr, "sweep: %s has no point '%s'\n", s->policy, s->cut);
    exit(2);
}

static void open_bench(struct bench *bench)
{
    snprintf(bench->folder, sizeof bench->folder, "%s/migrun-sweep-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(bench->folder))
        fail(bench->folder);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void close_bench(const struct bench *bench)
{
    clear_folder(bench->folder);
    rmdir(bench->folder);
}

static void begin(const struct scenario *s, struct bench *bench, struct truth *known, char **cut)
{
    open_bench(bench);
    *known = (struct truth){.before = world_of(s, s->outcome), .after = world_after(s, bench)};
    *cut = s->cut ? cut_of(s, bench, known) : NULL;
}

static void end(const struct bench *bench, const struct truth *known)
{
    close_bench(bench);
    json_decref(known->before);
    json_decref(known->after);
}

static void sweep(const struct scenario *s, bool self, struct count *count)
{
    struct bench bench;
    struct truth known;
    struct ending auto_ending ending = {0};
    auto_free char *cut = NULL, *why = NULL;
    enum judgement judgement;
    begin(s, &bench, &known, &cut);
    const struct job job = {.scenario = s, .bench = &bench, .recovers = s->cut != NULL};
    auto_free char *points = run_plainly(&job, &known, cut, &ending, &judgement, &why);
    if (judgement != WRONG && ending.status != s->status)
        judgement = wrong(&why, "ended with status %d, not %d: %s", ending.status, s->status, json_str(ending.verdict, "line", ending.words));
    if (judgement != WRONG && s->status != OUTCOME_REFUSED && !s->preview && judge_model(s, &known, &why) == WRONG)
        judgement = WRONG;
    add(count, judgement, "no fault", "the whole", why);
    if (!self)
        sweep_points(&job, &known, cut, points, count);
    end(&bench, &known);
}

static const struct scenario *find_scenario(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++) {
        auto_free char *own = scenario_name(&scenarios[i]);
        if (STREQ(own, name))
            return &scenarios[i];
    }
    fprintf(stderr, "there is no scenario '%s'\n", name);
    exit(2);
}

static int one_point(const char *name, const char *fault)
{
    const struct scenario *s = find_scenario(name);
    struct bench bench;
    struct truth known;
    struct count count = {0};
    auto_free char *cut = NULL, *why = NULL;
    begin(s, &bench, &known, &cut);
    const struct job job = {.scenario = s, .bench = &bench, .fault = fault, .all = true, .recovers = cut != NULL};
    enum judgement judgement = try(&job, &known, cut, &count, &why);
    printf("%s%s%s\n", judgement_names[judgement], why ? ": " : "", why ? why : "");
    end(&bench, &known);
    return judgement == WRONG;
}

// ---- all of them, two side by side ----

struct worker { pid_t pid; int out; const struct scenario *scenario; struct count *count; };

static void start(struct worker *w, bool self)
{
    w->out = new_file();
    w->count = mmap(NULL, sizeof *w->count, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (w->count == MAP_FAILED)
        fail("mmap");
    fflush(NULL);
    w->pid = fork();
    if (w->pid < 0)
        fail("fork");
    if (w->pid == 0) {
        dup2(w->out, STDOUT_FILENO);
        sweep(w->scenario, self, w->count);
        exit(0);
    }
}

static void tell(const struct worker *w, size_t number, struct count *total)
{
    auto_free char *name = scenario_name(w->scenario), *text = file_text(w->out);
    const struct count *c = w->count;
    bool ok = c->runs > 0 && c->of[WRONG] == 0;
    printf("%sok %zu - %s: %zu points, %zu runs", ok ? "" : "not ", number, name, c->points, c->runs);
    for (size_t i = 0; i < JUDGEMENTS; i++) {
        if (c->of[i])
            printf(", %zu %s", c->of[i], judgement_names[i]);
        total->of[i] += c->of[i];
    }
    total->recovered += c->recovered;
    printf("\n%s", text);
    fflush(stdout);
    total->points += c->points;
    total->runs += c->runs;
    total->of[WRONG] += !ok && c->of[WRONG] == 0; // it did not come to its end
}

static int finish(struct worker *workers, size_t count, bool self)
{
    size_t side_by_side = (size_t)sysconf(_SC_NPROCESSORS_ONLN), started = 0;
    struct count total = {0};
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        for (; started < count && started < i + side_by_side; started++)
            start(&workers[started], self);
        waitpid(workers[i].pid, NULL, 0);
        tell(&workers[i], i + 1, &total);
    }
    printf("#\n# %-10s %8zu\n# %-10s %8zu\n# %-10s %8zu\n", "points", total.points, "tried", total.runs, "recovered", total.recovered);
    for (size_t i = 0; i < JUDGEMENTS; i++)
        printf("# %-10s %8zu\n", judgement_names[i], total.of[i]);
    return total.of[WRONG] > 0 || total.runs == 0;
}

static bool is_chosen(const struct scenario *s, char **words)
{
    auto_free char *name = scenario_name(s);
    bool chosen = !*words;
    for (; *words; words++)
        chosen = chosen || strstr(name, *words);
    return chosen;
}

int main(int argc, char **argv)
{
    struct worker workers[COUNT_OF(scenarios)];
    bool self = argc > 1 && STREQ(argv[1], "--self");
    size_t count = 0;
    if (argc == 4 && STREQ(argv[1], "--point"))
        return one_point(argv[2], argv[3]);
    for (size_t i = 0; i < COUNT_OF(scenarios); i++)
        if (is_chosen(&scenarios[i], argv + 1 + self))
            workers[count++] = (struct worker){.scenario = &scenarios[i]};
    return finish(workers, count, self);
}
