// SPDX-License-Identifier: MIT
#include "run/notes.h"

#include "run/claim.h"
#include "run/gate.h"
#include "run/hosts.h"

#include <stdlib.h>
#include <string.h>

enum { DIGITS_MOST = 7, DAY_MS = 86400000 };

// ---- asking ----

static int ask(struct run *run, const char *host, const char *op, json_t *args, struct message *answer,
               struct error *err)
{
    auto_json json_t *own = args, *wanted = json_pack("{s:b}", host, 1), *away = json_object();
    if (run_meet(run, wanted, away, err) < 0)
        return -1;
    struct run_host *h = run_find_host(run, host);
    if (!h)
        return error_set(err, ERR_HOST, 0, "%s", json_str(away, host, host));
    return host_call(h->agent, op, steal(&own), NULL, 0, 0, answer, err);
}

int notes_claims(struct run *run, const char *host, json_t **claims, struct error *err)
{
    auto_message struct message answer = {0};
    if (ask(run, host, "claims", json_object(), &answer, err) < 0)
        return -1;
    json_t *all = json_object_get(json_object_get(answer.head, "result"), "claims");
    if (!json_is_array(all))
        return error_set(err, ERR_HOST, 0, "%s: its claims are not a list", host);
    *claims = json_incref(all);
    return 0;
}

// ---- what a host may say ----

static int refuse(const char *host, const struct claim *claim, struct error *err, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static int refuse(const char *host, const struct claim *claim, struct error *err, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    auto_free char *raw = xvasprintf(format, args), *what = printable(raw);
    va_end(args);
    return error_set(err, ERR_REFUSED, REFUSED_OTHER, "refusing what %s keeps of run %s: %.300s", host,
                     claim->run, what);
}

// A host that a claim names beside its own: of the site file, and not this machine.
static int check_other(const struct run *run, const char *host, const struct claim *claim, const char *other,
                       struct error *err)
{
    size_t i;
    json_t *name;
    bool listed = false;
    struct host_spec *spec;
    json_array_foreach(site_host_names(run->site), i, name)
        listed = listed || STREQ(json_string_value(name), other);
    if (!listed)
        return refuse(host, claim, err, "its claim names '%.80s', which is not in the site file", other);
    if (site_host(run->site, other, &spec, err) < 0)
        return -1;
    bool local = spec->local;
    host_spec_free(spec);
    return local ? refuse(host, claim, err, "its claim names '%.80s', which is this machine", other) : 0;
}

// Whether the other host has its part of the run: *shares. One that tells of the run otherwise speaks against
// this one.
static int ask_other(struct run *run, const char *host, const struct claim *claim, const char *other,
                     bool *shares, struct error *err)
{
    auto_json json_t *claims = NULL;
    size_t i;
    json_t *json;
    if (check_other(run, host, claim, other, err) < 0 || notes_claims(run, other, &claims, err) < 0)
        return -1;
    json_array_foreach(claims, i, json) {
        struct claim theirs;
        if (!STREQ(json_str(json, "run", ""), claim->run))
            continue;
        if (claim_read(json, &theirs, err) < 0)
            return -1;
        bool names_it = (theirs.source && STREQ(theirs.source, host)) ||
                        (theirs.dest && STREQ(theirs.dest, host));
        if (!names_it || !STREQ(theirs.instance, claim->instance))
            return refuse(host, claim, err, "the claim of that run on %s does not name this host", other);
        *shares = true;
    }
    return 0;
}

// The commands of a service, which would be executed, are the site file's.
static bool commands_are_ours(const struct run_host *h, const json_t *commands)
{
    const char *name;
    json_t *service;
    json_object_foreach(json_object_get(host_spec(h->agent)->settings, "services"), name, service)
        if (json_equal(service, commands))
            return true;
    return !commands;
}

static bool is_time(const json_t *milliseconds)
{
    json_int_t n = json_integer_value(milliseconds);
    return !milliseconds || (json_is_integer(milliseconds) && n >= 0 && n <= DAY_MS);
}

// Whether a note can be of a change that the run made on the host that keeps it.
static int check_note(const struct run_host *h, const char *host, const struct claim *claim,
                      const char *number, const json_t *effect, struct error *err)
{
    const json_t *after = json_object_get(effect, "after");
    const char *kind = json_str(effect, "kind", "?"), *on = json_str(effect, "host", "?"),
               *keeper = run_host_name(h), *commands = "commands";
    enum note_place place = effect_note_place(kind);
    if (!*number || strlen(number) > DIGITS_MOST || number[strspn(number, "0123456789")])
        return refuse(host, claim, err, "invalid name '%.40s' of a note on %s", number, keeper);
    if (place == NOTE_NOWHERE)
        return refuse(host, claim, err, "%s has a note of a kind of change that leaves no notes (%.40s)",
                      keeper, kind);
    if (place == NOTE_AT_HOST && !STREQ(on, keeper))
        return refuse(host, claim, err, "%s has a note of a change on another host (%.40s on %.80s)", keeper,
                      kind, on);
    // What moves the guest is noted at its source, for the destination, where that was known.
    bool moves = place == NOTE_AT_SOURCE,
         fits = claim->source && STREQ(keeper, claim->source) && *claim->instance &&
                (STREQ(on, claim->source) || (claim->dest && STREQ(on, claim->dest)));
    if (moves && !fits)
        return refuse(host, claim, err,
                      "%s has a note of a migration to '%.80s' that its claim does not tell of", keeper, on);
    if (!commands_are_ours(h, json_object_get(after, commands)))
        return refuse(host, claim, err, "%s has a note with commands that are not the site file's", keeper);
    if (!is_time(json_object_get(after, "undo_timeout")) ||
        (!moves && !is_time(json_object_get(after, "timeout"))))
        return refuse(host, claim, err, "%s has a note with a timeout over a day", keeper);
    return 0;
}

// Adds the notes that one host keeps of the run to all, by their numbers. A host that has no claim of it (any
// more) has ended it: only whether the guest was to move still counts, which nobody undoes.
static int add_notes(struct run *run, const char *host, const struct claim *claim, const char *keeper,
                     bool shares, json_t *all, struct error *err)
{
    auto_message struct message answer = {0};
    if (ask(run, keeper, "notes", json_pack("{s:s}", "run", claim->run), &answer, err) < 0)
        return -1;
    const json_t *result = json_object_get(answer.head, "result"),
                 *unreadable = json_object_get(result, "unreadable");
    const struct run_host *h = run_find_host(run, keeper);
    const char *number;
    json_t *effect;
    if (shares && json_array_size(unreadable)) {
        auto_free char *name = printable(json_string_value(json_array_get(unreadable, 0))
                                             ? json_string_value(json_array_get(unreadable, 0))
                                             : "?");
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "%zu of the notes that %s keeps of run %s cannot be read (" KEEP_DIR "/%s/%.40s): "
                         "repair or remove them there",
                         json_array_size(unreadable), keeper, claim->run, claim->run, name);
    }
    json_object_foreach(json_object_get(result, "notes"), number, effect) {
        if (!shares && effect_note_place(json_str(effect, "kind", "")) != NOTE_AT_SOURCE)
            continue;
        if (check_note(h, host, claim, number, effect, err) < 0)
            return -1;
        if (json_object_get(all, number))
            return refuse(host, claim, err, "two hosts keep its change %s", number);
        json_object_set(all, number, effect);
    }
    return 0;
}

int notes_story(struct run *run, const char *host, const json_t *json, struct story *story, struct error *err)
{
    struct claim claim;
    auto_json json_t *all = json_object(), *hosts = json_array(), *instance = NULL;
    *story = (struct story){0};
    if (claim_read(json, &claim, err) < 0)
        return error_prefix(err, "a claim on %s", host);
    const char *const names[] = {host, claim.source, claim.dest};
    if ((claim.source || claim.dest) && !(claim.source && STREQ(claim.source, host)) &&
        !(claim.dest && STREQ(claim.dest, host)))
        return refuse(host, &claim, err, "its claim is of a run between other hosts");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        bool shares = i == 0;
        if (!names[i] || (i > 0 && STREQ(names[i], host)))
            continue;
        if ((i > 0 && ask_other(run, host, &claim, names[i], &shares, err) < 0) ||
            add_notes(run, host, &claim, names[i], shares, all, err) < 0)
            return -1;
        json_array_append_new(hosts, json_string(names[i]));
    }
    if (*claim.instance)
        instance = json_pack("{s:s, s:s}", "name", claim.name, "uuid", claim.instance);
    const struct opening opening = {.run = claim.run,
                                    .by = claim.by,
                                    .policy = "a policy that is not here",
                                    .time = claim.since,
                                    .source = claim.source,
                                    .dest = claim.dest,
                                    .instance = instance,
                                    .hosts = hosts};
    auto_json json_t *kept = json_pack("[O, O, O?]", json, hosts, instance);
    return story_of(&opening, all, kept, story, err);
}
