-- SPDX-License-Identifier: MIT
-- A mistake that is found only when it is reached.
local function stumble(run) return run.saved.nothing.at_all end

local function at(title, phase, where, run)
  return { title, phase = phase, when = function(this) return this.params.at == where end, run = run }
end

return {
  api     = 1,
  summary = "Stumble in a step",
  params  = { at = { type = "string", default = "check",
    choices = { "check", "prepare", "later", "migrate", "fixup" }, help = "in which step" } },
  steps   = {
    at("a check", "check", "check", stumble),
    at("a change", "prepare", "later", function(run) run.source:write("/etc/e2e/text", "ours\n") end),
    at("begins with a mistake", "prepare", "prepare", stumble),
    at("comes after a change", "prepare", "later", stumble),
    { "the guest", phase = "migrate",
      run = function(run)
        if run.params.at == "migrate" then stumble(run) end
        run.instance:migrate(run.dest)
      end },
    at("a fix-up", "fixup", "fixup", stumble),
  },
}
