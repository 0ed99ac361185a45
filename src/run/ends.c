// SPDX-License-Identifier: MIT
#include "run/ends.h"

#include <string.h>

#define NOWHERE (PLACE_ABSENT | PLACE_OFF | PLACE_LEFT | PLACE_LOST)

// What a row asks of the QEMU processes on one host.
enum witness {
    ANY,      // libvirt's word is enough
    NO_QEMU,  // the agent must have seen that there is none
    NOT_SEEN, // the agent, where it can be asked, must not have seen one
};

// The first row that fits counts; what fits none is not certain. A guest that has switched over is paused or
// gone at the source: where it runs there and no job goes on, it has not moved (the destination may not
// answer). A source that libvirt cannot be asked about needs the agent's word that no QEMU of it is left
// there. A guest whose record libvirtd could not load is "shut off" or absent while its QEMU runs: so an end
// without a guest needs the agents' word.
static const struct end {
    int source, dest; // sets of enum guest_seen
    enum witness source_qemu, dest_qemu;
    enum whereabouts where;
} ends[] = {
    // source                    destination                  QEMU there   and there   where it is
    {PLACE_RUNS, NOWHERE | PLACE_UNKNOWN, ANY, ANY, GUEST_AT_SOURCE},
    {PLACE_STANDS, NOWHERE, ANY, ANY, GUEST_STANDS_AT_SOURCE},
    {PLACE_STANDS, PLACE_UNKNOWN, ANY, NO_QEMU, GUEST_STANDS_AT_SOURCE},
    {NOWHERE, PLACE_RUNS | PLACE_POST_COPY, ANY, ANY, GUEST_AT_DEST},
    {PLACE_UNKNOWN, PLACE_RUNS, NO_QEMU, ANY, GUEST_AT_DEST},
    {NOWHERE, PLACE_STANDS, ANY, ANY, GUEST_STANDS_AT_DEST},
    {PLACE_UNKNOWN, PLACE_STANDS, NO_QEMU, ANY, GUEST_STANDS_AT_DEST},
    {PLACE_OFF, NOWHERE, NOT_SEEN, NOT_SEEN, GUEST_STOPPED},
    {PLACE_LOST, NOWHERE, NO_QEMU, NO_QEMU, GUEST_STOPPED},
    {PLACE_ABSENT | PLACE_LEFT, PLACE_OFF, NOT_SEEN, NOT_SEEN, GUEST_STOPPED_AT_DEST},
    {PLACE_ABSENT | PLACE_LEFT, PLACE_LOST, NO_QEMU, NO_QEMU, GUEST_STOPPED_AT_DEST},
    {PLACE_ABSENT | PLACE_UNKNOWN, PLACE_ABSENT | PLACE_UNKNOWN, NO_QEMU, NO_QEMU, GUEST_STOPPED},
};

static bool is_any(const char *word, const char *const *words, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (STREQ(word, words[i]))
            return true;
    return false;
}

enum guest_seen guest_seen(const char *state, const char *reason, bool persistent)
{
    static const char *const runs[] = {"running", "blocked", "no state"},
                             *const moving[] = {"migrating", "post-copy", "starting up", "unknown"},
                             *const known[] = {"shutdown", "destroyed", "crashed",
                                               "failed",   "saved",     "from snapshot"};
    if (STREQ(reason, "post-copy failed"))
        return PLACE_BROKEN;
    if (is_any(state, runs, COUNT_OF(runs)))
        return STREQ(reason, "post-copy") ? PLACE_POST_COPY : PLACE_RUNS;
    if (STREQ(state, "shut off")) {
        if (!persistent) // it is just being put away; then it is absent
            return PLACE_SWITCHING;
        return STREQ(reason, "migrated")                ? PLACE_LEFT
               : is_any(reason, known, COUNT_OF(known)) ? PLACE_OFF
                                                        : PLACE_LOST;
    }
    if (STREQ(state, "paused"))
        return is_any(reason, moving, COUNT_OF(moving)) ? PLACE_SWITCHING : PLACE_STANDS;
    // In shutdown, crashed (it panicked, and is kept), pmsuspended (it sleeps): it is there and does not run.
    return STREQ(state, "unknown") ? PLACE_UNKNOWN : PLACE_STANDS;
}

static bool bears_out(enum witness witness, enum qemu_seen qemu)
{
    return witness == ANY || qemu == QEMU_NONE || (witness == NOT_SEEN && qemu == QEMU_UNASKED);
}

static bool is_to_be_asked(enum witness witness, enum qemu_seen qemu)
{
    return witness != ANY && qemu == QEMU_UNASKED;
}

enum whereabouts where_it_ended(const struct guest_place *source, const struct guest_place *dest, bool *asks)
{
    if (asks)
        *asks = false;
    if (source->job)
        return GUEST_UNCLEAR;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        const struct end *end = &ends[i];
        if (!(end->source & (int)source->seen) || !(end->dest & (int)dest->seen))
            continue;
        if (asks)
            *asks = is_to_be_asked(end->source_qemu, source->qemu) ||
                    is_to_be_asked(end->dest_qemu, dest->qemu);
        bool fits = bears_out(end->source_qemu, source->qemu) && bears_out(end->dest_qemu, dest->qemu);
        return fits ? end->where : GUEST_UNCLEAR;
    }
    return GUEST_UNCLEAR;
}
