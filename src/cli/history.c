// SPDX-License-Identifier: MIT
// migrun history: lists the runs and their outcomes, and forgets old ones.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/output.h"
#include "lua/policy.h"
#include "run/journal.h"
#include "run/prune.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>

// One run as a table's row, and as --json prints it.
static json_t *summary_of(const char *state, const char *name, struct error *err)
{
    struct story auto_story story = {0};
    if (journal_read(state, name, &story, err) < 0)
        return NULL;
    const struct opening *opening = &story.opening;
    const json_t *verdict = story.verdict, *instance = opening->instance;
    json_t *row = json_pack("{s:s, s:f, s:s, s:s, s:s, s:s, s:s}", "run", name, "time", opening->time,
                            "instance", json_str(instance, "title", json_str(instance, "name", "-")),
                            "source", opening->source ? opening->source : "-", "dest",
                            opening->dest ? opening->dest : "-", "policy", opening->policy, "outcome",
                            verdict                        ? json_str(verdict, "outcome", "?")
                            : journal_is_live(state, name) ? "running"
                                                           : "unfinished");
    if (verdict) {
        json_object_set_new(row, "status", json_integer(json_int(verdict, "status", 0)));
        json_object_set(row, "seconds", json_object_get(verdict, "seconds"));
        json_object_set(row, "downtime", json_object_get(verdict, "downtime"));
        json_object_set(row, "line", json_object_get(verdict, "line"));
    }
    return row;
}

enum { COLUMNS = 7 };

static char *seconds_text(const json_t *row, const char *key, const char *format)
{
    const json_t *value = json_object_get(row, key);
    char text[64] = "-";
    if (json_is_number(value) && STREQ(format, "s"))
        snprintf(text, sizeof text, "%.1f s", json_number_value(value));
    else if (json_is_number(value))
        snprintf(text, sizeof text, "%.2f s", json_number_value(value));
    return xstrdup(text);
}

static void put_cells(struct buf *out, char *const cells[COLUMNS], const size_t widths[COLUMNS])
{
    for (size_t i = 0; i < COLUMNS; i++) {
        buf_puts(out, cells[i]);
        for (size_t n = text_columns(cells[i]); i + 1 < COLUMNS && n < widths[i] + 2; n++)
            buf_puts(out, " ");
    }
    buf_puts(out, "\n");
}

static int put_table(const json_t *rows)
{
    static const char *const heads[COLUMNS] = {"RUN",     "WHEN", "INSTANCE", "FROM → TO",
                                               "OUTCOME", "TIME", "PAUSED"};
    size_t count = json_array_size(rows), widths[COLUMNS] = {0};
    bool utf8 = STREQ(nl_langinfo(CODESET), "UTF-8");
    char *(*cells)[COLUMNS] = xcalloc(count + 1, sizeof *cells);
    for (size_t i = 0; i <= count; i++) {
        const json_t *row = i ? json_array_get(rows, i - 1) : NULL;
        auto_free char *way =
            row ? xasprintf("%s → %s", json_str(row, "source", "-"), json_str(row, "dest", "-")) : NULL;
        auto_free char *when = row ? date_text(json_num(row, "time", 0), false) : NULL,
                       *took = row ? seconds_text(row, "seconds", "s") : NULL,
                       *paused = row ? seconds_text(row, "downtime", "ms") : NULL;
        const char *texts[COLUMNS] = {json_str(row, "run", ""),
                                      when,
                                      json_str(row, "instance", ""),
                                      way,
                                      json_str(row, "outcome", ""),
                                      took,
                                      paused};
        for (size_t c = 0; c < COLUMNS; c++) {
            cells[i][c] = shown_text(row ? texts[c] : heads[c], utf8);
            for (char *p = cells[i][c]; row && c == 4 && *p; p++)
                if (*p == '_')
                    *p = ' ';
            size_t width = text_columns(cells[i][c]);
            widths[c] = width > widths[c] ? width : widths[c];
        }
    }
    auto_buf struct buf out = {0};
    for (size_t i = 0; i <= count; i++) {
        put_cells(&out, cells[i], widths);
        for (size_t c = 0; c < COLUMNS; c++)
            free(cells[i][c]);
    }
    free(cells);
    return output_print(out.data);
}

static int put_lines(const json_t *rows)
{
    auto_buf struct buf out = {0};
    size_t i;
    json_t *row;
    json_array_foreach((json_t *)(uintptr_t)rows, i, row) {
        auto_free char *text = json_line(row);
        buf_printf(&out, "%s\n", text);
    }
    return out.data ? output_print(out.data) : 0;
}

static int put_runs(const struct options *options, const json_t *names)
{
    auto_json json_t *rows = json_array();
    size_t i;
    json_t *name;
    json_array_foreach((json_t *)(uintptr_t)names, i, name) {
        struct error unreadable;
        json_t *row = summary_of(options->state, json_string_value(name), &unreadable);
        json_array_append_new(
            rows,
            row ? row : json_pack("{s:O, s:f, s:s}", "run", name, "time", 0.0, "outcome", "unreadable"));
    }
    return options->json ? put_lines(rows) : put_table(rows);
}

static int list(const struct options *options, struct error *err)
{
    auto_json json_t *names = NULL;
    if (journal_runs(options->state, &names, err) < 0)
        return -1;
    if (json_array_size(names) == 0 && !options->json)
        return output_print("No run has changed anything yet.\n");
    return put_runs(options, names);
}

// ---- forgetting ----

// The runs that --prune means: older than an age, or named.
static int choose(const struct options *options, const struct listener *listener, json_t **names,
                  struct error *err)
{
    double age;
    size_t digits = strspn(options->prune, "0123456789.");
    if (digits && !options->prune[digits])
        return error_set(err, ERR_USAGE, 0, "--prune %s has no unit: %sd are days, %sh hours", options->prune,
                         options->prune, options->prune);
    if (duration_parse(options->prune, &age) < 0) {
        auto_free const char **runs = xcalloc(options->n_arguments + 1, sizeof *runs);
        runs[0] = options->prune;
        for (size_t i = 0; i < options->n_arguments; i++)
            runs[i + 1] = options->arguments[i];
        return prune_by_name(options->state, runs, options->n_arguments + 1, names, err);
    }
    if (options->n_arguments)
        return error_set(err, ERR_USAGE, 0, "--prune takes an age or the names of runs, not both");
    return prune_by_age(options->state, age, listener, names, err);
}

static int forget(const struct options *options, const struct listener *listener, const json_t *names,
                  struct error *err)
{
    size_t pruned = 0, kept = 0;
    struct site *site;
    if (site_load(options->site, &site, err) < 0)
        return -1;
    int rc = prune_runs(site, options->state, names, listener, &pruned, &kept, err);
    site_free(site);
    if (rc < 0)
        return -1;
    auto_free char *line =
        options->json ? xasprintf("{\"forgotten\":%zu,\"kept\":%zu}\n", pruned, kept)
        : kept ? xasprintf("%zu runs forgotten, %zu kept: their hosts could not be asked to forget them\n",
                           pruned, kept)
               : xasprintf("%zu run%s forgotten\n", pruned, pruned == 1 ? "" : "s");
    return output_print(line) || kept ? 1 : 0;
}

// Which runs would go is shown first.
static int prune(const struct options *options, const struct listener *listener, struct error *err)
{
    auto_json json_t *names = NULL;
    if (choose(options, listener, &names, err) < 0)
        return -1;
    size_t count = json_array_size(names);
    if (count == 0)
        return options->json ? 0 : output_print("There is no run to forget.\n");
    if (put_runs(options, names) != 0)
        return 1;
    if (options->preview)
        return 0;
    auto_free char *what = count == 1 ? xstrdup("forget this run")
                                      : xasprintf("forget these %zu runs", count);
    int answer = confirm(what, options->yes, err);
    return answer <= 0 ? answer : forget(options, listener, names, err);
}

static int prune_and_tell(const struct options *options, struct error *err)
{
    struct output output;
    output_open(&output, options);
    int status = prune(options, &output.listener, err);
    output_close(&output);
    return status;
}

int history_run(struct options *options, struct error *err)
{
    if (options->prune)
        return prune_and_tell(options, err);
    if (options->n_arguments)
        return error_set(err, ERR_USAGE, 0, "history takes no arguments; migrun show %s tells of one run",
                         options->arguments[0]);
    return list(options, err);
}
