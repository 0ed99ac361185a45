// SPDX-License-Identifier: MIT
// Claims: before a run changes hosts it leaves one on each, so that a second run, of another controller too,
// does not meddle.
#include "run/claim.h"

#include "base/clock.h"
#include "base/text.h"
#include "run/journal.h"
#include "run/run.h"

#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *run_author(void)
{
    static char author[512];
    char machine[256] = "?";
    gethostname(machine, sizeof machine - 1);
    const char *sudo = getenv("SUDO_USER");
    const struct passwd *user = getpwuid(getuid());
    snprintf(author, sizeof author, "%s on %s",
             sudo && *sudo ? sudo
             : user        ? user->pw_name
                           : "somebody",
             machine);
    return author;
}

// ---- what hosts say ----

static bool is_uuid(const char *text)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    for (size_t i = 0; i < sizeof form; i++)
        if (form[i] == 'x' ? !text[i] || !strchr("0123456789abcdefABCDEF", text[i]) : text[i] != form[i])
            return false;
    return true;
}

// A text of at most so many bytes, with nothing in it that a screen would obey.
static bool is_text(const char *text, size_t most)
{
    auto_free char *clean = printable(text);
    return strlen(text) <= most && STREQ(clean, text);
}

int claim_read(const json_t *json, struct claim *c, struct error *err)
{
    enum { NAME_MOST = 255, AUTHOR_MOST = 510 };
    const double year_10000 = 253402300800.0;
    *c = (struct claim){.run = json_str(json, "run", ""),
                        .instance = json_str(json, "instance", "?"),
                        .name = json_str(json, "name", "?"),
                        .by = json_str(json, "by", "?"),
                        .source = json_str(json, "source", NULL),
                        .dest = json_str(json, "dest", NULL),
                        .since = json_num(json, "since", -1),
                        .exclusive = json_flag(json, "exclusive", false)};
    const struct {
        bool wrong;
        const char *what;
    } faults[] = {
        {!json_is_object(json), "it must be an object"},
        {!journal_is_run_name(c->run), "invalid run name"},
        {*c->instance && !is_uuid(c->instance), "invalid uuid of the instance"},
        {*c->instance && !c->source, "the instance has no source"},
        {!is_text(c->name, NAME_MOST) || !is_text(c->by, AUTHOR_MOST), "invalid name"},
        {(c->source && !is_text(c->source, NAME_MOST)) || (c->dest && !is_text(c->dest, NAME_MOST)),
         "invalid host name"},
        {!(c->since >= 0 && c->since < year_10000), "invalid time"},
    };
    for (size_t i = 0; i < COUNT_OF(faults); i++)
        if (faults[i].wrong)
            return error_set(err, ERR_REFUSED, REFUSED_OTHER, "malformed: %s", faults[i].what);
    return 0;
}

// ---- of this run ----

static json_t *claim_of(const struct run *run)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:s?, s:s?, s:f, s:b}", "run", run->id, "instance",
                     json_str(run->instance, "uuid", ""), "name", json_str(run->instance, "name", ""), "by",
                     run_author(), "source", run->source ? run_host_name(run->source) : NULL, "dest",
                     run->dest ? run_host_name(run->dest) : NULL, "since", run->started, "exclusive",
                     run->exclusive);
}

static int fail_held(const struct run_host *h, const json_t *held, struct error *err)
{
    auto_free char *since = date_text(json_num(held, "since", 0), false);
    const char *by = json_str(held, "by", "somebody"), *run = json_str(held, "run", "?"),
               *machine = strstr(by, " on ");
    const char *told = json_str(held, "told", NULL);
    return error_set(err, ERR_REFUSED, REFUSED_CLAIMED,
                     "run %.64s of %.255s (%.255s, since %s) has claimed %s%s%.300s%s; if that run is dead, "
                     "migrun recover %.64s on %.255s ends it (migrun recover --host %s where that machine is "
                     "gone for good)",
                     run, json_str(held, "name", "?"), by, since, run_host_name(h),
                     told ? " (libvirtd there " : "", told ? told : "", told ? ")" : "", run,
                     machine ? machine + 4 : "its controller", run_host_name(h));
}

// This machine, by an agent that is not root's: nothing can be changed by it that a claim guards.
static bool is_users_own(const struct run *run, const struct run_host *h)
{
    return h == run->here && h != run->source && h != run->dest && geteuid() != 0;
}

// One request to every host of the run, side by side; take looks at each answer. The first failure counts,
// all answers are read.
static int ask_all(struct run *run, const char *op, json_t *(*args)(const struct run *),
                   int (*take)(const struct run *, const struct run_host *, const json_t *, struct error *),
                   struct error *err)
{
    int rc = 0;
    bool *sent = xcalloc(run->n_hosts + 1, sizeof *sent);
    struct error failure;
    for (size_t i = 0; i < run->n_hosts; i++) {
        if (is_users_own(run, run->hosts[i]))
            continue;
        sent[i] = host_send(run->hosts[i]->agent, op, args(run), NULL, 0, &failure) == 0;
        if (!sent[i] && rc == 0) {
            rc = -1;
            *err = failure;
        }
    }
    for (size_t i = 0; i < run->n_hosts; i++) {
        auto_message struct message answer = {0};
        if (sent[i] &&
            (host_receive(run->hosts[i]->agent, 0, &answer, &failure) < 0 ||
             (take && take(run, run->hosts[i], json_object_get(answer.head, "result"), &failure) < 0)) &&
            rc == 0) {
            rc = -1;
            *err = failure;
        }
    }
    free(sent);
    return rc;
}

static json_t *with_claim(const struct run *run) { return json_pack("{s:o}", "claim", claim_of(run)); }
static json_t *name_only(const struct run *run) { return json_pack("{s:s}", "run", run->id); }
static json_t *nothing(const struct run *run)
{
    (void)run;
    return json_object();
}

static int take_claim(const struct run *run, const struct run_host *h, const json_t *result,
                      struct error *err)
{
    (void)run;
    const json_t *held = json_object_get(result, "held");
    return held ? fail_held(h, held, err) : 0;
}

static int take_claims(const struct run *run, const struct run_host *h, const json_t *result,
                       struct error *err)
{
    size_t i;
    json_t *claim;
    json_array_foreach(json_object_get(result, "claims"), i, claim)
        if (run->exclusive || json_flag(claim, "exclusive", false) ||
            STREQ(json_str(claim, "instance", ""), json_str(run->instance, "uuid", "-")))
            return fail_held(h, claim, err);
    return 0;
}

int run_claim(struct run *run, bool exclusive, struct error *err)
{
    run->exclusive = exclusive;
    if (run->options->preview)
        return ask_all(run, "claims", nothing, take_claims, err);
    run->claimed = true;
    return ask_all(run, "claim", with_claim, take_claim, err);
}

void run_unclaim(struct run *run)
{
    struct error err;
    run->claimed = false;
    if (ask_all(run, "unclaim", name_only, NULL, &err) == 0)
        return;
    run_reconnect(run); // an agent that died at the end would leave the claim to the next run
    if (ask_all(run, "unclaim", name_only, NULL, &err) < 0)
        run_message(
            run, "warning",
            "the claim of this run could not be taken away everywhere (%s); migrun recover %s does it",
            err.message, run->id);
}
