// SPDX-License-Identifier: MIT
// The journal of a run: one folder, STATE/runs/RUN, with journal.jsonl (one JSON object a line),
// secret-N.json (a change as it is, where its line is masked; 0: the parameters; secret-saved-N.json:
// run.saved) and, to be read, the policy's text. What its lines look like is known to this file alone; all
// others write them by the functions below, and read them as a story.
//
// Lines have time, run and type. "open" is the first: what the run is, with the policy and its modules, and
// the format of all the lines. "about" (number, step, effect) is on the disk before a change is made; "done",
// "not made", "uncertain", "undone", "undo failed" (number) tell what became of it. "saved" is run.saved,
// "dest" a scheduler's choice. "recover" begins each recovery. All events (events.h) but progress stand there
// too; a "verdict" ends the run, unless it is in doubt.
#ifndef MIGRUN_RUN_JOURNAL_H
#define MIGRUN_RUN_JOURNAL_H

#include "base/error.h"
#include "base/json.h"

#include <stdbool.h>

// Of the lines. A journal of a higher one is refused; one without (of before there was any) is read.
#define JOURNAL_FORMAT 1

// What a run is, as its journal begins. Texts and objects are NULL where the run has no such thing.
struct opening {
    const char *run, *command, *by, *policy, *summary, *text, *xml, *source, *dest,
        *here; // the machine that it runs on, where it is none of the run's own hosts
    double time;
    const json_t *modules, *params, *instance, *server;
    const json_t *hosts; // names of all that the run had
};

// ---- writing ----

struct journal;
// Every state is the folder that runs are recorded in; NULL: the default one, /var/lib/migrun, or of a user
// who is not root $XDG_STATE_HOME/migrun (~/.local/state/migrun).
//
// Folders and journals that others could write are refused (ERR_REFUSED), and so are links.
//
// Makes the folder, and writes opening as its first line, synced. ERR_SYSTEM when it cannot be written:
// nothing may be changed then.
int journal_open(const char *state, const struct opening *opening, struct journal **journal,
                 struct error *err);
// An old one, to go on with it. ERR_REFUSED when the run that writes it still lives.
int journal_resume(const char *state, const char *run, struct journal **journal, struct error *err);
void journal_close(struct journal *journal);

// A line that could not be written whole is taken back. Synced lines are on the disk when 0 is returned, and
// with them all that were written before.
//
// A change is about to be made, or to be undone no more than it is: synced. effect: its data (gate.h).
int journal_about(struct journal *journal, int number, const json_t *effect, struct error *err);
// Keeps an effect as it is, with what is secret in it, before journal_about tells of it without: synced,
// this user's alone. It goes with the journal (journal_remove).
int journal_secret(struct journal *journal, int number, const json_t *effect, struct error *err);
// That effect; NULL: nothing in it was secret. Caller decrefs.
json_t *journal_whole(const char *state, const char *run, int number);
// What became of a change.
enum fate { FATE_ABOUT, FATE_DONE, FATE_NOT_MADE, FATE_UNCERTAIN, FATE_UNDONE, FATE_UNDO_FAILED };
// result, request_id: NULL, or what there is to say.
int journal_fate(struct journal *journal, int number, enum fate fate, const json_t *result,
                 const char *request_id, struct error *err);
// masked: saved as it may be shown; where that is not all of it, the whole lies beside the journal.
int journal_saved(struct journal *journal, const json_t *saved, const json_t *masked, struct error *err);
int journal_dest(struct journal *journal, const char *dest, struct error *err); // synced
// undoes: what begins is the undo of a run that had ended, which its recovery goes on with. Synced.
int journal_recovery(struct journal *journal, const char *by, bool undoes, struct error *err);
int journal_event(struct journal *journal, const json_t *event, struct error *err);

// ---- reading ----

struct told_effect {
    int number;
    bool done;          // it was made; else it is not known whether it was
    bool over;          // it was undone, or never made: there is nothing of it to be undone
    const json_t *data; // of the effect: {kind, host, target, before, after, …}, with these of their types
    const json_t *result; // NULL, or what was said when it was made
};
// What a journal tells. Everything in it is borrowed from its records.
struct story {
    json_t *records; // all lines, oldest first. A torn one (the last, or one that a recovery went on after)
                     // is left out.
    struct opening opening; // dest: also where the scheduler chose it
    const char *migrun;     // the version that wrote it
    const json_t *saved;    // run.saved, or NULL
    int saved_whole;        // the number of the file that has all of it, 0: it hid nothing
    json_t *hosts;          // names of all that the run had, or changed something on (owned)
    struct told_effect *effects;
    size_t n_effects;
    const char *cut_off;   // the title of the step that was at work when the lines end, or NULL
    const char *cause;     // why the run stopped
    const json_t *verdict; // the last one that ended the run (an event), or NULL: it is unfinished
    bool undoes;           // its undo was begun
};
// ERR_USAGE where there is no such run; ERR_SYSTEM EILSEQ for one that has no whole first line (it had
// changed nothing yet), EBADMSG for one that cannot be right; ERR_REFUSED for one of a newer migrun, or
// that is not trusted. *story
// is to be freed in any case.
int journal_read(const char *state, const char *run, struct story *story, struct error *err);
// A story from an opening and effects that are not in a journal: {"N": effect's data}. kept: what the
// opening's texts lie in. ERR_SYSTEM EBADMSG when it cannot be.
int story_of(const struct opening *opening, const json_t *effects, json_t *kept, struct story *story,
             struct error *err);
void story_free(struct story *story);
#define auto_story cleanup(story_free)
// Calls take with each event that the journal keeps, in their order.
void story_events(const struct story *story, void (*take)(void *data, const json_t *event), void *data);

// ---- all of them ----

// The names of all runs, oldest first. A default folder that is not there holds none; ERR_USAGE for another.
int journal_runs(const char *state, json_t **names, struct error *err);
// Whether a name can be a run's: it reaches paths that are opened and removed.
bool journal_is_run_name(const char *name);
// Whether a process still writes it. Nobody is kept from writing it meanwhile.
bool journal_is_live(const char *state, const char *run);
// Removes a run's folder. ERR_REFUSED while it is written.
int journal_remove(const char *state, const char *run, struct error *err);

#endif
