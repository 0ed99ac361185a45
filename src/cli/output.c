// SPDX-License-Identifier: MIT
#include "cli/output.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mask.h"
#include "base/text.h"
#include "run/run.h"

#include <langinfo.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void output_open(struct output *output, const struct options *options)
{
    *output = (struct output){
        .lines = {.fd = STDOUT_FILENO, .verdict_fd = STDERR_FILENO, .quiet = options->quiet},
        .screen =
            {
                .fd = STDOUT_FILENO,
                .verdict_fd = STDERR_FILENO,
                .verbose = options->verbose,
                .quiet = options->quiet,
                .color = color_wanted(options->color, STDOUT_FILENO),
                .utf8 = STREQ(nl_langinfo(CODESET), "UTF-8"),
                .live = is_live_terminal(STDOUT_FILENO),
            },
    };
    output->listener = options->json ? lines_listener(&output->lines) : screen_listener(&output->screen);
}

void output_close(struct output *output) { screen_end(&output->screen); }

int output_print(const char *text) { return write_all(STDOUT_FILENO, text, strlen(text)) < 0 ? 1 : 0; }

// "policies/mine.lua:14:9: …": the message names its place itself.
static bool begins_with_place(const char *message)
{
    for (const char *colon = message; *colon && *colon != '\n'; colon++) {
        size_t digits = *colon == ':' ? strspn(colon + 1, "0123456789") : 0;
        if (digits && colon[1 + digits] == ':')
            return colon > message;
        if (*colon == ':' && colon[1] == ' ')
            return false;
    }
    return false;
}

static void put_shown(struct buf *text, const char *lines)
{
    bool utf8 = STREQ(nl_langinfo(CODESET), "UTF-8");
    for (const char *line = lines; *line;) {
        size_t length = strcspn(line, "\n");
        auto_free char *raw = xstrndup(line, length);
        for (char *tab = strchr(raw, '\t'); tab; tab = strchr(tab, '\t'))
            *tab = ' '; // one column each, as the caret below a line of source counts them
        auto_free char *clean = shown_text(raw, utf8);
        buf_printf(text, "%s\n", clean);
        line += length;
        line += *line == '\n';
    }
}

int output_shown(const char *text)
{
    auto_buf struct buf shown = {0};
    put_shown(&shown, text);
    return shown.data ? output_print(shown.data) : 0;
}

// As one sentence, or as the policy's place, message and line. Returns the exit status.
static int complain(const char *message, const struct error *err)
{
    bool placed = (err->domain == ERR_POLICY || err->domain == ERR_SITE) && begins_with_place(message);
    auto_buf struct buf text = {0};
    buf_puts(&text, placed ? "" : "migrun: ");
    put_shown(&text, message);
    write_all(STDERR_FILENO, text.data, text.len);
    return 1;
}

int output_mistake(const struct error *err, bool json)
{
    auto_free char *message = mask_secrets(err->message);
    if (json) {
        auto_json json_t *verdict = json_pack("{s:f, s:n, s:s, s:s, s:i, s:o}", "time", wall_time(), "run",
                                              "type", "verdict", "outcome", "mistake", "status",
                                              OUTCOME_MISTAKE, "line", json_text(message));
        struct lines lines = {.fd = STDOUT_FILENO, .verdict_fd = STDERR_FILENO};
        struct listener listener = lines_listener(&lines);
        listener.event(listener.data, verdict);
    }
    return complain(message, err);
}

bool output_wants_json(int argc, char **argv)
{
    for (int i = 1; i < argc && !STREQ(argv[i], "--"); i++)
        if (STREQ(argv[i], "--json"))
            return true;
    return false;
}
