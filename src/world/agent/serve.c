// SPDX-License-Identifier: MIT
// A request is served, and answered.
#include "world/agent/ops_internal.h"

#include <errno.h>

int agent_serve(struct agent *agent, const struct message *request, json_t **result, struct buf *body,
                struct error *err)
{
    const char *name = json_str(request->head, "op", "");
    const struct op *op = op_find(name);
    if (!op)
        return error_set(err, ERR_BUG, 0, "the agent has no operation '%s'", name);
    if (agent->read_only && op->writes && op->writes(request->head))
        return error_set(err, ERR_REFUSED, REFUSED_PHASE,
                         "the agent was started to read only, and %s could change something", name);
    if (json_object_get(request->head, "note") && note_effect(request->head, err) < 0)
        return -1;
    if (op->serve(agent, request->head, request->body, request->body_len, result, body, err) < 0)
        return -1;
    // A command that undoes may have failed.
    if (json_flag(request->head, "undoes", false) && json_int(*result, "status", 0) == 0)
        note_undone(request->head);
    return 0;
}

int agent_answer(struct agent *agent, const struct message *request, int fd)
{
    const json_t *id = json_object_get(request->head, "id");
    auto_json json_t *head = json_object();
    auto_buf struct buf body = {0};
    json_t *result = NULL;
    struct error err = {0};
    if (!id)
        return 0;
    if (agent_serve(agent, request, &result, &body, &err) < 0) {
        buf_free(&body);
        json_object_set_new(head, "error", wire_error(&err));
    } else {
        json_object_set_new(head, "result", result ? result : json_object());
    }
    json_object_set(head, "id", (json_t *)(uintptr_t)id);
    if (wire_send(fd, head, body.data, body.len, &err) == 0)
        return 0;
    if (err.code != EMSGSIZE)
        return -1;
    json_object_del(head, "result");
    json_object_set_new(head, "error", wire_error(&err));
    return wire_send(fd, head, NULL, 0, NULL);
}
