// SPDX-License-Identifier: MIT
// The fault sweep's scenarios: a policy in a world, and how its migration ends.
#ifndef MIGRUN_TESTS_SCENARIOS_H
#define MIGRUN_TESTS_SCENARIOS_H

#include "world.h"

struct scenario {
    const char *policy, *outcome, *world;
    void (*vary)(json_t *w);
    int status; // without a fault
    bool preview;
    bool stays;         // the policy takes no destination
    bool hosts;         // the policy takes both hosts, and no instance
    const char *params; // its parameters, as JSON
    bool cloud;         // the guest is Nova's
    bool steps;         // faults at its agents' steps are among the main ones
    const char *dest;   // NULL: compute-2
    const char *cut;    // the run is killed after this point, and its recovery is swept
    bool elsewhere;     // what is killed is recovered by another controller, from what the hosts keep
    bool undoes;        // the run has ended, and its undo is swept
    const char *says;   // what it tells without a fault
    const char *unsaid; // what it does not
};
extern const struct scenario scenarios[]; // ends with a NULL policy

char *scenario_name(const struct scenario *s);          // caller frees
const struct scenario *find_scenario(const char *name); // NULL: there is none
// The world that it begins with; outcome: how a migration ends there.
json_t *scenario_world(const struct scenario *s, const char *outcome);

#endif
