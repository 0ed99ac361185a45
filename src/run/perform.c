// SPDX-License-Identifier: MIT
// A run from its beginning to its end.
#include "base/interrupt.h"
#include "run/journal.h"
#include "run/verdict.h"

static const char *usage_of(const struct procedure *procedure)
{
    return procedure->takes_instance ? procedure->takes_host    ? " INSTANCE HOST"
                                       : procedure->takes_hosts ? " INSTANCE HOST…|any"
                                                                : " INSTANCE"
           : procedure->takes_host   ? " HOST"
           : procedure->takes_hosts  ? " HOST…"
                                     : "";
}

static int count_arguments(const struct procedure *procedure, const struct run_options *options,
                           struct error *err)
{
    size_t expected = (size_t)procedure->takes_instance + (size_t)procedure->takes_host;
    if (options->n_arguments == expected && !procedure->takes_hosts)
        return 0;
    if (procedure->takes_hosts)
        return options->n_arguments > expected
                   ? 0
                   : error_set(err, ERR_USAGE, 0, "%s takes %sone or more hosts%s: migrun [options] %s%s",
                               procedure->name, procedure->takes_instance ? "an instance and " : "",
                               procedure->takes_instance ? ", or any" : "", procedure->name,
                               usage_of(procedure));
    return error_set(err, ERR_USAGE, 0, "%s takes %zu argument%s, not %zu: migrun [options] %s%s",
                     procedure->name, expected, expected == 1 ? "" : "s", options->n_arguments,
                     procedure->name, usage_of(procedure));
}

// Of the newest runs, one of this guest that was cut off may be why.
static void tell_unfinished(struct run *run)
{
    enum { LOOKED_AT = 100 };
    auto_json json_t *names = NULL;
    if (!run->procedure->takes_instance || journal_runs(run->options->state, &names, NULL) < 0)
        return;
    size_t count = json_array_size(names), last = count > LOOKED_AT ? count - LOOKED_AT : 0;
    for (size_t i = count; i-- > last;) {
        struct story auto_story story = {0};
        const char *name = json_string_value(json_array_get(names, i)), *guest = run->options->arguments[0];
        if (journal_read(run->options->state, name, &story, NULL) < 0 || story.verdict ||
            journal_is_live(run->options->state, name))
            continue;
        const json_t *instance = story.opening.instance;
        if (STREQ(json_str(instance, "name", ""), guest) || STREQ(json_str(instance, "uuid", ""), guest) ||
            STREQ(json_str(instance, "title", ""), guest))
            run_message(run, "warning", "run %s of %s was cut off: migrun recover %s ends it", name, guest,
                        name);
    }
}

// A run that could not begin: the world says no, or it is a mistake, which is the caller's to tell.
static int end_unopened(struct run *run, const struct error *err)
{
    switch (err->domain) {
    case ERR_USAGE:
    case ERR_SITE:
    case ERR_POLICY: return -1;
    case ERR_INTERRUPTED:
        return verdict_tell(run, OUTCOME_INTERRUPTED, "interrupted", NULL,
                            "Interrupted: nothing was touched.");
    default:
        tell_unfinished(run);
        return verdict_tell(run, OUTCOME_REFUSED, "refused", NULL, "Refused, nothing was touched: %s",
                            err->message);
    }
}

int run_perform(const struct run_options *options, const struct site *site, const struct procedure *procedure,
                const struct listener *listener, struct error *err)
{
    struct run run = {
        .options = options, .site = site, .procedure = procedure, .listener = *listener, .janitor = -1};
    if (count_arguments(procedure, options, err) < 0)
        return -1;
    interrupts_last_words(
        "\nmigrun was left at once; nothing was touched.\n"); // until it begins to change something
    int status = run_open(&run, err) < 0 ? end_unopened(&run, err) : run_execute(&run);
    run.went_well = status == OUTCOME_MOVED;
    run_close(&run);
    return status;
}
