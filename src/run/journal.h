// SPDX-License-Identifier: MIT
// The journal of a run: one folder, STATE/runs/RUN, with journal.jsonl (one JSON object a line) and, to be
// read, the policy's text.
//
// Lines have time, run and type. "open" is the first: what the run is, with the policy and its modules.
// "about" (number, step, effect) is on the disk before a change is made; "done", "not made", "uncertain",
// "undone", "undo failed" (number) tell what became of it. "saved" is run.saved. "recover" begins each
// recovery. All events (events.h) but progress stand there too; a "verdict" ends the run, unless it is in
// doubt.
#ifndef MIGRUN_RUN_JOURNAL_H
#define MIGRUN_RUN_JOURNAL_H

#include "base/error.h"
#include "base/json.h"

struct journal;
// Every state is the folder that runs are recorded in; NULL: the default one, /var/lib/migrun, or of a user
// who is not root $XDG_STATE_HOME/migrun (~/.local/state/migrun).
//
// Makes the folder, and writes opening as its first line, synced. ERR_SYSTEM when it cannot be written:
// nothing may be changed then.
int journal_open(const char *state, const char *run, const json_t *opening, const char *policy_text,
                 struct journal **journal, struct error *err);
// An old one, to go on with it. ERR_REFUSED when the run that writes it still lives.
int journal_resume(const char *state, const char *run, struct journal **journal, struct error *err);
// Adds a line; sync: it is on the disk when this returns 0. A line that could not be written whole is taken
// back.
int journal_add(struct journal *journal, const json_t *record, bool sync, struct error *err);
void journal_close(struct journal *journal);

// All lines of a run's journal. A torn one (the last, or one that a recovery went on after) is left out.
int journal_read(const char *state, const char *run, json_t **records, struct error *err);
// The names of all runs, oldest first. A default folder that is not there holds none; ERR_USAGE for another.
int journal_runs(const char *state, json_t **names, struct error *err);
// The last verdict that ended the run (borrowed), or NULL: it is unfinished.
const json_t *journal_verdict(const json_t *records);
// Whether a process still writes it. Nobody is kept from writing it meanwhile.
bool journal_is_live(const char *state, const char *run);
// Removes a run's folder. ERR_REFUSED while it is written.
int journal_remove(const char *state, const char *run, struct error *err);

#endif
