// The journal of a run: one folder, STATE/runs/RUN, with journal.jsonl (one JSON object a line) and the policy's text.
#ifndef MIGRUN_RUN_JOURNAL_H
#define MIGRUN_RUN_JOURNAL_H

#include "base/error.h"
#include "base/util.h"

struct journal;
// Makes the folder. ERR_SYSTEM when it cannot be written: nothing may be changed then.
int journal_open(const char *state_dir, const char *run, const char *policy_text, struct journal **journal, struct error *err);
// Adds a line; sync: it is on the disk when this returns 0.
int journal_add(struct journal *journal, const json_t *record, bool sync, struct error *err);
void journal_sync(struct journal *journal);
void journal_close(struct journal *journal);

#endif
