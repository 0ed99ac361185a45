// SPDX-License-Identifier: MIT
// Runs of before, opened again, each with its own policy, as its journal keeps it: those that were cut off
// are ended, and one that has ended well is undone.
#ifndef MIGRUN_RUN_RECOVER_H
#define MIGRUN_RUN_RECOVER_H

#include "run/journal.h"
#include "run/run.h"

// How the policy of a run comes back from its journal.
struct policies {
    // NULL with err: it is not understood any more. opening must outlive it.
    const struct procedure *(*restore)(const struct opening *opening, struct error *err);
    void (*forget)(const struct procedure *procedure);
};

struct recover_options {
    const struct site *site;
    const struct policies *policies;
    const char *state;
    const char *const *runs; // names; none: every run that is unfinished
    size_t n_runs;
    const char *host;       // NULL, or: end what this host keeps of runs whose controller is gone for good
    bool undoes;            // the named run, which has ended, is undone: what nobody has changed since
    bool preview, unlocked; // as of a run (run.h)
    // What a host keeps is shown before it is undone, and asked for: 1 yes, 0 no, -1 with err. NULL: it is
    // not.
    int (*agree)(void *data, const char *what, struct error *err);
    void *agree_data;
};
// Returns the worst of the runs' exit statuses, 0 when there was none; -1 with err for a mistake.
int recover_runs(const struct recover_options *options, const struct listener *listener, struct error *err);

#endif
