-- SPDX-License-Identifier: MIT
-- Somebody does something to the guest at the destination, once it has moved.
return {
  api = 1,
  summary = "A guest that has moved, and somebody else",
  params = { does = { type = "string", choices = { "suspend", "destroy" }, default = "suspend" } },
  steps = {
    { "the guest", phase = "migrate", run = function(run) run.instance:migrate(run.dest) end },
    { "somebody", phase = "fixup",
      run = function(run)
        run.dest:command { "virsh", "-q", run.params.does, run.instance.name }
      end },
  },
}
