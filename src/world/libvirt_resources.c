// SPDX-License-Identifier: MIT
// What a libvirtd has that guests refer to by name: networks, secrets, network filters.
#include "base/xml.h"
#include "world/libvirt_internal.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

// Sets key to the first value of an XML document that is there.
static void set_value(json_t *object, const char *key, const struct xml *doc, const char *xpath)
{
    auto_free char *value = NULL;
    if (xml_value(doc, xpath, &value, NULL) == 0 && value)
        json_object_set_new(object, key, json_text(value));
}

static void set_values(json_t *object, const char *key, const struct xml *doc, const char *xpath)
{
    char **values = NULL;
    size_t count = 0;
    json_t *all = json_array();
    if (xml_values(doc, xpath, &values, &count, NULL) == 0)
        for (size_t i = 0; i < count; i++)
            json_array_append_new(all, json_text(values[i]));
    strv_free(values);
    json_object_set_new(object, key, all);
}

static json_t *network(virNetworkPtr network)
{
    json_t *all = json_pack("{s:o, s:b}", "name", json_text(virNetworkGetName(network)), "active",
                            virNetworkIsActive(network) == 1);
    auto_free char *text = virNetworkGetXMLDesc(network, 0);
    struct xml *doc;
    if (!text || xml_parse(text, strlen(text), &doc, NULL) < 0)
        return all;
    set_value(all, "bridge", doc, "bridge/@name");
    set_value(all, "forward", doc, "forward/@mode");
    set_value(all, "mtu", doc, "mtu/@size");
    set_value(all, "address", doc, "ip/@address");
    set_values(all, "portgroups", doc, "portgroup/@name");
    set_values(all, "devices", doc, "forward/interface/@dev");
    xml_free(doc);
    return all;
}

static json_t *networks(virConnectPtr connection)
{
    virNetworkPtr *list = NULL;
    int count = virConnectListAllNetworks(connection, &list, 0);
    json_t *all = count < 0 ? NULL : json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(all, network(list[i]));
        virNetworkFree(list[i]);
    }
    free(list);
    return all;
}

static json_t *secrets(virConnectPtr connection)
{
    virSecretPtr *list = NULL;
    int count = virConnectListAllSecrets(connection, &list, 0);
    json_t *all = count < 0 ? NULL : json_array();
    for (int i = 0; i < count; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN];
        const char *usage = virSecretGetUsageID(list[i]);
        if (virSecretGetUUIDString(list[i], uuid) == 0)
            json_array_append_new(
                all, json_pack("{s:s, s:o*}", "uuid", uuid, "usage", usage ? json_text(usage) : NULL));
        virSecretFree(list[i]);
    }
    free(list);
    return all;
}

static json_t *filters(virConnectPtr connection)
{
    virNWFilterPtr *list = NULL;
    int count = virConnectListAllNWFilters(connection, &list, 0);
    json_t *all = count < 0 ? NULL : json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(all, json_text(virNWFilterGetName(list[i])));
        virNWFilterFree(list[i]);
    }
    free(list);
    return all;
}

static int run_resources(virConnectPtr connection, struct call *call)
{
    static const struct {
        const char *name;
        json_t *(*list)(virConnectPtr connection);
    } kinds[] = {{"networks", networks}, {"secrets", secrets}, {"filters", filters}};
    call->json = json_object();
    json_t *unknown = json_object();
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        json_t *all = kinds[i].list(connection);
        if (all)
            json_object_set_new(call->json, kinds[i].name, all);
        else // a daemon of its own that is missing, or does not run
            json_object_set_new(unknown, kinds[i].name, json_text(virGetLastErrorMessage()));
    }
    json_object_set_new(call->json, "unknown", unknown);
    return 0;
}

int virt_resources(struct virt *virt, json_t **resources, struct error *err)
{
    return virt_ask(virt, call_new(run_resources, true, "list networks, secrets and filters"), 0, resources,
                    NULL, err);
}
