// SPDX-License-Identifier: MIT
#include "run/survey.h"

#include "base/text.h"
#include "run/checks.h"
#include "run/cloud.h"
#include "run/facts.h"
#include "run/verdict.h"

#include <string.h>

enum { FITS_SHOWN = 3 };

// What the guest's own checks say, once for all hosts: those that ask a destination are left out where there
// is none. -1: a mistake, or an interrupt.
static int ask_of_guest(struct run *run, struct tally *tally, struct error *err)
{
    struct run_host *dest = run->dest;
    run->dest = NULL;
    int rc = checks_ask(run, tally, NULL, err);
    run->dest = dest;
    return rc;
}

// "22 questions; 41.0 GiB free; 2 warnings": what a host that can take the guest has.
static char *yes_text(const struct run_host *h, const struct tally *guest, const struct tally *tally,
                      const json_t *warnings)
{
    size_t count = json_array_size(warnings);
    auto_free char *memory = bytes_text(json_num(json_object_get(h->facts, "memory"), "available", 0)),
                   *warned = count ? xasprintf("; %zu warning%s", count, count == 1 ? "" : "s") : xstrdup("");
    return xasprintf("%zu questions; %s free%s", guest->checks + tally->checks, memory, warned);
}

static char *no_text(const struct tally *tally)
{
    size_t more = json_array_size(tally->reasons) - 1;
    const char *first = json_str(json_array_get(tally->reasons, 0), "text", "");
    return more ? xasprintf("%s; %zu more", first, more) : xstrdup(first);
}

// One host's answer: {name, answer, text, reasons, warnings, asked}. NULL: a mistake, or an interrupt.
static json_t *ask_host(struct run *run, struct run_host *h, const struct tally *guest, struct error *err)
{
    if (!h->virt)
        return json_pack("{s:s, s:s, s:o, s:[], s:[], s:i}", "name", run_host_name(h), "answer", "not_known",
                         "text", json_text(h->libvirt_error ? h->libvirt_error : "libvirtd is not connected"),
                         "reasons", "warnings", "asked", 0);
    struct tally tally;
    struct run_host *dest = run->dest;
    auto_json json_t *before = run->heard, *warnings = json_array();
    tally_begin(&tally, run);
    json_incref(before);
    run->heard = warnings;
    run->dest = h;
    int rc = checks_ask(run, &tally, guest->answers, err);
    run->dest = dest;
    run->heard = before;
    json_t *answer = NULL;
    size_t asked = guest->checks + tally.checks;
    if (rc == 0) {
        auto_free char *text = tally.refused ? no_text(&tally) : yes_text(h, guest, &tally, warnings);
        answer = json_pack("{s:s, s:s, s:o, s:O, s:O, s:I}", "name", run_host_name(h), "answer",
                           tally.refused ? "no" : "yes", "text", json_text(text), "reasons", tally.reasons,
                           "warnings", warnings, "asked", (json_int_t)asked);
    }
    tally_free(&tally);
    return answer;
}

static struct run_host *spare_named(const struct run *run, const char *name)
{
    for (size_t i = 0; i < run->n_spares; i++)
        if (STREQ(run_host_name(run->spares[i]), name))
            return run->spares[i];
    return NULL;
}

json_t *survey_names(const struct run *run)
{
    json_t *names = json_array(), *name;
    size_t i;
    const struct run_options *options = run->options;
    bool any = options->n_arguments == 2;
    json_array_foreach(site_host_names(run->site), i, name)
        if (any && !STREQ(json_string_value(name), run_host_name(run->source)))
            json_array_append(names, name);
    for (size_t k = 1; !any && k < options->n_arguments; k++)
        json_array_append_new(names, json_text(options->arguments[k]));
    return names;
}

static json_t *answer_of(struct run *run, const char *name, const struct tally *guest, struct error *err)
{
    struct run_host *h = spare_named(run, name);
    if (h)
        return ask_host(run, h, guest, err);
    bool here = STREQ(name, run_host_name(run->source));
    return json_pack("{s:s, s:s, s:o, s:[], s:[], s:i}", "name", name, "answer", here ? "no" : "not_known",
                     "text",
                     json_text(here ? "the guest is there" : json_str(run->away, name, "it was not reached")),
                     "reasons", "warnings", "asked", 0);
}

static int end_survey(struct run *run, struct tally *tally, size_t asked, size_t yes, size_t unknown,
                      const char *refused)
{
    const char *name = run_instance_name(run);
    auto_free char *rest = unknown ? xasprintf("; %zu could not be asked", unknown) : xstrdup("");
    if (refused) {
        auto_free char *command = xasprintf("migrun %s %s %s", run->procedure->name, name, refused);
        verdict_detail(tally->details, "Details", command);
    }
    if (yes)
        return verdict_tell(run, OUTCOME_MOVED, "done", steal(&tally->details),
                            "Done: %zu of %zu host%s can take %s%s.", yes, asked, asked == 1 ? "" : "s", name,
                            rest);
    return verdict_tell(run, OUTCOME_REFUSED, "refused", steal(&tally->details),
                        "Refused, nothing was touched: none of %zu host%s can take %s%s.", asked,
                        asked == 1 ? "" : "s", name, rest);
}

static int ask_all(struct run *run, struct tally *tally)
{
    struct error err = {0};
    auto_json json_t *names = survey_names(run);
    json_t *name;
    auto_free char *refused = NULL;
    size_t i, yes = 0, unknown = 0;
    json_array_foreach(names, i, name) {
        json_t *answer = answer_of(run, json_string_value(name), tally, &err);
        if (!answer)
            return end_mistaken(run, tally, &err);
        const char *word = json_str(answer, "answer", "");
        yes += STREQ(word, "yes");
        unknown += STREQ(word, "not_known");
        if (STREQ(word, "no") && !refused && json_array_size(json_object_get(answer, "reasons")))
            refused = xstrdup(json_string_value(name));
        run_emit(run, "host", answer);
    }
    return end_survey(run, tally, json_array_size(names), yes, unknown, refused);
}

int survey(struct run *run, struct tally *tally)
{
    struct error err = {0};
    auto_json json_t *warnings = json_array();
    json_t *reason, *warning;
    size_t i;
    run->heard = warnings;
    int rc = ask_of_guest(run, tally, &err);
    run->heard = NULL;
    if (rc < 0)
        return end_mistaken(run, tally, &err);
    json_array_foreach(warnings, i, warning)
        run_message(run, "warning", "%s", json_string_value(warning));
    if (!tally->refused)
        return ask_all(run, tally);
    json_array_foreach(tally->reasons, i, reason)
        verdict_detail(tally->details, json_str(reason, "title", ""), json_str(reason, "text", ""));
    return end_refused(run, tally);
}

void survey_others(struct run *run, struct tally *tally)
{
    struct error err = {0};
    struct tally guest;
    auto_buf struct buf fits = {0};
    auto_json json_t *muted = json_array();
    size_t yes = 0, asked = run->n_spares;
    if (!asked)
        return;
    tally_begin(&guest, run);
    run->heard = muted;
    bool may = ask_of_guest(run, &guest, &err) == 0 && !guest.refused && run_gather_spares(run, &err) == 0;
    for (size_t i = 0; may && i < run->n_spares; i++) {
        auto_json json_t *answer = ask_host(run, run->spares[i], &guest, &err);
        if (!answer || !STREQ(json_str(answer, "answer", ""), "yes"))
            continue;
        if (yes++ < FITS_SHOWN)
            buf_printf(&fits, "%s%s (%s)", fits.len ? ", " : "", run_host_name(run->spares[i]),
                       json_str(answer, "text", ""));
    }
    run->heard = NULL;
    if (may && yes > FITS_SHOWN)
        buf_printf(&fits, " and %zu more", yes - FITS_SHOWN);
    if (may)
        verdict_detail(tally->details, "Fits", yes ? fits.data : "no other host of the site can take it");
    tally_free(&guest);
}
