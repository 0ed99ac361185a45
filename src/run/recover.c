// SPDX-License-Identifier: MIT
// A run that was cut off: opened again from its journal, it is ended where a failure would have ended it.
#include "run/gate.h"
#include "run/journal.h"
#include "run/facts.h"
#include "run/hosts.h"
#include "run/open.h"

#include <stdlib.h>
#include <string.h>

// ---- what the journal tells ----

static struct effect *numbered(const struct run *run, json_int_t number)
{
    for (size_t i = 0; i < run->n_effects; i++)
        if (run->effects[i]->number == number)
            return run->effects[i];
    return NULL;
}

static int take_effect(struct run *run, const json_t *record, struct error *err)
{
    const json_t *data = json_object_get(record, "effect");
    int number = (int)json_int(record, "number", 0);
    struct run_host *h = NULL;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (STREQ(run_host_name(run->hosts[i]), json_str(data, "host", "")))
            h = run->hosts[i];
    struct effect *e = h ? effect_from(h, data, number) : NULL;
    if (!e)
        return error_set(err, ERR_REFUSED, REFUSED_OTHER,
                         "change %d of the run (%s on %s) is of a kind that this migrun does not know",
                         number, json_str(data, "kind", "?"), json_str(data, "host", "?"));
    if (number > (int)run->next_effect)
        run->next_effect = (size_t)number;
    run->by_nova = run->by_nova || e->kind == &effect_nova_migrate;
    run->migration_attempted = run->migration_attempted || run->by_nova || e->kind == &effect_migrate;
    gate_remember(run, e);
    return 0;
}

static int take_records(struct run *run, const json_t *records, struct error *err)
{
    size_t i;
    json_t *record;
    json_array_foreach((json_t *)(uintptr_t)records, i, record) {
        const char *type = json_str(record, "type", "");
        struct effect *e = numbered(run, json_int(record, "number", -1));
        if (STREQ(type, "about")) {
            if (take_effect(run, record, err) < 0)
                return -1;
        } else if (e && (STREQ(type, "undone") || STREQ(type, "not made"))) {
            e->undone = true; // a migration that failed was attempted all the same: what it took from the
                              // guest's files is given back
        } else if (e && STREQ(type, "done")) {
            e->made = MADE;
            e->result = json_incref(json_object_get(record, "result"));
        } else if (STREQ(type, "saved")) {
            json_decref(run->saved);
            run->saved = json_incref(json_object_get(record, "saved"));
        }
    }
    return 0;
}

// Every host that the run had, or changed something on.
static int start_hosts(struct run *run, const json_t *records, struct error *err)
{
    const json_t *open = json_array_get(records, 0);
    size_t i;
    json_t *entry;
    json_array_foreach(json_object_get(open, "hosts"), i, entry)
        if (run_start_host(run, json_string_value(entry), false, NULL, err) < 0)
            return -1;
    json_array_foreach((json_t *)(uintptr_t)records, i, entry) {
        const char *host = json_str(json_object_get(entry, "effect"), "host", NULL);
        if (host && run_start_host(run, host, false, NULL, err) < 0)
            return -1;
        if (STREQ(json_str(entry, "type", ""), "dest") &&
            run_start_host(run, json_str(entry, "dest", ""), false, &run->dest, err) < 0)
            return -1;
    }
    const char *source = json_str(open, "source", NULL), *dest = json_str(open, "dest", NULL);
    if ((source && run_start_host(run, source, false, &run->source, err) < 0) ||
        (dest && run_start_host(run, dest, false, &run->dest, err) < 0))
        return -1;
    return 0;
}

int run_reopen(struct run *run, const json_t *records, struct error *err)
{
    const json_t *open = json_array_get(records, 0);
    auto_buf struct buf away = {0};
    run->recovers = true;
    run->claimed = !run->options->preview;
    if (run_prepare(run, err) < 0)
        return -1;
    snprintf(run->id, sizeof run->id, "%s", json_str(open, "run", ""));
    run->instance = json_is_object(json_object_get(open, "instance"))
                        ? json_deep_copy(json_object_get(open, "instance"))
                        : NULL;
    run->server = json_incref(json_object_get(open, "server"));
    run->instance_xml = json_str(open, "xml", NULL) ? xstrdup(json_str(open, "xml", "")) : NULL;
    if (start_hosts(run, records, err) < 0 || run_connect(run, &away, err) < 0 ||
        run_gather_facts(run, err) < 0)
        return -1;
    return take_records(run, records, err);
}
