// SPDX-License-Identifier: MIT
// The start of a run: its hosts are connected side by side, the instance is found, facts are gathered.
// Nothing is changed.
#include "base/clock.h"
#include "base/lockdown.h"
#include "base/spawn.h"
#include "base/xml.h"
#include "run/cloud.h"
#include "run/gate.h"
#include "run/journal.h"
#include "run/open.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECT_MS = 20000, LIBVIRT_MS = 20000, NAME_SHOWN = 80 };

const char *run_host_name(const struct run_host *h) { return host_name(h->agent); }

struct run_host *run_instance_host(struct run *run)
{
    return run->moved && run->dest ? run->dest : run->source;
}

static void name_run(struct run *run)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
    unsigned char random[3];
    if (getrandom(random, sizeof random, 0) != sizeof random)
        memcpy(random, &run->started, sizeof random);
    time_t now = (time_t)run->started;
    struct tm local;
    localtime_r(&now, &local);
    size_t n = strftime(run->id, sizeof run->id - 5, "%Y%m%d-%H%M%S", &local);
    snprintf(run->id + n, sizeof run->id - n, "-%c%c%c", letters[random[0] % 36], letters[random[1] % 36],
             letters[random[2] % 36]);
}

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
static int make_dir(struct run *run, struct error *err)
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

static struct run_host *find_open(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (STREQ(run_host_name(run->hosts[i]), name))
            return run->hosts[i];
    return NULL;
}

int run_start_host(struct run *run, const char *name, bool local, struct run_host **started,
                   struct error *err)
{
    struct run_host *h = find_open(run, name);
    if (!h) {
        struct host_spec *spec;
        if (site_host(run->site, name, &spec, err) < 0)
            return -1;
        spec->local = spec->local || local;
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

static void drop_host(struct run *run, size_t i)
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
        bool fresh = !find_open(run, name);
        struct run_host *h;
        if (run_start_host(run, name, true, &h, err) < 0)
            return -1;
        auto_message struct message facts = {0};
        const char *instances = json_str(host_spec(h->agent)->settings, "instances", "");
        if (fresh &&
            (host_finish(h->agent, deadline_in(CONNECT_MS), err) < 0 || host_keep_alive(h->agent, err) < 0 ||
             host_call(h->agent, "facts", json_pack("{s:s, s:[]}", "instances", instances, "units"), NULL, 0,
                       0, &facts, err) < 0)) {
            drop_host(run, run->n_hosts - 1);
            return -1;
        }
        if (fresh)
            h->facts = json_incref(json_object_get(facts.head, "result"));
        run->here = h;
    }
    *here = run->here;
    return 0;
}

// In a preview: from here on neither this process nor its agents can change anything, and the operator is
// told what is missing.
static int lock_in(struct run *run, struct error *err)
{
    struct lockdown got;
    if (lockdown_self(&got, err) < 0)
        return -1;
    const char *missing = lockdown_missing(&got);
    for (size_t i = 0; !missing && i < run->n_hosts; i++)
        missing = host_missing(run->hosts[i]->agent);
    if (missing)
        run_message(run, "warning", "%s", missing);
    return 0;
}

// Hosts that shall be asked where the instance is, in the order of the site file.
static int start_candidates(struct run *run, struct error *err)
{
    if (run->options->source)
        return run_start_host(run, run->options->source, false, &run->source, err);
    json_t *names = site_host_names(run->site), *name;
    size_t i;
    if (!json_array_size(names))
        return error_set(err, ERR_USAGE, 0,
                         "where does %s run? Name its host with --source, or list the hosts in the site file "
                         "(hosts = { … })",
                         run->options->arguments[0]);
    json_array_foreach(names, i, name)
        if (run_start_host(run, json_string_value(name), false, NULL, err) < 0)
            return -1;
    return 0;
}

static bool is_wanted(const struct run *run, const struct run_host *h)
{
    return run->recovers || h == run->dest || h == run->source ||
           (!run->procedure->takes_instance && h == run->hosts[0]);
}

// A host that was only to be asked for the instance may be away: it is dropped, and remembered. Else the
// failure is the run's.
static bool do_without(struct run *run, size_t i, const struct error *failure, struct buf *away,
                       struct error *err)
{
    if (is_wanted(run, run->hosts[i]) || failure->domain == ERR_INTERRUPTED) {
        *err = *failure;
        return false;
    }
    buf_printf(away, "%s%s", away->len ? "; " : "", failure->message);
    host_end_login(run->hosts[i]->agent);
    drop_host(run, i);
    return true;
}

static int finish_agents(struct run *run, struct buf *away, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (host_check_login(run->hosts[i]->agent, err) < 0)
            return -1;
    int64_t deadline = deadline_in(CONNECT_MS);
    for (size_t i = 0; i < run->n_hosts;) {
        struct run_host *h = run->hosts[i];
        struct error failure;
        if (host_finish(h->agent, deadline, &failure) < 0) {
            if (!do_without(run, i, &failure, away, err))
                return -1;
            continue;
        }
        if (host_connect_libvirt(h->agent, err) < 0)
            return -1;
        i++;
    }
    return 0;
}

static json_t *facts_request(const struct run_host *h)
{
    const json_t *settings = host_spec(h->agent)->settings;
    json_t *units = json_array();
    const char *name;
    json_t *service;
    json_object_foreach(json_object_get(settings, "services"), name, service) {
        const char *unit = json_is_string(service) ? json_string_value(service)
                                                   : json_str(service, "unit", NULL);
        if (unit)
            json_array_append_new(units, json_string(unit));
    }
    return json_pack("{s:s, s:o}", "instances", json_str(settings, "instances", ""), "units", units);
}

static int ask_facts(struct run_host *h, struct error *err)
{
    h->asked = wall_time();
    return host_send(h->agent, "facts", facts_request(h), NULL, 0, err);
}

// The agent's. Its clock told its time somewhere between two times of ours.
static int take_facts(struct run_host *h, struct error *err)
{
    auto_message struct message answer = {0};
    if (h->facts)
        return 0;
    if (host_receive(h->agent, 0, &answer, err) < 0)
        return -1;
    h->facts = json_incref(json_object_get(answer.head, "result"));
    json_object_set_new(h->facts, "clock",
                        json_pack("{s:f, s:f}", "asked", h->asked, "answered", wall_time()));
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
    if (err->domain != ERR_LIBVIRT ||
        run_service_state(h, unit, json_object_get(service, "state"), &state, NULL) < 0)
        return;
    if (STREQ(state, "active"))
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

static int finish_libvirt(struct run *run, struct buf *away, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct run_host *h = run->hosts[i];
        struct error failure, lost;
        if (virt_finish(h->virt, LIBVIRT_MS, &failure) == 0)
            continue;
        if (take_facts(h, &lost) < 0) { // they come first
            if (!do_without(run, i--, &lost, away, err))
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
        buf_printf(away, "%s%s", away->len ? "; " : "", failure.message);
    }
    return 0;
}

// ---- the instance ----

static bool is_active(const json_t *domain)
{
    return domain && !STREQ(json_str(domain, "state", ""), "shut off") &&
           !STREQ(json_str(domain, "state", ""), "crashed");
}

// Asks every libvirtd; a domain that runs counts before one that is only defined.
static int find_instance(struct run *run, const struct buf *away, struct error *err)
{
    const char *wanted = run->server ? run_server_id(run) : run->options->arguments[0];
    auto_free char *whole = printable(wanted), *shown = strlen(whole) <= NAME_SHOWN
                                                            ? xstrdup(whole)
                                                            : xasprintf("%.*s…", NAME_SHOWN, whole);
    struct run_host *at = NULL;
    auto_json json_t *found = NULL;
    auto_buf struct buf asked = {0};
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct run_host *h = run->hosts[i];
        if (!h->virt || (run->source && h != run->source))
            continue;
        auto_json json_t *domain = NULL;
        struct error failure;
        buf_printf(&asked, "%s%s", asked.len ? ", " : "", run_host_name(h));
        if (virt_domain(h->virt, wanted, &domain, &failure) < 0) {
            if (failure.domain == ERR_LIBVIRT && failure.code == VIR_ERR_NO_DOMAIN)
                continue;
            *err = failure;
            return -1;
        }
        if (domain && found && STREQ(host_hostname(at->agent), host_hostname(h->agent)))
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "%s and %s are the same machine (%s): name another host", run_host_name(at),
                             run_host_name(h), host_hostname(h->agent));
        if (is_active(domain) && is_active(found))
            return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                             "%s is active on both %s and %s: find out which is the true one before anything "
                             "else (virsh domstate on both)",
                             shown, run_host_name(at), run_host_name(h));
        if (!found || (is_active(domain) && !is_active(found))) {
            json_decref(found);
            found = steal(&domain);
            at = h;
        }
    }
    if (!found && run->server && run->source)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "Nova says that %s (%s, %s) is on %s, but libvirtd there does not know it: find it "
                         "before anything else (virsh list --all on "
                         "every host)",
                         json_str(run->server, "name", ""), wanted, json_str(run->server, "status", ""),
                         run_host_name(run->source));
    if (!found) {
        auto_free char *not_asked = away->len ? xasprintf(" (not asked: %s)", away->data) : xstrdup("");
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "no instance '%s' on %s%s; virsh list --all shows their names", shown,
                         asked.len ? asked.data : "any host", not_asked);
    }
    run->source = at;
    run->instance = steal(&found);
    if (run->server)
        json_object_set(run->instance, "title", json_object_get(run->server, "name"));
    return 0;
}

// ---- facts ----

// Whatever of the guest's files and devices QEMU would open on the other host too.
static json_t *guest_paths(const struct run *run)
{
    static const char everything[] = "devices/disk//source/@file | devices/disk//source/@dev | "
                                     "devices/disk/source/@dir | os/kernel | os/initrd | "
                                     "os/dtb | os/loader | os/nvram | os/nvram/source/@file";
    json_t *paths = json_array();
    struct xml *doc = NULL;
    char **values = NULL;
    size_t count = 0;
    if (run->instance_xml && xml_parse(run->instance_xml, strlen(run->instance_xml), &doc, NULL) == 0)
        xml_values(doc, everything, &values, &count, NULL);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(paths, json_text(values[i]));
    strv_free(values);
    xml_free(doc);
    return paths;
}

static int ask_storage(const struct run *run, struct run_host *h, struct error *err)
{
    return host_send(h->agent, "storage", json_pack("{s:o}", "paths", guest_paths(run)), NULL, 0, err);
}

static int take_storage(struct run_host *h, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_receive(h->agent, 0, &answer, err) < 0)
        return -1;
    json_object_set(h->facts, "storage", json_object_get(json_object_get(answer.head, "result"), "paths"));
    return 0;
}

static int take_libvirt_facts(struct run_host *h, struct error *err)
{
    json_t *libvirt = NULL;
    if (h->virt && virt_facts_finish(h->virt, LIBVIRT_MS, &libvirt, err) < 0)
        return -1;
    if (!libvirt)
        libvirt = json_pack("{s:s}", "error", h->libvirt_error ? h->libvirt_error : "not asked");
    json_object_update_missing(libvirt, json_object_get(h->facts, "libvirt"));
    json_object_set_new(h->facts, "libvirt", libvirt);
    return 0;
}

int run_gather_facts(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (run->hosts[i]->virt && virt_facts_start(run->hosts[i]->virt, err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (take_facts(run->hosts[i], err) < 0 || ask_storage(run, run->hosts[i], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (take_storage(run->hosts[i], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (take_libvirt_facts(run->hosts[i], err) < 0)
            return -1;
    return 0;
}

// What the host knows of the guest's QEMU: its pid, user, and the files it holds open.
static void add_process(struct run *run)
{
    size_t i;
    json_t *guest;
    json_array_foreach(json_object_get(run->source->facts, "guests"), i, guest)
        if (STREQ(json_str(guest, "uuid", ""), json_str(run->instance, "uuid", "-")))
            json_object_update_missing(run->instance, guest);
}

// ---- the whole ----

int run_prepare(struct run *run, struct error *err)
{
    run->started = wall_time();
    run->downtime = -1;
    run->janitor = -1;
    run->saved = json_object();
    run->overlay = json_object();
    run->kept = json_array();
    return make_dir(run, err);
}

// The agents gather their hosts' facts meanwhile, and while the instance is looked for.
int run_connect(struct run *run, struct buf *away, struct error *err)
{
    if (finish_agents(run, away, err) < 0 || (run->options->preview && lock_in(run, err) < 0))
        return -1;
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct error failure;
        if (host_keep_alive(run->hosts[i]->agent, err) < 0)
            return -1;
        if (ask_facts(run->hosts[i], &failure) < 0 && !do_without(run, i--, &failure, away, err))
            return -1;
    }
    if (start_libvirt(run, err) < 0)
        return -1;
    return finish_libvirt(run, away, err);
}

static int join(struct run *run, struct run_host *h, struct error *err)
{
    if (host_finish(h->agent, deadline_in(CONNECT_MS), err) < 0 || host_connect_libvirt(h->agent, err) < 0 ||
        host_keep_alive(h->agent, err) < 0)
        return -1;
    auto_free char *uri = host_libvirt_uri(h->agent, false);
    if (virt_start(uri, false, run_host_name(h), &h->virt, err) < 0 ||
        virt_finish(h->virt, LIBVIRT_MS, err) < 0 || virt_facts_start(h->virt, err) < 0)
        return -1;
    if (ask_facts(h, err) < 0 || take_facts(h, err) < 0 || ask_storage(run, h, err) < 0 ||
        take_storage(h, err) < 0 || take_libvirt_facts(h, err) < 0)
        return -1;
    return run->claimed && run_claim(run, run->exclusive, err) < 0 ? -1 : 0;
}

int run_join_host(struct run *run, const char *name, struct run_host **joined, struct error *err)
{
    *joined = find_open(run, name);
    if (*joined)
        return 0;
    if (run_start_host(run, name, false, joined, err) < 0)
        return -1;
    if (join(run, *joined, err) == 0)
        return 0;
    host_end_login((*joined)->agent);
    drop_host(run, run->n_hosts - 1);
    *joined = NULL;
    return -1;
}

int run_open(struct run *run, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    const struct run_options *options = run->options;
    const char *dest = procedure->takes_host ? options->arguments[options->n_arguments - 1] : NULL;
    bool asks_nova = procedure->nova && procedure->takes_instance;
    if (asks_nova && dest && STREQ(dest, "any"))
        dest = NULL; // the scheduler's choice
    auto_buf struct buf away = {0};
    struct run_host *target = NULL;
    if (run_prepare(run, err) < 0)
        return -1;
    name_run(run);
    if (dest && run_start_host(run, dest, false, &target, err) < 0)
        return -1;
    if (procedure->takes_instance) {
        run->dest = target;
        if ((asks_nova ? run_find_server(run, err) : start_candidates(run, err)) < 0)
            return -1;
    }
    if (run_connect(run, &away, err) < 0)
        return -1;
    if (procedure->takes_instance) {
        if (find_instance(run, &away, err) < 0)
            return -1;
        if (run->source == run->dest && procedure->migrates)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s is on %s already: name another host",
                             run_instance_name(run), run_host_name(run->dest));
        for (size_t i = run->n_hosts; i-- > 0;)
            if (run->hosts[i] != run->source && run->hosts[i] != run->dest)
                drop_host(run, i);
    }
    if (run->instance && virt_domain_xml(run->source->virt, json_str(run->instance, "uuid", ""), 0,
                                         &run->instance_xml, err) < 0)
        return -1;
    if (run_gather_facts(run, err) < 0)
        return -1;
    if (run->instance)
        add_process(run);
    return 0;
}

void run_close(struct run *run)
{
    for (size_t i = 0; i < run->n_effects; i++)
        effect_free(run->effects[i]);
    free(run->effects);
    // Side by side: ssh ends when both the agent and what it forwards have.
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
    if (run->janitor >= 0)
        close(run->janitor);
    free(run->dir);
    cloud_close(run->cloud);
    json_decref(run->server);
    free(run->nova_record.seen);
    json_decref(run->instance);
    free(run->instance_xml);
    json_decref(run->saved);
    json_decref(run->overlay);
    json_decref(run->kept);
    free(run->spoilt);
    journal_close(run->journal);
}
