-- SPDX-License-Identifier: MIT
-- Prepare steps: what is made ready for a move, and undone when it fails.
local prepare = {}

local function token_path(run)
  local folder = run.instance:directory()
  if not folder then
    run:refuse(("the instance has no folder in %s on %s")
      :format(run.source.settings.instances, run.source.name))
  end
  return folder .. "/.migrun-token"
end

-- For a site that wants shared storage proven surer than by what is seen of the disks: a new word that is
-- written on the source is read on the destination.
prepare.token_seen_on_both = {
  "a token is seen on both hosts",
  phase = "prepare",
  run = function(run)
    local source, dest, path = run.source, run.dest, token_path(run)
    local token = ("%s %d %x\n"):format(run.instance.uuid, os.time(), math.random(0))
    if source:stat(path) then
      run:refuse(("%s is on %s already, of an earlier run: look at it, and remove it")
        :format(path, source.name))
    end
    source:write(path, token, { mode = tonumber("600", 8) })
    if run.preview then
      source:remove(path)
      return ("would be written on %s, read on %s, and removed"):format(source.name, dest.name)
    end
    if not dest:stat(path) then
      run:refuse(("%s, just written on %s, is not on %s: the folder is not shared")
        :format(path, source.name, dest.name))
    end
    local read = dest:read(path)
    if read ~= token then
      run:refuse(("%s holds something else on %s than was just written on %s")
        :format(path, dest.name, source.name))
    end
    source:remove(path)
    return ("written on %s, read on %s, removed"):format(source.name, dest.name)
  end,
}

return prepare
