-- Commands that say that they only read, and reach further: other hosts over the network, other processes, what outlives them.
local lies = {
  { "sh", "-c", "setsid sleep 1234 >/dev/null 2>&1 &" },
  { "sh", "-c", "prlimit --pid $(pgrep -fx '/bin/sleep infinity') --nofile=64:64" },
  { "ipcmk", "-M", "100" },
  { "ssh", "compute-2", "touch", "/etc/e2e/new" },
  { "virsh", "-c", "qemu+tcp://compute-1/system", "desc", "still", "--config", "--live", "--title", "strange" },
}

return {
  api     = 1,
  summary = "Try to change what may not be changed",
  steps   = {
    { "in a check", phase = "check",
      run = function(run)
        for _, argv in ipairs(lies) do
          local ok, ended = pcall(run.source.command, run.source, argv, { reads = true, ok = true, timeout = 10 })
          run:say(("%s: %s"):format(table.concat(argv, " "), ok and ended.status == 0 and "DONE" or "refused"))
        end
      end },
  },
}
