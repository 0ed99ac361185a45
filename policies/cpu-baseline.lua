-- SPDX-License-Identifier: MIT
-- Finds the CPU that guests can have on all of several hosts, and changes nothing: `migrun cpu-baseline.lua
-- HOST…`. With it a guest can move between them, whatever the hosts' own CPUs have more.
local cpu = require "migrun.cpu"

return {
  api     = 1,
  summary = "Find the CPU that guests can have on all of these hosts; nothing is changed",
  takes   = { "hosts" },
  steps   = { cpu.each, cpu.baseline, cpu.nova },
}
