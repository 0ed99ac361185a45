-- SPDX-License-Identifier: MIT
-- Restores the ownership that libvirt expects on a running guest's files, where a migration left them to
-- root.
local check = require "migrun.check"
local fixup = require "migrun.fixup"

return {
  api     = 1,
  summary = "Restore the ownership of a running guest's files",
  takes   = { "instance" },
  steps   = { check.guest_is_running, fixup.own_instance_files },
}
