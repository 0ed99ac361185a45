-- SPDX-License-Identifier: MIT
-- What a user's own ssh configuration would open to a host while migrun is there.
local function listens(host, port)
  return host:command({ "ss", "-Hltn", "sport", "=", ":" .. port }, { reads = true }).out ~= ""
end

return {
  api = 1,
  summary = "Doors that stay shut",
  steps = {
    { "doors", phase = "check",
      run = function(run)
        local env = run.source:command({ "printenv", "SSH_AUTH_SOCK" }, { reads = true, ok = true })
        if env.status == 0 then run:refuse("keys are forwarded to " .. run.source.name) end
        for _, door in ipairs { { run.here, 2222 }, { run.source, 2223 }, { run.here, 2224 } } do
          if listens(door[1], door[2]) then run:refuse(("%s listens on %d"):format(door[1].name, door[2])) end
        end
        return "shut"
      end },
  },
}
