-- SPDX-License-Identifier: MIT
-- Commands that say that they only read, and reach further: other hosts over the network, other processes,
-- what outlives them. What is `contained` may well end with status 0, in a world of its own: the test looks
-- at what is left of it.
local lies = {
  { "sh", "-c", "setsid sleep 1234 >/dev/null 2>&1 &", contained = true },
  { "sh", "-c", "prlimit --pid $(pgrep -fx '/bin/sleep infinity') --nofile=64:64" },
  { "ipcmk", "-M", "100", contained = true },
  { "ssh", "compute-2", "touch", "/etc/e2e/new" },
  { "virsh", "-c", "qemu+tcp://compute-1/system", "desc", "still", "--config", "--live", "--title",
    "strange" },
}

return {
  api     = 1,
  summary = "Try to change what may not be changed",
  steps   = {
    { "in a check", phase = "check",
      run = function(run)
        for _, argv in ipairs(lies) do
          local words = table.move(argv, 1, #argv, 1, {})
          local ok, ended = pcall(run.source.command, run.source, words,
            { reads = true, ok = true, timeout = 10 })
          local done = ok and ended.status == 0 and (argv.contained and "contained" or "DONE")
          run:say(("%s: %s"):format(table.concat(argv, " "), done or "refused"))
        end
      end },
  },
}
