-- SPDX-License-Identifier: MIT
-- Changes a file on each host, and then waits on the destination until it is killed, interrupted or told to
-- fail.
return {
  api     = 1,
  summary = "Change something and wait",
  steps   = {
    { "a change on each host", phase = "prepare",
      run = function(run)
        run.source:write("/etc/e2e/text", "ours\n")
        run.dest:write("/etc/e2e/text", "ours\n")
      end },
    { "a long command", phase = "prepare",
      run = function(run)
        run.dest:command({ "sh", "-c", "until [ -e /run/e2e-go ]; do sleep 0.1; done; exit 1" },
          { timeout = 100 })
      end },
    { "the guest", phase = "migrate", run = function(run) run.instance:migrate(run.dest) end },
  },
}
