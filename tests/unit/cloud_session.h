// SPDX-License-Identifier: MIT
// The one session that a test has with the fake cloud. Its setup is enter_folder, its teardown leave_cloud.
#ifndef MIGRUN_TESTS_CLOUD_SESSION_H
#define MIGRUN_TESTS_CLOUD_SESSION_H

#include "world/openstack/session.h"

#include "fake_cloud.h"

static struct cloud *cloud;

// The session, and then its cloud: another may begin.
static inline void end_cloud(void)
{
    cloud_close(cloud);
    cloud = NULL;
    fake_cloud_stop();
}

static inline int leave_cloud(void **state)
{
    (void)state;
    end_cloud();
    return leave_folder();
}

#endif
