// SPDX-License-Identifier: MIT
// migrun POLICY INSTANCE HOST: carries out a policy, or shows what it would do.
#include "cli/commands.h"
#include "cli/output.h"
#include "lua/policy.h"

static const char help[] =
    "migrun POLICY INSTANCE HOST: moves a running virtual machine to another host\n"
    "by a policy, and says where it runs then.\n"
    "\n"
    "  migrun --dry-run libvirt.lua instance-00000001 compute-2\n"
    "\n"
    "  -n, --dry-run         show every change, make none\n"
    "  -p, --param NAME=VAL  a parameter of the policy\n"
    "      --timeout TIME    give up and abort after this long: 90s, 5m, 1h30m\n"
    "      --source HOST     where the guest runs, if migrun cannot find out\n"
    "      --site FILE       the site ($MIGRUN_SITE, /etc/migrun/site.lua)\n"
    "      --state FOLDER    where runs are recorded (root: /var/lib/migrun; others:\n"
    "                        ~/.local/state/migrun)\n"
    "  -v, --verbose         each check as it comes, each difference\n"
    "  -q, --quiet           only warnings and the verdict\n"
    "      --json            every event, one JSON object a line\n"
    "      --color WHEN      auto, always or never\n"
    "      --version, -h, --help\n"
    "\n"
    "migrun history, show RUN, recover [RUN]: what runs did, and the end of those that\n"
    "were cut off; each has its own --help.\n"
    "Exit status: 0 moved, 1 a mistake, 2 refused, 3 not moved, 4 moved but ...,\n"
    "5 in doubt, 6 not put back, 130 interrupted. A dry run exits as the run would.\n";

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

static int move(const struct options *options, const char *command_line)
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
        .verbose = options->verbose,
        .command_line = command_line,
    };
    struct output output;
    struct error err = {0};
    output_open(&output, options);
    int status = perform(&run, &output.listener, &err);
    output_close(&output);
    return status < 0 ? output_mistake(&err, options->json) : status;
}

int move_main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    int status;
    auto_free char *words = command_line_text(argc - 1, argv + 1),
                   *command_line = xasprintf("migrun %s", words);
    if (options_parse(argc, argv, &options, &err) < 0)
        status = output_mistake(&err, output_wants_json(argc, argv));
    else if (options.help)
        status = output_print(help);
    else if (options.version)
        status = output_print("migrun " MIGRUN_VERSION "\n");
    else
        status = move(&options, command_line);
    options_free(&options);
    return status;
}
