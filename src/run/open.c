// SPDX-License-Identifier: MIT
// The start of a run: its hosts are connected, the instance is found, facts are gathered. Nothing is changed.
#include "run/open.h"

#include "base/clock.h"
#include "run/cloud.h"
#include "run/ends.h"
#include "run/facts.h"
#include "run/gate.h"
#include "run/hosts.h"
#include "run/journal.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SHOWN = 80 };

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

// ---- the instance ----

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

static bool is_active(const json_t *domain)
{
    return domain && !STREQ(json_str(domain, "state", ""), "shut off") &&
           !STREQ(json_str(domain, "state", ""), "crashed");
}

// What one libvirtd says of the instance.
struct sighting {
    struct run_host *host;
    json_t *domain;
};

static enum guest_seen seen_as(const struct sighting *s)
{
    return guest_seen(json_str(s->domain, "state", ""), json_str(s->domain, "reason", ""),
                      json_flag(s->domain, "persistent", false));
}

// Two hosts have it, and on both it is active.
static int fail_two(const char *shown, const struct sighting *one, const struct sighting *other,
                    struct error *err)
{
    const char *here = run_host_name(one->host), *there = run_host_name(other->host),
               *uuid = json_str(one->domain, "uuid", ""), *other_uuid = json_str(other->domain, "uuid", "");
    bool moves = json_is_object(json_object_get(one->domain, "job")) ||
                 json_is_object(json_object_get(other->domain, "job")) || seen_as(one) == PLACE_SWITCHING ||
                 seen_as(other) == PLACE_SWITCHING;
    if (!STREQ(uuid, other_uuid))
        return error_set(
            err, ERR_REFUSED, REFUSED_OTHER,
            "two guests have the name %s, %s on %s and %s on %s: name the one you mean by its uuid", shown,
            uuid, here, other_uuid, there);
    if (moves)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "a migration of %s between %s and %s is still running: wait for its end (virsh "
                         "domjobinfo %s), or end the run that began it (migrun recover)",
                         shown, here, there, uuid);
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "%s is active on both %s and %s: find out which one is real before anything else (virsh "
                     "domstate on both)",
                     shown, here, there);
}

// Takes what another libvirtd says: a domain that runs counts before one that is only defined.
static int take_sighting(struct sighting *found, struct sighting *seen, const char *shown, struct error *err)
{
    if (!found->domain) {
        *found = *seen;
        seen->domain = NULL;
        return 0;
    }
    const char *machine = host_hostname(seen->host->agent);
    if (STREQ(host_hostname(found->host->agent), machine))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s and %s are the same machine (%s): name another host", run_host_name(found->host),
                         run_host_name(seen->host), machine);
    if (is_active(seen->domain) && is_active(found->domain))
        return fail_two(shown, found, seen, err);
    if (is_active(seen->domain)) {
        json_decref(found->domain);
        *found = *seen;
        seen->domain = NULL;
    }
    return 0;
}

static int fail_nowhere(const struct run *run, const char *wanted, const char *shown, const struct buf *asked,
                        struct error *err)
{
    auto_buf struct buf away = {0};
    const char *host;
    json_t *why;
    json_object_foreach(run->away, host, why)
        buf_printf(&away, "%s%s", away.len ? "; " : "", json_string_value(why));
    if (run->server && run->source)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "Nova says that %s (%s, %s) is on %s, but libvirtd there does not know it: find it "
                         "before anything else (virsh list --all on every host)",
                         json_str(run->server, "name", ""), wanted, json_str(run->server, "status", ""),
                         run_host_name(run->source));
    auto_free char *not_asked = away.len ? xasprintf(" (not asked: %s)", away.data) : xstrdup("");
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "no instance '%s' on %s%s; virsh list --all shows their names", shown,
                     asked->len ? asked->data : "any host", not_asked);
}

// Asks every libvirtd.
static int look_for(struct run *run, const char *wanted, const char *shown, struct sighting *found,
                    struct buf *asked, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++) {
        struct sighting seen = {.host = run->hosts[i]};
        struct error failure;
        if (!seen.host->virt || (run->source && seen.host != run->source))
            continue;
        buf_printf(asked, "%s%s", asked->len ? ", " : "", run_host_name(seen.host));
        if (virt_domain(seen.host->virt, wanted, &seen.domain, &failure) < 0) {
            if (failure.domain == ERR_LIBVIRT && failure.code == VIR_ERR_NO_DOMAIN)
                continue;
            *err = failure;
            return -1;
        }
        int rc = seen.domain ? take_sighting(found, &seen, shown, err) : 0;
        json_decref(seen.domain);
        if (rc < 0)
            return -1;
    }
    return 0;
}

static int find_instance(struct run *run, struct error *err)
{
    const char *wanted = run->server ? run_server_id(run) : run->options->arguments[0];
    auto_free char *whole = printable(wanted), *shown = strlen(whole) <= NAME_SHOWN
                                                            ? xstrdup(whole)
                                                            : xasprintf("%.*s…", NAME_SHOWN, whole);
    struct sighting found = {0};
    auto_buf struct buf asked = {0};
    if (look_for(run, wanted, shown, &found, &asked, err) < 0) {
        json_decref(found.domain);
        return -1;
    }
    if (!found.domain)
        return fail_nowhere(run, wanted, shown, &asked, err);
    run->source = found.host;
    run->instance = found.domain;
    if (run->server)
        json_object_set(run->instance, "title", json_object_get(run->server, "name"));
    return 0;
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
    run->away = json_object();
    return run_make_folder(run, err);
}

// Those that the policy takes, each once.
static int start_named(struct run *run, struct error *err)
{
    for (size_t i = run->procedure->takes_instance; i < run->options->n_arguments; i++) {
        size_t before = run->n_hosts;
        const char *name = run->options->arguments[i];
        if (run_start_host(run, name, false, NULL, err) < 0)
            return -1;
        if (run->n_hosts == before)
            return error_set(err, ERR_USAGE, 0, "host %s is named twice", name);
    }
    return 0;
}

// Under two names it would be changed twice.
static int check_machines(const struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        for (size_t k = 0; k < i; k++)
            if (STREQ(host_hostname(run->hosts[i]->agent), host_hostname(run->hosts[k]->agent)))
                return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s and %s are the same machine (%s)",
                                 run_host_name(run->hosts[k]), run_host_name(run->hosts[i]),
                                 host_hostname(run->hosts[i]->agent));
    return 0;
}

// The host that the guest is to go to, or NULL: several, or the choice of Nova's scheduler.
static const char *destination_of(const struct run *run)
{
    const struct procedure *procedure = run->procedure;
    const struct run_options *options = run->options;
    const char *last = options->n_arguments ? options->arguments[options->n_arguments - 1] : NULL;
    if (procedure->takes_instance && procedure->takes_hosts)
        return options->n_arguments == 2 && !STREQ(last, "any") ? last : NULL;
    if (!last || !procedure->takes_host ||
        (procedure->nova && procedure->takes_instance && STREQ(last, "any")))
        return NULL;
    return last;
}

// Among the arguments; "any" stands for all.
static bool is_named(const struct run *run, const struct run_host *h)
{
    for (size_t i = 1; i < run->options->n_arguments; i++)
        if (STREQ(run->options->arguments[i], "any") || STREQ(run->options->arguments[i], run_host_name(h)))
            return true;
    return false;
}

// Hosts that were only asked where the guest is: those that it might go to are kept as spares.
static void put_apart(struct run *run)
{
    for (size_t i = 0; i < run->n_hosts;)
        if (run->hosts[i] == run->source || run->hosts[i] == run->dest)
            i++;
        else if (run->surveys ? is_named(run, run->hosts[i]) : run->procedure->migrates)
            run_spare_host(run, i);
        else
            run_drop_host(run, i);
}

// The hosts that the command line and the policy ask for.
static int start_hosts(struct run *run, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    const char *dest = destination_of(run);
    struct run_host *target = NULL;
    run->surveys = procedure->takes_instance && procedure->takes_hosts && !dest;
    bool any = run->surveys && run->options->n_arguments == 2;
    if ((dest && run_start_host(run, dest, false, &target, err) < 0) ||
        (procedure->takes_hosts && !dest && !any && start_named(run, err) < 0))
        return -1;
    if (!procedure->takes_instance)
        return 0;
    run->dest = target;
    if (any && run->options->source) { // the others are asked all the same
        json_t *name;
        size_t i;
        json_array_foreach(site_host_names(run->site), i, name)
            if (run_start_host(run, json_string_value(name), false, NULL, err) < 0)
                return -1;
    }
    return procedure->nova ? run_find_server(run, err) : start_candidates(run, err);
}

int run_open(struct run *run, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    if (run_prepare(run, err) < 0)
        return -1;
    name_run(run);
    if (start_hosts(run, err) < 0)
        return -1;
    run_ask_ahead(run);
    if (run_connect(run, err) < 0)
        return -1;
    run_ask_ahead(run);
    if (procedure->takes_hosts && !procedure->takes_instance && check_machines(run, err) < 0)
        return -1;
    if (procedure->takes_instance) {
        if (find_instance(run, err) < 0)
            return -1;
        if (run->source == run->dest && procedure->migrates)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s is on %s already: name another host",
                             run_instance_name(run), run_host_name(run->dest));
        put_apart(run);
    }
    if (run->instance && virt_domain_xml(run->source->virt, json_str(run->instance, "uuid", ""), 0,
                                         &run->instance_xml, err) < 0)
        return -1;
    if (run_gather_facts(run, err) < 0 || (run->surveys && run_gather_spares(run, err) < 0))
        return -1;
    run_ask_ahead(run);
    if (run->server && run_show_server(run, err) < 0)
        return -1;
    if (run->instance)
        facts_add_process(run);
    return 0;
}

void run_close(struct run *run)
{
    for (size_t i = 0; i < run->n_effects; i++)
        effect_free(run->effects[i]);
    free(run->effects);
    run_leave_hosts(run);
    if (run->janitor >= 0)
        close(run->janitor);
    free(run->dir);
    cloud_close(run->cloud);
    json_decref(run->server);
    free(run->nova_record.seen);
    json_decref(run->nova_record.end);
    json_decref(run->instance);
    free(run->instance_xml);
    json_decref(run->saved);
    json_decref(run->overlay);
    json_decref(run->kept);
    json_decref(run->away);
    free(run->spoilt);
    free(run->unlocked);
    journal_close(run->journal);
}
