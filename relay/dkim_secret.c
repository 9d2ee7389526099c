/* SPDX-License-Identifier: MIT */
#include "relay/dkim_secret.h"

#include <inttypes.h>

#include "core/encoding.h"
#include "core/mac.h"
#include "core/memory.h"
#include "relay/relay_settings.h"

static bool derive(const char *hex, struct mac_key *out_key)
{
    struct buffer secret = { 0 };
    bool is_good =
        hex_decode(text_of(hex), &secret) && secret.length == MAC_SECRET_BYTES;
    if (is_good) {
        mac_key_derive(out_key, (const uint8_t *)secret.data);
    }
    buffer_free(&secret);
    return is_good;
}

static void write_context(const struct dkim_owner *owner,
                          struct buffer *out_context)
{
    buffer_printf(out_context, "dkim %" PRId64 " %s %s", owner->account_id,
                  owner->domain, owner->selector);
}

bool dkim_secret_check(const char *value, struct error *error)
{
    struct mac_key key;
    return value[0] == '\0' || derive(value, &key) ||
           error_set(error, "expected 64 hexadecimal digits, as "
                            "\"openssl rand -hex 32\" prints them");
}

bool dkim_secret_is_set(struct error *error)
{
    return relay_settings_now()->key_encryption[0] != '\0' ||
           error_set(error,
                     "private keys are kept encrypted, and there is no secret "
                     "to do it with: put the output of \"openssl rand -hex "
                     "32\" into the configuration, as key_encryption in "
                     "section [dkim]");
}

void dkim_secret_seal(const struct dkim_key *key,
                      const struct dkim_owner *owner, struct buffer *out_hex)
{
    struct mac_key secret;
    struct buffer context = { 0 };
    struct buffer plain = { 0 };
    struct buffer sealed = { 0 };
    check(derive(relay_settings_now()->key_encryption, &secret));
    write_context(owner, &context);
    dkim_key_write(key, &plain);
    mac_seal(&secret, buffer_text(&context), buffer_text(&plain), &sealed);
    hex_encode(buffer_text(&sealed), out_hex);
    buffer_wipe(&plain);
    buffer_free(&plain);
    buffer_free(&sealed);
    buffer_free(&context);
}

static bool unseal(const char *secret_hex, const struct dkim_owner *owner,
                   struct text sealed, struct buffer *out_plain)
{
    struct mac_key secret;
    struct buffer context = { 0 };
    write_context(owner, &context);
    bool is_opened =
        derive(secret_hex, &secret) &&
        mac_open(&secret, buffer_text(&context), sealed, out_plain);
    buffer_free(&context);
    return is_opened;
}

struct dkim_key *dkim_secret_open(const char *sealed_hex,
                                  const struct dkim_owner *owner,
                                  struct error *error)
{
    const struct relay_settings_values *settings = relay_settings_now();
    struct buffer sealed = { 0 };
    struct buffer plain = { 0 };
    struct dkim_key *key = NULL;
    if (hex_decode(text_of(sealed_hex), &sealed) &&
        (unseal(settings->key_encryption, owner, buffer_text(&sealed),
                &plain) ||
         unseal(settings->key_encryption_before, owner, buffer_text(&sealed),
                &plain))) {
        key = dkim_key_read(buffer_text(&plain), error);
    } else {
        error_set(error,
                  "the DKIM key %s of %s was encrypted with another secret "
                  "than [dkim] key_encryption: configure the one it was made "
                  "with, or make new keys: baton domain rotate",
                  owner->selector, owner->domain);
    }
    buffer_wipe(&plain);
    buffer_free(&plain);
    buffer_free(&sealed);
    return key;
}
