// SPDX-License-Identifier: MIT
#include "base/mask.h"

#include "base/text.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

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
    static const char *const words[] = {"password", "passwd",     "passphrase", "secret",
                                        "token",    "credential", "adminpass",  "admin_pass"};
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

// ---- data ----

static json_t *mask_text(const json_t *text)
{
    const char *plain = json_string_value(text);
    if (strlen(plain) != json_string_length(text))
        return json_string(mask); // bytes of some kind
    auto_free char *masked = mask_secrets(plain);
    return json_string_nocheck(masked);
}

// "--admin-password", whose value is the next word.
static bool is_option_of_secret(const json_t *word)
{
    const char *text = json_string_value(word);
    return text && *text == '-' && !strchr(text, '=') && names_secret(text, strlen(text));
}

static json_t *mask_list(const json_t *list)
{
    json_t *all = json_array(), *entry;
    size_t i;
    json_array_foreach((json_t *)(uintptr_t)list, i, entry) {
        bool secret = json_is_string(entry) && i > 0 && is_option_of_secret(json_array_get(list, i - 1));
        json_array_append_new(all, secret ? json_string(mask) : mask_json(entry));
    }
    return all;
}

static json_t *mask_object(const json_t *object)
{
    json_t *all = json_object(), *value;
    const char *name;
    json_object_foreach((json_t *)(uintptr_t)object, name, value) {
        bool secret = names_secret(name, strlen(name)) && (json_is_string(value) || json_is_number(value));
        json_object_set_new_nocheck(all, name, secret ? json_string(mask) : mask_json(value));
    }
    return all;
}

json_t *mask_json(const json_t *data)
{
    return json_is_object(data)   ? mask_object(data)
           : json_is_array(data)  ? mask_list(data)
           : json_is_string(data) ? mask_text(data)
                                  : json_deep_copy(data);
}

bool mask_is_in(const json_t *data)
{
    const char *name;
    json_t *value;
    size_t i;
    json_object_foreach((json_t *)(uintptr_t)data, name, value)
        if (mask_is_in(value))
            return true;
    json_array_foreach((json_t *)(uintptr_t)data, i, value)
        if (mask_is_in(value))
            return true;
    return json_is_string(data) && strstr(json_string_value(data), mask);
}
