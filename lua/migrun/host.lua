-- SPDX-License-Identifier: MIT
-- Steps that prepare hosts for live migration: names, the way from libvirtd to libvirtd, nova.conf. Policies
-- that take hosts use them (policies/prepare-host.lua). Each finds what is right already and leaves it alone.
local audit = require "migrun.audit"
local common = require "migrun.check.common"
local conf = require "migrun.conf"
local daemon = require "migrun.host.daemon"
local shared = require "migrun.host.shared"
local names = require "migrun.host.names"
local nova = require "migrun.host.nova"
local ssh = require "migrun.host.ssh"
local tls = require "migrun.host.tls"
local window = require "migrun.host.window"

local host = {}

local function prepare(title, run, undo) return { title, phase = "prepare", run = run, undo = undo } end

-- The unit of a nova-compute that runs, by its names in Debian and RDO (or the site file's), or nil.
local function compute_of(one)
  for _, unit in ipairs { "nova-compute", "openstack-nova-compute" } do
    if shared.state(one, unit) == "active" then return unit end
  end
end

-- Each host and each other one.
local function each_pair(run, visit)
  for _, from in ipairs(run.hosts) do
    for _, to in ipairs(run.hosts) do
      if from ~= to then visit(from, to) end
    end
  end
end

local function pid_of(one, known)
  for _, path in ipairs { "/run/%s.pid", "/run/libvirt/%s.pid" } do
    local text = shared.text(one, path:format(known.ports))
    if text then return text:match("%d+") end
  end
end

-- ---- what is there ----

host.is_known = common.step("what runs there", function(run)
  local seen, found = {}, {}
  run.saved.daemons = {}
  for _, one in ipairs(run.hosts) do
    local known = daemon.of(one)
    local ok, its_nova = pcall(nova.of, one)
    if not ok then found[#found + 1] = tostring(its_nova) end
    if ok and its_nova and nova.needs_tcp(its_nova) and window.fault(one) then
      found[#found + 1] = ("%s: nova-compute reaches its libvirtd by plain TCP ([libvirt] connection_uri), "
        .. "which is open to others then: set it to qemu:///system, or a guard keeps them away: %s")
        :format(one.name, window.fault(one))
    end
    if ok and its_nova and its_nova.runs and not compute_of(one) then
      found[#found + 1] = ("%s: nova-compute runs, and its unit is none that migrun knows: name it in the "
        .. "site file, services = { [\"nova-compute\"] = { unit = … } }"):format(one.name)
    end
    for _, path in ipairs { known.conf, known.qemu } do
      local file = one:stat(path)
      if file and file.type ~= "file" then
        found[#found + 1] = ("%s: %s is a link, and migrun writes through none: put the file itself there")
          :format(one.name, path)
        file = nil
      end
      local good, problem = pcall(conf.get, file and one:read(path) or "", "x")
      if not good then
        found[#found + 1] = ("%s: %s is not readable for libvirt (%s)"):format(one.name, path, problem)
      end
    end
    if one.facts.libvirt == nil or not one.libvirt then
      found[#found + 1] = ("%s: libvirtd does not answer (systemctl status %s)"):format(one.name, known.unit)
    end
    run.saved.daemons[one.name] = { active = known.active, pid = pid_of(one, known),
      compute = compute_of(one), guarded = window.is_set(one), texts = daemon.texts(one, known) }
    seen[#seen + 1] = ("%s: %s %s%s"):format(one.name, known.ports,
      known.by_sockets and "on systemd's sockets" or "by --listen",
      ok and its_nova and ", Nova " .. its_nova.version or ", no Nova")
  end
  common.refuse_all(run, found)
  return table.concat(seen, "; ")
end)

-- Also what this policy does not close.
host.is_closed = common.step("what is open", function(run)
  local count = 0
  for _, one in ipairs(run.hosts) do
    for _, finding in ipairs(audit.findings(run, one)) do
      count = count + 1
      run:warn(finding)
    end
  end
  if count == 0 then return "nothing that should not be" end
  return ("%d finding%s, before anything is changed"):format(count, count == 1 and "" or "s")
end)

-- A restart of libvirtd may lose a migration.
host.is_at_rest = common.step("no migration runs", function(run)
  local found, count = {}, 0
  for _, one in ipairs(run.hosts) do
    for _, domain in ipairs(one.libvirt and one.libvirt:domains() or {}) do
      local info = domain:info()
      if info.state ~= "shut off" then
        count = count + 1
        local ok, job = pcall(domain.job, domain)
        if ok and job.type ~= "none" then
          found[#found + 1] = ("%s: a job of %s is under way (virsh domjobinfo %s): wait for its end")
            :format(one.name, domain.name, domain.name)
        end
      end
    end
  end
  common.refuse_all(run, found)
  return ("%d guest%s, none with a job"):format(count, count == 1 and "" or "s")
end)

host.names_are_right = common.step("names", function(run)
  local wrong = names.wrong(run)
  local found = {}
  for i, entry in ipairs(wrong) do found[i] = names.text(entry) end
  if #found == 0 then return "each host knows every other, and itself" end
  if run.params.names then return table.concat(found, "; ") .. ": to be put right" end
  run:refuse(table.concat(found, "; ") .. ": -p names=yes puts the true addresses into /etc/hosts there")
end)

-- ---- the way ----

-- The way that the site has chosen already, where it is a safe one.
local function way_of_site(run)
  local way = run.hosts[1].settings.libvirt.uri:match("%+(%w+)://")
  return (way == "ssh" or way == "tls") and way or nil
end

local function logins_refused(run)
  local refused = {}
  each_pair(run, function(from, to)
    local why = ssh.refused(from, to)
    if why then refused[#refused + 1] = { from = from, to = to, why = why } end
  end)
  return refused
end

host.transport_is_chosen = common.step("the way from libvirtd to libvirtd", function(run)
  local wanted, why = run.params.transport, "as asked"
  if wanted == "auto" then
    wanted, why = way_of_site(run), "as the site file has it"
    if not wanted and #run.hosts > 1 and #logins_refused(run) == 0 then
      wanted, why = "ssh", "root of each can log in to the others already"
    elseif not wanted then
      wanted, why = "tls", #run.hosts > 1 and "root cannot log in from one to the other" or "one host alone"
    end
  end
  if wanted == "tcp" and not run.params.open then
    run:refuse("plain TCP lets in whoever reaches the port: -p open=yes, or the safer transport=tls, ssh")
  end
  local faults = {}
  for _, one in ipairs(wanted == "tcp" and run.hosts or {}) do
    local fault = window.fault(one)
    if fault then faults[#faults + 1] = ("%s: %s"):format(one.name, fault) end
  end
  common.refuse_all(run, faults)
  if wanted == "ssh" and #run.hosts < 2 then
    run:refuse("for ssh name the hosts that are to reach each other, two or more")
  end
  run.saved.transport = wanted
  return ("%s, %s"):format(wanted, why)
end)

host.certificates_fit = {
  "certificates", phase = "check", needs = { "what runs there", "the way from libvirtd to libvirtd" },
  when = function(run) return run.params.transport == "auto" or run.params.transport == "tls" end,
  run = function(run)
    if run.saved.transport ~= "tls" then return "not needed" end
    local found, seen, state = {}, {}, {}
    for _, one in ipairs(run.hosts) do
      local has = tls.of(run, one, daemon.of(one), run.params.ca)
      state[one.name] = has
      if has.state == "site" and not run.params.replace then
        local fault = has.fault or has.missing and "is not whole: " .. has.missing .. " is missing"
        if fault then
          found[#found + 1] = ("%s: its certificate for libvirt, which migrun's CA (%s) did not make, %s: "
            .. "renew it there, or -p replace=yes"):format(one.name, run.params.ca, fault)
        end
      end
      seen[#seen + 1] = one.name .. ": " .. (has.state == "none" and "none yet"
        or ("%s, ends %s"):format(has.state == "ours" and "by migrun's CA" or "the site's", has.ends or "?"))
    end
    local own, site
    for name, has in pairs(state) do
      if has.state == "site" then site = name else own = name end
    end
    if own and site and not run.params.replace then
      found[#found + 1] = ("%s has a certificate of a CA whose key migrun has not, and %s has none of it: "
        .. "give it one, or -p replace=yes"):format(site, own)
    end
    common.refuse_all(run, found)
    return table.concat(seen, "; ")
  end,
}

host.mend_names = prepare("names in /etc/hosts", function(run)
  local mended = names.mend(run)
  return #mended == 0 and "right already" or table.concat(mended, ", ")
end)
host.mend_names.when = function(run) return run.params.names end

host.let_in_by_ssh = prepare("keys for ssh", function(run)
  local refused = logins_refused(run)
  local let_in = {}
  for i, entry in ipairs(refused) do
    ssh.let_in(run, entry.from, entry.to)
    let_in[i] = ("%s → %s"):format(entry.from.name, entry.to.name)
  end
  return #let_in == 0 and "each reaches the others already" or table.concat(let_in, ", ")
end)
host.let_in_by_ssh.when = function(run) return run.saved.transport == "ssh" end

host.place_certificates = prepare("certificates in place", function(run)
  run.saved.renewed = {}
  local made = {}
  for _, one in ipairs(run.hosts) do
    local known = daemon.of(one)
    local has = tls.of(run, one, known, run.params.ca)
    local is_right = not has.fault and not has.missing and (has.state == "site" or not has.soon)
    if has.state == "none" or not is_right or (has.state == "site" and run.params.replace) then
      tls.make(run, one, known, run.params.ca, run.params.days)
      run.saved.renewed[one.name] = true
      made[#made + 1] = one.name
    end
  end
  return #made == 0 and "right already" or "made for " .. table.concat(made, ", ")
end)
host.place_certificates.when = function(run) return run.saved.transport == "tls" end

-- ---- settings, and who has to read them anew ----

-- nova-compute is stopped meanwhile, so that it does not take its libvirtd for dead. was: the unit of one
-- that ran before the run, or nil.
local function with_compute_stopped(one, was, change)
  local now = compute_of(one)
  if now then one:service(now):stop() end
  local done, problem = pcall(change)
  if was then one:service(was):start() end
  if not done then error(problem, 0) end
  if was then one:service(was):wait(120) end
end

local function each_text(texts, visit)
  local paths = {}
  for path in pairs(texts) do paths[#paths + 1] = path end
  table.sort(paths)
  for _, path in ipairs(paths) do visit(path, texts[path]) end
end

-- With new texts of its files, which its host puts back where it does not start on them. One that is down has
-- nothing that could be lost.
local function restart(one, known, sockets, texts)
  local function put()
    each_text(texts, function(path, text) one:write(path, text) end)
  end
  if known.by_sockets or shared.state(one, known.unit) == "active" then
    one:service("libvirtd"):while_stopped(put, sockets)
  else
    put()
    one:service("libvirtd"):start()
  end
  if known.ports ~= known.unit then one:service(known.ports):restart() end
end

local function set_enabled(one, socket, on)
  local verb, back = on and "enable" or "disable", on and "disable" or "enable"
  one:command({ "systemctl", verb, socket }, { undo = { "systemctl", back, socket } })
end

-- Whether nova-compute needs plain TCP where everyone is let in by it.
local function keeps_tcp(its_nova, known, old)
  return its_nova ~= nil and nova.needs_tcp(its_nova) and daemon.is_open(old[known.conf] or "")
end

-- What the texts of libvirtd's files become; those that do not change are left out.
local function new_texts(transport, known, keeps, old)
  local new = { [known.conf] = daemon.configured(known, transport, old[known.conf] or "", keeps) }
  if transport == "tls" then new[known.qemu] = conf.set(old[known.qemu] or "", "migrate_tls_force", 1) end
  if transport ~= "ssh" and not known.by_sockets and known.arguments then
    local file, name = known.arguments.file, known.arguments.name
    new[file] = daemon.with_argument(old[file] or "", name, "--listen")
  end
  for path, text in pairs(new) do
    if text == (old[path] or "") then new[path] = nil end
  end
  return new
end

-- What libvirtd's files and sockets become. Says whether it was restarted for it.
local function configure(run, one, known, its_nova)
  local transport, old = run.saved.transport, daemon.texts(one, known)
  local keeps = keeps_tcp(its_nova, known, old)
  local open = daemon.is_open(old[known.conf] or "") and not keeps
  local texts, sockets = new_texts(transport, known, keeps, old), daemon.sockets_for(known, transport, open)
  local changed = (transport == "tcp" or keeps) and window.guard(one, known)
  local wanted = known.by_sockets and known.sockets[transport]
  if wanted and not known.enabled[transport] then set_enabled(one, wanted, true) end
  if sockets.without[1] and known.enabled.tcp then set_enabled(one, sockets.without[1], false) end
  if changed or next(texts) or #sockets.with + #sockets.without > 0
    or (run.saved.renewed or {})[one.name] then
    restart(one, known, sockets, texts)
    return true
  end
end

local function prepare_one(run, one)
  local known, its_nova, said = daemon.of(one), nova.of(one), {}
  local transport = run.saved.transport
  local encrypts = transport == "tls"
    or conf.get(shared.text(one, known.qemu) or "", "migrate_tls_force") == 1
  local plan = its_nova and nova.plan(one, its_nova, transport, names.address(run, one), encrypts)
    or { files = {}, said = {}, notes = {} }
  local function change()
    for _, file in ipairs(plan.files) do one:write(file.path, file.text) end
    if configure(run, one, known, its_nova) then said[#said + 1] = known.ports end
  end
  if #plan.files > 0 then
    with_compute_stopped(one, compute_of(one), change)
    said[#said + 1] = "nova.conf"
  else
    change()
  end
  for _, note in ipairs(plan.notes) do run:say(("%s: %s"):format(one.name, note)) end
  return #said > 0 and ("%s: %s"):format(one.name, table.concat(said, ", ")) or nil
end

local function prepare_all(run)
  local said = {}
  for _, one in ipairs(run.hosts) do said[#said + 1] = prepare_one(run, one) end
  return #said == 0 and "right already" or table.concat(said, "; ")
end

local MASK = ("*"):rep(8)

-- A text whose secrets nobody keeps any more.
local function is_masked(text, now)
  return text and text:find(MASK, 1, true) and not now:find(MASK, 1, true)
end

-- What libvirtd's files were, of those that are as the run left them; one that was not there is taken away.
local function old_texts(run, one, known, was)
  local back, changed = {}, {}
  local keeps = keeps_tcp(nova.of(one), known, was.texts)
  each_text(new_texts(run.saved.transport, known, keeps, was.texts), function(path, made)
    local now = shared.text(one, path) or ""
    if is_masked(was.texts[path], now) then
      changed[#changed + 1] = path
    elseif now == made and was.texts[path] then
      back[path] = was.texts[path]
    elseif now == made then
      one:remove(path)
    elseif now ~= (was.texts[path] or "") then
      changed[#changed + 1] = path
    end
  end)
  return back, changed
end

local function sockets_back(known, was)
  local sockets = { with = {}, without = {} }
  for transport, active in pairs(was.active) do
    local is_active, socket = known.active[transport], known.sockets[transport]
    if active and not is_active then table.insert(sockets.with, socket) end
    if not active and is_active then table.insert(sockets.without, socket) end
  end
  return sockets
end

local function put_back(run, one, was)
  local known = daemon.of(one)
  local texts, changed = old_texts(run, one, known, was)
  local sockets = sockets_back(known, was)
  local restarted = not was.pid or was.pid ~= pid_of(one, known) -- or may have been
  if restarted or next(texts) or #sockets.with + #sockets.without > 0 then
    with_compute_stopped(one, was.compute, function() restart(one, known, sockets, texts) end)
  elseif was.compute then -- an undo that was cut off may have left it stopped
    one:service(was.compute):start()
  end
  local keeps = keeps_tcp(nova.of(one), known, was.texts)
  if not was.guarded and (run.saved.transport == "tcp" or keeps) then window.forget(one) end
  if #changed > 0 then
    error(("%s on %s: somebody else changed it since, so it was left as it is")
      :format(table.concat(changed, ", "), one.name), 0)
  end
end

-- The other files are as they were: a libvirtd that read others since reads these.
local function put_all_back(run)
  local first
  for _, one in ipairs(run.hosts) do
    local was = (run.saved.daemons or {})[one.name]
    local done, problem = pcall(put_back, run, one, was)
    if not done then first = first or problem end
  end
  if first then error(first, 0) end
end

host.configure = prepare("libvirt's settings and Nova's", prepare_all, put_all_back)

-- ---- the proof ----

host.libvirt_answers = prepare("each libvirtd lets the others in", function(run)
  local way = run.saved.transport
  if run.preview then return ("would be asked, by qemu+%s"):format(way) end
  local found, count = {}, 0
  each_pair(run, function(from, to)
    local why = from:refused_by(("qemu+%s://%s/system"):format(way, to.name))
    count = count + 1
    if way == "tcp" and not why then
      found[#found + 1] = ("%s lets %s in without a window"):format(to.name, from.name)
    elseif way ~= "tcp" and why then
      found[#found + 1] = ("%s is not let in by %s (%s)"):format(from.name, to.name, why)
    end
  end)
  common.refuse_all(run, found)
  local uri, site = ("qemu+%s://%%s/system"):format(way), run.hosts[1].settings.libvirt.uri
  if site:match("%+(%w+)://") ~= way then
    run:say(("For migrun itself: libvirt = { uri = \"%s\" } in the site file"):format(uri))
  end
  if way == "tcp" then return "shut to all; each move opens a window for its two hosts" end
  return count == 0 and "not known: one host alone" or ("%d of %d"):format(count, count)
end)

---All of them, in their order.
host.all = { host.is_known, host.is_closed, host.is_at_rest, host.names_are_right, host.transport_is_chosen,
  host.certificates_fit, host.mend_names, host.let_in_by_ssh, host.place_certificates, host.configure,
  host.libvirt_answers }

return host
