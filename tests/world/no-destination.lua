-- SPDX-License-Identifier: MIT
-- A mistake of a policy's: Nova's scheduler is to choose a host, and then it is libvirt that is asked.
return {
  api     = 1,
  summary = "Move a guest by libvirt to where Nova's scheduler likes",
  nova    = true,

  steps = {
    { "the guest", phase = "migrate",
      run = function(run) run.instance:migrate(run.source) end },
  },
}
