// SPDX-License-Identifier: MIT
// The verdict: where the guest is by both libvirtds, and the one line that says so.
#include "base/clock.h"
#include "base/interrupt.h"
#include "run/cloud.h"
#include "run/verdict.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

enum { SETTLE_MS = 15000, CONNECT_MS = 45000 };

// What one libvirtd says of the guest. state: running, paused, shut off, absent, unknown …
struct place {
    char *state;
    bool runs, stands, defined, absent, known, job;
};

static void ask(struct run_host *h, const char *uuid, struct place *p)
{
    *p = (struct place){0};
    auto_json json_t *domain = NULL;
    struct error err = {0};
    if (!h || !h->virt) {
        p->state = xstrdup("not asked");
    } else if (virt_domain(h->virt, uuid, &domain, &err) < 0) {
        p->known = p->absent = err.domain == ERR_LIBVIRT && err.code == VIR_ERR_NO_DOMAIN;
        p->state = p->absent ? xstrdup("absent") : xasprintf("cannot be asked (%s)", err.message);
    } else {
        const char *state = json_str(domain, "state", "unknown"), *reason = json_str(domain, "reason", "");
        const json_t *job = json_object_get(domain, "job");
        p->known = true;
        p->runs = STREQ(state, "running") || STREQ(state, "blocked") || STREQ(state, "idle");
        p->stands = STREQ(state, "paused");
        p->defined = json_flag(domain, "persistent", false);
        p->job = json_is_object(job);
        p->state = *reason && !STREQ(reason, "unknown") ? xasprintf("%s (%s)", state, reason)
                                                        : xstrdup(state);
    }
}

static enum whereabouts decide(const struct place *source, const struct place *dest)
{
    // At the source it still runs, and the move is over: a guest that has switched over is paused or gone
    // there. The destination has put away what it had begun (it gives the files back to root at that), unless
    // it cannot be asked.
    bool put_away = dest->absent || dest->defined || !dest->known;
    if (source->runs && !source->job && !dest->runs && !dest->stands && put_away)
        return GUEST_AT_SOURCE;
    if (dest->runs && source->known && !source->runs && !source->stands)
        return GUEST_AT_DEST;
    return GUEST_UNCLEAR;
}

// Until when it is worth asking again; 0: what is there stands.
struct patience {
    int64_t settle, connect;
    bool told;
};

// One of the two may still be putting away what the other let go; a migration that was asked for peer to peer
// goes on without whoever asked, and is followed to its end; a host that cannot be asked may come back, as
// networks do.
static bool worth_asking_again(struct run *run, const struct place *source, const struct place *dest,
                               struct patience *p)
{
    if (interrupt_count > 1)
        return false;
    if (!source->known || !dest->known) {
        if (now_ms() >= p->connect || run->options->preview)
            return false;
        run_reconnect(run);
        return true;
    }
    if (source->job) {
        if (!p->told && run->recovers)
            run_message(run, "info", "The migration still runs: waiting for its end");
        p->told = true;
        p->settle = deadline_in(SETTLE_MS);
        return true;
    }
    return now_ms() < p->settle;
}

enum whereabouts run_whereabouts(struct run *run, char **text)
{
    const char *uuid = json_str(run->instance, "uuid", "");
    auto_free char *unsettled = NULL;
    // Nova migrates on its own, too, and has more to do than libvirt: it is followed to its end first.
    bool settled = !run->by_nova || run_nova_settled(run, &unsettled);
    struct patience patience = {.settle = deadline_in(SETTLE_MS), .connect = deadline_in(CONNECT_MS)};
    for (;;) {
        struct place source, dest;
        ask(run->source, uuid, &source);
        ask(run->dest, uuid, &dest);
        enum whereabouts where = decide(&source, &dest);
        bool again = where == GUEST_UNCLEAR && worth_asking_again(run, &source, &dest, &patience);
        if (where == GUEST_AT_SOURCE && !settled)
            where = GUEST_UNCLEAR; // it may yet go
        if (where == GUEST_UNCLEAR && !again && source.absent && dest.absent && run->by_nova &&
            run_nova_deleted(run))
            where = GUEST_DELETED;
        bool away = !source.known || !dest.known;
        if (!again && text)
            *text = xasprintf("%s: %s, %s: %s%s%s", run_host_name(run->source), source.state,
                              run_dest_name(run), dest.state, unsettled ? "; " : "",
                              unsettled ? unsettled : "");
        free(source.state);
        free(dest.state);
        if (!again)
            return where;
        nap_ms(away ? 1000 : 50);
    }
}

char *verdict_at_source(struct run *run)
{
    struct place source;
    const char *name = run_instance_name(run), *host = run_host_name(run->source);
    ask(run->source, json_str(run->instance, "uuid", ""), &source);
    char *text = source.runs     ? xasprintf("%s runs on %s", name, host)
                 : source.absent ? xasprintf("%s is not on %s any more", name, host)
                 : source.known  ? xasprintf("%s is %s on %s", name, source.state, host)
                                 : xasprintf("whether %s runs on %s is not known", name, host);
    free(source.state);
    return text;
}

bool verdict_source_has_left_over(struct run *run, char **text)
{
    struct place source;
    ask(run->source, json_str(run->instance, "uuid", ""), &source);
    bool left_over = !source.absent;
    if (left_over)
        *text = xasprintf("%s still has it, %s", run_host_name(run->source), source.state);
    free(source.state);
    return left_over;
}

// ---- telling ----

void verdict_detail(json_t *details, const char *label, const char *text)
{
    json_array_append_new(details, json_pack("{s:s, s:o}", "label", label, "text", json_text(text)));
}

int verdict_tell(struct run *run, enum outcome status, const char *outcome, json_t *details,
                 const char *format, ...)
{
    va_list args;
    va_start(args, format);
    char *line = xvasprintf(format, args);
    va_end(args);
    // In doubt, the claims stay until it is known; else they go before the end is told.
    if (run->claimed && status != OUTCOME_IN_DOUBT)
        run_unclaim(run);
    run_emit(run, "verdict",
             json_pack("{s:s, s:i, s:o, s:f, s:o, s:o}", "outcome", outcome, "status", (int)status, "line",
                       json_text(line), "seconds", wall_time() - run->started, "downtime",
                       run->downtime < 0 ? json_null() : json_real(run->downtime), "details",
                       details ? details : json_array()));
    free(line);
    return (int)status;
}
