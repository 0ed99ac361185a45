// SPDX-License-Identifier: MIT
// migrun recover [RUN…]: ends runs that were cut off. migrun undo RUN: undoes one that has ended.
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/output.h"
#include "lua/policy.h"

static int agree(void *data, const char *what, struct error *err)
{
    (void)data;
    return confirm(what, false, err);
}

static int perform(struct options *options, bool undoes, struct error *err)
{
    struct site *site = NULL;
    struct output output;
    int status = site_load(options->site, &site, err);
    const struct recover_options how = {
        .site = site,
        .policies = &lua_policies,
        .state = options->state,
        .runs = options->arguments,
        .n_runs = options->n_arguments,
        .host = options->host,
        .undoes = undoes,
        .preview = options->preview,
        .unlocked = options->unlocked,
        .agree = options->yes ? NULL : agree,
    };
    output_open(&output, options);
    if (status == 0)
        status = recover_runs(&how, &output.listener, err);
    output_close(&output);
    site_free(site);
    return status;
}

int recover_run(struct options *options, struct error *err) { return perform(options, false, err); }

int undo_run(struct options *options, struct error *err)
{
    if (options->n_arguments == 1)
        return perform(options, true, err);
    return error_set(err, ERR_USAGE, 0, "undo takes the name of one run, not %zu (migrun history lists them)",
                     options->n_arguments);
}
