// SPDX-License-Identifier: MIT
// Changes as people read them: unified diffs, with secrets masked.
#ifndef MIGRUN_BASE_DIFF_H
#define MIGRUN_BASE_DIFF_H

#include "base/error.h"

// Unified diff of two texts (NULL: absent) by the system's diff, secrets masked; empty text when they are the
// same. Where both parse as XML each hunk's header is the element's path ("@@ devices/graphics[1]") instead
// of line numbers. Writes no file (memory descriptors), so that it works in a preview. Caller frees.
int diff_text(const char *before, const char *after, const char *label_before, const char *label_after,
              char **diff, struct error *err);

#endif
