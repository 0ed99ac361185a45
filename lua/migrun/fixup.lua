-- SPDX-License-Identifier: MIT
-- Fix-ups: steps that put right what a migration leaves behind, on the host where the guest is, after success
-- and after failure.
local network = require "migrun.network"
local owners = require "migrun.owners"

local fixup = {}

local function owner_text(file)
  return ("%s:%s"):format(file.stat.user or file.stat.uid, file.stat.group or file.stat.gid)
end

local function is_migruns(file) return file.stat and not file.alone and not file.outside end

local function count(number, one, more) return ("%d %s"):format(number, number == 1 and one or more) end

-- What is told of files that are alike, once: "a, b <text>".
local function told(files, text_of)
  local order, names = {}, {}
  for _, file in ipairs(files) do
    local text = text_of(file)
    if text and not names[text] then
      names[text], order[#order + 1] = {}, text
    end
    if text then table.insert(names[text], file.name or file.path) end
  end
  for i, text in ipairs(order) do order[i] = table.concat(names[text], ", ") .. " " .. text end
  return order
end

local states = {
  right = "right", open = "QEMU can open it as it is", held = "QEMU had it open",
  wrong = "QEMU cannot open it",
}

-- The files that migrun does not touch, and why.
local function untouched(host, files)
  local texts, alone = {}, {}
  for _, file in ipairs(files) do
    if file.alone and not alone[file.alone] then
      alone[file.alone], texts[#texts + 1] = true, "left alone: " .. file.alone
    end
  end
  local function looked_at(file)
    if file.unseen then return "not seen" end
    return not file.alone and file.outside and ("outside the instance's folder: %s, %s")
      :format(owner_text(file), states[file.state]) or nil
  end
  for _, text in ipairs(told(files, looked_at)) do texts[#texts + 1] = text end
  if #files > 0 and host.facts.libvirt.config_unseen then
    texts[#texts + 1] = ("libvirt of %s runs in a container, whose qemu.conf cannot be seen: not known "
      .. "whether it gives files to QEMU"):format(host.name)
  end
  return texts
end

-- The changes to make after the move, judged by the files as they are now.
local function forecast(run, files)
  local changes, texts = {}, untouched(run.dest, files)
  for _, file in ipairs(files) do
    if is_migruns(file) and file.uid ~= 0 then
      changes[#changes + 1] = ("%s → %s"):format(file.name, (owners.name(run.dest, file.uid, file.gid)))
    end
  end
  if #changes > 0 then
    table.insert(texts, 1,
      "after the move, where libvirt leaves them to root: " .. table.concat(changes, ", "))
  end
  return #texts > 0 and table.concat(texts, "; ") or "no file of it lies in the instance's folder"
end

-- Where libvirt of one host only takes files back and that of the other touches none, they stay root's.
local function warn_of_unequal(run, files)
  local host, other = run.instance:host(), run.source
  if host == run.source then other = run.dest end
  local function is_off(at) return at.facts.libvirt.conf.dynamic_ownership == 0 end
  if not other or not is_off(host) or is_off(other) then return end
  for _, text in ipairs(told(files, function(file)
    return file.stat and file.stat.uid == 0 and file.stat.gid == 0 and file.stat.mode & 6 ~= 6
      and "root's" or nil
  end)) do
    run:warn(("libvirt of %s gives files back to root, and that of %s, with dynamic_ownership = 0, gives "
      .. "none to QEMU: set it alike on both, and give back with chown on %s what QEMU needs: %s")
      :format(other.name, host.name, host.name, text))
  end
end

-- Gives a file to whom it should belong: "changed", or "refused" by the system, or that it "stays", as on NFS
-- with root_squash, where not even root may; and how that is told.
local function give(host, file)
  local user, both = owners.name(host, file.uid, file.gid)
  local change = ("%s %s → %s"):format(file.name, owner_text(file), user)
  local done, problem = pcall(host.chown, host, file.real, file.uid, file.gid)
  if done then return "changed", change end
  local is_refusal = type(problem) == "table" and (problem.domain == "system" or problem.domain == "refused")
  if not is_refusal then error(problem, 0) end
  if file.state == "wrong" then
    return "refused", ("%s; QEMU cannot open it as it is (%s): chown it to %s where that is allowed (of NFS "
      .. "with root_squash on its server)"):format(problem.message, owner_text(file), both)
  end
  return "stays", ("%s stays %s's (%s): %s")
    :format(file.name, owner_text(file), problem.message, states[file.state])
end

fixup.own_instance_files = {
  "own instance files",
  phase = "fixup",
  run = function(run)
    local host, files, right = run.instance:host(), owners.files(run), 0
    if run.preview and run.dest then return forecast(run, files) end
    local texts = { changed = {}, refused = {}, stays = {} }
    for _, file in ipairs(files) do
      if is_migruns(file) and file.state == "right" then
        right = right + 1
      elseif is_migruns(file) then -- one that is refused keeps no other file from its owner
        local what, text = give(host, file)
        table.insert(texts[what], text)
      end
    end
    warn_of_unequal(run, files)
    if #texts.refused > 0 then run:refuse(table.concat(texts.refused, "; ")) end
    local all = { #texts.changed > 0 and table.concat(texts.changed, ", ")
      or right > 0 and count(right, "file", "files") .. ", owned right already" or nil }
    for _, list in ipairs { untouched(host, files), texts.stays } do
      for _, text in ipairs(list) do all[#all + 1] = text end
    end
    return #all > 0 and table.concat(all, "; ") or "the instance has no files of its own here"
  end,
  -- Asked again at the end: what the verdict says was seen, not assumed.
  verify = function(run)
    local host, files, states_seen, unseen = run.instance:host(), owners.files(run), {}, nil
    for _, file in ipairs(files) do
      if file.state == "wrong" then
        local user, both = owners.name(host, file.uid, file.gid)
        run:refuse(("%s on %s belongs to %s, and should be %s's: chown %s %s")
          :format(file.real, host.name, owner_text(file), user, both, file.real))
      end
      if file.unseen then unseen = unseen or file.path end
      states_seen[file.state or file.alone or "unseen"] = true
    end
    local text = (states_seen.open or states_seen.held) and "files open to QEMU"
      or states_seen.right and "files owned right" or nil
    if not text and #files > 0 and not unseen then text = "files left alone" end
    if unseen then return ("%s%s not seen"):format(text and text .. ", " or "", unseen) end
    return text or "no file of it to own"
  end,
}

-- Needs network.watch before the move, to have heard what was announced.
fixup.network_answers = network.answers

return fixup
