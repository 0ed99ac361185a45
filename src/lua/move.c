// SPDX-License-Identifier: MIT
#include "base/interrupt.h"
#include "lua/lua.h"
#include "lua/policy.h"
#include "run/verdict.h"

static const char *usage_of(const struct procedure *procedure)
{
    return procedure->takes_instance ? procedure->takes_host ? " INSTANCE HOST" : " INSTANCE"
           : procedure->takes_host   ? " HOST"
                                     : "";
}

static int count_arguments(const struct procedure *procedure, const struct run_options *options,
                           struct error *err)
{
    size_t expected = (size_t)procedure->takes_instance + (size_t)procedure->takes_host;
    if (options->n_arguments == expected)
        return 0;
    return error_set(err, ERR_USAGE, 0, "%s takes %zu argument%s, not %zu: migrun [options] %s%s",
                     procedure->name, expected, expected == 1 ? "" : "s", options->n_arguments,
                     procedure->name, usage_of(procedure));
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
        return verdict_tell(run, OUTCOME_REFUSED, "refused", NULL, "Refused, nothing was touched: %s",
                            err->message);
    }
}

static int perform(const struct run_options *options, const struct listener *listener,
                   const struct site *site, struct policy *policy, struct error *err)
{
    struct run run = {.options = options,
                      .site = site,
                      .procedure = &policy->procedure,
                      .listener = *listener,
                      .janitor = -1};
    policy->in.run = &run;
    interrupts_last_words(
        "\nmigrun was left at once; nothing was touched.\n"); // until it begins to change something
    int status = run_open(&run, err) < 0 ? end_unopened(&run, err) : run_execute(&run);
    policy->in.run = NULL;
    run.went_well = status == OUTCOME_MOVED;
    run_close(&run);
    return status;
}

int migrun_lua_move(const struct run_options *options, const struct listener *listener, struct error *err)
{
    struct site *site = NULL;
    struct policy policy;
    int status = -1;
    if (policy_load(&policy, options->policy, options->params, err) == 0 &&
        count_arguments(&policy.procedure, options, err) == 0 && site_load(options->site, &site, err) == 0)
        status = perform(options, listener, site, &policy, err);
    policy_free(&policy);
    site_free(site);
    return status;
}
