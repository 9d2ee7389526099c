/* SPDX-License-Identifier: MIT */
#include "sql/directory.h"

#include "tests/unit/sql/database_fixture.h"

struct loaded_directory {
    int result;
    struct directory *directory;
};

static void on_loaded(void *owner, enum database_result result,
                      struct directory *directory, const struct error *error)
{
    struct loaded_directory *loaded = owner;
    (void)error;
    loaded->result = (int)result;
    loaded->directory = directory;
}

static bool is_loaded(void *owner)
{
    return ((struct loaded_directory *)owner)->result != -1;
}

static struct directory *load(struct fixture *f)
{
    struct loaded_directory loaded = { .result = -1 };
    directory_load(f->database, on_loaded, &loaded);
    assert_int_equal(loaded.result, -1); /* never from inside the call */
    run_until(f, is_loaded, &loaded);
    assert_int_equal(loaded.result, DATABASE_DONE);
    return loaded.directory;
}

static const struct directory_account *account_of_address(
    const struct directory *directory, const char *text)
{
    struct network_address address;
    assert_true(network_address_parse(text_of(text), 25, &address));
    return directory_account_by_network(directory, &address);
}

static void an_empty_directory_knows_nobody(void **state)
{
    struct fixture *f = *state;
    struct directory *directory = load(f);
    assert_null(directory_account_by_id(directory, 1));
    assert_null(directory_credential(directory, "demo"));
    assert_null(account_of_address(directory, "192.0.2.1"));
    assert_null(directory_route(directory, "a.example"));
    assert_null(directory_suspension(directory, 1, 2, "a.example"));
    directory_free(&directory);
    assert_null(directory);
    directory_free(&directory);
}

/* What is no setting of its own is handed on as it stands. */
static const char *setting_of(const struct directory_setting *settings,
                              const char *name)
{
    for (; settings != NULL; settings = settings->next) {
        if (strcmp(settings->name, name) == 0) {
            return settings->value;
        }
    }
    return "";
}

static void groups_keys_and_hosts_are_there(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
    sql_do(f, "INSERT INTO baton.message_group (account_id, name, kind, "
              "settings) VALUES (1, 'Daily Alert', 'marketing', "
              "'{\"privacy\": \"anonymous\"}'), (2, 'daily alert', "
              "'transactional', '{}')");
    sql_do(f, "INSERT INTO baton.tracking_host (account_id, host, scheme, "
              "created_at) VALUES (1, 'z.example', 'https', now()), "
              "(1, 'a.example', 'http', now() + interval '1 s')");
    sql_do(f, "INSERT INTO baton.suppression (account_id, address, reason) "
              "VALUES (2, 'x@example.com', 'manual')");
    sql_do(f, "INSERT INTO baton.token_key (secret, active_from) VALUES "
              "(decode(repeat('0aF1', 16), 'hex'), now() + interval '1 h')");
    sql_do(f, "INSERT INTO baton.server_setting VALUES ('pass_through', 'on')");
    struct directory *directory = load(f);
    const struct directory_group *group =
        directory_group(directory, 1, "DAILY alert");
    assert_non_null(group);
    assert_true(group->is_marketing);
    assert_string_equal(setting_of(group->settings, "privacy"), "anonymous");
    assert_ptr_equal(directory_group_by_id(directory, 1, group->group_id),
                     group);
    assert_null(directory_group_by_id(directory, 2, group->group_id));
    assert_false(directory_group(directory, 2, "Daily Alert")->is_marketing);
    assert_null(directory_group(directory, 1, ""));
    assert_string_equal(directory_account_by_id(directory, 1)->tracking_url,
                        "https://z.example");
    assert_null(directory_account_by_id(directory, 2)->tracking_url);
    assert_true(directory_is_tracking_host(directory, "a.example"));
    assert_false(directory_is_tracking_host(directory, "b.example"));
    assert_string_equal(directory_tracking_url(directory, 1, "a.example"),
                        "http://a.example");
    assert_null(directory_tracking_url(directory, 2, "a.example"));
    assert_int_equal(directory_key_count(directory), 2);
    for (size_t i = 0; i < 2; i++) { /* a key whose time has not come */
        const struct directory_key *key = directory_key(directory, i);
        assert_int_equal(key->is_current, key->key_id == 1);
        if (key->key_id == 2) {
            assert_int_equal(key->secret[30], 0x0a);
            assert_int_equal(key->secret[31], 0xf1);
        }
    }
    assert_string_equal(directory_server_setting(directory, "pass_through"),
                        "on");
    assert_null(directory_server_setting(directory, "else"));
    directory_free(&directory);
}

static void settings_have_defaults_and_nonsense_leaves_them(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name, manager_email, settings) "
              "VALUES ('plain', NULL, '{}'), ('own', 'm@x', "
              "'{\"any_sender\": \"on\", \"delivery_reports\": \"off\", "
              "\"expires_after\": \"10 min\", \"priority\": \"high\"}'), "
              "('odd', '', '{\"any_sender\": \"maybe\", \"expires_after\": "
              "\"0 s\", \"priority\": null, \"unknown\": [1]}')");
    struct directory *directory = load(f);
    for (int64_t id = 1; id <= 3; id++) {
        const struct directory_account *account =
            directory_account_by_id(directory, id);
        assert_non_null(account);
        assert_int_equal(account->account_id, id);
        bool is_own = id == 2;
        assert_string_equal(account->manager_email, is_own ? "m@x" : "");
        assert_int_equal(account->any_sender, is_own);
        assert_int_equal(account->delivery_reports, !is_own);
        assert_string_equal(setting_of(account->settings, "priority"),
                            is_own ? "high" : "");
    }
    directory_free(&directory);
}

static void user_names_are_found_in_any_case(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
    sql_do(f, "INSERT INTO baton.credential VALUES "
              "(1, 'Demo', 'generated', 'abc'), (2, 'x@y', 'chosen', '$y$')");
    struct directory *directory = load(f);
    const struct directory_credential *credential =
        directory_credential(directory, "dEMO");
    assert_non_null(credential);
    assert_int_equal(credential->account->account_id, 1);
    assert_true(credential->is_generated);
    assert_string_equal(credential->secret, "abc");
    credential = directory_credential(directory, "X@Y");
    assert_non_null(credential);
    assert_string_equal(credential->account->name, "b");
    assert_false(credential->is_generated);
    assert_null(directory_credential(directory, "dem"));
    assert_null(directory_credential(directory, ""));
    directory_free(&directory);
}

static void the_longest_network_decides(void **state)
{
    static const struct {
        const char *address;
        const char *account; /* NULL: nobody's */
    } rows[] = {
        { "10.1.2.3", "a" },      { "10.2.0.0", "b" },
        { "10.2.255.255", "b" },  { "10.3.0.0", "a" },
        { "10.2.3.4", "c" },      { "10.2.3.5", "b" },
        { "11.0.0.0", NULL },     { "9.255.255.255", NULL },
        { "2001:db8::1", "a" },   { "2001:db8:1::1", "b" },
        { "2001:db9::", NULL },   { "::ffff:10.2.3.4", "c" },
        { "203.0.113.129", "b" }, { "203.0.113.127", NULL },
        { "a02:304::", NULL }, /* the octets of 10.2.3.4 */
    };
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b'), ('c')");
    sql_do(f, "INSERT INTO baton.network VALUES (1, '10.0.0.0/8'), "
              "(2, '10.2.0.0/16'), (3, '10.2.3.4/32'), (1, '2001:db8::/32'), "
              "(2, '2001:db8:1::/48'), (2, '203.0.113.128/25')");
    struct directory *directory = load(f);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        const struct directory_account *account =
            account_of_address(directory, rows[i].address);
        const char *name = account != NULL ? account->name : "";
        if (strcmp(name, rows[i].account != NULL ? rows[i].account : "") != 0) {
            fail_msg("%s: \"%s\"", rows[i].address, name);
        }
    }
    struct network_address none = { 0 };
    assert_null(directory_account_by_network(directory, &none));
    directory_free(&directory);
}

static void f12_a_domain_allows_what_lies_under_it(void **state)
{
    static const struct {
        int64_t account_id;
        const char *domain;
        bool is_allowed;
    } rows[] = {
        { 1, "shop.example", true },
        { 1, "news.shop.example", true },
        { 1, "a.b.shop.example", true },
        { 1, "example", false },
        { 1, "myshop.example", false },
        { 1, "shop.example.com", false },
        { 2, "shop.example", false },
        { 2, "other.example", true },
        { 1, "", false },
    };
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
    sql_do(f, "INSERT INTO baton.domain VALUES (1, 'shop.example'), "
              "(2, 'other.example')");
    struct directory *directory = load(f);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        if ((directory_domain(directory, rows[i].account_id, rows[i].domain) !=
             NULL) != rows[i].is_allowed) {
            fail_msg("%s", rows[i].domain);
        }
    }
    directory_free(&directory);
}

static void a_domain_has_its_hosts_and_the_keys_that_sign(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.account (name) VALUES ('a'), ('b')");
    sql_do(f, "INSERT INTO baton.domain (account_id, name, return_host, "
              "link_host, dkim_is_right, link_is_right) VALUES "
              "(1, 'shop.example', 'bounce.shop.example', "
              "'click.shop.example', true, false), "
              "(1, 'news.shop.example', '', '', false, true), "
              "(2, 'shop.example', 'bounce.shop.example', "
              "'click.shop.example', false, false)");
    sql_do(f, "INSERT INTO baton.dkim_key VALUES "
              "(1, 'shop.example', 'one', 'rsa-sha256', 'signing', '\\xabcd', "
              "''), "
              "(1, 'shop.example', 'two', 'ed25519-sha256', 'next', '', '')");
    struct directory *directory = load(f);
    const struct directory_domain *shop =
        directory_domain(directory, 1, "a.shop.example");
    assert_string_equal(shop->name, "shop.example");
    assert_string_equal(shop->return_host, "bounce.shop.example");
    assert_string_equal(shop->link_url, "https://click.shop.example");
    assert_true(shop->dkim_is_right);
    assert_false(shop->return_is_right);
    assert_false(shop->link_is_right);
    assert_string_equal(shop->keys->selector, "one");
    assert_string_equal(shop->keys->sealed, "abcd");
    assert_null(shop->keys->next);
    assert_string_equal(
        directory_domain(directory, 1, "x.news.shop.example")->name,
        "news.shop.example");
    assert_null(directory_domain(directory, 2, "shop.example")->keys);
    assert_string_equal(
        directory_tracking_url(directory, 2, "click.shop.example"),
        "https://click.shop.example");
    assert_false(directory_is_tracking_host(directory, ""));
    assert_true(directory_is_return_host(directory, "bounce.shop.example"));
    assert_false(directory_is_return_host(directory, "shop.example"));
    assert_false(directory_is_return_host(directory, ""));
    directory_free(&directory);
}

static void a_route_of_its_own_comes_before_the_general_one(void **state)
{
    struct fixture *f = *state;
    sql_do(f, "INSERT INTO baton.route VALUES ('a.example', 'sandbox:')");
    struct directory *directory = load(f);
    assert_string_equal(directory_route(directory, "a.example")->target,
                        "sandbox:");
    assert_null(directory_route(directory, "b.a.example"));
    directory_free(&directory);
    sql_do(f, "INSERT INTO baton.route VALUES ('*', 'discard:')");
    directory = load(f);
    assert_string_equal(directory_route(directory, "a.example")->target,
                        "sandbox:");
    assert_string_equal(directory_route(directory, "x.example")->target,
                        "discard:");
    assert_string_equal(directory_route(directory, "x.example")->destination,
                        "*");
    directory_free(&directory);
}

static void suspensions_are_found_by_every_scope(void **state)
{
    static const struct {
        const char *scope;
        const char *value;
        bool is_meant;
    } rows[] = {
        { "all", "", true },
        { "account", "3", true },
        { "account", "4", false },
        { "account", "44", false },
        { "domain", "a.example", true },
        { "domain", "3", false },
        { "message", "44", true },
        { "message", "3", false },
    };
    struct fixture *f = *state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char text[200];
        snprintf(text, sizeof(text),
                 "DELETE FROM baton.suspension; INSERT INTO baton.suspension "
                 "VALUES ('%s', '%s', 'moving')",
                 rows[i].scope, rows[i].value);
        sql_do(f, text);
        struct directory *directory = load(f);
        const char *reason =
            directory_suspension(directory, 3, 44, "a.example");
        if ((reason != NULL) != rows[i].is_meant) {
            fail_msg("%s %s", rows[i].scope, rows[i].value);
        }
        assert_true(reason == NULL || strcmp(reason, "moving") == 0);
        directory_free(&directory);
    }
}

static void settings_are_checked(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        bool is_good;
    } rows[] = {
        { "any_sender", "on", true },
        { "any_sender", "yes", false },
        { "on_refusal", "accept", true },
        { "on_refusal", "drop", false },
        { "recipients_per_day", "unlimited", true },
        { "recipients_per_day", "10000", true },
        { "recipients_per_day", "0", true },
        { "messages_per_minute", "none", true },
        { "messages_per_month", "1000000000", true },
        { "messages_per_hour", "1000000001", false },
        { "messages_per_hour", "1 000", false },
        { "messages_per_hour", "", false },
        { "overage", "record", true },
        { "overage", "on", false },
        { "recipients_per_day", "-1", false },
        { "recipients_per_day", "99999999999999999999", false },
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        for (size_t s = 0; s < account_setting_count; s++) {
            const struct account_setting *setting = &account_settings[s];
            if (strcmp(setting->key, rows[i].key) == 0 &&
                setting->check_value(rows[i].value) != rows[i].is_good) {
                fail_msg("%s %s", rows[i].key, rows[i].value);
            }
        }
    }
    for (size_t s = 0; s < account_setting_count; s++) {
        assert_true(
            account_settings[s].check_value(account_settings[s].initial));
    }
}

int main(void)
{
#define ROW(test) \
    cmocka_unit_test_setup_teardown(test, fixture_setup, fixture_teardown)
    const struct CMUnitTest tests[] = {
        ROW(an_empty_directory_knows_nobody),
        ROW(settings_have_defaults_and_nonsense_leaves_them),
        ROW(user_names_are_found_in_any_case),
        ROW(the_longest_network_decides),
        ROW(f12_a_domain_allows_what_lies_under_it),
        ROW(a_domain_has_its_hosts_and_the_keys_that_sign),
        ROW(a_route_of_its_own_comes_before_the_general_one),
        ROW(suspensions_are_found_by_every_scope),
        ROW(groups_keys_and_hosts_are_there),
        cmocka_unit_test(settings_are_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
