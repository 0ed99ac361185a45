// SPDX-License-Identifier: MIT
// --json: every event as it is, one object a line.
#ifndef MIGRUN_CLI_LINES_H
#define MIGRUN_CLI_LINES_H

#include "run/events.h"

// quiet: only warnings and the verdict. Once writing fails it stays silent, and the verdict's line goes to
// verdict_fd.
struct lines {
    int fd, verdict_fd;
    bool quiet, failed;
};
struct listener lines_listener(struct lines *lines);

#endif
