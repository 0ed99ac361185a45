// SPDX-License-Identifier: MIT
// migrun show RUN: the story of a run, as its journal tells it.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "run/journal.h"

#include <stdlib.h>

static const char help[] = "migrun show RUN: what a run did, step by step, with every difference.\n"
                           "\n"
                           "      --state FOLDER, --json, --color WHEN as with migrun\n";

static const char *const allowed[] = {"state", "json", "color", NULL};

static int put_head(const struct story *story)
{
    const struct opening *opening = &story->opening;
    auto_free char *when = date_text(opening->time, true);
    auto_free char *raw = xasprintf("%s, %s: %s (migrun %s)", when, opening->by, opening->command,
                                    story->migrun);
    auto_free char *shown = printable(raw), *line = xasprintf("%s\n", shown);
    return output_print(line);
}

static int show(struct options *options, struct error *err)
{
    struct story auto_story story = {0};
    if (journal_read(options->state, options->arguments[0], &story, err) < 0)
        return -1;
    struct output output;
    options->verbose = true;
    output_open(&output, options);
    if (!options->json && put_head(&story) != 0)
        return 1;
    story_events(&story, output.listener.event, output.listener.data);
    output_close(&output);
    if (!options->json && !story.verdict) {
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
