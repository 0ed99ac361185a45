// SPDX-License-Identifier: MIT
#include "base/diff.h"

#include "base/clock.h"
#include "base/io.h"
#include "base/process.h"
#include "base/xml.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/mman.h>
#include <unistd.h>

// ---- secrets ----

static const char mask[] = "********";

// Masks [from, to). Line ends stay, so that a masked text has the lines of its original.
static void add_masked(struct buf *out, const char *from, const char *to)
{
    while (from < to) {
        const char *newline = memchr(from, '\n', (size_t)(to - from)), *end = newline ? newline : to;
        size_t blank = strspn(from, " \t\r");
        if (blank < (size_t)(end - from)) {
            buf_add(out, from, blank);
            buf_puts(out, mask);
        }
        if (newline)
            buf_puts(out, "\n");
        from = newline ? newline + 1 : to;
    }
}

static bool is_name_char(char c) { return isalnum((unsigned char)c) || c == '_' || c == '-' || c == '.'; }

static bool names_secret(const char *name, size_t len)
{
    static const char *const words[] = {"password", "passwd", "passphrase", "secret", "token", "credential"};
    for (size_t i = 0; i < COUNT_OF(words); i++)
        for (size_t at = 0; at + strlen(words[i]) <= len; at++)
            if (strncasecmp(name + at, words[i], strlen(words[i])) == 0)
                return true;
    return false;
}

// user:password@ in what follows "://"; also with several hosts behind commas, as in transport_url. Returns
// where it ends.
static const char *mask_url(struct buf *out, const char *p)
{
    const char *end = p + strcspn(p, "/ \t\r\n'\"<>");
    while (p < end) {
        const char *colon = memchr(p, ':', (size_t)(end - p));
        const char *at = colon ? memchr(colon, '@', (size_t)(end - colon)) : NULL;
        if (!at)
            break;
        const char *comma = memchr(at, ',', (size_t)(end - at)), *stop = comma ? comma : end;
        at = memrchr(at, '@', (size_t)(stop - at)); // a password may contain one
        buf_add(out, p, (size_t)(colon + 1 - p));
        add_masked(out, colon + 1, at);
        buf_add(out, at, (size_t)(stop - at));
        p = stop;
    }
    buf_add(out, p, (size_t)(end - p));
    return end;
}

// The value that a secret's name (ending at p) is given: "name = x", name='x', "name": "x". Masks it, returns
// where it ends; p itself where no value follows.
static const char *mask_value(struct buf *out, const char *text, const char *name, const char *p)
{
    const char *from = p + (*p == '"' || *p == '\'');
    from += strspn(from, " \t");
    bool colon = *from == ':';
    if ((*from != '=' && !colon) || strncmp(from, "://", 3) == 0)
        return p;
    from++;
    from += strspn(from, " \t");
    const char *line = name;
    while (line > text && strchr(" \t#;-\"'", line[-1]))
        line--;
    bool begins_line = line == text || line[-1] == '\n';
    const char *end;
    if (*from == '"' || *from == '\'') {
        char quote = *from++;
        for (end = from; *end && *end != quote; end++)
            if (*end == '\\' && end[1])
                end++;
    } else if (begins_line) {
        end = from + strcspn(from, "\n");
    } else if (colon && !memchr(name, '-', (size_t)(p - name)) && !memchr(name, '_', (size_t)(p - name))) {
        return p; // prose: "no such secret: …"
    } else {
        end = from + strcspn(from, " \t\r\n,;&'\"<>)}]");
    }
    buf_add(out, p, (size_t)(from - p));
    add_masked(out, from, end);
    return end;
}

char *mask_secrets(const char *text)
{
    struct buf out = {0};
    bool in_secret_tag = false; // <password …>: its content is masked
    for (const char *p = text; *p;) {
        if (strncmp(p, "://", 3) == 0) {
            buf_puts(&out, "://");
            p = mask_url(&out, p + 3);
        } else if (is_name_char(*p)) {
            const char *name = p;
            while (is_name_char(*p))
                p++;
            buf_add(&out, name, (size_t)(p - name));
            if (!names_secret(name, (size_t)(p - name)))
                continue;
            const char *before = name; // past a prefix, "nova:secret"
            if (before > text && before[-1] == ':')
                for (before--; before > text && is_name_char(before[-1]); before--)
                    ;
            if (before > text && before[-1] == '<')
                in_secret_tag = true;
            else
                p = mask_value(&out, text, name, p);
        } else if (*p == '>' && in_secret_tag) {
            const char *end = p + 1 + strcspn(p + 1, "<");
            buf_add(&out, p, 1);
            if (p[-1] == '/')
                end = p + 1;
            else
                add_masked(&out, p + 1, end);
            in_secret_tag = false;
            p = end;
        } else {
            buf_add(&out, p++, 1);
        }
    }
    return buf_take(&out);
}

// ---- diffs ----

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
