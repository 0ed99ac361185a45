// SPDX-License-Identifier: MIT
// Certificates that are made when a test wants them, and the fake HTTP server over TLS with them (OpenSSL).
#ifndef MIGRUN_TESTS_FAKE_TLS_H
#define MIGRUN_TESTS_FAKE_TLS_H

#include "fake_http.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

struct fake_certificate {
    X509 *x509;
    EVP_PKEY *key;
};

static inline void fake_certificate_extend(X509 *x509, X509 *issuer, int what, const char *value)
{
    X509V3_CTX context;
    X509V3_set_ctx(&context, issuer, x509, NULL, NULL, 0);
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, &context, what, value);
    if (!extension || !X509_add_ext(x509, extension, -1))
        abort();
    X509_EXTENSION_free(extension);
}

// names: "IP:127.0.0.1,DNS:localhost", or NULL for a CA. issuer NULL: it vouches for itself. It was good from
// two days ago on, for so many.
static inline void fake_certificate_make(struct fake_certificate *c, const char *names,
                                         const struct fake_certificate *issuer, int days)
{
    static long serial; // of one issuer none may be twice
    *c = (struct fake_certificate){.x509 = X509_new(), .key = EVP_EC_gen("P-256")};
    const struct fake_certificate *by = issuer ? issuer : c;
    auto_free char *name = xasprintf("%s %ld", names ? "test" : "CA", ++serial);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(c->x509), "CN", MBSTRING_ASC,
                               (const unsigned char *)name, -1, -1, 0);
    X509_set_version(c->x509, X509_VERSION_3);
    ASN1_INTEGER_set(X509_get_serialNumber(c->x509), serial);
    X509_gmtime_adj(X509_getm_notBefore(c->x509), -2L * 86400);
    X509_gmtime_adj(X509_getm_notAfter(c->x509), (days - 2L) * 86400);
    X509_set_pubkey(c->x509, c->key);
    X509_set_issuer_name(c->x509, X509_get_subject_name(by->x509));
    if (names)
        fake_certificate_extend(c->x509, by->x509, NID_subject_alt_name, names);
    else
        fake_certificate_extend(c->x509, by->x509, NID_basic_constraints, "critical,CA:TRUE");
    if (!X509_sign(c->x509, by->key, EVP_sha256()))
        abort();
}

static inline void fake_certificate_free(struct fake_certificate *c)
{
    X509_free(c->x509);
    EVP_PKEY_free(c->key);
    *c = (struct fake_certificate){0};
}

// As PEM. key NULL: the certificate alone.
static inline void fake_certificate_write(const struct fake_certificate *c, const char *path, const char *key)
{
    FILE *file = fopen(path, "w"), *secret = key ? fopen(key, "w") : NULL;
    if (!file || !PEM_write_X509(file, c->x509) ||
        (key && (!secret || !PEM_write_PrivateKey(secret, c->key, NULL, NULL, 0, NULL, NULL))))
        abort();
    fclose(file);
    if (secret)
        fclose(secret);
}

// ---- the server ----

static void *fake_tls_open(void *arg, int fd)
{
    SSL *line = SSL_new(arg);
    char rest[1024];
    if (SSL_set_fd(line, fd) == 1 && SSL_accept(line) == 1)
        return line;
    SSL_free(line);
    // What the client sends meanwhile is read: else the reset would overtake the alert, which says why.
    shutdown(fd, SHUT_WR);
    while (recv(fd, rest, sizeof rest, 0) > 0)
        continue;
    return NULL;
}

static ssize_t fake_tls_take(void *line, void *data, size_t len) { return SSL_read(line, data, (int)len); }
static ssize_t fake_tls_give(void *line, const void *data, size_t len)
{
    return SSL_write(line, data, (int)len);
}

static void fake_tls_close(void *line)
{
    SSL_shutdown(line);
    SSL_free(line);
}

// clients: whose certificates are asked for, NULL: of nobody. To be freed when the server has stopped.
static inline SSL_CTX *fake_tls_start(struct fake_http *f, json_t *answers,
                                      const struct fake_certificate *own,
                                      const struct fake_certificate *clients)
{
    static const struct fake_http_wire wire = {
        .open = fake_tls_open, .take = fake_tls_take, .give = fake_tls_give, .close = fake_tls_close};
    SSL_CTX *context = SSL_CTX_new(TLS_server_method());
    if (!context || SSL_CTX_use_certificate(context, own->x509) != 1 ||
        SSL_CTX_use_PrivateKey(context, own->key) != 1)
        abort();
    if (clients) {
        X509_STORE_add_cert(SSL_CTX_get_cert_store(context), clients->x509);
        SSL_CTX_set_verify(context, SSL_VERIFY_PEER | SSL_VERIFY_FAIL_IF_NO_PEER_CERT, NULL);
    }
    fake_http_start_over(f, answers, &wire, context);
    return context;
}

#endif
