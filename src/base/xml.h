// SPDX-License-Identifier: MIT
// XML documents by libxml2 and XPath. What is not touched stays as it was: libvirt's own documents come back
// byte for byte (libvirt writes attributes in single quotes, libxml2 does not, so there is a writer of our
// own).
#ifndef MIGRUN_BASE_XML_H
#define MIGRUN_BASE_XML_H

#include "base/error.h"

#include <stddef.h>

struct xml; // a document
// Before a second thread reads XML: libxml2 must not set itself up in two at once (its documentation on
// threads).
void xml_init(void);
// Bytes that libxml2 holds for this thread, and how many it may hold: a document or an answer that needs more
// is ERR_XML. An interrupt ends what is being parsed or asked (ERR_INTERRUPTED).
enum { XML_MEMORY_MAX = 256 << 20 };
size_t xml_memory_used(void);
// Parses text. No network, no external entities; a DOCTYPE is refused. ERR_XML with libxml2's message and
// line.
int xml_parse(const char *text, size_t len, struct xml **doc, struct error *err);
void xml_free(struct xml *doc);
struct xml *xml_copy(const struct xml *doc);
char *xml_text(const struct xml *doc); // the whole document as text

// XPath, with the prefixes that libvirt and Nova use (qemu, lxc, xen, bhyve, nova) and each prefix the
// document's root declares. A relative expression starts at the root element. Values of all matches: an
// attribute's value, an element's text content, or the string value of a string/number/boolean expression.
// *values is a NULL-terminated array, free with strv_free.
int xml_values(const struct xml *doc, const char *xpath, char ***values, size_t *count, struct error *err);
// First value or NULL (0 is returned in both cases).
int xml_value(const struct xml *doc, const char *xpath, char **value, struct error *err);
// The XML text of each matching element.
int xml_fragments(const struct xml *doc, const char *xpath, char ***texts, size_t *count, struct error *err);
// Changes; each returns how many nodes it touched (0: nothing matched), or -1.
// set: an attribute's value, or an element's text content. An attribute that is not there is made when the
// expression ends in /@name and its parent matches.
int xml_set(struct xml *doc, const char *xpath, const char *value, struct error *err);
// add: a parsed fragment becomes the last child of each match, indented as its siblings are.
int xml_add(struct xml *doc, const char *xpath, const char *fragment, struct error *err);
// remove: elements (with the white space before them) or attributes.
int xml_remove(struct xml *doc, const char *xpath, struct error *err);

// Path of the deepest element that begins at or before a line of the text (1-based): "devices/graphics[1]".
// Caller frees.
char *xml_path_at_line(const struct xml *doc, long line);
void strv_free(char **values);

// ---- only what was declared (xml_compare.c) ----
// Checks that two documents differ only below (or at) the nodes that the XPaths in changes match, in either
// document; else -1, ERR_REFUSED REFUSED_UNDECLARED, naming the first other difference by its path.
int xml_only_changed(const struct xml *before, const struct xml *after, const char *const *changes,
                     size_t count, struct error *err);

#endif
