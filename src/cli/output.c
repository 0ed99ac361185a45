// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include "base/clock.h"
#include "base/io.h"
#include "cli/commands.h"
#include "run/run.h"

#include <langinfo.h>
#include <string.h>
#include <unistd.h>

void output_open(struct output *output, const struct options *options)
{
    *output = (struct output){
        .lines = {.fd = STDOUT_FILENO, .verdict_fd = STDERR_FILENO, .quiet = options->quiet},
        .screen =
            {
                .fd = STDOUT_FILENO,
                .verdict_fd = STDERR_FILENO,
                .verbose = options->verbose,
                .quiet = options->quiet,
                .color = color_wanted(options->color, STDOUT_FILENO),
                .utf8 = STREQ(nl_langinfo(CODESET), "UTF-8"),
                .live = is_live_terminal(STDOUT_FILENO),
            },
    };
    output->listener = options->json ? lines_listener(&output->lines) : screen_listener(&output->screen);
}

void output_close(struct output *output) { screen_end(&output->screen); }

int output_print(const char *text) { return write_all(STDOUT_FILENO, text, strlen(text)) < 0 ? 1 : 0; }

int output_mistake(const struct error *err, bool json)
{
    if (json) {
        auto_json json_t *verdict = json_pack("{s:f, s:n, s:s, s:s, s:i, s:o}", "time", wall_time(), "run",
                                              "type", "verdict", "outcome", "mistake", "status",
                                              OUTCOME_MISTAKE, "line", json_text(err->message));
        struct lines lines = {.fd = STDOUT_FILENO, .verdict_fd = STDERR_FILENO};
        struct listener listener = lines_listener(&lines);
        listener.event(listener.data, verdict);
    }
    return complain(err);
}

bool output_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && !STREQ(argv[i], "--"); i++)
        if (STREQ(argv[i], "--json"))
            return true;
    return false;
}
