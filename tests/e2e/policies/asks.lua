-- SPDX-License-Identifier: MIT
-- A check that asks for long.
return {
  api     = 1,
  summary = "Ask for long",
  steps   = {
    { "a long question", phase = "check",
      run = function(run) run.dest:command({ "sleep", "4321" }, { reads = true, timeout = 100 }) end },
  },
}
