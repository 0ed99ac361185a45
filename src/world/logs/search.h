// SPDX-License-Identifier: MIT
// The lines of a host's logs that matter: of files, rotated and compressed ones too, and of the journal. A
// large file is searched by its times, and no line is held that was not asked for.
#ifndef MIGRUN_WORLD_LOGS_SEARCH_H
#define MIGRUN_WORLD_LOGS_SEARCH_H

#include "base/error.h"
#include "base/json.h"

// Where it looks, and what stops it.
struct search_way {
    const char *root; // what "/" is: "" on a host, else a folder that holds a host's files
    int client_fd;    // -1, or a descriptor: when something is there to read, the search ends early
};
// query: {sets: [{name, paths: [pattern of fnmatch(3)], words: [text], without: [text], all: bool}], folders:
//   [path], journal (its lines are of the set of that name): true, or [program: only theirs], needles:
//   [text], since, until (epoch, by the host's clock; null: no bound), zone (seconds east of UTC of lines
//   that do not say; null: this machine's local time), last: bool, most: n, timeout (ms), prefix (with which
//   the files' names begin)}
//
// A file below the folders belongs to the first set with a pattern that fits its path below root. Its lines
// are taken from since to until, those that hold a needle or one of its set's words (a line with one of
// without's texts needs a word); of a set with all: every one. Of more than most the first are kept, or
// (last) the latest. Lines are cut at SEARCH_LINE_MOST bytes.
//
// result: {lines: [{file (index), time (null: not known), line (null: not counted), at (its offset), text}],
//   files: [{path (below root), as (without the prefix), set, error}], left (lines that were not kept), clock
//   (this machine's)}. Sorted by file and place.
enum { SEARCH_LINE_MOST = 2000, SEARCH_MOST = 2000, SEARCH_BYTES_MOST = 1 << 20 };
int search_logs(const struct search_way *way, const json_t *query, json_t **result, struct error *err);
// Lines' numbers by their offsets: {path, at: [offset, ascending]} → {lines: [n]}; shorter where counting
// them would take longer than timeout (ms).
int search_count(const struct search_way *way, const json_t *query, json_t **result, struct error *err);

#endif
