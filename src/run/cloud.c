// SPDX-License-Identifier: MIT
#include "run/cloud.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "run/journal.h"
#include "run/hosts.h"

#include <stdlib.h>
#include <string.h>

enum {
    POLL_MS = 300,
    CONNECT_MS = 45000,
    BEGIN_MS = 30000,
    STUCK_MS = 300000,
    QUIET_MS = 5000,
    STOP_MS = 50000,
    AHEAD_MS = 5000 // facts of hosts are as old when checks use them
};

int run_cloud(struct run *run, struct cloud **cloud, struct error *err)
{
    if (!run->cloud) {
        if (cloud_open(&run->cloud, err) < 0)
            return -1;
        if (cloud_warning(run->cloud))
            run_message(run, "warning", "%s", cloud_warning(run->cloud));
    }
    *cloud = run->cloud;
    return 0;
}

// ---- names ----

// One has the other's name as its first part: "compute-1" and "compute-1.example.org".
static bool same_host(const char *one, const char *other)
{
    size_t len = strcspn(one, "."), n = strcspn(other, ".");
    return STREQ(one, other) || (len == n && memcmp(one, other, len) == 0 && (!one[len] || !other[n]));
}

const char *site_name_of(const struct site *site, const char *nova_name)
{
    size_t i;
    json_t *name;
    const char *found = NULL;
    json_array_foreach(site_host_names(site), i, name) {
        if (STREQ(json_string_value(name), nova_name))
            return nova_name;
        if (!found && same_host(json_string_value(name), nova_name))
            found = json_string_value(name);
    }
    return found ? found : nova_name;
}

static void set_nova_name(struct run_host *h, const char *name)
{
    free(h->nova_name);
    h->nova_name = xstrdup(name);
}

// Nova's name of the destination, by its compute services: of the host of that name, or of all.
static void find_dest(const char *wanted, const json_t *services, char **found, struct buf *others)
{
    size_t i;
    json_t *service;
    json_array_foreach((json_t *)(uintptr_t)services, i, service) {
        const char *host = json_str(service, "host", "");
        if (!STREQ(json_str(service, "binary", ""), "nova-compute"))
            continue;
        if (STREQ(host, wanted) || (!*found && same_host(host, wanted))) {
            free(*found);
            *found = xstrdup(host);
        }
        buf_printf(others, "%s%s", others->len ? ", " : "", host);
    }
}

// Asks ahead for a host's services, or takes the answer where it has come; a check takes it again.
static bool services_ahead(struct run *run, const char *host, json_t **services)
{
    if (run->options->preview || !host) // a preview locks its own thread in, before there is another
        return false;
    cloud_ahead_begin(run->cloud, AHEAD_MS);
    bool have = nova_services(run->cloud, host, services, NULL) == 0;
    cloud_ahead_end(run->cloud);
    return have;
}

static int name_dest(struct run *run, struct cloud *cloud, struct error *err)
{
    auto_buf struct buf others = {0};
    auto_free char *found = NULL;
    const char *wanted = run_host_name(run->dest), *const asked[] = {wanted, NULL};
    for (size_t i = 0; i < COUNT_OF(asked) && !found; i++) {
        auto_json json_t *services = NULL;
        if (!services_ahead(run, asked[i], &services) && nova_services(cloud, asked[i], &services, err) < 0) {
            if (err->domain != ERR_OPENSTACK || err->code != 403)
                return -1;
            return 0; // a plain user is not told; Nova itself will say
        }
        buf_free(&others);
        others = (struct buf){0};
        find_dest(wanted, services, &found, &others);
    }
    if (!found)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "Nova of cloud '%s' has no nova-compute on %s; it has them on %s", cloud_name(cloud),
                         wanted, others.len ? others.data : "no host");
    set_nova_name(run->dest, found);
    return 0;
}

int run_find_server(struct run *run, struct error *err)
{
    struct cloud *cloud;
    const char *wanted = run->options->arguments[0];
    int newest;
    if (run_cloud(run, &cloud, err) < 0 || cloud_newest(cloud, "compute", &newest, err) < 0)
        return -1;
    if (run->dest) {
        auto_json json_t *services = NULL;
        services_ahead(run, run_host_name(run->dest), &services);
    }
    if (nova_find_listed(cloud, wanted, &run->server, err) < 0 ||
        (run->dest && name_dest(run, cloud, err) < 0))
        return -1;
    const char *host = json_str(run->server, "host", NULL), *status = json_str(run->server, "status", "?");
    if (!host)
        return error_set(err, ERR_OPENSTACK, 403,
                         "Nova does not tell these credentials where %s runs: live migration is for "
                         "administrators (cloud '%s')",
                         json_str(run->server, "name", ""), cloud_name(cloud));
    if (!*host)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s is on no host (status %s): only what runs is migrated live",
                         json_str(run->server, "name", ""), status);
    if (run_start_host(run, site_name_of(run->site, host), false, &run->source, err) < 0)
        return -1;
    set_nova_name(run->source, host);
    if (run->options->source && !STREQ(run->options->source, run_host_name(run->source)))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "Nova says that %s is on %s, not on %s (--source)",
                         json_str(run->server, "name", ""), host, run->options->source);
    return 0;
}

int run_show_server(struct run *run, struct error *err)
{
    auto_json json_t *server = NULL;
    if (nova_server(run->cloud, run_server_id(run), &server, err) < 0)
        return -1;
    const char *host = json_str(server, "host", ""), *before = json_str(run->server, "host", "");
    if (!STREQ(host, before))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "Nova has just moved %s from %s to %s: somebody else is at work on it",
                         json_str(server, "name", ""), before, *host ? host : "no host");
    json_decref(run->server);
    run->server = steal(&server);
    return 0;
}

void run_ask_ahead(struct run *run)
{
    auto_json json_t *server = NULL, *migrations = NULL, *here = NULL, *there = NULL, *provider = NULL;
    if (!run->cloud || !run->server || run->options->preview)
        return;
    cloud_ahead_begin(run->cloud, AHEAD_MS);
    nova_server(run->cloud, run_server_id(run), &server, NULL);
    nova_migrations(run->cloud, run_server_id(run), &migrations, NULL);
    nova_services(run->cloud, run_nova_name(run->source), &here, NULL);
    if (run->dest) {
        nova_services(run->cloud, run_nova_name(run->dest), &there, NULL);
        placement_provider_of(run->cloud, run_nova_name(run->dest), &provider, NULL);
    }
    cloud_ahead_end(run->cloud);
}

// ---- the migration ----

// Nova's name of a host, which a recovery has not asked for.
static void take_nova_name(struct run_host *h, const char *name)
{
    if (h && !h->nova_name && same_host(name, run_host_name(h)))
        set_nova_name(h, name);
}

int run_nova_migration(struct run *run, json_t **migration, struct error *err)
{
    struct cloud *cloud;
    auto_json json_t *all = NULL;
    *migration = NULL;
    if (run_cloud(run, &cloud, err) < 0 || nova_migrations(cloud, run_server_id(run), &all, err) < 0)
        return -1;
    // The first after the newest that there was: a later one is somebody else's.
    for (size_t i = json_array_size(all); i-- > 0;)
        if (json_int(json_array_get(all, i), "id", 0) > run->nova_record.before) {
            *migration = json_incref(json_array_get(all, i));
            break;
        }
    if ((run->nova_record.ended = nova_migration_ended(*migration))) {
        json_decref(run->nova_record.end);
        run->nova_record.end = json_incref(*migration);
    }
    take_nova_name(run->source, json_str(*migration, "source", ""));
    take_nova_name(run->dest, json_str(*migration, "dest", ""));
    return 0;
}

bool nova_migration_ended(const json_t *migration)
{
    static const char *const ended[] = {"completed", "error", "failed", "cancelled"};
    for (size_t i = 0; i < COUNT_OF(ended); i++)
        if (STREQ(json_str(migration, "status", ""), ended[i]))
            return true;
    return false;
}

int run_adopt_dest(struct run *run, const char *nova_name, struct error *err)
{
    struct run_host *h;
    if (run->dest)
        return 0;
    if (run_join_host(run, site_name_of(run->site, nova_name), &h, err) < 0)
        return -1;
    run->dest = h; // its claim, and the others', name it
    if (run->claimed && run_claim(run, run->exclusive, err) < 0) {
        run->dest = NULL;
        return -1;
    }
    set_nova_name(h, nova_name);
    run_message(run, "info", "The scheduler chose %s", run_host_name(h));
    if (!run->journal)
        return 0;
    return journal_dest(run->journal, run_host_name(h), err);
}

// Nothing of the migration is there: has Nova forgotten the request, or not come to it yet? An answer without
// a task says nothing of it: so is that about an instance of a cell that is down.
static bool never_began(struct run *run, int64_t begun)
{
    auto_json json_t *server = NULL;
    struct error none;
    if (nova_server(run->cloud, run_server_id(run), &server, &none) < 0)
        return false;
    return !*json_str(server, "task_state", "?") && now_ms() >= begun;
}

// A record that nobody works on: nova-compute died, or hangs. Nova itself would say so for ever; libvirt's
// job, where one runs, goes on to its end without it.

static bool libvirt_is_at_it(struct run *run)
{
    auto_json json_t *job = NULL;
    return run->source->virt &&
           virt_job(run->source->virt, json_str(run->instance, "uuid", ""), false, &job, NULL) == 0 &&
           !STREQ(json_str(job, "type", "none"), "none");
}

static int64_t quiet_for_ms(struct run *run, const json_t *migration)
{
    struct nova_record *record = &run->nova_record;
    char *now = xasprintf("%s %s", json_str(migration, "status", ""), json_str(migration, "updated", ""));
    bool moves = !record->seen || !STREQ(record->seen, now) || libvirt_is_at_it(run);
    free(record->seen);
    record->seen = now;
    if (moves) {
        record->since = now_ms();
        record->ask = deadline_in(QUIET_MS);
    }
    return now_ms() - record->since;
}

static bool service_is_down(struct run *run, const char *host)
{
    auto_json json_t *services = NULL;
    size_t i;
    json_t *service;
    if (!*host || nova_services(run->cloud, host, &services, NULL) < 0)
        return false;
    json_array_foreach(services, i, service)
        if (STREQ(json_str(service, "binary", ""), "nova-compute") &&
            STREQ(json_str(service, "state", ""), "down"))
            return true;
    return false;
}

// The source's nova-compute works on it to its end, and gives it up by itself where the destination's has
// died. A recovery has Nova's name of the host from the record alone.
static bool is_left(struct run *run, const json_t *migration, char **text)
{
    const char *host = json_str(migration, "source", "");
    if (!service_is_down(run, host))
        return false;
    *text = xasprintf("Nova's record of the migration (%lld) says %s, but nova-compute on %s, which works on "
                      "it, is down: start it, which settles it",
                      (long long)json_int(migration, "id", 0), json_str(migration, "status", ""),
                      site_name_of(run->site, host));
    return true;
}

bool run_nova_deleted(struct run *run)
{
    struct cloud *cloud;
    return run_cloud(run, &cloud, NULL) == 0 && nova_was_deleted(cloud, run_server_id(run));
}

// No record: it is to come yet, or went with its instance.
static bool is_gone(struct run *run, char **text)
{
    struct nova_record *record = &run->nova_record;
    if (!record->ask)
        record->ask = deadline_in(QUIET_MS);
    if (now_ms() < record->ask)
        return false;
    record->ask = deadline_in(QUIET_MS);
    if (!run_nova_deleted(run))
        return false;
    *text = xasprintf("Nova of cloud '%s' has no instance %s any more: somebody deleted it meanwhile",
                      cloud_name(run->cloud), run_instance_name(run));
    return true;
}

bool run_nova_deserted(struct run *run, const json_t *migration, char **text)
{
    struct nova_record *record = &run->nova_record;
    if (!migration)
        return is_gone(run, text);
    if (nova_migration_ended(migration) || quiet_for_ms(run, migration) < QUIET_MS || now_ms() < record->ask)
        return false;
    record->ask = deadline_in(QUIET_MS);
    return is_left(run, migration, text);
}

static bool is_stuck(struct run *run, const json_t *migration, char **text)
{
    if (run_nova_deserted(run, migration, text))
        return true;
    if (!migration || now_ms() - run->nova_record.since < STUCK_MS)
        return false;
    auto_free char *after = duration_text(STUCK_MS / 1000.0);
    *text = xasprintf(
        "Nova's record of the migration (%lld) says %s, and nothing has happened for %s: look at "
        "nova-compute on %s, whose restart settles it",
        (long long)json_int(migration, "id", 0), json_str(migration, "status", ""), after,
        run_host_name(run->source));
    return true;
}

bool run_nova_settled(struct run *run, char **text)
{
    int64_t patience = deadline_in(CONNECT_MS), begun = deadline_in(3000), begins = deadline_in(BEGIN_MS);
    bool told = false;
    for (; !run->nova_record.ended; nap_ms(POLL_MS)) {
        struct error err = {0};
        auto_json json_t *migration = NULL;
        if (run_nova_migration(run, &migration, &err) == 0) {
            patience = deadline_in(CONNECT_MS);
            if (migration && *json_str(migration, "dest", "") && !run->options->preview &&
                run_adopt_dest(run, json_str(migration, "dest", ""), &err) < 0)
                run_message(run, "warning", "%s", err.message);
            if (nova_migration_ended(migration) || (!migration && never_began(run, begun)))
                return true;
            if (run->options->preview) {
                *text = xasprintf("Nova still migrates it (%s)", json_str(migration, "status", "not begun"));
                return false;
            }
            if (!migration && now_ms() >= begins) {
                *text = xstrdup("Nova took the request and has not begun to migrate");
                return false;
            }
            if (is_stuck(run, migration, text))
                return false;
            if (!told && run->recovers)
                run_message(run, "info", "Nova still migrates it (%s): waiting for its end",
                            json_str(migration, "status", "no migration yet"));
            told = true;
        }
        bool too_long = run->stops_at && !run->recovers && now_ms() >= run->stops_at + STOP_MS;
        bool enough = interrupt_count > (run->recovers ? 0 : 1) || run->options->preview;
        if (enough || too_long || now_ms() >= patience) {
            *text = xstrdup(*err.message ? err.message : "its end in Nova was not awaited");
            return false;
        }
    }
    return true;
}
