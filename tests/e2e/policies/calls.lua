-- SPDX-License-Identifier: MIT
-- So many calls to the source's agent, for `make bench`.
return {
  api     = 1,
  summary = "Call the agent",
  takes   = { "instance" },
  params  = { calls = { type = "integer", default = 1, help = "how many" } },
  steps   = {
    { "call", phase = "check",
      run = function(run)
        for _ = 1, run.params.calls do run.source:stat("/etc/hostname") end
      end },
  },
}
