// SPDX-License-Identifier: MIT
// What guests announce on this host's network, and whether they answer: watched beside other requests,
// between two of migrun's.
#ifndef MIGRUN_WORLD_AGENT_WATCH_H
#define MIGRUN_WORLD_AGENT_WATCH_H

#include "world/agent/ops.h"

enum announcement_kind { ANNOUNCE_RARP, ANNOUNCE_GARP, ANNOUNCE_ARP };
// A frame that teaches the network where its sender is. vlan 0: no tag; address: of an ARP, else all 0.
struct announcement {
    enum announcement_kind kind;
    unsigned char mac[6], address[4];
    unsigned short vlan;
};
// Takes an Ethernet frame apart, as it came from anybody, and maybe cut off. false: it is none of these.
bool announcement_parse(const unsigned char *frame, size_t len, struct announcement *a);
// "52:54:00:12:34:56" into its bytes. -1: it is none.
int mac_parse(const char *text, unsigned char mac[6]);

// Takes what has been heard from the kernel, which keeps some 2000 frames. Called every few seconds, as a
// migration may take hours.
void watch_take(struct agent *agent);
void watch_leave(struct agent *agent); // ends what is watched
void pulse_leave(struct agent *agent); // ends what is asked

#endif
