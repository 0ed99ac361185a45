// SPDX-License-Identifier: MIT
// The surgery's actions: begin (checks every guest, records the active units, arms the guard, stops), stage
// (keeps a file's new contents), commit (puts them in place, starts, checks every guest), abort (restores),
// settle (ends an abandoned one: waits for its guard, or restores), look (reports).
#include "base/clock.h"
#include "base/io.h"
#include "world/agent/surgery.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static json_t *told(const struct surgery *s)
{
    json_t *edits = json_array(), *edit;
    size_t i;
    json_array_foreach(json_object_get(s->manifest, "edits"), i, edit)
        json_array_append(edits, json_object_get(edit, "path"));
    return json_pack("{s:s, s:s, s:f, s:o, s:o}", "phase", json_str(s->manifest, "phase", "none"), "text",
                     json_str(s->manifest, "text", ""), "at", json_num(s->manifest, "at", 0), "lost",
                     json_object_get(s->manifest, "lost")
                         ? json_deep_copy(json_object_get(s->manifest, "lost"))
                         : json_array(),
                     "edits", edits);
}

// The agent's surgery has ended, one way or the other: its guard finds the lock free, sees that, and exits.
static void end_own(struct agent *agent)
{
    struct surgery *s = agent->surgery;
    agent->surgery = NULL;
    surgery_free(s);
    free(s);
}

// Takes the surgery's number for this agent alone; refuses one that is, or was, used.
static int take_number(struct surgery *s, const char *keep, struct error *err)
{
    if (surgery_load(keep, s, err) < 0)
        return -1;
    int got = s->manifest ? 1 : surgery_lock(s, false, err);
    if (got < 0)
        return -1;
    if (got == 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "surgery %s/%s is already in progress", s->run,
                         s->number);
    auto_free char *name = xasprintf("%s.surgery", s->number);
    return faccessat(s->folder, name, F_OK, 0) < 0
               ? 0
               : error_set(err, ERR_BUG, 0, "there was a surgery %s/%s before", s->run, s->number);
}

// The sockets that a request names. They become arguments of systemctl.
static int take_sockets(struct surgery *s, const json_t *request, const char *key, struct error *err)
{
    json_t *units = json_array();
    size_t i;
    json_t *unit;
    json_object_set_new(s->manifest, key, units);
    json_array_foreach(json_object_get(request, key), i, unit) {
        const char *name = json_string_value(unit), *dot = name ? strrchr(name, '.') : NULL;
        if (!dot || !STREQ(dot, ".socket") || *name == '-')
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "'%.80s' is not the name of a socket's unit",
                             name ? name : "?");
        json_array_append(units, unit);
    }
    return json_array_size(units) && json_object_get(s->manifest, "commands")
               ? error_set(err, ERR_REFUSED, REFUSED_OTHER,
                           "%s is stopped and started by the site's own commands, which know no sockets",
                           surgery_unit(s))
               : 0;
}

static int prepare(struct surgery *s, const json_t *request, struct error *err)
{
    json_t *guests = NULL;
    const json_t *commands = json_object_get(request, "commands");
    bool managed = json_flag(request, "managed", false); // it is libvirtd
    s->manifest = json_pack("{s:s, s:b, s:s, s:i, s:s, s:[]}", "unit", json_str(request, "unit", ""),
                            "managed", managed, "socket", json_str(request, "socket", ""), "agent",
                            (int)getpid(), "phase", "open", "edits");
    if (json_object_size(commands))
        json_object_set(s->manifest, "commands", (json_t *)(uintptr_t)commands);
    else if (surgery_record_units(s, err) < 0)
        return -1;
    if (take_sockets(s, request, "with", err) < 0 || take_sockets(s, request, "without", err) < 0)
        return -1;
    if (managed) {
        if (guests_read(s->manifest, &guests, err) < 0)
            return -1;
        json_object_set_new(s->manifest, "guests", guests);
        if (hooks_pass(guests, err) < 0)
            return -1;
    }
    surgery_mark_log(s, json_str(request, "log", ""));
    return surgery_store(s, err) < 0 || guard_arm(s, err) < 0 ? -1 : 0;
}

// Nothing was stopped: removes the manifest.
static void take_back(struct surgery *s)
{
    auto_free char *name = xasprintf("%s.surgery", s->number);
    unlinkat(s->folder, name, 0);
}

static int begin(struct agent *agent, const json_t *request, json_t **result, struct error *err)
{
    if (agent->surgery)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s is stopped already",
                         surgery_unit(agent->surgery));
    struct surgery *s = agent->surgery = xcalloc(1, sizeof *s);
    if (take_number(s, json_str(request, "keep", ""), err) < 0) {
        end_own(agent);
        return -1;
    }
    if (prepare(s, request, err) < 0) {
        take_back(s);
        end_own(agent);
        return -1;
    }
    s->opened = now_ms();
    if (surgery_stop(s, err) < 0) {
        auto_free char *why = xstrdup(err->message);
        surgery_fail(s, why, err);
        end_own(agent);
        return -1;
    }
    *result = told(s);
    return 0;
}

static int check_own(const struct agent *agent, const json_t *request, struct error *err)
{
    auto_free char *own = agent->surgery ? xasprintf("%s/%s", agent->surgery->run, agent->surgery->number)
                                         : NULL;
    if (own && STREQ(own, json_str(request, "surgery", "")))
        return 0;
    return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                     "that surgery is over: migrun was silent for too long, or the step took longer "
                     "than %d s; the originals were restored",
                     SURGERY_OPEN_MS / 1000);
}

static int stage(struct agent *agent, const json_t *request, const char *body, size_t len, json_t **result,
                 struct error *err)
{
    char run[RUN_NAME_MAX + 1], number[KEEP_NUMBER_MAX + 1], hash[65];
    if (check_own(agent, request, err) < 0 || keep_parse(json_str(request, "keep", ""), run, number, err) < 0)
        return -1;
    struct surgery *s = agent->surgery;
    auto_free char *name = xasprintf("%s.new", number);
    if (keep_bytes(s->folder, name, body ? body : "", len) < 0)
        return error_errno(err, errno, "cannot keep the new contents of %s", json_str(request, "path", ""));
    sha256_hex(body ? body : "", len, hash);
    json_array_append_new(
        json_object_get(s->manifest, "edits"),
        json_pack("{s:O, s:O, s:O, s:s, s:s, s:O*, s:O*, s:O*}", "path", json_object_get(request, "path"),
                  "keep", json_object_get(request, "keep"), "expect", json_object_get(request, "expect"),
                  "sha256", hash, "fresh", name, "mode", json_object_get(request, "mode"), "uid",
                  json_object_get(request, "uid"), "gid", json_object_get(request, "gid")));
    *result = json_object();
    return surgery_store(s, err);
}

static int put_in_place(struct agent *agent, const struct surgery *s, struct error *err)
{
    // Nobody but libvirtd writes its records, so they are changed while it is stopped, and no other service.
    struct agent *writer = json_flag(s->manifest, "managed", false) ? NULL : agent;
    size_t i;
    json_t *edit;
    json_array_foreach(json_object_get(s->manifest, "edits"), i, edit) {
        auto_free char *data = NULL;
        auto_json json_t *result = NULL;
        size_t len;
        if (kept_bytes(s->folder, json_str(edit, "fresh", ""), WIRE_BODY_MAX, &data, &len) < 0)
            return error_errno(err, errno, "the new contents of %s, in %s/%s", json_str(edit, "path", ""),
                               agent_keep_dir, s->run);
        if (serve_write(writer, edit, data, len, &result, NULL, err) < 0)
            return -1;
    }
    return 0;
}

static int commit(struct agent *agent, const json_t *request, json_t **result, struct error *err)
{
    if (check_own(agent, request, err) < 0)
        return -1;
    struct surgery *s = agent->surgery;
    auto_json json_t *lost = NULL;
    int rc = put_in_place(agent, s, err) < 0 ? -1 : surgery_start_changed(s, err);
    double away = (double)(now_ms() - s->opened) / 1000;
    if (rc == 0 && json_array_size(lost = guests_lost(s->manifest)) > 0)
        rc = error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s did not take it over: %.160s…", surgery_unit(s),
                       json_string_value(json_array_get(lost, 0)));
    if (rc < 0) {
        auto_free char *why = xstrdup(err->message);
        surgery_fail(s, why, err);
        end_own(agent);
        return -1;
    }
    size_t guests = json_array_size(json_object_get(s->manifest, "guests"));
    auto_free char *text = xasprintf("was away for %.2f s; %zu guest%s managed as before", away, guests,
                                     guests == 1 ? " is" : "s are");
    surgery_set_end(s, "committed", text, json_array());
    rc = surgery_store(s, err);
    *result = told(s);
    end_own(agent);
    return rc;
}

static int abort_it(struct agent *agent, const json_t *request, json_t **result, struct error *err)
{
    if (check_own(agent, request, err) < 0)
        return -1;
    struct surgery *s = agent->surgery;
    surgery_put_back(s, "migrun", "the step failed");
    *result = told(s);
    end_own(agent);
    return 0;
}

static int settle(struct agent *agent, const json_t *request, bool reads, json_t **result, struct error *err)
{
    struct surgery cleanup(surgery_free) s = NO_SURGERY;
    if (agent->surgery && check_own(agent, request, NULL) == 0)
        return abort_it(agent, request, result, err);
    if (surgery_load(json_str(request, "surgery", ""), &s, err) < 0)
        return -1;
    if (s.manifest && !reads) {
        int got = surgery_lock(&s, true, err);
        if (got <= 0)
            return got < 0 ? -1
                           : error_set(err, ERR_TIMEOUT, 0, "the surgery of %s is still in progress there",
                                       surgery_unit(&s));
        if (surgery_read(&s, err) < 0) // whoever had the lock may have changed it
            return -1;
        if (surgery_is_open(&s))
            surgery_end_left(&s, "migrun", "its agent and its guard are gone");
        else
            surgery_look_again(&s);
    }
    *result = told(&s);
    return 0;
}

SERVE(serve_surgery)
{
    const char *action = json_str(request, "action", "");
    if (STREQ(action, "begin"))
        return begin(agent, request, result, err);
    if (STREQ(action, "stage"))
        return stage(agent, request, body, body_len, result, err);
    if (STREQ(action, "commit"))
        return commit(agent, request, result, err);
    if (STREQ(action, "abort"))
        return abort_it(agent, request, result, err);
    if (STREQ(action, "settle") || STREQ(action, "look"))
        return settle(agent, request, STREQ(action, "look"), result, err);
    return error_set(err, ERR_BUG, 0, "a surgery has no action '%s'", action);
}

// ---- migrun is silent, or gone ----

int64_t surgery_deadline(const struct agent *agent)
{
    return agent->surgery ? agent->surgery->opened + SURGERY_OPEN_MS : 0;
}

void surgery_leave(struct agent *agent)
{
    if (!agent->surgery)
        return;
    surgery_end_left(agent->surgery, "its agent", "migrun was silent or took too long");
    end_own(agent);
}
