// SPDX-License-Identifier: MIT
#include "world/openstack/yaml.h"

#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

enum { DEPTH_MAX = 32, NODES_MAX = 100000 };

// left: how many values may still be made, as anchors multiply.
struct builder {
    yaml_document_t *document;
    int left;
};

static int build(struct builder *b, const yaml_node_t *node, int depth, json_t **json, struct error *err);

static json_t *plain_value(const char *text)
{
    static const char *const yes[] = {"true", "yes", "on"}, *const no[] = {"false", "no", "off"};
    if (!*text || STREQ(text, "~") || strcasecmp(text, "null") == 0)
        return json_null();
    for (size_t i = 0; i < COUNT_OF(yes); i++) {
        if (strcasecmp(text, yes[i]) == 0)
            return json_true();
        if (strcasecmp(text, no[i]) == 0)
            return json_false();
    }
    return json_text(text);
}

static int build_list(struct builder *b, const yaml_node_t *node, int depth, json_t **json, struct error *err)
{
    auto_json json_t *list = json_array();
    for (const yaml_node_item_t *item = node->data.sequence.items.start; item < node->data.sequence.items.top;
         item++) {
        json_t *value;
        if (build(b, yaml_document_get_node(b->document, *item), depth + 1, &value, err) < 0)
            return -1;
        json_array_append_new(list, value);
    }
    *json = steal(&list);
    return 0;
}

static int build_table(struct builder *b, const yaml_node_t *node, int depth, json_t **json,
                       struct error *err)
{
    auto_json json_t *table = json_object(), *merged = json_array();
    for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start; pair < node->data.mapping.pairs.top;
         pair++) {
        const yaml_node_t *key = yaml_document_get_node(b->document, pair->key);
        json_t *value;
        if (!key || key->type != YAML_SCALAR_NODE)
            return error_set(err, ERR_USAGE, 0, "line %zu: a key is not a string", node->start_mark.line + 1);
        if (build(b, yaml_document_get_node(b->document, pair->value), depth + 1, &value, err) < 0)
            return -1;
        auto_free char *name = printable((const char *)key->data.scalar.value);
        if (STREQ(name, "<<") && json_is_array(value))
            json_array_extend(merged, value);
        else if (STREQ(name, "<<"))
            json_array_append(merged, value);
        else
            json_object_set(table, name, value);
        json_decref(value);
    }
    size_t i;
    json_t *other;
    json_array_foreach(merged, i, other)
        json_object_update_missing(table, other);
    *json = steal(&table);
    return 0;
}

static int build(struct builder *b, const yaml_node_t *node, int depth, json_t **json, struct error *err)
{
    if (!node || depth > DEPTH_MAX || b->left-- <= 0)
        return error_set(err, ERR_USAGE, 0, "line %zu: nested too deep, or too large",
                         node ? node->start_mark.line + 1 : 0);
    switch (node->type) {
    case YAML_SEQUENCE_NODE: return build_list(b, node, depth, json, err);
    case YAML_MAPPING_NODE: return build_table(b, node, depth, json, err);
    case YAML_SCALAR_NODE:
        *json = node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE
                    ? plain_value((const char *)node->data.scalar.value)
                    : json_text((const char *)node->data.scalar.value);
        return 0;
    default: *json = json_null(); return 0;
    }
}

int yaml_parse(const char *text, size_t len, json_t **json, struct error *err)
{
    yaml_parser_t parser;
    yaml_document_t document;
    if (!yaml_parser_initialize(&parser))
        return error_set(err, ERR_BUG, 0, "libyaml could not be set up");
    yaml_parser_set_input_string(&parser, (const unsigned char *)text, len);
    int rc = -1;
    if (!yaml_parser_load(&parser, &document)) {
        error_set(err, ERR_USAGE, 0, "line %zu: %s", parser.problem_mark.line + 1,
                  parser.problem ? parser.problem : "not valid YAML");
    } else {
        struct builder b = {.document = &document, .left = NODES_MAX};
        const yaml_node_t *root = yaml_document_get_root_node(&document);
        if (root)
            rc = build(&b, root, 0, json, err);
        else {
            *json = json_object();
            rc = 0;
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return rc;
}
