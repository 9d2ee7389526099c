/* SPDX-License-Identifier: MIT */
/* `baton verify`: what a receiver makes of a message's signatures, of the host
 * that brought it and of the policy of its author's domain. */
#include <stdio.h>
#include <string.h>

#include "core/address.h"
#include "core/arena.h"
#include "core/memory.h"
#include "dkim/dmarc.h"
#include "dkim/spf.h"
#include "dkim/verifier.h"
#include "relay/command_internal.h"
#include "relay/relay_settings.h"
#include "tracking/header.h"

#define MESSAGE_BYTES_MAX ((size_t)128 << 20)
#define HEADER_BYTES_MAX ((size_t)1 << 20)
#define HEADER_FIELDS_MAX 10000

/* RFC 8601, 2.7; RFC 9989 */
enum dmarc_result {
    DMARC_RESULT_NONE,
    DMARC_RESULT_PASS,
    DMARC_RESULT_FAIL,
    DMARC_RESULT_TEMPERROR,
    DMARC_RESULT_PERMERROR,
};

static const char *const dmarc_result_texts[] = {
    [DMARC_RESULT_NONE] = "none",
    [DMARC_RESULT_PASS] = "pass",
    [DMARC_RESULT_FAIL] = "fail",
    [DMARC_RESULT_TEMPERROR] = "temperror",
    [DMARC_RESULT_PERMERROR] = "permerror",
};

struct examination {
    struct command_call *call;
    struct loop *loop;
    struct dns_resolver *resolver;
    struct dns_inquiry *inquiry;
    struct buffer message; /* with CRLF line ends */
    struct dkim_verification *signatures;
    bool is_aligned[DKIM_SIGNATURES_MAX]; /* with the author's domain */
    bool has_aligned_signature; /* that is right */
    /* SPF, if it was asked for. */
    bool has_client;
    struct spf_query client;
    struct buffer sender;
    char client_domain[DOMAIN_TEXT_MAX + 1];
    char helo[DOMAIN_TEXT_MAX + 1];
    struct spf_outcome spf;
    bool is_spf_aligned;
    /* DMARC, if there is one author's domain. */
    char author_domain[DOMAIN_TEXT_MAX + 1]; /* "": there is none, because: */
    struct error no_author;
    struct dmarc_discovery dmarc;
    enum dmarc_result dmarc_result;
    struct error dmarc_reason;
};

/* -- what is given -- */

/* Line ends as on the wire, whether the file has CRLF or LF; a CR within a line
 * stays. */
static void append_lines(struct buffer *out_message, struct text bytes)
{
    while (bytes.length > 0) {
        size_t length = text_find_byte(bytes, '\n');
        buffer_append_text(out_message, text_slice(bytes, 0, length));
        if (length < bytes.length) {
            bool has_cr = out_message->length > 0 &&
                          out_message->data[out_message->length - 1] == '\r';
            buffer_append_string(out_message, has_cr ? "\n" : "\r\n");
        }
        bytes = text_slice(bytes, length + 1, bytes.length);
    }
}

static bool read_message(FILE *file, struct buffer *out_message)
{
    char bytes[16384];
    size_t count;
    while (out_message->length < MESSAGE_BYTES_MAX &&
           (count = fread(bytes, 1, sizeof(bytes), file)) > 0) {
        append_lines(out_message, (struct text){ bytes, count });
    }
    if (ferror(file) != 0) {
        command_fail("the message cannot be read from the standard input");
        return false;
    }
    if (out_message->length >= MESSAGE_BYTES_MAX) {
        command_fail("the message is larger than %zu megabytes",
                     MESSAGE_BYTES_MAX >> 20);
        return false;
    }
    if (out_message->length == 0) {
        command_fail("the standard input is empty: baton verify < message");
        return false;
    }
    return true;
}

static bool read_address(struct arena *arena, struct text value,
                         struct examination *examination)
{
    struct error *error = &examination->no_author;
    char **addresses;
    size_t count = 0;
    if (!header_addresses(arena, value, &addresses, &count, error)) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        char domain[DOMAIN_TEXT_MAX + 1];
        struct text address = text_of(addresses[i]);
        const char *at = strrchr(addresses[i], '@');
        size_t begin =
            at != NULL ? (size_t)(at - addresses[i]) + 1 : address.length;
        if (!domain_normalize(text_slice(address, begin, address.length),
                              domain, error)) {
            return false;
        }
        if (i > 0 && strcmp(domain, examination->author_domain) != 0) {
            return error_set(error, "From has addresses of several domains");
        }
        memcpy(examination->author_domain, domain, sizeof(domain));
    }
    return count > 0 || error_set(error, "From has no address");
}

/* RFC 9989: one From field, of one domain. */
static bool read_author(struct examination *examination)
{
    static const struct header_limits limits = {
        .size_bytes_max = HEADER_BYTES_MAX,
        .field_count_max = HEADER_FIELDS_MAX,
    };
    struct arena *arena = arena_create();
    struct header header;
    struct error *error = &examination->no_author;
    bool is_read = header_parse(buffer_text(&examination->message), &limits,
                                arena, &header, error);
    if (is_read && header_count(&header, "From") != 1) {
        is_read = error_set(error, "the message has %zu From fields",
                            header_count(&header, "From"));
    }
    is_read =
        is_read &&
        read_address(arena, header_find(&header, "From")->value, examination);
    arena_free(&arena);
    if (!is_read) {
        examination->author_domain[0] = '\0';
    }
    return is_read;
}

static bool read_domain(const char *option, struct text domain,
                        char out_domain[DOMAIN_TEXT_MAX + 1])
{
    struct error error;
    if (!domain_normalize(domain, out_domain, &error)) {
        command_fail("%s: %s", option, error.text);
        return false;
    }
    return true;
}

/* MAIL FROM, or HELO when that is null (RFC 7208, 2.4). */
static bool read_sender(struct examination *examination, const char *from)
{
    struct text sender = text_of(from);
    if (text_starts_with_ignoring_case(sender, "<") &&
        text_ends_with_ignoring_case(sender, ">")) {
        sender = text_slice(sender, 1, sender.length - 1);
    }
    if (sender.length == 0) {
        if (examination->helo[0] == '\0') {
            command_fail("--from is the null sender: name the client with "
                         "--helo");
            return false;
        }
        memcpy(examination->client_domain, examination->helo,
               sizeof(examination->helo));
        return true;
    }
    size_t begin = sender.length;
    while (begin > 0 && sender.data[begin - 1] != '@') {
        begin--;
    }
    buffer_append_text(&examination->sender, sender);
    return read_domain("--from", text_slice(sender, begin, sender.length),
                       examination->client_domain);
}

static bool read_client(struct examination *examination)
{
    struct command_call *call = examination->call;
    const char *ip = command_option(call, "--ip");
    const char *from = command_option(call, "--from");
    const char *helo = command_option(call, "--helo");
    if (ip == NULL && from == NULL && helo == NULL) {
        return true;
    }
    if (ip == NULL || from == NULL) {
        command_misuse(call, "SPF needs both --ip and --from");
        return false;
    }
    if (!network_address_parse(text_of(ip), 0, &examination->client.address)) {
        command_misuse(call, "--ip: \"%s\" is no IP address", ip);
        return false;
    }
    examination->has_client = true;
    if ((helo != NULL &&
         !read_domain("--helo", text_of(helo), examination->helo)) ||
        !read_sender(examination, from)) {
        return false;
    }
    examination->client.domain = examination->client_domain;
    examination->client.helo =
        helo != NULL ? examination->helo : examination->client_domain;
    examination->client.sender = examination->sender.data;
    return true;
}

/* -- the examination -- */

static void judge_dmarc(struct examination *examination)
{
    const struct dmarc_discovery *dmarc = &examination->dmarc;
    struct error *reason = &examination->dmarc_reason;
    bool is_spf_right = examination->has_client &&
                        examination->spf.result == SPF_PASS &&
                        examination->is_spf_aligned;
    *reason = dmarc->reason;
    if (dmarc->status == DMARC_TEMPORARY) {
        examination->dmarc_result = DMARC_RESULT_TEMPERROR;
    } else if (dmarc->status == DMARC_UNUSABLE) {
        examination->dmarc_result = DMARC_RESULT_PERMERROR;
    } else if (dmarc->status != DMARC_FOUND) {
        examination->dmarc_result = DMARC_RESULT_NONE;
    } else if (examination->has_aligned_signature || is_spf_right) {
        examination->dmarc_result = DMARC_RESULT_PASS;
        error_set(reason, "%s%s%s passed and aligned",
                  examination->has_aligned_signature ? "DKIM" : "",
                  examination->has_aligned_signature && is_spf_right ? " and "
                                                                     : "",
                  is_spf_right ? "SPF" : "");
    } else {
        examination->dmarc_result = DMARC_RESULT_FAIL;
        error_set(reason, "no signature%s is right and aligned with %s",
                  examination->has_client ? " and no SPF" : "",
                  examination->author_domain);
    }
}

static bool align_all(struct examination *examination,
                      struct dns_inquiry *inquiry)
{
    const struct dmarc_record *record = &examination->dmarc.record;
    const char *author = examination->author_domain;
    bool is_found = examination->dmarc.status == DMARC_FOUND;
    bool is_complete = true;
    examination->has_aligned_signature = false;
    for (size_t i = 0; i < dkim_verification_count(examination->signatures);
         i++) {
        const struct dkim_verdict *verdict =
            dkim_verification_verdict(examination->signatures, i);
        is_complete &= dmarc_align(inquiry, author, verdict->domain,
                                   is_found && record->is_dkim_strict,
                                   &examination->is_aligned[i]);
        examination->has_aligned_signature |=
            verdict->result == DKIM_PASS && examination->is_aligned[i];
    }
    if (examination->has_client) {
        is_complete &= dmarc_align(inquiry, author, examination->client_domain,
                                   is_found && record->is_spf_strict,
                                   &examination->is_spf_aligned);
    }
    return is_complete;
}

static bool examine(void *owner, struct dns_inquiry *inquiry)
{
    struct examination *examination = owner;
    bool is_complete = dkim_verification_run(examination->signatures, inquiry);
    if (examination->has_client) {
        is_complete &=
            spf_evaluate(inquiry, &examination->client, &examination->spf);
    }
    if (examination->author_domain[0] != '\0') {
        is_complete &= dmarc_discover(inquiry, examination->author_domain,
                                      &examination->dmarc);
        is_complete = is_complete && align_all(examination, inquiry);
    }
    if (is_complete) {
        judge_dmarc(examination);
        loop_stop(examination->loop);
    }
    return is_complete;
}

/* -- for people -- */

static void print_cleaned(const char *text)
{
    output_bytes(text_of(text));
}

static void print_verdict(const struct dkim_verdict *verdict, bool is_aligned)
{
    printf("dkim=%s", dkim_result_text(verdict->result));
    if (verdict->domain[0] != '\0') {
        printf(" d=%s s=", verdict->domain);
        print_cleaned(verdict->selector);
        printf(" a=");
        print_cleaned(verdict->algorithm);
    }
    if (verdict->key_bits > 0) {
        printf(" key=%d", verdict->key_bits);
    }
    if (verdict->has_length) {
        printf(" unsigned=%zu", verdict->unsigned_bytes);
    }
    printf(" %s: ", is_aligned ? "aligned" : "not-aligned");
    print_cleaned(verdict->reason.text);
    putchar('\n');
}

static void print_for_people(const struct examination *examination)
{
    size_t count = dkim_verification_count(examination->signatures);
    size_t skipped = dkim_verification_skipped(examination->signatures);
    for (size_t i = 0; i < count; i++) {
        print_verdict(dkim_verification_verdict(examination->signatures, i),
                      examination->is_aligned[i]);
    }
    if (count == 0) {
        printf("dkim=none: the message is not signed\n");
    }
    if (skipped > 0) {
        printf("%zu more signatures were not looked at\n", skipped);
    }
    if (examination->has_client) {
        char address[NETWORK_TEXT_SIZE];
        printf("spf=%s domain=%s ip=%s lookups=%u %s: ",
               spf_result_text(examination->spf.result),
               examination->client_domain,
               network_address_text(&examination->client.address, address),
               examination->spf.lookup_count,
               examination->is_spf_aligned ? "aligned" : "not-aligned");
        print_cleaned(examination->spf.reason.text);
        putchar('\n');
    }
    if (examination->author_domain[0] == '\0') {
        printf("dmarc=none: ");
        print_cleaned(examination->no_author.text);
        putchar('\n');
        return;
    }
    printf("dmarc=%s from=%s organization=%s",
           dmarc_result_texts[examination->dmarc_result],
           examination->author_domain, examination->dmarc.organization);
    if (examination->dmarc.status == DMARC_FOUND) {
        printf(" policy=%s record=_dmarc.%s",
               dmarc_policy_text(examination->dmarc.policy),
               examination->dmarc.policy_domain);
    }
    printf(": ");
    print_cleaned(examination->dmarc_reason.text);
    putchar('\n');
}

/* -- as JSON -- */

static json_t *text_json(const char *text)
{
    return output_text_json(text_of(text));
}

static json_t *verdict_json(const struct dkim_verdict *verdict, bool is_aligned)
{
    return json_pack(
        "{s:s, s:o, s:o, s:o, s:o, s:o, s:i, s:b, s:b, s:I, s:b}", "result",
        dkim_result_text(verdict->result), "reason",
        text_json(verdict->reason.text), "domain", text_json(verdict->domain),
        "selector", text_json(verdict->selector), "algorithm",
        text_json(verdict->algorithm), "identity", text_json(verdict->identity),
        "key_bits", verdict->key_bits, "testing", verdict->is_testing,
        "has_length", verdict->has_length, "unsigned_bytes",
        (json_int_t)verdict->unsigned_bytes, "aligned", is_aligned);
}

static json_t *spf_json(const struct examination *examination)
{
    char address[NETWORK_TEXT_SIZE];
    const struct spf_outcome *spf = &examination->spf;
    if (!examination->has_client) {
        return json_null();
    }
    return json_pack(
        "{s:s, s:o, s:s, s:s, s:o, s:o, s:i, s:b}", "result",
        spf_result_text(spf->result), "reason", text_json(spf->reason.text),
        "domain", examination->client_domain, "ip",
        network_address_text(&examination->client.address, address),
        "mechanism", text_json(spf->mechanism), "record_domain",
        text_json(spf->domain), "lookups", (int)spf->lookup_count, "aligned",
        examination->is_spf_aligned);
}

static json_t *dmarc_json(const struct examination *examination)
{
    const struct dmarc_discovery *dmarc = &examination->dmarc;
    bool has_author = examination->author_domain[0] != '\0';
    bool is_found = has_author && dmarc->status == DMARC_FOUND;
    return json_pack("{s:s, s:o, s:s, s:s, s:s, s:s, s:o, s:b}", "result",
                     dmarc_result_texts[has_author ? examination->dmarc_result
                                                   : DMARC_RESULT_NONE],
                     "reason",
                     text_json(has_author ? examination->dmarc_reason.text
                                          : examination->no_author.text),
                     "from", examination->author_domain, "organization",
                     dmarc->organization, "policy_domain", dmarc->policy_domain,
                     "policy", is_found ? dmarc_policy_text(dmarc->policy) : "",
                     "record", output_text_json(dmarc->text), "testing",
                     is_found && dmarc->record.is_testing);
}

static void print_json(const struct examination *examination)
{
    json_t *signatures = json_array();
    for (size_t i = 0; i < dkim_verification_count(examination->signatures);
         i++) {
        (void)json_array_append_new(
            signatures,
            verdict_json(dkim_verification_verdict(examination->signatures, i),
                         examination->is_aligned[i]));
    }
    output_json(json_pack(
        "{s:o, s:I, s:o, s:o, s:b}", "dkim", signatures, "dkim_skipped",
        (json_int_t)dkim_verification_skipped(examination->signatures), "spf",
        spf_json(examination), "dmarc", dmarc_json(examination),
        "aligned_signature", examination->has_aligned_signature));
}

/* -- the command -- */

static bool look_up(struct examination *examination)
{
    struct error error;
    const struct relay_settings_values *settings = relay_settings_now();
    const char *chosen = command_option(examination->call, "--resolver");
    struct dns_options options = {
        .servers = chosen != NULL ? chosen : settings->dns_servers,
        .timeout_milliseconds = (int)settings->dns_timeout,
    };
    examination->loop = loop_create();
    examination->resolver =
        dns_resolver_create(examination->loop, &options, &error);
    if (examination->resolver == NULL) {
        command_fail("%s", error.text);
        return false;
    }
    examination->inquiry = dns_inquiry_start(
        examination->loop, examination->resolver, examine, examination);
    loop_run(examination->loop);
    return true;
}

static void close_examination(struct examination *examination)
{
    dns_inquiry_free(&examination->inquiry);
    dns_resolver_free(&examination->resolver);
    dkim_verification_free(&examination->signatures);
    if (examination->loop != NULL) {
        loop_free(&examination->loop);
    }
    buffer_free(&examination->message);
    buffer_free(&examination->sender);
}

static int verify(struct command_call *call)
{
    struct examination examination = { .call = call };
    int status = COMMAND_FAILED;
    if (!read_client(&examination)) {
        status = COMMAND_MISUSED;
    } else if (read_message(stdin, &examination.message)) {
        (void)read_author(&examination);
        examination.signatures = dkim_verification_open(
            buffer_text(&examination.message), clock_now());
        if (look_up(&examination)) {
            if (call->is_json) {
                print_json(&examination);
            } else {
                print_for_people(&examination);
            }
            status = examination.has_aligned_signature ? COMMAND_DONE
                                                       : COMMAND_FAILED;
        }
    }
    close_examination(&examination);
    return status;
}

static const struct command_option verify_options[] = {
    { "--ip", "ADDRESS", "of the client that brought it, for SPF" },
    { "--from", "ADDRESS", "its MAIL FROM, for SPF; \"\" is the null sender" },
    { "--helo", "NAME", "its HELO name, for SPF of the null sender" },
    { "--resolver", "ADDRESS@PORT", "to ask instead of [dns] servers" },
    { NULL, NULL, NULL },
};

const struct command verify_commands[] = {
    { "verify", "",
      "verify the message on the standard input: DKIM, SPF and DMARC; fails "
      "unless an aligned signature is right",
      0, 0, verify_options, NEEDS_SETTINGS, verify },
};
const size_t verify_command_count = ARRAY_LENGTH(verify_commands);
