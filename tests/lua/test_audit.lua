-- SPDX-License-Identifier: MIT
-- What is open on a host, by fake hosts: what was not seen to be closed is not said to be.
local t = require "t"
require "fakes"
local audit = require "migrun.audit"

local CONF, PROXY = "/etc/libvirt/libvirtd.conf", "/etc/libvirt/virtproxyd.conf"

-- A host with these files (text, or {text, mode}), open addresses and consoles {type, address}.
local function host(files, open, consoles)
    local fake = { name = "c", facts = { addresses = { "10.0.0.1", "10.0.1.1" } },
        settings = { libvirt = { socket = "/run/sock", config = "/etc/libvirt" } } }
    local function file(path) return type(files[path]) == "string" and { files[path], 420 } or files[path] end
    function fake:stat(path)
        return file(path) and { type = "file", mode = file(path)[2], uid = 0, gid = 0 }
    end
    function fake:read(path) return file(path)[1] end
    function fake:reach(address)
        return { ports = { [16509] = { open = (open or {})[address] or false } } }
    end
    fake.libvirt = { domains = function()
        local all = {}
        for i, console in ipairs(consoles or {}) do
            all[i] = { name = "g" .. i, xml = function()
                return { find = function(_, place)
                    return place:find("'" .. console[1] .. "'", 1, true) and { console[2] } or {}
                end }
            end }
        end
        return all
    end }
    return fake
end

local function ask(step, ...)
    local run = { hosts = { host(...) } }
    function run:refuse(reason) error({ message = reason }) end
    local ok, answer = pcall(step.run, run)
    return ok and answer or "NO " .. answer.message
end

local function says(text, part)
    if not text:find(part, 1, true) then error(("'%s' is not in: %s"):format(part, text), 2) end
end

t.run("libvirt's port: any address, any daemon's file", function()
    local other = { ["10.0.1.1"] = true }
    says(ask(audit.tcp_port, { [CONF] = 'auth_tcp = "none"' }), "c: closed")
    says(ask(audit.tcp_port, { [CONF] = 'a = 1\nauth_tcp = "none"' }, other),
        'NO c: OPEN, anyone who reaches 10.0.1.1:16509 is root there (auth_tcp = "none", ' .. CONF .. ":2)")
    says(ask(audit.tcp_port, { [CONF] = "", [PROXY] = 'auth_tcp = "none"' }, other), PROXY .. ":1")
    says(ask(audit.tcp_port, { [CONF] = 'auth_tcp = "sasl"' }, other), "c: open, with a login")
    says(ask(audit.tcp_port, {}, other), "c: open, with a login")
    says(ask(audit.tcp_port, { [CONF] = "junk" }, other), "NO c: " .. CONF .. " is not readable for libvirt")
end)

t.run("libvirt's socket: open to all, and without a login", function()
    local all, group = { "", tonumber("777", 8) }, { "", tonumber("770", 8) }
    local none = 'auth_unix_rw = "none"'
    says(ask(audit.socket, { ["/run/sock"] = all, [CONF] = none }), "NO c: every user of it is root there")
    says(ask(audit.socket, { ["/run/sock"] = all, ["/etc/libvirt/virtqemud.conf"] = none }),
        "NO c: every user")
    says(ask(audit.socket, { ["/run/sock"] = all }), "its daemon asks for a login")
    says(ask(audit.socket, { ["/run/sock"] = group, [CONF] = none }), "c: 0:0, mode 770")
    says(ask(audit.socket, {}), "not there")
end)

t.run("consoles: what guards the one kind does not guard the other", function()
    local qemu = "/etc/libvirt/qemu.conf"
    local both = { { "vnc", "0.0.0.0" }, { "spice", "::" }, { "vnc", "10.0.0.1" } }
    says(ask(audit.consoles, {}, nil, both), "NO c: 2 consoles listen on every address (g1, g2)")
    says(ask(audit.consoles, { [qemu] = "vnc_tls = 1" }, nil, both), "NO c: 1 console listens")
    says(ask(audit.consoles, { [qemu] = 'vnc_tls = 1\nspice_password = "x"' }, nil, both), "demands a login")
    says(ask(audit.consoles, { [qemu] = 'vnc_password = ""' }, nil, { both[1] }), "NO c: 1 console")
    says(ask(audit.consoles, {}, nil, { both[3] }), "c: 1, none on every address")
end)

t.run("keys and passwords: open to every user", function()
    local nova, key = "/etc/nova/nova.conf", "/etc/pki/libvirt/private/serverkey.pem"
    says(ask(audit.files, { [nova] = "[DEFAULT]\ntransport_url = rabbit://u:p@h" }), "NO c: " .. nova)
    says(ask(audit.files, { [nova] = "[keystone_authtoken]\npassword = x" }), "NO c: " .. nova)
    says(ask(audit.files, { [nova] = "[DEFAULT]\nmy_ip = 10.0.0.1" }), "c: 1 looked at")
    says(ask(audit.files, { [nova] = { "password = x", tonumber("640", 8) } }), "c: 1 looked at")
    says(ask(audit.files, { [key] = { "", tonumber("640", 8) } }), "c: 1 looked at")
    says(ask(audit.files, { [key] = "" }),
        "NO c: " .. key .. " can be read by every user (mode 644): chmod o= " .. key)
end)
