// SPDX-License-Identifier: MIT
// What a run left behind, held against what it said: the world afterwards must be as before, or moved and
// verified, or the verdict names what is not.
#ifndef MIGRUN_TESTS_JUDGE_H
#define MIGRUN_TESTS_JUDGE_H

#include "scenarios.h"

// How a run ended.
struct ending {
    bool killed;
    int status;
    json_t *verdict;
    char *warnings, *told; // all of its events, a line each
    char *words;           // what it said on stderr
};

// NAMED: the verdict names all that is not as it should be.
enum judgement { AS_BEFORE, MOVED, NAMED, IN_DOUBT, GONE, WRONG, JUDGEMENTS };
extern const char *const judgement_names[JUDGEMENTS];

struct truth {
    json_t *before, *after, *now;
};

// why: what is wrong. Caller frees.
enum judgement judge(const struct scenario *s, const struct truth *t, const struct ending *e, bool faulty,
                     char **why);
// Whether the run that goes well, by which the others are judged, does what it should.
enum judgement judge_model(const struct scenario *s, const struct truth *known, char **why);
enum judgement wrong(char **why, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
