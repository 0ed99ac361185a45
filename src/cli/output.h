// SPDX-License-Identifier: MIT
// Where a command's events go: a screen, or lines of JSON.
#ifndef MIGRUN_CLI_OUTPUT_H
#define MIGRUN_CLI_OUTPUT_H

#include "cli/lines.h"
#include "cli/options.h"
#include "cli/screen.h"

struct output {
    struct lines lines;
    struct screen screen;
    struct listener listener;
};
void output_open(struct output *output, const struct options *options);
void output_close(struct output *output);

// A text on stdout; the exit status.
int output_print(const char *text);
// The same of a text from outside, as it may be shown.
int output_shown(const char *text);
// A mistake is told in one sentence, and to a program that reads JSON as the verdict that it waits for. The
// exit status.
int output_mistake(const struct error *err, bool json);
// Whether the command line asks for JSON, also where a mistake stands before that.
bool output_wants_json(int argc, char **argv);

#endif
