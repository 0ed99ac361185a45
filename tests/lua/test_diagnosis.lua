-- SPDX-License-Identifier: MIT
-- Which migration is meant, whose line a line is, and which of them is the first cause.
local t = require "t"
local clocks = require "migrun.diagnose.clocks"
local entries = require "migrun.diagnose.entries"
local fits = require "migrun.diagnose.fits"
local inquire = require "migrun.diagnose.inquire"
local lines = require "migrun.diagnose.lines"

local UUID = "7f3c1b52-0d5e-4c3a-9a55-1f1e2d3c4b5a"
local OTHER = "11111111-2222-4333-8444-555555555555"
local REQUEST = "req-180d27b5-3b52-48de-bdad-f0c7eb6de657"
local SECOND = "req-00000000-3b52-48de-bdad-f0c7eb6de657"
local THEN = 1795159870.0 -- 2026-11-20 07:31:10 UTC

-- What a host answers: of each file {path, set, {time, text}, …}; times count from THEN.
local function answer(...)
  local files, list = {}, {}
  for _, file in ipairs { ... } do
    files[#files + 1] = { path = file[1], set = file[2] }
    for i = 3, #file do
      list[#list + 1] = { file = #files - 1, time = file[i][1] and THEN + file[i][1], line = i - 2, at = i,
        text = file[i][2] }
    end
  end
  return { files = files, lines = list, left = 0 }
end

local function qemu(...) return { "/var/log/libvirt/qemu/g17.log", "own", ... } end
local function libvirt(...) return { "/var/log/libvirt/libvirtd.log", "libvirt", ... } end
local function nova(...) return { "/var/log/nova/nova-compute.log", "nova", ... } end

local function arrival(...)
  return qemu({ 0, "2026-11-20 07:31:10.000+0000: starting up libvirt version: 9.0.0" },
    { 0, "-uuid " .. UUID .. " \\" }, { 0, "-incoming defer \\" }, ...)
end

-- Asks and answers until there is an end; hosts: {name → answer}.
local function ask(subject, hosts, request)
  request = request or { offline = true }
  request.subject, request.folders, request.hosts = subject, { "/" }, {}
  for host in pairs(hosts) do table.insert(request.hosts, host) end
  table.sort(request.hosts)
  local state = inquire.begin(request)
  for _ = 1, 9 do
    if state.answer then return state.answer, state end
    state = inquire.narrow(state, hosts)
  end
  error("it asks on and on")
end

t.run("a guest by its name: where it came to, from where, and why not", function()
  local found = ask("g17", {
    ["compute-1"] = answer(qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" })),
    ["compute-2"] = answer(arrival({ 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unknown savevm section" },
      { 2, "2026-11-20T07:31:12.0Z qemu-system-x86_64: load of migration failed: Invalid argument" },
      { 2.1, "2026-11-20 07:31:12.100+0000: shutting down, reason=failed" })),
  })
  t.equal(found.kind, "cause")
  t.equal(found.dest, "compute-2")
  t.equal(found.source, "compute-1")
  t.equal(found.known.uuid, UUID)
  t.equal(found.cause, "QEMU on compute-2 does not have the same devices as on compute-1")
  t.equal(found.evidence[1].host .. ":" .. found.evidence[1].line, "compute-2:4")
  t.equal(found.evidence[2].note, "follows from it")
end)

t.run("a guest that came and goes back: the way back is what is meant", function()
  local found = ask("g17", {
    ["compute-2"] = answer(qemu({ -90, "2026-11-20 07:29:40.000+0000: starting up" },
      { -90, "-incoming defer \\" },
      { 0.5, "2026-11-20 07:31:10.500+0000: initiating migration" })),
    ["compute-1"] = answer(qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" },
      { -89, "2026-11-20 07:29:41.000+0000: initiating migration" },
      { -88, "2026-11-20 07:29:42.000+0000: shutting down, reason=migrated" },
      { 0, "2026-11-20 07:31:10.000+0000: starting up" }, { 0, "-incoming defer \\" },
      { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unknown savevm section" },
      { 2, "2026-11-20 07:31:12.000+0000: shutting down, reason=failed" })),
  })
  t.equal(found.source .. found.dest, "compute-2compute-1")
  t.equal(found.cause, "QEMU on compute-1 does not have the same devices as on compute-2")
end)

t.run("it left a host, and came back there: one of the two is meant, the later", function()
  local found = ask("g17", { ["compute-2"] = answer(qemu({ -90, "2026-11-20 07:29:40.000+0000: starting up" },
    { -6, "2026-11-20 07:31:04.000+0000: initiating migration" },
    { -5, "2026-11-20 07:31:05.000+0000: shutting down, reason=migrated" },
    { 0, "2026-11-20 07:31:10.000+0000: starting up" }, { 0, "-incoming defer \\" },
    { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unknown savevm section" },
    { 2, "2026-11-20 07:31:12.000+0000: shutting down, reason=failed" })) })
  t.equal(found.dest, "compute-2")
  t.equal(found.source, nil)
  t.equal(found.began, THEN)
end)

t.run("no QEMU tells when it left: Nova's line quotes one, and tells its local time", function()
  local found = ask("g17", {
    a = answer(nova({ 3601.5, "2026-11-20 08:31:11.500 7 ERROR nova.virt.libvirt.driver [" .. REQUEST
      .. " a b] [instance: " .. UUID .. "] Live Migration failure: qemu unexpectedly closed the monitor: "
      .. "2026-11-20T07:31:11.000000Z qemu-kvm: Unknown savevm section" })),
    b = answer(arrival({ 1, "2026-11-20T07:31:11.0Z qemu-kvm: Unknown savevm section" },
      { 2, "2026-11-20 07:31:12.000+0000: shutting down, reason=failed" })),
  })
  t.equal(found.dest, "b")
  t.equal(found.evidence[1].host, "b")
end)

t.run("by its uuid: the name is learnt from QEMU's log, and asked for", function()
  local state = inquire.begin { subject = UUID, offline = true, folders = { "/" }, hosts = { "compute-2" } }
  t.equal(state.known.uuid, UUID)
  local log = answer({ "/var/log/libvirt/qemu/g17.log", "qemu", { 0, "-uuid " .. UUID .. " \\" } })
  state = inquire.narrow(state, { ["compute-2"] = log })
  t.equal(state.known.name, "g17")
  t.equal(state.queries["compute-2"].sets[1].paths[1], "*/g17.log*")
end)

t.run("told by a run or by Nova: that window alone, by each host's clock", function()
  local state = inquire.begin { subject = "x", hosts = { "a", "b" }, ahead = { b = 90 }, places = {},
    told = { began = THEN, ended = THEN + 10, source = "a", dest = "b", uuid = UUID, name = "g17" } }
  t.equal(state.queries.b.since - state.queries.a.since, 90)
  t.ok(state.queries.a.since < THEN and state.queries.a["until"] > THEN + 10)
  t.equal(state.queries.a.journal, true)
end)

t.run("what Nova refused after that, of which it keeps no record, is what is meant", function()
  local function refused(request, text)
    return answer(nova({ 60, "2026-11-20 07:32:10.000 7 INFO nova.api.openstack.wsgi [None " .. request
      .. " a b] HTTP exception thrown: " .. text }, { 60, "2026-11-20 07:32:10.000 7 INFO nova.osapi [None "
      .. request .. " a b] 10.0.0.1 \"POST /v2.1/servers/" .. UUID .. "/action HTTP/1.1\" status: 400" }))
  end
  local function told()
    return { now = THEN + 90, told = { began = THEN, ended = THEN + 9, source = "a", dest = "b", uuid = UUID,
      name = "g17", request = REQUEST, by_nova = true, moved = true } }
  end
  local found = ask("web", { c = refused(SECOND, "Compute host compute-9 could not be found.") }, told())
  t.equal(found.cause, "Nova knows no host compute-9")
  t.equal(found.request, SECOND)
  t.equal(ask("web", { c = answer() }, told()).kind, "moved")
  local asking = answer(nova({ 70, "2026-11-20 07:32:20.000 7 INFO nova.osapi [None " .. SECOND .. " a b] "
    .. "10.0.0.1 \"GET /v2.1/os-migrations?instance_uuid=" .. UUID .. " HTTP/1.1\" status: 200" }))
  t.equal(ask("web", { c = asking }, told()).kind, "moved")
end)

t.run("--since and --until count for what Nova tells, too", function()
  local function asked(bounds)
    bounds.told = { began = THEN, ended = THEN + 9, by_nova = true, moved = true }
    return ask("web", { c = answer() }, bounds).kind
  end
  t.equal(asked {}, "moved")
  t.equal(asked { since = THEN - 1, ["until"] = THEN + 99 }, "moved")
  t.equal(asked { since = THEN + 60 }, "nothing")
  t.equal(asked { ["until"] = THEN - 60 }, "nothing")
end)

t.run("another guest's failure in the same second is nobody's cause here", function()
  local hosts = {
    ["compute-1"] = answer(qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" },
      { 0.5, "2026-11-20 07:31:10.500+0000: initiating migration" }),
      libvirt({ 0.9, "2026-11-20 07:31:10.900+0000: 9: error : f:1 : Cannot access storage file '/n': xxx" },
        { 1.0, "2026-11-20 07:31:11.000+0000: 9: error : f:1 : Hook script execution failed: told g17" })),
    ["compute-2"] = answer(arrival({ 2, "2026-11-20 07:31:12.000+0000: shutting down, reason=failed" }),
      { "/var/log/libvirt/qemu/noisy.log", "qemu",
        { 0.8, "2026-11-20T07:31:10.8Z qemu-system-x86_64: Cannot access storage file '/n': xxx" } }),
  }
  local found = ask("g17", hosts)
  t.equal(found.kind, "cause")
  t.ok(found.cause:find("hook", 1, true), found.cause)
end)

t.run("another guest's failure just before: what libvirtd says of it later is not ours", function()
  local vnc = "-vnc 10.0.0.11:0: Failed to bind socket: Cannot assign requested address"
  local found = ask("g17", {
    ["compute-1"] = answer(qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" }), libvirt(
      { -0.8, "2026-11-20 07:31:09.2+0000: 9: error : f:1 : qemu unexpectedly closed the monitor: "
        .. "2026-11-20T07:31:08.5Z qemu-system-x86_64: " .. vnc },
      { 0, "2026-11-20 07:31:10.0+0000: 9: error : f:1 : Hook script execution failed: qemu g17 migrate" })),
    ["compute-2"] = answer({ "/var/log/libvirt/qemu/noisy.log", "qemu",
      { -1.5, "2026-11-20T07:31:08.5Z qemu-system-x86_64: " .. vnc } }),
  }, {}) -- hosts whose clocks are measured: nothing is taken of a time before
  t.ok(found.cause:find("hook", 1, true), found.cause)
end)

t.run("of two requests for one instance, the migration's own counts", function()
  local function line(request, level, text)
    return ("2026-11-20 07:31:12.000 7 %s nova.x [None %s a b] [instance: %s] %s")
      :format(level, request, UUID, text)
  end
  local found = ask(UUID, { controller = answer(nova(
    { 0, line(REQUEST, "INFO", "live migration asked for") },
    { 0.5, line(SECOND, "ERROR", "Instance " .. UUID .. " is locked") },
    { 1, line(REQUEST, "ERROR", "Live Migration failure: Unable to resolve address 'b' service '1': x") })) })
  t.equal(found.request, REQUEST)
  t.equal(found.kind, "cause")
  t.ok(found.cause:find("cannot resolve the name b", 1, true), found.cause)
  -- lines without any time tell of no moment
  found = ask(REQUEST, { controller = answer(nova({ nil, "ERROR [" .. REQUEST .. "] migration failed" })) })
  t.equal(found.kind, "nothing")
  -- and the other one is told where it is asked for
  found = ask(SECOND, { controller = answer(nova(
    { 0.5, line(SECOND, "ERROR", "Instance " .. UUID .. " is locked") })) })
  t.equal(found.cause, "the instance is locked in Nova")
end)

t.run("a traceback goes with its request; a line of another does not", function()
  local head = "2026-11-20 07:31:12.000 7 "
  local found = ask(REQUEST, { controller = answer(nova(
    { 1, head .. "ERROR nova.rpc [None " .. REQUEST .. " a b] Exception during message handling" },
    { 1, head .. "ERROR nova.rpc Unable to migrate x to c: Lack of memory(host:-3400 <= instance:4096)" },
    { 1, head .. "ERROR nova.rpc [None " .. SECOND .. " a b] No valid host was found" })) })
  t.ok(found.cause:find("has -3400 MiB left", 1, true), found.cause)
end)

t.run("a danger counts wherever it stands, and offers nothing that starts or deletes", function()
  local found = ask("g17", { ["compute-2"] = answer(arrival(
    { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unknown savevm section" },
    { 2, "2026-11-20T07:31:12.0Z qemu-system-x86_64: Failed to get \"write\" lock" })) })
  t.equal(found.kind, "danger")
  t.ok(found.remedy:find("^stop"), found.remedy)
end)

t.run("an error that nobody knows, before one that is known: unknown, and the line", function()
  local found = ask("g17", { ["compute-2"] = answer(arrival(
    { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: frobnicator could not be engaged" },
    { 9, "2026-11-20T07:31:19.0Z qemu-system-x86_64: Unknown savevm section" })) })
  t.equal(found.kind, "unknown")
  t.equal(found.cause, nil)
  t.equal(found.evidence[1].says, "frobnicator could not be engaged")
end)

t.run("a carrier alone is told as one; what the system says explains it, if it was before", function()
  local broke = libvirt({ 2, "2026-11-20 07:31:12.0+0000: 9: error : f:1 : client socket is closed" })
  local log = arrival({ 2.1, "2026-11-20 07:31:12.100+0000: shutting down, reason=failed" })
  local found = ask("g17", { ["compute-2"] = answer(log, broke) })
  t.equal(found.kind, "carrier")
  local function with(time)
    return answer(log, broke, { "/var/log/syslog", "system",
      { time, "2026-11-20T07:31:11 c systemd[1]: Stopping libvirtd.service - Virtualization daemon..." } })
  end
  found = ask("g17", { ["compute-2"] = with(1.5) })
  t.equal(found.kind, "cause")
  t.ok(found.cause:find("libvirtd on compute-2 was stopped", 1, true), found.cause)
  t.equal(ask("g17", { ["compute-2"] = with(8) }).kind, "carrier") -- somebody mended it
  t.equal(ask("g17", { ["compute-2"] = with(-30) }).kind, "carrier")
end)

t.run("the kernel ended a QEMU: whose it was, by its pid and by its unit", function()
  local function with(name)
    local unit = "machine-qemu\\x2d2\\x2d" .. name .. ".scope"
    return ask("g17", { ["compute-2"] = answer(
      arrival({ 2.1, "2026-11-20 07:31:12.100+0000: shutting down, reason=crashed" }),
      libvirt({ 2, "2026-11-20 07:31:12.0+0000: 9: error : f:1 : client socket is closed" }),
      { "/var/log/syslog", "system",
        { 1.8, "2026-11-20T07:31:11 c kernel: oom-kill:constraint=x,task_memcg=/machine.slice/" .. unit
          .. ",task=qemu-system-x86,pid=4121,uid=64055" },
        { 1.9, "2026-11-20T07:31:11 c kernel: Memory cgroup out of memory: Killed process 4121 (qemu-sys)" },
        { 1.9, "2026-11-20T07:31:11 c systemd[1]: " .. unit
          .. ": A process of this unit has been killed by the OOM killer." } }) })
  end
  t.equal(with("g17").cause, "the kernel of compute-2 ended QEMU: out of memory")
  t.equal(with("other").kind, "carrier")
  t.equal(lines.unit_of("machine-qemu\\x2d2\\x2dweb\\x2d1.scope: x"), "web-1")
end)

t.run("what the guest needs, and who has it", function()
  local found = ask(REQUEST, { ["compute-2"] = answer(nova({ 1, "2026-11-20 07:31:11.000 7 ERROR nova.x ["
    .. REQUEST .. " a b] Unable to migrate " .. UUID .. " to compute-2: Lack of memory(host:-3400 <= "
    .. "instance:4096)" })) })
  t.equal(found.dest, "compute-2")
  t.ok(found.cause:find("^compute%-2 has %-3400 MiB left"), found.cause)
  t.equal(found.need.memory, 4096)
  t.equal(found.known.uuid, UUID)
  local function host(gib, flags)
    return { guests = {}, memory = { available = gib * 2 ^ 30 },
      cpu = { model = "EPYC", flags = flags or {} } }
  end
  local facts = { ["compute-2"] = host(64), ["compute-3"] = host(8), ["compute-4"] = host(16), ["compute-5"] =
    host(2), ["compute-6"] = { guests = {} } }
  t.equal(table.concat(fits.hosts(found.need, facts), ", "),
    "compute-4 (16.0 GiB available), compute-3 (8.0 GiB available)")
  local entry, captures = entries.of("guest CPU doesn't match specification: missing features: avx2,sse4.1")
  local need = fits.need(entry, captures)
  need.except = {}
  t.equal(table.concat(need.features, " "), "avx2 sse4.1")
  facts = { a = host(1, { "avx2" }), b = host(1, { "avx2", "sse4_1" }) }
  t.equal(table.concat(fits.hosts(need, facts), ", "), "b (EPYC)")
  entry, captures = entries.of("the CPU is incompatible with host CPU: Host CPU does not provide required "
    .. "features: svm, vmx")
  t.equal(table.concat(fits.need(entry, captures).features, " "), "svm vmx")
end)

t.run("an earlier life of QEMU is no part of this migration", function()
  local found = ask("g17", { ["compute-2"] = answer(qemu(
    { -3, "2026-11-20 07:31:07.000+0000: starting up" }, { -3, "-incoming defer \\" },
    { -2, "2026-11-20T07:31:08.0Z qemu-system-x86_64: Unknown savevm section" },
    { -1.9, "2026-11-20 07:31:08.100+0000: shutting down, reason=failed" },
    { 0, "2026-11-20 07:31:10.000+0000: starting up" }, { 0, "-incoming defer \\" },
    { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: -vnc 10.0.0.11:0: Failed to bind socket: Cannot assign "
      .. "requested address" },
    { 1.1, "2026-11-20 07:31:11.100+0000: shutting down, reason=failed" })) })
  t.ok(found.cause:find("could not listen on 10.0.0.11", 1, true), found.cause)
end)

t.run("Nova's local time: found by QEMU's, whose time has a zone", function()
  local zone = 2 * 3600
  local found, state = ask(UUID, {
    ["compute-2"] = answer(arrival({ 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unknown savevm section" },
      { 2, "2026-11-20 07:31:12.000+0000: shutting down, reason=failed" }),
      nova({ zone, "2026-11-20 09:31:10.000 7 INFO nova.x [None " .. REQUEST .. " a b] [instance: " .. UUID
        .. "] pre live migration" }, { zone + 2, "2026-11-20 09:31:12.000 7 ERROR nova.x [None " .. REQUEST
        .. " a b] [instance: " .. UUID .. "] Pre live migration failed at compute-2" })),
  })
  t.equal(state.found.zones["compute-2"], zone)
  t.ok(math.abs(found.began - THEN) < 1, found.began)
end)

t.run("clocks are told by a line that quotes the other host, and by requests", function()
  local apart = clocks.apart({
    { host = "a", raw = 1795159963, set = "libvirt", text = "2026-11-20 07:32:43.000+0000: 9: error : f:1 : "
      .. "process exited while connecting to monitor: 2026-11-20T07:31:13.000000Z qemu-system-x86_64: x" },
    { host = "b", raw = 100, set = "nova", text = "[" .. REQUEST .. "] x" },
    { host = "c", raw = 163.5, set = "nova", text = "[" .. REQUEST .. "] x" },
    { host = "d", raw = 107, set = "nova", text = "[" .. REQUEST .. "] x" },
  }, { dest = "b" })
  t.equal(apart.a, 90.0)
  t.equal(apart.c, 63.5)
  t.equal(apart.d, nil)
end)

t.run("it moved; it goes on; nothing is known of it; a host that did not answer", function()
  local moved = ask("g17", { ["compute-1"] = answer(qemu({ -9, "2026-11-20 07:31:01.000+0000: starting up" },
    { 0, "2026-11-20 07:31:10.000+0000: initiating migration" },
    { 1, "2026-11-20 07:31:11.000+0000: shutting down, reason=migrated" })) })
  t.equal(moved.kind, "moved")
  local running = ask("g17", { a = answer() },
    { told = { began = THEN, ended = THEN + 9, running = "preparing" } })
  t.equal(running.kind, "running")
  local nothing = ask("g17", { a = answer(), b = { error = "no route to host" } })
  t.equal(nothing.kind, "nothing")
  t.equal(nothing.not_read[1].host .. nothing.not_read[1].why, "bno route to host")
end)

t.run("what names no guest, after a migration, is told as later; with none at all as what it is", function()
  local refused = "2026-11-20 07:33:10.000+0000: 9: error : f:1 : unable to connect to server at 'b:16509': x"
  local found = ask("g17", { ["compute-1"] = answer(
    qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" }, { 0, "07: initiating migration" },
      { 1, "2026-11-20T07:31:11.0Z qemu-system-x86_64: Unable to write to socket: x" }),
    libvirt({ 120, refused })) })
  t.equal(found.later.host, "compute-1")
  t.equal(found.kind, "carrier")
  found = ask("g17", { ["compute-1"] = answer(qemu({ -900, "2026-11-20 07:00:00.000+0000: starting up" }),
    libvirt({ 120, refused })) })
  t.equal(found.loose, true)
  t.ok(found.cause:find("cannot connect to libvirtd at b:16509", 1, true), found.cause)
end)

t.run("names: whole words; short ones only as they are quoted", function()
  t.ok(lines.names("guest 'web-1' failed", "web-1"))
  t.ok(not lines.names("guest 'web-17' failed", "web-1"))
  t.ok(not lines.names("guest 'a-web-1' failed", "web-1"))
  for _, needle in ipairs(lines.needles { name = "g" }) do t.ok(#needle > 1, needle) end
  t.equal(lines.needles({ name = "web-1" })[1], "web-1")
end)

t.run("lines: requests, levels, messages", function()
  local line = "2026-11-20 07:31:12.000 7 ERROR nova.virt.libvirt.driver [None " .. REQUEST .. " a b - - x] "
    .. "[instance: " .. UUID .. "] Live Migration failure: x"
  t.equal(lines.requests(line)[1], REQUEST)
  t.equal(lines.level(line), "ERROR")
  t.equal(lines.message(line), "Live Migration failure: x")
  t.equal(lines.message("2026-11-20 07:31:10.900+0000: 12: error : virFoo:174 : internal error: x"),
    "internal error: x")
  t.equal(lines.message("2026-11-20T07:31:11.100Z qemu-system-x86_64: x"), "x")
  t.ok(lines.is_request(REQUEST) and not lines.is_request("req-1"))
  t.ok(lines.is_uuid(OTHER) and not lines.is_uuid("g17"))
end)

t.run("the system's log and the journal: whose line it is", function()
  t.equal(lines.program_set("1795824314.613836 libvirtd[78]: internal error: x"), "libvirt")
  t.equal(lines.program_set("1795824314.613836 compute-1 virtqemud[78]: internal error: x"), "libvirt")
  t.equal(lines.program_set("2026-11-20T07:31:11.1+0000 compute-1 libvirtd[78]: x"), "libvirt")
  t.equal(lines.program_set("Nov 20 07:31:11 node-a libvirtd[2101]: x"), "libvirt")
  t.equal(lines.program_set("1795824314.613836 c nova-compute[7]: 2026-11-20 07:31:12.000 7 ERROR x"), "nova")
  t.equal(lines.program_set("1795824314.613836 c systemd[1]: Stopping libvirtd.service"), "system")
  t.equal(lines.message("1795824314.613836 libvirtd[78]: internal error: x"), "internal error: x")
  t.equal(lines.message("Nov 20 07:31:11 node-a libvirtd[2101]: y"), "y")
end)

t.run("a site's catalogue: the example comes before migrun's own; its mistakes", function()
  local text = "Could not open '/srv/gold-12': Permission denied"
  t.ok(entries.of(text).cause:find("QEMU is not allowed", 1, true))
  t.equal(entries.add(dofile("examples/catalogue.lua")), nil)
  local entry, captures = entries.of(text)
  t.equal(entries.fill(entry.cause, entries.names { dest = "c" }, captures),
    "the golden image gold-12 was not brought to c yet")
  t.equal(entries.add {}, nil)
  t.ok(entries.add { { "reason", "x", "y" } }:find("entry 1 does not begin with a kind", 1, true))
  t.ok(entries.add { { "cause", "(", "y" } }:find("entry 1 has no valid pattern", 1, true))
  t.ok(entries.add { { "cause", "x" } }:find("entry 1 says no cause", 1, true))
  t.ok(entries.add { "x" }:find("entry 1", 1, true))
end)
