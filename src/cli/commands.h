// SPDX-License-Identifier: MIT
// The commands, one file each, and the table that the parser of options, the help, the manual page and the
// completion of bash are made from.
#ifndef MIGRUN_CLI_COMMANDS_H
#define MIGRUN_CLI_COMMANDS_H

#include "base/text.h"
#include "cli/options.h"

enum option_id { // of options without a letter; the others have their letter
    OPTION_TIMEOUT = 256,
    OPTION_SITE,
    OPTION_SOURCE,
    OPTION_STATE,
    OPTION_JSON,
    OPTION_COLOR,
    OPTION_VERSION,
    OPTION_HOST,
    OPTION_YES,
    OPTION_UNLOCKED,
    OPTION_PRUNE,
    OPTION_LOGS,
    OPTION_SINCE,
    OPTION_UNTIL,
    OPTION_CATALOGUE,
    OPTION_BUNDLE
};

struct command_option {
    int id;            // a letter, or an enum option_id
    const char *name;  // without its dashes
    const char *value; // what its value is called; NULL: it takes none
    const char *text;
};

struct command {
    const char *name;
    const char *arguments; // as in "RUN..."
    const char *summary;   // one line
    const char *about;     // paragraphs, each a line of its own
    const char *example;   // NULL: none
    size_t least;          // arguments
    const char *missing;   // the mistake when there are fewer
    // Returns the exit status, or -1: a mistake, which main tells.
    int (*run)(struct options *options, struct error *err);
    const struct command_option *options; // the last one has no name
};
extern const struct command commands[]; // the first is meant where none is named; the last one has no name

struct exit_status {
    int status;
    const char *text;
};
extern const struct exit_status exit_statuses[]; // the last one has no text

// NULL: there is none of that name.
const struct command *command_named(const char *name);
// "migrun recover"; for the first command "migrun".
const char *command_words(const struct command *command, char words[static 64]);

int move_run(struct options *options, struct error *err);
int recover_run(struct options *options, struct error *err);
int undo_run(struct options *options, struct error *err);
int history_run(struct options *options, struct error *err);
int diagnose_run(struct options *options, struct error *err);
int show_run(struct options *options, struct error *err);
int help_run(struct options *options, struct error *err);
int check_run(struct options *options, struct error *err);
int policies_run(struct options *options, struct error *err);
int policy_help(const struct options *options, struct error *err); // of the policy that is named

// Adds a line of help: what is typed, and in a column of its own what that means.
void help_entry(struct buf *out, const char *head, const char *text);
// Each text is the caller's to free.
char *help_text(const struct command *command);
char *manual_page(void);     // roff, for man
char *bash_completion(void); // a script for bash

#endif
