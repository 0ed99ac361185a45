// SPDX-License-Identifier: MIT
#include "run/told.h"

#include "base/clock.h"
#include "run/cloud.h"
#include "run/journal.h"
#include "world/logs/stamp.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void add_names(json_t *hosts, const json_t *names)
{
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)names, i, name)
        json_add_once(hosts, json_string_value(name));
}

// ---- by a run ----

static void take_migration(const struct story *story, json_t *told)
{
    size_t i;
    json_t *record;
    json_array_foreach(story->records, i, record) {
        const char *kind = json_str(json_object_get(record, "effect"), "kind", ""),
                   *request = json_str(record, "request_id", NULL);
        if (strstr(kind, "migrate") && !json_object_get(told, "at"))
            json_object_set(told, "at", json_object_get(record, "time"));
        if (request)
            json_object_set_new(told, "request", json_string(request));
    }
}

static int told_by_run(const char *state, const char *name, json_t **told, json_t *hosts, struct error *err)
{
    struct story auto_story story = {0};
    if (journal_read(state, name, &story, err) < 0)
        return -1;
    const struct opening *opening = &story.opening;
    const json_t *verdict = story.verdict, *instance = opening->instance;
    *told = json_pack("{s:f, s:f, s:s*, s:s*, s:s*, s:s*, s:s*, s:b}", "began", opening->time, "ended",
                      json_num(verdict, "time", wall_time()), "source", opening->source, "dest",
                      opening->dest, "uuid", json_str(instance, "uuid", NULL), "name",
                      json_str(instance, "name", NULL), "verdict", json_str(verdict, "line", NULL), "moved",
                      STREQ(json_str(verdict, "outcome", ""), "moved"));
    take_migration(&story, *told);
    if (json_object_get(*told, "at"))
        json_object_set(*told, "began", json_object_get(*told, "at"));
    add_names(hosts, story.hosts);
    return 0;
}

// ---- by Nova ----

static double time_of(const json_t *object, const char *key)
{
    const char *text = json_str(object, key, "");
    struct stamp stamp;
    return stamp_read(text, strlen(text), &stamp) ? stamp_time(&stamp, 0, wall_time()) : NAN;
}

static int told_by_server(const struct site *site, struct cloud *cloud, const json_t *server, json_t **told,
                          json_t *hosts, struct error *err)
{
    const char *id = json_str(server, "id", "");
    auto_json json_t *actions = NULL, *migrations = NULL;
    if (nova_actions(cloud, id, &actions, err) < 0 || nova_migrations(cloud, id, &migrations, err) < 0)
        return -1;
    const json_t *action = NULL, *newest = json_array_get(migrations, 0);
    size_t i;
    json_t *one;
    json_array_foreach(actions, i, one) {
        bool migrates = STREQ(json_str(one, "action", ""), "live-migration");
        if (migrates && (!action || strcmp(json_str(one, "start", ""), json_str(action, "start", "")) > 0))
            action = one;
    }
    if (!action)
        return 0;
    double began = time_of(action, "start"), ended = time_of(action, "updated");
    bool its_own = newest && time_of(newest, "created") > began - 2;
    const char *source = its_own ? json_str(newest, "source", NULL) : json_str(server, "host", NULL),
               *dest = its_own ? json_str(newest, "dest", NULL) : NULL,
               *status = its_own ? json_str(newest, "status", "") : "";
    double updated = its_own ? time_of(newest, "updated") : NAN;
    if (isnan(ended) || updated > ended)
        ended = isnan(updated) ? began + 60 : updated;
    source = source && *source ? site_name_of(site, source) : NULL;
    dest = dest && *dest ? site_name_of(site, dest) : NULL;
    bool goes_on = *status && !STREQ(status, "completed") && !STREQ(status, "error") &&
                   !STREQ(status, "failed") && !STREQ(status, "cancelled");
    *told = json_pack("{s:f, s:f, s:s*, s:s*, s:s, s:s*, s:s*, s:b, s:s*, s:s*, s:b}", "began", began,
                      "ended", ended + 2, "source", source, "dest", dest, "uuid", id, "name",
                      json_str(server, "libvirt_name", NULL), "request", json_str(action, "request_id", NULL),
                      "moved", STREQ(status, "completed"), "running", goes_on ? status : NULL, "migration",
                      its_own ? json_str(newest, "uuid", NULL) : NULL, "by_nova", 1);
    if (source && dest) {
        json_add_once(hosts, source);
        json_add_once(hosts, dest);
    }
    return 0;
}

static bool has_cloud(void) { return getenv("OS_CLOUD") || getenv("OS_AUTH_URL"); }

char *told_memory(const char *host)
{
    struct cloud *cloud = NULL;
    auto_json json_t *provider = NULL;
    if (!has_cloud() || cloud_open(&cloud, NULL) < 0)
        return NULL;
    int rc = placement_provider_of(cloud, host, &provider, NULL);
    cloud_close(cloud);
    const json_t *memory = json_object_get(json_object_get(provider, "inventories"), "MEMORY_MB");
    if (rc < 0 || !memory)
        return NULL;
    int64_t total = json_int(memory, "total", 0), reserved = json_int(memory, "reserved", 0),
            used = json_int(json_object_get(provider, "usages"), "MEMORY_MB", 0);
    double ratio = json_num(memory, "allocation_ratio", 1);
    return xasprintf("%s, in MiB: (%lld total − %lld reserved) × %g − %lld used = %.0f left", host,
                     (long long)total, (long long)reserved, ratio, (long long)used,
                     (double)(total - reserved) * ratio - (double)used);
}

static bool is_request(const char *subject) { return strncmp(subject, "req-", 4) == 0; }

// A cloud that is not set up, or has no such instance, tells nothing.
static int told_by_nova(const struct site *site, const char *subject, json_t **told, json_t *hosts,
                        struct error *err)
{
    struct cloud *cloud = NULL;
    auto_json json_t *server = NULL;
    struct error failure;
    if (!has_cloud() || is_request(subject))
        return 0;
    if (cloud_open(&cloud, err) < 0)
        return -1;
    int rc = nova_find(cloud, subject, &server, &failure);
    if (rc == 0)
        rc = told_by_server(site, cloud, server, told, hosts, err);
    else if (failure.domain == ERR_REFUSED)
        rc = 0;
    else
        *err = failure;
    cloud_close(cloud);
    return rc;
}

int told_of(const struct site *site, const char *state, const char *subject, json_t **told, json_t **hosts,
            char **nova, struct error *err)
{
    struct error failure;
    *nova = NULL;
    auto_json json_t *found = json_array();
    *told = NULL;
    int rc = journal_is_run_name(subject) ? told_by_run(state, subject, told, found, &failure) : -1;
    if (rc < 0 && told_by_nova(site, subject, told, found, &failure) < 0) {
        if (failure.domain == ERR_INTERRUPTED)
            return error_set(err, ERR_INTERRUPTED, 0, "%s", failure.message);
        *nova = xstrdup(failure.message); // the logs tell all the same
    }
    if (!json_array_size(found))
        add_names(found, site_host_names(site));
    add_names(found, site_control_names(site));
    if (!json_array_size(site_control_names(site))) {
        char here[256] = "";
        if (gethostname(here, sizeof here - 1) == 0 && *here)
            json_add_once(found, here); // where nobody says so, this machine may be the one
    }
    *hosts = steal(&found);
    return 0;
}
