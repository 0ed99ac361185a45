// SPDX-License-Identifier: MIT
// A step that says itself how it is taken back: its promise is remembered before it runs, and kept by asking
// the policy.
#include "run/gate.h"

#include <string.h>

static int describe_step(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)e;
    (void)err;
    *summary = xstrdup("taken back by the step's own undo");
    *detail = NULL;
    return 0;
}

static int observe_step(struct effect *e, enum observed *seen, struct error *err)
{
    (void)e;
    (void)err;
    *seen = SEEN_UNKNOWN; // only the policy knows
    return 0;
}

static enum made apply_step(struct effect *e, struct error *err)
{
    (void)e;
    (void)err;
    return MADE;
}

// What the step's undo changes puts things right: no failure undoes it, no interrupt keeps it from being
// done.
static int undo_step(struct effect *e, struct error *err)
{
    struct run *run = e->host->run;
    const struct procedure *procedure = run->procedure;
    const struct step *was_in = run->step;
    enum phase phase = run->phase;
    auto_free char *text = NULL;
    size_t i = 0;
    while (i < procedure->n_steps && !STREQ(procedure->steps[i].title, effect_target(e)))
        i++;
    if (!procedure->undo || i == procedure->n_steps)
        return error_set(err, ERR_POLICY, 0, "the policy has no such step any more");
    run->step = &procedure->steps[i];
    run->phase = PHASE_FIXUP;
    int rc = procedure->undo(procedure->data, i, &text, err);
    run->step = was_in;
    run->phase = phase;
    return rc;
}

const struct effect_kind effect_step = {
    .name = "step",
    .describe = describe_step,
    .observe = observe_step,
    .apply = apply_step,
    .undo = undo_step,
    .promise = true,
};

int gate_enter(struct run *run, struct error *err)
{
    struct run_host *h = run->source ? run->source : run->n_hosts ? run->hosts[0] : NULL;
    if (!run->step->undoes)
        return 0;
    if (gate_open(run, run->step->title, err) < 0 || (!h && run_here(run, &h, err) < 0))
        return -1;
    return gate_pass(effect_new(OF_step, h, run->step->title, json_object(), json_object()), NULL, err);
}
