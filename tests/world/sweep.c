// SPDX-License-Identifier: MIT
// The fault sweep: each scenario (a policy in a world, and how its migration ends) is run once to count its
// points, and then once for each point and each fault there. The world afterwards must be as before, or moved
// and verified, and the verdict must say so.
//
//   sweep [--self | --main] [WORD...]  scenarios whose name holds one of the words; --self: without faults;
//                                  --main: at each point one fault, in turn: that a call fails, that its
//                                  agent dies after it, that migrun is killed before or after it; and in some
//                                  scenarios those at the agents' steps
//   sweep --random N SEED          N runs of scenarios taken at random, in which migrun, or an agent, is
//   killed
//                                  from outside at a moment taken at random; what is left is recovered
//   sweep --point SCENARIO N:KIND  one run, with what it tells and what is wrong afterwards
#include "clock.h"
#include "fake_cloud.h"
#include "fault.h"
#include "judge.h"
#include "machine.h"

#include "base/interrupt.h"
#include "base/io.h"
#include "lua/policy.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SITE "examples/site.lua"

enum { PATIENCE_S = 60, WRONG_SHOWN = 6, DIED = 137, TEXT_MOST = 64 << 20 };

enum extent { EXTENT_ALL, EXTENT_MAIN, EXTENT_SELF };

// ---- one run, in a process of its own ----

struct bench {
    char folder[64];
};

static void ending_free(struct ending *e)
{
    json_decref(e->verdict);
    free(e->warnings);
    free(e->told);
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

static void hear(void *data, const json_t *event)
{
    const int *fd = data;
    auto_free char *text = json_dumps(event, JSON_COMPACT), *line = xasprintf("%s\n", text);
    write_all(*fd, line, strlen(line));
}

// A kill from outside, at any moment.
enum { LOOK_US = 200 };

struct mischief {
    useconds_t after;
    bool agent; // one of its agents, not migrun
    unsigned int which;
};

// A child of a process: an agent, and which of them by a number. 0: it has none now.
static pid_t child_of(pid_t pid, unsigned int which)
{
    auto_free char *path = xasprintf("/proc/%d/task/%d/children", (int)pid, (int)pid), *text = NULL;
    size_t len, n = 0;
    pid_t pids[8];
    if (read_whole_file(path, TEXT_MOST, &text, &len) < 0)
        return 0;
    for (char *rest = text, *word; n < COUNT_OF(pids) && (word = strsep(&rest, " "));)
        if (*word)
            pids[n++] = (pid_t)atoi(word);
    return n ? pids[which % n] : 0;
}

static bool has_ended(pid_t pid)
{
    siginfo_t info = {0};
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == pid;
}

static void do_mischief(const struct mischief *m, pid_t pid)
{
    usleep(m->after);
    kill(pid, SIGSTOP);
    for (; fault_points()->in_world && !has_ended(pid); kill(pid, SIGSTOP)) {
        kill(pid, SIGCONT);
        usleep(LOOK_US);
    }
    pid_t victim = m->agent ? child_of(pid, m->which) : pid;
    if (victim > 0)
        kill(victim, SIGKILL);
    kill(pid, SIGCONT);
}

// What a process of its own shall do: a scenario's run, or the recovery of the run before.
struct job {
    const struct scenario *scenario;
    const struct bench *bench;
    const char *fault; // MIGRUN_FAULT
    bool log;          // its points
    bool all;          // show all that it tells
    bool recovers, undoes;
    const struct mischief *mischief;
    const char *run, *host; // which one is recovered, or all that a host keeps; NULL: what is unfinished
};

static int move(const struct job *job, const char *state, const struct listener *listener, struct error *err)
{
    const struct scenario *s = job->scenario;
    const char *const arguments[] = {s->hosts ? "compute-1" : WORLD_GUEST, s->dest ? s->dest : "compute-2"};
    auto_json json_t *params = s->params ? json_loads(s->params, 0, NULL) : json_object();
    const struct run_options options = {
        .policy = s->policy,
        .arguments = arguments,
        .n_arguments = s->stays && !s->dest && !s->hosts ? 1 : 2,
        .params = params,
        .site = SITE,
        .state = state,
        .preview = s->preview,
        .command_line = "sweep",
    };
    struct site *site = NULL;
    struct policy policy;
    int status = -1;
    if (policy_load(&policy, options.policy, options.params, err) == 0 &&
        site_load(options.site, &site, err) == 0)
        status = run_perform(&options, site, &policy.procedure, listener, err);
    policy_free(&policy);
    site_free(site);
    return status;
}

static int recover(const struct job *job, const char *state, const struct listener *listener,
                   struct error *err)
{
    struct site *site = NULL;
    auto_json json_t *names = NULL;
    int status = site_load(SITE, &site, err);
    if (status == 0 && job->undoes)
        status = journal_runs(state, &names, err);
    const char *run = names ? json_string_value(json_array_get(names, 0)) : job->run;
    const struct recover_options options = {.site = site,
                                            .policies = &lua_policies,
                                            .runs = &run,
                                            .n_runs = run != NULL,
                                            .undoes = job->undoes,
                                            .host = job->host,
                                            .state = state};
    if (status == 0)
        status = recover_runs(&options, listener, err);
    site_free(site);
    return status;
}

static void set_credentials(void)
{
    static const char *const credentials[][2] = {{"OS_AUTH_URL", "http://cloud:5000/v3"},
                                                 {"OS_USERNAME", "admin"},
                                                 {"OS_PASSWORD", CLOUD_PASSWORD},
                                                 {"OS_PROJECT_NAME", "demo"},
                                                 {"OS_REGION_NAME", "RegionOne"}};
    unsetenv("OS_CLOUD");
    for (size_t i = 0; i < COUNT_OF(credentials); i++)
        setenv(credentials[i][0], credentials[i][1], 1);
}

static _Noreturn void be_migrun(const struct job *job, int heard, int words)
{
    const struct listener listener = {.event = hear, .data = &heard};
    auto_free char *state = xasprintf("%s/state", job->bench->folder);
    struct error err = {0};
    alarm(PATIENCE_S);
    dup2(words, STDERR_FILENO);
    set_credentials();
    if (job->fault)
        setenv("MIGRUN_FAULT", job->fault, 1);
    if (job->log)
        setenv("MIGRUN_POINTS", "1", 1);
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
    fault_points_make(job->bench->folder);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0)
        be_migrun(job, heard, words);
    if (pid < 0)
        fail("fork");
    if (job->mischief)
        do_mischief(job->mischief, pid);
    if (waitpid(pid, &status, 0) < 0)
        fail("waitpid");
    while (waitpid(-1, NULL, 0) > 0) // those who clear up after it
        ;
    char *events = file_text(heard);
    status = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
    *ending = (struct ending){.killed = status == DIED || status == -SIGKILL,
                              .status = status,
                              .told = events,
                              .words = file_text(words)};
    take_events(ending, events);
    if (ending->killed && ending->verdict) { // it had said all there was to say
        ending->killed = false;
        ending->status = (int)json_int(ending->verdict, "status", -1);
    }
    if (job->all)
        printf("%s%s", events, ending->words);
}

// ---- a scenario ----

// Where a point is: migrun's own, a service of the cloud, an operation of an agent as a whole, libvirt, or a
// step within an operation, by that operation.
static const char *const rooms[] = {
    "gate",        "http",         "host",         "virt",         "step surgery", "step write",
    "step remove", "step restore", "step tidy",    "step claim",   "step unclaim", "step note",
    "step chown",  "step chmod",   "step command", "step service", "step forget",  "step, another",
};

struct count {
    size_t points, runs, recovered, of[JUDGEMENTS], by_room[COUNT_OF(rooms)], shown;
};

// What this controller knows of runs.
static void forget_runs(const struct bench *bench)
{
    auto_free char *state = xasprintf("%s/state", bench->folder), *runs = xasprintf("%s/runs", state);
    clear_folder(state);
    if ((mkdir(state, 0700) < 0 && errno != EEXIST) || mkdir(runs, 0700) < 0)
        fail(runs);
}

static void make_world(const struct scenario *s, const struct bench *bench, const char *outcome)
{
    auto_json json_t *w = scenario_world(s, outcome);
    forget_runs(bench);
    world_write(w, bench->folder);
    machines_lay_out(bench->folder, w);
}

// The world as it is once nothing moves any more, which a recovery finds then.
static json_t *settled_world(const struct bench *bench)
{
    json_t *w = world_read(bench->folder);
    world_settle(w);
    world_write(w, bench->folder);
    machines_show_guests(bench->folder, w);
    machines_tell(bench->folder, w);
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

static enum judgement run_and_judge(const struct job *job, const struct truth *known, struct ending *ending,
                                    char **why)
{
    struct truth t = *known;
    run(job, ending);
    if (ending->killed)
        return IN_DOUBT; // what moves goes on while it is recovered
    t.now = settled_world(job->bench);
    enum judgement judgement = judge(job->scenario, &t, ending, job->fault || job->mischief, why);
    json_decref(t.now);
    return judgement;
}

// What a scenario begins with; cut (NULL: nothing) is the fault that ends the run whose recovery is tried.
static void prepare(const struct scenario *s, const struct bench *bench, const char *cut)
{
    struct ending auto_ending ending = {0};
    make_world(s, bench, s->outcome);
    if (s->undoes)
        run(&(struct job){.scenario = s, .bench = bench}, &ending);
    if (cut)
        run(&(struct job){.scenario = s, .bench = bench, .fault = cut}, &ending);
}

// By another controller, which has no journal of it: from what each host keeps.
static enum judgement recover_elsewhere(const struct job *job, const struct truth *known, char **why)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    enum judgement judgement = WRONG;
    forget_runs(job->bench);
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
static enum judgement try(const struct job *job, const struct truth *known, const char *cut,
                          struct count *count, char **why)
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

// A request to the cloud: what only reads has no answer that could be lost for good; who logs in, or asks for
// versions, shows no token.
static bool fits_request(enum fault fault, const char *point)
{
    bool reads = strstr(point, " GET "), logs_in = strstr(point, "/auth/tokens"),
         versions = point[strlen(point) - 1] == '/';
    switch (fault) {
    case FAULT_AFTER:
    case FAULT_KILL_AFTER: return !reads && !logs_in;
    case FAULT_TOKEN: return !logs_in && !versions;
    default: return true;
    }
}

// Whether a fault can happen at a point: "host NAME OPERATION …", "step NAME …" (of its agent), "virt NAME
// …", "http SERVICE METHOD …", "gate …".
static bool fits(enum fault fault, const char *point)
{
    if (strncmp(point, "http ", 5) == 0)
        return fits_request(fault, point);
    bool host = strncmp(point, "host ", 5) == 0, gate = strncmp(point, "gate ", 5) == 0,
         connect = host && strstr(point, " connect");
    if (strncmp(point, "step ", 5) == 0)
        return fault == FAULT_FAIL || fault == FAULT_ERROR;
    switch (fault) {
    case FAULT_BUSY:
    case FAULT_PAGE:
    case FAULT_CUT:
    case FAULT_TOKEN: return false;
    case FAULT_ERROR: return host && !connect;
    case FAULT_AFTER: return !gate && !connect;
    case FAULT_GONE: return !gate;
    case FAULT_KILL_AFTER: return !gate;
    default: return true;
    }
}

static void add(struct count *count, enum judgement judgement, const char *fault, const char *point,
                const char *why)
{
    count->runs++;
    count->of[judgement]++;
    if (judgement == WRONG && count->shown++ < WRONG_SHOWN)
        printf("# %s (%s): %s\n", fault, point, why);
}

static bool is_main(const struct scenario *s, enum fault fault, const char *point)
{
    if (strncmp(point, "step ", 5) == 0)
        return s->steps;
    return fault == FAULT_FAIL || fault == FAULT_AFTER || fault == FAULT_KILL_BEFORE ||
           fault == FAULT_KILL_AFTER;
}

// "step NAME OPERATION: …", else the first word.
static size_t room_of(const char *point)
{
    const char *operation = strncmp(point, "step ", 5) == 0 ? strchr(point + 5, ' ') + 1 : NULL;
    size_t len = operation ? strcspn(operation, ":") : strcspn(point, " ");
    for (size_t i = 0; i < COUNT_OF(rooms); i++) {
        const char *room = rooms[i] + (operation ? 5 : 0);
        if (strncmp(rooms[i], point, operation ? 5 : len) == 0 && strlen(room) == len &&
            strncmp(room, operation ? operation : point, len) == 0)
            return i;
    }
    return COUNT_OF(rooms) - 1;
}

static void sweep_point(const struct job *plain, const struct truth *known, const char *cut,
                        const char *point, enum fault fault, struct count *count)
{
    auto_free char *text = xasprintf("%zu:%s", count->points, fault_names[fault]), *why = NULL;
    struct job job = *plain;
    job.fault = text;
    enum judgement judgement = try(&job, known, cut, count, &why);
    add(count, judgement, text, point, why);
}

// The main ones take turns, so that over the scenarios, which share most of their points, each comes to each.
static void sweep_points(const struct job *plain, const struct truth *known, const char *cut, char *points,
                         enum extent extent, struct count *count)
{
    enum fault first = plain->scenario->elsewhere ? FAULT_KILL_BEFORE : FAULT_FAIL,
               fitting[FAULT_KILL_AFTER + 1];
    size_t turn = (size_t)(plain->scenario - scenarios);
    char *rest = points;
    for (char *point; (point = strsep(&rest, "\n")) && *point;) {
        size_t n = 0;
        count->points++;
        count->by_room[room_of(point)]++;
        for (enum fault fault = first; fault <= FAULT_KILL_AFTER; fault++)
            if (fits(fault, point) && (extent != EXTENT_MAIN || is_main(plain->scenario, fault, point)))
                fitting[n++] = fault;
        if (extent == EXTENT_MAIN && n) {
            fitting[0] = fitting[turn++ % n];
            n = 1;
        }
        for (size_t i = 0; i < n; i++)
            sweep_point(plain, known, cut, point, fitting[i], count);
    }
}

// The run without a fault: how it ends, and its points, a line each.
static char *run_plainly(const struct job *plain, const struct truth *known, const char *cut,
                         struct ending *ending, enum judgement *judgement, char **why)
{
    struct job job = *plain;
    auto_free char *log = xasprintf("%s/points.log", plain->bench->folder);
    job.log = true;
    prepare(job.scenario, job.bench, cut);
    *judgement = run_and_judge(&job, known, ending, why);
    char *points;
    size_t len;
    if (read_whole_file(log, TEXT_MOST, &points, &len) < 0)
        fail(log);
    return points;
}

// The fault that kills the run at the point where its scenario cuts it.
static char *cut_of(const struct scenario *s, const struct bench *bench, const struct truth *known)
{
    struct ending auto_ending ending = {0};
    enum judgement judgement;
    auto_free char *why = NULL, *points = run_plainly(&(struct job){.scenario = s, .bench = bench}, known,
                                                      NULL, &ending, &judgement, &why);
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
    snprintf(bench->folder, sizeof bench->folder, MACHINES_BELOW "/bench-XXXXXX");
    if (!mkdtemp(bench->folder))
        fail(bench->folder);
    setenv("MIGRUN_WORLD", bench->folder, 1);
    fault_points_make(bench->folder);
    machines_make(bench->folder);
    prctl(PR_SET_CHILD_SUBREAPER, 1);
}

static void close_bench(const struct bench *bench)
{
    machines_unmake(bench->folder);
    clear_folder(bench->folder);
    rmdir(bench->folder);
}

static void begin(const struct scenario *s, struct bench *bench, struct truth *known, char **cut)
{
    open_bench(bench);
    *known = (struct truth){.before = scenario_world(s, s->outcome), .after = world_after(s, bench)};
    if (s->undoes) // the undo begins with what the run made, and ends with what there was
        *known = (struct truth){.before = known->after, .after = known->before};
    *cut = s->cut ? cut_of(s, bench, known) : NULL;
}

static void end(const struct bench *bench, const struct truth *known)
{
    close_bench(bench);
    json_decref(known->before);
    json_decref(known->after);
}

static void sweep(const struct scenario *s, enum extent extent, struct count *count)
{
    struct bench bench;
    struct truth known;
    struct ending auto_ending ending = {0};
    auto_free char *cut = NULL, *why = NULL;
    enum judgement judgement;
    begin(s, &bench, &known, &cut);
    const struct job job = {
        .scenario = s, .bench = &bench, .recovers = s->cut || s->undoes, .undoes = s->undoes};
    auto_free char *points = run_plainly(&job, &known, cut, &ending, &judgement, &why);
    if (judgement != WRONG && ending.status != s->status)
        judgement = wrong(&why, "ended with status %d, not %d: %s", ending.status, s->status,
                          json_str(ending.verdict, "line", ending.words));
    if (judgement != WRONG && s->says && !strstr(ending.told, s->says))
        judgement = wrong(&why, "does not say '%s': %s", s->says, json_str(ending.verdict, "line", ""));
    if (judgement != WRONG && s->unsaid && strstr(ending.told, s->unsaid))
        judgement = wrong(&why, "says '%s': %s", s->unsaid, json_str(ending.verdict, "line", ""));
    if (judgement != WRONG && s->status != OUTCOME_REFUSED && !s->preview &&
        judge_model(s, &known, &why) == WRONG)
        judgement = WRONG;
    add(count, judgement, "no fault", "the whole", why);
    if (extent != EXTENT_SELF)
        sweep_points(&job, &known, cut, points, extent, count);
    end(&bench, &known);
}

// Where the lab's sweep wants to have them.
static void keep_points(const struct bench *bench)
{
    const char *wanted = getenv("MIGRUN_FAULT_LOG");
    auto_free char *log = xasprintf("%s/points.log", bench->folder), *text = NULL;
    size_t len;
    if (!wanted || read_whole_file(log, TEXT_MOST, &text, &len) < 0)
        return;
    auto_fd int fd = open(wanted, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write_all(fd, text, len) < 0)
        fail(wanted);
}

static int one_point(const char *name, const char *fault)
{
    const struct scenario *s = find_scenario(name);
    if (!s) {
        fprintf(stderr, "there is no scenario '%s'\n", name);
        return 2;
    }
    struct bench bench;
    struct truth known;
    struct count count = {0};
    auto_free char *cut = NULL, *why = NULL;
    begin(s, &bench, &known, &cut);
    const struct job job = {.scenario = s,
                            .bench = &bench,
                            .fault = fault,
                            .all = true,
                            .log = true,
                            .recovers = cut || s->undoes,
                            .undoes = s->undoes};
    enum judgement judgement = try(&job, &known, cut, &count, &why);
    keep_points(&bench);
    printf("%s%s%s\n", judgement_names[judgement], why ? ": " : "", why ? why : "");
    end(&bench, &known);
    return judgement == WRONG;
}

// ---- kills at random moments ----

// How long the scenario's run takes, in microseconds.
static int64_t length_of(const struct job *plain, const char *cut)
{
    struct ending auto_ending ending = {0};
    struct timespec begun, ended;
    prepare(plain->scenario, plain->bench, cut);
    __real_clock_gettime(CLOCK_MONOTONIC, &begun); // what is slept in the fake world takes no time
    run(plain, &ending);
    __real_clock_gettime(CLOCK_MONOTONIC, &ended);
    int64_t length = (ended.tv_sec - begun.tv_sec) * 1000000 + (ended.tv_nsec - begun.tv_nsec) / 1000;
    return length > 0 ? length : 1;
}

// Runs of one scenario, each killed at some moment; what is wrong is shown with what repeats it.
static void kill_at_random(const struct scenario *s, unsigned int *seed, size_t runs, struct count *count)
{
    struct bench bench;
    struct truth known;
    auto_free char *cut = NULL;
    begin(s, &bench, &known, &cut);
    struct job job = {.scenario = s, .bench = &bench, .recovers = s->cut || s->undoes, .undoes = s->undoes};
    int64_t length = length_of(&job, cut);
    for (size_t i = 0; i < runs; i++) {
        const struct mischief mischief = {.after = (useconds_t)((int64_t)rand_r(seed) % length),
                                          .agent = rand_r(seed) % 3 == 0,
                                          .which = (unsigned int)rand_r(seed)};
        auto_free char *why = NULL, *when = xasprintf("%s killed after %u of %lld us",
                                                      mischief.agent ? "an agent" : "migrun",
                                                      (unsigned int)mischief.after, (long long)length);
        job.mischief = &mischief;
        enum judgement judgement = try(&job, &known, cut, count, &why);
        auto_free char *name = scenario_name(s);
        add(count, judgement, when, name, why);
    }
    end(&bench, &known);
}

// N kills, over all scenarios in turn.
static int random_kills(size_t kills, unsigned int seed)
{
    enum { IN_A_ROW = 10 };
    struct count total = {0};
    size_t known = 0;
    while (scenarios[known].policy)
        known++;
    printf("seed %u\n", seed);
    for (size_t done = 0; done < kills; done += IN_A_ROW)
        kill_at_random(&scenarios[(unsigned int)rand_r(&seed) % known], &seed, IN_A_ROW, &total);
    printf("killed %zu, recovered %zu", total.runs, total.recovered);
    for (size_t i = 0; i < JUDGEMENTS; i++)
        printf(", %s %zu", judgement_names[i], total.of[i]);
    printf("\n");
    return total.of[WRONG] > 0;
}

// ---- all of them, two side by side ----

struct worker {
    pid_t pid;
    int out;
    const struct scenario *scenario;
    struct count *count;
};

static void start(struct worker *w, enum extent extent)
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
        sweep(w->scenario, extent, w->count);
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
    for (size_t i = 0; i < COUNT_OF(rooms); i++)
        total->by_room[i] += c->by_room[i];
    total->recovered += c->recovered;
    printf("\n%s", text);
    fflush(stdout);
    total->points += c->points;
    total->runs += c->runs;
    total->of[WRONG] += !ok && c->of[WRONG] == 0; // it did not come to its end
}

static int finish(struct worker *workers, size_t count, enum extent extent)
{
    size_t side_by_side = (size_t)sysconf(_SC_NPROCESSORS_ONLN), started = 0;
    struct count total = {0};
    printf("1..%zu\n", count);
    for (size_t i = 0; i < count; i++) {
        for (; started < count && started < i + side_by_side; started++)
            start(&workers[started], extent);
        waitpid(workers[i].pid, NULL, 0);
        tell(&workers[i], i + 1, &total);
    }
    printf("#\n# %-10s %8zu\n# %-10s %8zu\n# %-10s %8zu\n", "points", total.points, "tried", total.runs,
           "recovered", total.recovered);
    for (size_t i = 0; i < JUDGEMENTS; i++)
        printf("# %-10s %8zu\n", judgement_names[i], total.of[i]);
    printf("#\n# points by room:\n");
    for (size_t i = 0; i < COUNT_OF(rooms); i++)
        printf("# %-14s %8zu\n", rooms[i], total.by_room[i]);
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
    static struct worker workers[256];
    enum extent extent = argc < 2                   ? EXTENT_ALL
                         : STREQ(argv[1], "--self") ? EXTENT_SELF
                         : STREQ(argv[1], "--main") ? EXTENT_MAIN
                                                    : EXTENT_ALL;
    size_t count = 0;
    machines_begin();
    if (argc == 4 && STREQ(argv[1], "--point"))
        return one_point(argv[2], argv[3]);
    if (argc == 4 && STREQ(argv[1], "--random"))
        return random_kills(strtoul(argv[2], NULL, 10), (unsigned int)strtoul(argv[3], NULL, 10));
    for (const struct scenario *s = scenarios; s->policy && count < COUNT_OF(workers); s++)
        if (is_chosen(s, argv + 1 + (extent != EXTENT_ALL)))
            workers[count++] = (struct worker){.scenario = s};
    return finish(workers, count, extent);
}
