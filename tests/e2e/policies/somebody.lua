-- SPDX-License-Identifier: MIT
-- Somebody does something to the guest: where it is while it is prepared, or at the destination, once it has
-- moved.
local function somebody(run, host)
  host:command { "virsh", "-q", run.params.does, run.instance.name }
end

return {
  api = 1,
  summary = "A guest, and somebody else",
  params = {
    does = { type = "string", choices = { "suspend", "destroy" }, default = "suspend" },
    early = { type = "boolean", default = false, help = "before it moves, which then fails" },
  },
  steps = {
    { "somebody comes early", phase = "prepare",
      when = function(run) return run.params.early end,
      run = function(run)
        somebody(run, run.source)
        error("now it cannot move")
      end },
    { "the guest", phase = "migrate", run = function(run) run.instance:migrate(run.dest) end },
    { "somebody", phase = "fixup", run = function(run) somebody(run, run.dest) end },
  },
}
