-- SPDX-License-Identifier: MIT
-- Whether two hosts see one file, and what libvirt takes for shared storage.
local sharing = {}

-- The file behind a path, as it was seen with the facts, or as it is now.
function sharing.behind(host, path)
  local seen = host.facts.storage[path]
  return seen or host:storage({ path })[path]
end

-- Each write gives a file another time of change, to the nanosecond, which nobody can set: two hosts that see
-- the same one see one file.
function sharing.is_same_state(one, other)
  return one.size == other.size and one.mtime == other.mtime and one.ctime == other.ctime
    and (one.inode == other.inode or one.ctime % 1000000000 ~= 0)
end

-- What libvirt takes for shared (by the kind of the file system, whatever it really is), and of these what
-- stays coherent by itself.
local shared_types = {
  nfs = true, nfs4 = true, gfs2 = true, ocfs2 = true, afs = true, cifs = true, smb3 = true, ceph = true,
  gpfs = true, acfs = true, beegfs = true,
  ["fuse.glusterfs"] = true, ["fuse.quobyte"] = true,
}
sharing.cluster_types = { gfs2 = true, ocfs2 = true, ceph = true }

-- The type that libvirt sees: for FUSE it takes the first mount of the longest target.
function sharing.type_for_libvirt(host, seen)
  if seen.fstype:sub(1, 4) ~= "fuse" then return seen.fstype end
  local best
  for _, mount in ipairs(host.facts.mounts or {}) do
    local inside = mount.target == "/" or seen.path == mount.target
      or seen.path:sub(1, #mount.target + 1) == mount.target .. "/"
    if inside and (not best or #mount.target > #best.target) then best = mount end
  end
  return best and best.fstype or seen.fstype
end

function sharing.is_listed(host, path)
  for _, folder in ipairs((host.facts.libvirt.conf or {}).shared_filesystems or {}) do
    folder = folder:gsub("/+$", "")
    if path == folder or path:sub(1, #folder + 1) == folder .. "/" then return true end
  end
  return false
end

---Whether libvirt on a host takes a file (as storage has it) for one that other hosts have, too.
function sharing.is_known(host, seen)
  return shared_types[sharing.type_for_libvirt(host, seen)] or sharing.is_listed(host, seen.path)
end

return sharing
