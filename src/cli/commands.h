// SPDX-License-Identifier: MIT
// The commands, one file each. A command gets its own name as argv[0] and returns migrun's exit status.
#ifndef MIGRUN_CLI_COMMANDS_H
#define MIGRUN_CLI_COMMANDS_H

#include "base/error.h"

int move_main(int argc, char **argv);
int recover_main(int argc, char **argv);
int history_main(int argc, char **argv);
int show_main(int argc, char **argv);

// Prints a mistake on stderr, as one sentence (or as the policy's place, message and line). Returns the exit
// status, 1.
int complain(const struct error *err);

#endif
