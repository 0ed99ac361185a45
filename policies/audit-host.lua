-- SPDX-License-Identifier: MIT
-- Asks hosts what on them is open to people it should not be open to, and changes nothing: `migrun
-- audit-host.lua HOST…`. It ends with status 2 if anything is, for a job of cron's.
local audit = require "migrun.audit"

return {
  api     = 1,
  summary = "Check what is open to others on hosts; nothing is changed",
  takes   = { "hosts" },
  steps   = audit.all,
}
