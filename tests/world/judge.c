// SPDX-License-Identifier: MIT
#include "judge.h"

#include "fake_cloud.h"

#include "base/text.h"
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

enum { DIFFERENCE_BEFORE = 20 };

// ---- the world afterwards ----

static void flatten_files(json_t *flat, const char *where, const json_t *files)
{
    const char *path;
    json_t *file;
    json_object_foreach((json_t *)(uintptr_t)files, path, file) {
        if (strncmp(path, "/var/log/", 9) == 0)
            continue;
        auto_free char *key = xasprintf("%s file %s", where, path);
        auto_free char *value = xasprintf("%s %04o %d:%d '%s'", json_str(file, "type", ""),
                                          (unsigned)json_int(file, "mode", 0), (int)json_int(file, "uid", -1),
                                          (int)json_int(file, "gid", -1), json_str(file, "content", ""));
        json_object_set_new(flat, key, json_string(value));
    }
}

static void flatten_named(json_t *flat, const char *where, const char *kind, const json_t *named)
{
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)(uintptr_t)named, name, value) {
        auto_free char *key = xasprintf("%s %s %s", where, kind, name);
        json_object_set_new(flat, key, json_is_string(value) ? json_incref(value) : json_string("is there"));
    }
}

static void flatten_guests(json_t *flat, const char *where, const json_t *domains, bool with_pid)
{
    const char *uuid;
    json_t *domain;
    json_object_foreach((json_t *)(uintptr_t)domains, uuid, domain) {
        const char *name = json_str(domain, "name", "");
        auto_free char *key = xasprintf("%s guest %s", where, name);
        auto_free char *pid = with_pid ? xasprintf(", pid %d", (int)json_int(domain, "pid", 0)) : xstrdup("");
        auto_free char *value = xasprintf("%s%s%s%s", json_str(domain, "state", ""),
                                          json_flag(domain, "persistent", false) ? ", persistent" : "",
                                          json_flag(domain, "autostart", false) ? ", autostart" : "", pid);
        json_object_set_new(flat, key, json_string(value));
        static const char *const texts[] = {"xml", "inactive_xml"};
        for (size_t i = 0; i < COUNT_OF(texts); i++) {
            auto_free char *text_key = xasprintf("%s %s %s", where, texts[i], name);
            json_object_set(flat, text_key, json_object_get(domain, texts[i]));
        }
    }
}

static void flatten_holds(json_t *flat, const json_t *holds)
{
    const char *consumer, *host;
    json_t *hosts, *flag;
    json_object_foreach((json_t *)(uintptr_t)holds, consumer, hosts)
        json_object_foreach(hosts, host, flag) {
            auto_free char *key = xasprintf("placement %s %s",
                                            STREQ(consumer, WORLD_UUID) ? "instance" : "migration", host);
            json_object_set_new(flat, key, json_string("is held"));
        }
}

// Migrations that have ended are history.
static void flatten_cloud(json_t *flat, const json_t *w)
{
    const json_t *cloud = fake_cloud(w), *server = json_object_get(cloud, "server"),
                 *migration = fake_cloud_migration(w);
    static const char *const kept[] = {"host", "status", "task", "reason"};
    const char *host;
    json_t *service;
    if (!cloud)
        return;
    for (size_t i = 0; i < COUNT_OF(kept); i++) {
        auto_free char *key = xasprintf("nova server %s", kept[i]);
        json_object_set(flat, key, json_object_get(server, kept[i]));
    }
    json_object_set_new(flat, "nova server lock",
                        json_string(json_flag(server, "locked", false) ? "locked" : "unlocked"));
    if (migration)
        json_object_set(flat, "nova server migration", json_object_get(migration, "status"));
    json_object_foreach(json_object_get(cloud, "services"), host, service) {
        auto_free char *key = xasprintf("nova service %s", host);
        json_object_set(flat, key, json_object_get(service, "status"));
    }
    flatten_holds(flat, json_object_get(cloud, "holds"));
    flatten_named(flat, "neutron", "binding", json_object_get(cloud, "bindings"));
}

// Every thing of a world that counts, by "WHERE KIND NAME". Originals and notes stay on their host until
// `migrun prune`.
static json_t *flatten(const json_t *w, bool with_pid)
{
    json_t *flat = json_object(), *host;
    const char *name;
    flatten_files(flat, "both", json_object_get(w, "shared"));
    json_object_foreach(json_object_get(w, "hosts"), name, host) {
        static const char *const kinds[] = {"services", "claims"};
        flatten_files(flat, name, json_object_get(host, "files"));
        for (size_t i = 0; i < COUNT_OF(kinds); i++)
            flatten_named(flat, name, kinds[i], json_object_get(host, kinds[i]));
        flatten_guests(flat, name, json_object_get(host, "domains"), with_pid);
    }
    flatten_cloud(flat, w);
    return flat;
}

// A guest that somebody stopped or suspended is told of by the verdict's own words; what libvirt has of it
// changed with it.
static void forget_guest(json_t *flat)
{
    static const char *const of_guest[] = {" guest ", "xml " WORLD_GUEST, WORLD_STATUS, WORLD_DEFINITION,
                                           WORLD_FOLDER "/disk"};
    const char *key;
    json_t *value;
    void *next;
    json_object_foreach_safe(flat, next, key, value)
        for (size_t i = 0; i < COUNT_OF(of_guest); i++)
            if (strstr(key, of_guest[i])) {
                json_object_del(flat, key);
                break;
            }
}

// From a little before the first byte that differs.
static json_t *difference(const char *is, const char *should)
{
    size_t same = 0;
    while (is[same] && is[same] == should[same])
        same++;
    size_t from = same > DIFFERENCE_BEFORE ? same - DIFFERENCE_BEFORE : 0;
    return json_sprintf("is %.60s, not %.60s", is + from, should + from);
}

// {what differs: how}.
static json_t *differences(const json_t *is, const json_t *should, bool with_pid)
{
    auto_json json_t *now = flatten(is, with_pid), *then = flatten(should, with_pid);
    json_t *all = json_object(), *value;
    const char *key;
    if (world_outcome(is)->compute_dies) // by itself: the run has no part in that
        json_object_set(now, "compute-1 services nova-compute",
                        json_object_get(then, "compute-1 services nova-compute"));
    if (world_outcome(is)->dest_dies)
        json_object_set(now, "compute-2 services nova-compute",
                        json_object_get(then, "compute-2 services nova-compute"));
    if (world_guest_rests(is)) {
        forget_guest(now);
        forget_guest(then);
    }
    json_object_foreach(now, key, value)
        if (!json_object_get(then, key))
            json_object_set_new(all, key, json_string("is left over"));
        else if (!json_equal(value, json_object_get(then, key)))
            json_object_set_new(all, key, difference(json_string_value(value), json_str(then, key, "")));
    json_object_foreach(then, key, value)
        if (!json_object_get(now, key))
            json_object_set_new(all, key, json_string("is gone"));
    return all;
}

static bool runs(const json_t *w, const char *host)
{
    const json_t *domain = world_domain(w, host, WORLD_UUID);
    return STREQ(json_str(domain, "state", ""), "running") &&
           !STREQ(json_str(domain, "reason", ""), "post-copy failed");
}

static bool is_at(const json_t *w, const char *host, const char *other)
{
    const json_t *there = world_domain(w, other, WORLD_UUID);
    return runs(w, host) && (!there || STREQ(json_str(there, "state", ""), "shut off"));
}

// ---- judging ----

const char *const judgement_names[JUDGEMENTS] = {"as before", "moved",   "named",
                                                 "in doubt",  "deleted", "wrong"};

enum judgement wrong(char **why, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (vasprintf(why, format, args) < 0)
        abort();
    va_end(args);
    return WRONG;
}

static char *told_text(const struct ending *e)
{
    struct buf text = {0};
    size_t i;
    json_t *detail;
    buf_printf(&text, "%s\n%s", json_str(e->verdict, "line", ""), e->warnings);
    json_array_foreach(json_object_get(e->verdict, "details"), i, detail)
        buf_printf(&text, "\n%s: %s", json_str(detail, "label", ""), json_str(detail, "text", ""));
    return buf_take(&text);
}

static enum judgement list(char **why, const char *what, const json_t *differ)
{
    auto_buf struct buf all = {0};
    const char *key;
    json_t *how;
    json_object_foreach((json_t *)(uintptr_t)differ, key, how)
        buf_printf(&all, "; %s %s", key, json_string_value(how));
    return wrong(why, "%s%s", what, all.data);
}

// How the verdict names what the cloud has otherwise: each of these by its own words, or by that who keeps it
// cannot be asked.
static const struct {
    const char *key, *words;
} of_cloud[] = {
    {"nova server host", "Nova has it on"},
    {"nova server task", "Nova still has a task for it"},
    {"nova server status", "its status in Nova is"},
    {"nova server lock", "in Nova"},
    {"nova server reason", "in Nova"},
    {"nova server migration", "Nova's record of the migration"},
    {"nova service", "nova-compute"},
    {"nova", "Nova cannot be asked"},
    {"placement migration", "Placement still holds"},
    {"placement migration", "nor Placement what it still holds for it"},
    {"placement instance", "Placement counts it nowhere"},
    {"placement instance", "Placement still counts it"},
    {"placement", "Placement cannot be asked"},
    {"placement", "nor Placement and Neutron"},
    {"neutron", CLOUD_PORT},
    {"neutron", "Neutron cannot be asked"},
    {"neutron", "nor Placement and Neutron"},
};

static bool is_of_cloud(const char *key)
{
    return strncmp(key, "nova ", 5) == 0 || strncmp(key, "placement ", 10) == 0 ||
           strncmp(key, "neutron ", 8) == 0;
}

static bool names_of_cloud(const char *text, const char *key)
{
    for (size_t i = 0; i < COUNT_OF(of_cloud); i++)
        if (strncmp(key, of_cloud[i].key, strlen(of_cloud[i].key)) == 0 && strstr(text, of_cloud[i].words))
            return true;
    return false;
}

// What an agent that died left beside a file is named with that file: to end its change ends it, too.
static bool names_neighbour(const char *text, const char *thing)
{
    const char *left = strstr(thing, "/.migrun-");
    auto_free char *folder = left ? xstrndup(thing, (size_t)(left - thing) + 1) : NULL;
    return folder && strstr(text, folder);
}

// Whether a text names a thing; libvirtd's definition of a guest is named with the guest, and the guest by
// its name in Nova.
static bool names(const char *text, const char *key)
{
    if (is_of_cloud(key))
        return names_of_cloud(text, key);
    const char *thing = strrchr(key, ' ') + 1;
    if (names_neighbour(text, thing))
        return true;
    if (strncmp(thing, "/etc/libvirt/qemu/", 18) == 0)
        thing += 18;
    if (strncmp(thing, "/run/migrun_", 12) == 0) // a table of nft's, by its name
        thing += 5;
    auto_free char *name = xstrndup(thing,
                                    strlen(thing) - (thing[0] != '/' && strstr(thing, ".xml") ? 4 : 0));
    return strstr(text, name) || (STREQ(name, WORLD_GUEST) && strstr(text, CLOUD_SERVER));
}

// What no fix-up is for: the verdict itself asks after it.
static bool is_where_nova_has_it(const char *key)
{
    bool lock = strstr(key, " lock") || strstr(key, " reason");
    return is_of_cloud(key) && strncmp(key, "nova service", 12) != 0 && !lock;
}

// Whether the operator is told of each thing that is not as it should be; what a fix-up or an undo that
// failed was for, and what a run that has no fix-ups any more leaves to do, need not be named.
static enum judgement all_told(const struct ending *e, json_t *differ, const char *what, char **why)
{
    auto_free char *text = told_text(e);
    bool left = e->status == OUTCOME_MOVED_BUT || e->status == OUTCOME_NOT_RESTORED;
    bool half = (left && strstr(text, "failed:")) || strstr(e->warnings, "no fix-ups");
    const char *key;
    json_t *how;
    void *next;
    json_object_foreach_safe(differ, next, key, how)
        if ((half && !is_where_nova_has_it(key)) || names(text, key))
            json_object_del(differ, key);
    return json_object_size(differ) ? list(why, what, differ) : NAMED;
}

static bool only_claims(const json_t *differ)
{
    const char *key;
    json_t *how;
    json_object_foreach((json_t *)(uintptr_t)differ, key, how)
        if (!strstr(key, " claims "))
            return false;
    return true;
}

static enum judgement judge_still(const struct truth *t, const struct ending *e, char **why)
{
    auto_json json_t *differ = differences(t->now, t->before, true);
    if (json_object_size(differ) == 0)
        return AS_BEFORE;
    bool untouched = e->status == OUTCOME_REFUSED ||
                     e->status == OUTCOME_MOVED; // refused, a preview, or nothing to recover
    if (untouched && !only_claims(differ))
        return list(why, "said to be untouched", differ);
    bool said = e->status == OUTCOME_NOT_RESTORED || e->status == OUTCOME_NOT_MOVED;
    if (said && !world_guest_rests(t->now) && !is_at(t->now, "compute-1", "compute-2"))
        return list(why, "said not to have moved", differ);
    return all_told(e, differ, "said to be as before", why);
}

static enum judgement judge_moved(const struct truth *t, const struct ending *e, bool stays, char **why)
{
    auto_json json_t *differ = differences(t->now, t->after, false);
    if (json_object_size(differ) == 0)
        return MOVED;
    if (e->status == OUTCOME_MOVED && !only_claims(differ) && !strstr(e->warnings, "no fix-ups"))
        return list(why, "said to be moved and verified", differ);
    if (!stays && !world_guest_rests(t->now) && !is_at(t->now, "compute-2", "compute-1"))
        return list(why, "said to have moved", differ);
    return all_told(e, differ, "said to be moved", why);
}

// Nothing was left to recover: the run had ended, one way or the other. What it had to say of a Nova that
// died died with it.
static enum judgement judge_ended(const struct truth *t, const struct ending *e, char **why)
{
    auto_json json_t *differ = differences(t->now, t->after, false);
    const char *key;
    json_t *how;
    void *next;
    json_object_foreach_safe(differ, next, key, how)
        if (world_outcome(t->now)->compute_dies && is_where_nova_has_it(key))
            json_object_del(differ, key);
    return json_object_size(differ) == 0 ? MOVED : judge_still(t, e, why);
}

// Where the guest runs nowhere any more, the verdict says so, and is not in doubt.
static bool tells_of_rest(const struct truth *t, const struct ending *e)
{
    static const char *const words[] = {" was shut down on ",   " was destroyed on ", " crashed on ",
                                        " has ended meanwhile", " is paused on ",     " stands paused on "};
    const char *line = json_str(e->verdict, "line", "");
    bool told = !world_guest_rests(t->now) || STREQ(json_str(e->verdict, "outcome", ""), "recovered");
    for (size_t i = 0; i < COUNT_OF(words); i++)
        told = told || strstr(line, words[i]);
    return told;
}

enum judgement judge(const struct scenario *s, const struct truth *t, const struct ending *e, bool faulty,
                     char **why)
{
    if (!e->verdict || json_int(e->verdict, "status", -1) != e->status)
        return wrong(why, "ended with status %d, and its verdict with %d: %.300s", e->status,
                     (int)json_int(e->verdict, "status", -1), e->words);
    const char *outcome = json_str(e->verdict, "outcome", "");
    if (STREQ(outcome, "in_doubt") && faulty) // an interrupted recovery, too
        return IN_DOUBT;
    if (!tells_of_rest(t, e))
        return wrong(why, "does not tell that the guest runs nowhere: %s", json_str(e->verdict, "line", ""));
    if (STREQ(outcome, "deleted")) {
        bool gone = !world_domain(t->now, "compute-1", WORLD_UUID) &&
                    !world_domain(t->now, "compute-2", WORLD_UUID);
        return gone && world_outcome(t->now)->deleted
                   ? GONE
                   : wrong(why, "said to be deleted, and is not: %s", json_str(e->verdict, "line", ""));
    }
    switch (e->status) {
    case OUTCOME_MOVED:
        return STREQ(outcome, "recovered") ? judge_ended(t, e, why)
               : s->preview                ? judge_still(t, e, why)
                                           : judge_moved(t, e, s->stays, why);
    case OUTCOME_MOVED_BUT: return s->preview ? judge_still(t, e, why) : judge_moved(t, e, s->stays, why);
    case OUTCOME_NOT_MOVED:
    case OUTCOME_NOT_RESTORED: return s->undoes ? judge_moved(t, e, true, why) : judge_still(t, e, why);
    case OUTCOME_REFUSED:
    case OUTCOME_INTERRUPTED: return judge_still(t, e, why);
    case OUTCOME_IN_DOUBT:
        if (!is_at(t->now, "compute-1", "compute-2") && !is_at(t->now, "compute-2", "compute-1"))
            return IN_DOUBT;
        if (fake_cloud_is_busy(t->now) && !is_at(t->now, "compute-2", "compute-1"))
            return IN_DOUBT; // Nova may move it yet
        return wrong(why, "said to be in doubt, though both hosts know: %s",
                     json_str(e->verdict, "line", ""));
    default: return wrong(why, "ended with status %d", e->status);
    }
}

enum judgement judge_model(const struct scenario *s, const struct truth *known, char **why)
{
    const json_t *disk = world_file(known->after, "compute-1", WORLD_FOLDER "/disk");
    const json_t *log = world_file(known->after, "compute-1", WORLD_FOLDER "/console.log");
    const json_t *was = world_domain(known->before, "compute-1", WORLD_UUID),
                 *is = world_domain(known->after, "compute-2", WORLD_UUID);
    if (json_int(disk, "uid", -1) != WORLD_QEMU || json_int(disk, "gid", -1) != WORLD_QEMU ||
        json_int(log, "uid", -1) != 0)
        return wrong(why, "the run that goes well leaves the guest's files to somebody else");
    if (s->stays)
        return AS_BEFORE;
    if (!is_at(known->after, "compute-2", "compute-1") || world_domain(known->after, "compute-1", WORLD_UUID))
        return wrong(why, "the run that goes well does not move the guest");
    bool persistent = json_flag(is, "persistent", false);
    if (persistent != json_flag(was, "persistent", false) ||
        json_flag(is, "autostart", false) != json_flag(was, "autostart", false))
        return wrong(why, "the run that goes well loses the guest's definition or its autostart");
    if (strstr(json_str(is, "xml", ""), "10.88.0.11") ||
        (persistent && strstr(json_str(is, "inactive_xml", ""), "10.88.0.11")))
        return wrong(why, "the run that goes well leaves an address of the source");
    return MOVED;
}
