// SPDX-License-Identifier: MIT
// Changes to the guest's own record in libvirt.
#include "run/change.h"
#include "run/gate.h"

static int describe_autostart(const struct effect *e, char **summary, char **detail, struct error *err)
{
    (void)err;
    static const char *const words[] = {"off", "on"};
    *summary = xasprintf("autostart %s → %s", words[json_flag(effect_before(e), "autostart", false)],
                         words[json_flag(effect_after(e), "autostart", false)]);
    *detail = NULL;
    return 0;
}

static int autostarts(const struct effect *e, bool *on, struct error *err)
{
    auto_json json_t *domain = NULL;
    if (!e->host->virt)
        return error_set(err, ERR_LIBVIRT, 0, "libvirtd on %s does not answer", run_host_name(e->host));
    if (virt_domain(e->host->virt, json_str(e->data, "uuid", ""), &domain, err) < 0)
        return -1;
    *on = json_flag(domain, "autostart", false);
    return 0;
}

static int observe_autostart(struct effect *e, enum observed *seen, struct error *err)
{
    bool on;
    if (autostarts(e, &on, err) < 0)
        return -1;
    *seen = on == json_flag(effect_after(e), "autostart", false) ? SEEN_AFTER : SEEN_BEFORE;
    return 0;
}

static int set_autostart(const struct effect *e, const json_t *state, struct error *err)
{
    if (!e->host->virt)
        return error_set(err, ERR_LIBVIRT, 0, "libvirtd on %s does not answer", run_host_name(e->host));
    return virt_set_autostart(e->host->virt, json_str(e->data, "uuid", ""),
                              json_flag(state, "autostart", false), err);
}

static enum made apply_autostart(struct effect *e, struct error *err)
{
    return made_of(set_autostart(e, effect_after(e), err), err);
}

static int undo_autostart(struct effect *e, struct error *err)
{
    return set_autostart(e, effect_before(e), err);
}

const struct effect_kind effect_autostart = {
    .name = "libvirt.autostart",
    .describe = describe_autostart,
    .observe = observe_autostart,
    .apply = apply_autostart,
    .undo = undo_autostart,
};

int change_autostart(struct run_host *h, bool on, struct error *err)
{
    struct run *run = h->run;
    const char *name = json_str(run->instance, "name", "");
    auto_free char *what = xasprintf("switching the autostart of %s on %s %s", name, run_host_name(h),
                                     on ? "on" : "off");
    if (gate_open(run, what, err) < 0)
        return -1;
    struct effect *e = effect_new(OF_autostart, h, name, json_pack("{s:b}", "autostart", !on),
                                  json_pack("{s:b}", "autostart", on));
    json_object_set(e->data, "uuid", json_object_get(run->instance, "uuid"));
    bool is = !on;
    // A guest that a preview only would have moved is not there yet.
    if (!run->options->preview && autostarts(e, &is, NULL) == 0 && is == on) {
        effect_free(e);
        return 0;
    }
    return gate_pass(e, NULL, err);
}
