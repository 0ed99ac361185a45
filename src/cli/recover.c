// SPDX-License-Identifier: MIT
// migrun recover [RUN…]: ends runs that were cut off.
#include "cli/commands.h"
#include "cli/confirm.h"
#include "cli/output.h"
#include "lua/policy.h"

static const char help[] =
    "migrun recover [RUN ...]: finishes each run that was cut off as a failure would\n"
    "have: asks both hosts, follows a migration that is still running, undoes the\n"
    "preparations of a move that did not happen, fixes up one that did. A run that\n"
    "has ended but left something behind is tried again if RUN names it.\n"
    "\n"
    "  migrun recover --dry-run\n"
    "\n"
    "  -n, --dry-run         show what would be done, change nothing\n"
    "      --host HOST       finish runs whose controller no longer exists, from what\n"
    "                        HOST keeps of them: shows what that would undo, and asks\n"
    "      --yes             do not ask\n"
    "      --site FILE, --state FOLDER, -v, -q, --json, --color WHEN as with migrun\n"
    "\n"
    "Exit status: the worst of the runs that were finished, 0 if there was none.\n";

static const char *const allowed[] = {"dry-run", "host",    "yes",   "site",  "state",
                                      "json",    "verbose", "quiet", "color", NULL};

static int agree(void *data, const char *what, struct error *err)
{
    (void)data;
    return confirm(what, false, err);
}

static int recover(const struct options *options)
{
    struct site *site = NULL;
    struct output output;
    struct error err = {0};
    int status = site_load(options->site, &site, &err);
    const struct recover_options how = {
        .site = site,
        .policies = &lua_policies,
        .state = options->state,
        .runs = options->arguments,
        .n_runs = options->n_arguments,
        .host = options->host,
        .preview = options->preview,
        .agree = options->yes ? NULL : agree,
    };
    output_open(&output, options);
    if (status == 0)
        status = recover_runs(&how, &output.listener, &err);
    output_close(&output);
    site_free(site);
    return status < 0 ? output_mistake(&err, options->json) : status;
}

int recover_main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    int status = options_parse_for(allowed, argc, argv, &options, &err) < 0
                     ? output_mistake(&err, output_wants_json(argc, argv))
                 : options.help ? output_print(help)
                                : recover(&options);
    options_free(&options);
    return status;
}
