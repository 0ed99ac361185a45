// SPDX-License-Identifier: MIT
// Changes to services, and commands that change something.
#include "run/change.h"
#include "run/gate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

// ---- services ----

enum { USUAL_MS = 90000, MARGIN_MS = 10000 }; // systemd's own default, and how much longer is waited

// How long an action may take, by what its unit says of a start and a stop.
static int64_t limit_of(const json_t *seen, const char *action)
{
    int64_t start = json_int(seen, "start_timeout", USUAL_MS),
            stop = json_int(seen, "stop_timeout", USUAL_MS);
    return (STREQ(action, "start") ? start : STREQ(action, "stop") ? stop : start + stop) + MARGIN_MS;
}

static int service_call(const struct effect *e, const char *action, const char *limit, struct error *err)
{
    const json_t *after = effect_after(e);
    int64_t timeout = json_int(after, limit, USUAL_MS + MARGIN_MS);
    json_t *args = json_pack("{s:O, s:s, s:I}", "unit", json_object_get(e->data, "target"), "action", action,
                             "timeout", (json_int_t)timeout);
    json_t *command = json_object_get(json_object_get(after, "commands"), action);
    if (command)
        json_object_set(args, "command", command);
    auto_message struct message answer = {0};
    effect_note(e, args);
    return host_call(e->host->agent, "service", args, NULL, 0, timeout + 10000, &answer, err);
}

// Whether it was to run before the change: 1, 0, or -1 when that is not known. A unit on its way counts as
// there.
static int ran_before(const struct effect *e)
{
    static const struct {
        const char *state;
        int ran;
    } known[] = {{"active", 1}, {"activating", 1}, {"inactive", 0}, {"failed", 0}, {"deactivating", 0}};
    const json_t *before = effect_before(e);
    for (size_t i = 0; i < COUNT_OF(known); i++)
        if (STREQ(json_str(before, "word", json_str(before, "state", "")), known[i].state))
            return known[i].ran;
    return -1;
}

static int describe_service(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    const char *action = json_str(effect_after(e), "action", ""),
               *state = json_str(effect_before(e), "word", json_str(effect_before(e), "state", "unknown"));
    *summary = STREQ(action, "restart") ? xasprintf("%s, restart", state)
                                        : xasprintf("%s → %s", state, json_str(effect_after(e), "state", ""));
    *detail = NULL;
    return 0;
}

static int observe_service(struct effect *e, enum observed *seen, struct error *err)
{
    if (STREQ(json_str(effect_after(e), "action", ""), "restart")) {
        *seen = SEEN_UNKNOWN; // a restart leaves no trace that could be told from none
        return 0;
    }
    auto_free char *state = NULL;
    if (run_service_state(e->host, effect_target(e), json_object_get(effect_after(e), "commands"), &state,
                          err) < 0)
        return -1;
    int ran = ran_before(e);
    // On its way up or down it is neither yet.
    *seen = ran < 0 || STREQ(state, "unknown") ? SEEN_UNKNOWN
            : STREQ(state, "active") == ran    ? SEEN_BEFORE
                                               : SEEN_AFTER;
    return 0;
}

static enum made apply_service(struct effect *e, struct error *err)
{
    return made_of(service_call(e, json_str(effect_after(e), "action", ""), "timeout", err), err);
}

static int undo_service(struct effect *e, struct error *err)
{
    if (STREQ(json_str(effect_after(e), "action", ""), "restart"))
        return 0; // it runs, as it did before
    int ran = ran_before(e);
    if (ran < 0)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "its state before is not known, so it was left as it is (systemctl status %s)",
                         effect_target(e));
    return service_call(e, ran ? "start" : "stop", "undo_timeout", err);
}

static void imagine_service(const struct effect *e)
{
    overlay_set(e->host, "service", effect_target(e),
                json_string(json_str(effect_after(e), "state", "active")));
}

const struct effect_kind effect_service = {
    .name = "service",
    .note = NOTE_AT_HOST,
    .describe = describe_service,
    .observe = observe_service,
    .apply = apply_service,
    .undo = undo_service,
    .imagine = imagine_service,
};

int change_service(struct run_host *h, const char *unit, const char *action, const json_t *commands,
                   int64_t timeout_ms, struct error *err)
{
    auto_free char *what = xasprintf("%s of %s on %s", action, unit, run_host_name(h));
    auto_json json_t *seen = NULL;
    if (gate_open(h->run, what, err) < 0 || run_service(h, unit, commands, &seen, err) < 0)
        return -1;
    const char *state = json_str(seen, "state", "unknown"), *word = json_str(seen, "word", NULL);
    if (surgery_takes(h) && STREQ(effect_target(h->run->surgery), unit))
        return error_set(err, ERR_REFUSED, REFUSED_PHASE, "%s: while_stopped itself stops and starts it",
                         what);
    bool stops = STREQ(action, "stop");
    if ((stops && STREQ(state, "inactive")) || (STREQ(action, "start") && STREQ(state, "active")))
        return 0;
    // Who stops libvirtd wants the host for itself: no other run may move a guest there meanwhile.
    if (run_is_libvirtd(h, unit) && !STREQ(action, "start") && run_claim(h->run, true, err) < 0)
        return -1;
    json_t *after = json_pack("{s:s, s:s, s:I, s:I}", "action", action, "state",
                              stops ? "inactive" : "active", "timeout",
                              (json_int_t)(timeout_ms ? timeout_ms : limit_of(seen, action)), "undo_timeout",
                              (json_int_t)limit_of(seen, stops ? "start" : "stop"));
    if (commands)
        json_object_set(after, "commands", (json_t *)(uintptr_t)commands);
    return gate_pass(
        effect_new(OF_service, h, unit, json_pack("{s:s, s:s*}", "state", state, "word", word), after), NULL,
        err);
}

// ---- commands ----

// A command as it is shown, and written down: without its secrets. Caller frees.
static char *words_text(const struct run_host *h, const json_t *argv, bool secret)
{
    auto_json json_t *masked = effect_words(h->run, argv, secret);
    struct buf text = {0};
    size_t i;
    json_t *word;
    json_array_foreach(masked, i, word) {
        const char *w = json_string_value(word);
        bool plain = w && *w &&
                     strspn(w, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-") ==
                         strlen(w);
        buf_printf(&text, plain ? "%s%s" : "%s'%s'", i ? " " : "", w ? w : "");
    }
    return buf_take(&text);
}

static int describe_command(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    const json_t *undo = json_object_get(effect_after(e), "undo");
    auto_free char *back = words_text(e->host, undo, effect_is_secret(e));
    *summary = undo ? xasprintf("run (undo: %s)", back) : xstrdup("run");
    *detail = NULL;
    return 0;
}

static int observe_command(struct effect *e, enum observed *seen, struct error *err)
{
    (void)e;
    (void)err;
    *seen = SEEN_UNKNOWN;
    return 0;
}

// What a command is given on its stdin; it is written down nowhere.
struct input {
    size_t len;
    char text[];
};

// A command that began left what it left. One that could not be started made nothing.
static enum made command_made(const struct error *err)
{
    bool not_started = err->domain == ERR_SYSTEM && err->code != EFBIG;
    return not_started ? NOT_MADE : made_of(-1, err);
}

static int command_call(struct effect *e, const json_t *argv, struct message *answer, struct error *err)
{
    int64_t timeout = json_int(effect_after(e), "timeout", 60000);
    const struct input *input = argv == json_object_get(effect_after(e), "undo") ? NULL : e->own;
    json_t *args = json_pack("{s:O, s:I, s:b, s:b}", "argv", argv, "timeout", (json_int_t)timeout, "reads", 0,
                             "stdin", input != NULL);
    effect_note(e, args);
    return host_call(e->host->agent, "command", args, input ? input->text : NULL, input ? input->len : 0,
                     timeout + 10000, answer, err);
}

static enum made apply_command(struct effect *e, struct error *err)
{
    auto_message struct message answer = {0};
    if (command_call(e, json_object_get(effect_after(e), "argv"), &answer, err) < 0)
        return command_made(err);
    e->result = json_deep_copy(json_object_get(answer.head, "result"));
    json_object_set_new(e->result, "stdout",
                        json_stringn_nocheck(answer.body ? answer.body : "", answer.body_len));
    return MADE;
}

static int undo_command(struct effect *e, struct error *err)
{
    const json_t *argv = json_object_get(effect_after(e), "undo");
    auto_message struct message answer = {0};
    auto_free char *text = words_text(e->host, argv, effect_is_secret(e));
    if (command_call(e, argv, &answer, err) < 0)
        return -1;
    const json_t *result = json_object_get(answer.head, "result");
    if (json_int(result, "status", -1) != 0)
        return error_set(err, ERR_COMMAND, (int)json_int(result, "status", -1), "%s ended with status %d%s%s",
                         text, (int)json_int(result, "status", -1), effect_is_secret(e) ? "" : ": ",
                         effect_is_secret(e) ? "" : json_str(result, "stderr", ""));
    return 0;
}

static bool command_stays(const struct effect *e) { return !json_object_get(effect_after(e), "undo"); }

const struct effect_kind effect_command = {
    .name = "command",
    .note = NOTE_AT_HOST,
    .describe = describe_command,
    .observe = observe_command,
    .apply = apply_command,
    .undo = undo_command,
    .stays = command_stays,
    .free_own = free,
};

int change_command(struct run_host *h, json_t *args, const char *input, size_t input_len,
                   struct message *answer, struct error *err)
{
    auto_json json_t *after = args;
    auto_free char *text = words_text(h, json_object_get(args, "argv"), json_flag(args, "secret", false));
    auto_free char *what = xasprintf("running %s on %s", text, run_host_name(h));
    *answer = (struct message){0};
    if (gate_open(h->run, what, err) < 0)
        return -1;
    struct effect *e = effect_new(OF_command, h, text, json_object(), steal(&after));
    if (input) {
        struct input *own = e->own = xmalloc(sizeof *own + input_len);
        own->len = input_len;
        memcpy(own->text, input, input_len);
    }
    const json_t *result = NULL;
    if (gate_pass(e, &result, err) < 0)
        return -1;
    // What a preview cannot know is taken for a silent success.
    answer->head = result ? json_pack("{s:O}", "result", result)
                          : json_pack("{s:{s:i}}", "result", "status", 0);
    const json_t *out = json_object_get(result, "stdout");
    answer->body_len = json_string_length(out);
    answer->body = xmalloc(answer->body_len + 1);
    memcpy(answer->body, out ? json_string_value(out) : "", answer->body_len + 1);
    return 0;
}
