// SPDX-License-Identifier: MIT
// migrun diagnose INSTANCE|RUN|REQUEST-ID: why its migration failed, by the logs of all hosts.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/mask.h"
#include "cli/bundle.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "lua/diagnosis.h"
#include "lua/policy.h"
#include "run/inquiry.h"
#include "run/told.h"
#include "world/logs/stamp.h"

#include <langinfo.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>

enum { TEXT_SHOWN = 300, INDENT = 10, NOT_KNOWN = 2 };

// ---- the question ----

// "2h" ago, or a time: "2026-11-24 03:44", in local time where it has no zone.
static int time_of(const char *option, const char *text, double *time, struct error *err)
{
    double age;
    struct stamp stamp;
    auto_free char *whole = xasprintf("%s:00", text);
    if (duration_parse(text, &age) == 0) {
        *time = wall_time() - age;
        return 0;
    }
    if (!stamp_read(text, strlen(text), &stamp) && !stamp_read(whole, strlen(whole), &stamp))
        return error_set(err, ERR_USAGE, 0,
                         "--%s takes an age (2h) or a time (\"2026-11-24 03:44\"), not '%s'", option, text);
    *time = stamp_time(&stamp, ZONE_LOCAL, wall_time());
    return 0;
}

static int add_bounds(const struct options *options, json_t *request, struct error *err)
{
    const struct {
        const char *name, *text;
    } bounds[] = {{"since", options->since}, {"until", options->until}};
    for (size_t i = 0; i < COUNT_OF(bounds); i++) {
        double time;
        if (!bounds[i].text)
            continue;
        if (time_of(bounds[i].name, bounds[i].text, &time, err) < 0)
            return -1;
        json_object_set_new(request, bounds[i].name, json_real(time));
    }
    return 0;
}

static int open_folder(const struct options *options, json_t *request, struct inquiry **inquiry,
                       struct error *err)
{
    json_object_set_new(request, "offline", json_true());
    return inquiry_of_folder(options->logs, inquiry, err);
}

static int open_hosts(const struct options *options, const struct site *site, json_t *request,
                      struct inquiry **inquiry, struct error *err)
{
    auto_json json_t *hosts = NULL, *told = NULL;
    auto_free char *nova = NULL;
    if (told_of(site, options->state, options->arguments[0], &told, &hosts, &nova, err) < 0)
        return -1;
    if (nova)
        json_object_set_new(request, "nova_away", json_text(nova));
    if (told)
        json_object_set(request, "told", told);
    if (!json_array_size(hosts))
        return error_set(
            err, ERR_USAGE, 0,
            "whose logs are to be read? List the hosts in the site file (hosts = { … }, control = "
            "{ … }), or name a folder with --logs");
    return inquiry_of_hosts(site, hosts, inquiry, err);
}

// What the answer says that the guest needs: who has it, of all hosts of the site.
static int add_fits(const struct site *site, const struct inquiry *inquiry, json_t *answer, struct error *err)
{
    json_t *need = json_object_get(answer, "need"), *name;
    if (!need || !site)
        return 0;
    auto_json json_t *facts = json_object(), *others = json_array();
    size_t i;
    json_array_foreach(site_host_names(site), i, name) {
        json_t *its = json_object_get(inquiry_facts(inquiry), json_string_value(name));
        if (its)
            json_object_set(facts, json_string_value(name), its);
        else
            json_array_append(others, name);
    }
    struct inquiry *more = NULL;
    if (json_array_size(others) && inquiry_of_hosts(site, others, &more, err) < 0)
        return -1;
    if (more)
        json_object_update(facts, (json_t *)(uintptr_t)inquiry_facts(more));
    inquiry_close(more);
    json_object_set_new(answer, "fits", diagnosis_fits(need, facts));
    const char *dest = json_str(answer, "dest", NULL);
    auto_free char *sum = json_object_get(need, "memory") && dest ? told_memory(dest) : NULL;
    if (sum)
        json_object_set_new(answer, "memory", json_text(sum));
    return 0;
}

// ---- the answer ----

// Lines of large files are counted only now, for those that are shown.
static void count_lines(struct inquiry *inquiry, const json_t *evidence)
{
    size_t i;
    json_t *line;
    json_array_foreach((json_t *)(uintptr_t)evidence, i, line) {
        if (json_object_get(line, "line") || *json_str(line, "path", "") != '/')
            continue;
        auto_json json_t *numbers = inquiry_count(inquiry, json_str(line, "host", ""),
                                                  json_str(line, "path", ""),
                                                  json_pack("[I]", (json_int_t)json_int(line, "at", 0)));
        if (json_array_size(numbers))
            json_object_set(line, "line", json_array_get(numbers, 0));
    }
}

static void add_time(struct buf *out, double time)
{
    time_t seconds = (time_t)time;
    struct tm parts;
    char text[16];
    if (isnan(time) || !localtime_r(&seconds, &parts))
        return buf_printf(out, "%-10s", "?");
    strftime(text, sizeof text, "%H:%M:%S", &parts);
    buf_printf(out, "%s.%d", text, (int)((time - floor(time)) * 10 + 1e-6));
}

static void add_row(struct buf *out, const char *label, const char *text)
{
    while (*text) {
        size_t len = strcspn(text, "\n");
        buf_printf(out, "%-*s%.*s\n", INDENT, label, (int)len, text);
        text += len + (text[len] == '\n');
        label = "";
    }
}

static void add_line(struct buf *out, const char *label, const json_t *line)
{
    const char *text = json_str(line, "says", json_str(line, "text", "")),
               *note = json_str(line, "note", NULL);
    size_t shown = text_bytes_in(text, TEXT_SHOWN);
    buf_printf(out, "%-*s", INDENT, label);
    add_time(out, json_num(line, "time", NAN));
    buf_printf(out, "  %s  %s", json_str(line, "host", "?"),
               json_str(line, "path", "an error that names no guest: of a later try?"));
    if (json_object_get(line, "line"))
        buf_printf(out, ":%" JSON_INTEGER_FORMAT, (json_int_t)json_int(line, "line", 0));
    buf_printf(out, "%s%s\n%-*s%.*s%s\n", note ? "  — " : "", note ? note : "", INDENT + 2, "", (int)shown,
               text, text[shown] ? "…" : "");
}

static void add_head(struct buf *out, const char *subject, const json_t *answer)
{
    const json_t *known = json_object_get(answer, "known");
    const char *uuid = json_str(known, "uuid", NULL), *name = json_str(known, "name", NULL),
               *source = json_str(answer, "source", NULL), *dest = json_str(answer, "dest", NULL),
               *request = json_str(answer, "request", NULL);
    buf_puts(out, subject);
    if (name && !STREQ(name, subject))
        buf_printf(out, " (%s)", name);
    else if (uuid && !STREQ(uuid, subject))
        buf_printf(out, " (%s)", uuid);
    if (source || dest)
        buf_printf(out, ", %s → %s", source ? source : "?", dest ? dest : "?");
    double began = json_num(answer, "began", NAN), ended = json_num(answer, "ended", NAN);
    if (!isnan(began)) {
        auto_free char *when = date_text(began, true), *took = duration_text(ended - began);
        buf_printf(out, ", %s, within %s", when, took);
    }
    if (request && !STREQ(request, subject))
        buf_printf(out, ", asked by %s", request);
    buf_puts(out, "\n\n");
}

static const char *cause_text(const json_t *answer)
{
    const char *kind = json_str(answer, "kind", "");
    return STREQ(kind, "moved") ? "nothing failed: the guest has moved"
                                : json_str(answer, "cause",
                                           json_array_size(json_object_get(answer, "evidence"))
                                               ? "unknown; the first errors, as they stand:"
                                               : "unknown: no line of that time says what failed");
}

static void add_unread(struct buf *out, const json_t *answer)
{
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(answer, "not_read"), i, one) {
        const char *path = json_str(one, "path", NULL);
        auto_free char *text = xasprintf("%s%s%s: %s", json_str(one, "host", "?"), path ? ":" : "",
                                         path ? path : "", json_str(one, "why", ""));
        add_row(out, i ? "" : "Not read", text);
    }
}

static void add_fitting(struct buf *out, const json_t *fits)
{
    enum { SHOWN = 5 };
    auto_buf struct buf text = {0};
    size_t i, count = json_array_size(fits);
    for (i = 0; i < count && i < SHOWN; i++)
        buf_printf(&text, "%s%s", i ? ", " : "", json_string_value(json_array_get(fits, i)));
    if (count > SHOWN)
        buf_printf(&text, " and %zu more", count - SHOWN);
    add_row(out, "Fits", count ? text.data : "no other host of the site that answered");
}

static char *screen_of(const struct options *options, const json_t *answer)
{
    struct buf out = {0};
    size_t i;
    json_t *line;
    add_head(&out, options->arguments[0], answer);
    if (json_flag(answer, "loose", false))
        add_row(&out, "Note", "no line names the guest: these are the last errors of its host");
    if (json_str(answer, "verdict", NULL))
        add_row(&out, "Run", json_str(answer, "verdict", ""));
    add_row(&out, "Cause", cause_text(answer));
    if (json_str(answer, "remedy", NULL))
        add_row(&out, "Remedy", json_str(answer, "remedy", ""));
    if (json_str(answer, "memory", NULL))
        add_row(&out, "Memory", json_str(answer, "memory", ""));
    if (json_object_get(answer, "fits"))
        add_fitting(&out, json_object_get(answer, "fits"));
    json_array_foreach(json_object_get(answer, "evidence"), i, line)
        add_line(&out, i ? "" : "Evidence", line);
    if (json_object_get(answer, "later"))
        add_line(&out, "Later", json_object_get(answer, "later"));
    add_unread(&out, answer);
    json_array_foreach(options->verbose ? json_object_get(answer, "story") : NULL, i, line)
        add_line(&out, i ? "" : "\nStory\n", line);
    return buf_take(&out);
}

static int put_screen(const struct options *options, const json_t *answer)
{
    auto_free char *text = screen_of(options, answer);
    bool utf8 = STREQ(nl_langinfo(CODESET), "UTF-8");
    auto_buf struct buf shown = {0};
    for (const char *line = text; *line;) {
        size_t len = strcspn(line, "\n");
        auto_free char *raw = xstrndup(line, len), *clean = shown_text(raw, utf8);
        buf_printf(&shown, "%s\n", clean);
        line += len + (line[len] == '\n');
    }
    return output_print(shown.data);
}

// Lua's empty tables are objects.
static void mend_lists(json_t *answer)
{
    static const char *const lists[] = {"evidence", "story", "not_read", "fits"};
    for (size_t i = 0; i < COUNT_OF(lists); i++)
        if (json_is_object(json_object_get(answer, lists[i])))
            json_object_set_new(answer, lists[i], json_array());
}

static int put_json(json_t *answer)
{
    json_object_set_new(answer, "type", json_string("diagnosis"));
    auto_free char *line = json_line(answer), *text = xasprintf("%s\n", line ? line : "{}");
    return output_print(text);
}

static int fail_nothing(const struct options *options, const json_t *answer, struct error *err)
{
    auto_buf struct buf away = {0};
    size_t i;
    json_t *one;
    json_array_foreach(json_object_get(answer, "not_read"), i, one) {
        const char *path = json_str(one, "path", "");
        buf_printf(&away, "; %s%s%s: %s", json_str(one, "host", "?"), *path ? ":" : "", path,
                   json_str(one, "why", ""));
    }
    return error_set(
        err, ERR_USAGE, 0,
        "no log has a migration of %s%s%s: is the name right? It takes an instance's name or uuid, "
        "a run's name or a request id%s%s",
        options->arguments[0], options->since ? " since " : "", options->since ? options->since : "",
        away.len ? "; not read" : "", away.len ? away.data : "");
}

static int tell(const struct options *options, struct inquiry *inquiry, json_t *answer, struct error *err)
{
    const char *kind = json_str(answer, "kind", "");
    if (STREQ(kind, "nothing"))
        return fail_nothing(options, answer, err);
    mend_lists(answer);
    count_lines(inquiry, json_object_get(answer, "evidence"));
    if (!options->verbose)
        json_object_del(answer, "story");
    auto_json json_t *masked = mask_json(answer);
    int failed = options->json ? put_json(masked) : put_screen(options, masked);
    return failed ? failed : STREQ(kind, "unknown") ? NOT_KNOWN : 0;
}

int diagnose_run(struct options *options, struct error *err)
{
    if (options->n_arguments != 1 || !*options->arguments[0])
        return error_set(err, ERR_USAGE, 0, "%s", command_named("diagnose")->missing);
    auto_json json_t *read = NULL;
    auto_json json_t *request = json_pack("{s:o}", "subject", json_text(options->arguments[0])),
                     *answer = NULL;
    struct site *site = NULL;
    struct inquiry *inquiry = NULL;
    int rc = add_bounds(options, request, err);
    if (rc == 0 && !options->logs)
        rc = site_load(options->site, &site, err);
    if (rc == 0)
        rc = options->logs ? open_folder(options, request, &inquiry, err)
                           : open_hosts(options, site, request, &inquiry, err);
    if (rc == 0) {
        json_object_set(request, "hosts", (json_t *)(uintptr_t)inquiry_hosts(inquiry));
        json_object_set(request, "ahead", (json_t *)(uintptr_t)inquiry_ahead(inquiry));
        json_object_set(request, "facts", (json_t *)(uintptr_t)inquiry_facts(inquiry));
        json_object_set_new(request, "folders", inquiry_folders(inquiry));
        json_object_set_new(request, "now", json_real(wall_time()));
        json_object_set_new(request, "places", inquiry_places(inquiry));
        rc = diagnosis_make(options->catalogue, inquiry, request, &answer, &read, err);
    }
    if (rc == 0)
        rc = add_fits(site, inquiry, answer, err);
    if (rc == 0 && options->bundle && !STREQ(json_str(answer, "kind", ""), "nothing"))
        rc = bundle_write(options->bundle, read, answer, err);
    if (rc == 0)
        rc = tell(options, inquiry, answer, err);
    inquiry_close(inquiry);
    site_free(site);
    if (rc >= 0 || err->domain != ERR_INTERRUPTED)
        return rc;
    output_mistake(err, false);
    return OUTCOME_INTERRUPTED;
}
