-- SPDX-License-Identifier: MIT
-- Asks everything that the policies which move guests ask, and moves nothing: `migrun preflight.lua INSTANCE
-- HOST`. Of several hosts, or of any (all in the site file), it shows side by side which can take the guest,
-- and ends with 0 where one can. A warning does not keep a guest from moving.
local check = require "migrun.check"

return {
  api     = 1,
  summary = "Check whether a guest could move, and to which hosts; nothing is changed",
  takes   = { "instance", "hosts" },

  steps = {
    check.all,
    check.transport_is_guarded,
  },
}
