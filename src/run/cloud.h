// SPDX-License-Identifier: MIT
// A run and its cloud: the instance as Nova has it, the names that Nova has for hosts, and what becomes of a
// live migration there.
#ifndef MIGRUN_RUN_CLOUD_H
#define MIGRUN_RUN_CLOUD_H

#include "run/run.h"
#include "world/openstack/nova.h"

struct effect;

// The run's session; it is made when it is first asked for.
int run_cloud(struct run *run, struct cloud **cloud, struct error *err);
// Finds the instance in Nova, and the host that it is on, whose connection is begun.
int run_find_server(struct run *run, struct error *err);
// The instance as Nova shows it, once it was found: a list tells less of it.
int run_show_server(struct run *run, struct error *err);
// Begins to ask what most checks of a policy ask of Nova and Placement, so that the answers come while hosts
// are waited for; called in between, it goes on where an answer leads to another question.
void run_ask_ahead(struct run *run);
// The id of the instance in Nova: its uuid in libvirt.
const char *run_server_id(const struct run *run);
// The site's name of a host that Nova names; Nova's own where the site has none.
const char *site_name_of(const struct site *site, const char *nova_name);
// A host as Nova names it.
const char *run_nova_name(const struct run_host *h);
// What the operator calls the instance.
const char *run_instance_name(const struct run *run);
// "compute-2", or words for a host that Nova has still to choose.
const char *run_dest_name(const struct run *run);

// The run's live migration as Nova has it now (nova_migrations' entry), by what was the newest before;
// *migration NULL: there is none yet.
int run_nova_migration(struct run *run, json_t **migration, struct error *err);
bool nova_migration_ended(const json_t *migration);
// Whether nobody works any more on a migration that has not ended (NULL: no record of it is there): for some
// seconds nothing has come of it, and Nova says that the source's nova-compute is down, or that the instance
// was deleted. The text says so (caller frees).
bool run_nova_deserted(struct run *run, const json_t *migration, char **text);
// Whether Nova had the instance, and has deleted it.
bool run_nova_deleted(struct run *run);
// A scheduler's choice, once it is known: connects to the host, and makes it the run's destination.
int run_adopt_dest(struct run *run, const char *nova_name, struct error *err);
// Follows the run's migration in Nova to its end, wherever that is. false: Nova cannot be asked, nobody works
// on it there any more, or it was interrupted twice; the text says what (caller frees).
bool run_nova_settled(struct run *run, char **text);

// Whether Nova, Placement and Neutron agree that the instance is at h, and nowhere else. Adds a detail for
// each that does not, and returns how many. runs: its status is to be ACTIVE; else it stands, or was stopped.
size_t verdict_cloud(struct run *run, struct run_host *h, bool runs, json_t *details);
// Begins to ask for that, as run_ask_ahead does. Its answers count if they agree; else they are asked for
// again.
void verdict_cloud_ahead(struct run *run);

#endif
