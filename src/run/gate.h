// SPDX-License-Identifier: MIT
// The gate: the one way to change the world. A change is an effect, plain data: a preview prints it, the
// journal keeps it, and it can be undone with no Lua.
#ifndef MIGRUN_RUN_GATE_H
#define MIGRUN_RUN_GATE_H

#include "run/run.h"

// What is there of a change: what was before it, what it makes, something else, or it cannot be known.
enum observed { SEEN_BEFORE, SEEN_AFTER, SEEN_OTHER, SEEN_UNKNOWN };

// Whether a change was made. NOT_MADE: refused, so that nothing of it is there and nothing is to be undone.
// MADE_UNKNOWN: its answer was lost, or came half way; it is observed before anybody undoes it.
enum made { MADE, NOT_MADE, MADE_UNKNOWN };

struct effect {
    const struct effect_kind *kind;
    struct run_host *host;
    int number;
    json_t *data;   // {kind, host, target, before, after, step, fixup, temporary}; nothing secret
    void *own;      // what its kind needs for making and showing it, and nobody writes down; kind->free_own
    json_t *result; // what apply, or observe, has to say
    enum made made; // as far as its journal tells
    bool undoing;   // what is asked of its host now undoes it
    bool undone;    // there is nothing (more) to undo
    bool of_fixup;  // it puts things right, so no failure undoes it
    bool temporary; // of a temporary step: taken back at every end
};

// Where a note of a change is kept, for another controller: nowhere, on the host that is changed, or (of what
// moves the guest) at the run's source.
enum note_place { NOTE_NOWHERE, NOTE_AT_HOST, NOTE_AT_SOURCE };

struct effect_kind {
    const char *name;
    enum note_place note;
    // One line ("root:root → nova:nova") and, where there is one, a diff. Caller frees both.
    int (*describe)(const struct effect *e, char **summary, char **detail, struct error *err);
    // Looks what of it is there now, and changes nothing (but e->result, where there is something to say).
    int (*observe)(struct effect *e, enum observed *seen, struct error *err);
    // NULL where gate_begin and gate_end stand around it. err is set (and never NULL) unless it was made.
    enum made (*apply)(struct effect *e, struct error *err);
    // NULL: there is no undoing it (a migration).
    int (*undo)(struct effect *e, struct error *err);
    // NULL, or brings to its end what may still be under way on its host, before it is observed there. Not in
    // a preview.
    int (*settle)(struct effect *e, struct error *err);
    // NULL, or whether this one, as it was just observed, stays as it is and is named as kept (a command that
    // nothing undoes).
    bool (*stays)(const struct effect *e);
    // It changes nothing by itself (a step's promise to take back what it does): not told when it is made,
    // nor counted among the changes.
    bool promise;
    // What apply has to say goes into the journal, for a recovery to tell by (it holds no secret).
    bool result_kept;
    // What a preview's later reads shall see.
    void (*imagine)(const struct effect *e);
    void (*free_own)(void *own);
};

// Every kind there is. An effect is made of one of these, so a kind that is not in this list cannot be used.
#define EFFECT_KINDS(KIND) \
    KIND(file_write)       \
    KIND(file_remove)      \
    KIND(file_owner)       \
    KIND(file_mode)        \
    KIND(service)          \
    KIND(command)          \
    KIND(surgery)          \
    KIND(migrate)          \
    KIND(nova_migrate)     \
    KIND(nova_lock)        \
    KIND(nova_request)     \
    KIND(autostart)        \
    KIND(step)

#define KIND(name) OF_##name,
enum effect_kind_of { EFFECT_KINDS(KIND) };
#undef KIND
#define KIND(name) extern const struct effect_kind effect_##name;
EFFECT_KINDS(KIND)
#undef KIND

// A new effect; before and after are stolen.
struct effect *effect_new(enum effect_kind_of kind, struct run_host *host, const char *target, json_t *before,
                          json_t *after);
void effect_free(struct effect *e);
const char *effect_target(const struct effect *e);
const json_t *effect_before(const struct effect *e);
const json_t *effect_after(const struct effect *e);
// Whether the policy said that its content (of a file; arguments of a command) is not to be shown.
bool effect_is_secret(const struct effect *e);
// A command's words as they are shown, and written down: of a secret one the program alone.
json_t *effect_words(const struct run *run, const json_t *argv, bool secret);
// Adds to a request to the effect's host what the agent keeps of it there (agent/ops.h): under which name,
// and the effect itself.
void effect_note(const struct effect *e, json_t *request);
// Where the changes of a kind are noted; NOTE_NOWHERE for a kind that is not known.
enum note_place effect_note_place(const char *kind);
// An effect from its journal's (or note's) data; NULL: of a kind that this migrun does not know.
struct effect *effect_from(struct run_host *host, const json_t *data, int number);
// Takes an effect into the run that a journal tells of.
void gate_remember(struct run *run, struct effect *e);

// Refuses, unless the phase lets things change now. what: for the sentence ("chown of /etc/x on compute-1").
int gate_open(struct run *run, const char *what, struct error *err);
// Makes the change (a preview: shows it). The effect is the gate's afterwards. result: what apply said,
// borrowed; may be NULL.
int gate_pass(struct effect *e, const json_t **result, struct error *err);
// The same in two halves, for a change that takes a while: between them it is about to be made. gate_end is
// told what became of it, and returns 0 only when it was made.
int gate_begin(struct effect *e, struct error *err);
int gate_end(struct effect *e, enum made made, const json_t **result, struct error *err);
// Whether a call that returned rc made its change, by who says no: a refusal of migrun's own or of the cloud
// (4xx) made nothing; after any other failure it is not known.
enum made made_of(int rc, const struct error *err);
// Before the run's step is performed: one that says itself how it is taken back (step.undoes) has that
// remembered, so that every end of the run, a recovery's too, does it.
int gate_enter(struct run *run, struct error *err);
// After it went well: one that changed nothing has nothing to take back.
int gate_leave(struct run *run, struct error *err);
// Undoes all that was made and is not undone, last first (a preview tells what would be undone). Returns how
// many could not be; problems: array of texts to add to.
size_t gate_undo(struct run *run, size_t *undone, json_t *problems);
// The same for what temporary steps made, alone: at an end that undoes nothing else. Not while the guest
// still moves, or may.
size_t gate_take_back(struct run *run, size_t *undone, json_t *problems);
// Whether fix-ups made changes of which it is not known whether they were made, and what brings those to
// their end: no fix-up is undone, so nobody else would.
bool gate_has_left(const struct run *run);
void gate_settle_left(struct run *run);

#endif
