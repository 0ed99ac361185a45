// SPDX-License-Identifier: MIT
#include "base/clock.h"
#include "base/io.h"
#include "fake_surgery.h"

#include <stdlib.h>
#include <string.h>

static json_t *surgeries(const json_t *w, const char *host)
{
    json_t *h = world_host(w, host), *all = json_object_get(h, "surgery");
    if (!all)
        json_object_set_new(h, "surgery", all = json_object());
    return all;
}

static bool is_open(const json_t *s) { return STREQ(json_str(s, "phase", ""), "open"); }

static void set_end(json_t *s, const char *phase, const char *text)
{
    json_object_set_new(s, "phase", json_string(phase));
    json_object_set_new(s, "text", json_string(text));
    json_object_set_new(s, "at", json_real(wall_time()));
}

static json_t *told(const json_t *s)
{
    json_t *edits = json_array(), *edit;
    size_t i;
    json_array_foreach(json_object_get(s, "edits"), i, edit)
        json_array_append(edits, json_object_get(edit, "path"));
    return json_pack("{s:s, s:s, s:f, s:[], s:o}", "phase", json_str(s, "phase", "none"), "text",
                     json_str(s, "text", ""), "at", json_num(s, "at", 0), "lost", "edits", edits);
}

static void start(json_t *w, const char *host, const json_t *s)
{
    json_object_set(json_object_get(world_host(w, host), "services"), json_str(s, "unit", ""),
                    json_string("active"));
}

static void put_back(json_t *w, const char *host, const char *name, json_t *s)
{
    auto_free char *run = xstrndup(name, strcspn(name, "/"));
    json_t *claim = json_object_get(json_object_get(world_host(w, host), "claims"), run);
    start(w, host, s);
    set_end(s, "put back", "was stopped; it was started again, 1 of 1 guests is managed as before");
    if (claim)
        json_object_set(claim, "told", json_object_get(s, "text"));
}

void fake_surgery_guard(json_t *w, const char *host)
{
    const char *name;
    json_t *s;
    json_object_foreach(surgeries(w, host), name, s)
        if (is_open(s))
            put_back(w, host, name, s);
}

static int begin(json_t *w, const char *host, const json_t *request, json_t **result, struct error *err)
{
    const char *unit = json_str(request, "unit", "");
    if (!world_serves(w, host, unit))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "%s is not running, so there is nothing to stop",
                         unit);
    json_t *s = json_pack("{s:s, s:s, s:[]}", "phase", "open", "unit", unit, "edits");
    json_object_set_new(surgeries(w, host), json_str(request, "keep", ""), s);
    json_object_set_new(json_object_get(world_host(w, host), "services"), unit, json_string("inactive"));
    *result = told(s);
    return 0;
}

static int stage(json_t *s, const json_t *request, const char *body, size_t len, json_t **result)
{
    json_array_append_new(json_object_get(s, "edits"),
                          json_pack("{s:O, s:O, s:o}", "path", json_object_get(request, "path"), "expect",
                                    json_object_get(request, "expect"), "content",
                                    json_stringn(body ? body : "", len)));
    *result = json_object();
    return 0;
}

static int check(const json_t *w, const char *host, const json_t *edit, struct error *err)
{
    const char *path = json_str(edit, "path", "");
    const json_t *file = world_file(w, host, path);
    char hash[65];
    sha256_hex(json_str(file, "content", ""), json_string_length(json_object_get(file, "content")), hash);
    if (file && STREQ(json_str(json_object_get(edit, "expect"), "sha256", ""), hash))
        return 0;
    return error_set(err, ERR_REFUSED, REFUSED_CHANGED, "%s was changed since it was looked at", path);
}

// What a starting libvirtd takes over from a guest's record, or from its definition.
static void take_over(json_t *w, const char *host, const char *path, const char *content)
{
    json_t *domain = world_domain(w, host, WORLD_UUID);
    const char *xml = strstr(content, "<domain "), *end = xml ? strstr(xml, "</domain>") : NULL;
    if (domain && end)
        json_object_set_new(domain, STREQ(path, WORLD_STATUS) ? "xml" : "inactive_xml",
                            json_stringn(xml, (size_t)(end - xml) + strlen("</domain>\n")));
}

static int commit(json_t *w, const char *host, const char *name, json_t *s, bool half, json_t **result,
                  struct error *err)
{
    size_t i;
    json_t *edit;
    json_array_foreach(json_object_get(s, "edits"), i, edit)
        if (check(w, host, edit, err) < 0) {
            put_back(w, host, name, s);
            return -1;
        }
    if (half)
        return 0;
    json_array_foreach(json_object_get(s, "edits"), i, edit) {
        const char *path = json_str(edit, "path", "");
        json_object_set(world_file(w, host, path), "content", json_object_get(edit, "content"));
        take_over(w, host, path, json_str(edit, "content", ""));
    }
    start(w, host, s);
    set_end(s, "committed", "was away for 0.10 s; 1 guest is managed as before");
    *result = told(s);
    return 0;
}

int fake_surgery(json_t *w, const char *host, const json_t *request, const char *body, size_t len, bool half,
                 json_t **result, struct error *err)
{
    const char *action = json_str(request, "action", ""), *name = json_str(request, "surgery", "");
    json_t *s = json_object_get(surgeries(w, host), name);
    if (STREQ(action, "begin"))
        return begin(w, host, request, result, err);
    if (STREQ(action, "settle") || STREQ(action, "look")) {
        if (is_open(s) && STREQ(action, "settle"))
            put_back(w, host, name, s);
        *result = told(s);
        return 0;
    }
    if (!is_open(s))
        return error_set(err, ERR_REFUSED, REFUSED_OTHER, "that surgery is over");
    if (STREQ(action, "stage"))
        return stage(s, request, body, len, result);
    if (STREQ(action, "commit"))
        return commit(w, host, name, s, half, result, err);
    put_back(w, host, name, s);
    *result = told(s);
    return 0;
}
