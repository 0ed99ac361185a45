// SPDX-License-Identifier: MIT
// The table of what the agent serves.
#include "world/agent/ops_internal.h"

#include <string.h>

static bool always(const json_t *request)
{
    (void)request;
    return true;
}

static bool command_writes(const json_t *request) { return !json_flag(request, "reads", false); }

static bool service_writes(const json_t *request)
{
    const char *action = json_str(request, "action", "");
    return !STREQ(action, "state") && !STREQ(action, "wait");
}

static bool surgery_writes(const json_t *request) { return !STREQ(json_str(request, "action", ""), "look"); }

static SERVE(serve_ping)
{
    *result = json_object();
    return 0;
}

const struct op ops[] = {
    {"stat", NULL, serve_stat},
    {"read", NULL, serve_read},
    {"list", NULL, serve_list},
    {"write", always, serve_write},
    {"remove", always, serve_remove},
    {"restore", always, serve_restore},
    {"tidy", always, serve_tidy},
    {"forget", always, serve_forget},
    {"note", always, serve_note},
    {"notes", NULL, serve_notes},
    {"claim", always, serve_claim},
    {"unclaim", always, serve_unclaim},
    {"claims", NULL, serve_claims},
    {"chown", always, serve_chown},
    {"chmod", always, serve_chmod},
    {"command", command_writes, serve_command},
    {"service", service_writes, serve_service},
    {"surgery", surgery_writes, serve_surgery},
    {"reach", NULL, serve_reach},
    {"login", NULL, serve_login},
    {"facts", NULL, serve_facts},
    {"storage", NULL, serve_storage},
    {"listeners", NULL, serve_listeners},
    {"log", NULL, serve_log},
    {"search", NULL, serve_search},
    {"count", NULL, serve_count},
    {"ping", NULL, serve_ping},
    {"watch", NULL, serve_watch},
    {"pulse", NULL, serve_pulse},
    {NULL, NULL, NULL},
};

const struct op *op_find(const char *name)
{
    for (const struct op *op = ops; op->name; op++)
        if (STREQ(op->name, name))
            return op;
    return NULL;
}
