-- SPDX-License-Identifier: MIT
-- What the modules of this folder ask of a host, and make there, alike.
local shared = {}

---The text of a file, or nil.
function shared.text(host, path) return host:stat(path) and host:read(path) end

---What a program of a host says, "" where there is no such program.
---@param host Host
---@param argv string[]
---@return string
function shared.answer(host, argv)
  local ok, asked = pcall(host.command, host, argv, { reads = true, ok = true, timeout = 30 })
  return ok and asked.out .. asked.err or ""
end

---The state of a unit as service:state() has it, "absent" where the host has no such unit.
---@param host Host
---@param unit string
---@return string
function shared.state(host, unit)
  local service = host:service(unit)
  local ok, state = pcall(service.state, service)
  if ok then return state end
  if tostring(state):find("there is no unit", 1, true) then return "absent" end
  error(state, 0)
end

local made = {} -- by a preview, which does not see them

---Makes a folder and those above it where they are not there yet.
---@param host Host
---@param path string
---@param mode string  "755"
function shared.folder(host, path, mode)
  local name = host.name .. path
  if path == "" or made[name] or host:stat(path) then return end
  shared.folder(host, path:match("^(.*)/[^/]*$"), mode)
  made[name] = true
  host:command({ "mkdir", "-m", mode, path }, { undo = { "rm", "-df", path } })
end

return shared
