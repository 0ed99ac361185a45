// SPDX-License-Identifier: MIT
// migrun show RUN: the story of a run, as its journal tells it.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "run/journal.h"
#include "run/run.h"

#include <stdlib.h>
#include <string.h>

static const char help[] = "migrun show RUN: what a run did, step by step, with every difference.\n"
                           "\n"
                           "      --state FOLDER, --json, --color WHEN as with migrun\n";

static const char *const allowed[] = {"state", "json", "color", NULL};

static bool is_event(const json_t *record)
{
    static const char *const types[] = {"begin", "step", "effect", "message", "verdict"};
    for (size_t i = 0; i < COUNT_OF(types); i++)
        if (STREQ(types[i], json_str(record, "type", "")))
            return true;
    return false;
}

static int put_head(const json_t *open)
{
    auto_free char *when = date_text(json_num(open, "time", 0), true);
    auto_free char *raw = xasprintf("%s, %s: %s (migrun %s)", when, json_str(open, "by", "?"),
                                    json_str(open, "command", "?"), json_str(open, "migrun", "?"));
    auto_free char *shown = printable(raw), *line = xasprintf("%s\n", shown);
    return output_print(line);
}

static int show(struct options *options, struct error *err)
{
    auto_json json_t *records = NULL;
    if (journal_read(options->state, options->arguments[0], &records, err) < 0)
        return -1;
    struct output output;
    size_t i;
    json_t *record;
    options->verbose = true;
    output_open(&output, options);
    if (!options->json && put_head(json_array_get(records, 0)) != 0)
        return 1;
    json_array_foreach(records, i, record)
        if (is_event(record))
            output.listener.event(output.listener.data, record);
    output_close(&output);
    if (!options->json && !journal_verdict(records)) {
        auto_free char *line = xasprintf(
            "Unfinished: it still goes on, or was cut off; migrun recover %s ends it.\n",
            options->arguments[0]);
        return output_print(line);
    }
    return 0;
}

int show_main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    int status;
    if (options_parse_for(allowed, argc, argv, &options, &err) < 0)
        status = -1;
    else if (options.help)
        status = output_print(help);
    else if (options.n_arguments != 1)
        status = error_set(&err, ERR_USAGE, 0, "show takes the name of one run (migrun history lists them)");
    else
        status = show(&options, &err);
    if (status < 0)
        status = output_mistake(&err, output_wants_json(argc, argv));
    options_free(&options);
    return status;
}
