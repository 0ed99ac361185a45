-- SPDX-License-Identifier: MIT
-- The guest's network through a move: network.watch, before it, listens on the destination for what the guest
-- will announce there, and asks the site's probe; network.answers, after it, tells whether the guest was
-- announced and answers. Whoever does not hear of the move (a switch, a neighbour) goes on sending to the
-- source. Both do as the site file says (network); network.with { … } makes a pair that does otherwise.
local xml = require "migrun.xml"

local network = {}

local SECONDS_BEFORE = 3 -- for an answer before the move

local WAYS = { "ping", "tcp", "session" }
local WORDS = { rarp = "RARP", garp = "gratuitous ARP", arp = "ARP" }
local NOT_OF_THE_HOST = { vhostuser = true, vdpa = true } -- frames pass its kernel by

-- ---- the guest's interfaces ----

-- {mac, tap: the host's end, type}; before the move a tap is the source's. One whose link was set down
-- (virsh domif-setlink) announces nothing, and is left out.
local function interfaces(document)
  local all = {}
  for _, fragment in ipairs(document:fragments("devices/interface")) do
    local one = xml.parse(fragment)
    local mac = one:get("mac/@address")
    if mac and one:get("link/@state") ~= "down" then
      all[#all + 1] = { mac = mac:lower(), type = one:get("@type"), tap = one:get("target/@dev") }
    end
  end
  return all
end

local function macs_of(faces)
  local macs = {}
  for i, face in ipairs(faces) do macs[i] = face.mac end
  return macs
end

-- ---- what was heard ----

-- QEMU's and the guest's frames come in by its tap; macvtap's are the host's own to send.
local function is_from(face, frame)
  return frame.mac == face.mac and frame.interface == face.tap and frame.out == (face.type == "direct")
end

-- What a guest announced by one interface: {rarp, garp (numbers), first, address, on = by which of the host's
-- interfaces it was sent on}. first nil: nothing.
local function announced(watched, face)
  local heard = { rarp = 0, garp = 0, on = {} }
  for _, frame in ipairs(watched.frames) do
    if is_from(face, frame) then
      heard.address = heard.address or frame.address
      if frame.kind ~= "arp" then
        heard[frame.kind] = heard[frame.kind] + frame.count
        heard.first = math.min(heard.first or frame.first, frame.first)
      end
    end
  end
  for _, frame in ipairs(watched.frames) do
    local sent_on = heard.first and frame.mac == face.mac and frame.out and frame.kind ~= "arp"
      and frame.interface ~= face.tap and frame.last >= heard.first
    if sent_on and not heard.on[frame.interface] then
      heard.on[#heard.on + 1] = frame.interface
      heard.on[frame.interface] = true
    end
  end
  return heard
end

-- Its tap may lie in a network namespace of libvirt's own, too.
local function can_be_heard(host, face)
  return face.tap ~= nil and not NOT_OF_THE_HOST[face.type]
    and host:stat("/sys/class/net/" .. face.tap) ~= nil
end

-- Waits until each interface has announced enough, and returns what was heard; nil: nobody listens.
local function listen(host, faces, seconds, enough)
  local deadline, watched = os.time() + seconds, host:watched()
  local function complete()
    for _, face in ipairs(faces) do
      if face.heard and not enough(announced(watched, face), face) then return false end
    end
    return true
  end
  while watched and not complete() and os.time() < deadline do watched = host:watched(1) end
  return watched
end

local function numbers(heard)
  local said = {}
  for _, kind in ipairs { "rarp", "garp" } do
    if heard[kind] > 0 then said[#said + 1] = ("%d × %s"):format(heard[kind], WORDS[kind]) end
  end
  return table.concat(said, ", ")
end

-- All that was seen of these guests, for people: "5 × RARP in by vnet0, 5 × RARP out by eth0".
local function seen_text(run, watched, faces)
  if not watched then return ("nobody listened on %s"):format(run.dest.name) end
  local seen, ours = {}, {}
  for _, face in ipairs(faces) do ours[face.mac] = true end
  for _, frame in ipairs(watched.frames) do
    if ours[frame.mac] then
      seen[#seen + 1] = ("%d × %s %s by %s%s"):format(frame.count, WORDS[frame.kind],
        frame.out and "out" or "in", frame.interface, frame.vlan and (" (VLAN %d)"):format(frame.vlan) or "")
    end
  end
  if #seen == 0 then return ("nothing of it was seen on %s"):format(run.dest.name) end
  return ("seen of it on %s: %s"):format(run.dest.name, table.concat(seen, ", "))
end

-- ---- the probe ----

local function is_whole(value, least, most)
  return math.type(value) == "integer" and value >= least and value <= most
end

-- Mistakes of a policy's own options, as the site file's are found.
local function check_options(options)
  for key, value in pairs(options) do
    local fits = key == "announce" and is_whole(value, 0, 100) or key == "within" and is_whole(value, 1, 60)
      or key == "probe" and type(value) == "table"
    if not fits then
      error(("network.with takes probe, announce (0 to 100) and within (1 to 60 s), not %s = %s")
        :format(key, value), 3)
    end
  end
  local ways = 0
  for _, way in ipairs(WAYS) do ways = ways + (options.probe and options.probe[way] and 1 or 0) end
  if options.probe and ways ~= 1 then
    error("the probe of network.with is one of ping = true, tcp = PORT and session = PORT", 3)
  end
  return options
end

local function options_of(run, given)
  local all = {}
  for key, value in pairs(run.site.network) do all[key] = value end
  for key, value in pairs(given) do all[key] = value end
  return all
end

local function asker(run, probe) return probe.from == "here" and run.here or run.dest end

-- The guest's address and who knows it; nil: nobody does before it announces it.
local function known_address(run, probe)
  if probe.address then
    return (probe.address:gsub("%%s", function() return run.instance.title end)), "named by the probe"
  end
  if not run.nova.instance then return nil end
  local found
  for _, port in ipairs(run.nova:ports()) do
    for _, address in ipairs(port.addresses) do
      if not found or found:find(":", 1, true) and not address:find(":", 1, true) then found = address end
    end
  end
  return found, "Neutron's"
end

-- "10.0.0.5:22", "10.0.0.5 (ping)"
local function target(probe, address)
  return probe.tcp and ("%s:%d"):format(address, probe.tcp)
    or probe.session and ("%s:%d (TCP session)"):format(address, probe.session) or address .. " (ping)"
end

-- A port that refuses answers, too: a host that is not reached says nothing.
local function port_answers(host, port, address, seconds)
  local said
  for _ = 1, 3 do -- an error may come long before the time is over
    said = host:reach(address, port, seconds / 3).ports[port]
    if said.open or said.error == "Connection refused" then return true end
  end
  return false, said.error
end

-- Whether an address answers: true or false; why it does not, where somebody says so; and what was seen of
-- one that has been asked all the time. anew: it has not.
local function answers(host, probe, address, seconds, anew)
  if probe.tcp then return port_answers(host, probe.tcp, address, seconds) end
  local seen = not anew and host:answered(seconds) or nil
  local goes_on = seen
  if not seen then
    local ok, why = pcall(host.ask, host, address, probe.session)
    if not ok then return false, tostring(why) end
    seen = host:answered(seconds)
  end
  return seen.answered, seen.error, goes_on
end

-- ---- before the move ----

-- Asks the probe before the move: what does not answer now tells nothing later.
local function ask_before(run, probe, known)
  local address, whose = known_address(run, probe)
  if not address then return "its address is what it will announce" end
  local host = asker(run, probe)
  local ok, answered, why = pcall(answers, host, probe, address, SECONDS_BEFORE, true)
  if not ok then answered, why = false, answered end
  known.address, known.before = address, answered
  if not answered then
    run:warn(("%s gets no answer from %s even before the move%s: whether it answers after it will tell "
      .. "nothing"):format(host.name, target(probe, address), why and (" (%s)"):format(tostring(why)) or ""))
    return nil
  end
  return ("%s gets answers from %s, %s"):format(host.name, target(probe, address), whose)
end

local function watch_step(given)
  return {
    "watch its network", phase = "prepare",
    when = function(run) return run.dest ~= nil and #interfaces(run.instance:xml()) > 0 end,
    run = function(run)
      local options, faces, known = options_of(run, given), interfaces(run.instance:xml()), {}
      local ok, problem = pcall(run.dest.watch, run.dest, macs_of(faces))
      if not ok then
        run:warn(("%s cannot listen for what the guest announces: %s"):format(run.dest.name,
          tostring(problem)))
      end
      local said = ok and ("%s listens for %s"):format(run.dest.name, table.concat(macs_of(faces), ", "))
      local asked = options.probe and ask_before(run, options.probe, known)
      run.saved.network = known
      return said and asked and said .. "; " .. asked or said or asked or nil
    end,
  }
end

-- ---- after it ----

-- QEMU announces its guest five times when it has come, and again when it is told to. libvirt has no way of
-- its own to tell it that, and marks the guest (tainted: custom-monitor). Frames of migrun's own would not
-- do: on an Open vSwitch bridge they would teach it that the guest is the host itself.
local function announce(run, times)
  local answer = run.dest:command { "virsh", "-q", "-c",
    "qemu+unix:///system?socket=" .. run.dest.settings.libvirt.socket, "qemu-monitor-command",
    run.instance.uuid, ('{"execute":"announce-self","arguments":{"initial":100,"max":1000,"rounds":%d,'
    .. '"step":100}}'):format(times) }
  local problem = answer.out:match('"desc":"(.-)"')
  if problem then error("QEMU does not announce its guest: " .. problem, 0) end
end

local function announce_again(run, faces, options, watched)
  local before, all = {}, true
  for _, face in ipairs(faces) do before[face.mac] = watched and announced(watched, face).rarp or 0 end
  announce(run, options.announce)
  watched = listen(run.dest, faces, options.within, function(heard, face)
    return heard.rarp >= before[face.mac] + options.announce
  end)
  for _, face in ipairs(watched and faces or {}) do
    all = all and (not face.heard or announced(watched, face).rarp >= before[face.mac] + options.announce)
  end
  if watched and not all then
    run:warn(("not all of the %d more announcements were seen within %d s"):format(options.announce,
      options.within))
  end
  return watched
end

-- What was announced: {said = words, silent = MACs of which nothing was heard, address, says = the verdict's
-- words}.
local function judge(run, watched, faces)
  local all = { said = {}, silent = {}, says = "what it announced is not known" }
  if not watched then
    all.said[1] = "nobody listened for what it announced"
    return all
  end
  for _, face in ipairs(faces) do
    local heard = announced(watched, face)
    all.address = all.address or heard.address
    if not face.heard then
      table.insert(all.said, ("%s cannot be heard (%s)"):format(face.mac, face.type))
    elseif not heard.first then
      table.insert(all.silent, face.mac)
    else
      local on = table.concat(heard.on, ", ")
      table.insert(all.said, ("%s announced on %s (%s), %s"):format(face.mac, face.tap, numbers(heard),
        on ~= "" and "sent on by " .. on or "sent on by no other interface"))
      if on == "" then all.alone = true end
      all.says = all.alone and "announced on its host alone" or "announced to its network"
    end
  end
  if all.alone then
    run:warn(("no other interface of %s sent on what the guest announced: is its bridge joined to the "
      .. "network, and is that the right VLAN?"):format(run.dest.name))
  end
  return all
end

local function refuse_silence(run, why, seen)
  run:refuse(("its network is silent: %s; %s; what its interface is joined to: ssh %s bridge link (or "
    .. "ovs-vsctl show)"):format(why, seen, run.dest.name))
end

-- Asks the probe after the move. true: it answers; nil: that is not known. Refuses silence.
local function ask_after(run, options, known, heard, seen)
  local probe, said, address = options.probe, heard.said, known.address or heard.address
  if not address then
    run:warn("the guest's address is not known, so that it is not asked: give the probe an address")
    return nil
  end
  local host = asker(run, probe)
  local answered, why, asked = answers(host, probe, address, options.within)
  if answered then
    local gap = asked and known.before and (", longest gap %.2f s"):format(asked.longest) or ""
    heard.says = "its network answers" .. gap
    said[#said + 1] = ("%s answers %s%s"):format(target(probe, address), host.name, gap)
    return true
  end
  if known.before == false then
    said[#said + 1] = ("%s does not answer, as before the move"):format(target(probe, address))
    return nil
  end
  if probe.session and why then
    run:refuse(("its TCP session broke: %s from %s: %s"):format(target(probe, address), host.name, why))
  end
  refuse_silence(run, ("%s got no answer from %s within %d s%s"):format(host.name, target(probe, address),
    options.within, why and (" (%s)"):format(why) or ""), seen)
end

local function forecast(run, options, faces)
  local said = { ("after the move: is %s announced on %s?"):format(table.concat(macs_of(faces), ", "),
    run.dest and run.dest.name or "the destination") }
  local address = options.probe and known_address(run, options.probe)
  if options.probe then
    said[#said + 1] = ("does %s answer?"):format(address and target(options.probe, address) or "it")
  end
  if options.announce > 0 and run.dest then announce(run, options.announce) end
  return table.concat(said, " ")
end

local function answers_step(given)
  return {
    "network answers", phase = "fixup",
    when = function(run)
      return #interfaces(run.instance:xml()) > 0 and (run.preview or run.instance:host() == run.dest)
    end,
    run = function(run)
      local options, known = options_of(run, given), run.saved.network or {}
      if run.preview then return forecast(run, options, interfaces(run.instance:xml())) end
      local domain = run.dest.libvirt:domain(run.instance.uuid)
      local state = domain and domain:info().state or "gone"
      if state ~= "running" then return ("not asked: the guest is %s"):format(state) end
      local faces = interfaces(domain:xml())
      for _, face in ipairs(faces) do face.heard = can_be_heard(run.dest, face) end
      local wants_address = options.probe and not known.address -- which is in the guest's own ARP alone
      local watched = listen(run.dest, faces, options.within, function(heard)
        return heard.first and (heard.address or not wants_address)
      end)
      if options.announce > 0 then watched = announce_again(run, faces, options, watched) end
      local heard, seen = judge(run, watched, faces), seen_text(run, watched, faces)
      local answered = options.probe and ask_after(run, options, known, heard, seen)
      local silent = table.concat(heard.silent, ", ")
      if silent ~= "" and not answered and watched.lost == 0 then
        refuse_silence(run, ("%s was not announced on %s within %d s"):format(silent, run.dest.name,
          options.within), seen)
      elseif silent ~= "" then
        local lost = watched.lost > 0 and (" (%d frames were lost)"):format(watched.lost) or ""
        table.insert(heard.said, ("no announcement of %s was seen%s"):format(silent, lost))
      end
      known.says = heard.says
      run.saved.network = known
      return table.concat(heard.said, "; ")
    end,
    -- What was just seen.
    verify = function(run) return run.saved.network and run.saved.network.says end,
  }
end

---A pair of steps that does otherwise than the site file says: {watch, answers}. options: {probe = {ping =
---true} or {tcp = PORT} or {session = PORT}, with address and from; announce = number; within = seconds}, as
---in examples/site.lua.
---@param options table
---@return {watch: Step, answers: Step}
function network.with(options)
  local given = check_options(options or {})
  return { watch = watch_step(given), answers = answers_step(given) }
end

local site = network.with {}
network.watch, network.answers = site.watch, site.answers

return network
