// SPDX-License-Identifier: MIT
// The migration itself: one effect, watched from here, run by the source's libvirtd (peer to peer: it
// outlives migrun).
#include "base/clock.h"
#include "base/diff.h"
#include "base/interrupt.h"
#include "base/uri.h"
#include "base/xml.h"
#include "run/change.h"
#include "run/migration.h"
#include "run/verdict.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

enum { POLL_MS = 200, ABORT_PATIENCE_MS = 30000, SECONDS_PER_GIB = 800 };

static bool has(const json_t *flags, const char *name)
{
    size_t i;
    json_t *flag;
    json_array_foreach(flags, i, flag)
        if (STREQ(json_string_value(flag), name))
            return true;
    return false;
}

static const char *uuid_of(const struct run *run) { return json_str(run->instance, "uuid", ""); }

// The guest's XML and its definition, as they are and as the destination gets them (after NULL: the same).
struct texts {
    struct text_pair live, defined;
    char *difference; // once it was told
};

static void free_texts(void *own)
{
    struct texts *t = own;
    char *all[] = {t->live.before, t->live.after, t->defined.before, t->defined.after, t->difference};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        free(all[i]);
    free(t);
}

static struct text_pair copy_of(const struct text_pair *texts)
{
    return texts->after ? (struct text_pair){.before = xstrdup(texts->before), .after = xstrdup(texts->after)}
                        : (struct text_pair){0};
}

// What the destination's XML has that the source's has not.
static int tell_difference(const struct effect *e, char **detail, struct error *err)
{
    auto_free char *from = xasprintf("%s on %s", effect_target(e), run_host_name(e->host->run->source));
    auto_free char *to = xasprintf("%s on %s", effect_target(e), run_host_name(e->host)), *live = NULL,
                   *defined = NULL;
    const struct texts *t = e->own;
    if (diff_text(t->live.before, t->live.after, from, to, &live, err) < 0)
        return -1;
    if (t->defined.after && diff_text(t->defined.before, t->defined.after, from, to, &defined, err) < 0)
        return -1;
    // The definition, which its next start will take, usually changes as the live XML does.
    if (defined && !STREQ(defined, live))
        *detail = xasprintf("%sand its definition:\n%s", live, defined);
    else
        *detail = steal(&live);
    return 0;
}

static int describe_migrate(const struct effect *e, char **summary, char **detail, struct error *err)
{
    const json_t *after = effect_after(e);
    const struct texts *t = e->own;
    auto_free char *timeout = duration_text(json_num(after, "timeout", 0));
    *summary = xasprintf("peer to peer, to %s, up to %s", json_str(after, "uri", ""), timeout);
    *detail = NULL;
    if (t && t->difference)
        *detail = xstrdup(t->difference);
    else if (t && t->live.after)
        return tell_difference(e, detail, err);
    return 0;
}

static int observe_migrate(struct effect *e, enum observed *seen, struct error *err)
{
    (void)err;
    return run_observe_migration(e->host->run, seen);
}

// The source's libvirtd will open the URI, so it is tried from there first.
static int try_uri(struct run *run, const char *uri, struct error *err)
{
    auto_free char *name = NULL;
    int port;
    if (uri_target(uri, &name, &port) < 0)
        return error_set(err, ERR_POLICY, 0,
                         "'%s' is no URI of a libvirtd that %s could reach; qemu+tcp://HOST/system is one",
                         uri, run_host_name(run->source));
    auto_message struct message answer = {0};
    if (host_call(run->source->agent, "reach",
                  json_pack("{s:s, s:[i], s:i}", "host", name, "ports", port, "timeout", 5000), NULL, 0,
                  20000, &answer, err) < 0)
        return -1;
    auto_free char *key = xasprintf("%d", port);
    const json_t *tried = json_object_get(json_object_get(json_object_get(answer.head, "result"), "ports"),
                                          key);
    if (!json_flag(tried, "open", false))
        return error_set(err, ERR_HOST, HOST_UNREACHED,
                         "%s cannot reach %s:%d (%s), where libvirtd of the destination should listen",
                         run_host_name(run->source), name, port, json_str(tried, "error", "no answer"));
    return 0;
}

// The watch over one migration. give_up: until when its end is waited for once it is to stop, 0: it is not.
struct watch {
    struct run *run;
    double timeout;
    int64_t deadline, give_up, abort_again;
    bool told_late;
    struct error *why; // what the abort was for
};

static void tell_too_late(struct watch *w)
{
    if (!w->told_late)
        run_answer(w->run,
                   "It is too late to stop: %s runs on %s already, and the rest of its memory follows "
                   "(post-copy); waiting for its end",
                   json_str(w->run->instance, "name", ""), run_host_name(w->run->dest));
    w->told_late = true;
}

static void begin_to_stop(struct watch *w, bool stays)
{
    migration_stopped(w->timeout, w->why);
    if (w->run->stops_at > now_ms())
        w->run->stops_at = now_ms();
    auto_free char *stay = stays ? xasprintf(" (the guest stays on %s)", run_host_name(w->run->source))
                                 : NULL;
    migration_tell_stopping(w->run, "aborting the migration%s", stay ? stay : "");
    w->give_up = deadline_in(ABORT_PATIENCE_MS);
}

static void stop_if_due(struct watch *w)
{
    bool known, due = !w->give_up && (interrupt_count > 0 || (w->deadline && now_ms() >= w->deadline));
    if (due)
        run_hurry(w->run, true); // libvirt answers no abort while the destination hangs
    if (due && migration_in_post_copy(w->run, &known))
        tell_too_late(w);
    else if (due)
        begin_to_stop(w, known);
    // An abort may come before the job has begun: it is asked for until the migration has ended.
    if (w->give_up && now_ms() >= w->abort_again) {
        virt_migrate_abort(w->run->source->virt, uuid_of(w->run), NULL);
        w->abort_again = deadline_in(500);
    }
}

// Waits for the end, tells the progress, aborts at the deadline or an interrupt. why: what the abort was for.
static int watch(struct run *run, struct virt_migration *migration, double timeout, struct error *why)
{
    struct watch w = {.run = run, .timeout = timeout, .deadline = run->stops_at, .why = why};
    for (int wait = 50; !virt_migrate_wait(migration, wait); wait = POLL_MS) {
        interrupts_notice();
        auto_json json_t *job = NULL;
        if (virt_job(run->source->virt, uuid_of(run), false, &job, NULL) == 0)
            migration_tell_progress(run, job, false);
        stop_if_due(&w);
        if (migration_is_broken(run))
            return error_set(why, ERR_LIBVIRT, 0, "migration failed in post-copy phase");
        if ((w.give_up && now_ms() >= w.give_up) || (w.told_late && interrupt_count > 1)) {
            if (w.told_late && !w.give_up)
                error_set(why, ERR_INTERRUPTED, 0, "interrupted; the migration goes on (post-copy)");
            return -1;
        }
    }
    return w.give_up ? -1 : 0;
}

static enum made apply_migrate(struct effect *e, struct error *err)
{
    struct run *run = e->host->run;
    const json_t *after = effect_after(e);
    auto_json json_t *params = json_deep_copy(json_object_get(after, "params"));
    struct texts *t = e->own;
    if (t->live.after)
        json_object_set_new(params, "destination_xml", json_string(t->live.after));
    if (t->defined.after && has(json_object_get(after, "flags"), "PERSIST_DEST"))
        json_object_set_new(params, "persistent_xml", json_string(t->defined.after));
    if (try_uri(run, json_str(after, "uri", ""), err) < 0)
        return NOT_MADE;
    struct virt_migration *migration;
    double started = wall_time();
    if (migration_note(e, err) < 0)
        return NOT_MADE;
    run->migration_attempted = true;
    run->migration_began = wall_time();
    if (virt_migrate_start(run->source->virt, uuid_of(run), json_str(after, "uri", ""), params,
                           json_object_get(after, "flags"), &migration, err) < 0)
        return NOT_MADE;
    if (t->live.after) // told at the end; meanwhile there is time for it
        tell_difference(e, &t->difference, NULL);
    struct error why = {0};
    run->pace.possible = has(json_object_get(after, "flags"), "POSTCOPY");
    run->stops_at = deadline_in(ms_of_seconds(json_num(after, "timeout", 0)));
    int stopped = watch(run, migration, json_num(after, "timeout", 0), &why);
    if (virt_migrate_end(migration, err) < 0) {
        if (stopped < 0 && err)
            *err = why;
        return MADE_UNKNOWN;
    }
    run->moved = true;
    migration_take_result(e, started);
    return MADE;
}

const struct effect_kind effect_migrate = {
    .name = "libvirt.migrate",
    .note = NOTE_AT_SOURCE,
    .describe = describe_migrate,
    .observe = observe_migrate,
    .apply = apply_migrate,
    .free_own = free_texts,
};

// ---- a disk that would be copied onto itself ----

// File systems that no other host has mounted, too: equal numbers there are two files'.
static bool is_local(const char *fstype)
{
    static const char *const local[] = {"ext2", "ext3", "ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay"};
    for (size_t i = 0; i < COUNT_OF(local); i++)
        if (STREQ(local[i], fstype))
            return true;
    return false;
}

// Whether two hosts' views of a path (ops.h: storage) are of one file or device.
static bool is_one(const json_t *here, const json_t *there)
{
    size_t i;
    json_t *id;
    if (!here || !there || !STREQ(json_str(here, "type", ""), json_str(there, "type", "?")))
        return false;
    json_array_foreach(json_object_get(here, "ids"), i, id)
        if (has(json_object_get(there, "ids"), json_string_value(id)))
            return true;
    return STREQ(json_str(here, "type", ""), "file") && !is_local(json_str(here, "fstype", "")) &&
           json_int(here, "inode", -1) == json_int(there, "inode", -2) &&
           json_int(here, "size", -1) == json_int(there, "size", -2);
}

// libvirt copies every disk that is neither read-only nor shareable, and does not look whether it is there
// already.
static int refuse_copies(const struct run *run, const struct run_host *dest, const json_t *flags,
                         const json_t *params, struct error *err)
{
    static const char copied[] = "devices/disk[not(readonly) and not(shareable)]/source/@file | "
                                 "devices/disk[not(readonly) and not(shareable)]/source/@dev";
    bool copies = has(flags, "NON_SHARED_DISK") || has(flags, "NON_SHARED_INC");
    const json_t *here = json_object_get(run->source->facts, "storage"),
                 *there = json_object_get(dest->facts, "storage");
    struct xml *doc = NULL;
    char **paths = NULL;
    size_t count = 0, i = 0;
    if (!copies || json_object_get(params, "migrate_disks") || !run->instance_xml ||
        xml_parse(run->instance_xml, strlen(run->instance_xml), &doc, NULL) < 0)
        return 0;
    xml_values(doc, copied, &paths, &count, NULL);
    while (i < count && !is_one(json_object_get(here, paths[i]), json_object_get(there, paths[i])))
        i++;
    int rc = i == count ? 0
                        : error_set(err, ERR_REFUSED, REFUSED_OTHER,
                                    "%s is one and the same on %s and %s, and libvirt would copy it onto "
                                    "itself: leave out NON_SHARED_DISK (NON_SHARED_INC), or name the disks "
                                    "that are to be copied (params = { migrate_disks = … })",
                                    paths[i], run_host_name(run->source), run_host_name(dest));
    strv_free(paths);
    xml_free(doc);
    return rc;
}

// By its qemu.conf: libvirt refuses a migration that is not encrypted then.
static bool is_tls_forced(const struct run_host *h)
{
    const json_t *conf = json_object_get(json_object_get(h ? h->facts : NULL, "libvirt"), "conf");
    return json_int(conf, "migrate_tls_force", 0) == 1;
}

// The usual flags, and what the policy adds ("UNSAFE") or takes away ("-PEER2PEER").
static json_t *flags_of(const struct run *run, const json_t *given)
{
    json_t *flags = json_array();
    bool persistent = json_flag(run->instance, "persistent", false);
    static const char *const usual[] = {"LIVE", "PEER2PEER", "PERSIST_DEST", "UNDEFINE_SOURCE"};
    for (size_t i = 0; i < COUNT_OF(usual); i++) {
        auto_free char *without = xasprintf("-%s", usual[i]);
        if ((i < 2 || persistent) && !has(given, without))
            json_array_append_new(flags, json_string(usual[i]));
    }
    if ((is_tls_forced(run->source) || is_tls_forced(run->dest)) && !has(given, "-TLS"))
        json_array_append_new(flags, json_string("TLS"));
    size_t i;
    json_t *flag;
    json_array_foreach(given, i, flag)
        if (json_string_value(flag)[0] != '-' && !has(flags, json_string_value(flag)))
            json_array_append(flags, flag);
    return flags;
}

static json_t *filled(const char *pattern, const struct run_host *host)
{
    auto_free char *uri = uri_fill(pattern, run_host_name(host));
    return json_text(uri);
}

int change_migrate(struct run_host *dest, const json_t *options, const struct text_pair *live,
                   const struct text_pair *persistent, const json_t **outcome, struct error *err)
{
    struct run *run = dest->run;
    const char *name = json_str(run->instance, "name", "");
    auto_free char *what = xasprintf("migrating %s to %s", name, run_host_name(dest));
    double timeout;
    if (migration_open(run, dest, what, err) < 0 || migration_timeout(run, options, &timeout, err) < 0)
        return -1;
    auto_json json_t *flags = flags_of(run, json_object_get(options, "flags"));
    auto_json json_t *params = json_object_get(options, "params")
                                   ? json_deep_copy(json_object_get(options, "params"))
                                   : json_object();
    const json_t *settings = json_object_get(host_spec(dest->agent)->settings, "libvirt");
    const char *migrate_uri = json_str(settings, "migrate_uri", NULL);
    if (migrate_uri && !json_object_get(params, "migrate_uri"))
        json_object_set_new(params, "migrate_uri", filled(migrate_uri, dest));
    if (virt_migrate_check(params, flags, err) < 0 || refuse_copies(run, dest, flags, params, err) < 0)
        return -1;
    auto_json json_t *uri = filled(
        json_str(options, "uri", json_str(settings, "uri", "qemu+tcp://%s/system")), dest);
    struct effect *e = effect_new(OF_migrate, dest, name,
                                  json_pack("{s:s}", "host", run_host_name(run->source)),
                                  json_pack("{s:s, s:O, s:O, s:O, s:f}", "host", run_host_name(dest), "uri",
                                            uri, "flags", flags, "params", params, "timeout", timeout));
    struct texts *texts = e->own = xcalloc(1, sizeof *texts);
    texts->live = copy_of(live);
    texts->defined = copy_of(persistent);
    if (gate_pass(e, outcome, err) < 0)
        return -1;
    if (run->options->preview)
        run->moved = true; // for the steps to come; a preview's verdict does not ask it
    return 0;
}
