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

void xml_free_pointer(struct xml **doc) { xml_free(*doc); }

void strv_free(char **values)
{
    for (char **v = values; v && *v; v++)
        free(*v);
    free(values);
}

// ---- parsing ----

// Past the tag, comment, CDATA section or processing instruction that begins at p.
const char *xml_markup_end(const char *p)
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
        const char *end = xml_markup_end(p);
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

// The caller frees the context, which tells how it went, and the document (NULL: there is none).
static xmlParserCtxtPtr parse(const char *text, size_t len, struct complaint *first, xmlDocPtr *doc)
{
    xml_init();
    xmlParserCtxtPtr context = xmlNewParserCtxt();
    if (!context)
        abort();
    context->_private = first;
    context->sax->serror = on_parser_error;
    *doc = xmlCtxtReadMemory(context, text, (int)len, NULL, NULL, XML_PARSE_NONET);
    return context;
}

static int parse_document(const char *text, size_t len, bool bounded, struct xml **out, struct error *err)
{
    *out = NULL;
    if (len > INT32_MAX)
        return error_set(err, ERR_XML, 0, "the XML document is too long (%zu bytes)", len);
    if (memchr(text, '\0', len))
        return error_set(err, ERR_XML, 0, "the XML document contains a NUL byte");

    auto_xml struct xml *doc = xcalloc(1, sizeof *doc);
    doc->text = xstrndup(text, len);
    doc->len = len;
    struct complaint first = {0};
    if (bounded)
        xml_work_begin();
    xmlParserCtxtPtr context = parse(doc->text, len, &first, &doc->doc);
    bool namespaces_good = context->nsWellFormed;
    xmlFreeParserCtxt(context);

    if (bounded && xml_work_end("an XML document", err) < 0)
        return -1;
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

int xml_parse(const char *text, size_t len, struct xml **out, struct error *err)
{
    return parse_document(text, len, true, out, err);
}

int xml_check_fragment(const char *fragment, struct error *err)
{
    // Its prefixes may be declared where it goes, so only the form is checked here; namespaces with the whole
    // document.
    auto_free char *wrapped = xasprintf("<fragment>%s</fragment>", fragment);
    struct complaint first = {0};
    xmlDocPtr parsed;
    xmlParserCtxtPtr context = parse(wrapped, strlen(wrapped), &first, &parsed);
    bool good = parsed && context->wellFormed && xmlFirstElementChild(xmlDocGetRootElement(parsed));
    bool complained = !parsed || !context->wellFormed;
    xmlFreeDoc(parsed);
    xmlFreeParserCtxt(context);
    if (good)
        return 0;
    return error_set(err, ERR_XML, 0, "the fragment to add is not well-formed XML: %s",
                     complained && first.message[0] ? first.message : "it contains no element");
}

struct xml *xml_copy(const struct xml *doc)
{
    struct xml *copy;
    struct error err;
    if (parse_document(doc->text, doc->len, false, &copy, &err) < 0)
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

// libxml2 counts each of these as one operation, though their work grows with the product of two lengths.
enum { BYTES_AN_OPERATION = 16 };

static void count_first(xmlXPathParserContextPtr parser, int count, xmlXPathFunction function)
{
    xmlChar *strings[3] = {NULL};
    for (int i = count; i-- > 0;)
        strings[i] = xmlXPathPopString(parser);
    if (strings[0] && strings[1])
        parser->context->opCount += strlen((char *)strings[0]) / BYTES_AN_OPERATION *
                                    strlen((char *)strings[1]);
    for (int i = 0; i < count; i++)
        valuePush(parser, xmlXPathWrapString(strings[i]));
    if (parser->context->opCount > parser->context->opLimit)
        xmlXPathErr(parser, XPATH_OP_LIMIT_EXCEEDED);
    else
        function(parser, count);
}

#define COUNTED(name, arguments, function)                       \
    static void name(xmlXPathParserContextPtr parser, int count) \
    {                                                            \
        if (count == (arguments))                                \
            count_first(parser, count, function);                \
        else                                                     \
            function(parser, count); /* which complains */       \
    }
COUNTED(contains, 2, xmlXPathContainsFunction)
COUNTED(substring_before, 2, xmlXPathSubstringBeforeFunction)
COUNTED(substring_after, 2, xmlXPathSubstringAfterFunction)
COUNTED(translate, 3, xmlXPathTranslateFunction)

static void register_counted(xmlXPathContextPtr context)
{
    static const struct {
        const char *name;
        xmlXPathFunction function;
    } all[] = {{"contains", contains},
               {"substring-before", substring_before},
               {"substring-after", substring_after},
               {"translate", translate}};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        xmlXPathRegisterFunc(context, (const xmlChar *)all[i].name, NULL); // one that is there stays else
        xmlXPathRegisterFunc(context, (const xmlChar *)all[i].name, all[i].function);
    }
}

static xmlXPathObjectPtr evaluate(const struct xml *doc, const char *xpath, struct error *err)
{
    xmlXPathContextPtr context = xmlXPathNewContext(doc->doc);
    auto_free char *what = xasprintf("the XPath '%.200s'", xpath);
    if (!context)
        abort();
    struct complaint first = {0};
    context->error = on_xpath_error;
    context->userData = &first;
    context->node = xml_root(doc);
    context->opLimit = 50UL * 1000 * 1000; // seconds of work, not hours
    register_namespaces(context, context->node);
    register_counted(context);
    xmlXPathRegisterFuncLookup(context, find_function, context);
    xml_work_begin();
    auto_object xmlXPathObjectPtr object = xmlXPathEval((const xmlChar *)xpath, context);
    bool too_much = context->opCount >= context->opLimit;
    int refused = xml_work_end(what, err);
    xmlXPathFreeContext(context);
    if (refused < 0)
        return NULL;
    if (!object && too_much)
        error_set(err, ERR_XML, 0, "%s takes too much work", what);
    else if (!object)
        error_set(err, ERR_XML, 0, "invalid XPath expression '%s': %s", xpath,
                  first.message[0] ? first.message : "it could not be evaluated");
    return steal(&object);
}

void xml_object_free(xmlXPathObjectPtr *object)
{
    if (*object)
        xmlXPathFreeObject(*object);
    *object = NULL;
}

size_t xml_node_count(const xmlXPathObject *object)
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

// Answers that hold each other (all elements, with what is in them) may be far larger than their document.
static int fail_too_large(const char *xpath, char ***values, struct error *err)
{
    strv_free(steal(values));
    return error_set(err, ERR_XML, 0, "what the XPath '%.200s' matches is more than %d MiB", xpath,
                     XML_MEMORY_MAX >> 20);
}

int xml_values(const struct xml *doc, const char *xpath, char ***values, size_t *count, struct error *err)
{
    auto_object xmlXPathObjectPtr object = evaluate(doc, xpath, err);
    if (!object)
        return -1;
    bool nodes = object->type == XPATH_NODESET;
    size_t n = nodes ? xml_node_count(object) : 1, size = 0;
    *values = xcalloc(n + 1, sizeof **values);
    for (size_t i = 0; i < n; i++) {
        (*values)[i] = xml_take_string(nodes ? xmlXPathCastNodeToString(object->nodesetval->nodeTab[i])
                                             : xmlXPathCastToString(object));
        if ((size += strlen((*values)[i])) > XML_MEMORY_MAX)
            return fail_too_large(xpath, values, err);
    }
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
    size_t n = xml_node_count(object), found = 0, size = 0;
    *texts = xcalloc(n + 1, sizeof **texts);
    for (size_t i = 0; i < n; i++) {
        const xmlNode *node = object->nodesetval->nodeTab[i];
        if (node->type != XML_ELEMENT_NODE)
            continue;
        const struct span *span = node->_private;
        if ((size += span->end - span->start) > XML_MEMORY_MAX)
            return fail_too_large(xpath, texts, err);
        (*texts)[found++] = xstrndup(doc->text + span->start, span->end - span->start);
    }
    if (count)
        *count = found;
    return 0;
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
