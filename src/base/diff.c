// SPDX-License-Identifier: MIT
#include "base/diff.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/mask.h"
#include "base/process.h"
#include "base/xml.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

// A text that the system's diff can read as a file, but that is none: without MFD_CLOEXEC, for the child.
static int open_text(const char *text, struct error *err)
{
    auto_fd int fd = memfd_create("migrun-diff", 0);
    if (fd < 0 || write_all(fd, text, strlen(text)) < 0)
        return error_errno(err, errno, "cannot keep a text in memory for diff");
    return steal_fd(&fd);
}

static int run_diff(const char *before, const char *after, bool context, char **output, struct error *err)
{
    auto_fd int after_fd = open_text(after, err);
    if (after_fd < 0)
        return -1;
    auto_free char *after_path = xasprintf("/dev/fd/%d", after_fd);
    const char *argv[] = {"diff", "--text", context ? "-U3" : "-U0", "-", after_path, NULL};
    struct process_request request = {.argv = argv,
                                      .input = before,
                                      .input_len = strlen(before),
                                      .keep_fd = after_fd,
                                      .deadline = deadline_in(30000),
                                      .watch_fd = -1};
    struct process_result result;
    if (process_run(&request, &result, err) < 0)
        return error_prefix(err, "cannot compare two texts");
    int status = 0;
    if (result.timed_out || (result.status != 0 && result.status != 1))
        status = error_set(err, ERR_COMMAND, result.status, "diff could not compare two texts%s%s",
                           result.timed_out ? " in 30 s" : ": ",
                           result.timed_out || !result.err.data ? "" : result.err.data);
    else
        *output = buf_take(&result.out);
    process_result_free(&result);
    return status;
}

// Goes through a text's lines in order.
struct lines {
    const char *at;
    long number;
};

static void add_line(struct buf *out, char sign, struct lines *lines, long number)
{
    while (lines->number < number && *lines->at) {
        lines->at += strcspn(lines->at, "\n");
        lines->at += *lines->at == '\n';
        lines->number++;
    }
    buf_add(out, &sign, 1);
    buf_add(out, lines->at, strcspn(lines->at, "\n"));
    buf_puts(out, "\n");
}

// diff's answer told again with what it may show: the texts as masked (diff saw them as they are, so that a
// changed secret is a change), and for XML the path of what changed.
static char *tell_diff(const char *output, const char *before, const char *after,
                       const struct xml *before_doc, const struct xml *after_doc, const char *label_before,
                       const char *label_after)
{
    bool xml = before_doc || after_doc;
    auto_free char *masked_before = mask_secrets(before), *masked_after = mask_secrets(after);
    struct lines old = {masked_before, 1}, new = {masked_after, 1};
    long old_line = 0, new_line = 0;
    struct buf out = {0};
    buf_printf(&out, "--- %s\n+++ %s\n", label_before, label_after);
    for (const char *line = output; *line;) {
        size_t length = strcspn(line, "\n");
        if (strncmp(line, "@@ -", 4) == 0) {
            long old_count = 1, new_count = 1;
            char *end;
            old_line = strtol(line + 4, &end, 10);
            if (*end == ',')
                old_count = strtol(end + 1, &end, 10);
            new_line = strtol(end + 2, &end, 10);
            if (*end == ',')
                new_count = strtol(end + 1, &end, 10);
            if (xml) {
                // Where lines were only added, the place is found in the new document.
                bool added = !before_doc || (old_count == 0 && after_doc);
                auto_free char *path = xml_path_at_line(added ? after_doc : before_doc,
                                                        added ? new_line : old_line);
                buf_printf(&out, "@@ %s\n", path);
            } else {
                buf_add(&out, line, length);
                buf_puts(&out, "\n");
            }
            // An empty side is numbered by the line before it.
            old_line += old_count == 0;
            new_line += new_count == 0;
        } else if (old_line == 0) {
            // diff's own --- and +++
        } else if (*line == '-') {
            add_line(&out, '-', &old, old_line++);
        } else if (*line == '+') {
            add_line(&out, '+', &new, new_line++);
        } else if (*line == ' ') {
            add_line(&out, ' ', &old, old_line++);
            new_line++;
        } else if (!xml) { // "\ No newline at end of file"
            buf_add(&out, line, length);
            buf_puts(&out, "\n");
        }
        line += length + (line[length] == '\n');
    }
    return buf_take(&out);
}

static struct xml *try_xml(const char *text)
{
    struct xml *doc = NULL;
    if (text[strspn(text, " \t\r\n")] == '<')
        xml_parse(text, strlen(text), &doc, NULL);
    return doc;
}

int diff_text(const char *before, const char *after, const char *label_before, const char *label_after,
              char **diff, struct error *err)
{
    const char *old = before ? before : "", *new = after ? after : "";
    *diff = NULL;
    if (STREQ(old, new)) {
        *diff = xstrdup("");
        return 0;
    }
    struct xml *old_doc = try_xml(old), *new_doc = try_xml(new);
    bool xml = (old_doc || !*old) && (new_doc || !*new);
    auto_free char *output = NULL;
    int result = run_diff(old, new, !xml, &output, err);
    if (result == 0)
        *diff = tell_diff(output, old, new, xml ? old_doc : NULL, xml ? new_doc : NULL, label_before,
                          label_after);
    xml_free(old_doc);
    xml_free(new_doc);
    return result;
}
