// SPDX-License-Identifier: MIT
// What the files behind xml.h share: a document's nodes, as libxml2 has them.
#ifndef MIGRUN_BASE_XML_INTERNAL_H
#define MIGRUN_BASE_XML_INTERNAL_H

#include "base/xml.h"

#include <libxml/tree.h>
#include <libxml/xpath.h>

xmlNodePtr xml_root(const struct xml *doc);
// What an XPath matches; ERR_XML where it is none, or gives a value instead of nodes. Free with
// xmlXPathFreeObject.
xmlXPathObjectPtr xml_nodes(const struct xml *doc, const char *xpath, struct error *err);
// By local name and namespace; of two attributes too.
bool xml_same_name(const xmlNode *a, const xmlNode *b);
char *xml_path_of(const xmlNode *node); // "devices/graphics[1]"; caller frees
// libxml2's text as one of ours: frees it, NULL is "". Caller frees.
char *xml_take_string(xmlChar *text);

#endif
