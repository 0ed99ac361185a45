-- SPDX-License-Identifier: MIT
-- A site's own checks, for its policies to require.
local checks = {}

---Refuses a destination that would keep less than this share of its memory (percent) free.
function checks.destination_keeps_a_reserve(percent)
  return { "destination keeps a reserve", phase = "check",
    run = function(run)
      local memory = run.dest.facts.memory
      local left = memory.available - run.instance.facts.max_memory
      local share = 100 * left / memory.total
      if share < percent then
        run:refuse(("only %.0f %% of %s's memory would stay free; the reserve is %d %%")
          :format(share, run.dest.name, percent))
      end
      return ("%.0f %% of %s's memory stays free"):format(share, run.dest.name)
    end }
end

return checks
