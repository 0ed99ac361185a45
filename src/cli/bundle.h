// SPDX-License-Identifier: MIT
// What a second pair of eyes needs of a failed migration, in one file: the lines of all hosts' logs at its
// time, and the answer, without secrets.
#ifndef MIGRUN_CLI_BUNDLE_H
#define MIGRUN_CLI_BUNDLE_H

#include "base/error.h"
#include "base/json.h"

// Writes a packed tar, this user's alone, with a folder for each host, as --logs reads it. read: {host:
// {lines, files}} (world/logs/search.h). ERR_USAGE where path is there already; ERR_SYSTEM, ERR_COMMAND.
int bundle_write(const char *path, const json_t *read, const json_t *answer, struct error *err);

#endif
