// SPDX-License-Identifier: MIT
// Questions about logs, asked of several hosts side by side: of their agents, or of folders that hold copies
// of their files.
#ifndef MIGRUN_RUN_INQUIRY_H
#define MIGRUN_RUN_INQUIRY_H

#include "run/run.h"

struct inquiry;

// Connects to hosts (an array of names), to read only. A host that cannot be reached is answered for by its
// error.
int inquiry_of_hosts(const struct site *site, const json_t *hosts, struct inquiry **inquiry,
                     struct error *err);
// A folder with one folder for each host (of a name, or a sosreport), or with the files of one.
// ERR_USAGE: it is no such folder.
int inquiry_of_folder(const char *path, struct inquiry **inquiry, struct error *err);
// The hosts of a run, by its connections; of a migration by Nova the control nodes, too.
int inquiry_of_run(struct run *run, struct inquiry **inquiry, struct error *err);
void inquiry_close(struct inquiry *inquiry);

const json_t *inquiry_hosts(const struct inquiry *inquiry); // their names
// By how many seconds the clock of each host is ahead of this machine's, and what the hosts are like:
// {host: seconds}, {host: facts}. Empty for folders.
const json_t *inquiry_ahead(const struct inquiry *inquiry);
const json_t *inquiry_facts(const struct inquiry *inquiry);
// Where their logs lie: a new array of folders, and the site's own paths, a new object {host: {qemu, …}}.
json_t *inquiry_folders(const struct inquiry *inquiry);
json_t *inquiry_places(const struct inquiry *inquiry);
// question: {queries: {host: query}} (world/logs/search.h). answers: {host: what it
// found, or {error}}. -1: it was interrupted.
int inquiry_ask(struct inquiry *inquiry, const json_t *question, json_t **answers, struct error *err);
// The numbers of lines of a file of a host, by their places; NULL: not known.
json_t *inquiry_count(struct inquiry *inquiry, const char *host, const char *path, json_t *places);

#endif
