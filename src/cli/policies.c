// SPDX-License-Identifier: MIT
// migrun policies: those that can be named; migrun POLICY --help: what one takes.
#include "cli/commands.h"
#include "cli/output.h"
#include "lua/find.h"
#include "lua/policy.h"

#include <string.h>

// ---- what one takes ----

static void put_value(struct buf *out, const json_t *value)
{
    if (json_is_string(value))
        buf_puts(out, *json_string_value(value) ? json_string_value(value) : "\"\"");
    else if (json_is_boolean(value))
        buf_puts(out, json_is_true(value) ? "true" : "false");
    else
        buf_printf(out, "%.15g", json_number_value(value));
}

static const char *unit_of(const json_t *param)
{
    return STREQ(json_str(param, "type", ""), "duration") ? "s" : json_str(param, "unit", "");
}

// ", WORD VALUE UNIT" where the parameter has it.
static void put_quality(struct buf *out, const json_t *param, const char *key, const char *word)
{
    const json_t *value = json_object_get(param, key);
    if (!value)
        return;
    buf_printf(out, ", %s ", word);
    put_value(out, value);
    if (json_is_number(value) && *unit_of(param))
        buf_printf(out, " %s", unit_of(param));
}

static void put_param(struct buf *out, const json_t *param)
{
    auto_buf struct buf text = {0};
    const json_t *choices = json_object_get(param, "choices"), *choice;
    size_t i;
    buf_printf(&text, "%s%s(%s", json_str(param, "help", ""), json_str(param, "help", NULL) ? " " : "",
               json_str(param, "type", "?"));
    json_array_foreach(choices, i, choice) {
        buf_puts(&text, i ? ", " : ": ");
        put_value(&text, choice);
    }
    put_quality(&text, param, "pattern", "matches");
    put_quality(&text, param, "min", "at least");
    put_quality(&text, param, "max", "at most");
    put_quality(&text, param, "default", "default");
    buf_puts(&text, json_flag(param, "required", false) ? ", required)" : ")");
    help_entry(out, json_str(param, "name", "?"), text.data);
}

static void put_topics(struct buf *out, const json_t *topics)
{
    auto_buf struct buf text = {0};
    size_t i;
    const json_t *topic;
    buf_puts(&text, "topics of checks whose refusal you know better: it is told, and the run goes on (");
    json_array_foreach(topics, i, topic)
        buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(topic));
    buf_puts(&text, ")");
    help_entry(out, "i_know=TOPIC,...", text.data);
}

static char *text_about(const char *given, const json_t *about)
{
    struct buf out = {0};
    size_t i;
    const json_t *param, *params = json_object_get(about, "params"),
                         *topics = json_object_get(about, "topics");
    const char *arguments = json_str(about, "arguments", "");
    buf_printf(&out, "Usage: migrun [OPTION ...] %s%s%s\n%s\n", given, *arguments ? " " : "", arguments,
               json_str(about, "summary", ""));
    if (json_array_size(params) || json_array_size(topics))
        buf_puts(&out, "\nParameters (-p NAME=VALUE):\n");
    json_array_foreach(params, i, param)
        put_param(&out, param);
    if (json_array_size(topics))
        put_topics(&out, topics);
    buf_puts(&out, "\nOptions: migrun --help\n");
    return buf_take(&out);
}

static int put_about(const char *given, const json_t *about, bool json)
{
    if (!json) {
        auto_free char *text = text_about(given, about);
        return output_shown(text);
    }
    auto_json json_t *line = json_pack("{s:o}", "policy", json_text(given));
    json_object_update(line, (json_t *)(uintptr_t)about);
    auto_free char *shown = json_line(line), *text = xasprintf("%s\n", shown);
    return output_print(text);
}

int policy_help(const struct options *options, struct error *err)
{
    struct policy policy;
    auto_json json_t *about = NULL;
    int status = policy_inspect(&policy, options->arguments[0], &about, err);
    if (status == 0)
        status = put_about(options->arguments[0], about, options->json);
    policy_free(&policy);
    return status;
}

// ---- those that can be named ----

// A policy of a folder: {policy, path, summary, hidden: another folder's comes first; or mistake}; NULL: no
// policy.
static json_t *row_of(const char *folder, const char *name, bool hidden)
{
    struct policy policy;
    struct error err = {0};
    auto_json json_t *about = NULL;
    auto_free char *path = xasprintf("%s/%s", folder, name);
    int rc = policy_inspect(&policy, path, &about, &err);
    json_t *row = NULL;
    if (rc == 0 || !policy.stranger)
        row = json_pack("{s:o, s:o, s:b}", "policy", json_text(name), "path", json_text(path), "hidden",
                        hidden);
    if (row && rc == 0)
        json_object_update(row, about);
    else if (row) {
        auto_free char *first = xstrndup(err.message, strcspn(err.message, "\n"));
        json_object_set_new(row, "mistake", json_text(first));
    }
    policy_free(&policy);
    return row;
}

static void put_row(struct buf *out, const json_t *row, bool json)
{
    if (json) {
        auto_free char *line = json_line(row);
        buf_printf(out, "%s\n", line);
        return;
    }
    const char *mistake = json_str(row, "mistake", NULL);
    auto_free char *text = xasprintf("%s%s%s", mistake ? "a mistake: " : json_str(row, "summary", ""),
                                     mistake ? mistake : "",
                                     json_flag(row, "hidden", false) ? " (hidden by the one above)" : "");
    help_entry(out, json_str(row, "policy", "?"), text);
}

static void put_folder(struct buf *out, const json_t *folder, json_t *seen, bool json)
{
    const char *path = json_str(folder, "folder", "");
    size_t i, count = 0;
    const json_t *name;
    if (!json)
        buf_printf(out, "%s%s\n", out->len ? "\n" : "", path);
    json_array_foreach(json_object_get(folder, "names"), i, name) {
        const char *text = json_string_value(name);
        auto_json json_t *row = row_of(path, text, json_object_get(seen, text) != NULL);
        if (!row)
            continue;
        put_row(out, row, json);
        json_object_set_new(seen, text, json_true());
        count++;
    }
    if (!count && !json)
        buf_puts(out, "  none\n");
}

int policies_run(struct options *options, struct error *err)
{
    if (options->n_arguments)
        return error_set(err, ERR_USAGE, 0,
                         "policies takes no arguments; migrun %s --help tells of one policy",
                         options->arguments[0]);
    auto_json json_t *folders = policy_folders(), *seen = json_object();
    auto_buf struct buf out = {0};
    size_t i;
    const json_t *folder;
    json_array_foreach(folders, i, folder)
        put_folder(&out, folder, seen, options->json);
    if (!out.data)
        return 0;
    return options->json ? output_print(out.data) : output_shown(out.data);
}
