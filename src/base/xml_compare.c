// SPDX-License-Identifier: MIT
// Whether two documents differ only where that was declared.
#include "base/xml_internal.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#include <libxml/xpathInternals.h>

// Two documents and the nodes in which they may differ. The first other difference goes into where.
struct comparison {
    xmlXPathObjectPtr *allowed; // of each XPath: its match in the document before, then in the one after
    size_t count;
    char *where;
};

static bool is_allowed(const struct comparison *c, const xmlNode *node)
{
    for (size_t i = 0; i < c->count; i++)
        if (xmlXPathNodeSetContains(c->allowed[i]->nodesetval, (xmlNodePtr)node))
            return true;
    return false;
}

static void tell(char **where, const xmlNode *node, const char *what)
{
    if (where && !*where) {
        auto_free char *path = xml_path_of(node);
        *where = xasprintf("%s%s", path, what);
    }
}

// Children that count: elements, and text that is more than the white space between elements.
struct children {
    xmlNodePtr *list;
    size_t count;
    bool elements;
};

static struct children children_of(const xmlNode *node)
{
    struct children c = {0};
    size_t cap = 0;
    for (xmlNodePtr child = node->children; child; child = child->next) {
        c.elements |= child->type == XML_ELEMENT_NODE;
        if (child->type != XML_ELEMENT_NODE && child->type != XML_TEXT_NODE &&
            child->type != XML_CDATA_SECTION_NODE)
            continue;
        if (c.count == cap) {
            cap = cap ? cap * 2 : 16;
            c.list = xrealloc(c.list, cap * sizeof *c.list);
        }
        c.list[c.count++] = child;
    }
    return c;
}

static void drop_blank_text(struct children *c)
{
    size_t kept = 0;
    for (size_t i = 0; i < c->count; i++)
        if (c->list[i]->type == XML_ELEMENT_NODE || !xmlIsBlankNode(c->list[i]))
            c->list[kept++] = c->list[i];
    c->count = kept;
}

static bool attributes_agree(const struct comparison *c, const xmlNode *a, const xmlNode *b, char **where)
{
    for (int side = 0; side < 2; side++) {
        const xmlNode *one = side ? b : a, *other = side ? a : b;
        for (const xmlAttr *attribute = one->properties; attribute; attribute = attribute->next) {
            const xmlAttr *match = other->properties;
            while (match && !xml_same_name((const xmlNode *)match, (const xmlNode *)attribute))
                match = match->next;
            if (is_allowed(c, (const xmlNode *)attribute) || (match && is_allowed(c, (const xmlNode *)match)))
                continue;
            auto_free char *value = xml_take_string(xmlNodeGetContent((const xmlNode *)attribute));
            auto_free char *other_value = match ? xml_take_string(xmlNodeGetContent((const xmlNode *)match))
                                                : NULL;
            if (!other_value || !STREQ(value, other_value)) {
                auto_free char *what = xasprintf("/@%s", (const char *)attribute->name);
                tell(where, one, what);
                return false;
            }
        }
    }
    return true;
}

static bool agree(const struct comparison *c, const xmlNode *a, const xmlNode *b, char **where);

// May a stand where b stands? They are alike, or, where nothing came or went, one is allowed to differ and
// the other is what became of it (an XPath may match it by the value that was changed).
static bool pair(const struct comparison *c, const xmlNode *a, const xmlNode *b, bool same_count,
                 char **where)
{
    if (same_count && a->type == XML_ELEMENT_NODE && b->type == XML_ELEMENT_NODE && xml_same_name(a, b) &&
        (is_allowed(c, a) || is_allowed(c, b)))
        return true;
    return agree(c, a, b, where);
}

// Which children belong together when some were added or removed: every child must find its like, in order,
// but allowed ones may be missing on the other side. A table of what can still come out right, from the ends
// backwards.
static bool children_align(const struct comparison *c, const xmlNode *a, const xmlNode *b, xmlNodePtr *as,
                           size_t na, xmlNodePtr *bs, size_t nb, char **where)
{
    if (na + 1 > 4UL * 1024 * 1024 / (nb + 1)) {
        tell(where, a, " (too many differences to compare)");
        return false;
    }
    auto_free bool *good = xcalloc((na + 1) * (nb + 1), sizeof *good);
    for (size_t i = na + 1; i-- > 0;)
        for (size_t j = nb + 1; j-- > 0;) {
            bool *here = &good[i * (nb + 1) + j];
            *here = (i == na && j == nb) || (i < na && here[nb + 1] && is_allowed(c, as[i])) ||
                    (j < nb && here[1] && is_allowed(c, bs[j])) ||
                    (i < na && j < nb && here[nb + 2] && pair(c, as[i], bs[j], na == nb, NULL));
        }
    if (good[0])
        return true;
    // The first that finds nothing like it, for the message.
    for (size_t i = 0; i < na; i++) {
        bool found = is_allowed(c, as[i]);
        for (size_t j = 0; j < nb && !found; j++)
            found = pair(c, as[i], bs[j], na == nb, NULL);
        if (!found)
            tell(where, as[i]->type == XML_ELEMENT_NODE ? as[i] : a, "");
    }
    tell(where, nb ? (bs[0]->type == XML_ELEMENT_NODE ? bs[0] : b) : a, "");
    return false;
}

// Whether they belong together when what is alike at both ends does: usually so, and found at once where a
// flag of hundreds went. That they do not says nothing, as which of two that are alike may be missing can
// differ.
static bool middle_aligns(const struct comparison *c, const xmlNode *a, const xmlNode *b, xmlNodePtr *as,
                          size_t na, xmlNodePtr *bs, size_t nb)
{
    size_t head = 0;
    while (head < na && head < nb && agree(c, as[head], bs[head], NULL))
        head++;
    while (na > head && nb > head && agree(c, as[na - 1], bs[nb - 1], NULL)) {
        na--;
        nb--;
    }
    return children_align(c, a, b, as + head, na - head, bs + head, nb - head, NULL);
}

static bool children_agree(const struct comparison *c, const xmlNode *a, const xmlNode *b, char **where)
{
    struct children as = children_of(a), bs = children_of(b);
    if (as.elements || bs.elements) {
        drop_blank_text(&as);
        drop_blank_text(&bs);
    }
    // Where neither head (or tail) is allowed to differ they must be a pair; only what is between needs a
    // search.
    size_t head = 0, na = as.count, nb = bs.count;
    bool good = true;
    while (good && head < na && head < nb && !is_allowed(c, as.list[head]) && !is_allowed(c, bs.list[head])) {
        good = agree(c, as.list[head], bs.list[head], where);
        head += good;
    }
    while (good && na > head && nb > head && !is_allowed(c, as.list[na - 1]) &&
           !is_allowed(c, bs.list[nb - 1])) {
        good = agree(c, as.list[na - 1], bs.list[nb - 1], where);
        na -= good;
        nb -= good;
    }
    if (good && (na > head || nb > head))
        good = middle_aligns(c, a, b, as.list + head, na - head, bs.list + head, nb - head) ||
               children_align(c, a, b, as.list + head, na - head, bs.list + head, nb - head, where);
    free(as.list);
    free(bs.list);
    return good;
}

static bool agree(const struct comparison *c, const xmlNode *a, const xmlNode *b, char **where)
{
    bool element = a->type == XML_ELEMENT_NODE;
    if (element != (b->type == XML_ELEMENT_NODE) || (element && !xml_same_name(a, b))) {
        tell(where, element ? a : a->parent, "");
        return false;
    }
    if (element)
        return attributes_agree(c, a, b, where) && children_agree(c, a, b, where);
    if (xmlStrEqual(a->content, b->content) || is_allowed(c, a) || is_allowed(c, b))
        return true;
    tell(where, a->parent, " (its text)");
    return false;
}

int xml_only_changed(const struct xml *before, const struct xml *after, const char *const *changes,
                     size_t count, struct error *err)
{
    struct comparison c = {.allowed = xcalloc(2 * count, sizeof *c.allowed)};
    bool good = true;
    for (size_t i = 0; i < 2 * count && good; i++) {
        c.allowed[c.count] = xml_nodes(i % 2 ? after : before, changes[i / 2], err);
        good = c.allowed[c.count] != NULL;
        c.count += good;
    }
    if (good) {
        const xmlNode *a = xml_root(before), *b = xml_root(after);
        if (!pair(&c, a, b, true, &c.where)) {
            good = false;
            error_set(err, ERR_REFUSED, REFUSED_UNDECLARED, "the edit changes %s, which it did not declare",
                      c.where ? c.where : "the document");
        }
    }
    for (size_t i = 0; i < c.count; i++)
        xmlXPathFreeObject(c.allowed[i]);
    free(c.allowed);
    free(c.where);
    return good ? 0 : -1;
}
