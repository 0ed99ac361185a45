-- SPDX-License-Identifier: MIT
-- Of the two hosts: that they are two, reach each other, and agree on users and time.
local common = require "migrun.check.common"
local names = require "migrun.host.names"
local tls = require "migrun.host.tls"
local window = require "migrun.host.window"
local step, contains = common.there, common.contains

local check = {}

-- libvirt's own defaults where a URI names no port (https://libvirt.org/uri.html), and where migrations
-- arrive (migration_port_min and _max of qemu.conf).
local transport_ports = { tcp = 16509, tls = 16514, ssh = 22 }
local MIGRATION_PORTS = { 49152, 49215 }

local function conf_of(host) return host.facts.libvirt.conf or {} end

check.destination_is_another_host = step("destination is another host", function(run)
  local here, there = run.source.facts, run.dest.facts
  if here.boot_id == there.boot_id or here.machine_id == there.machine_id then
    run:refuse(("%s and %s are the same machine (machine id %s), or one was cloned from the other with its "
      .. "id: give each its own (systemd-machine-id-setup)")
      :format(run.source.name, run.dest.name, there.machine_id))
  end
  return ("%s: libvirt %s, QEMU %s"):format(run.dest.name, there.libvirt.libvirt, there.libvirt.hypervisor)
end)

local function transport_of(uri) return uri:match("%+(%w+)://") or "tls" end

local function libvirt_port(uri)
  local port = (uri .. "/"):match("^%w+%+?%w*://[^/]*:(%d+)/") or transport_ports[transport_of(uri)]
  return math.tointeger(tonumber(port or 16509))
end

local function migration_ports(host)
  local conf = conf_of(host)
  return tonumber(conf.migration_port_min) or MIGRATION_PORTS[1], tonumber(conf.migration_port_max)
    or MIGRATION_PORTS[2]
end

-- A port behind a firewall does not answer; one that nobody listens on yet refuses at once.
local function is_blocked(tried)
  return not tried.open and not tried.error:find("refused", 1, true)
end

-- A name that leads back to the host that asks, as the 127.0.1.1 of many /etc/hosts.
local function refuse_own_address(run, from, name, address)
  if address and (address:find("^127%.") or address == "::1" or contains(from.facts.addresses, address)) then
    run:refuse(("%s is %s for %s, which is %s itself: put its true address into /etc/hosts there, or into "
      .. "the name server")
      :format(name, address, from.name, from.name))
  end
end

-- Under which name, or address, and on which ports the guest's memory arrives at a host: by the site's own
-- migrate_uri, else by its qemu.conf, else by the name that its libvirtd has.
local function arrival(host)
  local uri, conf = host.settings.libvirt.migrate_uri, conf_of(host)
  local name, port = (uri or ""):gsub("%%s", host.name):match("^%w+:/*%[?([^%]/?]-)%]?:?(%d*)[/?]?$")
  if name and name ~= "" then
    local only = math.tointeger(tonumber(port))
    local first, last = migration_ports(host)
    return { name = name, first = only or first, last = only or last, setting = "migrate_uri of the site "
      .. "file" }
  end
  local first, last = migration_ports(host)
  return { name = conf.migration_host or host.facts.libvirt.hostname or host.name, first = first, last = last,
    setting = conf.migration_host and "migration_host in its qemu.conf" }
end

local anywhere = { ["0.0.0.0"] = true, ["::"] = true }

-- QEMU there listens on migration_address, and the source is sent to where the name leads: either has to be
-- that host's own.
local function refuse_foreign_address(run, from, to, at, address)
  local own, conf = to.facts.addresses, conf_of(to)
  local listens = conf.migration_address
  if listens and not anywhere[listens] and not contains(own, listens) then
    run:refuse(("migration_address in the qemu.conf of %s is %s, which is %s: its QEMU could not listen "
      .. "there "
      .. "(remove the line, or write %s's own)"):format(to.name, listens,
      contains(from.facts.addresses, listens) and ("an address of %s"):format(from.name)
      or ("no address of %s"):format(to.name), to.name))
  end
  if at.setting and address and not contains(own, address) then
    run:refuse(("%s leads from %s to %s (%s), which is no address of %s: the guest's memory would be sent "
      .. "there")
      :format(at.setting, from.name, at.name, address, to.name))
  end
end

-- Whether migrations from one host arrive at the other. answers: of ports that were tried already.
-- Nobody listens there before a migration, and a firewall that rejects answers as such a port does: nil, or
-- what cannot be known.
local function reach_migrations(run, from, to, at, answers, say)
  local ports = at.first == at.last and { at.first } or { at.first, at.last }
  local there = answers or from:reach(at.name, ports)
  refuse_own_address(run, from, at.name, there.address)
  refuse_foreign_address(run, from, to, at, there.address)
  for _, port in ipairs(ports) do
    if is_blocked(there.ports[port]) then
      return say(run, ("%s cannot reach %s:%d (%s): migrations arrive on ports %d-%d, which a firewall "
        .. "should "
        .. "let through"):format(from.name, at.name, port, there.ports[port].error, at.first, at.last))
    end
  end
  for _, port in ipairs(ports) do
    if not there.ports[port].open then return " (closed yet: a firewall that rejects looks the same)" end
  end
end

local function ports_text(at)
  return at.first == at.last and ("%d"):format(at.first) or ("%d-%d"):format(at.first, at.last)
end

-- A login is tried where there is one; plain TCP has none, and other URIs name programs of the site's own.
local function refuse_without_login(run, from, to)
  local uri = to.settings.libvirt.uri:gsub("%%s", function() return names.in_uri(to.name) end)
  local transport = uri:match("^qemu%+(%a+)://[^/?]+/system$")
  if transport == "tls" then tls.ask_dates(run, { from, to }) end
  if transport ~= "tls" and transport ~= "ssh" then return end
  local why = from:refused_by(uri)
  if why and transport == "ssh" then
    local user = uri:match("://(.-)@") or "root"
    run:refuse(("root on %s, as whom libvirt there logs in, is not let in by %s (%s: %s): see it as root on "
      .. "%s "
      .. "(ssh %s@%s true), or let migrun prepare-host.lua %s %s set a way up"):format(from.name, to.name,
      uri,
      why, from.name, user, to.name, from.name, to.name))
  elseif why then
    run:refuse(("libvirt of %s is not let in by that of %s (%s: %s): migrun prepare-host.lua %s %s sets a "
      .. "way up"):format(from.name, to.name, uri, why, from.name, to.name))
  end
end

-- The way back is for the guest's next move: where it is closed, that is said.
local function ask_way_back(run, source, dest)
  local at, port = arrival(source), libvirt_port(source.settings.libvirt.uri)
  local asked = at.name == source.name and { port, at.first, at.last } or { port }
  local ok, here = pcall(dest.reach, dest, source, asked)
  if not ok then
    if type(here) ~= "table" or here.domain ~= "host" then error(here, 0) end
    return run:warn(("the way back is closed: %s"):format(here.message))
  end
  local function warn(_, text) run:warn("the way back is closed: " .. text) end
  refuse_own_address(run, dest, source.name, here.address)
  if is_blocked(here.ports[port]) then
    return warn(run, ("%s cannot reach %s:%d (%s)"):format(dest.name, source.name, port,
      here.ports[port].error))
  end
  if at.name == source.name then reach_migrations(run, dest, source, at, here, warn) end
end

check.hosts_reach_each_other = step("hosts reach each other", function(run)
  local source, dest = run.source, run.dest
  local at, port = arrival(dest), libvirt_port(dest.settings.libvirt.uri)
  if at.name:find("^localhost") then
    run:refuse(("libvirtd on %s calls itself %s, and %s would be told to send the guest there: give its "
      .. "own address a line with its name in /etc/hosts"):format(dest.name, at.name, source.name))
  end
  window.warn_of_open(run, { source, dest })
  local there = source:reach(dest, { port, at.first, at.last })
  refuse_own_address(run, source, dest.name, there.address)
  local is_guarded = window.is_guarded(dest)
  if is_guarded and there.ports[port].open and transport_of(dest.settings.libvirt.uri) == "tcp" then
    window.refuse_without_rules(run, dest)
  elseif not there.ports[port].open and not is_guarded then
    run:refuse(("%s cannot reach libvirtd on %s:%d (%s): is it listening there, and does a firewall let it "
      .. "through?")
      :format(source.name, dest.name, port, there.ports[port].error))
  end
  refuse_without_login(run, source, dest)
  local unknown = reach_migrations(run, source, dest, at, at.name == dest.name and there, run.refuse)
  ask_way_back(run, source, dest)
  return ("%s → %s:%d, %s%s%s · %s → %s")
    :format(source.name, dest.name, port, at.name ~= dest.name and at.name ~= (dest.facts.libvirt.hostname
    or dest.name) and at.name .. ":" or "", ports_text(at), unknown or "",
    dest.name, source.name)
end, { topic = "transport" })

check.guest_is_not_on_destination = step("guest is not there yet", function(run)
  local guest, there = run.instance, run.dest.facts
  for _, domain in ipairs(there.libvirt.domains) do
    local same = domain.uuid == guest.uuid
    if same and domain.state == "paused" and domain.reason == "migrating" then
      run:refuse(("a migration of %s to %s is still running: wait for its end (virsh domjobinfo %s on %s), "
        .. "or end the run that began it (migrun recover)")
        :format(guest.name, run.dest.name, guest.name, run.source.name))
    elseif same and domain.state ~= "shut off" then
      run:refuse(("%s is %s on %s: find out which one is real before anything else")
        :format(guest.name, domain.state, run.dest.name))
    elseif same or domain.name == guest.name and domain.state == "shut off" then
      run:refuse(("%s is defined on %s, shut off: when nothing else needs it, remove it there with virsh "
        .. "undefine --keep-nvram %s")
        :format(same and guest.name or ("another guest of the name %s (%s)"):format(domain.name, domain.uuid),
        run.dest.name, domain.uuid))
    elseif domain.name == guest.name then
      run:refuse(("another guest of the name %s (%s) is %s on %s, and libvirt accepts no second one: "
        .. "rename one of them (virsh domrename, shut off)")
        :format(domain.name, domain.uuid, domain.state, run.dest.name))
    end
  end
  for _, process in ipairs(there.guests or {}) do
    if process.uuid == guest.uuid then
      run:refuse(("a QEMU of it (pid %d) runs on %s though libvirtd does not know it: find out why before "
        .. "anything else")
        :format(process.pid, run.dest.name))
    end
  end
  return ("neither running nor defined on %s"):format(run.dest.name)
end)

local function user_text(qemu)
  return ("%s:%s (%s:%s)"):format(qemu.user, qemu.group, qemu.uid or "unknown", qemu.gid or "unknown")
end

check.same_qemu_user = step("same QEMU user", function(run)
  local label = run.instance:xml():get("seclabel[@type='static'][@model='dac']/label")
  local here, there = common.qemu_user(run.source, label), common.qemu_user(run.dest, label)
  if not here.uid or here.uid ~= there.uid or here.gid ~= there.gid then
    run:refuse(("QEMU is %s on %s and %s on %s: give user and group the same numbers on both (usermod -u, "
      .. "groupmod -g), or the guest's files belong to somebody else on one of them")
      :format(user_text(here), run.source.name, user_text(there), run.dest.name))
  end
  return user_text(here) .. " on both hosts"
end, { topic = "users" })

-- By how many seconds at least and at most a host's clock is ahead of this machine's: its first word came
-- after the question was sent, its last before the answer was there.
local function ahead(host)
  local facts = host.facts
  return facts.told - facts.clock.answered, facts.time - facts.clock.asked
end

check.clocks_agree = step("clocks agree", function(run)
  local source_least, source_most = ahead(run.source)
  local dest_least, dest_most = ahead(run.dest)
  local least, most = math.max(dest_least - source_most, source_least - dest_most),
    math.max(dest_most - source_least, source_most - dest_least)
  if least > 1 then
    run:refuse(("the clocks of %s and %s are at least %.1f s apart, and the guest's would jump by it: "
      .. "check NTP on both (timedatectl)")
      :format(run.source.name, run.dest.name, least))
  end
  return ("at most %.2f s apart"):format(most)
end, { topic = "clock" })

local function is_encrypted(run)
  return conf_of(run.source).migrate_tls_force == 1 or conf_of(run.dest).migrate_tls_force == 1
end

check.memory_can_be_encrypted = step("certificates of QEMU", function(run)
  tls.ask_memory(run, run.dest.name)
  return ("memory encrypted by TLS, with certificates of both; %s's is for its name"):format(run.dest.name)
end, { topic = "transport", when = function(run) return is_encrypted(run) end })

check.transport_is_guarded = step("transport is guarded", function(run)
  if is_encrypted(run) then
    return "memory encrypted by TLS (migrate_tls_force)"
  end
  run:warn(("the guest's memory goes from %s to %s unencrypted, unless the migration has the flag TLS: "
    .. "migrun prepare-host.lua -p transport=tls %s %s")
    :format(run.source.name, run.dest.name, run.source.name, run.dest.name))
  return "memory unencrypted without the flag TLS"
end)

return check
