// SPDX-License-Identifier: MIT
// What is shown of data that holds secrets.
#include "base/mask.h"
#include "base/memory.h"
#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

static json_t *json_of(const char *text)
{
    json_t *data = json_loads(text, JSON_DECODE_ANY, NULL);
    assert_non_null(data);
    return data;
}

static void is_shown_as(const char *text, const char *shown)
{
    auto_json json_t *data = json_of(text), *expected = json_of(shown), *masked = mask_json(data);
    auto_free char *is = json_dumps(masked, JSON_ENCODE_ANY);
    if (!json_equal(masked, expected))
        fail_msg("%s is shown as %s", text, is);
    assert_int_equal(mask_is_in(masked), !json_equal(data, masked));
    assert_false(mask_is_in(data));
}

// ---- the forms that secrets have in files ----

#define SECRET "OLD012xyzzy"

// {S}: the secret. The review's, each as it is written in some file.
static const struct {
    const char *name, *text;
} forms[] = {
    {"nova connection", "connection = mysql+pymysql://nova:{S}@db/nova"},
    {"transport_url", "transport_url = rabbit://openstack:{S}@rabbit1:5672,openstack:{S}@rabbit2:5672/"},
    {"transport_url /", "transport_url=rabbit://u:pa/{S}@h/"},
    {"url user only token", "auth = https://{S}@host/x"},
    {"url query token", "url = https://h/x?token={S}&a=1"},
    {"url query sig", "url = https://h/x?X-Amz-Signature={S}"},
    {"url query apikey", "url = https://h/x?apikey={S}"},
    {"url fragment/key", "callback = https://h/x?key={S}"},
    {"password=", "password={S}"},
    {"password :", "password: {S}"},
    {"admin_password", "admin_password = {S}"},
    {"adminPass json", "\"adminPass\": \"{S}\","},
    {"admin_pass", "admin_pass = {S}"},
    {"pass=", "pass = {S}"},
    {"db_pass", "DB_PASS={S}"},
    {"pwd", "pwd={S}"},
    {"PGPASSWORD", "PGPASSWORD={S}"},
    {"passwd attr single", "  <graphics type='vnc' port='5900' passwd='{S}'/>"},
    {"passwd attr double", "  <graphics type=\"vnc\" passwd=\"{S}\" passwdValidTo=\"x\"/>"},
    {"passwd tag", "<passwd>{S}</passwd>"},
    {"auth secret tag", "<secret>{S}</secret>"},
    {"key tag", "<key>{S}</key>"},
    {"token tag", "<token>{S}</token>"},
    {"secret=", "secret = {S}"},
    {"metadata_proxy_shared_secret", "metadata_proxy_shared_secret={S}"},
    {"memcache_secret_key", "memcache_secret_key={S}"},
    {"api_key", "api_key = {S}"},
    {"apikey yaml", "apikey: {S}"},
    {"encryption_key", "encryption_key={S}"},
    {"fixed_key barbican", "fixed_key = {S}"},
    {"ceph keyring", "\tkey = {S}=="},
    {"ssh private key", "-----BEGIN OPENSSH PRIVATE KEY-----\n{S}\n-----END OPENSSH PRIVATE KEY-----"},
    {"tls private key one-line", "private_key = \"-----BEGIN PRIVATE KEY-----\\n{S}\""},
    {"fernet key file", "{S}AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    {"Bearer header", "Authorization: Bearer {S}"},
    {"Basic header", "Authorization: Basic {S}"},
    {"X-Auth-Token", "X-Auth-Token: {S}"},
    {"Cookie", "Cookie: session={S}"},
    {"htpasswd", "admin:$2y$05${S}"},
    {"shadow", "root:$6$salt${S}:19000:0:99999:7:::"},
    {"netrc", "machine h login u password {S}"},
    {"pgpass", "h:5432:db:u:{S}"},
    {"my.cnf", "[client]\nuser=root\npassword = '{S}'"},
    {"requirepass redis", "requirepass {S}"},
    {"masterauth", "masterauth {S}"},
    {"auth_pass keepalived", "    auth_pass {S}"},
    {"snmp community", "rocommunity {S}"},
    {"snmp authPassphrase", "createUser u SHA {S} AES {S}"},
    {"psk wpa", "psk={S}"},
    {"ipsec.secrets", ": PSK \"{S}\""},
    {"sasl libvirt", "credentials: username=u password={S}"},
    {"yaml nested quotes", "password: \"{S} with space\""},
    {"yaml block", "password: |\n  {S}\n  second"},
    {"yaml list of secret", "passwords:\n  - {S}"},
    {"ini continuation", "transport_url = rabbit://u:\n {S}@h/"},
    {"json escaped", "{\"password\": \"a\\\"{S}\"}"},
    {"json in string", "\"{\\\"password\\\": \\\"{S}\\\"}\""},
    {"env export", "export OS_PASSWORD={S}"},
    {"cli arg", "ExecStart=/usr/bin/x --password {S}"},
    {"cli arg =", "ExecStart=/usr/bin/x --password={S} --other"},
    {"cli -p", "ExecStart=mysql -uroot -p{S}"},
    {"multi url", "a=http://u:{S}@h1/ b=http://u:{S}@h2/"},
    {"mysql old", "sql = mysql://nova:{S}@db"},
    {"url user:pass no @ in line", "proxy=http://u:{S}"},
    {"ldap", "bind_dn_password: {S}"},
    {"aws secret", "aws_secret_access_key = {S}"},
    {"aws id", "aws_access_key_id = {S}"},
    {"uppercase SECRET", "SECRET_KEY='{S}'"},
    {"spice ticket", "<graphics type='spice' ticket='{S}'/>"},
    {"iscsi chap", "node.session.auth.password = {S}"},
    {"cinder rbd", "rbd_secret_uuid = {S}"},
    {"hash comment", "#password = {S}"},
    {"tab sep", "password\t{S}"},
    {"ruby =>", "\"password\" => \"{S}\""},
    {"toml", "password = \"\"\"{S}\"\"\""},
    {"xml cdata", "<password><![CDATA[{S}]]></password>"},
    {"xml nested", "<password><value>{S}</value></password>"},
    {"xml attr value", "<property name='password' value='{S}'/>"},
    {"xml attr value2", "<add key='token' value='{S}'/>"},
    {"name/value yaml", "- name: DB_PASSWORD\n  value: {S}"},
    {"ansible vault", "$ANSIBLE_VAULT;1.1;AES256\n{S}"},
    {"password with > ", "password={S}>rest"},
    {"nova passwd injection", "<target>\n <passwd a='1'>\n  {S}\n </passwd></target>"},
    {"newline in quotes", "password='line1\n{S}'"},
    {"key in url path", "webhook = https://hooks.slack.com/services/T0/B0/{S}"},
    {"passphrase", "passphrase {S}"},
    {"luks", "luks_key={S}"},
    {"wireguard", "PrivateKey = {S}"},
    {"wg psk", "PresharedKey = {S}"},
    {"grub", "password_pbkdf2 root grub.pbkdf2.sha512.{S}"},
};

// Lines of configuration (OpenStack's, libvirt's, ssh's, PAM's, chrony's, systemd's), of domains and of
// migrun's own, where nothing is secret; many speak of secrets.
static const char *const harmless[] = {
    "#fixed_key = <None>",
    "#auth_type = <None>",
    "#token_ttl = 600",
    "#auth_version = <None>",
    "#password_length = 12",
    "#tls_keyfile = <None>",
    "#   policy (``hw:emulator_threads_policy=share``). ``vcpu_pin_set`` will be used",
    "#auth_schemes = none",
    "#key_pairs = 100",
    "#key = <None>",
    "#reauthenticate = true",
    "#key_size = 512",
    "#kv_mountpoint = secret",
    "#token_cache_time = 300",
    "#delay_auth_decision = false",
    "#auth_uri = <None>",
    "#password = <None>",
    "#transport_url = rabbit://",
    "#memcache_password =",
    "#ssl_client_key_file =",
    "# issuing JWS tokens and setting `keystone.conf [token] provider = jws`. (string value)",
    "[credential]",
    "#password_regex_description = <None>",
    "[shadow_users]",
    "sso_callback_template = /etc/keystone/sso_callback_template.html",
    "log_file = keystone.log",
    "#key_repository = /etc/keystone/credential-keys/",
    "#http_basic_auth_user_file = /etc/htpasswd",
    "#minimum_password_age = 0",
    "#allow_rescope_scoped_token = true",
    "#ssl_key_password = <None>",
    "connection = sqlite:///var/lib/neutron/neutrondb",
    "#auth_section = <None>",
    "auth_type = password",
    "#remote_ssl_client_key_file = <None>",
    "#keyfile = <None>",
    "#notify_server_credit = 100",
    "#allow_credentials = true",
    "#enforce_token_bind = permissive",
    "#service_token_roles_required = false",
    "#service_token_roles = service",
    "#ssl_client_key_password =",
    "#rpc_server_credit = 100",
    "#reply_link_credit = 200",
    "#cinder_store_password = <None>",
    "#s3_store_access_key = <None>",
    "#vault_url = http://127.0.0.1:8200",
    "#swift_store_auth_insecure = false",
    "#connection_string = messaging://",
    "#key_file = \"/etc/pki/libvirt/private/serverkey.pem\"",
    "#auth_unix_rw = \"polkit\"",
    "#auth_tls = \"none\"",
    "#auth_tcp = \"sasl\"",
    "#auth_unix_ro = \"polkit\"",
    "#vxhs_tls_x509_secret_uuid = \"00000000-0000-0000-0000-000000000000\"",
    "#backup_tls_x509_secret_uuid = \"00000000-0000-0000-0000-000000000000\"",
    "#vnc_tls_x509_secret_uuid = \"00000000-0000-0000-0000-000000000000\"",
    "#auto_start_bypass_cache = 0",
    "#nbd_tls_x509_secret_uuid = \"00000000-0000-0000-0000-000000000000\"",
    "#migrate_tls_x509_secret_uuid = \"00000000-0000-0000-0000-000000000000\"",
    "#GSSAPIKeyExchange no",
    "#PubkeyAuthentication yes",
    "KbdInteractiveAuthentication no",
    "#HostKey /etc/ssh/ssh_host_ed25519_key",
    "#KerberosTicketCleanup yes",
    "#KerberosOrLocalPasswd yes",
    "#HostKey /etc/ssh/ssh_host_ecdsa_key",
    "    GSSAPIAuthentication yes",
    "#SHA_CRYPT_MAX_ROUNDS 5000",
    "#\tPASS_MIN_DAYS\tMinimum number of days allowed between password changes.",
    "ENCRYPT_METHOD SHA512",
    "PASS_MIN_DAYS\t0",
    "#\tPASS_MAX_DAYS\tMaximum number of days a password may be used.",
    "PASS_MAX_DAYS\t99999",
    "#PASS_CHANGE_TRIES",
    "shadow:         files systemd",
    "passwd:         files systemd",
    "gshadow:        files systemd",
    "#Defaults:%sudo env_keep += \"SSH_AGENT_PID SSH_AUTH_SOCK\"",
    "# (#1011624, https://bugs.kde.org/show_bug.cgi?id=452532)",
    "Defaults\tmail_badpass",
    "#Defaults:%sudo env_keep += \"GIT_AUTHOR_* GIT_COMMITTER_*\"",
    "#node.session.auth.chap_algs = SHA3-256,SHA256,SHA1,MD5",
    "#node.session.auth.username_in = username_in",
    "#discovery.sendtargets.auth.username_in = username_in",
    "#node.session.auth.authmethod = CHAP",
    "#discovery.sendtargets.auth.authmethod = CHAP",
    "#net.ipv4.tcp_syncookies=1",
    "session\t\toptional\tpam_keyinit.so revoke",
    "auth\t\tsufficient\tpam_rootok.so",
    "@include common-password",
    "@include common-auth",
    "#between Debian 11 and older releases replace \"yescrypt\" with \"sha512\"",
    "#hashed passwords using the yescrypt algorithm, introduced in Debian",
    "#used the option \"sha512\"; if a shadow password hash will be shared",
    "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt",
    "password\trequisite\t\t\tpam_deny.so",
    "password\trequired\t\t\tpam_permit.so",
    "auth\trequisite\t\t\tpam_deny.so",
    "auth\trequired\t\t\tpam_permit.so",
    "auth\t[success=1 default=ignore]\tpam_unix.so nullok",
    "auth\toptional\t\t\tpam_cap.so ",
    "session    optional     pam_keyinit.so force revoke",
    "session\t\toptional\tpam_keyinit.so force revoke",
    "auth\t\tinclude\t\tsu",
    "password\tinclude\t\tsu",
    "# auth       required   pam_issue.so issue=/etc/issue",
    "auth       requisite  pam_nologin.so",
    "session    optional   pam_keyinit.so force revoke",
    "auth       optional   pam_faildelay.so  delay=3000000",
    "auth       optional   pam_group.so",
    "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so ",
    "auth\t\tinclude\t\trunuser",
    "auth       required   pam_shells.so",
    "auth       sufficient pam_rootok.so",
    "# auth       required   pam_wheel.so deny group=nosu",
    "hkp\t\t11371/tcp\t\t\t# OpenPGP HTTP Keyserver",
    "auth\t\t113/tcp\t\tauthentication tap ident",
    "codaauth2\t370/udp\t\t\t\t# Coda authentication server",
    "shell\t\t514/tcp\t\tcmd syslog\t# no passwords used",
    "gsigatekeeper\t2119/tcp",
    "kerberos-master\t751/udp\t\tkerberos_master\t# Kerberos authentication",
    "#ssl-key = /etc/mysql/server-key.pem",
    "#key_buffer_size        = 128M",
    "x509_extensions\t= v3_ca\t# The extensions to add to the self signed cert",
    "private_key\t= $dir/private/cakey.pem# The private key",
    "signer_cert\t= $dir/tsacert.pem \t# The TSA signing certificate",
    "secret = # disable PBM",
    "authorityKeyIdentifier=keyid:always",
    "ignore_keyusage = 1 # potentially needed quirk",
    "digests     = sha1, sha256, sha384, sha512  # Acceptable message digests (mandatory)",
    "signer_key\t= $dir/private/tsakey.pem # The TSA private key (optional)",
    "default_keyfile \t= privkey.pem",
    "connection_uri = qemu+ssh://nova@compute-2/system",
    "live_migration_uri = qemu+tls://%s/system",
    "auth_url = http://controller.example.org:5000/v3",
    "www_authenticate_uri = https://10.20.0.5:5000/",
    "memcached_servers = ctl1:11211,ctl2:11211,ctl3:11211",
    "auth_endpoint = http://keystone01.internal:5000",
    "barbican_endpoint_type = public",
    "send_service_user_token = true",
    "service_metadata_proxy = true",
    "rbd_user = cinder",
    "rbd_secret_uuid = 457eb676-33da-42ec-9a8c-9293d545c337",
    "images_rbd_pool = vms",
    "live_migration_tunnelled = false",
    "vncserver_proxyclient_address = 10.20.0.31",
    "novncproxy_base_url = https://cloud.example.org:6080/vnc_auto.html",
    "spicehtml5proxy_host = 0.0.0.0",
    "ssl_ca_file = /etc/ssl/certs/ca-certificates.crt",
    "key_manager = castellan.key_manager.barbican_key_manager.BarbicanKeyManager",
    "password_all_group_samples = 5",
    "resume_guests_state_on_host_boot = true",
    "max_tokens = 100",
    "token_expiration = 3600",
    "allow_expired_window = 172800",
    "enabled_ssl_apis = osapi_compute",
    "auth_strategy = keystone",
    "    <secret type='ceph' uuid='457eb676-33da-42ec-9a8c-9293d545c337'/>",
    "      <auth username='cinder'>",
    "        <secret type='iscsi' usage='libvirtiscsi'/>",
    "    <encryption format='luks'>",
    "      <secret type='passphrase' uuid='f52a81b2-424e-490c-823d-6bd4235bc57b'/>",
    "<secret ephemeral='no' private='yes'>",
    "    <graphics type='vnc' port='5900' autoport='yes' listen='10.20.0.31' keymap='en-us'>",
    "    <graphics type='spice' port='5901' tlsPort='5902' autoport='yes'/>",
    "    <source protocol='rbd' name='vms/6f2cd8b6_disk' index='1'>",
    "    <domain type='kvm' id='3' xmlns:qemu='http://libvirt.org/schemas/domain/qemu/1.0'>",
    "  <uuid>6f2cd8b6-1d5c-4a3e-9d0a-9f5b3c1a7e10</uuid>",
    "    <nova:user uuid=\"f2b1c7d09e6a4cdb8c3a5b0f6d1e2a3c\">admin</nova:user>",
    "      <seclabel type='dynamic' model='dac' relabel='yes'/>",
    "    <loader readonly='yes' secure='yes' type='pflash'>/usr/share/OVMF/OVMF_CODE.secboot.fd</loader>",
    "    <input type='keyboard' bus='ps2'/>",
    "    <alias name='ua-key-1'/>",
    "  <launchSecurity type='sev'>",
    "PasswordAuthentication no",
    "PermitEmptyPasswords no",
    "AuthorizedKeysFile .ssh/authorized_keys .ssh/authorized_keys2",
    "AuthorizedKeysCommand none",
    "AuthenticationMethods publickey,password",
    "HostKeyAlgorithms ssh-ed25519,rsa-sha2-512",
    "PubkeyAcceptedAlgorithms +ssh-rsa",
    "RekeyLimit 1G 1h",
    "IdentityFile ~/.ssh/id_ed25519",
    "TrustedUserCAKeys /etc/ssh/ca.pub",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIH0W0nYc4Tt2c0mZ0m8q1J4tO3Jw1g1Xc7yqf0bF1w3p root@ctl1",
    "keyfile /etc/chrony/chrony.keys",
    "server ntp1.example.org iburst key 1",
    "authselectmode require",
    "driftfile /var/lib/chrony/chrony.drift",
    "ntsdumpdir /var/lib/chrony",
    "PublicKey = 3Q0vW0jQm6c3m1wBq2m9o8f7C9u1kHnR2b3H5c6dXUY=",
    "root:x:0:0:root:/root:/bin/bash",
    "libvirt-qemu:x:64055:109:Libvirt Qemu,,,:/var/lib/libvirt:/usr/sbin/nologin",
    "%wheel ALL=(ALL) NOPASSWD: ALL",
    "Environment=LIBVIRTD_ARGS=\"--timeout 120\"",
    "ExecStart=/usr/sbin/libvirtd $LIBVIRTD_ARGS",
    "ExecStartPre=/usr/bin/test -r /etc/libvirt/secrets",
    "EnvironmentFile=-/etc/default/libvirtd",
    "After=network-online.target systemd-tmpfiles-setup.service",
    "GRUB_CMDLINE_LINUX=\"intel_iommu=on hugepagesz=1G hugepages=64\"",
    "kernel.keys.maxkeys = 2000",
    "net.ipv4.conf.all.rp_filter=1",
    "-A INPUT -p tcp -m tcp --dport 16509 -j ACCEPT",
    "tls_port = \"16514\"",
    "sasl_allowed_username_list = [\"joe@EXAMPLE.COM\", \"fred@EXAMPLE.COM\" ]",
    "vnc_sasl_dir = \"/some/directory/sasl2\"",
    "keepalive_interval = 5",
    "lock_manager = \"sanlock\"",
    "mech_list: gssapi",
    "keytab: /etc/libvirt/krb5.tab",
    "auth_client_required = cephx",
    "auth client required = cephx",
    "keyring = /etc/ceph/$cluster.$name.keyring",
    "mon host = [v2:10.0.0.1:3300,v1:10.0.0.1:6789]",
    "requirepass \"\"",
    "masterauth ${REDIS_PASSWORD}",
    "password = $DB_PASSWORD",
    "password: \"{{ vault_nova_password }}\"",
    "migrun ./p.lua -p password=@/root/pin -p token=env:PIN host",
    "OS_AUTH_TYPE=password",
    "OS_USERNAME=admin",
    "export OS_IDENTITY_API_VERSION=3",
    "sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "no such secret: it was removed",
    "root:root → nova:nova (undone at the end)",
    "Permission denied (publickey,password).",
    "Host key verification failed.",
    "error: authentication failed: access denied by policy",
    "-rw-r----- 1 root nova 12345 /etc/nova/nova.conf",
    "-----BEGIN CERTIFICATE-----",
    "-----BEGIN PUBLIC KEY-----",
    "POST {\"os-migrateLive\":{\"host\":\"compute-2\",\"block_migration\":\"auto\"}}",
    "run (undo: systemctl start nova-compute)",
    "{\"sha256\": \"e3b0c44298fc1c14\", \"mode\": 384, \"owner\": \"root\", \"keyed\": true}",
};

static char *with_secret(const char *form)
{
    struct buf text = {0};
    buf_puts(&text, "# head\n");
    for (const char *at; (at = strstr(form, "{S}")); form = at + 3) {
        buf_add(&text, form, (size_t)(at - form));
        buf_puts(&text, SECRET);
    }
    buf_printf(&text, "%s\n# tail\n", form);
    return buf_take(&text);
}

static size_t lines_in(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += *text == '\n';
    return n;
}

static void forms_of_secrets(void **state)
{
    (void)state;
    size_t masked = 0;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        auto_free char *text = with_secret(forms[i].text), *shown = mask_secrets(text),
                       *again = mask_secrets(shown);
        bool is_masked = !strstr(shown, SECRET);
        masked += is_masked;
        if (!is_masked)
            print_message("shown: %s: %s\n", forms[i].name, shown);
        assert_string_equal(shown, again);
        assert_int_equal(lines_in(text), lines_in(shown)); // a diff counts on that
        assert_int_equal(strncmp(shown, "# head\n", 7), 0);
        assert_string_equal(shown + strlen(shown) - strlen("\n# tail\n"), "\n# tail\n");
    }
    assert_int_equal(COUNT_OF(forms), 90);
    assert_in_range(masked, 89, 90); // a secret's UUID is none
}

static void harmless_lines(void **state)
{
    (void)state;
    size_t wrong = 0;
    for (size_t i = 0; i < COUNT_OF(harmless); i++) {
        auto_free char *shown = mask_secrets(harmless[i]);
        if (!STREQ(shown, harmless[i])) {
            wrong++;
            print_message("masked: %s\n", shown);
        }
    }
    assert_true(COUNT_OF(harmless) >= 200);
    assert_true(wrong * 200 <= 2 * COUNT_OF(harmless));
}

// ---- data ----

static void members_of_such_a_name(void **state)
{
    (void)state;
    is_shown_as("{\"changePassword\": {\"adminPass\": \"x\"}}",
                "{\"changePassword\": {\"adminPass\": \"********\"}}");
    is_shown_as("{\"auth\": [{\"token_secret\": 12, \"id\": 3}]}",
                "{\"auth\": [{\"token_secret\": \"********\", \"id\": 3}]}");
    is_shown_as("{\"password\": {\"length\": 8}, \"token\": null, \"secret\": true}",
                "{\"password\": {\"length\": 8}, \"token\": null, \"secret\": true}");
}

static void words_of_commands(void **state)
{
    (void)state;
    is_shown_as("[\"tool\", \"--admin-password\", \"x\", \"--host\", \"h\"]",
                "[\"tool\", \"--admin-password\", \"********\", \"--host\", \"h\"]");
    is_shown_as("[\"tool\", \"--token=x\", \"DB_PASSWORD=y\", \"https://u:p@h/\"]",
                "[\"tool\", \"--token=********\", \"DB_PASSWORD=********\", \"https://u:********@h/\"]");
    is_shown_as("[\"passwd\", \"root\"]", "[\"passwd\", \"root\"]");
}

// Also as JSON and URLs write them, and line by line.
static void values_that_were_declared(void **state)
{
    (void)state;
    auto_json json_t *values = json_array(),
                     *data = json_of("{\"a\": [\"x sesame/1 y\", \"u?t=sesame%2F1\", \"open\"], \"b\": "
                                     "\"+line one\\n+line two\"}"),
                     *shown = json_of("{\"a\": [\"x ******** y\", \"u?t=********\", \"open\"], \"b\": "
                                      "\"+********\\n+********\"}");
    mask_forms("sesame/1", values);
    mask_forms("line one\nline two", values);
    mask_values(data, values);
    assert_true(json_equal(data, shown));
    mask_values(data, NULL);
    assert_true(json_equal(data, shown));
}

static void what_holds_none(void **state)
{
    (void)state;
    is_shown_as("{\"a\": [1, 2.5, true, null, \"plain\", {}]}",
                "{\"a\": [1, 2.5, true, null, \"plain\", {}]}");
    is_shown_as("\"no such secret: it was removed\"", "\"no such secret: it was removed\"");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_of_secrets),          cmocka_unit_test(harmless_lines),
        cmocka_unit_test(members_of_such_a_name),    cmocka_unit_test(words_of_commands),
        cmocka_unit_test(values_that_were_declared), cmocka_unit_test(what_holds_none),
    };
    return cmocka_run_group_tests_name("mask", tests, NULL, NULL);
}
