// SPDX-License-Identifier: MIT
// The verdict: where the guest is by both libvirtds, and the one line that says so.
#include "base/clock.h"
#include "base/interrupt.h"
#include "base/text.h"
#include "run/cloud.h"
#include "run/ends.h"
#include "run/verdict.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

enum { SETTLE_MS = 15000, CONNECT_MS = 45000, STOP_MS = 30000, WITNESS_MS = 10000, HURRY_MS = 5000 };

// What one libvirtd says of the guest, in words too.
struct place {
    struct guest_place is;
    char *state; // "running", "paused (I/O error)", "absent", "cannot be asked (…)"
};

bool run_is_stopped(const struct run *run) { return run->stops_at && now_ms() >= run->stops_at; }

void run_hurry(struct run *run, bool hurries)
{
    struct run_host *both[] = {run->source, run->dest};
    for (size_t i = 0; i < COUNT_OF(both); i++)
        if (both[i] && both[i]->virt)
            virt_set_patience(both[i]->virt, hurries ? HURRY_MS : 0);
}

static void ask(struct run_host *h, const char *uuid, struct place *p)
{
    *p = (struct place){.is.seen = PLACE_UNKNOWN};
    auto_json json_t *domain = NULL;
    struct error err = {0};
    if (h && run_is_stopped(h->run) && !h->run->recovers)
        run_hurry(h->run, true);
    if (!h || !h->virt) {
        p->state = xstrdup("not asked");
    } else if (virt_domain(h->virt, uuid, &domain, &err) < 0) {
        bool absent = err.domain == ERR_LIBVIRT && err.code == VIR_ERR_NO_DOMAIN;
        p->is.seen = absent ? PLACE_ABSENT : PLACE_UNKNOWN;
        p->state = absent ? xstrdup("absent") : xasprintf("cannot be asked (%s)", err.message);
    } else {
        const char *state = json_str(domain, "state", "unknown"), *reason = json_str(domain, "reason", "");
        p->is.seen = guest_seen(state, reason, json_flag(domain, "persistent", false));
        p->is.job = json_is_object(json_object_get(domain, "job"));
        p->state = *reason && !STREQ(reason, "unknown") ? xasprintf("%s (%s)", state, reason)
                                                        : xstrdup(state);
    }
}

// The third witness: the agent looks for a QEMU process of the guest. Only root sees every process.
static enum qemu_seen ask_for_qemu(struct run_host *h, const char *uuid)
{
    auto_message struct message answer = {0};
    if (!h || !h->agent || !host_is_root(h->agent) ||
        host_call(h->agent, "facts", json_pack("{s:s, s:[]}", "instances", "", "units"), NULL, 0, WITNESS_MS,
                  &answer, NULL) < 0)
        return QEMU_UNASKED;
    const json_t *guests = json_object_get(json_object_get(answer.head, "result"), "guests");
    size_t i;
    json_t *guest;
    json_array_foreach(guests, i, guest)
        if (STREQ(json_str(guest, "uuid", ""), uuid))
            return QEMU_THERE;
    return json_is_array(guests) ? QEMU_NONE : QEMU_UNASKED;
}

// Where the guest is by what libvirt says, and by the agents where that is not enough.
static enum whereabouts decide(struct run *run, struct place *source, struct place *dest, bool last)
{
    const char *uuid = json_str(run->instance, "uuid", "");
    bool asks;
    enum whereabouts where = where_it_ended(&source->is, &dest->is, &asks);
    bool doubt = last && where == GUEST_UNCLEAR;
    if (!asks && !doubt)
        return where;
    source->is.qemu = ask_for_qemu(run->source, uuid);
    dest->is.qemu = ask_for_qemu(run->dest, uuid);
    return where_it_ended(&source->is, &dest->is, NULL);
}

// An instance of Nova's that libvirt has nowhere was deleted, or went elsewhere: Nova must say which.
static enum whereabouts decide_of_nova(struct run *run, struct place *source, struct place *dest, bool last)
{
    const unsigned nowhere = PLACE_ABSENT | PLACE_UNKNOWN;
    enum whereabouts where = decide(run, source, dest, last);
    bool gone = (source->is.seen & nowhere) && (dest->is.seen & nowhere);
    return run->by_nova && where == GUEST_STOPPED && gone ? GUEST_UNCLEAR : where;
}

// Until when it is worth asking again; 0: what is there stands.
struct patience {
    int64_t settle, connect, stop;
    bool told, interrupted;
};

static bool is_known(const struct place *p) { return p->is.seen != PLACE_UNKNOWN; }

// libvirt keeps the job of a post-copy that broke, for somebody to resume it: it does not end by itself.
static bool moves_on(const struct place *source) { return source->is.job && source->is.seen != PLACE_BROKEN; }

// A migration goes on without the client that asked for it, and is followed to its end: by a recovery for as
// long as it takes, by its run until its timeout, and a little longer for an abort to come through.
static bool worth_following(struct run *run, struct patience *p)
{
    if (!p->told && run->recovers)
        run_message(run, "info", "The migration still runs: waiting for its end");
    p->told = true;
    p->settle = deadline_in(SETTLE_MS);
    if (run->recovers)
        return interrupt_count == 0;
    if (interrupt_count > 0 && !p->interrupted && (!p->stop || p->stop > deadline_in(STOP_MS)))
        p->stop = deadline_in(STOP_MS);
    p->interrupted = interrupt_count > 0;
    return !p->stop || now_ms() < p->stop;
}

// One of the two may still be putting away what the other let go; a host that cannot be asked may come back,
// as networks do.
static bool worth_asking_again(struct run *run, const struct place *source, const struct place *dest,
                               struct patience *p)
{
    if (interrupt_count > 1 || run->options->preview)
        return false;
    if (!is_known(source) || !is_known(dest)) {
        if (now_ms() >= p->connect)
            return false;
        run_reconnect(run);
        return true;
    }
    return moves_on(source) ? worth_following(run, p) : now_ms() < p->settle;
}

// Who lets the migration hang: where the destination has not begun to receive, it is still preparing; its
// libvirtd tells nothing of the guest as long as that lasts.
static const char *hanging(const struct place *source, const struct place *dest)
{
    bool prepares = dest->is.seen == PLACE_ABSENT || strstr(dest->state, "starting up") ||
                    (!is_known(dest) && dest->is.qemu == QEMU_NONE);
    return !moves_on(source) ? ""
           : prepares        ? "; the migration still runs: the destination has not finished preparing it "
                               "(a hook there, its QEMU or its storage hangs)"
                             : "; the migration still runs";
}

// state: what the host says that the answer hangs on.
static void tell_places(struct run *run, const struct place *source, const struct place *dest,
                        enum whereabouts where, const char *unsettled, struct seen_guest *seen)
{
    bool there = where == GUEST_AT_DEST || where == GUEST_STANDS_AT_DEST || where == GUEST_STOPPED_AT_DEST;
    static const char *const qemu[] = {"", ", no QEMU process", ", a QEMU process"};
    seen->text = xasprintf("%s: %s%s, %s: %s%s%s%s%s", run_host_name(run->source), source->state,
                           qemu[source->is.qemu], run_dest_name(run), dest->state, qemu[dest->is.qemu],
                           hanging(source, dest), unsettled ? "; " : "", unsettled ? unsettled : "");
    seen->state = xstrdup(there ? dest->state : source->state);
    seen->moves = moves_on(source);
    seen->lost = source->is.seen == PLACE_BROKEN && is_known(dest) && dest->is.qemu == QEMU_NONE;
}

void seen_guest_free(struct seen_guest *seen)
{
    free(seen->text);
    free(seen->state);
}

enum whereabouts run_whereabouts(struct run *run, struct seen_guest *seen)
{
    const char *uuid = json_str(run->instance, "uuid", "");
    auto_free char *unsettled = NULL;
    // Nova migrates on its own, too, and has more to do than libvirt: it is followed to its end first.
    bool settled = !run->by_nova || run_nova_settled(run, &unsettled);
    struct patience patience = {.settle = deadline_in(SETTLE_MS),
                                .connect = deadline_in(CONNECT_MS),
                                .stop = run->stops_at ? run->stops_at + STOP_MS : 0};
    if (run_is_stopped(run) && !run->recovers && patience.connect > patience.stop)
        patience.connect = patience.stop; // whatever hangs, the run ends
    for (;;) {
        struct place source, dest;
        ask(run->source, uuid, &source);
        ask(run->dest, uuid, &dest);
        enum whereabouts where = decide_of_nova(run, &source, &dest, false);
        bool again = where == GUEST_UNCLEAR && worth_asking_again(run, &source, &dest, &patience);
        if (where == GUEST_UNCLEAR && !again)
            where = decide_of_nova(run, &source, &dest, true);
        bool nowhere = source.is.seen == PLACE_ABSENT && dest.is.seen == PLACE_ABSENT;
        if (nowhere && !again && run->by_nova && run_nova_deleted(run))
            where = GUEST_DELETED;
        if ((where == GUEST_AT_SOURCE || where == GUEST_STANDS_AT_SOURCE) && !settled)
            where = GUEST_UNCLEAR; // Nova may yet move it
        bool away = !is_known(&source) || !is_known(&dest);
        if (!again && seen)
            tell_places(run, &source, &dest, where, unsettled, seen);
        free(source.state);
        free(dest.state);
        if (!again) {
            run_hurry(run, false); // what is left to do there takes its time
            return where;
        }
        nap_ms(away ? 1000 : 50);
    }
}

int run_observe_migration(struct run *run, enum observed *seen)
{
    switch (run_whereabouts(run, NULL)) {
    case GUEST_AT_SOURCE:
    case GUEST_STANDS_AT_SOURCE:
    case GUEST_STOPPED: *seen = SEEN_BEFORE; break;
    case GUEST_AT_DEST:
    case GUEST_STANDS_AT_DEST:
    case GUEST_STOPPED_AT_DEST: *seen = SEEN_AFTER; break;
    default: *seen = SEEN_UNKNOWN;
    }
    return 0;
}

char *verdict_broken_disks(struct run *run, struct run_host *h)
{
    auto_json json_t *errors = NULL;
    auto_buf struct buf text = {0};
    const char *target;
    json_t *word;
    if (!h->virt || virt_disk_errors(h->virt, json_str(run->instance, "uuid", ""), &errors, NULL) < 0)
        return NULL;
    json_object_foreach(errors, target, word)
        buf_printf(&text, "%s%s: %s", text.len ? ", " : "", target, json_string_value(word));
    return text.len ? buf_take(&text) : NULL;
}

char *verdict_at_source(struct run *run, const char *as)
{
    struct place source;
    const char *name = run_instance_name(run), *host = run_host_name(run->source);
    ask(run->source, json_str(run->instance, "uuid", ""), &source);
    char *text = source.is.seen == PLACE_RUNS     ? xasprintf("%s runs on %s%s", name, host, as)
                 : source.is.seen == PLACE_ABSENT ? xasprintf("%s is not on %s any more", name, host)
                 : is_known(&source)              ? xasprintf("%s is %s on %s", name, source.state, host)
                                     : xasprintf("whether %s runs on %s is not known", name, host);
    free(source.state);
    return text;
}

bool verdict_source_has_left_over(struct run *run, char **text)
{
    struct place source;
    const char *uuid = json_str(run->instance, "uuid", ""), *host = run_host_name(run->source);
    int64_t patience = deadline_in(SETTLE_MS); // its libvirtd may be starting
    for (;;) {
        ask(run->source, uuid, &source);
        if (is_known(&source) || now_ms() >= patience || interrupt_count > 0)
            break;
        free(source.state);
        run_reconnect(run);
        nap_ms(500);
    }
    bool left_over = source.is.seen != PLACE_ABSENT;
    if (!is_known(&source))
        *text = xasprintf("whether %s still has it is not known: it %s", host, source.state);
    else if (left_over)
        *text = xasprintf("%s still has it, %s", host, source.state);
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
    details = details ? details : json_array();
    if (run->unlocked) {
        auto_free char *said = steal(&line);
        line = xasprintf("%s That nothing else was changed is not certain (--unlocked).", said);
        verdict_detail(details, "More", run->unlocked);
    }
    // A run that is not over (in doubt, or a recovery that was interrupted) keeps its claims; else they go
    // before the end is told.
    if (run->claimed && !STREQ(outcome, "in_doubt"))
        run_unclaim(run);
    run_emit(run, "verdict",
             json_pack("{s:s, s:i, s:o, s:f, s:o, s:o}", "outcome", outcome, "status", (int)status, "line",
                       json_text(line), "seconds", wall_time() - run->started, "downtime",
                       run->downtime < 0 ? json_null() : json_real(run->downtime), "details", details));
    free(line);
    return (int)status;
}
