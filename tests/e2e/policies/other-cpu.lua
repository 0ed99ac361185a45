-- SPDX-License-Identifier: MIT
-- A guest's CPU that no host of the lab has: asked as the library's check asks it.
local cpu = [[<cpu mode='custom' match='exact' check='full'><model fallback='forbid'>qemu64</model>
  <feature policy='require' name='amx-tile'/><feature policy='require' name='avx512f'/></cpu>]]

return {
  api     = 1,
  summary = "Ask whether a CPU with amx-tile runs on the destination",
  steps   = {
    { "cpu is compatible", phase = "check",
      run = function(run)
        local xml = run.instance:xml()
        local answer = run.dest.libvirt:compare_cpu(cpu, xml:get("devices/emulator"),
          xml:get("os/type/@arch"), xml:get("os/type/@machine"), xml:get("@type"))
        if answer.result == "incompatible" then run:refuse(answer.message) end
        return answer.result
      end },
  },
}
