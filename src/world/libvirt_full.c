// SPDX-License-Identifier: MIT
// The reads that libvirt refuses on a read-only connection, and nothing else: a preview makes them on a
// second connection, so this file is the whole list of what that one is used for.
#include "world/libvirt_internal.h"

#include <libvirt/virterror.h>
#include <stdlib.h>
#include <string.h>

// The arguments that say which virtual machine is meant: emulator, arch, machine, virttype (each may be
// NULL).
static void set_machine(struct call *call, const char *emulator, const char *arch, const char *machine,
                        const char *virttype)
{
    const char *const args[] = {emulator, arch, machine, virttype};
    for (size_t i = 0; i < COUNT_OF(args); i++)
        call->args[i] = args[i] ? xstrdup(args[i]) : NULL;
}

static int compare(virConnectPtr connection, const struct call *call, unsigned int flags)
{
    return virConnectCompareHypervisorCPU(connection, call->args[0], call->args[1], call->args[2],
                                          call->args[3], call->args[4], flags);
}

static int run_compare_cpu(virConnectPtr connection, struct call *call)
{
    static const char *const results[] = {
        [VIR_CPU_COMPARE_INCOMPATIBLE] = "incompatible",
        [VIR_CPU_COMPARE_IDENTICAL] = "identical",
        [VIR_CPU_COMPARE_SUPERSET] = "superset",
    };
    int result = compare(connection, call, 0);
    if (result < VIR_CPU_COMPARE_ERROR || result >= (int)COUNT_OF(results))
        result = VIR_CPU_COMPARE_ERROR;
    // Asked to fail, libvirt names the features that are missing.
    if (result == VIR_CPU_COMPARE_INCOMPATIBLE)
        compare(connection, call, VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE);
    bool has_message = result == VIR_CPU_COMPARE_INCOMPATIBLE || result == VIR_CPU_COMPARE_ERROR;
    auto_free char *message = xstrdup(has_message ? virGetLastErrorMessage()
                                                  : ""); // the next call resets libvirt's
    if (result == VIR_CPU_COMPARE_ERROR && virConnectIsAlive(connection) == 0)
        return error_set(&call->error, ERR_LIBVIRT, VIR_ERR_NO_CONNECT, "cannot %s on %s: %s", call->what,
                         call->host, message);
    call->json = json_pack("{s:s}", "result", result == VIR_CPU_COMPARE_ERROR ? "error" : results[result]);
    json_object_set_new(call->json, "message", json_text(message));
    return 0;
}

int virt_compare_cpu(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                     const char *virttype, const char *cpu_xml, json_t **answer, struct error *err)
{
    *answer = NULL;
    struct virt *full = virt_full(virt, err);
    if (!full)
        return -1;
    struct call *call = call_new(run_compare_cpu, true, "compare a guest's CPU");
    set_machine(call, emulator, arch, machine, virttype);
    call->args[4] = xstrdup(cpu_xml);
    return virt_ask(full, call, 0, answer, NULL, err);
}

static int run_baseline_cpu(virConnectPtr connection, struct call *call)
{
    auto_json json_t *cpus = json_loads(call->args[4], 0, NULL);
    size_t i, count = json_array_size(cpus);
    json_t *cpu;
    auto_free const char **texts = xcalloc(count + 1, sizeof *texts);
    json_array_foreach(cpus, i, cpu)
        texts[i] = json_string_value(cpu);
    call->text = virConnectBaselineHypervisorCPU(connection, NULL, call->args[1], NULL, call->args[3], texts,
                                                 (unsigned int)count, VIR_CONNECT_BASELINE_CPU_MIGRATABLE);
    return call->text ? 0 : call_fail(call);
}

int virt_baseline_cpu(struct virt *virt, const json_t *cpus, const char *arch, const char *virttype,
                      char **xml, struct error *err)
{
    *xml = NULL;
    struct virt *full = virt_full(virt, err);
    if (!full)
        return -1;
    struct call *call = call_new(run_baseline_cpu, true, "find a CPU that all hosts have");
    set_machine(call, NULL, arch, NULL, virttype);
    call->args[4] = json_dumps(cpus, JSON_COMPACT);
    return virt_ask(full, call, 0, NULL, xml, err);
}

static int run_domain_capabilities(virConnectPtr connection, struct call *call)
{
    call->text = virConnectGetDomainCapabilities(connection, call->args[0], call->args[1], call->args[2],
                                                 call->args[3], 0);
    return call->text ? 0 : call_fail(call);
}

int virt_domain_capabilities(struct virt *virt, const char *emulator, const char *arch, const char *machine,
                             const char *virttype, char **xml, struct error *err)
{
    *xml = NULL;
    struct virt *full = virt_full(virt, err);
    if (!full)
        return -1;
    struct call *call = call_new(run_domain_capabilities, true, "read the domain capabilities");
    set_machine(call, emulator, arch, machine, virttype);
    return virt_ask(full, call, 0, NULL, xml, err);
}

static int run_migratable_xml(virConnectPtr connection, struct call *call)
{
    auto_domain virDomainPtr domain = virt_lookup(connection, call->args[0]);
    // SECURE: without its passwords the guest would arrive with a VNC server that asks for none.
    call->text = domain ? virDomainGetXMLDesc(domain,
                                              VIR_DOMAIN_XML_MIGRATABLE | VIR_DOMAIN_XML_SECURE | call->flags)
                        : NULL;
    return call->text ? 0 : call_fail(call);
}

int virt_migratable_xml(struct virt *virt, const char *uuid, bool inactive, char **xml, struct error *err)
{
    *xml = NULL;
    struct virt *full = virt_full(virt, err);
    if (!full)
        return -1;
    struct call *call = call_new(run_migratable_xml, true, "read the migratable XML of domain '%s'", uuid);
    call->args[0] = xstrdup(uuid);
    call->flags = inactive ? VIR_DOMAIN_XML_INACTIVE : 0;
    return virt_ask(full, call, 0, NULL, xml, err);
}
