// SPDX-License-Identifier: MIT
// Reads of a step. In a preview they ask the overlay first: what the steps before would have changed is seen
// as changed.
#include "run/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { READ_MOST = 64 << 20 }; // of a file, which is to fit into a policy's memory a few times

static char *overlay_key(const struct run_host *h, const char *kind, const char *target)
{
    return xasprintf("%s\n%s\n%s", kind, run_host_name(h), target);
}

void overlay_set(struct run_host *h, const char *kind, const char *target, json_t *value)
{
    auto_free char *key = overlay_key(h, kind, target);
    json_object_set_new_nocheck(h->run->overlay, key, value);
}

json_t *overlay_get(const struct run_host *h, const char *kind, const char *target)
{
    auto_free char *key = overlay_key(h, kind, target);
    return json_object_get(h->run->overlay, key);
}

static bool is_absent(const struct error *err)
{
    return err->domain == ERR_SYSTEM && (err->code == ENOENT || err->code == ENOTDIR);
}

int run_stat(struct run_host *h, const char *path, json_t **stat, struct error *err)
{
    const json_t *seen = overlay_get(h, "file", path);
    if (seen) {
        *stat = json_flag(seen, "absent", false) ? NULL : json_deep_copy(json_object_get(seen, "stat"));
        return 0;
    }
    struct error failure;
    auto_message struct message answer = {0};
    if (host_call(h->agent, "stat", json_pack("{s:o}", "path", json_text(path)), NULL, 0, 0, &answer,
                  &failure) < 0) {
        *stat = NULL;
        if (is_absent(&failure))
            return 0;
        if (err)
            *err = failure;
        return -1;
    }
    *stat = json_incref(json_object_get(answer.head, "result"));
    return 0;
}

int run_read(struct run_host *h, const char *path, char **data, size_t *len, json_t **stat, struct error *err)
{
    *data = NULL;
    *len = 0;
    if (stat)
        *stat = NULL;
    const json_t *seen = overlay_get(h, "file", path);
    const json_t *content = json_object_get(seen, "content");
    if (json_flag(seen, "absent", false))
        return 0;
    if (content) {
        *len = json_string_length(content);
        *data = xstrndup("", 0);
        *data = xrealloc(*data, *len + 1);
        memcpy(*data, json_string_value(content), *len + 1);
        if (stat)
            *stat = json_deep_copy(json_object_get(seen, "stat"));
        return 0;
    }
    struct error failure;
    auto_message struct message answer = {0};
    if (host_call(h->agent, "read",
                  json_pack("{s:o, s:I}", "path", json_text(path), "limit", (json_int_t)READ_MOST), NULL, 0,
                  0, &answer, &failure) < 0) {
        if (is_absent(&failure))
            return 0;
        if (err)
            *err = failure;
        return -1;
    }
    *data = answer.body ? steal(&answer.body) : xstrdup("");
    *len = answer.body_len;
    if (stat)
        *stat = json_incref(json_object_get(answer.head, "result"));
    return 0;
}

static bool in_folder(const char *file, const char *folder, size_t folder_len)
{
    return strncmp(file, folder, folder_len) == 0 && file[folder_len] == '/' &&
           !strchr(file + folder_len + 1, '/');
}

int run_list(struct run_host *h, const char *path, json_t **entries, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_call(h->agent, "list", json_pack("{s:o}", "path", json_text(path)), NULL, 0, 0, &answer, err) <
        0)
        return -1;
    auto_json json_t *list = json_incref(json_object_get(json_object_get(answer.head, "result"), "entries"));
    if (json_object_size(h->run->overlay)) {
        auto_free char *prefix = overlay_key(h, "file", path);
        size_t prefix_len = strlen(prefix);
        const char *key;
        json_t *value;
        json_object_foreach(h->run->overlay, key, value) {
            if (!in_folder(key, prefix, prefix_len))
                continue;
            const char *name = key + prefix_len + 1;
            for (size_t i = json_array_size(list); i-- > 0;)
                if (STREQ(json_str(json_array_get(list, i), "name", ""), name))
                    json_array_remove(list, i);
            if (!json_flag(value, "absent", false)) {
                json_t *entry = json_deep_copy(json_object_get(value, "stat"));
                json_object_set_new(entry, "name", json_text(name));
                json_array_append_new(list, entry);
            }
        }
    }
    *entries = steal(&list);
    return 0;
}

// The site's own command for the state, if it has one.
static void add_commands(const struct run_host *h, const json_t *commands, json_t *args)
{
    json_t *state = json_object_get(commands, "state");
    if (!state)
        return;
    json_object_set(args, "command", state);
    json_object_set_new(args, "sockets", json_boolean(json_flag(commands, "sockets", false)));
    json_object_set_new(args, "unlocked", json_boolean(h->run->options->unlocked));
}

// What only reads was run, but nothing kept it from changing something.
static void note_unlocked(struct run_host *h, const char *what, const struct message *answer)
{
    if (json_flag(json_object_get(answer->head, "result"), "unlocked", false))
        run_not_enforced(h->run, "the kernel of %s could not keep %s from changing something",
                         run_host_name(h), what);
}

int run_service(struct run_host *h, const char *unit, const json_t *commands, json_t **seen,
                struct error *err)
{
    const json_t *imagined = overlay_get(h, "service", unit);
    if (imagined) {
        *seen = json_pack("{s:O}", "state", imagined);
        return 0;
    }
    auto_message struct message answer = {0};
    json_t *args = json_pack("{s:s, s:s}", "unit", unit, "action", "state");
    add_commands(h, commands, args);
    if (host_call(h->agent, "service", args, NULL, 0, 0, &answer, err) < 0)
        return -1;
    note_unlocked(h, unit, &answer);
    *seen = json_incref(json_object_get(answer.head, "result"));
    return 0;
}

int run_service_state(struct run_host *h, const char *unit, const json_t *commands, char **state,
                      struct error *err)
{
    auto_json json_t *seen = NULL;
    if (run_service(h, unit, commands, &seen, err) < 0)
        return -1;
    *state = xstrdup(json_str(seen, "state", "unknown"));
    return 0;
}

int run_service_wait(struct run_host *h, const char *unit, const json_t *commands, int64_t timeout_ms,
                     struct error *err)
{
    const json_t *imagined = overlay_get(h, "service", unit);
    if (imagined && STREQ(json_string_value(imagined), "active"))
        return 0;
    if (imagined)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%s on %s would not become active: it would have been stopped before", unit,
                         run_host_name(h));
    auto_message struct message answer = {0};
    json_t *args = json_pack("{s:s, s:s, s:I}", "unit", unit, "action", "wait", "timeout",
                             (json_int_t)timeout_ms);
    add_commands(h, commands, args);
    if (host_call(h->agent, "service", args, NULL, 0, timeout_ms + 10000, &answer, err) < 0)
        return -1;
    note_unlocked(h, unit, &answer);
    return 0;
}

bool run_is_libvirtd(const struct run_host *h, const char *unit)
{
    const json_t *services = json_object_get(host_spec(h->agent)->settings, "services");
    const char *names[] = {json_str(json_object_get(services, "libvirtd"), "unit", "libvirtd"), "libvirtd",
                           "virtqemud"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t len = strlen(names[i]);
        if (strncmp(unit, names[i], len) == 0 && (!unit[len] || STREQ(unit + len, ".service")))
            return true;
    }
    return false;
}

// ---- what no preview can predict, but for its own files ----

static int64_t count_lines(const char *text, size_t len)
{
    int64_t lines = 0;
    for (size_t i = 0; i < len; i++)
        lines += text[i] == '\n' || i + 1 == len;
    return lines;
}

// A log that a step before would have written.
static int imagined_log(const json_t *file, const char *path, int64_t offset, int64_t line,
                        struct message *answer, struct error *err)
{
    const json_t *content = json_object_get(file, "content");
    const char *text = json_string_value(content);
    size_t len = json_string_length(content), from = offset < 0 ? 0 : (size_t)offset;
    if (json_flag(file, "absent", false))
        return error_errno(err, ENOENT, "%s", path);
    if (from > len)
        from = 0;
    answer->head = json_pack("{s:{s:I, s:I, s:I}}", "result", "size", (json_int_t)len, "lines",
                             (json_int_t)count_lines(text, len), "line", (json_int_t)line + 1);
    if (offset < 0)
        return 0;
    answer->body = xstrndup(text + from, len - from);
    answer->body_len = len - from;
    return 0;
}

int run_log(struct run_host *h, const char *path, int64_t offset, int64_t line, struct message *answer,
            struct error *err)
{
    const json_t *seen = overlay_get(h, "file", path);
    if (seen && (json_flag(seen, "absent", false) || json_object_get(seen, "content")))
        return imagined_log(seen, path, offset, line, answer, err);
    json_t *args = json_pack("{s:o}", "path", json_text(path));
    if (offset >= 0)
        json_object_update_new(
            args, json_pack("{s:I, s:I}", "offset", (json_int_t)offset, "line", (json_int_t)line));
    return host_call(h->agent, "log", args, NULL, 0, 0, answer, err);
}

int run_command(struct run_host *h, json_t *args, const char *input, size_t input_len, int64_t timeout_ms,
                struct message *answer, struct error *err)
{
    auto_free char *program = xstrdup(json_string_value(json_array_get(json_object_get(args, "argv"), 0)));
    json_object_set_new(args, "reads", json_true());
    json_object_set_new(args, "unlocked", json_boolean(h->run->options->unlocked));
    json_object_set_new(args, "stdin", json_boolean(input != NULL));
    if (host_call(h->agent, "command", args, input, input_len, timeout_ms + 10000, answer, err) < 0)
        return -1;
    note_unlocked(h, program, answer);
    return 0;
}

int run_reach(struct run_host *h, const char *other, const json_t *ports, int64_t timeout_ms,
              json_t **reached, struct error *err)
{
    auto_message struct message answer = {0};
    json_t *args = json_pack("{s:o, s:O, s:I}", "host", json_text(other), "ports", ports, "timeout",
                             (json_int_t)timeout_ms);
    if (host_call(h->agent, "reach", args, NULL, 0, timeout_ms + 15000, &answer, err) < 0)
        return -1;
    *reached = json_incref(json_object_get(answer.head, "result"));
    return 0;
}

int run_listen(struct run_host *h, const char *op, json_t *args, int64_t timeout_ms, json_t **result,
               struct error *err)
{
    auto_message struct message answer = {0};
    json_object_set_new(args, "timeout", json_integer(timeout_ms));
    if (host_call(h->agent, op, args, NULL, 0, timeout_ms + 30000, &answer, err) < 0)
        return -1;
    json_t *seen = json_object_get(answer.head, "result");
    *result = json_object_size(seen) ? json_incref(seen) : NULL;
    return 0;
}

int run_login(struct run_host *h, const char *uri, char **refused, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_call(h->agent, "login", json_pack("{s:o}", "uri", json_text(uri)), NULL, 0, 40000, &answer,
                  err) < 0)
        return -1;
    const char *why = json_str(json_object_get(answer.head, "result"), "error", NULL);
    *refused = why ? xstrdup(why) : NULL;
    return 0;
}

int run_storage(struct run_host *h, const json_t *paths, int64_t wait_ms, json_t **storage, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_call(h->agent, "storage", json_pack("{s:O, s:I}", "paths", paths, "after", (json_int_t)wait_ms),
                  NULL, 0, wait_ms + 30000, &answer, err) < 0)
        return -1;
    *storage = json_incref(json_object_get(json_object_get(answer.head, "result"), "paths"));
    return 0;
}

int run_listeners(struct run_host *h, const json_t *ports, json_t **listeners, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_call(h->agent, "listeners", json_pack("{s:O}", "ports", ports), NULL, 0, 0, &answer, err) < 0)
        return -1;
    *listeners = json_incref(json_object_get(json_object_get(answer.head, "result"), "listeners"));
    return 0;
}
