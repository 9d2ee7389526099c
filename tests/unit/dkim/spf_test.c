/* SPDX-License-Identifier: MIT */
/*
 * D8: who may send, situation by situation (RFC 7208). Each row has its record
 * at "t.test"; the zone has everything that records lead to.
 */
#include "dkim/spf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/log.h"
#include "core/memory.h"
#include "dkim/spf_macro.h"
#include "tests/unit/inquiry_rig.h"

#define TXT DNS_TYPE_TXT
#define A DNS_TYPE_A
#define AAAA DNS_TYPE_AAAA
#define MX DNS_TYPE_MX
#define PTR DNS_TYPE_PTR

static const struct zone_row zone[] = {
    { "t.test", A, 0, "192.0.2.10" },
    { "t.test", AAAA, 0, "2001:db8::10" },
    { "t.test", MX, 0, "10 mx1.test" },
    { "t.test", MX, 0, "20 mx2.test" },
    { "mx1.test", A, 0, "192.0.2.11" },
    { "mx1.test", AAAA, 3, NULL },
    { "mx2.test", A, 0, "192.0.2.12" },
    { "mx2.test", AAAA, 0, "2001:db8::12" },
    { "null.test", MX, 0, "0 ." },
    { "text.test", TXT, 0, "v=spf1 -all" },
    { "pass.test", TXT, 0, "v=spf1 ip4:193.0.2.0/24 -all" },
    { "soft.test", TXT, 0, "v=spf1 ~all" },
    { "neutral.test", TXT, 0, "v=spf1 ?all" },
    { "bare.test", TXT, 0, "v=spf1" },
    { "wrong.test", TXT, 0, "v=spf1 ip4:193.0.2.300" },
    { "no.spf.test", TXT, 0, "v=spf10 +all" },
    { "two.test", TXT, 0, "v=spf1 +all" },
    { "two.test", TXT, 0, "v=spf1 -all" },
    { "two.test", TXT, 0, "other" },
    { "split.test", TXT, 0, "v=spf1 ip4:193.|0.2.9 -all" },
    { "fail.test", TXT, 2, NULL },
    { "fail.test", A, 2, NULL },
    { "fail.test", MX, 2, NULL },
    { "loop.test", TXT, 0, "v=spf1 include:loop.test -all" },
    { "circle.test", TXT, 0, "v=spf1 redirect=circle.test" },
    { "deep.test", TXT, 0, "v=spf1 include:deep1.test -all" },
    { "deep1.test", TXT, 0, "v=spf1 include:pass.test -all" },
    { "many.test", MX, 0, "1 mx1.test" },
    { "many.test", MX, 0, "1 a1.test" },
    { "many.test", MX, 0, "1 a2.test" },
    { "many.test", MX, 0, "1 a3.test" },
    { "many.test", MX, 0, "1 a4.test" },
    { "many.test", MX, 0, "1 a5.test" },
    { "many.test", MX, 0, "1 a6.test" },
    { "many.test", MX, 0, "1 a7.test" },
    { "many.test", MX, 0, "1 a8.test" },
    { "many.test", MX, 0, "1 a9.test" },
    { "many.test", MX, 0, "1 a10.test" },
    { "9.2.0.193.in-addr.arpa", PTR, 0, "liar.t.test" },
    { "9.2.0.193.in-addr.arpa", PTR, 0, "other.net.test" },
    { "9.2.0.193.in-addr.arpa", PTR, 0, "nine.t.test" },
    { "liar.t.test", A, 0, "193.0.2.99" },
    { "nine.t.test", A, 0, "193.0.2.9" },
    { "other.net.test", A, 0, "193.0.2.9" },
    { "8.2.0.193.in-addr.arpa", PTR, 2, NULL },
    { "9.2.0.193.in-addr._spf.t.test", A, 0, "127.0.0.2" },
    { "joe.t.test._m.test", A, 0, "127.0.0.2" },
    { "bar.foo._r.test", A, 0, "127.0.0.2" },
    { "nine.t.test._p.test", A, 0, "127.0.0.2" },
    { "helo.test._h.test", A, 0, "127.0.0.2" },
};

static const struct spf_case {
    const char *record;
    const char *address;
    enum spf_result result;
    unsigned lookups;
    const char *mechanism; /* or a part of the reason */
    const char *sender;
} cases[] = {
    /* 4.5, 4.6, 4.7 */
    { "v=spf1 +all", "193.0.2.9", SPF_PASS, 0, "+all", NULL },
    { "v=spf1 all", "2001:db8::1", SPF_PASS, 0, "all", NULL },
    { "V=SPF1 -ALL", "193.0.2.9", SPF_FAIL, 0, "-ALL", NULL },
    { "v=spf1 ~all", "193.0.2.9", SPF_SOFTFAIL, 0, "~all", NULL },
    { "v=spf1 ?all", "193.0.2.9", SPF_NEUTRAL, 0, "?all", NULL },
    { "v=spf1", "193.0.2.9", SPF_NEUTRAL, 0, "no mechanism", NULL },
    { "v=spf1  ", "193.0.2.9", SPF_NEUTRAL, 0, "no mechanism", NULL },
    { "v=spf1   -all   ", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    { "v=spf10 +all", "193.0.2.9", SPF_NONE, 0, "no SPF record", NULL },
    { "v=spf1-all", "193.0.2.9", SPF_NONE, 0, "no SPF record", NULL },
    { " v=spf1 -all", "193.0.2.9", SPF_NONE, 0, "no SPF record", NULL },
    { "v=spf1\t-all", "193.0.2.9", SPF_NONE, 0, "no SPF record", NULL },
    { "v=spf1 -all +all", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    /* A wrong term is wrong wherever it stands. */
    { "v=spf1 +all ip4", "193.0.2.9", SPF_PERMERROR, 0, "\"ip4\"", NULL },
    { "v=spf1 +all a:", "193.0.2.9", SPF_PERMERROR, 0, "\"a:\"", NULL },
    { "v=spf1 all:t.test", "193.0.2.9", SPF_PERMERROR, 0, "all:", NULL },
    { "v=spf1 all/8", "193.0.2.9", SPF_PERMERROR, 0, "all/8", NULL },
    { "v=spf1 foo", "193.0.2.9", SPF_PERMERROR, 0, "no mechanism", NULL },
    { "v=spf1 -foo:bar.test", "193.0.2.9", SPF_PERMERROR, 0, "no mechanism",
      NULL },
    { "v=spf1 +-all", "193.0.2.9", SPF_PERMERROR, 0, "+-all", NULL },
    { "v=spf1 + all", "193.0.2.9", SPF_PERMERROR, 0, "\"+\"", NULL },
    { "v=spf1 \xc3\xa4ll", "193.0.2.9", SPF_PERMERROR, 0, "no mechanism",
      NULL },
    /* 6: modifiers */
    { "v=spf1 foo=bar -all", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    { "v=spf1 -foo=bar", "193.0.2.9", SPF_PERMERROR, 0, "-foo=bar", NULL },
    { "v=spf1 f.o-o_1=%{d} -all", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    { "v=spf1 foo=%abc -all", "193.0.2.9", SPF_PERMERROR, 0, "macro", NULL },
    { "v=spf1 1foo=bar -all", "193.0.2.9", SPF_PERMERROR, 0, "1foo", NULL },
    { "v=spf1 exp=x.test -all", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    { "v=spf1 exp= -all", "193.0.2.9", SPF_PERMERROR, 0, "exp=", NULL },
    { "v=spf1 exp=a.test exp=b.test -all", "193.0.2.9", SPF_PERMERROR, 0,
      "exp= stands twice", NULL },
    { "v=spf1 redirect=pass.test redirect=pass.test", "193.0.2.9",
      SPF_PERMERROR, 0, "redirect= stands twice", NULL },
    { "v=spf1 -redirect=pass.test", "193.0.2.9", SPF_PERMERROR, 0,
      "no mechanism", NULL },
    { "v=spf1 redirect:pass.test", "193.0.2.9", SPF_PERMERROR, 0,
      "no mechanism", NULL },
    { "v=spf1 redirect=pass.test", "193.0.2.9", SPF_PASS, 1, "ip4:193.0.2.0/24",
      NULL },
    { "v=spf1 redirect=pass.test ?all", "193.0.2.9", SPF_NEUTRAL, 0, "?all",
      NULL },
    { "v=spf1 redirect=nowhere.test", "193.0.2.9", SPF_PERMERROR, 1,
      "leads to no SPF record", NULL },
    { "v=spf1 redirect=no.spf.test", "193.0.2.9", SPF_PERMERROR, 1,
      "leads to no SPF record", NULL },
    { "v=spf1 redirect=fail.test", "193.0.2.9", SPF_TEMPERROR, 1,
      "does not answer for fail.test", NULL },
    { "v=spf1 redirect=circle.test", "193.0.2.9", SPF_PERMERROR, 11,
      "more than 10 look-ups", NULL },
    { "v=spf1 redirect=soft.test", "193.0.2.9", SPF_SOFTFAIL, 1, "~all", NULL },
    /* 5.6: ip4, ip6 */
    { "v=spf1 ip4:193.0.2.9 -all", "193.0.2.9", SPF_PASS, 0, "ip4:193.0.2.9",
      NULL },
    { "v=spf1 ip4:193.0.2.9 -all", "193.0.2.8", SPF_FAIL, 0, "-all", NULL },
    { "v=spf1 ip4:193.0.2.0/24 -all", "193.0.2.255", SPF_PASS, 0,
      "ip4:193.0.2.0/24", NULL },
    { "v=spf1 ip4:193.0.2.77/25 -all", "193.0.2.1", SPF_PASS, 0,
      "ip4:193.0.2.77/25", NULL },
    { "v=spf1 ip4:193.0.2.9/0 -all", "10.1.2.3", SPF_PASS, 0, "ip4:193.0.2.9/0",
      NULL },
    { "v=spf1 ip4:193.0.2.9/33 -all", "193.0.2.9", SPF_PERMERROR, 0,
      "prefix length", NULL },
    { "v=spf1 ip4:193.0.2.9/024 -all", "193.0.2.9", SPF_PERMERROR, 0,
      "prefix length", NULL },
    { "v=spf1 ip4:193.0.2.9/ -all", "193.0.2.9", SPF_PERMERROR, 0, "prefix",
      NULL },
    { "v=spf1 ip4:193.0.2 -all", "193.0.2.9", SPF_PERMERROR, 0, "IPv4", NULL },
    { "v=spf1 ip4:2001:db8::1 -all", "193.0.2.9", SPF_PERMERROR, 0, "IPv4",
      NULL },
    { "v=spf1 ip4:t.test -all", "193.0.2.9", SPF_PERMERROR, 0, "IPv4", NULL },
    { "v=spf1 ip6:2001:db8::/32 -all", "2001:db8:1::1", SPF_PASS, 0,
      "ip6:2001:db8::/32", NULL },
    { "v=spf1 ip6:2001:db8::/33 -all", "2001:db8:8000::1", SPF_FAIL, 0, "-all",
      NULL },
    { "v=spf1 ip6:2001:db8::1/129 -all", "2001:db8::1", SPF_PERMERROR, 0,
      "prefix length", NULL },
    { "v=spf1 ip6:193.0.2.9 -all", "193.0.2.9", SPF_PERMERROR, 0, "IPv6",
      NULL },
    { "v=spf1 ip6:[2001:db8::1] -all", "2001:db8::1", SPF_PERMERROR, 0, "IPv6",
      NULL },
    { "v=spf1 ip6:::ffff:193.0.2.9/128 -all", "193.0.2.9", SPF_FAIL, 0, "-all",
      NULL },
    { "v=spf1 ip6:::/0 -all", "193.0.2.9", SPF_FAIL, 0, "-all", NULL },
    { "v=spf1 ip4:193.0.2.9 -all", "::ffff:193.0.2.9", SPF_PASS, 0,
      "ip4:", NULL },
    /* 5.3: a */
    { "v=spf1 a -all", "192.0.2.10", SPF_PASS, 1, "a", NULL },
    { "v=spf1 a -all", "2001:db8::10", SPF_PASS, 1, "a", NULL },
    { "v=spf1 a -all", "192.0.2.11", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 a/24 -all", "192.0.2.200", SPF_PASS, 1, "a/24", NULL },
    { "v=spf1 a/24 -all", "2001:db8::11", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 a//120 -all", "2001:db8::11", SPF_PASS, 1, "a//120", NULL },
    { "v=spf1 a/24//120 -all", "192.0.2.200", SPF_PASS, 1, "a/24//120", NULL },
    { "v=spf1 a:t.test/24//120 -all", "2001:db8::11", SPF_PASS, 1, "a:t.test",
      NULL },
    { "v=spf1 a:mx2.test -all", "192.0.2.12", SPF_PASS, 1, "a:mx2.test", NULL },
    { "v=spf1 a:MX2.test. -all", "192.0.2.12", SPF_PASS, 1, "a:MX2", NULL },
    { "v=spf1 a:nowhere.test -all", "192.0.2.12", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 a:fail.test -all", "192.0.2.12", SPF_TEMPERROR, 1,
      "does not answer for fail.test", NULL },
    { "v=spf1 a/33 -all", "192.0.2.10", SPF_PERMERROR, 0, "prefix", NULL },
    { "v=spf1 a/ -all", "192.0.2.10", SPF_PERMERROR, 0, "a/", NULL },
    { "v=spf1 a// -all", "192.0.2.10", SPF_PERMERROR, 0, "a//", NULL },
    { "v=spf1 a//33/33 -all", "192.0.2.10", SPF_PERMERROR, 0, "a//33/33",
      NULL },
    { "v=spf1 a:t.test/24/24 -all", "192.0.2.10", SPF_PERMERROR, 0, "a:t",
      NULL },
    { "v=spf1 a:museum -all", "192.0.2.10", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a:192.0.2.10 -all", "192.0.2.10", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a:t.test:8080 -all", "192.0.2.10", SPF_PERMERROR, 0,
      "domain name", NULL },
    { "v=spf1 a:t.-x -all", "192.0.2.10", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a.test -all", "192.0.2.10", SPF_PERMERROR, 0, "no mechanism",
      NULL },
    { "v=spf1 a=t.test -all", "192.0.2.10", SPF_FAIL, 0, "-all", NULL },
    /* 5.4: mx */
    { "v=spf1 mx -all", "192.0.2.12", SPF_PASS, 1, "mx", NULL },
    { "v=spf1 mx -all", "192.0.2.13", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 mx -all", "2001:db8::12", SPF_PASS, 1, "mx", NULL },
    { "v=spf1 mx/24 -all", "192.0.2.13", SPF_PASS, 1, "mx/24", NULL },
    { "v=spf1 mx:t.test//64 -all", "2001:db8::99", SPF_PASS, 1, "mx:t", NULL },
    { "v=spf1 mx:null.test -all", "192.0.2.12", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 mx:nowhere.test -all", "192.0.2.12", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 mx:fail.test -all", "192.0.2.12", SPF_TEMPERROR, 1,
      "does not answer", NULL },
    { "v=spf1 mx:many.test -all", "192.0.2.11", SPF_PERMERROR, 1,
      "more than 10 mail exchangers", NULL },
    /* 5.5: ptr */
    { "v=spf1 ptr -all", "193.0.2.9", SPF_PASS, 1, "ptr", NULL },
    { "v=spf1 ptr:net.test -all", "193.0.2.9", SPF_PASS, 1, "ptr:net.test",
      NULL },
    { "v=spf1 ptr:et.test -all", "193.0.2.9", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 ptr -all", "193.0.2.10", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 ptr -all", "193.0.2.8", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 ptr/24 -all", "193.0.2.9", SPF_PERMERROR, 0, "ptr/24", NULL },
    /* 5.7: exists, also for IPv6 by an A record */
    { "v=spf1 exists:mx1.test -all", "2001:db8::1", SPF_PASS, 1, "exists:mx1",
      NULL },
    { "v=spf1 exists:nowhere.test -all", "193.0.2.9", SPF_FAIL, 1, "-all",
      NULL },
    { "v=spf1 exists -all", "193.0.2.9", SPF_PERMERROR, 0, "exists", NULL },
    { "v=spf1 exists: -all", "193.0.2.9", SPF_PERMERROR, 0, "exists:", NULL },
    { "v=spf1 exists:t.test/24 -all", "193.0.2.9", SPF_PERMERROR, 0, "exists",
      NULL },
    { "v=spf1 exists:fail.test -all", "193.0.2.9", SPF_TEMPERROR, 1,
      "does not answer", NULL },
    /* 5.2: include */
    { "v=spf1 include:pass.test -all", "193.0.2.9", SPF_PASS, 1,
      "include:pass.test", NULL },
    { "v=spf1 include:pass.test ~all", "194.0.2.9", SPF_SOFTFAIL, 1, "~all",
      NULL },
    { "v=spf1 include:soft.test -all", "193.0.2.9", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 include:neutral.test", "193.0.2.9", SPF_NEUTRAL, 1,
      "no mechanism", NULL },
    { "v=spf1 include:bare.test -all", "193.0.2.9", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 -include:pass.test +all", "193.0.2.9", SPF_FAIL, 1,
      "-include:pass.test", NULL },
    { "v=spf1 include:nowhere.test -all", "193.0.2.9", SPF_PERMERROR, 1,
      "leads to no SPF record", NULL },
    { "v=spf1 include:wrong.test -all", "193.0.2.9", SPF_PERMERROR, 1,
      "the SPF record of wrong.test is wrong", NULL },
    { "v=spf1 include:fail.test -all", "193.0.2.9", SPF_TEMPERROR, 1,
      "does not answer", NULL },
    { "v=spf1 include:two.test -all", "193.0.2.9", SPF_PERMERROR, 1,
      "has 2 SPF records", NULL },
    { "v=spf1 include:deep.test -all", "193.0.2.9", SPF_PASS, 3,
      "include:deep.test", NULL },
    { "v=spf1 include:split.test -all", "193.0.2.9", SPF_PASS, 1,
      "include:", NULL },
    { "v=spf1 include -all", "193.0.2.9", SPF_PERMERROR, 0, "include", NULL },
    { "v=spf1 include:pass.test/24 -all", "193.0.2.9", SPF_PERMERROR, 0,
      "include", NULL },
    { "v=spf1 include:loop.test -all", "193.0.2.9", SPF_PERMERROR, 11,
      "more than 10 look-ups", NULL },
    /* 4.6.4: ten look-ups, and two that lead nowhere */
    { "v=spf1 a a a a a a a a a a ip4:193.0.2.9 -all", "193.0.2.9", SPF_PASS,
      10, "ip4:193.0.2.9", NULL },
    { "v=spf1 a a a a a a a a a a a ip4:193.0.2.9 -all", "193.0.2.9",
      SPF_PERMERROR, 11, "more than 10 look-ups; \"a\"", NULL },
    { "v=spf1 a a a a a a a a a a redirect=pass.test", "193.0.2.9",
      SPF_PERMERROR, 11, "more than 10 look-ups", NULL },
    { "v=spf1 a:n1.test a:n2.test -all", "193.0.2.9", SPF_FAIL, 2, "-all",
      NULL },
    { "v=spf1 a:n1.test mx:n2.test exists:n3.test -all", "193.0.2.9",
      SPF_PERMERROR, 3, "lead nowhere; n3.test", NULL },
    { "v=spf1 ip4:193.0.2.9 a:n1.test a:n2.test a:n3.test -all", "193.0.2.9",
      SPF_PASS, 0, "ip4:193.0.2.9", NULL },
    { "v=spf1 mx -all", "2001:db8::13", SPF_FAIL, 1, "-all", NULL },
    /* 7: macros */
    { "v=spf1 exists:%{ir}.%{v}._spf.%{d} -all", "193.0.2.9", SPF_PASS, 1,
      "exists:%{ir}", NULL },
    { "v=spf1 exists:%{l}.%{o}._m.test -all", "193.0.2.9", SPF_PASS, 1,
      "exists:", "joe@t.test" },
    { "v=spf1 exists:%{lr-}._r.test -all", "193.0.2.9", SPF_PASS, 1,
      "exists:", "foo-bar@t.test" },
    { "v=spf1 exists:%{lr-}._r.test -all", "193.0.2.9", SPF_FAIL, 1, "-all",
      "bar-foo@t.test" },
    { "v=spf1 exists:%{p}._p.test -all", "193.0.2.9", SPF_PASS, 1,
      "exists:", NULL },
    { "v=spf1 exists:%{h}._h.test -all", "193.0.2.9", SPF_PASS, 1,
      "exists:", NULL },
    { "v=spf1 include:%{d1}pass.%{d1r} -all", "193.0.2.9", SPF_PERMERROR, 1,
      "leads to no", NULL },
    { "v=spf1 a:%{d -all", "193.0.2.9", SPF_PERMERROR, 0, "domain name", NULL },
    { "v=spf1 a:%{x}.test -all", "193.0.2.9", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a:%{c}.test -all", "193.0.2.9", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a:%{d0}.test -all", "193.0.2.9", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 a:%test.test -all", "193.0.2.9", SPF_PERMERROR, 0, "domain name",
      NULL },
    { "v=spf1 exists:%%._m.test -all", "193.0.2.9", SPF_FAIL, 1, "-all", NULL },
    { "v=spf1 exists:%{l}._m.test -all", "193.0.2.9", SPF_FAIL, 1, "-all",
      "a\\b@t.test" },
};

struct run {
    struct spf_query query;
    struct spf_outcome outcome;
};

static bool evaluate(void *owner, struct dns_inquiry *inquiry)
{
    struct run *run = owner;
    return spf_evaluate(inquiry, &run->query, &run->outcome);
}

static void each_record_is_understood(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        const struct spf_case *c = &cases[i];
        struct zone_row rows[ARRAY_LENGTH(zone) + 1];
        struct inquiry_rig rig;
        struct run run = { .query = { .domain = "t.test",
                                      .sender = c->sender,
                                      .helo = "helo.test" } };
        memcpy(rows, zone, sizeof(zone));
        rows[ARRAY_LENGTH(zone)] =
            (struct zone_row){ "t.test", TXT, 0, c->record };
        assert_true(
            network_address_parse(text_of(c->address), 0, &run.query.address));
        inquiry_rig_open(&rig, rows, ARRAY_LENGTH(rows));
        inquiry_rig_run(&rig, evaluate, &run);
        inquiry_rig_close(&rig);
        if (run.outcome.result != c->result ||
            run.outcome.lookup_count != c->lookups ||
            (strstr(run.outcome.mechanism, c->mechanism) == NULL &&
             strstr(run.outcome.reason.text, c->mechanism) == NULL)) {
            fail_msg("%s from %s: %s after %u look-ups, \"%s\": %s", c->record,
                     c->address, spf_result_text(run.outcome.result),
                     run.outcome.lookup_count, run.outcome.mechanism,
                     run.outcome.reason.text);
        }
    }
}

static void domains_without_record(void **state)
{
    static const struct {
        const char *domain;
        enum spf_result result;
    } rows[] = {
        { "nowhere.test", SPF_NONE },
        { "t.test", SPF_NONE },
        { "no.spf.test", SPF_NONE },
        { "two.test", SPF_PERMERROR },
        { "fail.test", SPF_TEMPERROR },
        { "localhost", SPF_NONE },
        { "", SPF_NONE },
        { "a..test", SPF_NONE },
        { ".test", SPF_NONE },
        { "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
          "test",
          SPF_NONE },
    };
    struct inquiry_rig rig;
    (void)state;
    inquiry_rig_open(&rig, zone, ARRAY_LENGTH(zone));
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct run run = { .query = { .domain = rows[i].domain } };
        assert_true(
            network_address_parse(text_of("193.0.2.9"), 0, &run.query.address));
        inquiry_rig_run(&rig, evaluate, &run);
        if (run.outcome.result != rows[i].result) {
            fail_msg("%s: %s", rows[i].domain,
                     spf_result_text(run.outcome.result));
        }
    }
    inquiry_rig_close(&rig);
}

/* RFC 7208, 7.4. */
static void macros_expand(void **state)
{
    static const struct {
        const char *macro;
        const char *address;
        const char *expanded;
    } rows[] = {
        { "%{s}", "192.0.2.3", "strong-bad@email.example.com" },
        { "%{o}", "192.0.2.3", "email.example.com" },
        { "%{d}", "192.0.2.3", "email.example.com" },
        { "%{d4}", "192.0.2.3", "email.example.com" },
        { "%{d3}", "192.0.2.3", "email.example.com" },
        { "%{d2}", "192.0.2.3", "example.com" },
        { "%{d1}", "192.0.2.3", "com" },
        { "%{dr}", "192.0.2.3", "com.example.email" },
        { "%{d2r}", "192.0.2.3", "example.email" },
        { "%{l}", "192.0.2.3", "strong-bad" },
        { "%{l-}", "192.0.2.3", "strong.bad" },
        { "%{lr}", "192.0.2.3", "strong-bad" },
        { "%{lr-}", "192.0.2.3", "bad.strong" },
        { "%{l1r-}", "192.0.2.3", "strong" },
        { "%{ir}.%{v}._spf.%{d2}", "192.0.2.3",
          "3.2.0.192.in-addr._spf.example.com" },
        { "%{lr-}.lp._spf.%{d2}", "192.0.2.3",
          "bad.strong.lp._spf.example.com" },
        { "%{ir}.%{v}.%{l1r-}.lp._spf.%{d2}", "192.0.2.3",
          "3.2.0.192.in-addr.strong.lp._spf.example.com" },
        { "%{d2}.trusted-domains.example.net", "192.0.2.3",
          "example.com.trusted-domains.example.net" },
        { "%{ir}.%{v}._spf.%{d2}", "2001:db8::cb01",
          "1.0.b.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2."
          "ip6._spf.example.com" },
        { "%{S}", "192.0.2.3", "strong-bad%40email.example.com" },
        { "a%_b%-c%%d", "192.0.2.3", "a b%20c%d" },
        { "%{p}", "192.0.2.3", "mx.example.org" },
        { "%{d99999999999r}", "192.0.2.3", "com.example.email" },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct network_address address;
        struct buffer out = { 0 };
        struct spf_macro_values values = {
            .address = &address,
            .sender = text_of("strong-bad@email.example.com"),
            .domain = "email.example.com",
            .helo = "helo.example.com",
            .validated_name = "mx.example.org",
        };
        assert_true(
            network_address_parse(text_of(rows[i].address), 0, &address));
        assert_true(spf_macro_is_string(text_of(rows[i].macro)));
        spf_macro_expand(text_of(rows[i].macro), &values, &out);
        assert_string_equal(out.data, rows[i].expanded);
        buffer_free(&out);
    }
}

/* 7.3: labels are dropped on the left. */
static void long_names_are_shortened(void **state)
{
    char domain[DNS_HOST_MAX + 1];
    char name[SPF_NAME_SIZE];
    struct network_address address;
    (void)state;
    for (size_t i = 0; i + 1 < sizeof(domain); i++) {
        domain[i] = i % 10 == 9 ? '.' : 'x';
    }
    domain[sizeof(domain) - 1] = '\0';
    struct spf_macro_values values = { .address = &address, .domain = domain };
    assert_true(spf_macro_expand_domain(text_of("first.%{d}.last.test"),
                                        &values, name));
    assert_true(strlen(name) <= DNS_HOST_MAX && strlen(name) > 240);
    assert_int_equal(strncmp(name, "xxxxxxxxx.", 10), 0);
    assert_non_null(strstr(name, "xxx.last.test"));
}

static void mechanisms_are_found(void **state)
{
    struct text record = text_of("v=spf1 +ip4:192.0.2.1 ~include:a.test -all");
    (void)state;
    assert_true(spf_has_mechanism(record, "ip4:192.0.2.1"));
    assert_true(spf_has_mechanism(record, "-all"));
    assert_false(spf_has_mechanism(record, "ip4:192.0.2.10"));
    assert_false(spf_has_mechanism(record, "include:a.test"));
    assert_false(spf_has_mechanism(text_of("v=spf1"), "a"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        { "D8: each record is understood", each_record_is_understood, NULL,
          NULL, NULL },
        cmocka_unit_test(domains_without_record),
        cmocka_unit_test(macros_expand),
        cmocka_unit_test(long_names_are_shortened),
        cmocka_unit_test(mechanisms_are_found),
    };
    log_configure(LOG_ERROR, false);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
