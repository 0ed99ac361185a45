-- SPDX-License-Identifier: MIT
-- Checks of a site's own, for its policies to require.
local checks = {}

---Refuses a destination that would have less memory left than the share, in percent, of what it has.
function checks.destination_keeps_a_reserve(percent)
  return { "destination keeps a reserve", phase = "check",
    run = function(run)
      local memory = run.dest.facts.memory
      local left = memory.available - run.instance.facts.max_memory
      local share = 100 * left / memory.total
      if share < percent then
        run:refuse(("%.0f %% of %s's memory would be left, and %d %% is the reserve"):format(share, run.dest.name, percent))
      end
      return ("%.0f %% of %s's memory is left"):format(share, run.dest.name)
    end }
end

return checks
