// SPDX-License-Identifier: MIT
// What an operator who asks a run to stop is told, at once, in every phase.
#include "base/interrupt.h"
#include "run/cloud.h"
#include "run/gate.h"

#include <stdarg.h>
#include <stdlib.h>

void run_answer(struct run *run, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *text = xvasprintf(format, args);
    va_end(args);
    run_emit(run, "message",
             json_pack("{s:s, s:o, s:b}", "level", "info", "text", json_text(text), "answers", 1));
}

static void tell_undoing(struct run *run, const char *leave)
{
    size_t n = run->to_undo;
    const struct effect *e = run->undoing;
    run_answer(run, "Still to be undone: %zu change%s, now %s on %s. %s", n, n == 1 ? "" : "s",
               effect_target(e), run_host_name(e->host), leave);
}

// A migration has its own answer (the abort); in checks and previews the run just ends.
static void on_interrupt(void *data, int count)
{
    struct run *run = data;
    bool touched = run->journal || run->recovers;
    auto_free char *leave = xasprintf("%s leaves at once; migrun recover %s finishes it then",
                                      count == 1 ? "Twice more" : "Once more", run->id);
    if (run->options->preview || !touched)
        return;
    if (run->undoing)
        tell_undoing(run, leave);
    else if (run->step && run->phase == PHASE_FIXUP)
        run_answer(run, "Too late to stop: '%s' and the fix-ups after it are finished first. %s",
                   run->step->title, leave);
    else if (run->step && !run->migration_attempted)
        run_answer(run, "Stopping: '%s' is given up, and what was changed is undone. %s", run->step->title,
                   leave);
    else if (count > 1 || !run->step)
        run_answer(run, "Waiting until it is certain where %s is. %s", run_instance_name(run), leave);
}

void run_answer_interrupts(struct run *run) { interrupts_answer(run ? on_interrupt : NULL, run); }
