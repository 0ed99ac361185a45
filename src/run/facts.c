// SPDX-License-Identifier: MIT
// The facts of a run's hosts: gathered once, side by side.
#include "run/facts.h"

#include "base/clock.h"
#include "base/xml.h"
#include "run/hosts.h"

#include <string.h>

enum { LIBVIRT_MS = 20000 };

static json_t *facts_request(const struct run_host *h)
{
    const json_t *settings = host_spec(h->agent)->settings;
    json_t *units = json_array();
    const char *name;
    json_t *service;
    json_object_foreach(json_object_get(settings, "services"), name, service) {
        const char *unit = json_is_string(service) ? json_string_value(service)
                                                   : json_str(service, "unit", NULL);
        if (unit)
            json_array_append_new(units, json_string(unit));
    }
    const json_t *libvirt = json_object_get(settings, "libvirt");
    return json_pack("{s:s, s:s, s:o, s:b}", "instances", json_str(settings, "instances", ""), "config",
                     json_str(libvirt, "config", ""), "units", units, "tls",
                     strstr(json_str(libvirt, "uri", ""), "+tls:") != NULL);
}

int facts_ask(struct run_host *h, struct error *err)
{
    h->asked = wall_time();
    return host_send(h->agent, "facts", facts_request(h), NULL, 0, err);
}

// The agent's. Its clock told its time somewhere between two times of ours.
int facts_take(struct run_host *h, struct error *err)
{
    auto_message struct message answer = {0};
    if (h->facts)
        return 0;
    if (host_receive(h->agent, 0, &answer, err) < 0)
        return -1;
    h->facts = json_incref(json_object_get(answer.head, "result"));
    json_object_set_new(h->facts, "clock",
                        json_pack("{s:f, s:f}", "asked", h->asked, "answered", wall_time()));
    return 0;
}

// Whatever of the guest's files and devices QEMU would open on the other host too.
static json_t *guest_paths(const struct run *run)
{
    static const char everything[] = "devices/disk//source/@file | devices/disk//source/@dev | "
                                     "devices/disk/source/@dir | os/kernel | os/initrd | "
                                     "os/dtb | os/loader | os/nvram | os/nvram/source/@file";
    json_t *paths = json_array();
    struct xml *doc = NULL;
    char **values = NULL;
    size_t count = 0;
    if (run->instance_xml && xml_parse(run->instance_xml, strlen(run->instance_xml), &doc, NULL) == 0)
        xml_values(doc, everything, &values, &count, NULL);
    for (size_t i = 0; i < count; i++)
        json_array_append_new(paths, json_text(values[i]));
    strv_free(values);
    xml_free(doc);
    return paths;
}

static int ask_storage(const struct run *run, struct run_host *h, struct error *err)
{
    return host_send(h->agent, "storage", json_pack("{s:o}", "paths", guest_paths(run)), NULL, 0, err);
}

static int take_storage(struct run_host *h, struct error *err)
{
    auto_message struct message answer = {0};
    if (host_receive(h->agent, 0, &answer, err) < 0)
        return -1;
    json_object_set(h->facts, "storage", json_object_get(json_object_get(answer.head, "result"), "paths"));
    return 0;
}

static int take_libvirt_facts(struct run_host *h, struct error *err)
{
    json_t *libvirt = NULL;
    if (h->virt && virt_facts_finish(h->virt, LIBVIRT_MS, &libvirt, err) < 0)
        return -1;
    if (!libvirt)
        libvirt = json_pack("{s:s}", "error", h->libvirt_error ? h->libvirt_error : "not asked");
    json_object_update_missing(libvirt, json_object_get(h->facts, "libvirt"));
    json_object_set_new(h->facts, "libvirt", libvirt);
    return 0;
}

int facts_of_one(struct run_host *h, struct error *err)
{
    return facts_ask(h, err) < 0 || facts_take(h, err) < 0 || ask_storage(h->run, h, err) < 0 ||
                   take_storage(h, err) < 0 || take_libvirt_facts(h, err) < 0
               ? -1
               : 0;
}

int run_gather_facts(struct run *run, struct error *err)
{
    for (size_t i = 0; i < run->n_hosts; i++)
        if (run->hosts[i]->virt && virt_facts_start(run->hosts[i]->virt, err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (facts_take(run->hosts[i], err) < 0 || ask_storage(run, run->hosts[i], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (take_storage(run->hosts[i], err) < 0)
            return -1;
    for (size_t i = 0; i < run->n_hosts; i++)
        if (take_libvirt_facts(run->hosts[i], err) < 0)
            return -1;
    return 0;
}

// One that fails is no spare any more: 0, or -1 when it was interrupted.
static int give_up_spare(struct run *run, size_t i, const struct error *failure, struct error *err)
{
    if (failure->domain == ERR_INTERRUPTED)
        return error_set(err, ERR_INTERRUPTED, 0, "%s", failure->message);
    json_object_set_new(run->away, run_host_name(run->spares[i]), json_text(failure->message));
    run_drop_spare(run, i);
    return 0;
}

int run_gather_spares(struct run *run, struct error *err)
{
    struct error failure;
    for (size_t i = run->n_spares; i-- > 0;)
        if ((run->spares[i]->virt && virt_facts_start(run->spares[i]->virt, &failure) < 0) ||
            facts_take(run->spares[i], &failure) < 0 || ask_storage(run, run->spares[i], &failure) < 0)
            if (give_up_spare(run, i, &failure, err) < 0)
                return -1;
    for (size_t i = run->n_spares; i-- > 0;)
        if (take_storage(run->spares[i], &failure) < 0 || take_libvirt_facts(run->spares[i], &failure) < 0)
            if (give_up_spare(run, i, &failure, err) < 0)
                return -1;
    return 0;
}

// What the host knows of the guest's QEMU: its pid, user, and the files it holds open.
void facts_add_process(struct run *run)
{
    size_t i;
    json_t *guest;
    json_array_foreach(json_object_get(run->source->facts, "guests"), i, guest)
        if (STREQ(json_str(guest, "uuid", ""), json_str(run->instance, "uuid", "-")))
            json_object_update_missing(run->instance, guest);
}
