-- SPDX-License-Identifier: MIT
-- Whatever a policy could try in order to change something where it may not: in a check, and in a preview's
-- other steps too (a run's may well change things, so it ends with the check). Each attempt is told with its
-- end.
local TARGET = "/etc/e2e/text"

local function attempt(run, name, try)
  local ok, what = pcall(try)
  run:say(("%s: %s"):format(name, ok and "DONE " .. tostring(what) or "refused: " .. tostring(what)
    :gsub("\n.*", "")))
end

-- What the language itself might leave open; nothing of it may be there.
local doors = {
  "io", "debug", "coroutine", "package", "dofile", "loadfile", "collectgarbage", "rawset", "os.execute",
  "os.remove", "os.rename", "os.exit",
  "os.getenv", "os.tmpname", "os.setlocale", "string.dump",
}

local function door(name)
  local library, member = name:match("^(%w+)%.(%w+)$")
  return rawget(library and rawget(_G, library) or _G, member or name)
end

local function language(run)
  for _, name in ipairs(doors) do
    if door(name) ~= nil then run:say(name .. ": DONE, it is there") end
  end
  attempt(run, "load bytecode", function()
    return assert(load("\27Lua\x54\x00\x19\x93\r\n\x1a\n", "x", "b"))
  end)
  attempt(run, "load with io", function()
    return assert(load("return io.open('" .. TARGET .. "', 'w')"))()
  end)
  attempt(run, "load with an environment", function()
    return assert(load("return io.open", "=x", "t", {}))()
  end)
  for _, name in ipairs { "io", "os", "debug", "package", "cjson", "posix", "ffi", "_G",
    "../../../etc/passwd", "/etc/passwd", "migrun.../x" } do
    attempt(run, "require " .. name, function() return require(name) end)
  end
  attempt(run, "a finalizer", function() return setmetatable({}, { __gc = function() end }) end)
  for name, object in pairs { run = run, host = run.source, instance = run.instance,
    libvirt = run.source.libvirt, globals = _G } do
    attempt(run, "metatable of " .. name, function() return assert(getmetatable(object), "none is given") end)
    attempt(run, "metatable for " .. name, function() return setmetatable(object, {}) end)
  end
  attempt(run, "a field of a host", function() run.source.write = function() end end)
  attempt(run, "a method of another object", function()
    local write = run.source.write
    return write(run.instance, TARGET, "x")
  end)
end

-- The objects' own ways.
local function objects(run, host)
  attempt(run, "write", function() host:write(TARGET, "x") end)
  attempt(run, "edit", function() host:edit(TARGET, function() return "x" end) end)
  attempt(run, "an effect inside an edit", function()
    host:edit(TARGET, function() host:write("/etc/e2e/new", "x") return nil end)
  end)
  attempt(run, "chmod", function() host:chmod(TARGET, 0) end)
  attempt(run, "chown", function() host:chown(TARGET, 1, 1) end)
  attempt(run, "remove", function() host:remove(TARGET) end)
  attempt(run, "stop", function() host:service("e2e-running"):stop() end)
  attempt(run, "restart", function() host:service("libvirtd"):restart() end)
  attempt(run, "a command that does not say that it reads", function()
    host:command { "touch", "/etc/e2e/new" }
  end)
  attempt(run, "migrate", function() run.instance:migrate(run.dest) end)
  attempt(run, "strings by their metatable", function()
    local strings = getmetatable("").__index
    local format = strings.format
    strings.format = function() return "/etc/e2e/strange" end
    local ok, what = pcall(host.write, host, TARGET, "x")
    strings.format = format
    return assert(ok, tostring(what))
  end)
end

-- Commands that say that they only read, and do not.
local lies = {
  { "touch", "/etc/e2e/new" }, { "touch", TARGET }, { "rm", "-f", TARGET },
  { "mv", TARGET, "/etc/e2e/moved" }, { "ln", TARGET, "/etc/e2e/linked" },
  { "sh", "-c", "echo x >" .. TARGET }, { "sh", "-c", "echo x >/dev/shm/e2e" },
  { "sh", "-c", "echo x >/tmp/e2e" }, { "sh", "-c", "echo x >/run/e2e" },
  { "chmod", "777", TARGET }, { "chown", "1:1", TARGET }, { "setfattr", "-n", "user.e2e", "-v", "x", TARGET },
  { "touch", "-d", "2000-01-01", TARGET },
  { "truncate", "-s", "0", TARGET }, { "mkdir", "/etc/e2e/folder" },
  { "mknod", "/etc/e2e/node", "c", "1", "3" }, { "mkfifo", "/etc/e2e/fifo" },
  { "mount", "-t", "tmpfs", "tmpfs", "/etc/e2e" }, { "mount", "-o", "remount,rw", "/" },
  { "umount", "/var/lib/nova/instances" },
  { "unshare", "-m", "sh", "-c", "mount -o remount,rw / ; touch /etc/e2e/new" },
  { "unshare", "-Ur", "touch", "/etc/e2e/new" },
  { "nsenter", "-t", "1", "-m", "touch", "/etc/e2e/new" },
  { "chroot", "/proc/1/root", "touch", "/etc/e2e/new" },
  { "systemctl", "stop", "e2e-running" }, { "systemctl", "kill", "e2e-running" },
  { "systemd-run", "touch", "/etc/e2e/new" },
  { "busctl", "call", "org.freedesktop.systemd1", "/org/freedesktop/systemd1",
    "org.freedesktop.systemd1.Manager", "StopUnit", "ss",
    "e2e-running.service", "replace" },
  { "virsh", "destroy", "still" }, { "virsh", "undefine", "still" }, { "virsh", "autostart", "still" },
  { "pkill", "-KILL", "-f", "guest=still," }, { "pkill", "-KILL", "-f", "sleep infinity" },
  { "pkill", "-KILL", "libvirtd" }, { "sh", "-c", "kill -TERM -1" },
  { "iptables", "-A", "INPUT", "-p", "tcp", "--dport", "9", "-j", "DROP" },
  { "ip", "link", "set", "host0", "mtu", "1400" },
  { "ip", "address", "add", "10.99.0.1/32", "dev", "lo" }, { "hostname", "e2e" },
  { "sysctl", "-w", "net.ipv4.ip_forward=1" },
  { "date", "-s", "now" }, { "logger", "e2e" }, { "useradd", "e2e" }, { "ldconfig" },
  { "dd", "if=/dev/zero", "of=/proc/1/oom_score_adj", "count=1" },
  { "perl", "-MSocket", "-e",
    "socket(S, AF_UNIX, SOCK_STREAM, 0) && connect(S, pack_sockaddr_un('/run/libvirt/libvirt-sock')) or "
    .. "die $!" },
}

local function commands(run, host)
  for _, argv in ipairs(lies) do
    attempt(run, table.concat(argv, " "), function()
      local ended = host:command(argv, { reads = true, ok = true, timeout = 10 })
      if ended.status ~= 0 then error(("status %d %s"):format(ended.status, ended.err)) end
      return ended.out
    end)
  end
end

return {
  api     = 1,
  summary = "Try to change what may not be changed",
  steps   = {
    { "in a check", phase = "check",
      run = function(run)
        language(run)
        for _, host in ipairs { run.source, run.here } do objects(run, host) end
        commands(run, run.source)
        if not run.preview then run:refuse("it was only tried") end
      end },
    { "later", phase = "prepare",
      run = function(run)
        language(run)
        commands(run, run.source)
      end },
  },
}
