// SPDX-License-Identifier: MIT
// The gate: the one way to change the world. A change is an effect, plain data: a preview prints it, the
// journal keeps it, and it can be undone with no Lua.
#ifndef MIGRUN_RUN_GATE_H
#define MIGRUN_RUN_GATE_H

#include "run/run.h"

enum observed { SEEN_BEFORE, SEEN_AFTER, SEEN_OTHER, SEEN_UNKNOWN };

struct effect {
    const struct effect_kind *kind;
    struct run_host *host;
    int number;
    json_t *data; // {kind, host, target, before, after, step, fixup}; nothing secret
    char *body;   // what the change puts in place and is not written down: a file's new contents
    size_t body_len;
    char *original; // what was there, as it was read, to show the difference (NULL: nothing)
    struct text_pair
        second;     // a second text that changes with it (a guest's definition), not written down either
    json_t *staged; // a surgery's edits, [{path, old (or null), text}], not written down either
    char *detail;   // the difference that it makes, where it is known already
    json_t *result; // what apply, or observe, has to say
    bool undone;
    bool of_fixup; // it puts things right, so no failure undoes it
};

struct effect_kind {
    const char *name;
    // One line ("root:root → nova:nova") and, where there is one, a diff. Caller frees both.
    int (*describe)(const struct effect *e, char **summary, char **detail, struct error *err);
    // What of it is there now: before, after, something else, or it cannot be known.
    int (*observe)(const struct effect *e, enum observed *seen, struct error *err);
    int (*apply)(struct effect *e, struct error *err);
    // NULL: there is no undoing it (a migration).
    int (*undo)(struct effect *e, struct error *err);
    // NULL, or whether this one, as it was just observed, stays as it is and is named as kept (a command that
    // nothing undoes).
    bool (*stays)(const struct effect *e);
    // What apply has to say goes into the journal, for a recovery to tell by (it holds no secret).
    bool result_kept;
    // What a preview's later reads shall see.
    void (*imagine)(const struct effect *e);
};

extern const struct effect_kind effect_file_write, effect_file_remove, effect_file_owner, effect_file_mode,
    effect_service, effect_command, effect_surgery, effect_migrate, effect_nova_migrate, effect_nova_lock,
    effect_nova_request;

// A new effect; before and after are stolen.
struct effect *effect_new(const struct effect_kind *kind, struct run_host *host, const char *target,
                          json_t *before, json_t *after);
void effect_free(struct effect *e);
const char *effect_target(const struct effect *e);
const json_t *effect_before(const struct effect *e);
const json_t *effect_after(const struct effect *e);
// Adds to a request to the effect's host what the agent keeps of it there (agent/ops.h): under which name,
// and the effect itself.
void effect_note(const struct effect *e, json_t *request);
// An effect from its journal's (or note's) data; NULL: of a kind that this migrun does not know.
struct effect *effect_from(struct run_host *host, const json_t *data, int number);
// Takes an effect into the run that a journal tells of.
void gate_remember(struct run *run, struct effect *e);

// Refuses, unless the phase lets things change now. what: for the sentence ("chown of /etc/x on compute-1").
int gate_open(struct run *run, const char *what, struct error *err);
// Makes the change (a preview: shows it). The effect is the gate's afterwards. result: what apply said,
// borrowed; may be NULL.
int gate_pass(struct effect *e, const json_t **result, struct error *err);
// The same in two halves, for a change that takes a while: between them it is about to be made. gate_end's rc
// tells whether it was.
int gate_begin(struct effect *e, struct error *err);
int gate_end(struct effect *e, int rc, const json_t **result, struct error *err);
// Undoes all that was made and is not undone, last first (a preview tells what would be undone). Returns how
// many could not be; problems: array of texts to add to.
size_t gate_undo(struct run *run, size_t *undone, json_t *problems);

#endif
