/* SPDX-License-Identifier: MIT */
/*
 * D9: what a domain publishes, right, missing, wrong and half right, as a name
 * server on the same loop has it. Each row is a zone of its own besides the
 * records that the sending service has.
 */
#include "relay/domain_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/memory.h"
#include "tests/unit/name_server.h"

#define ROWS_MAX 8
#define TXT DNS_TYPE_TXT
#define CNAME DNS_TYPE_CNAME
#define MX DNS_TYPE_MX
#define A DNS_TYPE_A
#define AAAA DNS_TYPE_AAAA

/* RFC 8463, A.2, and one that differs in its first letter. */
#define OUR_P "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="
#define OUR_KEY "v=DKIM1; k=ed25519; p=" OUR_P
#define OTHER_KEY \
    "v=DKIM1; k=ed25519; p=21qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="

static const struct zone_row service[] = {
    { "b1.dkim.relay.test", TXT, 0, OUR_KEY },
    { "b2.dkim.relay.test", TXT, 3, NULL },
    { "bounce.relay.test", MX, 0, "10 in.relay.test" },
    { "bounce.relay.test", TXT, 0, "v=spf1 ip4:192.0.2.1 ip4:192.0.2.2 -all" },
    { "click.relay.test", A, 0, "192.0.2.80" },
};

struct check_case {
    const char *what;
    enum domain_subject subject;
    enum domain_state state;
    const char *advice; /* a part of it */
    const char *found; /* a part of it; NULL: nothing */
    bool is_direct; /* TXT, MX and A are expected, not CNAMEs */
    struct zone_row rows[ROWS_MAX]; /* up to a NULL name */
};

#define KEY_NAME "b1._domainkey.shop.test"
#define RETURN_NAME "bounce.shop.test"
#define LINK_NAME "click.shop.test"
#define DMARC_NAME "_dmarc.shop.test"

static const struct check_case cases[] = {
    { "a CNAME to the key",
      DOMAIN_DKIM,
      DOMAIN_RIGHT,
      "The key is published",
      "CNAME b1.dkim.relay.test\nTXT v=DKIM1",
      false,
      { { KEY_NAME, CNAME, 0, "b1.dkim.relay.test" } } },
    { "the key itself instead of a CNAME",
      DOMAIN_DKIM,
      DOMAIN_RIGHT,
      "The key is published",
      "TXT v=DKIM1; k=ed25519",
      false,
      { { KEY_NAME, TXT, 0, OUR_KEY } } },
    { "the key, folded and in two strings",
      DOMAIN_DKIM,
      DOMAIN_RIGHT,
      "The key is published",
      "TXT k=ed25519",
      false,
      { { KEY_NAME, TXT, 0,
          "k=ed25519; p=11qYAYKxCrfVS/ 7TyWQHOg7hcv|PapiMlrwI"
          "aaPcHURo= ;" } } },
    { "no record",
      DOMAIN_DKIM,
      DOMAIN_MISSING,
      "name \"b1._domainkey\", type CNAME, target b1.dkim.relay.test",
      NULL,
      false,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "no record, and TXT is expected",
      DOMAIN_DKIM,
      DOMAIN_MISSING,
      "type TXT, value " OUR_KEY,
      NULL,
      true,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "DNS fails",
      DOMAIN_DKIM,
      DOMAIN_UNKNOWN,
      "did not answer",
      NULL,
      false,
      { { KEY_NAME, TXT, 2, NULL }, { KEY_NAME, CNAME, 2, NULL } } },
    { "another key",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "but its p= is another key. Replace it with: name",
      "p=21qY",
      true,
      { { KEY_NAME, TXT, 0, OTHER_KEY } } },
    { "a revoked key",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "is revoked",
      "TXT v=DKIM1; p=",
      true,
      { { KEY_NAME, TXT, 0, "v=DKIM1; p=" } } },
    { "a key for other services",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "s= names other services",
      "s=tlsrpt",
      true,
      { { KEY_NAME, TXT, 0, "v=DKIM1; s=tlsrpt; k=ed25519; p=" OUR_P } } },
    { "something else",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "no key in it",
      "TXT hello",
      true,
      { { KEY_NAME, TXT, 0, "hello" } } },
    { "quotes inside",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "quotes or backslashes inside",
      "TXT \"v=DKIM1\\; k",
      true,
      { { KEY_NAME, TXT, 0, "\"v=DKIM1\\; k=ed25519\\; p=" OUR_P "\"" } } },
    { "split into two records",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "split into 2 TXT records",
      "PapiMlrwIaaPcHURo=",
      true,
      { { KEY_NAME, TXT, 0,
          "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcv" },
        { KEY_NAME, TXT, 0, "PapiMlrwIaaPcHURo=" } } },
    { "cut off",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "is cut off after 48 characters",
      "TXT v=DKIM1",
      true,
      { { KEY_NAME, TXT, 0,
          "v=DKIM1; k=ed25519; p=11qYAYKxCrfVS/7TyWQHOg7hcv" } } },
    { "an old key beside ours",
      DOMAIN_DKIM,
      DOMAIN_HALF,
      "2 TXT records stand at",
      "p=21qY",
      true,
      { { KEY_NAME, TXT, 0, OTHER_KEY }, { KEY_NAME, TXT, 0, OUR_KEY } } },
    { "two records, none is ours",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "2 TXT records stand at " KEY_NAME ", and none is our key",
      "p=21qY",
      true,
      { { KEY_NAME, TXT, 0, OTHER_KEY }, { KEY_NAME, TXT, 0, "hello" } } },
    { "test mode",
      DOMAIN_DKIM,
      DOMAIN_HALF,
      "Remove \"t=y;\"",
      "t=y",
      true,
      { { KEY_NAME, TXT, 0, "v=DKIM1; t=y; k=ed25519; p=" OUR_P } } },
    { "a TXT record in the place of the CNAME",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "where a CNAME belongs",
      "TXT b1.dkim.relay.test.",
      false,
      { { KEY_NAME, TXT, 0, "b1.dkim.relay.test." } } },
    { "a CNAME in the place of the TXT record",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "where a TXT record belongs",
      "CNAME else.test",
      true,
      { { KEY_NAME, CNAME, 0, "else.test" } } },
    { "a CNAME elsewhere",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "leads to b9.dkim.relay.test. Change its target to b1.dkim.relay.test",
      "CNAME b9.dkim.relay.test",
      false,
      { { KEY_NAME, CNAME, 0, "b9.dkim.relay.test" } } },
    { "no final dot",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "with a dot at its end: b1.dkim.relay.test.",
      "CNAME b1.dkim.relay.test.shop.test",
      false,
      { { KEY_NAME, CNAME, 0, "b1.dkim.relay.test.shop.test" } } },
    { "the name is doubled",
      DOMAIN_DKIM,
      DOMAIN_WRONG,
      "The name is doubled: the record stands at " KEY_NAME
      ".shop.test. Your DNS provider adds the domain itself: enter only "
      "\"b1._domainkey\"",
      "CNAME b1.dkim.relay.test",
      false,
      { { KEY_NAME ".shop.test", CNAME, 0, "b1.dkim.relay.test" } } },

    { "a CNAME",
      DOMAIN_RETURN_PATH,
      DOMAIN_RIGHT,
      "Bounces come back",
      "CNAME bounce.relay.test\nMX 10 in.relay.test",
      false,
      { { RETURN_NAME, CNAME, 0, "bounce.relay.test" } } },
    { "a CNAME that the provider resolves itself",
      DOMAIN_RETURN_PATH,
      DOMAIN_RIGHT,
      "in the place of the CNAME",
      "MX 10 in.relay.test",
      false,
      { { RETURN_NAME, MX, 0, "10 in.relay.test" } } },
    { "no return path",
      DOMAIN_RETURN_PATH,
      DOMAIN_MISSING,
      "name \"bounce\", type CNAME, target bounce.relay.test",
      NULL,
      false,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "other records where the CNAME should be",
      DOMAIN_RETURN_PATH,
      DOMAIN_WRONG,
      "a CNAME may have none beside it",
      "MX 10 else.test",
      false,
      { { RETURN_NAME, MX, 0, "10 else.test" } } },
    { "a doubled name",
      DOMAIN_RETURN_PATH,
      DOMAIN_WRONG,
      "enter only \"bounce\"",
      "CNAME bounce.relay.test",
      false,
      { { RETURN_NAME ".shop.test", CNAME, 0, "bounce.relay.test" } } },
    { "an MX",
      DOMAIN_RETURN_PATH,
      DOMAIN_RIGHT,
      "Bounces come back",
      "MX 10 in.relay.test",
      true,
      { { RETURN_NAME, MX, 0, "10 in.relay.test" } } },
    { "an MX among others",
      DOMAIN_RETURN_PATH,
      DOMAIN_HALF,
      "delete the other MX records",
      "else.test",
      true,
      { { RETURN_NAME, MX, 0, "10 in.relay.test" },
        { RETURN_NAME, MX, 0, "20 else.test" } } },
    { "another MX",
      DOMAIN_RETURN_PATH,
      DOMAIN_WRONG,
      "Change it to: 10 in.relay.test",
      "MX 20 else.test",
      true,
      { { RETURN_NAME, MX, 0, "20 else.test" } } },
    { "a CNAME where an MX should be",
      DOMAIN_RETURN_PATH,
      DOMAIN_WRONG,
      "beside which there can be no MX",
      "CNAME else.test",
      true,
      { { RETURN_NAME, CNAME, 0, "else.test" } } },
    { "no MX",
      DOMAIN_RETURN_PATH,
      DOMAIN_MISSING,
      "type MX, value 10 in.relay.test",
      "A 192.0.2.9",
      true,
      { { RETURN_NAME, A, 0, "192.0.2.9" } } },

    { "SPF through the CNAME",
      DOMAIN_SPF,
      DOMAIN_RIGHT,
      "We may send",
      "TXT v=spf1 ip4:192.0.2.1",
      false,
      { { RETURN_NAME, CNAME, 0, "bounce.relay.test" } } },
    { "SPF of its own",
      DOMAIN_SPF,
      DOMAIN_RIGHT,
      "We may send (\"include:bounce.relay.test\" says so)",
      "TXT v=spf1 include",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 include:bounce.relay.test ~all" } } },
    { "no SPF, and the CNAME brings it",
      DOMAIN_SPF,
      DOMAIN_MISSING,
      "comes by itself with the CNAME",
      NULL,
      false,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "the CNAME brings a record without us",
      DOMAIN_SPF,
      DOMAIN_HALF,
      "The CNAME is right, but the SPF record of its target",
      "TXT v=spf1 -all",
      false,
      { { RETURN_NAME, CNAME, 0, "bounce.relay.test" },
        { "bounce.relay.test", TXT, 0, "v=spf1 -all" } } },
    { "a record of another service where the CNAME should be",
      DOMAIN_SPF,
      DOMAIN_WRONG,
      "The right one comes by itself with the CNAME",
      "TXT v=spf1 -all",
      false,
      { { RETURN_NAME, TXT, 0, "v=spf1 -all" } } },
    { "no SPF",
      DOMAIN_SPF,
      DOMAIN_MISSING,
      "type TXT, value v=spf1 include:bounce.relay.test -all",
      NULL,
      true,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "SPF without us",
      DOMAIN_SPF,
      DOMAIN_WRONG,
      "does not let us send from 192.0.2.1 (fail). Change it to: v=spf1 "
      "include:bounce.relay.test ip4:203.0.113.9 -all",
      "TXT v=spf1 ip4:203.0.113.9 -all",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 ip4:203.0.113.9 -all" } } },
    { "SPF with one of our two addresses",
      DOMAIN_SPF,
      DOMAIN_HALF,
      "does not let us send from 192.0.2.2 (softfail)",
      "TXT v=spf1",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 ip4:192.0.2.1 ~all" } } },
    { "two SPF records",
      DOMAIN_SPF,
      DOMAIN_WRONG,
      "has 2 SPF records",
      "TXT v=spf1",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 ip4:192.0.2.1 ~all" },
        { RETURN_NAME, TXT, 0, "v=spf1 -all" } } },
    { "an SPF record with a slip",
      DOMAIN_SPF,
      DOMAIN_WRONG,
      "\"ipv4:192.0.2.1\" is no mechanism",
      "TXT v=spf1 ipv4",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 ipv4:192.0.2.1 -all" } } },
    { "SPF in quotes",
      DOMAIN_SPF,
      DOMAIN_WRONG,
      "quotes inside the SPF record",
      "TXT \"v=spf1",
      true,
      { { RETURN_NAME, TXT, 0,
          "\"v=spf1 include:bounce.relay.test -all\"" } } },
    { "SPF for everybody",
      DOMAIN_SPF,
      DOMAIN_HALF,
      "lets everybody send",
      "TXT v=spf1 +all",
      true,
      { { RETURN_NAME, TXT, 0, "v=spf1 +all" } } },
    { "SPF of servers that fail",
      DOMAIN_SPF,
      DOMAIN_UNKNOWN,
      "says nothing about it",
      NULL,
      true,
      { { RETURN_NAME, TXT, 2, NULL } } },

    { "a CNAME to us",
      DOMAIN_LINK,
      DOMAIN_RIGHT,
      "Links in mail lead to us",
      "CNAME click.relay.test\nA 192.0.2.80",
      false,
      { { LINK_NAME, CNAME, 0, "click.relay.test" } } },
    { "our address",
      DOMAIN_LINK,
      DOMAIN_RIGHT,
      "Links in mail lead to us",
      "A 192.0.2.80",
      true,
      { { LINK_NAME, A, 0, "192.0.2.80" } } },
    { "our address and another",
      DOMAIN_LINK,
      DOMAIN_HALF,
      "Of the 2 addresses of click.shop.test only 1",
      "AAAA 2001:db8::1",
      true,
      { { LINK_NAME, A, 0, "192.0.2.80" },
        { LINK_NAME, AAAA, 0, "2001:db8::1" } } },
    { "another address",
      DOMAIN_LINK,
      DOMAIN_WRONG,
      "other addresses than ours. Change the record to: A 192.0.2.80",
      "A 192.0.2.9",
      true,
      { { LINK_NAME, A, 0, "192.0.2.9" } } },
    { "an address where the CNAME should be",
      DOMAIN_LINK,
      DOMAIN_WRONG,
      "type CNAME, target click.relay.test",
      "A 192.0.2.9",
      false,
      { { LINK_NAME, A, 0, "192.0.2.9" } } },
    { "the orange cloud",
      DOMAIN_LINK,
      DOMAIN_WRONG,
      "the orange cloud",
      "A 104.21.3.4",
      false,
      { { LINK_NAME, A, 0, "104.21.3.4" } } },
    { "a wildcard",
      DOMAIN_LINK,
      DOMAIN_MISSING,
      "Only the record for all names (*.shop.test) answers for click.shop.test",
      "A 192.0.2.9",
      false,
      { { LINK_NAME, A, 0, "192.0.2.9" },
        { "baton-asks-for-a-wildcard.shop.test", A, 0, "192.0.2.9" } } },
    { "a wildcard CNAME, and addresses are expected",
      DOMAIN_LINK,
      DOMAIN_MISSING,
      "name \"click\", A 192.0.2.80",
      "CNAME web.test",
      true,
      { { LINK_NAME, CNAME, 0, "web.test" },
        { "web.test", A, 0, "192.0.2.9" },
        { "baton-asks-for-a-wildcard.shop.test", CNAME, 0, "web.test" } } },
    { "no link host",
      DOMAIN_LINK,
      DOMAIN_MISSING,
      "name \"click\", type CNAME, target click.relay.test",
      NULL,
      false,
      { { "shop.test", A, 0, "192.0.2.9" } } },

    { "no DMARC record",
      DOMAIN_DMARC,
      DOMAIN_MISSING,
      "value v=DMARC1; p=none; rua=mailto:post@shop.test",
      NULL,
      false,
      { { "shop.test", A, 0, "192.0.2.9" } } },
    { "a policy of none",
      DOMAIN_DMARC,
      DOMAIN_RIGHT,
      "The policy is \"none\".",
      "TXT v=DMARC1; p=none",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=none; rua=mailto:a@shop.test" } } },
    { "nobody is sent reports",
      DOMAIN_DMARC,
      DOMAIN_RIGHT,
      "Nobody is sent reports",
      "TXT v=DMARC1; p=none",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=none" } } },
    { "reject, and nothing is aligned yet",
      DOMAIN_DMARC,
      DOMAIN_HALF,
      "receivers reject it. Put the DKIM record right before",
      "TXT v=DMARC1; p=reject",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=reject" } } },
    { "reject, and DKIM is right",
      DOMAIN_DMARC,
      DOMAIN_RIGHT,
      "The policy is \"reject\".",
      "TXT v=DMARC1; p=reject",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=reject; rua=mailto:a@shop.test" },
        { KEY_NAME, CNAME, 0, "b1.dkim.relay.test" } } },
    { "a strict return path",
      DOMAIN_DMARC,
      DOMAIN_RIGHT,
      "is not aligned (aspf=s wants the very same domain)",
      "aspf=s",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=none; aspf=s" } } },
    { "a record of the domain above",
      DOMAIN_DMARC,
      DOMAIN_RIGHT,
      "The policy is \"none\"",
      "TXT v=DMARC1; p=reject; sp=none",
      false,
      { { "_dmarc.test", TXT, 0, "v=DMARC1; p=reject; sp=none; psd=y" } } },
    { "two records",
      DOMAIN_DMARC,
      DOMAIN_WRONG,
      "has 2 records, and all of them are ignored: keep one",
      "p=reject",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=reject" },
        { DMARC_NAME, TXT, 0, "v=DMARC1; p=none" } } },
    { "no policy",
      DOMAIN_DMARC,
      DOMAIN_WRONG,
      "p=all is no policy",
      "p=all",
      false,
      { { DMARC_NAME, TXT, 0, "v=DMARC1; p=all" } } },
    { "a version in small letters",
      DOMAIN_DMARC,
      DOMAIN_WRONG,
      "does not begin with \"v=DMARC1;\"",
      "v=dmarc1",
      false,
      { { DMARC_NAME, TXT, 0, "v=dmarc1; p=none" } } },
    { "DMARC in quotes",
      DOMAIN_DMARC,
      DOMAIN_WRONG,
      "quotes or backslashes inside",
      "TXT \"v=DMARC1",
      false,
      { { DMARC_NAME, TXT, 0, "\"v=DMARC1; p=none\"" } } },
    { "DMARC under a doubled name",
      DOMAIN_DMARC,
      DOMAIN_WRONG,
      "enter only \"_dmarc\"",
      "TXT v=DMARC1",
      false,
      { { DMARC_NAME ".shop.test", TXT, 0, "v=DMARC1; p=none" } } },
    { "DMARC at servers that fail",
      DOMAIN_DMARC,
      DOMAIN_UNKNOWN,
      "says nothing about the record",
      NULL,
      false,
      { { DMARC_NAME, TXT, 2, NULL } } },
};

struct world {
    struct loop *loop;
    struct name_server server;
    struct timer watchdog;
    struct dns_resolver *resolver;
    struct zone_row zone[ARRAY_LENGTH(service) + ROWS_MAX];
    const struct check_case *expected;
    const char *domain;
    int answer_count;
    char *json;
};

static void on_watchdog(void *owner)
{
    (void)owner;
    fail_msg("nothing happened for 30 seconds");
}

static void open_world(struct world *world, const struct zone_row *rows)
{
    struct error error;
    size_t count = ARRAY_LENGTH(service);
    memset(world, 0, sizeof(*world));
    memcpy(world->zone, service, sizeof(service));
    for (size_t i = 0; i < ROWS_MAX && rows[i].name != NULL; i++) {
        /* In the place of the service's own, if it has such. */
        size_t k = 0;
        while (k < ARRAY_LENGTH(service) &&
               (strcmp(service[k].name, rows[i].name) != 0 ||
                service[k].type != rows[i].type)) {
            k++;
        }
        world->zone[k < ARRAY_LENGTH(service) ? k : count++] = rows[i];
    }
    world->domain = "shop.test";
    world->loop = loop_create();
    name_server_open(&world->server, world->loop, world->zone, count);
    struct dns_options options = { .servers = world->server.setting };
    world->resolver = dns_resolver_create(world->loop, &options, &error);
    assert_non_null(world->resolver);
    timer_start(&world->watchdog, world->loop, 30000, on_watchdog, NULL);
}

static void close_world(struct world *world)
{
    timer_stop(&world->watchdog);
    dns_resolver_free(&world->resolver);
    name_server_close(&world->server);
    loop_free(&world->loop);
    memory_free(world->json);
}

static void on_report(void *owner, const struct domain_report *report)
{
    struct world *world = owner;
    const struct check_case *c = world->expected;
    world->answer_count++;
    json_t *json = domain_report_json(report);
    char *text = json_dumps(json, JSON_COMPACT);
    world->json = memory_copy_string(text);
    free(text);
    json_decref(json);
    loop_stop(world->loop);
    for (size_t i = 0; c != NULL && i < report->finding_count; i++) {
        const struct domain_finding *finding = &report->findings[i];
        if (finding->subject != c->subject) {
            continue;
        }
        if (finding->state != c->state ||
            strstr(finding->advice, c->advice) == NULL ||
            (c->found == NULL ? finding->found[0] != '\0'
                              : strstr(finding->found, c->found) == NULL)) {
            fail_msg("%s: %s\n  expected %s\n  found %s\n  advice %s", c->what,
                     domain_state_text(finding->state), finding->expected,
                     finding->found, finding->advice);
        }
        return;
    }
    if (c != NULL) {
        fail_msg("%s: there is no such finding", c->what);
    }
}

static const struct domain_selector by_name = { "b1", OUR_KEY,
                                                "b1.dkim.relay.test" };
static const struct domain_selector by_text = { "b1", OUR_KEY, NULL };

static struct domain_check *start_check(struct world *world, bool is_direct)
{
    struct network_address addresses[3];
    assert_true(network_address_parse(text_of("192.0.2.1"), 0, &addresses[0]));
    assert_true(network_address_parse(text_of("192.0.2.2"), 0, &addresses[1]));
    assert_true(network_address_parse(text_of("192.0.2.80"), 0, &addresses[2]));
    struct domain_expectation expected = {
        .domain = world->domain,
        .selectors = is_direct ? &by_text : &by_name,
        .selector_count = 1,
        .return_host = RETURN_NAME,
        .return_cname = is_direct ? NULL : "bounce.relay.test",
        .return_mx = is_direct ? "in.relay.test" : NULL,
        .return_spf = is_direct ? "include:bounce.relay.test" : NULL,
        .link_host = LINK_NAME,
        .link_cname = is_direct ? NULL : "click.relay.test",
        .link_addresses = &addresses[2],
        .link_address_count = is_direct ? 1 : 0,
        .sending_addresses = addresses,
        .sending_address_count = 2,
        .report_address = "post@shop.test",
    };
    return domain_check_start(world->loop, world->resolver, &expected,
                              on_report, world);
}

static void each_finding_says_what_to_do(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct world world;
        open_world(&world, cases[i].rows);
        world.expected = &cases[i];
        (void)start_check(&world, cases[i].is_direct);
        assert_int_equal(world.answer_count, 0);
        loop_run(world.loop);
        assert_int_equal(world.answer_count, 1);
        close_world(&world);
    }
}

static void the_report_is_json(void **state)
{
    static const struct zone_row rows[ROWS_MAX] = {
        { KEY_NAME, CNAME, 0, "b1.dkim.relay.test" },
        { RETURN_NAME, CNAME, 0, "bounce.relay.test" },
        { LINK_NAME, CNAME, 0, "click.relay.test" },
        { DMARC_NAME, TXT, 0, "v=DMARC1; p=none; rua=mailto:\x01\xff" },
    };
    struct world world;
    (void)state;
    open_world(&world, rows);
    (void)start_check(&world, false);
    loop_run(world.loop);
    assert_non_null(strstr(world.json, "{\"domain\":\"shop.test\",\"right\":"
                                       "true,\"findings\":[{\"subject\":"
                                       "\"spf\",\"state\":\"right\""));
    assert_non_null(strstr(world.json, "rua=mailto:?"
                                       "?\""));
    close_world(&world);
}

/* Advice quotes what was published, whatever its bytes are. */
static void advice_is_utf8(void **state)
{
    static const struct zone_row rows[ROWS_MAX] = {
        { RETURN_NAME, TXT, 0, "v=spf1 \xff\xfe -all" },
        { DMARC_NAME, TXT, 0, "v=DMARC1; p=\xc3(" },
    };
    struct world world;
    (void)state;
    open_world(&world, rows);
    (void)start_check(&world, true);
    loop_run(world.loop);
    assert_int_equal(world.answer_count, 1);
    assert_non_null(strstr(world.json, "\\\"?"
                                       "?\\\""));
    assert_non_null(strstr(world.json, "p=?("));
    close_world(&world);
}

static void a_missing_policy_is_no_fault(void **state)
{
    static const struct zone_row rows[ROWS_MAX] = {
        { KEY_NAME, CNAME, 0, "b1.dkim.relay.test" },
        { RETURN_NAME, CNAME, 0, "bounce.relay.test" },
        { LINK_NAME, CNAME, 0, "click.relay.test" },
    };
    struct world world;
    (void)state;
    open_world(&world, rows);
    (void)start_check(&world, false);
    loop_run(world.loop);
    assert_non_null(strstr(world.json, "\"right\":true"));
    close_world(&world);
    open_world(&world, rows + 1);
    (void)start_check(&world, false);
    loop_run(world.loop);
    assert_non_null(strstr(world.json, "\"right\":false"));
    close_world(&world);
}

static void a_record_may_stand_a_level_too_high(void **state)
{
    static const struct check_case expected = {
        .what = "a level too high",
        .subject = DOMAIN_DKIM,
        .state = DOMAIN_MISSING,
        .advice = "in the zone shop.test enter \"b1._domainkey.mail\"",
        .found = "CNAME b1.dkim.relay.test",
    };
    static const struct zone_row rows[ROWS_MAX] = {
        { KEY_NAME, CNAME, 0, "b1.dkim.relay.test" },
    };
    struct world world;
    (void)state;
    open_world(&world, rows);
    world.domain = "mail.shop.test";
    world.expected = &expected;
    (void)start_check(&world, false);
    loop_run(world.loop);
    close_world(&world);
}

static void stop(void *owner)
{
    struct world *world = owner;
    loop_stop(world->loop);
}

static void a_cancelled_check_is_silent(void **state)
{
    static const struct zone_row rows[ROWS_MAX] = {
        { DMARC_NAME, TXT, -1, NULL }, /* not answered */
    };
    struct world world;
    (void)state;
    open_world(&world, rows);
    struct domain_check *first = start_check(&world, false);
    domain_check_cancel(&first);
    assert_null(first);
    domain_check_cancel(&first);
    first = start_check(&world, true);
    timer_start(&world.watchdog, world.loop, 50, stop, &world);
    loop_run(world.loop);
    domain_check_cancel(&first);
    assert_int_equal(world.answer_count, 0);
    close_world(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "D9: each finding says what to do", each_finding_says_what_to_do,
          NULL, NULL, NULL },
        cmocka_unit_test(the_report_is_json),
        cmocka_unit_test(advice_is_utf8),
        cmocka_unit_test(a_missing_policy_is_no_fault),
        cmocka_unit_test(a_record_may_stand_a_level_too_high),
        cmocka_unit_test(a_cancelled_check_is_silent),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
