// SPDX-License-Identifier: MIT
// A host and its domains as libvirt describes them, as JSON; and the small changes.
#include "base/text.h"
#include "base/xml.h"
#include "world/libvirt_internal.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

// ---- words ----

static const char *word(const char *const *words, size_t count, int value)
{
    return value >= 0 && (size_t)value < count && words[value] ? words[value] : "unknown";
}
#define WORD(words, value) word(words, COUNT_OF(words), value)

static const char *const states[] = {"no state",    "running",  "blocked", "paused",
                                     "in shutdown", "shut off", "crashed", "pmsuspended"};

static const char *reason_word(int state, int reason)
{
    static const char *const running[] = {
        "unknown",       "booted",   "migrated",           "restored",
        "from snapshot", "unpaused", "migration canceled", "save canceled",
        "event wakeup",  "crashed",  "post-copy",          "post-copy failed",
    };
    static const char *const paused[] = {
        "unknown",   "user",        "migrating",     "saving",           "dumping",
        "I/O error", "watchdog",    "from snapshot", "shutting down",    "creating snapshot",
        "crashed",   "starting up", "post-copy",     "post-copy failed",
    };
    static const char *const shutdown[] = {"unknown", "user"};
    static const char *const shutoff[] = {
        "unknown", "shutdown", "destroyed",     "crashed", "migrated",
        "saved",   "failed",   "from snapshot", "daemon",
    };
    static const char *const crashed[] = {"unknown", "panicked"};
    switch (state) {
    case VIR_DOMAIN_RUNNING: return WORD(running, reason);
    case VIR_DOMAIN_PAUSED: return WORD(paused, reason);
    case VIR_DOMAIN_SHUTDOWN: return WORD(shutdown, reason);
    case VIR_DOMAIN_SHUTOFF: return WORD(shutoff, reason);
    case VIR_DOMAIN_CRASHED: return WORD(crashed, reason);
    default: return "unknown";
    }
}

static const char *const job_types[] = {"none", "bounded", "unbounded", "completed", "failed", "cancelled"};
static const char *const job_operations[] = {
    "unknown",  "start",           "save", "restore", "incoming migration", "outgoing migration",
    "snapshot", "snapshot revert", "dump", "backup",  "snapshot delete",
};
static const char *const block_job_types[] = {"unknown", "pull", "copy", "commit", "active commit", "backup"};

static json_t *version_text(unsigned long version)
{
    auto_free char *text = xasprintf("%lu.%lu.%lu", version / 1000000, version / 1000 % 1000, version % 1000);
    return json_string(text);
}

// ---- domains ----

virDomainPtr virt_lookup(virConnectPtr connection, const char *name_or_uuid)
{
    virDomainPtr domain = NULL;
    if (strlen(name_or_uuid) == VIR_UUID_STRING_BUFLEN - 1 &&
        strspn(name_or_uuid, "0123456789abcdefABCDEF-") == VIR_UUID_STRING_BUFLEN - 1) {
        domain = virDomainLookupByUUIDString(connection, name_or_uuid);
        if (!domain && virGetLastErrorCode() != VIR_ERR_NO_DOMAIN &&
            virGetLastErrorCode() != VIR_ERR_INVALID_ARG)
            return NULL;
    }
    return domain ? domain : virDomainLookupByName(connection, name_or_uuid);
}

static void params_to_json(const virTypedParameter *params, int count, json_t *object)
{
    for (int i = 0; i < count; i++) {
        const virTypedParameter *p = &params[i];
        json_t *value = NULL;
        switch (p->type) {
        case VIR_TYPED_PARAM_INT: value = json_integer(p->value.i); break;
        case VIR_TYPED_PARAM_UINT: value = json_integer(p->value.ui); break;
        case VIR_TYPED_PARAM_LLONG: value = json_integer(p->value.l); break;
        case VIR_TYPED_PARAM_ULLONG: // too large for JSON's integers ("unlimited"): a real number
            value = p->value.ul > INT64_MAX ? json_real((double)p->value.ul)
                                            : json_integer((json_int_t)p->value.ul);
            break;
        case VIR_TYPED_PARAM_DOUBLE: value = json_real(p->value.d); break;
        case VIR_TYPED_PARAM_BOOLEAN: value = json_boolean(p->value.b); break;
        case VIR_TYPED_PARAM_STRING: value = json_text(p->value.s ? p->value.s : ""); break;
        default: continue;
        }
        json_object_set_new(object, p->field, value);
    }
}

static json_t *identity(virDomainPtr domain)
{
    char uuid[VIR_UUID_STRING_BUFLEN] = "";
    unsigned int id = virDomainGetID(domain);
    virDomainGetUUIDString(domain, uuid);
    json_t *object = json_pack("{s:s}", "uuid", uuid);
    json_object_set_new(object, "name", json_text(virDomainGetName(domain)));
    json_object_set_new(object, "id", id == (unsigned int)-1 ? json_null() : json_integer(id));
    return object;
}

static void set_state(json_t *object, int state, int reason)
{
    json_object_set_new(object, "state", json_string(WORD(states, state)));
    json_object_set_new(object, "reason", json_string(reason_word(state, reason)));
}

static void set_sizes(json_t *object, json_int_t memory_kib, json_int_t max_memory_kib, json_int_t vcpus)
{
    json_object_set_new(object, "memory", json_integer(memory_kib * 1024));
    json_object_set_new(object, "max_memory", json_integer(max_memory_kib * 1024));
    json_object_set_new(object, "vcpus", json_integer(vcpus));
}

// The job that runs (or, completed, ran last) as an object of libvirt's parameters, with type and operation
// as words.
static json_t *job_of(virDomainPtr domain, unsigned int flags)
{
    int type = 0, count = 0;
    virTypedParameterPtr params = NULL;
    if (virDomainGetJobStats(domain, &type, &params, &count, flags) < 0)
        return NULL;
    json_t *job = json_object();
    params_to_json(params, count, job);
    virTypedParamsFree(params, count);
    const json_t *operation = json_object_get(job, VIR_DOMAIN_JOB_OPERATION);
    if (operation)
        json_object_set_new(job, "operation",
                            json_string(WORD(job_operations, (int)json_integer_value(operation))));
    json_object_set_new(job, "type", json_string(WORD(job_types, type)));
    return job;
}

// By uuid or name among all, as libvirtd would log a lookup that finds nothing as an error of its own.
static virDomainPtr find_domain(virConnectPtr connection, struct call *call)
{
    virDomainPtr *all = NULL, found = NULL;
    int count = virConnectListAllDomains(connection, &all, 0);
    if (count < 0) {
        call_fail(call);
        return NULL;
    }
    for (int i = 0; i < count; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN] = "";
        virDomainGetUUIDString(all[i], uuid);
        if (!found &&
            (strcasecmp(uuid, call->args[0]) == 0 || STREQ(virDomainGetName(all[i]), call->args[0])))
            found = all[i];
        else
            virDomainFree(all[i]);
    }
    free(all);
    if (!found)
        error_set(&call->error, ERR_LIBVIRT, VIR_ERR_NO_DOMAIN, "there is no domain '%s' on %s",
                  call->args[0], call->host);
    return found;
}

// The names of a domain's checkpoints; NULL: none can be asked for.
static json_t *checkpoints_of(virDomainPtr domain)
{
    virDomainCheckpointPtr *list = NULL;
    int count = virDomainListAllCheckpoints(domain, &list, 0);
    json_t *names = count < 0 ? NULL : json_array();
    for (int i = 0; i < count; i++) {
        json_array_append_new(names, json_text(virDomainCheckpointGetName(list[i])));
        virDomainCheckpointFree(list[i]);
    }
    free(list);
    return names;
}

static int run_domain(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = find_domain(connection, call);
    int state, reason, autostart = 0, persistent, updated, snapshots, managed_save;
    virDomainInfo info;
    if (!domain)
        return -1;
    if (virDomainGetState(domain, &state, &reason, 0) < 0 || virDomainGetInfo(domain, &info) < 0 ||
        (persistent = virDomainIsPersistent(domain)) < 0 || (updated = virDomainIsUpdated(domain)) < 0)
        return call_fail(call);
    if (persistent && virDomainGetAutostart(domain, &autostart) < 0)
        return call_fail(call);
    json_t *object = call->json = identity(domain);
    set_state(object, state, reason);
    set_sizes(object, (json_int_t)info.memory, (json_int_t)info.maxMem, info.nrVirtCpu);
    json_object_set_new(object, "persistent", json_boolean(persistent));
    json_object_set_new(object, "autostart", json_boolean(autostart));
    json_object_set_new(object, "updated", json_boolean(updated));
    // Not every driver has these.
    if ((snapshots = virDomainSnapshotNum(domain, 0)) >= 0)
        json_object_set_new(object, "snapshots", json_integer(snapshots));
    json_t *checkpoints = checkpoints_of(domain);
    if (checkpoints)
        json_object_set_new(object, "checkpoints", checkpoints);
    if ((managed_save = virDomainHasManagedSaveImage(domain, 0)) >= 0)
        json_object_set_new(object, "managed_save", json_boolean(managed_save));
    auto_free char *os_type = virDomainGetOSType(domain);
    if (os_type)
        json_object_set_new(object, "os_type", json_text(os_type));
    auto_json json_t *job = virDomainIsActive(domain) == 1 ? job_of(domain, 0) : NULL;
    if (job && !STREQ(json_str(job, "type", "none"), "none"))
        json_object_set_new(object, "job",
                            json_pack("{s:s, s:s}", "type", json_str(job, "type", "unknown"), "operation",
                                      json_str(job, "operation", "unknown")));
    else
        json_object_set_new(object, "job", json_string("none"));
    return 0;
}

int virt_domain(struct virt *virt, const char *name_or_uuid, json_t **domain, struct error *err)
{
    struct call *call = call_new(run_domain, true, "look at domain '%s'", name_or_uuid);
    call->args[0] = xstrdup(name_or_uuid);
    return virt_ask(virt, call, 0, domain, NULL, err);
}

static int run_domain_xml(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    call->text = domain ? virDomainGetXMLDesc(domain, call->flags) : NULL;
    return call->text ? 0 : call_fail(call);
}

int virt_domain_xml(struct virt *virt, const char *uuid, unsigned int flags, char **xml, struct error *err)
{
    struct call *call = call_new(run_domain_xml, true, "read the XML of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    call->flags = flags;
    return virt_ask(virt, call, 0, NULL, xml, err);
}

static int run_job(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    call->json = domain ? job_of(domain, call->flags) : NULL;
    return call->json ? 0 : call_fail(call);
}

int virt_job(struct virt *virt, const char *uuid, bool completed, json_t **job, struct error *err)
{
    struct call *call = call_new(run_job, true, "ask for the %sjob of domain '%s'", completed ? "last " : "",
                                 uuid);
    call->args[0] = xstrdup(uuid);
    call->flags = completed ? VIR_DOMAIN_JOB_STATS_COMPLETED | VIR_DOMAIN_JOB_STATS_KEEP_COMPLETED : 0;
    return virt_ask(virt, call, 0, job, NULL, err);
}

// Statistics of one domain into a flat object.
static int stats_of(virDomainPtr domain, unsigned int stats, json_t *values)
{
    virDomainPtr domains[] = {domain, NULL};
    virDomainStatsRecordPtr *records = NULL;
    int count = virDomainListGetStats(domains, stats, &records, 0);
    if (count > 0)
        params_to_json(records[0]->params, records[0]->nparams, values);
    virDomainStatsRecordListFree(records);
    return count < 0 ? -1 : 0;
}

static int run_stats(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    call->json = json_object();
    return domain && stats_of(domain, call->flags, call->json) == 0 ? 0 : call_fail(call);
}

int virt_stats(struct virt *virt, const char *uuid, unsigned int stats, json_t **values, struct error *err)
{
    struct call *call = call_new(run_stats, true, "read statistics of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    call->flags = stats;
    return virt_ask(virt, call, 0, values, NULL, err);
}

// ---- block devices ----

// Sets key to the value of an XPath below disk number i, unless it is empty.
static void set_disk_value(json_t *object, const char *key, const struct xml *doc, size_t i,
                           const char *xpath)
{
    auto_free char *whole = xasprintf("devices/disk[%zu]/%s", i, xpath), *value = NULL;
    if (xml_value(doc, whole, &value, NULL) == 0 && value && *value)
        json_object_set_new(object, key, json_text(value));
}

static bool disk_has(const struct xml *doc, size_t i, const char *element)
{
    auto_free char *xpath = xasprintf("devices/disk[%zu]/%s", i, element), *value = NULL;
    return xml_value(doc, xpath, &value, NULL) == 0 && value;
}

// Copies capacity, allocation and physical of the device that the statistics call by this target.
static void set_disk_sizes(json_t *object, const json_t *stats, const char *target)
{
    static const char *const keys[] = {"capacity", "allocation", "physical"};
    json_int_t count = json_int(stats, "block.count", 0);
    for (json_int_t n = 0; n < count; n++) {
        auto_free char *name = xasprintf("block.%lld.name", (long long)n);
        if (!STREQ(json_str(stats, name, ""), target))
            continue;
        for (size_t k = 0; k < COUNT_OF(keys); k++) {
            auto_free char *key = xasprintf("block.%lld.%s", (long long)n, keys[k]);
            json_t *value = json_object_get(stats, key);
            if (value)
                json_object_set(object, keys[k], value);
        }
        return;
    }
}

static int run_blocks(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    auto_free char *text = domain ? virDomainGetXMLDesc(domain, 0) : NULL;
    if (!text)
        return call_fail(call);
    struct xml *doc;
    char **targets;
    size_t count;
    if (xml_parse(text, strlen(text), &doc, &call->error) < 0)
        return -1;
    if (xml_values(doc, "devices/disk/target/@dev", &targets, &count, &call->error) < 0) {
        xml_free(doc);
        return -1;
    }
    auto_json json_t *stats = json_object();
    if (count)
        stats_of(domain, VIR_DOMAIN_STATS_BLOCK, stats); // sizes are left out where the driver has none
    bool active = virDomainIsActive(domain) == 1;
    call->json = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *disk = json_pack("{s:s, s:b, s:b}", "target", targets[i], "readonly",
                                 disk_has(doc, i + 1, "readonly"), "shareable",
                                 disk_has(doc, i + 1, "shareable"));
        set_disk_value(disk, "type", doc, i + 1, "@type");
        set_disk_value(disk, "device", doc, i + 1, "@device");
        set_disk_value(disk, "format", doc, i + 1, "driver/@type");
        set_disk_value(disk, "cache", doc, i + 1, "driver/@cache");
        set_disk_value(
            disk, "source", doc, i + 1,
            "source/@*[name()='file' or name()='dev' or name()='name' or name()='dir' or name()='volume']");
        set_disk_sizes(disk, stats, targets[i]);
        virDomainBlockJobInfo info;
        if (active && virDomainGetBlockJobInfo(domain, targets[i], &info, 0) == 1)
            json_object_set_new(disk, "job",
                                json_pack("{s:s, s:I, s:I}", "type", WORD(block_job_types, info.type), "cur",
                                          (json_int_t)info.cur, "end", (json_int_t)info.end));
        else
            json_object_set_new(disk, "job", json_string("none"));
        json_array_append_new(call->json, disk);
    }
    strv_free(targets);
    xml_free(doc);
    return 0;
}

static int run_disk_errors(virConnectPtr connection, struct call *call)
{
    virDomainDiskError errors[64] = {0};
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    int count = domain ? virDomainGetDiskErrors(domain, errors, COUNT_OF(errors), 0) : -1;
    if (count < 0)
        return call_fail(call);
    call->json = json_object();
    for (int i = 0; i < count; i++) {
        json_object_set_new(
            call->json, errors[i].disk,
            json_string(errors[i].error == VIR_DOMAIN_DISK_ERROR_NO_SPACE ? "no space" : "I/O error"));
        free(errors[i].disk);
    }
    return 0;
}

int virt_disk_errors(struct virt *virt, const char *uuid, json_t **errors, struct error *err)
{
    struct call *call = call_new(run_disk_errors, true, "ask for the disk errors of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    return virt_ask(virt, call, 0, errors, NULL, err);
}

int virt_blocks(struct virt *virt, const char *uuid, json_t **blocks, struct error *err)
{
    struct call *call = call_new(run_blocks, true, "look at the block devices of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    return virt_ask(virt, call, 0, blocks, NULL, err);
}

// ---- volumes ----

// The first value, or nothing, added to a text after a blank.
static void add_value(struct buf *text, const struct xml *doc, const char *xpath)
{
    auto_free char *value = NULL;
    if (xml_value(doc, xpath, &value, NULL) == 0 && value && *value)
        buf_printf(text, "%s%s", text->len ? " " : "", value);
}

// Where a pool has its volumes from: "rbd store-1 vms", "netfs store:/volumes", or a folder of the host's
// ("dir").
static char *pool_source(virStoragePoolPtr pool)
{
    static const char *const places[] = {"@type", "source/host/@name", "source/dir/@path",
                                         "source/device/@path", "source/name"};
    auto_free char *text = virStoragePoolGetXMLDesc(pool, 0);
    struct buf source = {0};
    struct xml *doc;
    if (!text || xml_parse(text, strlen(text), &doc, NULL) < 0)
        return xstrdup("");
    for (size_t i = 0; i < COUNT_OF(places); i++)
        add_value(&source, doc, places[i]);
    xml_free(doc);
    return buf_take(&source);
}

static int run_volume(virConnectPtr connection, struct call *call)
{
    virStoragePoolPtr pool = virStoragePoolLookupByName(connection, call->args[0]);
    virStorageVolPtr volume = pool ? virStorageVolLookupByName(pool, call->args[1]) : NULL;
    auto_free char *path = volume ? virStorageVolGetPath(volume) : NULL,
                   *source = pool && path ? pool_source(pool) : NULL;
    int rc = path ? 0 : call_fail(call);
    if (path)
        call->json = json_pack("{s:o, s:o, s:o}", "path", json_text(path), "key",
                               json_text(virStorageVolGetKey(volume)), "source", json_text(source));
    if (volume)
        virStorageVolFree(volume);
    if (pool)
        virStoragePoolFree(pool);
    return rc;
}

int virt_volume(struct virt *virt, const char *pool, const char *name, json_t **volume, struct error *err)
{
    struct call *call = call_new(run_volume, true, "look at volume '%s' of pool '%s'", name, pool);
    call->args[0] = xstrdup(pool);
    call->args[1] = xstrdup(name);
    return virt_ask(virt, call, 0, volume, NULL, err);
}

// ---- hosts ----

static json_t *memory_of(virConnectPtr connection)
{
    virNodeMemoryStats stats[16];
    int count = 0;
    // libvirt wants to be asked for exactly as many as it has.
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, NULL, &count, 0) < 0)
        return NULL;
    if (count > (int)COUNT_OF(stats))
        count = COUNT_OF(stats);
    if (virNodeGetMemoryStats(connection, VIR_NODE_MEMORY_STATS_ALL_CELLS, stats, &count, 0) < 0)
        return NULL;
    json_t *memory = json_object();
    for (int i = 0; i < count; i++)
        json_object_set_new(memory, stats[i].field, json_integer((json_int_t)stats[i].value * 1024));
    return memory;
}

static int run_node_memory(virConnectPtr connection, struct call *call)
{
    call->json = memory_of(connection);
    return call->json ? 0 : call_fail(call);
}

int virt_node_memory(struct virt *virt, json_t **memory, struct error *err)
{
    return virt_ask(virt, call_new(run_node_memory, true, "ask for the memory"), 0, memory, NULL, err);
}

static int run_capabilities(virConnectPtr connection, struct call *call)
{
    call->text = virConnectGetCapabilities(connection);
    return call->text ? 0 : call_fail(call);
}

int virt_capabilities(struct virt *virt, char **xml, struct error *err)
{
    return virt_ask(virt, call_new(run_capabilities, true, "read the capabilities"), 0, NULL, xml, err);
}

// Not by the statistics of all, which ask the guests' monitors: one that is silent would hold up this host's
// facts.
static json_t *domains_of(virConnectPtr connection)
{
    virDomainPtr *list = NULL;
    int count = virConnectListAllDomains(connection, &list, 0);
    if (count < 0)
        return NULL;
    json_t *domains = json_array();
    for (int i = 0; i < count; i++) {
        int state, reason;
        virDomainInfo info;
        if (virDomainGetState(list[i], &state, &reason, 0) == 0 && virDomainGetInfo(list[i], &info) == 0) {
            json_t *domain = identity(list[i]);
            set_state(domain, state, reason);
            set_sizes(domain, (json_int_t)info.memory, (json_int_t)info.maxMem, info.nrVirtCpu);
            json_array_append_new(domains, domain);
        } // else it went away meanwhile
        virDomainFree(list[i]);
    }
    free(list);
    return domains;
}

// Sets key to whether libvirt lists a domain under the filter.
static int mark_domains(virConnectPtr connection, json_t *domains, const char *key, unsigned int filter)
{
    virDomainPtr *list = NULL;
    int count = virConnectListAllDomains(connection, &list, filter);
    if (count < 0)
        return -1;
    auto_json json_t *marked = json_object();
    for (int i = 0; i < count; i++) {
        char uuid[VIR_UUID_STRING_BUFLEN];
        if (virDomainGetUUIDString(list[i], uuid) == 0)
            json_object_set_new(marked, uuid, json_true());
        virDomainFree(list[i]);
    }
    free(list);
    size_t i;
    json_t *domain;
    json_array_foreach(domains, i, domain)
        json_object_set_new(domain, key, json_boolean(json_object_get(marked, json_str(domain, "uuid", ""))));
    return 0;
}

int virt_gather_facts(virConnectPtr connection, struct call *call)
{
    unsigned long libvirt = 0, hypervisor = 0;
    virNodeInfo info;
    auto_free char *uri = virConnectGetURI(connection), *hostname = virConnectGetHostname(connection);
    if (!uri || !hostname || virConnectGetLibVersion(connection, &libvirt) < 0 ||
        virNodeGetInfo(connection, &info) < 0)
        return call_fail(call);
    call->json = json_object();
    json_object_set_new(call->json, "uri", json_text(uri));
    json_object_set_new(call->json, "hostname", json_text(hostname));
    json_object_set_new(call->json, "libvirt", version_text(libvirt));
    if (virConnectGetVersion(connection, &hypervisor) == 0 && hypervisor)
        json_object_set_new(call->json, "hypervisor", version_text(hypervisor));
    json_object_set_new(call->json, "cpus", json_integer(info.cpus));
    json_object_set_new(call->json, "arch", json_text(info.model));
    json_t *memory = memory_of(connection);
    if (!memory)
        return call_fail(call);
    json_object_set_new(call->json, "memory", memory);

    auto_free char *capabilities = virConnectGetCapabilities(connection), *model = NULL;
    struct xml *doc;
    if (!capabilities)
        return call_fail(call);
    if (xml_parse(capabilities, strlen(capabilities), &doc, &call->error) < 0)
        return -1;
    xml_value(doc, "host/cpu/model", &model, NULL);
    xml_free(doc);
    if (model)
        json_object_set_new(call->json, "cpu_model", json_text(model));

    json_t *domains = domains_of(connection);
    if (!domains)
        return call_fail(call);
    json_object_set_new(call->json, "domains", domains);
    if (json_array_size(domains) &&
        (mark_domains(connection, domains, "persistent", VIR_CONNECT_LIST_DOMAINS_PERSISTENT) < 0 ||
         mark_domains(connection, domains, "autostart", VIR_CONNECT_LIST_DOMAINS_AUTOSTART) < 0))
        return call_fail(call);
    return 0;
}

// ---- small changes ----

static int run_set_autostart(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    return domain && virDomainSetAutostart(domain, (int)call->flags) == 0 ? 0 : call_fail(call);
}

int virt_set_autostart(struct virt *virt, const char *uuid, bool on, struct error *err)
{
    struct call *call = call_new(run_set_autostart, false, "switch the autostart of domain '%s' %s", uuid,
                                 on ? "on" : "off");
    call->args[0] = xstrdup(uuid);
    call->flags = on;
    return virt_ask(virt, call, 0, NULL, NULL, err);
}
