// SPDX-License-Identifier: MIT
#include "base/xml_internal.h"

#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <libxml/parser.h>
#include <libxml/hash.h>
#include <libxml/xpathInternals.h>

// A document is its text. libxml2 parses it and answers XPath; a change is cut into the text at the place
// where the node stands, and the new text is parsed again. So what is not touched stays byte for byte,
// whoever wrote it: libvirt's single quotes, the double quotes of Nova's metadata inside them, comments,
// blank lines. The parts of the text that belong to an element are found by a scan of our own; it can be
// simple because libxml2 has seen that the text is well-formed, and because there is no DOCTYPE.

struct span {           // of an element, as offsets into the text
    size_t start;       // its '<'
    size_t open_end;    // past the '>' of its start tag
    size_t close_start; // the '<' of its end tag; for <x/> the same as end
    size_t end;         // past its last '>'
};

struct xml {
    char *text;
    size_t len;
    xmlDocPtr doc;      // each element's _private points to its span
    struct span *spans; // in document order
    size_t count;
};

void xml_free(struct xml *doc)
{
    if (!doc)
        return;
    if (doc->doc)
        xmlFreeDoc(doc->doc);
    free(doc->spans);
    free(doc->text);
    free(doc);
}

static void xml_free_pointer(struct xml **doc) { xml_free(*doc); }
#define auto_xml cleanup(xml_free_pointer)

void strv_free(char **values)
{
    for (char **v = values; v && *v; v++)
        free(*v);
    free(values);
}

// ---- parsing ----

static bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Past the tag, comment, CDATA section or processing instruction that begins at p.
static const char *markup_end(const char *p)
{
    static const struct {
        const char *open, *close;
    } kinds[] = {{"<!--", "-->"}, {"<![CDATA[", "]]>"}, {"<?", "?>"}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        if (strncmp(p, kinds[i].open, strlen(kinds[i].open)) == 0) {
            const char *close = strstr(p + strlen(kinds[i].open), kinds[i].close);
            return close ? close + strlen(kinds[i].close) : p + strlen(p);
        }
    for (char quote = 0; *p; p++) {
        if (quote && *p == quote)
            quote = 0;
        else if (!quote && (*p == '"' || *p == '\''))
            quote = *p;
        else if (!quote && *p == '>')
            return p + 1;
    }
    return p;
}

static xmlNodePtr next_element(xmlNodePtr node, const xmlNode *top)
{
    xmlNodePtr next = xmlFirstElementChild(node);
    while (!next && node && node != top) {
        next = xmlNextElementSibling(node);
        node = node->parent;
    }
    return next;
}

// Finds the span of each element, and ties them to the nodes: the n-th start tag is the n-th element.
static int find_spans(struct xml *doc)
{
    size_t cap = 0, depth = 0, *open = NULL;
    int result = 0;
    for (const char *p = doc->text; (p = strchr(p, '<')) && result == 0;) {
        const char *end = markup_end(p);
        size_t start = (size_t)(p - doc->text), after = (size_t)(end - doc->text);
        if (p[1] == '/') {
            if (depth == 0) {
                result = -1;
            } else {
                struct span *span = &doc->spans[open[--depth]];
                span->close_start = start;
                span->end = after;
            }
        } else if (p[1] != '!' && p[1] != '?') {
            if (doc->count >= cap) {
                cap = cap ? cap * 2 : 64;
                doc->spans = xrealloc(doc->spans, cap * sizeof *doc->spans);
                open = xrealloc(open, cap * sizeof *open);
            }
            doc->spans[doc->count] = (struct span){start, after, after, after};
            if (end[-2] != '/')
                open[depth++] = doc->count;
            doc->count++;
        }
        p = end;
    }
    free(open);
    size_t i = 0;
    xmlNodePtr root = xml_root(doc);
    for (xmlNodePtr node = root; node && i < doc->count; node = next_element(node, root))
        node->_private = &doc->spans[i++];
    return depth == 0 && i == doc->count ? result : -1;
}

// libxml2's first complaint, which is the one that helps.
struct complaint {
    int line;
    char message[512];
};

static void complain(struct complaint *first, const xmlError *error)
{
    if (first->message[0] || error->level < XML_ERR_ERROR)
        return;
    first->line = error->line;
    snprintf(first->message, sizeof first->message, "%s",
             error->message ? error->message : "not well-formed");
    for (size_t n = strlen(first->message); n && is_space(first->message[n - 1]); n--)
        first->message[n - 1] = '\0';
}

#if LIBXML_VERSION >= 21200
typedef const xmlError *error_pointer;
#else
typedef xmlErrorPtr error_pointer;
#endif

static void on_parser_error(void *context, error_pointer error)
{
    complain(((xmlParserCtxtPtr)context)->_private, error);
}

static void on_xpath_error(void *complaint, error_pointer error) { complain(complaint, error); }

void xml_init(void) { xmlInitParser(); }

int xml_parse(const char *text, size_t len, struct xml **out, struct error *err)
{
    *out = NULL;
    if (len > INT32_MAX)
        return error_set(err, ERR_XML, 0, "the XML document is too long (%zu bytes)", len);
    if (memchr(text, '\0', len))
        return error_set(err, ERR_XML, 0, "the XML document contains a NUL byte");

    auto_xml struct xml *doc = xcalloc(1, sizeof *doc);
    doc->text = xstrndup(text, len);
    doc->len = len;
    xmlParserCtxtPtr context = xmlNewParserCtxt();
    if (!context)
        abort();
    struct complaint first = {0};
    context->_private = &first;
    context->sax->serror = on_parser_error;
    doc->doc = xmlCtxtReadMemory(context, doc->text, (int)len, NULL, NULL, XML_PARSE_NONET);
    bool namespaces_good = context->nsWellFormed;
    xmlFreeParserCtxt(context);

    if (!doc->doc || !namespaces_good)
        return error_set(err, ERR_XML, 0, "not well-formed XML, line %d: %s", first.line,
                         first.message[0] ? first.message : "the document is empty");
    if (doc->doc->intSubset)
        return error_set(err, ERR_XML, 0, "the XML document has a DOCTYPE, which is not accepted");
    const char *encoding = (const char *)doc->doc->encoding;
    if (encoding && strcasecmp(encoding, "UTF-8") != 0 && strcasecmp(encoding, "US-ASCII") != 0)
        return error_set(err, ERR_XML, 0, "the XML document is encoded in %s; only UTF-8 is accepted",
                         encoding);
    if (find_spans(doc) < 0)
        return error_set(err, ERR_BUG, 0, "the elements of an XML document were not found in its text");
    *out = steal(&doc);
    return 0;
}

struct xml *xml_copy(const struct xml *doc)
{
    struct xml *copy;
    struct error err;
    if (xml_parse(doc->text, doc->len, &copy, &err) < 0)
        abort(); // it was parsed before: only out of memory
    return copy;
}

char *xml_text(const struct xml *doc) { return xstrdup(doc->text); }

xmlNodePtr xml_root(const struct xml *doc) { return xmlDocGetRootElement(doc->doc); }

// ---- XPath ----

static const struct {
    const char *prefix, *uri;
} known_namespaces[] = {
    {"qemu", "http://libvirt.org/schemas/domain/qemu/1.0"},
    {"lxc", "http://libvirt.org/schemas/domain/lxc/1.0"},
    {"xen", "http://libvirt.org/schemas/domain/xen/1.0"},
    {"bhyve", "http://libvirt.org/schemas/domain/bhyve/1.0"},
    {"nova", "http://openstack.org/xmlns/libvirt/nova/1.1"},
};

// A prefix means what the root declares; else what is declared first inside the document (Nova declares its
// own there, in versions); else what is known of it.
static void register_namespaces(xmlXPathContextPtr context, xmlNodePtr root)
{
    for (xmlNodePtr node = root; node; node = next_element(node, root))
        for (const xmlNs *ns = node->nsDef; ns; ns = ns->next)
            if (ns->prefix && !xmlXPathNsLookup(context, ns->prefix))
                xmlXPathRegisterNs(context, ns->prefix, ns->href);
    for (size_t i = 0; i < COUNT_OF(known_namespaces); i++)
        if (!xmlXPathNsLookup(context, (const xmlChar *)known_namespaces[i].prefix))
            xmlXPathRegisterNs(context, (const xmlChar *)known_namespaces[i].prefix,
                               (const xmlChar *)known_namespaces[i].uri);
}

// libxml2 prints the name of an unknown function on stderr, so it is caught before that.
static void no_function(xmlXPathParserContextPtr parser, int count)
{
    (void)count;
    xmlXPathErr(parser, XPATH_UNKNOWN_FUNC_ERROR);
}

static xmlXPathFunction find_function(void *context, const xmlChar *name, const xmlChar *uri)
{
    xmlXPathContextPtr xpath = context;
    return xmlHashLookup2(xpath->funcHash, name, uri) ? NULL : no_function;
}

static xmlXPathObjectPtr evaluate(const struct xml *doc, const char *xpath, struct error *err)
{
    xmlXPathContextPtr context = xmlXPathNewContext(doc->doc);
    if (!context)
        abort();
    struct complaint first = {0};
    context->error = on_xpath_error;
    context->userData = &first;
    context->node = xml_root(doc);
    context->opLimit = 50UL * 1000 * 1000; // seconds of work, not hours
    register_namespaces(context, context->node);
    xmlXPathRegisterFuncLookup(context, find_function, context);
    xmlXPathObjectPtr object = xmlXPathEval((const xmlChar *)xpath, context);
    xmlXPathFreeContext(context);
    if (!object)
        error_set(err, ERR_XML, 0, "'%s' is no XPath expression: %s", xpath,
                  first.message[0] ? first.message : "it could not be evaluated");
    return object;
}

static void object_free(xmlXPathObjectPtr *object)
{
    if (*object)
        xmlXPathFreeObject(*object);
    *object = NULL;
}
#define auto_object cleanup(object_free)

static size_t node_count(const xmlXPathObject *object)
{
    return object->nodesetval ? (size_t)object->nodesetval->nodeNr : 0;
}

xmlXPathObjectPtr xml_nodes(const struct xml *doc, const char *xpath, struct error *err)
{
    auto_object xmlXPathObjectPtr object = evaluate(doc, xpath, err);
    if (object && object->type != XPATH_NODESET) {
        error_set(err, ERR_XML, 0, "the XPath '%s' gives a value where elements or attributes are needed",
                  xpath);
        return NULL;
    }
    return steal(&object);
}

char *xml_take_string(xmlChar *text)
{
    char *copy = xstrdup(text ? (const char *)text : "");
    xmlFree(text);
    return copy;
}

int xml_values(const struct xml *doc, const char *xpath, char ***values, size_t *count, struct error *err)
{
    auto_object xmlXPathObjectPtr object = evaluate(doc, xpath, err);
    if (!object)
        return -1;
    bool nodes = object->type == XPATH_NODESET;
    size_t n = nodes ? node_count(object) : 1;
    *values = xcalloc(n + 1, sizeof **values);
    for (size_t i = 0; i < n; i++)
        (*values)[i] = xml_take_string(nodes ? xmlXPathCastNodeToString(object->nodesetval->nodeTab[i])
                                             : xmlXPathCastToString(object));
    if (count)
        *count = n;
    return 0;
}

int xml_value(const struct xml *doc, const char *xpath, char **value, struct error *err)
{
    char **values;
    size_t count;
    *value = NULL;
    if (xml_values(doc, xpath, &values, &count, err) < 0)
        return -1;
    if (count)
        *value = xstrdup(values[0]);
    strv_free(values);
    return 0;
}

int xml_fragments(const struct xml *doc, const char *xpath, char ***texts, size_t *count, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    if (!object)
        return -1;
    size_t n = node_count(object), found = 0;
    *texts = xcalloc(n + 1, sizeof **texts);
    for (size_t i = 0; i < n; i++) {
        const xmlNode *node = object->nodesetval->nodeTab[i];
        if (node->type != XML_ELEMENT_NODE)
            continue;
        const struct span *span = node->_private;
        (*texts)[found++] = xstrndup(doc->text + span->start, span->end - span->start);
    }
    if (count)
        *count = found;
    return 0;
}

// ---- changes ----

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
    for (size_t i = 0; i < node_count(object); i++) {
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
    for (size_t i = 0; i < node_count(object); i++) {
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
    object_free(&object); // it reads its nodes, which go with the old document
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
            const char *end = *p == '<' ? markup_end(p) : p + strcspn(p, "<");
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

static int check_fragment(const char *fragment, struct error *err)
{
    // Its prefixes may be declared where it goes, so only the form is checked here; namespaces with the whole
    // document.
    auto_free char *wrapped = xasprintf("<fragment>%s</fragment>", fragment);
    xmlParserCtxtPtr context = xmlNewParserCtxt();
    if (!context)
        abort();
    struct complaint first = {0};
    context->_private = &first;
    context->sax->serror = on_parser_error;
    xmlDocPtr parsed = xmlCtxtReadMemory(context, wrapped, (int)strlen(wrapped), NULL, NULL, XML_PARSE_NONET);
    bool good = parsed && context->wellFormed && xmlFirstElementChild(xmlDocGetRootElement(parsed));
    bool complained = !parsed || !context->wellFormed;
    xmlFreeDoc(parsed);
    xmlFreeParserCtxt(context);
    if (good)
        return 0;
    return error_set(err, ERR_XML, 0, "the fragment to add is not well-formed XML: %s",
                     complained && first.message[0] ? first.message : "it contains no element");
}

int xml_add(struct xml *doc, const char *xpath, const char *fragment, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    auto_splices struct splices splices = {0};
    if (!object || check_fragment(fragment, err) < 0)
        return -1;
    while (is_space(*fragment))
        fragment++;
    size_t length = strlen(fragment);
    while (is_space(fragment[length - 1]))
        length--;

    for (size_t i = 0; i < node_count(object); i++) {
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
    object_free(&object);
    return splices_apply(doc, &splices, err);
}

int xml_remove(struct xml *doc, const char *xpath, struct error *err)
{
    auto_object xmlXPathObjectPtr object = xml_nodes(doc, xpath, err);
    auto_splices struct splices splices = {0};
    if (!object)
        return -1;
    for (size_t i = 0; i < node_count(object); i++) {
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
    object_free(&object);
    return splices_apply(doc, &splices, err);
}

// ---- paths ----

bool xml_same_name(const xmlNode *a, const xmlNode *b)
{
    return xmlStrEqual(a->name, b->name) &&
           xmlStrEqual(a->ns ? a->ns->href : NULL, b->ns ? b->ns->href : NULL);
}

// "devices/graphics[1]": numbered where a name may come twice, that is below devices, and where it does.
static void add_path(struct buf *out, const xmlNode *node)
{
    const xmlNode *parent = node->parent;
    bool at_root = !parent || parent->type != XML_ELEMENT_NODE;
    if (!at_root && parent->parent && parent->parent->type == XML_ELEMENT_NODE) {
        add_path(out, parent);
        buf_puts(out, "/");
    }
    if (node->ns && node->ns->prefix)
        buf_printf(out, "%s:", (const char *)node->ns->prefix);
    buf_puts(out, (const char *)node->name);
    if (at_root)
        return;
    int index = 0, count = 0;
    for (xmlNodePtr sibling = xmlFirstElementChild((xmlNodePtr)parent); sibling;
         sibling = xmlNextElementSibling(sibling)) {
        count += xml_same_name(sibling, node);
        if (sibling == node)
            index = count;
    }
    if (count > 1 || xmlStrEqual(parent->name, (const xmlChar *)"devices"))
        buf_printf(out, "[%d]", index);
}

char *xml_path_of(const xmlNode *node)
{
    struct buf out = {0};
    add_path(&out, node);
    return buf_take(&out);
}

char *xml_path_at_line(const struct xml *doc, long line)
{
    size_t start = 0;
    for (long i = 1; i < line; i++) {
        const char *newline = strchr(doc->text + start, '\n');
        if (!newline)
            break;
        start = (size_t)(newline + 1 - doc->text);
    }
    size_t end = start + strcspn(doc->text + start, "\n");
    // The first element that begins on the line, else the innermost one that the line is in.
    xmlNodePtr root = xml_root(doc);
    if (!root)
        return xstrdup("");
    const xmlNode *found = root;
    for (xmlNodePtr node = root; node; node = next_element(node, root)) {
        const struct span *span = node->_private;
        if (span->start > end)
            break;
        if (span->start >= start) {
            found = node;
            break;
        }
        if (span->end > start)
            found = node;
    }
    return xml_path_of(found);
}
