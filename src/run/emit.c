// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/mask.h"
#include "run/journal.h"
#include "run/run.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { PROGRESS_EVERY = 10 };

// Of a progress that comes several times a second, the last one and one in a while are for the record.
static bool is_landmark(struct run *run, const json_t *event)
{
    double now = json_num(event, "time", 0);
    if (!json_flag(event, "last", false) && now - run->progress_kept < PROGRESS_EVERY)
        return false;
    run->progress_kept = now;
    return true;
}

json_t *run_masked(const struct run *run, const json_t *data)
{
    json_t *masked = mask_json(data);
    mask_values(masked, run->procedure ? run->procedure->secrets : NULL);
    return masked;
}

// The one place through which all that a run tells passes, to the screen, as JSON and to the journal. Effects
// are also kept to be undone: gate.c takes the same mask to what it writes down of them.
void run_emit(struct run *run, const char *type, json_t *fields)
{
    auto_json json_t *event = json_object(), *own = fields, *masked = run_masked(run, own);
    if (run->heard && (STREQ(type, "step") || STREQ(type, "message"))) {
        if (STREQ(json_str(masked, "level", ""), "warning"))
            json_array_append(run->heard, json_object_get(masked, "text"));
        return;
    }
    json_object_set_new(event, "time", json_real(wall_time()));
    json_object_set_new(event, "run", run->options->preview ? json_null() : json_string(run->id));
    json_object_set_new(event, "type", json_string(type));
    json_object_update(event, masked);
    if (run->unlocked && (STREQ(type, "begin") || STREQ(type, "verdict")))
        json_object_set_new(event, "unlocked", json_text(run->unlocked));
    if (run->listener.event)
        run->listener.event(run->listener.data, event);
    // What the operator was told. A journal that cannot be written stops the next effect; words are not worth
    // stopping for. Nor is any synced: a run whose verdict a power cut took is found to have ended by
    // recover.
    if (run->journal && (strcmp(type, "progress") != 0 || is_landmark(run, event)))
        journal_event(run->journal, event, NULL);
}

void run_message(struct run *run, const char *level, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *text = xvasprintf(format, args);
    va_end(args);
    run->n_warnings += STREQ(level, "warning");
    run_emit(run, "message", json_pack("{s:s, s:o}", "level", level, "text", json_text(text)));
    free(text);
}

void run_not_enforced(struct run *run, const char *format, ...)
{
    if (run->unlocked)
        return;
    va_list args;
    va_start(args, format);
    run->unlocked = xvasprintf(format, args);
    va_end(args);
}
