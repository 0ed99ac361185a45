// SPDX-License-Identifier: MIT
// A run for people: its events as text.
#ifndef MIGRUN_CLI_SCREEN_H
#define MIGRUN_CLI_SCREEN_H

#include "base/text.h"
#include "run/events.h"

struct screen {
    // Set by the creator; the rest is zero.
    int fd, verdict_fd; // once writing to fd fails it stays silent, and the verdict's line goes to verdict_fd
    bool verbose;       // every check as it comes, and the differences also in a run
    bool quiet;         // only warnings and the verdict's line
    bool color, utf8;
    bool live; // fd is a terminal that can rewrite its last line
    // Kept from one event to the next.
    bool preview, asks, printed,
        broken;            // asks: a policy of checks alone, whose answers are all that there is to see
    char *instance, *uuid; // a path with one of them in it is the instance's own
    const char *phase;     // of the last row, or NULL: before the first
    json_t *step;          // the start of the step that runs, or NULL
    json_t *effects;       // its effects, until its own line tells what it came to
    json_t *progress;      // its last progress
    double progress_told;  // when some of it was printed
    json_t *checks;        // a run's checks, until all are answered
    double checks_begun;
    size_t host_width; // of the longest name in a survey
    struct buf out;    // the output of this event
    char *live_line;   // below it, until the next event
    bool live_stands;
};
struct listener screen_listener(struct screen *screen);
// Wipes a live line and frees what was kept.
void screen_end(struct screen *screen);

#endif
