// SPDX-License-Identifier: MIT
// The command line of a move, and of the other commands, which take some of its options.
#ifndef MIGRUN_CLI_OPTIONS_H
#define MIGRUN_CLI_OPTIONS_H

#include "base/error.h"
#include "base/json.h"
#include "cli/text.h"

struct options {
    bool help, version; // then nothing else was looked at
    bool preview, json, verbose, quiet, yes;
    enum color_when color;
    json_t *params; // object of strings
    const char *site, *source, *state, *host, *prune;
    const char **arguments; // those that are no options, as they stand: how many there should be, the policy
                            // (or the command) knows
    size_t n_arguments;
};
// Options may stand anywhere; "--" ends them. A mistake is ERR_USAGE, one sentence. The texts are argv's own.
int options_parse(int argc, char **argv, struct options *options, struct error *err);
// The same for a command that takes only the options whose long names stand in allowed (ends with NULL), and
// --help.
int options_parse_for(const char *const *allowed, int argc, char **argv, struct options *options,
                      struct error *err);
void options_free(struct options *options);
// The command line as a shell would take it, for the record of a run. Caller frees.
char *command_line_text(int argc, char **argv);

#endif
