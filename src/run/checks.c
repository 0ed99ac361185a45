// SPDX-License-Identifier: MIT
#include "run/checks.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "run/verdict.h"

#include <stdlib.h>
#include <string.h>

void step_tell_of(struct run *run, const struct step *step, size_t i, const char *status, const char *text,
                  double since)
{
    json_t *fields = json_pack("{s:s, s:s, s:i, s:s, s:o*}", "phase", phase_names[step->phase], "title",
                               step->title, "index", (int)i, "status", status, "text",
                               text ? json_text(text) : NULL);
    if (since > 0)
        json_object_set_new(fields, "seconds", json_real(wall_time() - since));
    run_emit(run, "step", fields);
}

void step_tell(struct run *run, size_t i, const char *status, const char *text, double since)
{
    step_tell_of(run, &run->procedure->steps[i], i, status, text, since);
}

int step_perform(struct run *run, size_t i, struct tally *tally, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    auto_free char *why = NULL, *text = NULL;
    bool wanted = true;
    double since = wall_time();
    run->step = &procedure->steps[i];
    run->phase = run->step->phase;
    int rc = procedure->wanted(procedure->data, i, &wanted, &why, err);
    if (rc == 0 && !wanted) {
        tally->answers[i] = ANSWER_LEFT_OUT;
        step_tell(run, i, "not_needed", "not needed here", 0);
        run->step = NULL;
        return 0;
    }
    if (rc == 0) {
        step_tell(run, i, "start", why, 0);
        rc = gate_enter(run, err) < 0 || procedure->perform(procedure->data, i, &text, err) < 0
                 ? -1
                 : gate_leave(run, err);
    }
    run->step = NULL;
    tally->answers[i] = rc == 0 ? ANSWER_YES : ANSWER_NO;
    if (rc == 0)
        step_tell(run, i, "ok", text ? text : why, since);
    return rc;
}

static bool may_ask(const struct run *run, size_t i, const struct tally *tally, char **why)
{
    const struct procedure *procedure = run->procedure;
    const struct step *step = &procedure->steps[i];
    for (size_t n = 0; n < step->n_needs; n++)
        for (size_t j = 0; j < procedure->n_steps; j++)
            if (STREQ(procedure->steps[j].title, step->needs[n]) &&
                (tally->answers[j] == ANSWER_NO || tally->answers[j] == ANSWER_SKIPPED)) {
                *why = xasprintf("'%s' must be answered first", step->needs[n]);
                return false;
            }
    return true;
}

// The operator knows better: what the check said is told, kept and shown with the verdict, and does not
// count.
static void accept(struct run *run, size_t i, struct tally *tally, const char *text)
{
    const struct step *step = &run->procedure->steps[i];
    auto_free char *detail = xasprintf("%s (i_know=%s)", text, step->topic);
    step_tell(run, i, "accepted", text, 0);
    verdict_detail(tally->details, "Accepted", detail);
    tally->answers[i] = ANSWER_YES;
}

int checks_ask(struct run *run, struct tally *tally, const enum answer *before, struct error *err)
{
    const struct procedure *procedure = run->procedure;
    for (size_t i = 0; i < procedure->n_steps && procedure->steps[i].phase == PHASE_CHECK; i++) {
        auto_free char *why = NULL;
        size_t warnings = run->n_warnings;
        if (before && before[i] != ANSWER_LEFT_OUT) {
            tally->answers[i] = before[i];
            continue;
        }
        if (interrupt_count > 0) // perhaps while the run was opened, where it ended a wait that may fail
            return error_set(err, ERR_INTERRUPTED, 0, "interrupted before '%s'", procedure->steps[i].title);
        tally->checks++;
        if (!may_ask(run, i, tally, &why)) {
            tally->answers[i] = ANSWER_SKIPPED;
            step_tell(run, i, "skipped", why, 0);
            continue;
        }
        if (step_perform(run, i, tally, err) == 0) {
            tally->checks -= tally->answers[i] == ANSWER_LEFT_OUT;
            if (run->n_warnings > warnings)
                buf_printf(&tally->warning, "%s%s", tally->warned++ ? ", " : "", procedure->steps[i].title);
            continue;
        }
        if (err->domain == ERR_INTERRUPTED || err->domain == ERR_POLICY || err->domain == ERR_BUG) {
            step_tell(run, i, "failed", err->message, 0);
            return -1;
        }
        bool refusal = err->domain == ERR_REFUSED && err->code == REFUSED_CHECK;
        auto_free char *text = refusal ? xstrdup(err->message)
                                       : xasprintf("could not find out: %s", err->message);
        if (procedure->steps[i].known) {
            accept(run, i, tally, text);
            continue;
        }
        json_array_append_new(tally->reasons, json_pack("{s:s, s:o}", "title", procedure->steps[i].title,
                                                        "text", json_text(text)));
        step_tell(run, i, "refused", text, 0);
        if (procedure->steps[i].topic && !json_object_get(tally->topics, procedure->steps[i].topic))
            json_object_set_new(tally->topics, procedure->steps[i].topic, json_true());
        buf_printf(&tally->refusing, "%s%s", tally->refused++ ? ", " : "", procedure->steps[i].title);
    }
    return 0;
}

void tally_begin(struct tally *tally, const struct run *run)
{
    *tally = (struct tally){.details = json_array(), .topics = json_object(), .reasons = json_array()};
    tally->answers = xcalloc(run->procedure->n_steps + 1, sizeof *tally->answers);
    for (size_t i = 0; i < run->procedure->n_steps; i++)
        tally->answers[i] = ANSWER_SKIPPED;
}

void tally_free(struct tally *tally)
{
    free(tally->answers);
    json_decref(tally->details);
    json_decref(tally->topics);
    json_decref(tally->reasons);
    buf_free(&tally->refusing);
    buf_free(&tally->warning);
    buf_free(&tally->verified);
    free(tally->after_move);
    free(tally->refusal);
    seen_guest_free(&tally->seen);
}
