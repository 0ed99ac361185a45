-- SPDX-License-Identifier: MIT
-- Lua that does not come to an end.
local ways = {
  plain   = function() while true do end end,
  caught  = function() while true do pcall(function() while true do end end) end end,
  sorted  = function() while true do pcall(table.sort, { 3, 2, 1 }, function() while true do end end) end end,
  pattern = function() return ("a"):rep(60):find(("a?"):rep(60) .. ("a"):rep(60)) end,
}

local function loop(run)
  run:say("it begins")
  ways[run.params.how]()
end

return {
  api     = 1,
  summary = "Never end",
  params  = {
    how   = { type = "string", default = "plain", choices = { "plain", "caught", "sorted", "pattern" },
      help = "how" },
    later = { type = "boolean", default = false, help = "in a step that comes after a change" },
  },
  steps   = {
    { "a check", phase = "check", when = function(run) return not run.params.later end, run = loop },
    { "a change", phase = "prepare", run = function(run) run.source:write("/etc/e2e/text", "ours\n") end },
    { "a step", phase = "prepare", run = loop },
    { "the guest", phase = "migrate", run = function(run) run.instance:migrate(run.dest) end },
  },
}
