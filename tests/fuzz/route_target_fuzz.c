/* SPDX-License-Identifier: MIT */
/* What a route's target says is printed, and read again as the same. */
#include <stdio.h>
#include <string.h>

#include "core/memory.h"
#include "relay/route_target.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_target(const struct route_target *target)
{
    struct buffer printed = { 0 };
    struct route_target again;
    struct error error;
    route_target_print(target, &printed);
    check(!text_has_8bit(buffer_text(&printed)));
    char *text = buffer_take(&printed);
    check(route_target_parse(text, &again, &error));
    check(again.kind == target->kind && again.port == target->port);
    check(again.tls == target->tls);
    check(strcmp(again.host, target->host) == 0);
    check(strcmp(again.user, target->user) == 0);
    check((target->user[0] == '\0') == (target->password[0] == '\0'));
    if (target->user[0] != '\0') { /* never in clear */
        check(strcmp(again.password, "***") == 0);
        check(target->tls == CLIENT_TLS_REQUIRED ||
              target->tls == CLIENT_TLS_VERIFIED ||
              target->tls == CLIENT_TLS_IMPLICIT);
    }
    if (target->kind == ROUTE_SMTP) {
        check(target->host[0] != '\0' && target->port > 0);
    }
    memory_free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *text = memory_copy_bytes((const char *)data, size);
    struct route_target target;
    struct error error = { "" };
    if (route_target_parse(text, &target, &error)) {
        check_target(&target);
    } else {
        check(error.text[0] != '\0');
    }
    memory_free(text);
    return 0;
}
