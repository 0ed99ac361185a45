// SPDX-License-Identifier: MIT
// migrun POLICY INSTANCE HOST: carries out a policy, or previews it.
#include "cli/commands.h"
#include "cli/output.h"
#include "lua/policy.h"

static int perform(const struct run_options *options, const struct listener *listener, struct error *err)
{
    struct site *site = NULL;
    struct policy policy;
    int status = -1;
    if (policy_load(&policy, options->policy, options->params, err) == 0 &&
        site_load(options->site, &site, err) == 0)
        status = run_perform(options, site, &policy.procedure, listener, err);
    policy_free(&policy);
    site_free(site);
    return status;
}

int move_run(struct options *options, struct error *err)
{
    struct run_options run = {
        .policy = options->arguments[0],
        .arguments = options->arguments + 1,
        .n_arguments = options->n_arguments - 1,
        .params = options->params,
        .site = options->site,
        .source = options->source,
        .state = options->state,
        .preview = options->preview,
        .unlocked = options->unlocked,
        .verbose = options->verbose,
        .command_line = options->command_line,
    };
    struct output output;
    output_open(&output, options);
    int status = perform(&run, &output.listener, err);
    output_close(&output);
    return status;
}
