-- SPDX-License-Identifier: MIT
-- Run it with lua5.4 examples/tests/drain.lua. A check is a plain function over facts, so a table can stand
-- in for the run.
package.path = (arg[0]:match("^(.*)/tests/") or ".") .. "/?.lua;" .. package.path
local checks = require "checks"

local function ask(available, needed)
  local refusal
  local run = {
    dest = { name = "compute-9", facts = { memory = { total = 100, available = available } } },
    instance = { facts = { max_memory = needed } },
    refuse = function(_, reason) refusal = reason; error(reason, 0) end,
  }
  local ok, text = pcall(checks.destination_keeps_a_reserve(10).run, run)
  return ok and text or nil, refusal
end

assert(ask(50, 30) == "20 % of compute-9's memory stays free")
local _, refusal = ask(50, 45)
assert(refusal == "only 5 % of compute-9's memory would stay free; the reserve is 10 %", refusal)
print("ok")
