-- SPDX-License-Identifier: MIT
-- Of the guest's network: that what its interfaces are plugged into is on the destination, too, and leads to
-- the same place.
local common = require "migrun.check.common"
local destination = require "migrun.destination"
local xml = require "migrun.xml"

local check = {}

local function link(host, name)
  for _, interface in ipairs(host.facts.interfaces or {}) do
    if interface.name == name then return interface end
  end
end

-- What a bridge's own ports lead to: those that are no guest's. A guest's are taps, and go with it.
local guests_own = { tun = true, macvtap = true, openvswitch = true }
local function uplinks(host, name)
  local ports = {}
  for _, interface in ipairs(host.facts.interfaces or {}) do
    if interface.master == name and not guests_own[interface.kind
      or ""] then ports[#ports + 1] = interface end
  end
  return ports
end

-- The one VLAN that a bridge's ports are in; nil: none, or several.
local function vlan_of(host, name)
  local ports = uplinks(host, name)
  return #ports == 1 and ports[1].vlan or nil
end

local function names(list)
  local texts = {}
  for i, entry in ipairs(list) do texts[i] = entry.name end
  return table.concat(texts, ", ")
end

-- Of a Linux bridge that exists there, what leads elsewhere than here.
local function compare_bridges(run, name, here, there)
  local source, dest = run.source, run.dest
  if not there.up then
    return nil, ("bridge %s is down on %s: ip link set %s up"):format(there.name, dest.name, there.name)
  end
  local one, other = vlan_of(source, name), vlan_of(dest, there.name)
  if one and other and one ~= other then
    return nil, ("bridge %s is on VLAN %d on %s, and %s on VLAN %d on %s: another network")
      :format(there.name, other, dest.name, name, one, source.name)
  end
  local out_here, out_there = uplinks(source, name), uplinks(dest, there.name)
  if #out_here > 0 and #out_there == 0 then
    return nil, ("bridge %s on %s leads nowhere: it has no port as %s has here (%s): plug its interface in")
      :format(there.name, dest.name, name, names(out_here))
  end
  if here and here.mtu ~= there.mtu then
    run:warn(("the MTU of bridge %s is %d on %s and %d on %s: larger packets may be lost")
      :format(there.name, there.mtu, dest.name, here.mtu, source.name))
  end
  return ("bridge %s there, too, MTU %d%s"):format(there.name, there.mtu,
    other and (", VLAN %s"):format(other) or #out_there > 0 and (", by %s"):format(names(out_there)) or "")
end

local function bridge(run, name, wanted, is_switch)
  local here, there = link(run.source, name), link(run.dest, wanted)
  if not there then
    return nil, ("bridge %s is not on %s: make it there, or map it to another one (maps in the site file)")
      :format(wanted, run.dest.name)
  end
  local kind = there.kind or "device"
  if is_switch and kind ~= "openvswitch" then
    return nil, ("%s is a %s on %s, not a bridge of Open vSwitch"):format(wanted, kind, run.dest.name)
  elseif is_switch then
    return ("Open vSwitch's %s there, too"):format(wanted)
  elseif kind ~= "bridge" then
    return nil, ("%s is a %s on %s, not a bridge"):format(wanted, kind, run.dest.name)
  end
  return compare_bridges(run, name, here, there)
end

local function named(list, name)
  for _, entry in ipairs(list) do
    if entry.name == name then return entry end
  end
end

-- A libvirt network. One with a bridge of the host's is as good as that; others are each host's own.
local function network(run, here, there)
  local name, dest = there:get("source/@network"), run.dest
  local known = named(common.resources(run, dest, "networks"), name)
  if not known then
    return nil, ("libvirt's network %s is not defined on %s: virsh net-dumpxml %s here, net-define and "
      .. "net-autostart there"):format(name, dest.name, name)
  elseif not known.active then
    return nil, ("libvirt's network %s is not started on %s: virsh net-start %s"):format(name, dest.name,
      name)
  end
  local group = there:get("source/@portgroup")
  if group and not common.contains(known.portgroups, group) then
    return nil, ("libvirt's network %s has no portgroup %s on %s"):format(name, group, dest.name)
  end
  local own = named(common.resources(run, run.source, "networks"), here:get("source/@network"))
  local mode = known.forward or "isolated"
  if own and (own.forward or "isolated") ~= mode then
    return nil, ("libvirt's network %s is %s on %s, and %s on %s: another network"):format(name, mode,
      dest.name, own.forward or "isolated", run.source.name)
  end
  if mode == "bridge" and known.bridge then
    local switch = there:get("virtualport/@type") == "openvswitch"
    local text, problem = bridge(run, own and own.bridge or known.bridge, known.bridge, switch)
    return text and ("network %s, %s"):format(name, text), problem and ("network %s: %s"):format(name,
      problem)
  end
  if mode == "nat" or mode == "route" or mode == "isolated" then
    run:warn(("libvirt's network %s (%s) is each host's own: the guest's connections through it end")
      :format(name, mode))
  end
  return ("network %s (%s) started there, too"):format(name, mode)
end

local function device(run, here, there)
  local name, one = there:get("source/@dev"), link(run.source, here:get("source/@dev"))
  local other = link(run.dest, name)
  if not other then
    return nil, ("%s, which its macvtap is to be on, is not on %s: map it to another one (maps in the site "
      .. "file)"):format(name, run.dest.name)
  elseif not other.up then
    return nil, ("%s is down on %s: ip link set %s up"):format(name, run.dest.name, name)
  elseif one and one.vlan and other.vlan and one.vlan ~= other.vlan then
    return nil, ("%s is on VLAN %d on %s, and on VLAN %d on %s: another network"):format(name, other.vlan,
      run.dest.name, one.vlan, run.source.name)
  elseif one and one.mtu ~= other.mtu then
    run:warn(("the MTU of %s is %d on %s and %d on %s: larger packets may be lost")
      :format(name, other.mtu, run.dest.name, one.mtu, run.source.name))
  end
  return ("%s there, too, MTU %d"):format(name, other.mtu)
end

-- QEMU connects to the socket of a switch that listens, or makes it for one that connects.
local function vhost_user(run, _, there)
  local path, mode = there:get("source/@path") or "?", there:get("source/@mode")
  if mode == "server" then
    local folder = path:match("^(.*)/[^/]*$")
    local stat = folder and run.dest:stat(folder ~= "" and folder or "/")
    if not stat or stat.type ~= "directory" then
      return nil, ("%s, where its vhost-user socket is to be made, is no folder of %s"):format(folder or path,
        run.dest.name)
    end
    return ("vhost-user, QEMU makes %s; that a switch connects to it is not known"):format(path)
  end
  local stat = run.dest:stat(path)
  if not stat or stat.type ~= "socket" then
    return nil, ("no vhost-user socket %s on %s: does its switch (Open vSwitch with DPDK, VPP) run there, "
      .. "with "
      .. "that port?"):format(path, run.dest.name)
  end
  return ("vhost-user socket %s there, too"):format(path)
end

local function made_before(run, _, there)
  local name = there:get("target/@dev")
  if there:get("target/@managed") ~= "no" then return "a tap of its own" end
  if not name or not link(run.dest, name) then
    return nil, ("its tap %s, which libvirt does not make (managed='no'), is not on %s"):format(name or "?",
      run.dest.name)
  end
  return ("tap %s there, too"):format(name)
end

local kinds = {
  bridge = function(run, here, there)
    return bridge(run, here:get("source/@bridge"), there:get("source/@bridge"),
      there:get("virtualport/@type") == "openvswitch")
  end,
  network = network, direct = device, vhostuser = vhost_user, ethernet = made_before,
}

local function filter(run, there)
  local name = there:get("filterref/@filter")
  if name and not common.contains(common.resources(run, run.dest, "filters"), name) then
    return ("libvirt's network filter %s is not defined on %s: virsh nwfilter-dumpxml %s here, "
      .. "nwfilter-define "
      .. "there"):format(name, run.dest.name, name)
  end
end

local function interfaces(document)
  local parsed = {}
  for i, fragment in ipairs(document:fragments("devices/interface")) do parsed[i] = xml.parse(fragment) end
  return parsed
end

check.network = common.there("its network is there", function(run)
  local here, there = interfaces(run.instance:xml()), interfaces(destination.document(run))
  local seen, problems = {}, {}
  if #there > 0 and not run.dest.facts.interfaces then
    run:refuse(("the interfaces of %s are not known"):format(run.dest.name))
  end
  for i, interface in ipairs(there) do
    local kind, mac = interface:get("@type"), interface:get("mac/@address") or ("interface %d"):format(i)
    -- Live, an interface of libvirt's network has the type of what it is plugged into.
    local ask, text, problem = kinds[interface:get("source/@network") and "network" or kind]
    if ask then text, problem = ask(run, here[i], interface) end
    if problem then problems[#problems + 1] = ("%s: %s"):format(mac, problem) end
    if text then seen[#seen + 1] = ("%s: %s"):format(mac, text) end
    problem = filter(run, interface)
    if problem then problems[#problems + 1] = ("%s: %s"):format(mac, problem) end
  end
  common.refuse_all(run, problems)
  return #seen > 0 and table.concat(seen, "; ") or "it has no network that a host must have"
end, { topic = "network", when = function(run) return common.has(run, "devices/interface") end })

return check
