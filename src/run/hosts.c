// SPDX-License-Identifier: MIT
// The hosts of a run: their agents and libvirtds, connected side by side; hosts that come later, and
// connections that are lost.
#include "run/hosts.h"

#include "base/clock.h"
#include "base/lockdown.h"
#include "base/spawn.h"
#include "run/facts.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

enum { CONNECT_MS = 20000, LIBVIRT_MS = 20000, SOON_MS = 1000, PING_MS = 20000, TRY_MS = 15000 };

// ---- the private folder, and who removes it ----

static _Noreturn void clear_after(int alive, const char *dir)
{
    char byte;
    prctl(PR_SET_NAME, "migrun-janitor"); // so that who looks for migrun finds migrun
    while (read(alive, &byte, 1) < 0 && errno == EINTR)
        ;
    DIR *folder = opendir(dir);
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        unlinkat(dirfd(folder), entry->d_name, 0);
    if (folder)
        closedir(folder);
    rmdir(dir);
    _exit(0);
}

// A child that outlives this process, however it ends, removes the folder: a preview could not, as it locks
// itself in.
int run_make_folder(struct run *run, struct error *err)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    run->dir = xasprintf("%s/migrun-XXXXXX", geteuid() == 0               ? "/run"
                                             : runtime && *runtime == '/' ? runtime
                                                                          : "/tmp");
    int alive[2];
    if (!mkdtemp(run->dir) || pipe2(alive, O_CLOEXEC) < 0)
        return error_errno(err, errno, "cannot make the private folder %s", run->dir);
    pid_t pid = spawn(
        &(struct spawn){.in = alive[0], .out = -1, .err = -1, .session = true, .detached = true});
    if (pid < 0)
        return error_errno(err, errno, "cannot start a process");
    if (pid == 0)
        clear_after(STDIN_FILENO, run->dir);
    close(alive[0]);
    run->janitor = alive[1];
    return 0;
}

// ---- hosts ----

static void close_host(struct run_host *h)
{
    if (!h)
        return;
    virt_close(h->virt);
    host_close(h->agent);
    json_decref(h->facts);
    free(h->libvirt_error);
    free(h->nova_name);
    free(h);
}

struct run_host *run_find_host(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (STREQ(run_host_name(run->hosts[i]), name))
            return run->hosts[i];
    return NULL;
}

static bool is_listed(const struct site *site, const char *name)
{
    size_t i;
    json_t *listed;
    json_array_foreach(site_host_names(site), i, listed)
        if (STREQ(json_string_value(listed), name))
            return true;
    return false;
}

int run_start_host(struct run *run, const char *name, bool local, struct run_host **started,
                   struct error *err)
{
    struct run_host *h = run_find_host(run, name);
    if (!h) {
        struct host_spec *spec;
        if (site_host(run->site, name, &spec, err) < 0)
            return -1;
        spec->local = spec->local || local;
        if (spec->local && !is_listed(run->site, name))
            free(steal(&spec->become)); // only run.here: what a user may do here needs no root
        struct host *agent;
        int rc = host_start(spec, run->dir, run->options->preview, &agent, err);
        host_spec_free(spec);
        if (rc < 0)
            return -1;
        h = xcalloc(1, sizeof *h);
        h->run = run;
        h->agent = agent;
        run->hosts = xrealloc(run->hosts, (run->n_hosts + 1) * sizeof(struct run_host *));
        run->hosts[run->n_hosts++] = h;
    }
    if (started)
        *started = h;
    return 0;
}

void run_spare_host(struct run *run, size_t i)
{
    run->spares = xrealloc(run->spares, (run->n_spares + 1) * sizeof(struct run_host *));
    run->spares[run->n_spares++] = run->hosts[i];
    memmove(run->hosts + i, run->hosts + i + 1, (run->n_hosts - i - 1) * sizeof(struct run_host *));
    run->n_hosts--;
}

void run_drop_spare(struct run *run, size_t i)
{
    close_host(run->spares[i]);
    memmove(run->spares + i, run->spares + i + 1, (run->n_spares - i - 1) * sizeof(struct run_host *));
    run->n_spares--;
}

void run_drop_spares(struct run *run)
{
    for (size_t i = 0; i < run->n_spares; i++) {
        virt_close(steal(&run->spares[i]->virt));
        host_leave(run->spares[i]->agent);
    }
    while (run->n_spares)
        run_drop_spare(run, run->n_spares - 1);
    free(steal(&run->spares));
}

void run_drop_host(struct run *run, size_t i)
{
    close_host(run->hosts[i]);
    memmove(run->hosts + i, run->hosts + i + 1, (run->n_hosts - i - 1) * sizeof(struct run_host *));
    run->n_hosts--;
}

int run_here(struct run *run, struct run_host **here, struct error *err)
{
    if (!run->here) {
        char name[256] = "localhost";
        gethostname(name, sizeof name - 1);
        bool fresh = !run_find_host(run, name);
        struct run_host *h;
        if (run_start_host(run, name, true, &h, err) < 0)
            return -1;
        auto_message struct message facts = {0};
        const char *instances = json_str(host_spec(h->agent)->settings, "instances", "");
        if (fresh &&
            (host_finish(h->agent, deadline_in(CONNECT_MS), err) < 0 || host_keep_alive(h->agent, err) < 0 ||
             host_call(h->agent, "facts", json_pack("{s:s, s:[]}", "instances", instances, "units"), NULL, 0,
                       0, &facts, err) < 0)) {
            run_drop_host(run, run->n_hosts - 1);
            return -1;
        }
        h->apart = fresh;
        if (fresh)
            h->facts = json_incref(json_object_get(facts.head, "result"));
        run->here = h;
    }
    *here = run->here;
    return 0;
}

// In a preview: from here on neither this process nor its agents can change anything, or the operator has
// accepted that they could.
static int lock_in(struct run *run, struct error *err)
{
    struct error failure;
    bool locked = lockdown_self(&failure) == 0;
    const char *missing = locked ? NULL : failure.message, *where = "here";
    for (size_t i = 0; !missing && i < run->n_hosts; i++) {
        missing = host_missing(run->hosts[i]->agent);
        where = run_host_name(run->hosts[i]);
    }
    if (!missing)
        return 0;
    if (run->options->unlocked) {
        run_not_enforced(run, "%s: %s", where, missing);
        return 0;
    }
    return error_set(
        err, ERR_REFUSED, REFUSED_OTHER,
        "that a preview changes nothing cannot be enforced (%s: %s); --unlocked previews all the same", where,
        missing);
}

// ---- connecting ----

static bool is_wanted(const struct run *run, const struct run_host *h)
{
    return run->recovers || h == run->dest || h == run->source ||
           (!run->procedure->takes_instance && (run->procedure->takes_hosts || h == run->hosts[0]));
}

// A host that was only to be asked for the instance may be away: it is dropped, and remembered. Else the
// failure is the run's.
static bool do_without(struct run *run, size_t i, const struct error *failure, struct error *err)
{
    if (is_wanted(run, run->hosts[i]) || failure->domain == ERR_INTERRUPTED) {
        *err = *failure;
        return false;
    }
    json_object_set_new(run->away, run_host_name(run->hosts[i]), json_text(failure->message));
    host_end_login(run->hosts[i]->agent);
    run_drop_host(run, i);
    return true;
}

// A name that is not in the site file is probably one that is.
static void add_nearest(const struct run *run, const struct run_host *h, struct error *failure)
{
    enum { LOOKED_AT = 256 };
    const json_t *names = site_host_names(run->site);
    const char *known[LOOKED_AT], *name = run_host_name(h);
    size_t n = 0;
    for (; n < json_array_size(names) && n < LOOKED_AT; n++)
        known[n] = json_string_value(json_array_get(names, n));
    const char *near = failure->code == HOST_UNREACHED && !is_listed(run->site, name)
                           ? nearest_name(name, known, n)
                           : NULL;
    auto_free char *said = xstrdup(failure->message);
    if (near)
        error_set(failure, ERR_HOST, HOST_UNREACHED, "%s; did you mean %s?", said, near);
}

// What is wrong with the other hosts that the run cannot do without is told with the first failure.
static int fail_with_others(const struct run *run, size_t failed, int64_t deadline, struct error *err)
{
    add_nearest(run, run->hosts[failed], err);
    for (size_t i = failed + 1; i < run->n_hosts && err->domain == ERR_HOST; i++) {
        struct error other;
        auto_free char *said = xstrdup(err->message);
        if (!is_wanted(run, run->hosts[i]) || host_finish(run->hosts[i]->agent, deadline, &other) == 0)
            continue;
        add_nearest(run, run->hosts[i], &other);
        error_set(err, ERR_HOST, err->code, "%s; %s", said, other.message);
    }
    return -1;
}

static int finish_agents(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (host_check_login(run->hosts[i]->agent, err) < 0)
            return -1;
    int64_t deadline = deadline_in(CONNECT_MS);
    for (size_t i = 0; i < run->n_hosts;) {
        struct run_host *h = run->hosts[i];
        struct error failure;
        if (host_finish(h->agent, deadline, &failure) < 0) {
            if (!do_without(run, i, &failure, err))
                return fail_with_others(run, i, deadline, err);
            continue;
        }
        if (host_connect_libvirt(h->agent, err) < 0)
            return -1;
        i++;
    }
    return 0;
}

// libvirt's own message tells only that a socket broke; whether the daemon runs is what the operator needs to
// know.
static void explain_libvirt(struct run_host *h, struct error *err)
{
    auto_free char *state = NULL, *said = xstrdup(err->message);
    const json_t *service = json_object_get(json_object_get(host_spec(h->agent)->settings, "services"),
                                            "libvirtd");
    const char *unit = json_str(service, "unit", "libvirtd");
    if (err->domain != ERR_LIBVIRT || run_service_state(h, unit, service, &state, NULL) < 0)
        return;
    if (STREQ(state, "active") && !host_is_root(h->agent))
        error_set(
            err, ERR_LIBVIRT, err->code,
            "libvirtd on %s does not let this user in: %s (become = \"sudo\" in the site file's ssh makes "
            "migrun root there)",
            run_host_name(h), said);
    else if (STREQ(state, "active"))
        error_set(err, ERR_LIBVIRT, err->code,
                  "libvirtd on %s does not answer, though its service is active: %s", run_host_name(h), said);
    else
        error_set(err, ERR_LIBVIRT, err->code,
                  "libvirtd on %s does not answer: its service %s is %s (systemctl start %s there)",
                  run_host_name(h), unit, state, unit);
}

static int start_libvirt(struct run *run, struct error *err)
{
    bool preview = run->options->preview;
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct run_host *h = run->hosts[i];
        auto_free char *uri = host_libvirt_uri(h->agent, preview), *full = host_libvirt_uri(h->agent, false);
        if (virt_start(uri, preview, run_host_name(h), &h->virt, err) < 0)
            return -1;
        virt_set_full_uri(h->virt, full);
    }
    return 0;
}

static int finish_libvirt(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct run_host *h = run->hosts[i];
        struct error failure, lost;
        if (virt_finish(h->virt, LIBVIRT_MS, &failure) == 0)
            continue;
        if (facts_take(h, &lost) < 0) { // they come first
            if (!do_without(run, i--, &lost, err))
                return -1;
            continue;
        }
        explain_libvirt(h, &failure);
        if (failure.domain == ERR_INTERRUPTED ||
            (!run->recovers && run->procedure->takes_instance && is_wanted(run, h))) {
            *err = failure;
            return -1;
        }
        virt_close(h->virt);
        h->virt = NULL;
        h->libvirt_error = xstrdup(failure.message);
        host_end_login(h->agent);
        json_object_set_new(run->away, run_host_name(h), json_text(failure.message));
    }
    return 0;
}

// The agents gather their hosts' facts meanwhile, and while the instance is looked for.
int run_connect(struct run *run, struct error *err)
{
    if (finish_agents(run, err) < 0 || (run->options->preview && lock_in(run, err) < 0))
        return -1;
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct error failure;
        if (host_keep_alive(run->hosts[i]->agent, err) < 0)
            return -1;
        if (facts_ask(run->hosts[i], &failure) < 0 && !do_without(run, i--, &failure, err))
            return -1;
    }
    if (start_libvirt(run, err) < 0)
        return -1;
    return finish_libvirt(run, err);
}

static int join(struct run_host *h, struct error *err)
{
    if (host_finish(h->agent, deadline_in(CONNECT_MS), err) < 0 || host_connect_libvirt(h->agent, err) < 0 ||
        host_keep_alive(h->agent, err) < 0)
        return -1;
    auto_free char *uri = host_libvirt_uri(h->agent, false);
    if (virt_start(uri, false, run_host_name(h), &h->virt, err) < 0 ||
        virt_finish(h->virt, LIBVIRT_MS, err) < 0 || virt_facts_start(h->virt, err) < 0)
        return -1;
    return facts_of_one(h, err);
}

int run_join_host(struct run *run, const char *name, struct run_host **joined, struct error *err)
{
    *joined = run_find_host(run, name);
    if (*joined)
        return 0;
    if (run_start_host(run, name, false, joined, err) < 0)
        return -1;
    if (join(*joined, err) == 0)
        return 0;
    host_end_login((*joined)->agent);
    run_drop_host(run, run->n_hosts - 1);
    *joined = NULL;
    return -1;
}

int run_meet(struct run *run, const json_t *hosts, json_t *away, struct error *err)
{
    const char *name;
    json_t *unused;
    struct error failure;
    size_t before = run->n_hosts;
    json_object_foreach((json_t *)(uintptr_t)hosts, name, unused)
        if (run_start_host(run, name, false, NULL, &failure) < 0)
            json_object_set_new(away, name, json_text(failure.message));
    for (size_t i = before; i < run->n_hosts; i++)
        if (host_check_login(run->hosts[i]->agent, err) < 0)
            return -1;
    int64_t deadline = deadline_in(CONNECT_MS);
    for (size_t i = before; i < run->n_hosts; i++) {
        struct host *agent = run->hosts[i]->agent;
        // The others would take a long silence for the end of this process.
        if (host_finish(agent, deadline, &failure) == 0 && host_keep_alive(agent, &failure) == 0)
            continue;
        if (failure.domain == ERR_INTERRUPTED)
            return error_set(err, ERR_INTERRUPTED, 0, "%s", failure.message);
        json_object_set_new(away, host_name(agent), json_text(failure.message));
        host_end_login(agent);
        run_drop_host(run, i--);
    }
    return 0;
}

// Side by side: ssh ends when both the agent and what it forwards have.
void run_leave_hosts(struct run *run)
{
    run_drop_spares(run);
    // After a failure somebody mends something, and ssh may have to log in anew to see it (a group, a key).
    for (size_t i = 0; i < run->n_hosts; i++) {
        if (!run->went_well)
            host_end_login(run->hosts[i]->agent);
        virt_close(steal(&run->hosts[i]->virt));
        host_leave(run->hosts[i]->agent);
    }
    for (size_t i = 0; i < run->n_hosts; i++)
        close_host(run->hosts[i]);
    free(run->hosts);
}

// ---- connections that were lost ----

// A connection to libvirt that was given up is replaced by another, once its host answers again.
static void reopen_libvirt(struct run_host *h)
{
    struct virt *fresh;
    if (!h->virt || !virt_given_up(h->virt))
        return;
    auto_free char *uri = host_libvirt_uri(h->agent, false);
    if (virt_start(uri, false, run_host_name(h), &fresh, NULL) < 0)
        return;
    if (virt_finish(fresh, TRY_MS, NULL) < 0) {
        virt_close(fresh);
        return;
    }
    virt_set_full_uri(fresh, uri);
    virt_close(h->virt);
    h->virt = fresh;
}

// Whether it answers. It serves one request after the other: what it is busy with is waited for, and that is
// said. Longer than ssh waits for a silent network: whoever does not answer then is lost.
static bool answers(struct run *run, struct run_host *h)
{
    auto_message struct message pong = {0};
    struct error err = {0};
    if (host_call(h->agent, "ping", NULL, NULL, 0, SOON_MS, &pong, &err) == 0)
        return true;
    if (err.domain != ERR_TIMEOUT)
        return false;
    run_message(run, "info", "Waiting for %s, which is busy or away", run_host_name(h));
    return host_call(h->agent, "ping", NULL, NULL, 0, PING_MS, &pong, &err) == 0;
}

void run_reconnect(struct run *run)
{
    if (run->options->preview)
        return;
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct run_host *h = run->hosts[i];
        struct error err = {0};
        if (answers(run, h)) {
            reopen_libvirt(h);
            continue;
        }
        if (!run->told_lost)
            run_message(run, "info", "The connection to %s is lost: trying to get it back", run_host_name(h));
        run->told_lost = true;
        if (host_revive(h->agent, deadline_in(TRY_MS), &err) < 0)
            continue;
        run_message(run, "info", "Connected to %s again", run_host_name(h));
        reopen_libvirt(h);
    }
}
