// SPDX-License-Identifier: MIT
// Changes by Nova: the live migration, watched through Nova and through libvirt's job at the source; the
// lock; any other request.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mask.h"
#include "run/change.h"
#include "run/cloud.h"
#include "run/migration.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>

enum {
    TICK_MS = 75,
    SOON_TICK_MS = 25,
    NOVA_MS = 400,
    PREPARES_MS = 150,
    SOON_MS = 3000,
    ABORT_AGAIN_MS = 1500,
    ABORT_PATIENCE_MS = 45000,
    APPEAR_MS = 30000,
    AWAY_MS = 60000
};

static const char *server_name(const struct run *run) { return run_instance_name(run); }

// ---- live migration ----

static int describe_live(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    auto_free char *timeout = duration_text(json_num(effect_after(e), "timeout", 0));
    *summary = xasprintf(
        "by Nova, %sup to %s",
        json_str(effect_after(e), "host", NULL) ? "" : "to a host of the scheduler's choice, ", timeout);
    *detail = NULL;
    return 0;
}

static int observe_live(struct effect *e, enum observed *seen, struct error *err)
{
    (void)err;
    return run_observe_migration(e->host->run, seen);
}

// The watch over one migration.
struct watch {
    struct run *run;
    const char *request_id;
    double timeout;
    int64_t deadline, give_up, abort_again, ask_nova, appears, away;
    int64_t soon;      // until then Nova may be about to tell the end
    json_t *migration; // as Nova had it last
    bool job_seen, told_away;
    char *deserted;   // nobody works on it any more
    struct error why; // what the abort was for
};

// libvirt's own figures, which Nova's are copied from every few seconds.
static void watch_job(struct watch *w)
{
    auto_json json_t *job = NULL;
    struct run *run = w->run;
    if (run->source->virt &&
        virt_job(run->source->virt, json_str(run->instance, "uuid", ""), false, &job, NULL) == 0 &&
        json_num(job, "memory_total", 0) > 0) {
        run->pace.possible = true; // Nova does not say
        migration_tell_progress(run, job, false);
        w->job_seen = true;
    } else if (w->job_seen) {
        w->job_seen = false;
        w->ask_nova = 0; // the guest has moved, or will not
        w->soon = deadline_in(SOON_MS);
    }
}

static void ask_nova(struct watch *w)
{
    struct run *run = w->run;
    struct error err = {0};
    json_t *migration = NULL;
    w->ask_nova = deadline_in(w->job_seen ? NOVA_MS : now_ms() < w->soon ? SOON_TICK_MS : PREPARES_MS);
    if (run_nova_migration(run, &migration, &err) < 0) {
        if (!w->told_away && err.domain != ERR_INTERRUPTED)
            run_message(run, "warning", "%s; the migration goes on, and Nova is asked again", err.message);
        w->told_away = w->told_away || err.domain != ERR_INTERRUPTED;
        w->away = w->away ? w->away : deadline_in(AWAY_MS);
        return;
    }
    w->away = 0;
    if (!w->deserted)
        run_nova_deserted(run, migration, &w->deserted);
    if (!migration)
        return;
    json_decref(w->migration);
    w->migration = migration;
    if (!run->dest && *json_str(migration, "dest", "") &&
        run_adopt_dest(run, json_str(migration, "dest", ""), &err) < 0)
        run_message(run, "warning", "%s", err.message);
}

// The first abort comes with its reason; it is asked for until the migration has ended, as Nova refuses it in
// some of its phases.
static void abort_it(struct watch *w)
{
    struct run *run = w->run;
    if (!w->give_up) {
        migration_stopped(w->timeout, &w->why);
        migration_tell_stopping(run, "Nova is asked to abort the migration, and its end is waited for");
        w->give_up = deadline_in(ABORT_PATIENCE_MS);
    }
    if (!w->migration || now_ms() < w->abort_again)
        return;
    nova_abort(run->cloud, run_server_id(run), json_int(w->migration, "id", 0), NULL);
    w->abort_again = deadline_in(ABORT_AGAIN_MS);
}

static bool is_over(const struct watch *w)
{
    return nova_migration_ended(w->migration) || w->deserted || (w->give_up && now_ms() >= w->give_up) ||
           (!w->migration && now_ms() >= w->appears) || (w->away && now_ms() >= w->away && !w->job_seen);
}

static void watch_live(struct watch *w)
{
    while (!is_over(w)) {
        nap_ms(now_ms() < w->soon ? SOON_TICK_MS : TICK_MS);
        interrupts_notice();
        watch_job(w);
        if (now_ms() >= w->ask_nova)
            ask_nova(w);
        if (w->give_up || interrupt_count > 0 || (w->deadline && now_ms() >= w->deadline))
            abort_it(w);
    }
}

// Nova's own reason, by the action's events.
static char *reason_of(const struct watch *w)
{
    auto_json json_t *action = NULL;
    if (!*w->request_id ||
        nova_action(w->run->cloud, run_server_id(w->run), w->request_id, &action, NULL) < 0)
        return NULL;
    return nova_reason(action);
}

// How it ended, by Nova: 0 completed.
static int judge(const struct watch *w, struct error *err)
{
    const char *status = json_str(w->migration, "status", "");
    const char *comma = *w->request_id ? ", " : "";
    if (STREQ(status, "completed"))
        return 0;
    if (w->deserted)
        return error_set(err, ERR_OPENSTACK, 0, "%s", w->deserted);
    if (w->give_up) {
        if (err)
            *err = w->why;
        return -1;
    }
    if (!w->migration)
        return error_set(err, ERR_OPENSTACK, 0,
                         "Nova accepted the request, but no migration appeared (%s): check nova-conductor "
                         "and the message queue",
                         *w->request_id ? w->request_id : "no request id");
    if (!nova_migration_ended(w->migration))
        return error_set(err, ERR_OPENSTACK, 0,
                         "Nova could no longer be asked how its migration ended (it was %s)", status);
    auto_free char *reason = reason_of(w);
    int64_t id = json_int(w->migration, "id", 0);
    if (reason)
        return error_set(err, ERR_OPENSTACK, 0, "Nova gave up the migration: %s (migration %lld, %s%s%s)",
                         reason, (long long)id, status, comma, w->request_id);
    return error_set(
        err, ERR_OPENSTACK, 0, "Nova says that the migration %s, but not why (migration %lld%s%s)",
        STREQ(status, "cancelled") ? "was cancelled" : "failed", (long long)id, comma, w->request_id);
}

// Kept with the effect, whether it was done or not.
static void keep_request_id(struct effect *e, const char *request_id)
{
    if (!e->result)
        e->result = json_object();
    json_object_set_new(e->result, "request_id", json_text(request_id));
}

static enum made apply_live(struct effect *e, struct error *err)
{
    struct run *run = e->host->run;
    char request_id[REQUEST_ID_MAX] = "";
    const char *host = json_str(effect_after(e), "host", NULL);
    double started = wall_time(), timeout = json_num(effect_after(e), "timeout", 0);
    struct error refused = {0};
    if (migration_note(e, err) < 0)
        return NOT_MADE;
    run->migration_attempted = run->by_nova = true;
    run->migration_began = wall_time();
    int rc = nova_live_migrate(run->cloud, run->server, host, request_id, &refused);
    keep_request_id(e, request_id);
    // What Nova refuses has not begun; an answer that was lost says nothing.
    if (made_of(rc, &refused) == NOT_MADE) {
        run->migration_attempted = run->by_nova = false;
        *err = refused;
        return NOT_MADE;
    }
    if (rc < 0)
        run_message(run, "warning", "%s: whether Nova has begun is not known, so it is looked for",
                    refused.message);
    run->stops_at = deadline_in(ms_of_seconds(timeout));
    struct watch w = {.run = run,
                      .request_id = request_id,
                      .timeout = timeout,
                      .deadline = run->stops_at,
                      .appears = deadline_in(APPEAR_MS)};
    watch_live(&w);
    bool appeared = w.migration != NULL;
    rc = rc < 0 && !appeared ? -1 : judge(&w, err);
    if (rc < 0 && !appeared && *refused.message)
        *err = refused;
    json_decref(w.migration);
    free(w.deserted);
    if (rc < 0)
        return MADE_UNKNOWN;
    run->moved = true;
    migration_take_result(e, started);
    return MADE;
}

const struct effect_kind effect_nova_migrate = {.name = "nova.live_migrate",
                                                .note = NOTE_AT_SOURCE,
                                                .describe = describe_live,
                                                .observe = observe_live,
                                                .apply = apply_live};

// The newest migration of the instance that there was before this one.
static int newest_migration(struct run *run, struct cloud *cloud, int64_t *id, struct error *err)
{
    auto_json json_t *all = NULL;
    if (nova_migrations(cloud, run_server_id(run), &all, err) < 0)
        return -1;
    *id = json_int(json_array_get(all, 0), "id", 0);
    return 0;
}

int change_nova_migrate(struct run *run, struct run_host *dest, const json_t *options, const json_t **outcome,
                        struct error *err)
{
    struct cloud *cloud;
    int64_t last = 0;
    auto_free char *what = xasprintf("live-migrating %s by Nova", server_name(run));
    double timeout;
    if (migration_open(run, dest, what, err) < 0 || migration_timeout(run, options, &timeout, err) < 0 ||
        run_cloud(run, &cloud, err) < 0)
        return -1;
    if (!run->server)
        return error_set(err, ERR_POLICY, 0, "%s: the policy must say that it uses Nova (nova = true)", what);
    if (newest_migration(run, cloud, &last, err) < 0)
        return -1;
    run->nova_record.before = last;
    json_t *after = json_pack("{s:f}", "timeout", timeout);
    if (dest)
        json_object_set_new(after, "host", json_text(run_nova_name(dest)));
    struct effect *e = effect_new(
        OF_nova_migrate, dest ? dest : run->source, server_name(run),
        json_pack("{s:s, s:I}", "host", run_nova_name(run->source), "migration", (json_int_t)last), after);
    json_object_set_new(e->data, "server", json_string(run_server_id(run)));
    if (gate_pass(e, outcome, err) < 0)
        return -1;
    if (run->options->preview && run->dest)
        run->moved = true; // for the steps to come
    return 0;
}

// ---- the lock ----

static int describe_lock(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    static const char *const words[] = {"unlocked", "locked"};
    *summary = xasprintf("%s → %s in Nova", words[json_flag(effect_before(e), "locked", false)],
                         words[json_flag(effect_after(e), "locked", false)]);
    *detail = NULL;
    return 0;
}

static int observe_lock(struct effect *e, enum observed *seen, struct error *err)
{
    struct cloud *cloud;
    auto_json json_t *server = NULL;
    const char *id = json_str(e->data, "server", "");
    if (run_cloud(e->host->run, &cloud, err) < 0)
        return -1;
    if (nova_server(cloud, id, &server, err) < 0) {
        *seen = SEEN_BEFORE; // its lock went with it
        return nova_was_deleted(cloud, id) ? 0 : -1;
    }
    bool locked = json_flag(server, "locked", false);
    *seen = locked == json_flag(effect_before(e), "locked", false) ? SEEN_BEFORE : SEEN_AFTER;
    return 0;
}

static int set_lock(struct effect *e, const json_t *state, struct error *err)
{
    struct cloud *cloud;
    char request_id[REQUEST_ID_MAX] = "";
    if (run_cloud(e->host->run, &cloud, err) < 0)
        return -1;
    int rc = nova_set_lock(cloud, json_str(e->data, "server", ""), json_flag(state, "locked", false),
                           json_str(state, "reason", NULL), request_id, err);
    keep_request_id(e, request_id);
    return rc;
}

static enum made apply_lock(struct effect *e, struct error *err)
{
    return made_of(set_lock(e, effect_after(e), err), err);
}
static int undo_lock(struct effect *e, struct error *err) { return set_lock(e, effect_before(e), err); }

static void imagine_lock(const struct effect *e)
{
    json_object_set_new(e->host->run->server, "locked",
                        json_boolean(json_flag(effect_after(e), "locked", false)));
}

const struct effect_kind effect_nova_lock = {
    .name = "nova.lock",
    .describe = describe_lock,
    .observe = observe_lock,
    .apply = apply_lock,
    .undo = undo_lock,
    .imagine = imagine_lock,
};

static json_t *lock_state(bool locked, const char *reason)
{
    json_t *state = json_pack("{s:b}", "locked", locked);
    if (locked && reason && *reason)
        json_object_set_new(state, "reason", json_text(reason));
    return state;
}

int change_nova_lock(struct run *run, bool locked, const char *reason, struct error *err)
{
    struct cloud *cloud;
    auto_json json_t *server = NULL;
    auto_free char *what = xasprintf("%s %s in Nova", locked ? "locking" : "unlocking", server_name(run));
    if (gate_open(run, what, err) < 0 || run_cloud(run, &cloud, err) < 0)
        return -1;
    if (!run->options->preview && nova_server(cloud, run_server_id(run), &server, err) < 0)
        return -1;
    const json_t *now = server ? server : run->server;
    bool before = json_flag(now, "locked", false);
    if (before == locked)
        return 0;
    struct effect *e = effect_new(OF_nova_lock, run_instance_host(run), server_name(run),
                                  lock_state(before, json_str(now, "locked_reason", NULL)),
                                  lock_state(locked, reason));
    json_object_set_new(e->data, "server", json_string(run_server_id(run)));
    return gate_pass(e, NULL, err);
}

// ---- any other request ----

static int describe_request(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    const json_t *after = effect_after(e);
    auto_json json_t *body = run_masked(e->host->run, json_object_get(after, "body"));
    auto_free char *text = body ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : xstrdup("");
    *summary = xasprintf("%s%s%.200s", json_str(after, "method", ""), *text ? " " : "", text);
    *detail = NULL;
    return 0;
}

static int observe_request(struct effect *e, enum observed *seen, struct error *err)
{
    (void)e;
    (void)err;
    *seen = SEEN_UNKNOWN; // what a request did, only who made it knows
    return 0;
}

static int send_request(struct effect *e, const json_t *what, json_t **body, struct error *err)
{
    struct cloud *cloud;
    const json_t *after = effect_after(e);
    auto_free char *words = xasprintf("%s %s", json_str(what, "method", "POST"), json_str(what, "path", ""));
    if (run_cloud(e->host->run, &cloud, err) < 0)
        return -1;
    const struct cloud_request request = {
        .service = json_str(after, "service", "compute"),
        .method = json_str(what, "method", "POST"),
        .path = json_str(what, "path", ""),
        .body = json_object_get(what, "body"),
        .minor = (int)json_int(after, "microversion", 0),
        .what = words,
        .timeout_ms = ms_of_seconds(json_num(after, "timeout", 0)),
    };
    char request_id[REQUEST_ID_MAX] = "";
    int rc = cloud_send(cloud, &request, body, request_id, err);
    keep_request_id(e, request_id);
    return rc;
}

static enum made apply_request(struct effect *e, struct error *err)
{
    json_t *body = NULL;
    struct cloud *cloud;
    if (run_cloud(e->host->run, &cloud, err) < 0)
        return NOT_MADE;
    if (send_request(e, effect_after(e), &body, err) < 0)
        return made_of(-1, err);
    json_object_set_new(e->result, "body", body ? body : json_null());
    return MADE;
}

static int undo_request(struct effect *e, struct error *err)
{
    return send_request(e, json_object_get(effect_after(e), "undo"), NULL, err);
}

static bool request_stays(const struct effect *e) { return !json_object_get(effect_after(e), "undo"); }

const struct effect_kind effect_nova_request = {
    .name = "nova.request",
    .describe = describe_request,
    .observe = observe_request,
    .apply = apply_request,
    .undo = undo_request,
    .stays = request_stays,
};

int change_nova_request(struct run *run, const char *method, const char *path, const json_t *body,
                        const json_t *options, const json_t **result, struct error *err)
{
    struct run_host *h = run->source ? run_instance_host(run) : run->n_hosts ? run->hosts[0] : NULL;
    const json_t *undo = json_object_get(options, "undo");
    if (cloud_check_request(method, path, err) < 0 ||
        (undo && cloud_check_request(json_str(undo, "method", "POST"), json_str(undo, "path", ""), err) < 0))
        return -1;
    auto_json json_t *plain = json_text(path), *shown = run_masked(run, plain); // "?token=…"
    const char *target = json_string_value(shown);
    auto_free char *what = xasprintf("%s %s", method, target);
    if (gate_open(run, what, err) < 0 || (!h && run_here(run, &h, err) < 0))
        return -1;
    json_t *after = options ? json_deep_copy(options) : json_object();
    json_object_set_new(after, "method", json_text(method));
    json_object_set_new(after, "path", json_text(path));
    if (body)
        json_object_set_new(after, "body", json_deep_copy(body));
    return gate_pass(effect_new(OF_nova_request, h, target, json_object(), after), result, err);
}
