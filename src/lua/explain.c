// SPDX-License-Identifier: MIT
#include "lua/explain.h"

#include "base/clock.h"
#include "base/interrupt.h"
#include "lua/bindings.h"
#include "lua/diagnosis.h"
#include "lua/sandbox.h"
#include "run/gate.h"
#include "run/inquiry.h"

struct explanation {
    const struct error *failure;
    json_t *details;
};

static int explain(lua_State *L, void *data, struct error *err)
{
    struct explanation *e = data;
    push_library_function(L, "migrun.diagnose", "explain");
    push_run(L);
    lua_createtable(L, 0, 4);
    lua_pushstring(L, e->failure->message);
    lua_setfield(L, -2, "message");
    lua_pushstring(L, error_domain_name(e->failure->domain));
    lua_setfield(L, -2, "domain");
    lua_pushinteger(L, e->failure->code);
    lua_setfield(L, -2, "code");
    lua_pushstring(L, e->failure->source);
    lua_setfield(L, -2, "source");
    push_qemu_log(L);
    push_nova_log(L);
    push_source_log(L);
    lua_call(L, 5, 1);
    return lua_istable(L, -1) ? lua_to_json(L, -1, &e->details, err) : 0;
}

// ---- all logs ----

static const char *request_of(const struct run *run)
{
    const char *found = NULL;
    for (size_t i = 0; i < run->n_effects; i++)
        if (run->effects[i]->kind == &effect_nova_migrate)
            found = json_str(run->effects[i]->result, "request_id", NULL);
    return found && *found ? found : NULL;
}

static json_t *request_for(const struct run *run, const struct inquiry *inquiry)
{
    return json_pack("{s:s, s:O, s:O, s:O, s:o, s:o, s:{s:f, s:f, s:s, s:s*, s:s*, s:s*, s:s*}}", "subject",
                     json_str(run->instance, "uuid", ""), "hosts", inquiry_hosts(inquiry), "ahead",
                     inquiry_ahead(inquiry), "facts", inquiry_facts(inquiry), "places",
                     inquiry_places(inquiry), "folders", inquiry_folders(inquiry), "told", "began",
                     run->migration_began, "ended", wall_time(), "source", run_host_name(run->source), "dest",
                     run->dest ? run_host_name(run->dest) : NULL, "uuid",
                     json_str(run->instance, "uuid", NULL), "name", json_str(run->instance, "name", NULL),
                     "request", request_of(run));
}

static json_t *details_of(const json_t *answer)
{
    const char *kind = json_str(answer, "kind", ""), *cause = json_str(answer, "cause", NULL),
               *remedy = json_str(answer, "remedy", NULL);
    const json_t *line = json_array_get(json_object_get(answer, "evidence"), 0);
    if (!cause || !line || !(STREQ(kind, "cause") || STREQ(kind, "danger")))
        return NULL;
    auto_free char *number = json_is_integer(json_object_get(line, "line"))
                                 ? xasprintf(":%lld", (long long)json_int(line, "line", 0))
                                 : xstrdup(""),
                   *text = xasprintf("%s\n  %s:%s%s\n    %s", cause, json_str(line, "host", ""),
                                     json_str(line, "path", ""), number, json_str(line, "says", ""));
    json_t *details = json_pack("[{s:s, s:o}]", "label", "Cause", "text", json_text(text));
    if (remedy)
        json_array_append_new(details, json_pack("{s:s, s:o}", "label", "Remedy", "text", json_text(remedy)));
    return details;
}

static json_t *look_everywhere(struct run *run)
{
    struct inquiry *inquiry = NULL;
    struct error ignored;
    auto_json json_t *answer = NULL;
    if (!run->instance || !run->source || run->migration_began <= 0 || interrupt_count > 0 ||
        inquiry_of_run(run, &inquiry, &ignored) < 0)
        return NULL;
    auto_json json_t *request = request_for(run, inquiry);
    int rc = diagnosis_make(NULL, inquiry, request, &answer, NULL, &ignored);
    inquiry_close(inquiry);
    return rc < 0 ? NULL : details_of(answer);
}

static bool is_explained(const json_t *details)
{
    size_t i;
    json_t *detail;
    json_array_foreach((json_t *)(uintptr_t)details, i, detail)
        if (STREQ(json_str(detail, "label", ""), "Remedy"))
            return true;
    return false;
}

// A diagnosis that fails says nothing: the error itself is told in any case.
json_t *explain_failure(struct interp *in, const struct error *failure)
{
    struct explanation e = {.failure = failure};
    struct error ignored;
    diagnosis_catalogue(in, NULL, &ignored);
    interp_enter(in, explain, &e, &ignored);
    bool from_outside = failure->domain == ERR_LIBVIRT || failure->domain == ERR_OPENSTACK;
    json_t *more = from_outside && !is_explained(e.details) ? look_everywhere(in->run) : NULL;
    if (!more)
        return e.details;
    json_array_append_new(more,
                          json_pack("{s:s, s:o}", "label", "Said", "text", json_text(failure->message)));
    json_decref(e.details);
    return more;
}
