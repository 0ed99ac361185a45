// SPDX-License-Identifier: MIT
#include "cli/lines.h"

#include "base/io.h"

#include <stdlib.h>
#include <string.h>

static void write_line(struct lines *lines, int fd, const json_t *event)
{
    char *text = json_line(event);
    auto_free char *line = xasprintf("%s\n", text ? text : "null");
    free(text);
    if (write_all(fd, line, strlen(line)) < 0)
        lines->failed = true;
}

static void on_event(void *data, const json_t *event)
{
    struct lines *lines = data;
    const char *type = json_str(event, "type", "");
    bool verdict = STREQ(type, "verdict");
    bool warning = STREQ(type, "message") && !STREQ(json_str(event, "level", "info"), "info");
    if (!lines->failed && (!lines->quiet || verdict || warning))
        write_line(lines, lines->fd, event);
    if (lines->failed && verdict)
        write_line(lines, lines->verdict_fd, event);
}

struct listener lines_listener(struct lines *lines)
{
    return (struct listener){.event = on_event, .data = lines};
}
