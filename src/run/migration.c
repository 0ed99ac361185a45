// SPDX-License-Identifier: MIT
#include "run/migration.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "run/cloud.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { SECONDS_PER_GIB = 800, ASK_EVERY_MS = 1000, STALLED_S = 3, BROKEN_MS = 5000 };

int migration_open(struct run *run, const struct run_host *dest, const char *what, struct error *err)
{
    if (gate_open(run, what, err) < 0)
        return -1;
    if (run->phase != PHASE_MIGRATE)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "%s: only a step of the phase migrate moves the guest", what);
    if (!run->instance || !run->source)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s: this run has no instance to move", what);
    if (dest && !run->dest)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s: this run has no destination; the policy must take one (takes = { \"instance\", "
                         "\"host\" }), and the command line must name it",
                         what);
    if (dest != run->dest)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s: this run moves it to %s alone", what,
                         run_dest_name(run));
    if (run->migration_attempted || run->moved)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s: a run moves its guest once", what);
    return 0;
}

int migration_timeout(const struct run *run, const json_t *options, double *seconds, struct error *err)
{
    const json_t *given = json_object_get(options, "timeout");
    double gib = json_num(run->instance, "memory", 0) / (double)(1 << 30);
    // As Nova's live_migration_completion_timeout: it grows with the guest's memory.
    *seconds = given ? json_number_value(given) : SECONDS_PER_GIB * (gib < 1 ? 1 : gib);
    if (ms_of_seconds(*seconds) > 0)
        return 0;
    return error_set(err, ERR_POLICY, 0,
                     "a migration's timeout is a number of seconds above 0, or \"auto\" (not %g)", *seconds);
}

int migration_note(const struct effect *e, struct error *err)
{
    auto_message struct message answer = {0};
    json_t *args = json_object();
    effect_note(e, args);
    return host_call(e->host->run->source->agent, "note", args, NULL, 0, 0, &answer, err);
}

bool migration_in_post_copy(struct run *run, bool *known)
{
    auto_json json_t *domain = NULL;
    const char *uuid = json_str(run->instance, "uuid", "");
    *known = run->source->virt && virt_domain(run->source->virt, uuid, &domain, NULL) == 0;
    return *known && strncmp(json_str(domain, "reason", ""), "post-copy", 9) == 0;
}

static bool has_begun_post_copy(struct run *run)
{
    bool known;
    if (run->pace.possible && !run->pace.begun && now_ms() >= run->pace.ask) {
        run->pace.begun = migration_in_post_copy(run, &known);
        run->pace.ask = deadline_in(ASK_EVERY_MS);
    }
    return run->pace.begun;
}

bool migration_is_broken(struct run *run)
{
    auto_json json_t *domain = NULL;
    const char *uuid = json_str(run->instance, "uuid", "");
    if (!run->pace.begun || now_ms() < run->pace.ask)
        return false;
    run->pace.ask = deadline_in(ASK_EVERY_MS);
    if (virt_domain(run->source->virt, uuid, &domain, NULL) < 0 ||
        !STREQ(json_str(domain, "reason", ""), "post-copy failed"))
        run->pace.broken = 0;
    else if (!run->pace.broken)
        run->pace.broken = deadline_in(BROKEN_MS);
    return run->pace.broken && now_ms() >= run->pace.broken;
}

// For how many seconds nothing has been sent, once that is worth a word; QEMU's own rates stay as they were.
static double stalled_for(struct run *run, double done)
{
    double now = wall_time();
    if (done > run->pace.done || run->pace.since <= 0) {
        run->pace.done = done;
        run->pace.since = now;
    }
    return now - run->pace.since >= STALLED_S ? now - run->pace.since : 0;
}

// What is left takes how long, at this pace; NULL: nobody can tell.
static json_t *time_left(double remaining, double bandwidth, double dirty)
{
    return bandwidth > dirty ? json_real(remaining / (bandwidth - dirty)) : json_null();
}

void migration_tell_progress(struct run *run, const json_t *job, bool last)
{
    double total = json_num(job, "memory_total", 0) + json_num(job, "disk_total", 0);
    double done = json_num(job, "memory_processed", 0) + json_num(job, "disk_processed", 0);
    double remaining = json_num(job, "memory_remaining", 0) + json_num(job, "disk_remaining", 0);
    double page = json_num(job, "memory_page_size", 4096), bandwidth = json_num(job, "memory_bps", 0);
    double dirty = json_num(job, "memory_dirty_rate", 0) * page,
           elapsed = json_num(job, "time_elapsed", 0) / 1000;
    if (total <= 0)
        return;
    double stalled = last ? 0 : stalled_for(run, done);
    bool post_copy = !last && has_begun_post_copy(run);
    if (bandwidth <= 0 && elapsed > 0)
        bandwidth = done / elapsed;
    if (stalled > 0)
        bandwidth = 0;
    run_emit(run, "progress",
             json_pack("{s:s, s:f, s:f, s:f, s:f, s:f, s:f, s:I, s:f, s:o, s:b, s:b, s:f}", "what",
                       "migration", "total", total, "processed", total - remaining, "remaining", remaining,
                       "percent", 100 * (total - remaining) / total, "bandwidth", bandwidth, "dirty_rate",
                       dirty, "iteration", (json_int_t)json_int(job, "memory_iteration", 0), "elapsed",
                       elapsed, "left", post_copy ? json_null() : time_left(remaining, bandwidth, dirty),
                       "last", last, "post_copy", post_copy, "stalled", stalled));
}

void migration_take_result(struct effect *e, double started)
{
    struct run *run = e->host->run;
    auto_json json_t *job = NULL;
    const char *uuid = json_str(run->instance, "uuid", "");
    if (run->dest && run->dest->virt && virt_job(run->dest->virt, uuid, true, &job, NULL) == 0) {
        run->downtime = json_object_get(job, "downtime") ? json_num(job, "downtime", 0) / 1000 : -1;
        migration_tell_progress(run, job, true);
    }
    if (!e->result)
        e->result = json_object();
    json_object_update_new(e->result,
                           json_pack("{s:f, s:f, s:f}", "seconds", wall_time() - started, "downtime",
                                     run->downtime, "total", json_num(job, "memory_total", 0)));
}

void migration_tell_stopping(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *how = xvasprintf(format, args);
    va_end(args);
    if (interrupt_count > 0)
        run_answer(run, "Stopping: %s", how);
    else
        run_message(run, "info", "Stopping: %s", how);
}

void migration_stopped(double timeout, struct error *why)
{
    auto_free char *after = duration_text(timeout);
    if (interrupt_count > 0)
        error_set(why, ERR_INTERRUPTED, 0, "interrupted; the migration was aborted");
    else
        error_set(why, ERR_TIMEOUT, 0, "not done after %s (--timeout), so the migration was aborted", after);
}
