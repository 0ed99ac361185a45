// SPDX-License-Identifier: MIT
// The ends of a run. Each tells the verdict of the run (events.h), takes the tally's details, and returns the
// exit status.
#ifndef MIGRUN_RUN_END_H
#define MIGRUN_RUN_END_H

#include "run/gate.h"

enum answer { ANSWER_YES, ANSWER_NO, ANSWER_SKIPPED, ANSWER_LEFT_OUT };

// What the steps came to.
struct tally {
    enum answer *answers; // of each step
    size_t checks, refused;
    size_t fixed, not_fixed; // fix-ups
    char *refusal;           // what one of them said no to, in a few words, or NULL
    char *after_move;        // what failed of the migrate step once the guest had moved, or NULL
    enum whereabouts where;  // the guest is
    struct seen_guest seen;  // by whom
    size_t disagree;         // points in which Nova, Placement and Neutron say otherwise
    json_t *details;         // for the verdict
    json_t *topics;          // of those that said no, and that an operator may know better about (an object)
    json_t *reasons;         // why checks said no: [{title, text}]
    struct buf refusing;     // titles of the checks that said no
    struct buf warning;      // of those that passed with a warning
    size_t warned;           // how many did
    struct buf verified;     // what the fix-ups see at the end
};

// What was undone at the end, and what could not be.
struct undone {
    size_t undone, failed;
    json_t *problems; // texts
};

bool only_checks(const struct procedure *procedure);
void tally_not_undone(struct tally *tally, const json_t *problems); // adds them to the details

// Before anything was touched: a mistake of the policy, or an interrupt; checks that said no.
int end_mistaken(struct run *run, struct tally *tally, const struct error *err);
int end_refused(struct run *run, struct tally *tally);
// Of a preview, whose steps ran up to a failure (NULL: none).
int end_preview(struct run *run, struct tally *tally, const struct error *failure);
int end_done(struct run *run, struct tally *tally); // of a policy that moves nothing
int end_moved(struct run *run, struct tally *tally);
// Nothing moved (or there was nothing to move), and what was made is undone.
int end_undone(struct run *run, struct tally *tally, const struct error *failure, const struct undone *all);
int end_taken_back(struct run *run, struct tally *tally, const struct undone *all); // of a run that had ended
int end_deleted(struct run *run, struct tally *tally, const struct undone *all);    // nothing is left to move
int end_in_doubt(struct run *run, struct tally *tally, const struct error *failure, const char *seen);

#endif
