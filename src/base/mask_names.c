// SPDX-License-Identifier: MIT
#include "base/mask_internal.h"

#include "base/memory.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

enum { WORDS_MOST = 16 };

bool mask_is_one_of(const char *name, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) == len && strncasecmp(name, *words, len) == 0)
            return true;
    return false;
}

static bool ends_with_one_of(const char *name, size_t len, const char *const *words)
{
    for (; *words; words++) {
        size_t n = strlen(*words);
        if (n <= len && strncasecmp(name + len - n, *words, n) == 0)
            return true;
    }
    return false;
}

bool mask_is_pair_name(const char *name, size_t len)
{
    static const char *const names[] = {"name", "key", "id", "var", "variable", NULL};
    return mask_is_one_of(name, len, names);
}

bool mask_is_pair_value(const char *name, size_t len)
{
    static const char *const names[] = {"value", "content", "val", NULL};
    return mask_is_one_of(name, len, names);
}

// ---- names ----

struct word {
    const char *text;
    size_t len;
    bool plural;
};

static bool is_upper(char c) { return isupper((unsigned char)c); }
static bool is_lower(char c) { return islower((unsigned char)c); }
static bool is_digit(char c) { return isdigit((unsigned char)c); }

// "adminPass", "DBPassword": a new word begins at i.
static bool begins_word(const char *name, size_t i, size_t len)
{
    if (!is_upper(name[i]))
        return false;
    return is_lower(name[i - 1]) || (is_upper(name[i - 1]) && i + 1 < len && is_lower(name[i + 1]));
}

static size_t word_end(const char *name, size_t at, size_t len)
{
    for (at++; at < len && isalnum((unsigned char)name[at]) && !begins_word(name, at, len); at++)
        ;
    return at;
}

// A name's words, without numbers behind them and the s of a plural: "OS_PASSWORD", "adminPass2", "api-keys".
static size_t words_of(const char *name, size_t len, struct word *words)
{
    size_t n = 0;
    for (size_t at = 0, end; at < len; at = end) {
        end = at + 1;
        if (!isalnum((unsigned char)name[at]))
            continue;
        end = word_end(name, at, len);
        size_t length = end - at;
        while (length && is_digit(name[at + length - 1]))
            length--;
        bool plural = length > 3 && strchr("sS", name[at + length - 1]) &&
                      !strchr("sS", name[at + length - 2]);
        if (length && n < WORDS_MOST)
            words[n++] = (struct word){name + at, length - plural, plural};
    }
    return n;
}

// A value of this name is a secret whatever stands before it.
static bool is_secret_word(const struct word *w)
{
    static const char *const whole[] = {"pass",   "pw",   "authorization", "rocommunity", "rwcommunity",
                                        "ticket", "cred", "webhook",       "masterauth",  NULL};
    static const char *const ends[] = {"password",    "passwd",    "passphrase", "passcode",   "pwd",
                                       "psk",         "secret",    "token",      "credential", "cookie",
                                       "adminpass",   "userpass",  "rootpass",   "dbpass",     "sshpass",
                                       "requirepass", "apikey",    "privatekey", "privkey",    "secretkey",
                                       "sharedkey",   "accesskey", "masterkey",  "authkey",    NULL};
    return mask_is_one_of(w->text, w->len, whole) || ends_with_one_of(w->text, w->len, ends);
}

static bool is_key_of_secrets(const struct word *words, size_t n)
{
    static const char *const kinds[] = {
        "api",    "private", "priv", "secret", "access", "encryption", "encrypt", "decryption", "preshared",
        "shared", "fixed",   "luks", "master", "fernet", "auth",       "signing", "session",    "symmetric",
        "wep",    "crypt",   "hmac", "aes",    "token",  "cookie",     "account", "storage",    NULL};
    return n > 1 && words[n - 1].len == 3 && strncasecmp(words[n - 1].text, "key", 3) == 0 &&
           mask_is_one_of(words[n - 2].text, words[n - 2].len, kinds);
}

static bool may_be_secret_word(const struct word *w)
{
    static const char *const words[] = {"key", "auth", "signature", "sig", "salt", "otp", NULL};
    return mask_is_one_of(w->text, w->len, words) || is_secret_word(w);
}

// What it says of a secret is none: "key_file", "password_length".
static bool is_about(const struct word *w)
{
    static const char *const words[] = {"file",
                                        "path",
                                        "dir",
                                        "directory",
                                        "folder",
                                        "type",
                                        "name",
                                        "user",
                                        "username",
                                        "url",
                                        "uri",
                                        "host",
                                        "port",
                                        "size",
                                        "length",
                                        "len",
                                        "bit",
                                        "days",
                                        "day",
                                        "age",
                                        "time",
                                        "timeout",
                                        "ttl",
                                        "lifetime",
                                        "expire",
                                        "expiration",
                                        "expiry",
                                        "interval",
                                        "limit",
                                        "max",
                                        "min",
                                        "count",
                                        "method",
                                        "algorithm",
                                        "alg",
                                        "scheme",
                                        "mode",
                                        "format",
                                        "strategy",
                                        "driver",
                                        "provider",
                                        "backend",
                                        "plugin",
                                        "manager",
                                        "module",
                                        "class",
                                        "section",
                                        "role",
                                        "required",
                                        "enabled",
                                        "enable",
                                        "allowed",
                                        "policy",
                                        "uuid",
                                        "cert",
                                        "certificate",
                                        "ca",
                                        "version",
                                        "domain",
                                        "realm",
                                        "server",
                                        "service",
                                        "endpoint",
                                        "command",
                                        "cmd",
                                        "program",
                                        "helper",
                                        "prompt",
                                        "agent",
                                        "usage",
                                        "authentication",
                                        "verification",
                                        "store",
                                        "location",
                                        "address",
                                        "group",
                                        "owner",
                                        "mgmt",
                                        NULL};
    // "days", "ds" of others are plurals that lost their s.
    return mask_is_one_of(w->text, w->len, words) || mask_is_one_of(w->text, w->len + w->plural, words);
}

static bool is_public_word(const struct word *w)
{
    static const char *const words[] = {"public", "pub", "pubkey", NULL};
    return mask_is_one_of(w->text, w->len, words);
}

bool mask_is_public(const char *name, size_t len)
{
    struct word words[WORDS_MOST];
    for (size_t n = words_of(name, len, words); n > 0; n--)
        if (is_public_word(&words[n - 1]))
            return true;
    return false;
}

enum secrecy mask_secrecy(const char *name, size_t len)
{
    // "password_hash", "SECRET_KEY_BASE": still the secret.
    static const char *const more[] = {"hash",   "old",     "new",   "value", "base", "data",      "text",
                                       "string", "plain",   "hex",   "key",   "b",    "encrypted", "crypted",
                                       "raw",    "confirm", "admin", "root",  NULL};
    struct word words[WORDS_MOST];
    size_t n = words_of(name, len, words);
    if (n == 0 || is_about(&words[n - 1]))
        return NOT_SECRET;
    bool may = false;
    for (size_t i = 0; i < n; i++) {
        if (is_public_word(&words[i]))
            return NOT_SECRET;
        may = may || may_be_secret_word(&words[i]);
    }
    for (size_t last = n; may && last > 0; last--) {
        if (is_secret_word(&words[last - 1]) || is_key_of_secrets(words, last))
            return IS_SECRET;
        if (!mask_is_one_of(words[last - 1].text, words[last - 1].len, more))
            break;
    }
    return may ? MAY_BE_SECRET : NOT_SECRET;
}

// ---- values ----

static bool is_keyword(const char *text, size_t len)
{
    static const char *const words[] = {
        "yes",      "no",       "true",    "false",   "on",        "off",   "none",   "null",    "nil",
        "enabled",  "disabled", "default", "auto",    "any",       "all",   "always", "never",   "optional",
        "required", "files",    "compat",  "systemd", "sss",       "ldap",  "nis",    "winbind", "db",
        "polkit",   "sasl",     "prompt",  "ask",     "undefined", "unset", "noauth", NULL};
    return mask_is_one_of(text, len, words);
}

static bool are_keywords(const char *text, size_t len)
{
    static const char between[] = " \t,;";
    size_t at = 0;
    while (at < len) {
        size_t end = at;
        while (end < len && !strchr(between, text[end]))
            end++;
        if (end > at && !is_keyword(text + at, end - at))
            return false;
        at = end + 1;
    }
    return true;
}

static bool is_uuid(const char *text, size_t len)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";
    if (len != sizeof form - 1)
        return false;
    for (size_t i = 0; i < len; i++)
        if (form[i] == '-' ? text[i] != '-' : !isxdigit((unsigned char)text[i]))
            return false;
    return true;
}

static bool begins_with_one_of(const char *text, size_t len, const char *const *words)
{
    for (; *words; words++)
        if (strlen(*words) <= len && strncmp(text, *words, strlen(*words)) == 0)
            return true;
    return false;
}

// "/" alone does not make a path: base64 has it too.
static bool is_path(const char *text, size_t len)
{
    static const char *const roots[] = {
        "/etc/", "/var/",  "/usr/", "/run/", "/root/", "/home/", "/opt/", "/srv/", "/dev/", "/proc/", "/lib",
        "/tmp/", "/boot/", "/mnt/", "/sys/", "/path/", "~/",     "./",    "../",   "file:", "%h/",    NULL};
    return begins_with_one_of(text, len, roots);
}

// What will be put there, or was masked: "${PASSWORD}", "%(password)s", "<password>", "********"; from where
// a secret parameter is read.
static bool is_placeholder(const char *text, size_t len)
{
    static const char *const begins[] = {
        "${",   "$(",    "%(",     "{{",    "********", "$ANSIBLE_VAULT", "@/",
        "env:", "rule:", "(rule:", "role:", "(role:",   "user_id:%(",     NULL};
    if (len > 1 && text[0] == '#' && text[1] == ' ')
        return true; // a comment
    if (begins_with_one_of(text, len, begins) || (len > 1 && text[0] == '<' && text[len - 1] == '>'))
        return true;
    size_t first = strspn(text, "xX*") >= len ? len : 1; // "XXXXXXXX", "$password"
    if (len < 2 || (first == 1 && text[0] != '$'))
        return false;
    for (size_t i = first; i < len; i++)
        if (!isalpha((unsigned char)text[i]) && text[i] != '_')
            return first == 1 && text[i] == '/'; // "$dir/private/cakey.pem"
    return true;
}

static bool is_public_key(const char *text, size_t len)
{
    static const char *const begins[] = {"ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "SHA256:", NULL};
    return begins_with_one_of(text, len, begins);
}

// As no word, number or host name is: long, of letters and digits.
static bool looks_random(const char *text, size_t len)
{
    enum { SHORTEST = 8, LONG = 20 };
    size_t digits = 0;
    bool letters = false, joined = false;
    for (size_t i = 0; i < len; i++) {
        letters = letters || isalpha((unsigned char)text[i]);
        digits += is_digit(text[i]);
        joined = joined || strchr("-_/", text[i]);
        if (!isalnum((unsigned char)text[i]) && !strchr("+/=-_", text[i]))
            return false;
    }
    return letters && digits >= (joined ? 3 : 1) && len >= (joined ? (size_t)LONG : (size_t)SHORTEST);
}

bool mask_is_wanted(enum secrecy secrecy, const char *value, size_t len)
{
    while (len && strchr(" \t\r\n,;", value[len - 1]))
        len--;
    while (len && strchr(" \t\r\n", *value)) {
        value++;
        len--;
    }
    const char *comment = memmem(value, len, " #", 2);
    if (comment)
        len = (size_t)(comment - value);
    if (secrecy == NOT_SECRET || len == 0 || is_uuid(value, len) || is_path(value, len) ||
        is_placeholder(value, len) || is_public_key(value, len))
        return false;
    return secrecy == IS_SECRET ? !are_keywords(value, len) : looks_random(value, len);
}

// ---- shapes ----

static size_t span_of(const char *text, const char *more)
{
    size_t n = 0;
    while (text[n] && (isalnum((unsigned char)text[n]) || strchr(more, text[n])))
        n++;
    return n;
}

// "$6$salt$hash" of crypt.
static size_t crypt_hash(const char *text, size_t *shown)
{
    static const char *const kinds[] = {"1",
                                        "2a",
                                        "2b",
                                        "2x",
                                        "2y",
                                        "5",
                                        "6",
                                        "7",
                                        "y",
                                        "gy",
                                        "md5",
                                        "apr1",
                                        "sha1",
                                        "argon2i",
                                        "argon2d",
                                        "argon2id",
                                        "pbkdf2",
                                        "pbkdf2-sha256",
                                        "pbkdf2-sha512",
                                        "scrypt",
                                        NULL};
    size_t kind = *text == '$' ? span_of(text + 1, "-") : 0;
    if (!kind || text[1 + kind] != '$' || !mask_is_one_of(text + 1, kind, kinds))
        return 0;
    *shown = kind + 2;
    size_t hash = span_of(text + *shown, "./$,=*+-_");
    return hash >= 8 ? *shown + hash : 0;
}

// Keys of 32 bytes (WireGuard, Fernet) and Ceph's, in base64.
static size_t base64_key(const char *text, size_t *shown)
{
    enum { CEPH = 40, WIREGUARD = 44 };
    size_t digits = span_of(text, "+/-_"), pad = strspn(text + digits, "=");
    bool ceph = digits + pad == CEPH && pad == 2 && strncmp(text, "AQ", 2) == 0;
    *shown = 0;
    return ceph || (digits + pad == WIREGUARD && pad == 1) ? digits + pad : 0;
}

// Tokens of Keystone (Fernet) and JSON web tokens, grub's hashes, Slack's hooks.
static size_t begins_with_kind(const char *text, size_t *shown)
{
    static const struct {
        const char *begins;
        size_t shown, least;
    } kinds[] = {
        {"gAAAAA", 0, 40}, {"eyJ", 0, 30}, {"grub.pbkdf2.", 12, 16}, {"hooks.slack.com/services/", 25, 30}};
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        if (strncmp(text, kinds[i].begins, strlen(kinds[i].begins)) != 0)
            continue;
        size_t len = span_of(text, "-_./+=");
        *shown = kinds[i].shown;
        return len >= kinds[i].least ? len : 0;
    }
    return 0;
}

// "Bearer TOKEN", "Basic BASE64": as a header has it, and not prose.
static size_t http_authorization(const char *text, size_t *shown)
{
    static const char *const schemes[] = {"Bearer ", "Basic ", "bearer ", NULL};
    if (!begins_with_one_of(text, strnlen(text, 7), schemes))
        return 0;
    *shown = strcspn(text, " ") + 1;
    size_t len = span_of(text + *shown, "-._~+/=");
    bool token = false;
    for (size_t i = 1; i < len; i++)
        token = token || is_digit(text[*shown + i]) || is_upper(text[*shown + i]);
    return token && len >= 8 ? *shown + len : 0;
}

size_t mask_shape(const char *text, size_t *shown)
{
    static size_t (*const shapes[])(const char *, size_t *) = {crypt_hash, begins_with_kind,
                                                               http_authorization, base64_key};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        size_t len = shapes[i](text, shown);
        if (len)
            return len;
    }
    return 0;
}
