-- SPDX-License-Identifier: MIT
-- The CPU that all hosts have, by fake libvirtds: what each is asked, and what becomes of it.
local t = require "t"
require "fakes"
local xml = require "migrun.xml"
local cpu = require "migrun.cpu"

local function capabilities(model, features)
    local named = model and "<model fallback='forbid'>" .. model .. "</model>" or ""
    return xml.parse(("<domainCapabilities><cpu><mode name='host-model' supported='yes'>%s%s</mode>"
        .. "</cpu></domainCapabilities>"):format(named, features or ""))
end

-- A host: {name, arch, model, kvm, baseline = what its libvirt answers, or an error}.
local function host(given)
    local fake = { name = given.name, facts = { arch = given.arch or "x86_64" }, asked = {} }
    fake.libvirt = {
        domain_capabilities = function(_, _, _, _, virttype)
            if virttype == "kvm" and given.kvm == false then
                error({ domain = "libvirt", message = "no KVM" })
            end
            fake.virttype = virttype
            return capabilities(given.model, given.features)
        end,
        baseline_cpu = function(_, cpus, arch, virttype)
            fake.asked = { cpus = cpus, arch = arch, virttype = virttype }
            if type(given.baseline) == "table" then error(given.baseline) end
            return xml.parse(given.baseline)
        end,
    }
    return fake
end

local function run_of(...)
    local run = { hosts = { ... }, saved = {} }
    function run:refuse(text) error({ refused = text }, 0) end
    return run
end

local function perform(run, ...)
    local texts = {}
    for i, step in ipairs { ... } do texts[i] = step.run(run) end
    return table.unpack(texts)
end

t.run("each host's model goes to libvirt as a CPU; its answer as Nova takes it", function()
    local one = host { name = "a", model = "EPYC", features = "<feature policy='require' name='x2apic'/>",
        baseline = "<cpu><model>EPYC</model><feature policy='require' name='x2apic'/>"
            .. "<feature policy='disable' name='rdpid'/></cpu>" }
    local run = run_of(one, host { name = "b", model = "EPYC-Rome" })
    local each, all, nova = perform(run, cpu.each, cpu.baseline, cpu.nova)
    t.equal(each, "a: EPYC; b: EPYC-Rome")
    t.equal(all, "EPYC, with x2apic, without rdpid")
    t.ok(nova:find("cpu_models = EPYC, cpu_model_extra_flags = +x2apic,-rdpid", 1, true), nova)
    t.equal(one.asked.virttype, "kvm")
    t.equal(#one.asked.cpus, 2)
    t.ok(one.asked.cpus[1]:find("^<cpu><model") and one.asked.cpus[1]:find("</cpu>$"), one.asked.cpus[1])
    t.ok(not nova:find("extra_flags = ;"), nova)
end)

t.run("one without KVM: all are asked for what emulation gives", function()
    local one = host { name = "a", model = "EPYC", baseline = "<cpu><model>qemu64</model></cpu>" }
    local _, all, nova = perform(run_of(one, host { name = "b", model = "qemu64", kvm = false }), cpu.each,
        cpu.baseline, cpu.nova)
    t.equal(one.asked.virttype, "qemu")
    t.equal(all, "qemu64")
    t.ok(not nova:find("extra_flags", 1, true), nova)
end)

t.run("no host-model, another architecture, hosts that have nothing in common: no", function()
    local function refused(...)
        local ok, failure = pcall(perform, ...)
        t.ok(not ok and failure.refused, failure)
        return failure.refused
    end
    local none = host { name = "b" }
    t.equal(refused(run_of(host { name = "a", model = "EPYC" }, none), cpu.each),
        "b: its libvirt has no host-model for guests of kvm")
    local arm = host { name = "b", model = "x", arch = "aarch64" }
    t.equal(refused(run_of(host { name = "a", model = "EPYC" }, arm), cpu.each),
        "b is aarch64, and a is x86_64")
    local apart = host { name = "a", model = "EPYC",
        baseline = { domain = "libvirt", message = "the CPUs are incompatible" } }
    t.equal(refused(run_of(apart, host { name = "b", model = "Haswell" }), cpu.each, cpu.baseline),
        "the CPUs are incompatible")
    local broken = host { name = "a", model = "EPYC", baseline = { domain = "host", message = "lost" } }
    local ok, failure = pcall(perform, run_of(broken), cpu.each, cpu.baseline)
    t.ok(not ok and failure.domain == "host") -- the site's fault is no answer
end)
