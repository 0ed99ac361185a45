// SPDX-License-Identifier: MIT
// Shared by the files behind xml.h: a document's text, and its nodes as libxml2 has them.
#ifndef MIGRUN_BASE_XML_INTERNAL_H
#define MIGRUN_BASE_XML_INTERNAL_H

#include "base/xml.h"

#include <libxml/tree.h>
#include <libxml/xpath.h>

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

void xml_free_pointer(struct xml **doc);
#define auto_xml cleanup(xml_free_pointer)

static inline bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

// Around one piece of libxml2's work, which may then be refused memory; xml_work_end: -1 with err where it
// was.
#define XML_WORK_MAX ((size_t)1 << 30)
void xml_work_begin(void);
int xml_work_end(const char *what, struct error *err);

xmlNodePtr xml_root(const struct xml *doc);
// The nodes that an XPath matches; ERR_XML if it is invalid, or gives a value instead of nodes. Free with
// xmlXPathFreeObject.
xmlXPathObjectPtr xml_nodes(const struct xml *doc, const char *xpath, struct error *err);
void xml_object_free(xmlXPathObjectPtr *object);
#define auto_object cleanup(xml_object_free)
size_t xml_node_count(const xmlXPathObject *object);
int xml_check_fragment(const char *fragment, struct error *err);
// Past the end of the markup that begins at p.
const char *xml_markup_end(const char *p);
// By local name and namespace; of two attributes too.
bool xml_same_name(const xmlNode *a, const xmlNode *b);
char *xml_path_of(const xmlNode *node); // "devices/graphics[1]"; caller frees
// libxml2's text as one of ours: frees it, NULL is "". Caller frees.
char *xml_take_string(xmlChar *text);

#endif
