-- SPDX-License-Identifier: MIT
-- In a preview later reads see earlier changes: every line of this holds in a run and in its preview.
local DIR = "/etc/e2e/"

local function names(host)
  local list = {}
  for i, entry in ipairs(host:list("/etc/e2e")) do list[i] = entry.name end
  return table.concat(list, " ")
end

local function is(seen, wanted)
  if seen ~= wanted then error(("seen: %s, wanted: %s"):format(tostring(seen), tostring(wanted)), 2) end
end

local function look(host)
  is(names(host), "bytes lines moded owned text xml")
  host:write(DIR .. "new", "new\n", { mode = tonumber("600", 8), user = "nobody", group = "daemon" })
  local new = host:stat(DIR .. "new")
  is(host:read(DIR .. "new"), "new\n")
  is(new.type, "file")
  is(new.size, 4)
  is(new.mode, tonumber("600", 8))
  is(new.uid, host:stat(DIR .. "text").uid)
  is(names(host), "bytes lines moded new owned text xml")

  local text = host:stat(DIR .. "text")
  host:write(DIR .. "text", "longer than it was before\n")
  is(host:stat(DIR .. "text").size, 26)
  is(host:stat(DIR .. "text").mode, text.mode)
  is(host:stat(DIR .. "text").uid, text.uid)
  host:edit(DIR .. "text", function(before) return before .. "and longer\n" end)
  is(host:read(DIR .. "text"), "longer than it was before\nand longer\n")

  host:edit_xml(DIR .. "xml", function(document) document:set("@colour", "blue") end)
  host:edit_xml(DIR .. "xml", function(document) is(document:get("@colour"), "blue") end)

  host:chown(DIR .. "owned", "nobody", "daemon")
  host:chmod(DIR .. "owned", tonumber("4700", 8))
  is(host:stat(DIR .. "owned").uid, new.uid)
  is(host:stat(DIR .. "owned").gid, new.gid)
  is(host:stat(DIR .. "owned").mode, tonumber("4700", 8))
  is(host:read(DIR .. "owned"), "mine\n")

  host:remove(DIR .. "bytes")
  is(host:stat(DIR .. "bytes"), nil)
  is(pcall(host.read, host, DIR .. "bytes"), false)
  is(names(host), "lines moded new owned text xml")
  host:write(DIR .. "bytes", "there again\n")
  is(host:read(DIR .. "bytes"), "there again\n")
  host:remove(DIR .. "new")
  is(names(host), "bytes lines moded owned text xml")

  local running, stopped = host:service("e2e-running"), host:service("e2e-stopped")
  running:stop()
  stopped:start()
  stopped:wait()
  is(running:state(), "inactive")
  is(stopped:state(), "active")
  running:start()
  stopped:stop()
  is(running:state() .. " " .. stopped:state(), "active inactive")
end

return {
  api     = 1,
  summary = "Change, and look",
  takes   = { "host" },
  steps   = { { "change and look", phase = "prepare", run = function(run)
    look(run.hosts[1]); return "all is as it should be"
  end } },
}
