-- SPDX-License-Identifier: MIT
-- Runs every check that the library has, and moves nothing: `migrun preflight.lua INSTANCE HOST`. A warning
-- does not keep a guest from moving. A policy that moves guests picks the checks that it needs.
local check = require "migrun.check"

return {
  api     = 1,
  summary = "Check whether a guest could move; nothing is changed",

  steps = {
    check.all,
    check.transport_is_guarded,
  },
}
