// SPDX-License-Identifier: MIT
// Changes of a document: cut into its text at the place where a node stands.
#include "base/xml_internal.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

struct splice {
    size_t start, end;
    char *text;
}; // text (owned) replaces [start, end)
struct splices {
    struct splice *list;
    size_t count;
};

static void splices_free(struct splices *splices)
{
    for (size_t i = 0; i < splices->count; i++)
        free(splices->list[i].text);
    free(splices->list);
}
#define auto_splices cleanup(splices_free)

static void splices_add(struct splices *splices, size_t start, size_t end, char *text)
{
    splices->list = xrealloc(splices->list, (splices->count + 1) * sizeof *splices->list);
    splices->list[splices->count++] = (struct splice){start, end, text};
}

static int by_start(const void *a, const void *b)
{
    const struct splice *x = a, *y = b;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    return x->end > y->end ? -1 : x->end < y->end; // an element before what it contains
}

// Makes the changes, all or none: a text that is no XML any more leaves doc as it was. Returns the number of
// nodes.
static int splices_apply(struct xml *doc, struct splices *splices, struct error *err)
{
    if (splices->count == 0)
        return 0;
    qsort(splices->list, splices->count, sizeof *splices->list, by_start);
    auto_buf struct buf text = {0};
    size_t at = 0;
    for (size_t i = 0; i < splices->count; i++) {
        const struct splice *splice = &splices->list[i];
        if (splice->start < at)
            continue; // inside something that was removed
        buf_add(&text, doc->text + at, splice->start - at);
        buf_puts(&text, splice->text);
        at = splice->end;
    }
    buf_add(&text, doc->text + at, doc->len - at);
    struct xml *changed;
    if (xml_parse(text.data, text.len, &changed, err) < 0)
        return error_prefix(err, "the changed document");
    struct xml old = *doc;
    *doc = *changed;
    *changed = old;
    xml_free(changed);
    return (int)splices->count;
}

// Escaped as libvirt does it, quotes too; what an attribute would lose (line ends, tabs) as a character
// reference.
static void add_escaped(struct buf *out, const char *value, bool attribute)
{
    for (const char *p = value; *p; p++)
        switch (*p) {
        case '&': buf_puts(out, "&amp;"); break;
        case '<': buf_puts(out, "&lt;"); break;
        case '>': buf_puts(out, "&gt;"); break;
        case '\'': buf_puts(out, "&apos;"); break;
        case '"': buf_puts(out, "&quot;"); break;
        case '\r': buf_puts(out, "&#13;"); break;
        case '\n':
        case '\t':
            if (attribute) {
                buf_printf(out, "&#%d;", *p);
                break;
            } // fall through
        default: buf_add(out, p, 1);
        }
}

static char *escaped(const char *value, bool attribute)
{
    struct buf out = {0};
    add_escaped(&out, value, attribute);
    return buf_take(&out);
}

// Where an attribute stands: [start, end) with the white space before it, its value between the quotes.
struct attribute_span {
    size_t start, value_start, value_end, end;
};

static bool find_attribute(const struct xml *doc, const struct span *element, const char *name,
                           struct attribute_span *found)
{
    const char *p = doc->text + element->start, *end = doc->text + element->open_end;
    while (!is_space(*p) && *p != '/' && *p != '>')
        p++;
    while (p < end) {
        const char *start = p;
        while (is_space(*p))
            p++;
        if (*p == '/' || *p == '>')
            return false;
        size_t length = strcspn(p, "= \t\r\n");
        bool same = strlen(name) == length && strncmp(p, name, length) == 0;
        p += strcspn(p, "\"'");
        const char *close = strchr(p + 1, *p);
        if (!close)
            return false;
        if (same) {
            *found = (struct attribute_span){(size_t)(start - doc->text), (size_t)(p + 1 - doc->text),
                                             (size_t)(close - doc->text), (size_t)(close + 1 - doc->text)};
            return true;
        }
        p = close + 1;
    }
    return false;
}

static bool find_attribute_node(const struct xml *doc, const xmlNode *node, struct attribute_span *found)
{
    auto_free char *name = node->ns && node->ns->prefix
                               ? xasprintf("%s:%s", (const char *)node->ns->prefix, (const char *)node->name)
                               : xstrdup((const char *)node->name);
    return find_attribute(doc, node->parent->_private, name, found);
}

// Past the element's name and attributes: where the '>' or '/>' begins, without the space before it.
static size_t tag_inner_end(const struct xml *doc, const struct span *span)
{
    size_t at = span->open_end - 1;
    if (span->close_start == span->open_end && doc->text[at - 1] == '/')
        at--;
    while (is_space(doc->text[at - 1]))
        at--;
    return at;
}

static bool is_empty_tag(const struct xml *doc, const struct span *span)
{
    return span->open_end == span->end && doc->text[span->open_end - 2] == '/';
}

static char *tag_name(const struct xml *doc, const struct span *span)
{
    const char *name = doc->text + span->start + 1;
    return xstrndup(name, strcspn(name, " \t\r\n/>"));
}

static int cannot_change(struct error *err, const char *xpath, const char *why)
{
    return error_set(err, ERR_XML, 0, "cannot change what '%s' matches: %s", xpath, why);
}

// The expression of the element in ELEMENT/@NAME, and the name; NULL for expressions of another form.
static char *attribute_parent(const char *xpath, const char **name)
{
    const char *slash = strrchr(xpath, '/');
    *name = slash ? slash + 1 : xpath;
    if ((*name)[0] != '@' || strchr(xpath, '|') || strcspn(*name, "[]()*' \t\n\"=") != strlen(*name) ||
        !(*name)[1])
        return NULL;
    (*name)++;
    if (strncmp(*name, "xmlns", 5) == 0 || (slash && (slash == xpath || slash[-1] == '/')))
        return NULL;
    return slash ? xstrndup(xpath, (size_t)(slash - xpath)) : xstrdup(".");
}

// Attributes that an element of ELEMENT/@NAME lacks are made.
static int add_missing_attributes(const struct xml *doc, const char *xpath, const char *value,
                                  struct splices *splices, struct error *err)
{
    const char *name;
    auto_free char *parent = attribute_parent(xpath, &name);
    if (!parent)
        return 0;
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, parent, err);
    if (!object)
        return -1;
    for (size_t i = 0; i < xml_node_count(object); i++) {
        const xmlNode *node = object->nodesetval->nodeTab[i];
        struct attribute_span there;
        if (node->type != XML_ELEMENT_NODE || find_attribute(doc, node->_private, name, &there))
            continue;
        size_t at = tag_inner_end(doc, node->_private);
        auto_free char *text = escaped(value, true);
        splices_add(splices, at, at, xasprintf(" %s='%s'", name, text));
    }
    return 0;
}

int xml_set(struct xml *doc, const char *xpath, const char *value, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    auto_splices struct splices splices = {0};
    if (!object)
        return -1;
    for (size_t i = 0; i < xml_node_count(object); i++) {
        xmlNodePtr node = object->nodesetval->nodeTab[i];
        if (node->type == XML_ATTRIBUTE_NODE) {
            struct attribute_span at;
            if (!find_attribute_node(doc, node, &at))
                return error_set(err, ERR_BUG, 0, "the attribute '%s' was not found in its element's text",
                                 (const char *)node->name);
            splices_add(&splices, at.value_start, at.value_end, escaped(value, true));
        } else if (node->type == XML_ELEMENT_NODE) {
            const struct span *span = node->_private;
            if (xmlFirstElementChild(node))
                return cannot_change(err, xpath,
                                     "its text was to be set, but it contains elements, which would be lost");
            if (is_empty_tag(doc, span)) {
                auto_free char *name = tag_name(doc, span), *text = escaped(value, false);
                splices_add(&splices, tag_inner_end(doc, span), span->end, xasprintf(">%s</%s>", text, name));
            } else {
                splices_add(&splices, span->open_end, span->close_start, escaped(value, false));
            }
        } else {
            return cannot_change(err, xpath, "only elements and attributes can be set");
        }
    }
    if (add_missing_attributes(doc, xpath, value, &splices, err) < 0)
        return -1;
    xml_object_free(&object); // it reads its nodes, which go with the old document
    return splices_apply(doc, &splices, err);
}

// The white space between the line's beginning and offset; NULL when something else stands there.
static char *indent_of(const struct xml *doc, size_t offset)
{
    size_t at = offset;
    while (at > 0 && (doc->text[at - 1] == ' ' || doc->text[at - 1] == '\t'))
        at--;
    if (at > 0 && doc->text[at - 1] != '\n')
        return NULL;
    return xstrndup(doc->text + at, offset - at);
}

static bool is_blank(const char *text, size_t len)
{
    while (len && is_space(text[len - 1]))
        len--;
    return len == 0;
}

// Moves a fragment's lines to an indent. Only white space between two tags is touched, never a value.
static char *reindent(const char *fragment, size_t len, const char *indent)
{
    auto_free char *text = xstrndup(fragment, len);
    size_t least = SIZE_MAX;
    struct buf out = {0};
    for (int pass = 0; pass < 2; pass++)
        for (const char *p = text; *p;) {
            const char *end = *p == '<' ? xml_markup_end(p) : p + strcspn(p, "<");
            const char *newline = *p == '<' ? NULL : memrchr(p, '\n', (size_t)(end - p));
            size_t width = newline ? (size_t)(end - newline - 1) : 0;
            bool gap = newline && is_blank(p, (size_t)(end - p)) && *end;
            if (pass == 0 && gap && width < least)
                least = width;
            if (pass == 1) {
                buf_add(&out, p, (size_t)((gap ? newline + 1 : end) - p));
                if (gap) {
                    buf_puts(&out, indent);
                    buf_add(&out, newline + 1 + least, width - least);
                }
            }
            p = end;
        }
    return buf_take(&out);
}

int xml_add(struct xml *doc, const char *xpath, const char *fragment, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    auto_splices struct splices splices = {0};
    if (!object || xml_check_fragment(fragment, err) < 0)
        return -1;
    while (is_space(*fragment))
        fragment++;
    size_t length = strlen(fragment);
    while (is_space(fragment[length - 1]))
        length--;

    for (size_t i = 0; i < xml_node_count(object); i++) {
        xmlNodePtr node = object->nodesetval->nodeTab[i];
        if (node->type != XML_ELEMENT_NODE)
            return cannot_change(err, xpath, "an element can be added only to elements");
        const struct span *span = node->_private;
        bool empty = is_empty_tag(doc, span);
        const xmlNode *last = xmlLastElementChild(node);
        size_t content = span->close_start;
        while (!empty && content > span->open_end && is_space(doc->text[content - 1]))
            content--;
        // Indented as the siblings are; where there are none, two columns deeper than the element itself.
        auto_free char *outer = indent_of(doc, span->start), *inner = NULL;
        if (last)
            inner = indent_of(doc, ((const struct span *)last->_private)->start);
        else if (outer && (empty || content == span->open_end))
            inner = xasprintf("%s  ", outer);
        auto_free char *text = inner ? reindent(fragment, length, inner) : xstrndup(fragment, length);
        auto_free char *lead = inner ? xasprintf("\n%s", inner) : xstrdup("");
        if (empty) {
            auto_free char *name = tag_name(doc, span);
            splices_add(&splices, tag_inner_end(doc, span), span->end,
                        xasprintf(">%s%s%s%s</%s>", lead, text, inner ? "\n" : "", inner ? outer : "", name));
        } else {
            bool closed = memchr(doc->text + content, '\n', span->close_start - content) || !inner || !outer;
            splices_add(&splices, content, closed ? content : span->close_start,
                        xasprintf("%s%s%s%s", lead, text, closed ? "" : "\n", closed ? "" : outer));
        }
    }
    xml_object_free(&object);
    return splices_apply(doc, &splices, err);
}

int xml_remove(struct xml *doc, const char *xpath, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    auto_splices struct splices splices = {0};
    if (!object)
        return -1;
    for (size_t i = 0; i < xml_node_count(object); i++) {
        const xmlNode *node = object->nodesetval->nodeTab[i];
        if (node->type == XML_ATTRIBUTE_NODE) {
            struct attribute_span at;
            if (!find_attribute_node(doc, node, &at))
                return error_set(err, ERR_BUG, 0, "the attribute '%s' was not found in its element's text",
                                 (const char *)node->name);
            splices_add(&splices, at.start, at.end, xstrdup(""));
        } else if (node->type == XML_ELEMENT_NODE && node->parent && node->parent->type == XML_ELEMENT_NODE) {
            const struct span *span = node->_private;
            size_t start = span->start;
            while (is_space(doc->text[start - 1]))
                start--;
            if (doc->text[start - 1] != '>')
                start = span->start; // the space belongs to a text
            splices_add(&splices, start, span->end, xstrdup(""));
        } else {
            return cannot_change(err, xpath,
                                 node->type == XML_ELEMENT_NODE
                                     ? "the document's root cannot be removed"
                                     : "only elements and attributes can be removed");
        }
    }
    xml_object_free(&object);
    return splices_apply(doc, &splices, err);
}
