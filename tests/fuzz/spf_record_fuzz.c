/* SPDX-License-Identifier: MIT */
/* An SPF record of any bytes, behind a byte that chooses the client, evaluated
 * where no other name exists, and where each name leads back to the record:
 * it ends, within its limits. */
#include <stdlib.h>
#include <string.h>

#include "core/memory.h"
#include "dkim/spf.h"
#include "dkim/spf_macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool never_run(void *owner, struct dns_inquiry *inquiry)
{
    (void)owner;
    (void)inquiry;
    return true;
}

static void tell_record(struct dns_inquiry *inquiry, const char *name,
                        struct text record)
{
    struct dns_txt txt = { record, 1 };
    struct dns_answer answer = { .type = DNS_TYPE_TXT,
                                 .status = DNS_FOUND,
                                 .count = 1 };
    answer.records.texts = &txt;
    dns_inquiry_tell(inquiry, name, &answer);
}

static void evaluate(struct text record, const char *address)
{
    struct dns_inquiry *inquiry =
        dns_inquiry_start(NULL, NULL, never_run, NULL);
    struct spf_query query = { .domain = "d.test",
                               .sender = "a-b@c.d.test",
                               .helo = "h.test" };
    struct spf_outcome outcome;
    struct error error;
    check(network_address_parse(text_of(address), 0, &query.address));
    tell_record(inquiry, "d.test", record);
    tell_record(inquiry, "e.test", record);
    check(spf_evaluate(inquiry, &query, &outcome));
    check(outcome.lookup_count <= SPF_LOOKUPS_MAX + 1);
    check(outcome.void_lookup_count <= SPF_VOID_LOOKUPS_MAX + 1);
    check(outcome.reason.text[0] != '\0');
    if (spf_is_record(record) && !spf_check_record(record, &error)) {
        check(outcome.result == SPF_PERMERROR);
        check(error.text[0] != '\0');
    }
    dns_inquiry_free(&inquiry);
}

static void expand(struct text text)
{
    struct network_address address;
    char name[SPF_NAME_SIZE];
    struct spf_macro_values values = {
        .address = &address,
        .sender = TEXT_LITERAL("a-b+c@d.test"),
        .domain = "d.test",
        .helo = "h.test",
        .validated_name = "p.test",
    };
    check(network_address_parse(text_of("2001:db8::1"), 0, &address));
    if (text.length <= 300 && spf_macro_expand_domain(text, &values, name)) {
        check(strlen(name) > 0 && strlen(name) < SPF_NAME_SIZE);
    }
    check(!spf_macro_is_domain(text) || spf_macro_is_string(text));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct text record = { (const char *)data + 1, size - 1 };
    evaluate(record, data[0] % 2 == 0 ? "192.0.2.1" : "2001:db8::1");
    expand(record);
    return 0;
}
