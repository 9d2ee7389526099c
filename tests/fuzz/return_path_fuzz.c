/* SPDX-License-Identifier: MIT */
/*
 * Local parts of addresses that mail comes back to. One that is honoured is one
 * that we write, but for the case of its letters; and what we write is read
 * back, and not when a bit of it is another.
 */
#include <string.h>

#include "core/memory.h"
#include "tracking/return_path.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const uint8_t secret[MAC_SECRET_BYTES] = { 7 };

static void try_reading(const struct token_keys *keys, struct text local)
{
    char again[RETURN_PATH_LOCAL_CHARACTERS + 1];
    struct return_path path;
    if (return_path_read(keys, local, &path)) {
        return_path_write(keys, &path, again);
        check(text_is_ignoring_case(local, again));
    }
}

static void try_writing(const struct token_keys *keys, const uint8_t *data)
{
    char local[RETURN_PATH_LOCAL_CHARACTERS + 1];
    struct return_path path = { .kind =
                                    (enum return_path_kind)(1 + data[0] % 3),
                                .account_id = data[1] << 8 | data[2] };
    struct return_path read = { 0 };
    memcpy(&path.delivery_id, data + 3, sizeof(path.delivery_id));
    path.delivery_id &= INT64_MAX;
    return_path_write(keys, &path, local);
    check(strlen(local) == RETURN_PATH_LOCAL_CHARACTERS);
    check(return_path_read(keys, text_of(local), &read));
    check(read.kind == path.kind && read.account_id == path.account_id &&
          read.delivery_id == path.delivery_id);
    size_t place = data[11] % RETURN_PATH_LOCAL_CHARACTERS;
    char changed = (char)data[12];
    if (ascii_lower(changed) != local[place]) {
        local[place] = changed;
        check(!return_path_read(
            keys, (struct text){ local, RETURN_PATH_LOCAL_CHARACTERS }, &read));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct token_keys *keys = token_keys_create();
    token_keys_add(keys, 1, secret);
    token_keys_use(keys, 1);
    try_reading(keys, (struct text){ (const char *)data, size });
    if (size >= 13) {
        try_writing(keys, data);
    }
    token_keys_free(&keys);
    return 0;
}
