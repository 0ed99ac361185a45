// SPDX-License-Identifier: MIT
#include "base/text.h"
#include "fake_cloud.h"

#include "machine.h"

#include <stdlib.h>
#include <string.h>

enum { DELETED_AT = 2, LINGERS = 8 }; // looks before libvirt's job ends; looks that something takes long for

// ---- what there is ----

static json_t *part(const json_t *w, const char *name) { return json_object_get(fake_cloud(w), name); }

json_t *fake_cloud(const json_t *w) { return json_object_get(w, "cloud"); }

// It came to its first host like that.
static json_t *migration_before(void)
{
    return json_pack("{s:i, s:s, s:s, s:s, s:s, s:s}", "id", 1, "uuid",
                     "3a69380d-d0e6-4cb7-bc3f-000000000001", "status", "completed", "source", "compute-3",
                     "dest", "compute-1", "request", "req-0");
}

void fake_cloud_add(json_t *w)
{
    static const char *const hosts[] = {"compute-1", "compute-2"};
    json_object_set_new(
        w, "cloud",
        json_pack("{s:{s:s, s:s, s:s, s:b, s:s, s:s}, s:{}, s:{s:{s:b}}, s:{s:s}, s:[o], s:{}, s:n, s:b}",
                  "server", "host", "compute-1", "status", "ACTIVE", "task", "", "locked", 0, "reason", "",
                  "fault", "", "services", "holds", WORLD_UUID, "compute-1", 1, "bindings", "compute-1",
                  "ACTIVE", "migrations", migration_before(), "refused", "job", "rewrites", 1));
    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        json_object_set_new(part(w, "services"), hosts[i],
                            json_pack("{s:s, s:s}", "status", "enabled", "reason", ""));
        json_object_set_new(json_object_get(world_host(w, hosts[i]), "services"), "nova-compute",
                            json_string("active"));
        world_put(w, hosts[i], "/etc/nova", "directory", 0755, 0, "");
        world_put(w, hosts[i], "/etc/nova/nova.conf", "file", 0640, 0,
                  "[DEFAULT]\ntransport_url = rabbit://nova:secret@controller:5672/\n");
    }
}

static void set(json_t *object, const char *key, const char *text)
{
    json_object_set_new(object, key, json_string(text));
}

static json_t *newest(const json_t *w)
{
    const json_t *all = part(w, "migrations");
    return json_array_get(all, json_array_size(all) - 1);
}

static bool has_ended(const json_t *migration)
{
    static const char *const ended[] = {"completed", "failed", "error", "cancelled"};
    for (size_t i = 0; i < COUNT_OF(ended); i++)
        if (STREQ(json_str(migration, "status", ""), ended[i]))
            return true;
    return false;
}

json_t *fake_cloud_migration(const json_t *w)
{
    json_t *migration = newest(w);
    return has_ended(migration) ? NULL : migration;
}

bool fake_cloud_is_busy(const json_t *w) { return json_is_object(part(w, "job")); }

// ---- a migration, stage by stage ----

// One that was asked for.
struct task {
    json_t *w, *job, *server, *migration;
    const char *from, *to, *uuid;
};

static void hold(const struct task *t, const char *consumer, const char *host)
{
    json_object_set_new(part(t->w, "holds"), consumer, json_pack("{s:b}", host, 1));
}

static void end(const struct task *t) { json_object_set_new(fake_cloud(t->w), "job", json_null()); }

static const char *other_than(const char *host)
{
    return STREQ(host, "compute-1") ? "compute-2" : "compute-1";
}

// The conductor makes the record, and the migration holds the source's resources from then on.
static const char *take_up(const struct task *t)
{
    json_int_t id = (json_int_t)json_array_size(part(t->w, "migrations")) + 1;
    auto_free char *uuid = xasprintf("3a69380d-d0e6-4cb7-bc3f-%012d", (int)id);
    if (world_outcome(t->w)->never_begins)
        return NULL;
    json_array_append_new(part(t->w, "migrations"),
                          json_pack("{s:I, s:s, s:s, s:s, s:s, s:O}", "id", id, "uuid", uuid, "status",
                                    "accepted", "source", t->from, "dest", "", "request",
                                    json_object_get(t->job, "request")));
    hold(t, uuid, t->from);
    return "accepted";
}

// The scheduler says yes or no, and the instance holds the destination's.
static const char *choose(const struct task *t)
{
    const char *wanted = json_str(t->job, "host", ""), *to = *wanted ? wanted : other_than(t->from);
    bool up = world_serves(to, "nova-compute") && world_serves(t->from, "nova-compute");
    bool enabled = STREQ(json_str(json_object_get(part(t->w, "services"), to), "status", ""), "enabled");
    if (world_outcome(t->w)->no_valid_host || !up || !enabled) {
        set(part(t->w, "refused"), json_str(t->job, "request", ""),
            "No valid host was found. There are not enough hosts available.");
        json_object_del(part(t->w, "holds"), t->uuid);
        set(t->migration, "status", "error");
        set(t->server, "task", "");
        end(t);
        return NULL;
    }
    set(t->migration, "dest", to);
    set(t->migration, "status", "queued");
    hold(t, WORLD_UUID, to);
    return "queued";
}

static const char *prepare(const struct task *t)
{
    if (json_flag(t->job, "aborted", false))
        return "back";
    if (world_outcome(t->w)->dest_dies)
        machine_set_unit(t->to, "nova-compute", "failed");
    if (world_outcome(t->w)->stays_queued)
        return NULL;
    set(t->migration, "status", "preparing");
    set(part(t->w, "bindings"), t->to, "INACTIVE");
    return "preparing";
}

static bool lingers(const struct task *t)
{
    json_int_t looks = json_int(t->job, "looks", 0) + 1;
    json_object_set_new(t->job, "looks", json_integer(looks));
    return looks < LINGERS;
}

// It writes of each part of what it has to do.
static bool works_on(const struct task *t)
{
    json_object_set_new(t->migration, "moves", json_integer(json_int(t->migration, "moves", 0) + 1));
    return lingers(t);
}

// A text with the source's addresses changed into the destination's, as many as there are.
static json_t *rewritten(const struct task *t, const char *text)
{
    const char *here = json_str(world_host(t->w, t->from), "address", ""),
               *there = json_str(world_host(t->w, t->to), "address", "");
    auto_buf struct buf out = {0};
    bool rewrites = json_flag(fake_cloud(t->w), "rewrites", true);
    for (const char *found; rewrites && (found = strstr(text, here)); text = found + strlen(here)) {
        buf_add(&out, text, (size_t)(found - text));
        buf_puts(&out, there);
    }
    buf_puts(&out, text);
    return json_string(out.data);
}

static const char *migrate(const struct task *t)
{
    const json_t *domain = world_domain(t->w, t->from, WORLD_UUID);
    auto_json json_t *params = json_pack("{s:o, s:o}", "destination_xml",
                                         rewritten(t, json_str(domain, "xml", "")), "persistent_xml",
                                         rewritten(t, json_str(domain, "inactive_xml", "")));
    auto_json json_t *flags = json_pack("[s, s, s, s]", "LIVE", "PEER2PEER", "PERSIST_DEST",
                                        "UNDEFINE_SOURCE");
    if (json_flag(t->job, "aborted", false))
        return "back";
    if (!world_serves(t->to, "nova-compute"))
        return lingers(t) ? NULL : "back"; // it is not answered
    set(t->migration, "status", "running");
    if (world_migrate(t->w, t->from, WORLD_UUID, t->to, params, flags, NULL) < 0)
        return "back";
    if (world_outcome(t->w)->compute_dies)
        machine_set_unit(t->from, "nova-compute", "failed");
    return "running";
}

// All that Nova, Placement and Neutron had of it goes with the instance.
static const char *delete_it(const struct task *t)
{
    json_object_set_new(t->server, "deleted", json_true());
    json_object_clear(part(t->w, "holds"));
    json_object_clear(part(t->w, "bindings"));
    json_array_clear(part(t->w, "migrations"));
    world_destroy(t->w, WORLD_UUID);
    end(t);
    return NULL;
}

// When libvirt's job has ended, where the guest runs tells how; whatever libvirt said.
static const char *watch(const struct task *t)
{
    const json_t *here = world_domain(t->w, t->from, WORLD_UUID),
                 *there = world_domain(t->w, t->to, WORLD_UUID);
    const json_t *job = json_object_get(t->w, "migration");
    if (json_is_object(job) && world_outcome(t->w)->deleted && json_int(job, "left", 0) <= DELETED_AT)
        return delete_it(t);
    if (json_is_object(job) || (world_outcome(t->w)->seems_down && works_on(t)))
        return NULL;
    bool gone = !here || STREQ(json_str(here, "state", ""), "shut off");
    if (gone && STREQ(json_str(there, "state", ""), "running"))
        return "there";
    if (!there)
        return "back";
    set(t->migration, "status", "error");
    set(t->server, "status", "ERROR");
    set(t->server, "fault", "Migration error");
    set(t->server, "task", "");
    end(t);
    return NULL;
}

static const char *settle_there(const struct task *t)
{
    json_object_del(part(t->w, "bindings"), t->from);
    set(part(t->w, "bindings"), t->to, "ACTIVE");
    set(t->server, "host", t->to);
    set(t->server, "task", "");
    return "done";
}

static const char *complete(const struct task *t)
{
    set(t->migration, "status", "completed");
    return "clear";
}

static const char *clear(const struct task *t)
{
    json_object_del(part(t->w, "holds"), t->uuid);
    end(t);
    return NULL;
}

static const char *roll_back(const struct task *t)
{
    hold(t, WORLD_UUID, t->from);
    json_object_del(part(t->w, "holds"), t->uuid);
    set(t->server, "task", "");
    return "failed";
}

static const char *fail(const struct task *t)
{
    set(t->migration, "status", json_flag(t->job, "aborted", false) ? "cancelled" : "failed");
    json_object_del(part(t->w, "bindings"), t->to);
    end(t);
    return NULL;
}

// Each gives the next; NULL: it stays, or it was the last.
static const struct stage {
    const char *name;
    const char *(*step)(const struct task *t);
    bool by_compute; // the source's nova-compute does it
} stages[] = {
    {"asked", take_up, false},    {"accepted", choose, false}, {"queued", prepare, true},
    {"preparing", migrate, true}, {"running", watch, true},    {"there", settle_there, true},
    {"done", complete, true},     {"clear", clear, true},      {"back", roll_back, true},
    {"failed", fail, true},
};

void fake_cloud_ask(json_t *w, const char *host, const char *request)
{
    json_t *server = part(w, "server");
    set(server, "task", "migrating");
    json_object_set_new(fake_cloud(w), "job",
                        json_pack("{s:s, s:s, s:O, s:s, s:b}", "stage", "asked", "host", host, "from",
                                  json_object_get(server, "host"), "request", request, "aborted", 0));
}

void fake_cloud_step(json_t *w)
{
    if (!fake_cloud_is_busy(w))
        return;
    auto_json json_t *job = json_incref(part(w, "job")), *migration = json_incref(newest(w));
    const struct task t = {.w = w,
                           .job = job,
                           .server = part(w, "server"),
                           .migration = migration,
                           .from = json_str(job, "from", ""),
                           .to = json_str(migration, "dest", ""),
                           .uuid = json_str(migration, "uuid", "")};
    const struct stage *stage = stages;
    while (!STREQ(stage->name, json_str(job, "stage", "")))
        stage++;
    if (stage->by_compute && !world_serves(t.from, "nova-compute"))
        return;
    const char *next = stage->step(&t);
    if (next)
        set(job, "stage", next);
}

// Queued and prepared ones since 2.65.
bool fake_cloud_abort(json_t *w)
{
    const char *status = json_str(fake_cloud_migration(w), "status", "");
    if (!STREQ(status, "running") && !STREQ(status, "queued") && !STREQ(status, "preparing"))
        return false;
    if (!world_serves(json_str(part(w, "job"), "from", ""), "nova-compute"))
        return true; // it is asked, and does not hear it
    if (STREQ(status, "running"))
        world_abort(w);
    json_object_set_new(part(w, "job"), "aborted", json_true());
    return true;
}
