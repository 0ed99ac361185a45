// SPDX-License-Identifier: MIT
// The command line: the options of a command, by the table of commands.
#ifndef MIGRUN_CLI_OPTIONS_H
#define MIGRUN_CLI_OPTIONS_H

#include "base/error.h"
#include "base/json.h"
#include "cli/text.h"

struct options {
    bool help, version; // then nothing else was looked at
    bool preview, unlocked, json, verbose, quiet, yes;
    enum color_when color;
    json_t *params; // object of strings
    const char *site, *source, *state, *host, *prune, *logs, *since, *until, *catalogue, *bundle;
    const char **arguments; // all that are not options; the command (or the policy) checks their number
    size_t n_arguments;
    char *command_line; // as a shell would take it, for the record of a run
};
struct command;
// Options may stand anywhere; "--" ends them. A mistake is ERR_USAGE, one sentence: an option that the
// command does not take is one. argv[0] is the program, the command's own name is not among the words. The
// texts in options are argv's own.
int options_parse(const struct command *command, int argc, char **argv, struct options *options,
                  struct error *err);
void options_free(struct options *options);
// The command line as a shell would take it, for the record of a run. Caller frees.
char *command_line_text(int argc, char **argv);

#endif
