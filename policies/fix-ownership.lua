-- SPDX-License-Identifier: MIT
-- Gives a running guest's files back to whom libvirt gives them at its start, where a migration left them to root.
local check = require "migrun.check"
local fixup = require "migrun.fixup"

return {
  api     = 1,
  summary = "Put the ownership of a running guest's files right",
  takes   = { "instance" },
  steps   = { check.guest_is_running, fixup.own_instance_files },
}
