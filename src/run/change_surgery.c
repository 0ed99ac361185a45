// SPDX-License-Identifier: MIT
// A surgery: a service's files changed while it is stopped, as one transaction on its host
// (world/agent/surgery.c). It is one effect, and a scope: what is written there in between is kept for it,
// and goes into place when it is committed. From then on it is kept: libvirtd has written its files anew
// since, and old bytes put back would lie.
#include "base/diff.h"
#include "base/fault.h"
#include "base/interrupt.h"
#include "run/change.h"
#include "run/gate.h"

#include <stdlib.h>
#include <string.h>

enum { BEGIN_MS = 240000, STAGE_MS = 60000, END_MS = 300000 };

static int call(const struct effect *e, const char *action, json_t *args, const char *body, size_t len,
                int64_t timeout, json_t **result, struct error *err)
{
    auto_free char *name = xasprintf("%s/%d", e->host->run->id, e->number);
    auto_message struct message answer = {0};
    json_object_set_new(args, "action", json_string(action));
    json_object_set_new(args, "surgery", json_string(name));
    if (host_call(e->host->agent, "surgery", args, body, len, timeout, &answer, err) < 0)
        return -1;
    if (result) {
        json_decref(*result);
        *result = json_incref(json_object_get(answer.head, "result"));
    }
    return 0;
}

// ---- the effect ----

static const char *phase_of(const struct effect *e) { return json_str(e->result, "phase", ""); }

// What was edited. Told when libvirtd is back: nothing that could wait keeps it away.
static int tell_differences(const struct effect *e, char **detail, struct error *err)
{
    struct buf all = {0};
    size_t i;
    json_t *edit;
    json_array_foreach(e->own, i, edit) {
        const char *old = json_string_value(json_object_get(edit, "old"));
        auto_free char *label = xasprintf("%s on %s", json_str(edit, "path", ""), run_host_name(e->host)),
                       *diff = NULL;
        if (json_flag(edit, "secret", false))
            diff = xasprintf("%s: its content is secret\n", label);
        else if (diff_text(old, json_str(edit, "text", ""), old ? label : "/dev/null", label, &diff, err) <
                 0) {
            buf_free(&all);
            return -1;
        }
        buf_puts(&all, diff);
        const char *how = json_str(edit, "how", "");
        if (*how)
            buf_printf(&all, "%s on %s: %s\n", json_str(edit, "path", ""), run_host_name(e->host), how);
    }
    *detail = all.data ? buf_take(&all) : NULL;
    return 0;
}

static void free_staged(void *own) { json_decref(own); }

// ", with a.socket, without b.socket". Caller frees.
static char *sockets_text(const struct effect *e)
{
    static const char *const keys[] = {"with", "without"};
    struct buf text = {0};
    for (size_t n = 0; n < COUNT_OF(keys); n++) {
        size_t i;
        json_t *unit;
        json_array_foreach(json_object_get(effect_after(e), keys[n]), i, unit)
            buf_printf(&text, "%s %s", i ? " and" : n ? ", without" : ", with", json_string_value(unit));
    }
    return buf_take(&text);
}

static int describe_surgery(const struct effect *e, char **summary, char **detail, struct error *err)
{
    int guests = (int)json_int(effect_after(e), "guests", 0);
    auto_free char *unmanaged = guests ? xasprintf("; %d guest%s on, unmanaged meanwhile", guests,
                                                   guests == 1 ? " runs" : "s run")
                                       : xstrdup("");
    auto_buf struct buf edits = {0};
    size_t i;
    json_t *path;
    json_array_foreach(json_object_get(e->result, "edits"), i, path)
        buf_printf(&edits, "%s%s", i ? ", " : "", json_string_value(path));
    auto_free char *sockets = sockets_text(e);
    if (STREQ(phase_of(e), "committed"))
        *summary = xasprintf("is restarted%s%s%s%s; it %s", edits.len ? " with " : "",
                             edits.len ? edits.data : "", edits.len ? " edited" : "", sockets,
                             json_str(e->result, "text", ""));
    else if (*json_str(e->result, "text", ""))
        *summary = xstrdup(json_str(e->result, "text", ""));
    else
        *summary = xasprintf("is stopped for about 1 s%s%s", sockets, unmanaged);
    if (tell_differences(e, detail, err) == 0)
        return 0;
    free(*summary);
    *summary = NULL;
    return -1;
}

static int ask(struct effect *e, const char *action, struct error *err)
{
    if (call(e, action, json_object(), NULL, 0, END_MS, &e->result, err) < 0)
        return err->domain == ERR_HOST && !e->host->run->recovers && !STREQ(phase_of(e), "committed")
                   ? error_prefix(err, "its agent there, or its guard, starts it again by itself, but that "
                                       "could not be seen")
                   : -1;
    return 0;
}

// One that is still open there is ended by this. Its host knows what became of it.
static int settle_surgery(struct effect *e, struct error *err)
{
    if (ask(e, "settle", err) < 0)
        return -1;
    e->made = STREQ(phase_of(e), "none") ? NOT_MADE : MADE; // it may have been put back since
    return 0;
}

// The host knows: its guard may have ended it.
static int observe_surgery(struct effect *e, enum observed *seen, struct error *err)
{
    if (ask(e, "look", err) < 0)
        return -1;
    const json_t *lost = json_object_get(e->result, "lost"), *text;
    size_t i;
    auto_buf struct buf all = {0};
    json_array_foreach((json_t *)(uintptr_t)lost, i, text)
        buf_printf(&all, "%s%s", i ? "; " : "", json_string_value(text));
    *seen = STREQ(phase_of(e), "committed") ? SEEN_AFTER
            : STREQ(phase_of(e), "open")    ? SEEN_UNKNOWN
                                            : SEEN_BEFORE;
    return all.len ? error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s", all.data) : 0;
}

// A restart alone leaves nothing to put back. One that changed its sockets stays, unless its step takes it
// back by an undo of its own, once the files that the service reads are as they were.
static bool is_restart(const struct effect *e)
{
    return STREQ(phase_of(e), "committed") && json_array_size(json_object_get(e->result, "edits")) == 0 &&
           json_array_size(json_object_get(effect_after(e), "with")) == 0 &&
           json_array_size(json_object_get(effect_after(e), "without")) == 0;
}

static int undo_surgery(struct effect *e, struct error *err)
{
    if (is_restart(e))
        return 0;
    return error_set(err, ERR_REFUSED, REFUSED_OTHER, "it is still being carried out on %s",
                     run_host_name(e->host));
}

static bool surgery_stays(const struct effect *e)
{
    return STREQ(phase_of(e), "committed") && !is_restart(e);
}

const struct effect_kind effect_surgery = {
    .name = "surgery",
    .note = NOTE_AT_HOST,
    .describe = describe_surgery,
    .observe = observe_surgery,
    .settle = settle_surgery,
    .undo = undo_surgery,
    .stays = surgery_stays,
    .result_kept = true,
    .free_own = free_staged,
};

// ---- the scope ----

static json_t *request_of(const struct run_host *h, const char *unit, const json_t *commands)
{
    const json_t *settings = host_spec(h->agent)->settings;
    json_t *after = json_pack(
        "{s:b, s:i, s:s, s:s}", "managed", run_is_libvirtd(h, unit), "guests",
        run_is_libvirtd(h, unit) ? (int)json_array_size(json_object_get(h->facts, "guests")) : 0, "socket",
        json_str(json_object_get(settings, "libvirt"), "socket", ""), "log",
        json_str(json_object_get(settings, "logs"), "libvirtd", ""));
    if (commands)
        json_object_set(after, "commands", (json_t *)(uintptr_t)commands);
    return after;
}

static int stop(struct effect *e, struct error *err)
{
    json_t *args = json_deep_copy(effect_after(e));
    auto_json json_t *told = NULL;
    json_object_set(args, "unit", json_object_get(e->data, "target"));
    effect_note(e, args);
    return fault_point("before the change", err) < 0 ? -1
                                                     : call(e, "begin", args, NULL, 0, BEGIN_MS, &told, err);
}

int surgery_begin(struct run_host *h, const char *unit, const json_t *commands, const json_t *sockets,
                  struct error *err)
{
    struct run *run = h->run;
    auto_free char *what = xasprintf("stopping %s on %s", unit, run_host_name(h)), *summary = NULL,
                   *detail = NULL;
    if (gate_open(run, what, err) < 0)
        return -1;
    if (run->surgery)
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "%s: %s is stopped already, and one thing is done at a time", what,
                         effect_target(run->surgery));
    // Who stops libvirtd wants the host for itself: no other run may move a guest there meanwhile.
    if (run_is_libvirtd(h, unit) && run_claim(run, true, err) < 0)
        return -1;
    json_t *request = request_of(h, unit, commands);
    json_object_update(request, (json_t *)(uintptr_t)sockets);
    struct effect *e = effect_new(OF_surgery, h, unit, json_object(), request);
    if (gate_begin(e, err) < 0)
        return -1;
    if (!run->options->preview) {
        if (describe_surgery(e, &summary, &detail, err) < 0)
            return gate_end(e, NOT_MADE, NULL, err);
        run_message(run, "info", "%s on %s %s", unit, run_host_name(h), summary);
        if (stop(e, err) < 0)
            return gate_end(e, MADE_UNKNOWN, NULL, err);
    }
    free(run->spoilt);
    run->spoilt = NULL;
    run->surgery = e;
    return 0;
}

bool surgery_takes(const struct run_host *h) { return h->run->surgery && h->run->surgery->host == h; }

bool surgery_of_libvirtd(const struct run_host *h)
{
    return surgery_takes(h) && json_flag(effect_after(h->run->surgery), "managed", false);
}

void surgery_spoil(struct run *run, const char *why)
{
    if (run && run->surgery && !run->spoilt)
        run->spoilt = xstrdup(why);
}

bool surgery_has(const struct run_host *h, const char *path)
{
    size_t i;
    json_t *edit;
    if (surgery_takes(h))
        json_array_foreach(h->run->surgery->own, i, edit)
            if (STREQ(json_str(edit, "path", ""), path))
                return true;
    return false;
}

static bool is_staged_secret(const struct effect *e, const char *path)
{
    size_t i;
    json_t *edit;
    json_array_foreach(e->own, i, edit)
        if (STREQ(json_str(edit, "path", ""), path) && json_flag(edit, "secret", false))
            return true;
    return false;
}

int surgery_stage(struct run_host *h, const struct staged *edit, struct error *err)
{
    struct run *run = h->run;
    struct effect *e = run->surgery;
    auto_json json_t *expect = edit->expect;
    auto_free char *keep = xasprintf("%s/%d", run->id, (int)++run->next_effect);
    if (!e->own)
        e->own = json_array();
    json_array_append_new(
        e->own, json_pack("{s:b, s:o, s:o, s:o, s:o}", "secret",
                          edit->secret || is_staged_secret(e, edit->path), "path", json_text(edit->path),
                          "old", edit->old ? json_string_nocheck(edit->old) : json_null(), "text",
                          json_stringn_nocheck(edit->text, edit->len), "how", json_text(edit->how)));
    json_t *args = json_pack("{s:o, s:s, s:O}", "path", json_text(edit->path), "keep", keep, "expect",
                             expect);
    if (edit->rights)
        json_object_update(args, (json_t *)(uintptr_t)edit->rights);
    if (run->options->preview)
        json_decref(args);
    else if (call(e, "stage", args, edit->text, edit->len, STAGE_MS, NULL, err) < 0)
        return -1;
    // What is read after this is what it shall become.
    overlay_set(
        h, "file", edit->path,
        json_pack("{s:O, s:o}", "stat", edit->stat, "content", json_stringn_nocheck(edit->text, edit->len)));
    return 0;
}

int surgery_end(struct run *run, const char *failure, struct error *err)
{
    struct effect *e = run->surgery;
    auto_free char *why = failure ? xstrdup(failure) : run->spoilt ? xstrdup(run->spoilt) : NULL;
    struct error aborting;
    enum error_domain domain = interrupt_count ? ERR_INTERRUPTED : ERR_REFUSED;
    run->surgery = NULL;
    free(steal(&run->spoilt));
    if (why)
        error_set(err, domain, REFUSED_OTHER, "%s", why);
    if (run->options->preview)
        return gate_end(e, why ? NOT_MADE : MADE, NULL, err);
    json_object_clear(run->overlay);
    int rc = -1;
    if (!why)
        rc = call(e, "commit", json_object(), NULL, 0, END_MS, &e->result, err);
    else if (call(e, "abort", json_object(), NULL, 0, END_MS, &e->result, &aborting) < 0 &&
             aborting.domain != ERR_HOST) // that is told when it is undone
        error_set(err, domain, REFUSED_OTHER, "%s; and then: %s", why, aborting.message);
    return gate_end(e, rc < 0 ? MADE_UNKNOWN : MADE, NULL, err) < 0 || !e->host->run->exclusive
               ? rc
               : run_claim(run, false, err);
}
