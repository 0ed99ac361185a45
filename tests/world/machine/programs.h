// SPDX-License-Identifier: MIT
// The program of a machine of the fake world: the agent that ships, with its steps counted, and what stands
// in for other programs of its host, by the name that it is started as.
#ifndef MIGRUN_TESTS_PROGRAMS_H
#define MIGRUN_TESTS_PROGRAMS_H

#include "../machine.h"

#include <stdbool.h>

int agent_main(int argc, char **argv); // src/world/agent/main.c
int systemctl_main(int argc, char **argv);
int virsh_main(int argc, char **argv);
int nft_main(int argc, char **argv);
int ssh_keygen_main(int argc, char **argv);

// Steps of a guard are no points: it works beside migrun, and is there because of a fault.
void steps_are_no_points(void);
// Counts a step. true: it is made; false, with errno: it fails. Who dies at it does not come back: the agent
// (parent: the process that started this one is it).
bool step(bool parent, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
