-- SPDX-License-Identifier: MIT
-- What a host's files become when it is prepared: nova.conf by release and by the file that counts, libvirt's
-- files by the way that its daemon listens, names. Hosts are fakes: a table of files.
local t = require "t"
require "fakes"
local daemon, names, nova, tls = require "migrun.host.daemon", require "migrun.host.names",
    require "migrun.host.nova", require "migrun.host.tls"

local ADDRESS = "10.0.0.11"
local SITE_PACKAGES = "/usr/lib/python3/dist-packages"

-- files: {path = text}; running: nova-compute's command line; units: {unit = state}.
local function host(files, version, running, units)
    local fake = { name = "c1", facts = { addresses = { ADDRESS }, hostname = "c1", fqdn = "c1.example" },
        settings = { services = { libvirtd = { unit = "libvirtd" } },
            libvirt = { config = "/etc/libvirt" }, nova = { config = "/etc/nova" } } }
    function fake:stat(path)
        if path == SITE_PACKAGES then return version and { type = "directory" } end
        if files[path] then return { type = "file" } end
        for file in pairs(files) do
            if file:sub(1, #path + 1) == path .. "/" then return { type = "directory" } end
        end
    end
    function fake:read(path) return files[path] end
    function fake:list(path)
        if path == SITE_PACKAGES then
            return { { name = "nova" }, { name = "nova-" .. version .. ".egg-info" } }
        end
        local list = {}
        for file in pairs(files) do
            local name = file:match("^" .. path:gsub("%p", "%%%0") .. "/([^/]+)$")
            if name then list[#list + 1] = { name = name } end
        end
        table.sort(list, function(a, b) return a.name < b.name end)
        return list
    end
    function fake:command(argv)
        if argv[1] == "pgrep" then return { out = running or "", err = "", status = 0 } end
        if argv[1] == "/srv/venv/bin/nova-compute" then return { out = "", err = "27.1.0\n", status = 0 } end
        error({ domain = "system", message = "no such program" })
    end
    function fake:service(unit)
        return { state = function()
            return (units or {})[unit] or error("c1: there is no unit " .. unit, 0)
        end }
    end
    return fake
end

local function plan(files, version, transport, running)
    local one = host(files, version, running)
    return nova.plan(one, nova.of(one), transport or "tls", ADDRESS, (transport or "tls") == "tls")
end

local CONF = "/etc/nova/nova.conf"

local function becomes(version, transport, before, after)
    local made = plan({ [CONF] = before }, version, transport)
    t.equal(#made.files > 0 and made.files[1].text or before, after)
    local again = plan({ [CONF] = after }, version, transport)
    t.equal(#again.files, 0)
    return made
end

local function holds(list, part)
    for _, text in ipairs(list) do
        if text:find(part, 1, true) then return end
    end
    error(("%s is not in %s"):format(part, t.show(list)), 2)
end

local CONSOLE = "\n[vnc]\nserver_listen = 10.0.0.11\nserver_proxyclient_address = 10.0.0.11\n"
local OLD_CONSOLE = "\n[vnc]\nvncserver_listen = 10.0.0.11\nvncserver_proxyclient_address = 10.0.0.11\n"

t.run("each release gets the names that it reads", function()
    for _, version in ipairs { "20.6.0", "26.2.2", "31.0.0" } do
        becomes(version, "tls", "[DEFAULT]\n[libvirt]\n", "[DEFAULT]\n[libvirt]\n"
            .. "live_migration_scheme = tls\nlive_migration_with_native_tls = True\n" .. CONSOLE)
    end
    becomes("18.3.0", "tls", "[libvirt]\n", "[libvirt]\nlive_migration_scheme = tls\n" .. CONSOLE)
    becomes("15.1.0", "ssh", "[libvirt]\n", "[libvirt]\nlive_migration_uri = qemu+ssh://%s/system\n"
        .. OLD_CONSOLE)
    becomes("12.0.6", "ssh", "[libvirt]\n", "[libvirt]\nlive_migration_uri = qemu+ssh://%s/system\n"
        .. "live_migration_flag = VIR_MIGRATE_UNDEFINE_SOURCE, VIR_MIGRATE_PEER2PEER, VIR_MIGRATE_LIVE\n"
        .. OLD_CONSOLE)
    becomes("2013.1.3", "tcp", "[DEFAULT]\n", "[DEFAULT]\nlive_migration_uri = qemu+tcp://%s/system\n"
        .. "live_migration_flag = VIR_MIGRATE_UNDEFINE_SOURCE, VIR_MIGRATE_PEER2PEER, VIR_MIGRATE_LIVE\n"
        .. "vncserver_listen = 0.0.0.0\nvncserver_proxyclient_address = 10.0.0.11\n"
        .. "image_cache_manager_interval = 0\n")
end)

t.run("what would be worse is left alone, and said", function()
    local made = becomes("26.2.2", "ssh",
        "[DEFAULT]\nlive_migration_flag=VIR_MIGRATE_LIVE,VIR_MIGRATE_UNSAFE\nvncserver_listen=0.0.0.0\n"
        .. "image_cache_manager_interval=0\n[vnc]\nserver_listen = 0.0.0.0\n",
        "[DEFAULT]\nlive_migration_flag=VIR_MIGRATE_LIVE,VIR_MIGRATE_UNSAFE\nvncserver_listen=0.0.0.0\n"
        .. "image_cache_manager_interval=-1\n[vnc]\nserver_listen = 10.0.0.11\n"
        .. "server_proxyclient_address = 10.0.0.11\n\n[libvirt]\nlive_migration_scheme = ssh\n")
    holds(made.notes, "live_migration_flag is not read by Nova 26.2.2, which sets the flags itself; UNSAFE")
    holds(made.notes, "[DEFAULT] vncserver_listen is not read by Nova 26.2.2")
    holds(made.notes, "0.0.0.0 is left out of server_listen: this Nova gives a guest the destination's own")
    holds(made.notes, "-1 is never")
    made = becomes("14.0.0", "tcp", "[libvirt]\nlive_migration_flag = VIR_MIGRATE_LIVE, VIR_MIGRATE_UNSAFE\n",
        "[libvirt]\nlive_migration_flag = VIR_MIGRATE_UNDEFINE_SOURCE, VIR_MIGRATE_PEER2PEER, "
        .. "VIR_MIGRATE_LIVE\nlive_migration_uri = qemu+tcp://%s/system\n" .. OLD_CONSOLE)
    holds(made.notes, "UNSAFE is left out")
end)

t.run("a URI gives way to a scheme, a tunnel to QEMU's own TLS; caches that keep a disk", function()
    becomes("26.2.2", "tls", "[libvirt]\nlive_migration_uri = qemu+tcp://%s/system\n"
        .. "live_migration_tunnelled=true\n"
        .. "disk_cachemodes = file=writeback,block=none,network=writeback\n" .. CONSOLE,
        "[libvirt]\nlive_migration_tunnelled=False\n"
        .. "disk_cachemodes = file=none,block=none,network=writeback\nlive_migration_scheme = tls\n"
        .. "live_migration_with_native_tls = True\n" .. CONSOLE)
    becomes("26.2.2", "ssh", "[libvirt]\nlive_migration_scheme = tls\nlive_migration_with_native_tls = on\n"
        .. CONSOLE, "[libvirt]\nlive_migration_scheme = ssh\nlive_migration_with_native_tls = False\n"
        .. CONSOLE)
end)

t.run("a console of the host's own address, or none, stays as it is", function()
    becomes("26.2.2", "tcp", "[vnc]\nenabled = false\n", "[vnc]\nenabled = false\n")
    becomes("26.2.2", "tcp", "[DEFAULT]\nmy_ip = 10.0.0.11\n[vnc]\nserver_listen = $my_ip\n"
        .. "server_proxyclient_address = 10.0.0.11\n", "[DEFAULT]\nmy_ip = 10.0.0.11\n[vnc]\n"
        .. "server_listen = $my_ip\nserver_proxyclient_address = 10.0.0.11\n")
end)

t.run("the file of the chain that counts is the one that is changed", function()
    local files = { [CONF] = "[libvirt]\nlive_migration_scheme = tcp\n" .. CONSOLE,
        ["/etc/nova/nova-compute.conf"] = "[libvirt]\nvirt_type = kvm\n",
        ["/etc/nova/nova.conf.d/10.conf"] = "[libvirt]\nlive_migration_scheme = tcp\n",
        ["/etc/nova/nova.conf.d/20.conf"] = "# nothing\n", ["/srv/own.conf"] = "[libvirt]\n" }
    local made = plan(files, "26.2.2", "ssh")
    t.equal(#made.files, 1)
    t.equal(made.files[1].path, "/etc/nova/nova.conf.d/10.conf")
    made = plan(files, "26.2.2", "ssh", "77 /usr/bin/python3 /usr/bin/nova-compute --config-file=" .. CONF
        .. " --config-file /srv/own.conf --log-file=x\n")
    t.equal(made.files[1].path, CONF)
    files["/srv/own.conf"] = "[libvirt]\nlive_migration_scheme = tls\n"
    made = plan(files, "26.2.2", "ssh", "77 nova-compute --config-file=" .. CONF
        .. " --config-file /srv/own.conf\n")
    t.equal(made.files[1].path, "/srv/own.conf")
    t.equal(#made.files, 1)
end)

t.run("a Nova from a folder of its own is asked itself", function()
    local files, line = { [CONF] = "[DEFAULT]\n" }, "9 /srv/venv/bin/python /srv/venv/bin/nova-compute --x\n"
    local known = nova.of(host(files, "26.2.2", line))
    t.equal({ known.version, known.release, known.runs }, { "27.1.0", 27, true })
    known = nova.of(host(files, "26.2.2", "9 /usr/bin/python3 /usr/bin/nova-compute\n"))
    t.equal({ known.version, known.runs }, { "26.2.2", true })
    t.equal(nova.of(host(files, "26.2.2")).runs, false)
end)

t.run("no Nova, one of no version, a file that it could not read", function()
    t.equal(nova.of(host({})), nil)
    t.raises(function() nova.of(host { [CONF] = "[DEFAULT]\n" }) end,
        "c1 has /etc/nova/nova.conf, and its Nova does not tell its version")
    t.raises(function() nova.of(host({ [CONF] = "junk\n" }, "26.2.2")) end,
        "/etc/nova/nova.conf on c1: line 1: neither a section nor 'key = value': junk")
end)

t.run("how a daemon listens", function()
    local unit = "[Service]\nType=notify\nEnvironmentFile=-/etc/default/libvirtd\nExecStart=x\n"
    local files = { ["/lib/systemd/system/libvirtd.service"] = unit,
        ["/lib/systemd/system/libvirtd-tls.socket"] = "[Socket]\n" }
    local known = daemon.of(host(files, nil, nil, { ["libvirtd.socket"] = "active",
        ["libvirtd-tls.socket"] = "inactive" }))
    t.equal(known.by_sockets, true)
    t.equal(known.sockets.tls, "libvirtd-tls.socket")
    t.equal(known.sockets.tcp, nil)
    t.equal(known.arguments.file, "/etc/default/libvirtd")
    t.equal(daemon.sockets_for(known, "tls", true), { with = { "libvirtd-tls.socket" }, without = {} })
    t.equal(daemon.sockets_for(known, "ssh", true), { with = {}, without = {} })
    known = daemon.of(host(files, nil, nil, {}))
    t.equal(known.by_sockets, false)
    t.equal(daemon.configured(known, "tls", 'listen_tls = 0\nlisten_tcp = 1\nauth_tcp="none" # open\n'),
        'listen_tls = 1\nlisten_tcp = 0\n#auth_tcp="none" # open\n')
    t.equal(daemon.configured(known, "ssh", 'auth_tcp = "sasl"\nlisten_tcp = 1\n'),
        'auth_tcp = "sasl"\nlisten_tcp = 1\n')
    t.equal(daemon.configured(known, "tcp", "# x\n"), '# x\nauth_tcp = "none"\nlisten_tcp = 1\n')
end)

t.run("one more argument", function()
    local function with(text) return daemon.with_argument(text, "LIBVIRTD_ARGS", "--listen") end
    t.equal(with(""), 'LIBVIRTD_ARGS="--listen"\n')
    t.equal(with('#LIBVIRTD_ARGS="--listen"'), '#LIBVIRTD_ARGS="--listen"\nLIBVIRTD_ARGS="--listen"\n')
    t.equal(with('A=1\nLIBVIRTD_ARGS="--timeout 120"\nB=2\n'),
        'A=1\nLIBVIRTD_ARGS="--timeout 120 --listen"\nB=2\n')
    t.equal(with("LIBVIRTD_ARGS='--listen'\n"), "LIBVIRTD_ARGS='--listen'\n")
    t.equal(with("LIBVIRTD_ARGS=\n"), 'LIBVIRTD_ARGS="--listen"\n')
    t.equal(with('LIBVIRTD_ARGS="a"\nLIBVIRTD_ARGS="b"\n'), 'LIBVIRTD_ARGS="a"\nLIBVIRTD_ARGS="b --listen"\n')
end)

t.run("names in /etc/hosts", function()
    local function with(text) return names.with(text, "c2", "10.0.0.12") end
    t.equal(with(""), "10.0.0.12\tc2\n")
    t.equal(with("127.0.0.1 localhost"), "127.0.0.1 localhost\n10.0.0.12\tc2\n")
    t.equal(with("127.0.1.1 c2\n::1 x\n"), "::1 x\n10.0.0.12\tc2\n")
    t.equal(with("127.0.1.1\tc2.example c2 # mine\n"), "127.0.1.1\tc2.example # mine\n10.0.0.12\tc2\n")
    t.equal(with("10.0.0.9 c2 c9\n# c2\n"), "10.0.0.9\tc9\n# c2\n10.0.0.12\tc2\n")
    t.equal(with("10.0.0.12 x c2\n"), "10.0.0.12 x c2\n")
end)

-- What openssl prints of a certificate, as far as it is read.
local function printed(issuer, alternatives)
    return ("Certificate:\n    Data:\n        Issuer: CN = %s\n        Validity\n"
        .. "            Not Before: Nov 27 19:41:46 2026 GMT\n"
        .. "            Not After : Mar  1 19:41:46 2029 GMT\n        Subject: CN = x\n"
        .. "            X509v3 Subject Alternative Name: \n                %s\n"):format(issuer, alternatives)
end

-- What a host's certificate is worth. over: it has ended; own: whether its CA is migrun's.
local function asked(alternatives, options)
    options = options or {}
    local pki = "/etc/pki/qemu/"
    local files = { ["/etc/pki/CA/cacert.pem"] = "CA", ["/etc/pki/libvirt/servercert.pem"] = "SERVER",
        ["/etc/pki/libvirt/private/serverkey.pem"] = "", ["/etc/pki/libvirt/clientcert.pem"] = "",
        ["/etc/pki/libvirt/private/clientkey.pem"] = "", [pki .. "ca-cert.pem"] = "",
        [pki .. "server-cert.pem"] = "", [pki .. "server-key.pem"] = "", [pki .. "client-cert.pem"] = "",
        [pki .. "client-key.pem"] = "" }
    if options.missing then files[options.missing] = nil end
    local one = host(files)
    function one:reach() return { address = ADDRESS } end
    local here = { stat = function() return options.own end, read = function() return "C A" end,
        reach = one.reach }
    function here:command(argv, how)
        if argv[4] ~= "-text" then
            return { status = (options.over or (options.soon and argv[5] ~= "0")) and 1 or 0 }
        end
        local is_ca = how.input == "CA"
        return { status = 0, out = printed(is_ca and "x" or options.issuer or "x", alternatives), err = "" }
    end
    return tls.of({ hosts = { one }, here = here }, one, daemon.of(one), "/ca")
end

t.run("certificates: migrun's own are for every name, the site's for the one that URIs have", function()
    local all = "DNS:c1, DNS:c1.example, IP Address:10.0.0.11"
    t.equal(asked(all, { own = true }).fault, nil)
    t.equal(asked(all, { own = true }).state, "ours")
    t.equal(asked("DNS:c1, IP Address:10.0.0.11", { own = true }).fault, "is not for the name c1.example")
    t.equal(asked("DNS:c1, DNS:c1.example", { own = true }).fault, "is not for the address 10.0.0.11")
    t.equal(asked("DNS:C1").fault, nil)
    t.equal(asked("DNS:C1").state, "site")
    t.equal(asked("DNS:*, DNS:*.example").fault, "is not for the name c1")
    t.equal(asked("DNS:c1, DNS:*.example, IP Address:10.0.0.11", { own = true }).fault, nil)
    t.equal(asked("DNS:c1.example").fault, "is not for the name c1")
    t.equal(asked("DNS:c1", { issuer = "y" }).fault,
        "was made by another CA (CN = y) than that of /etc/pki/CA/cacert.pem")
    t.equal(asked("DNS:c1", { over = true }).fault, "has expired (Mar  1 19:41:46 2029 GMT)")
    t.equal(asked("DNS:c1", { soon = true }).soon, true)
    t.equal(asked("DNS:c1", { missing = "/etc/pki/qemu/server-key.pem" }).missing,
        "/etc/pki/qemu/server-key.pem")
    t.equal(asked("DNS:c1", { missing = "/etc/pki/CA/cacert.pem" }).fault,
        "is not whole: /etc/pki/CA/cacert.pem is missing")
end)
