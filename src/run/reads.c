// SPDX-License-Identifier: MIT
// Reads of a step. In a preview they ask the overlay first: what the steps before would have changed is seen
// as changed.
#include "run/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

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
    if (host_call(h->agent, "read", json_pack("{s:o}", "path", json_text(path)), NULL, 0, 0, &answer,
                  &failure) < 0) {
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

int run_service(struct run_host *h, const char *unit, json_t *command, json_t **seen, struct error *err)
{
    const json_t *imagined = overlay_get(h, "service", unit);
    if (imagined) {
        *seen = json_pack("{s:O}", "state", imagined);
        return 0;
    }
    auto_message struct message answer = {0};
    json_t *args = json_pack("{s:s, s:s}", "unit", unit, "action", "state");
    if (command)
        json_object_set(args, "command", command);
    if (host_call(h->agent, "service", args, NULL, 0, 0, &answer, err) < 0)
        return -1;
    *seen = json_incref(json_object_get(answer.head, "result"));
    return 0;
}

int run_service_state(struct run_host *h, const char *unit, json_t *command, char **state, struct error *err)
{
    auto_json json_t *seen = NULL;
    if (run_service(h, unit, command, &seen, err) < 0)
        return -1;
    *state = xstrdup(json_str(seen, "state", "unknown"));
    return 0;
}
