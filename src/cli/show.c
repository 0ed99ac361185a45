// SPDX-License-Identifier: MIT
// migrun show RUN: the story of a run, as its journal tells it.
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/output.h"
#include "run/journal.h"

#include <stdlib.h>

static int put_head(const struct story *story)
{
    const struct opening *opening = &story->opening;
    auto_free char *when = date_text(opening->time, true);
    auto_free char *raw = xasprintf("%s, %s: %s (migrun %s)", when, opening->by, opening->command,
                                    story->migrun);
    auto_free char *shown = printable(raw), *line = xasprintf("%s\n", shown);
    return output_print(line);
}

int show_run(struct options *options, struct error *err)
{
    if (options->n_arguments != 1)
        return error_set(err, ERR_USAGE, 0, "%s", command_named("show")->missing);
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
