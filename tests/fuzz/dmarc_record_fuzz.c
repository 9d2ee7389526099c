/* SPDX-License-Identifier: MIT */
/* A DMARC record of any bytes, and a domain behind a NUL: the walk ends after
 * eight questions and gives a domain that is a tail of the one it began with.
 */
#include <stdlib.h>
#include <string.h>

#include "core/address.h"
#include "core/memory.h"
#include "dkim/dmarc.h"
#include "dkim/tag_list.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool never_run(void *owner, struct dns_inquiry *inquiry)
{
    (void)owner;
    (void)inquiry;
    return true;
}

static void check_record(struct text text)
{
    struct dmarc_record record;
    struct error error;
    bool is_usable = dmarc_read(text, &record, &error);
    check(is_usable || error.text[0] != '\0');
    check(!is_usable || dmarc_is_record(text));
    check(strchr("uyn", record.psd) != NULL && record.psd != '\0');
    check(record.rua.length <= text.length);
    (void)tag_list_is_lawful(text);
}

static void walk(const char *domain, struct text text)
{
    struct dns_inquiry *inquiry =
        dns_inquiry_start(NULL, NULL, never_run, NULL);
    struct dns_txt txt = { text, 1 };
    struct dns_answer answer = { .type = DNS_TYPE_TXT,
                                 .status = DNS_FOUND,
                                 .count = 1 };
    struct dmarc_discovery found;
    bool is_aligned = false;
    answer.records.texts = &txt;
    dns_inquiry_tell(inquiry, "_dmarc.b.test", &answer);
    dns_inquiry_tell(inquiry, "_dmarc.a.b.test", &answer);
    check(dmarc_discover(inquiry, domain, &found));
    check(found.query_count <= 8);
    check(domain_is_under(domain, found.organization));
    check(found.policy_domain[0] == '\0' ||
          domain_is_under(domain, found.policy_domain));
    check(dmarc_align(inquiry, domain, "b.test", false, &is_aligned));
    dns_inquiry_free(&inquiry);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct text input = { (const char *)data, size };
    size_t end = text_find_byte(input, '\0');
    struct text record = text_slice(input, 0, end);
    char domain[DOMAIN_TEXT_MAX + 1];
    check_record(record);
    walk("x.a.b.test", record);
    if (domain_normalize(text_slice(input, end + 1, input.length), domain,
                         NULL)) {
        walk(domain, record);
    }
    return 0;
}
