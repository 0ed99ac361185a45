// SPDX-License-Identifier: MIT
// The verdict's other half: what Nova, Placement and Neutron say of where the instance is. What disagrees is
// named with its remedy.
#include "base/clock.h"
#include "base/interrupt.h"
#include "run/cloud.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>

enum { SETTLE_MS = 10000, AGAIN_MS = 50, AHEAD_MS = 1000 };

// What is found: texts "problem; remedy".
struct findings {
    json_t *problems;
    struct run *run;
    struct run_host *at;
    bool runs;       // else it stands, or was stopped: Nova may say so, or learn of it later
    bool unanswered; // there is no Nova to be asked, and so nobody else
    char *migration; // its uuid, under which Placement held the other half
};

static void found(struct findings *f, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void found(struct findings *f, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    json_array_append_new(f->problems, json_text(text));
    free(text);
}

// Nova learns by and by of a guest that stands or was stopped.
static bool is_right_status(const char *status, bool runs)
{
    return STREQ(status, "ACTIVE") ||
           (!runs && (STREQ(status, "PAUSED") || STREQ(status, "SHUTOFF") || STREQ(status, "SUSPENDED")));
}

static void check_server(struct findings *f)
{
    struct run *run = f->run;
    auto_json json_t *server = NULL;
    struct error err = {0};
    const char *id = run_server_id(run), *at = run_nova_name(f->at);
    if (nova_server(run->cloud, id, &server, &err) < 0) {
        found(f,
              "Nova cannot be asked about it, nor Placement and Neutron: %s; ask again: openstack server "
              "show %s",
              err.message, id);
        f->unanswered = true;
        return;
    }
    const char *host = json_str(server, "host", ""), *hypervisor = json_str(server, "hypervisor", ""),
               *status = json_str(server, "status", "");
    const char *task = json_str(server, "task_state", "");
    size_t len = strcspn(at, ".");
    if (!STREQ(host, at))
        found(f,
              "Nova has it on %s, though it runs on %s; do not start, rebuild or evacuate it by Nova: set "
              "host and node of the instance in its cell's database first",
              host, at);
    else if (strncmp(hypervisor, at, len) != 0)
        found(f,
              "Nova has it on hypervisor %s, though it runs on %s; set node of the instance in its cell's "
              "database",
              hypervisor, at);
    if (!is_right_status(status, f->runs))
        found(f,
              "its status in Nova is %s%s%s; when the guest is well: openstack server set --state active %s",
              status, *json_str(server, "fault", "") ? ", " : "", json_str(server, "fault", ""), id);
    if (*task)
        found(f,
              "Nova still has a task for it (%s); once nothing works on it any more: openstack server set "
              "--state active %s",
              task, id);
}

static void check_migration(struct findings *f)
{
    auto_json json_t *migration = NULL;
    struct error err = {0};
    bool moved = f->at == f->run->dest;
    if (!f->run->by_nova)
        return;
    if (f->run->nova_record.ended) {
        migration = json_incref(f->run->nova_record.end);
    } else if (run_nova_migration(f->run, &migration, &err) < 0) {
        found(f,
              "Nova cannot be asked about the migration, nor Placement what it still holds for it: %s; "
              "see openstack server migration list --server %s",
              err.message, run_server_id(f->run));
        return;
    }
    const char *status = json_str(migration, "status", "");
    const char *uuid = json_str(migration, "uuid", NULL);
    free(f->migration);
    f->migration = uuid ? xstrdup(uuid) : NULL;
    if (migration && (moved ? !STREQ(status, "completed")
                            : !nova_migration_ended(migration) || STREQ(status, "completed")))
        found(f,
              "Nova's record of the migration (%lld) says %s; restart nova-compute on %s, which settles it",
              (long long)json_int(migration, "id", 0), status, run_host_name(f->run->source));
}

// What is no provider's tree of that name.
static void check_allocations(struct findings *f)
{
    struct run *run = f->run;
    auto_json json_t *held = NULL, *by_migration = NULL;
    struct error err = {0};
    const char *id = run_server_id(run), *at = run_nova_name(f->at);
    size_t i, here = 0, len = strcspn(at, ".");
    json_t *entry;
    if (placement_allocations(run->cloud, id, &held, &err) < 0 ||
        (f->migration && placement_allocations(run->cloud, f->migration, &by_migration, &err) < 0)) {
        found(f, "Placement cannot be asked: %s; see openstack resource provider allocation show %s",
              err.message, id);
        return;
    }
    json_array_foreach(held, i, entry) {
        const char *name = json_str(entry, "name", "");
        if (strncmp(name, at, len) == 0 && (name[len] == '.' || !name[len]))
            here++;
        else
            found(f,
                  "Placement still counts it on %s too; nova-manage placement audit --delete, or openstack "
                  "resource provider allocation unset --provider %s %s",
                  name, json_str(entry, "uuid", ""), id);
    }
    if (!here)
        found(f, "Placement counts it nowhere on %s; nova-manage placement heal_allocations --instance %s",
              at, id);
    json_array_foreach(by_migration, i, entry)
        found(f,
              "Placement still holds %s for the migration; openstack resource provider allocation delete %s",
              json_str(entry, "name", ""), f->migration);
}

static void check_ports(struct findings *f)
{
    struct run *run = f->run;
    auto_json json_t *ports = NULL;
    struct error err = {0};
    const char *at = run_nova_name(f->at);
    size_t i, j;
    json_t *port, *binding;
    if (neutron_ports(run->cloud, run_server_id(run), &ports, &err) < 0) {
        if (err.domain != ERR_USAGE) // a cloud without Neutron has no ports
            found(f, "Neutron cannot be asked about its ports: %s", err.message);
        return;
    }
    json_array_foreach(ports, i, port) {
        const char *id = json_str(port, "id", ""), *host = json_str(port, "host", at);
        bool active = !json_array_size(json_object_get(port, "bindings"));
        if (!STREQ(host, at))
            found(f, "its port %s is bound to %s; openstack port set --host %s %s", id,
                  *host ? host : "no host", at, id);
        json_array_foreach(json_object_get(port, "bindings"), j, binding) {
            const char *there = json_str(binding, "host", "");
            if (STREQ(there, at))
                active = STREQ(json_str(binding, "status", ""), "ACTIVE");
            else
                found(f,
                      "its port %s has a binding (%s) on %s too; delete it: DELETE "
                      "/v2.0/ports/%s/bindings/%s of Neutron",
                      id, json_str(binding, "status", ""), there, id, there);
        }
        if (!active)
            found(f, "its port %s is not active on %s; PUT /v2.0/ports/%s/bindings/%s/activate of Neutron",
                  id, at, id, at);
    }
}

// In the order in which Nova comes to them.
static void (*const witnesses[])(struct findings *f) = {check_server, check_migration, check_allocations,
                                                        check_ports};

// Nova puts away what it held a moment after it says so: each witness is asked until it agrees.
static void ask_until_settled(struct findings *f, void (*witness)(struct findings *f), int64_t patience)
{
    size_t before = json_array_size(f->problems);
    for (;;) {
        f->unanswered = false;
        witness(f);
        size_t found = json_array_size(f->problems);
        if (found == before || now_ms() >= patience || interrupt_count > 1)
            return;
        while (found-- > before)
            json_array_remove(f->problems, found);
        nap_ms(AGAIN_MS);
    }
}

void verdict_cloud_ahead(struct run *run)
{
    auto_json json_t *server = NULL, *held = NULL, *by_migration = NULL, *ports = NULL;
    const char *id = run_server_id(run), *migration = json_str(run->nova_record.end, "uuid", "");
    if (!run->cloud || !run->by_nova)
        return;
    cloud_ahead_begin(run->cloud, AHEAD_MS);
    nova_server(run->cloud, id, &server, NULL);
    placement_allocations(run->cloud, id, &held, NULL);
    if (*migration)
        placement_allocations(run->cloud, migration, &by_migration, NULL);
    neutron_ports(run->cloud, id, &ports, NULL);
    cloud_ahead_end(run->cloud);
}

size_t verdict_cloud(struct run *run, struct run_host *at, bool runs, json_t *details)
{
    struct cloud *cloud;
    struct error err = {0};
    if (run_cloud(run, &cloud, &err) < 0) {
        verdict_detail(details, "Nova", err.message);
        return 1;
    }
    verdict_cloud_ahead(run);
    auto_json json_t *problems = json_array();
    struct findings f = {.problems = problems, .run = run, .at = at, .runs = runs};
    int64_t patience = deadline_in(SETTLE_MS);
    for (size_t i = 0; i < COUNT_OF(witnesses) && !f.unanswered; i++)
        ask_until_settled(&f, witnesses[i], patience);
    free(f.migration);
    for (size_t i = 0; i < json_array_size(problems); i++)
        verdict_detail(details, "Nova", json_string_value(json_array_get(problems, i)));
    return json_array_size(problems);
}
