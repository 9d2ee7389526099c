/* SPDX-License-Identifier: MIT */
#include "relay/message_policy.h"

#include <string.h>

#include "relay/relay_settings.h"

#define FEEDBACK_PART_MAX 40

/* The list is in no order: every name stands in it once. */
static void apply_settings(const struct directory_setting *settings,
                           struct arena *arena, struct policy *policy)
{
    for (; settings != NULL; settings = settings->next) {
        struct error ignored;
        bool is_understood = policy_apply(policy, arena, settings->name,
                                          settings->value, &ignored);
        (void)is_understood;
    }
}

static void apply_control(const struct control *control, struct arena *arena,
                          struct policy *policy)
{
    for (size_t i = 0; i < control->setting_count; i++) {
        const struct control_setting *setting = &control->settings[i];
        struct error ignored;
        bool is_understood = policy_apply(policy, arena, setting->name,
                                          setting->value, &ignored);
        (void)is_understood; /* control_read has checked it */
    }
}

/* A host that the message asks for must be the account's own. */
static const char *choose_url(const struct message_policy_input *input,
                              struct arena *arena)
{
    const struct directory_account *account = input->account;
    const struct control *control = input->control;
    const char *asked =
        control == NULL || control->tracking_host == NULL
            ? NULL
            : directory_tracking_url(input->directory, account->account_id,
                                     control->tracking_host);
    if (asked != NULL) {
        return asked;
    }
    if (input->domain != NULL && input->domain->link_is_right) {
        return input->domain->link_url;
    }
    const char *url = account->tracking_url != NULL
                          ? account->tracking_url
                          : relay_settings_now()->public_url;
    struct text text = text_of(url);
    while (text.length > 0 && text.data[text.length - 1] == '/') {
        text.length--;
    }
    return arena_copy_text(arena, text);
}

/* "Daily Alert" as daily-alert: what stands between colons. */
static void append_slug(struct buffer *out, const char *name)
{
    size_t begin = out->length;
    for (const char *c = name;
         *c != '\0' && out->length - begin < FEEDBACK_PART_MAX; c++) {
        bool is_plain = ascii_is_alnum(*c);
        if (is_plain) {
            buffer_append_byte(out, ascii_lower(*c));
        } else if (out->length > begin && out->data[out->length - 1] != '-') {
            buffer_append_byte(out, '-');
        }
    }
    if (out->length > begin && out->data[out->length - 1] == '-') {
        out->length--;
    }
}

/* B11: GROUP:ACCOUNT:KIND:SENDER, the same for all mail of a kind. */
static const char *make_feedback_id(const struct message_policy_input *input,
                                    struct arena *arena)
{
    const char *sender = relay_settings_now()->feedback_sender;
    const struct directory_group *group = input->group;
    struct buffer id = { 0 };
    if (sender[0] == '\0') {
        return "";
    }
    append_slug(&id, group != NULL ? group->name : "");
    buffer_append_byte(&id, ':');
    append_slug(&id, input->account->name);
    buffer_printf(&id, ":%s:%s",
                  group != NULL && group->is_marketing ? "marketing"
                                                       : "transactional",
                  sender);
    const char *kept = arena_copy_text(arena, buffer_text(&id));
    buffer_free(&id);
    return kept;
}

/* D8: the author's own host aligns SPF with From. */
static const char *choose_return_host(const struct directory_domain *domain)
{
    return domain != NULL && domain->return_is_right
               ? domain->return_host
               : relay_settings_return_host();
}

/* D5: the domain of From signs, as soon as the account's wish allows it. */
static const char *choose_signer(const struct message_policy_input *input)
{
    const struct directory_domain *domain = input->domain;
    bool signs = domain != NULL && domain->keys != NULL &&
                 (domain->dkim_is_right ||
                  input->account->unverified == UNVERIFIED_SIGN);
    return signs ? domain->name : "";
}

void message_policy_decide(const struct message_policy_input *input,
                           struct arena *arena, struct policy *out_policy)
{
    const struct directory_group *group = input->group;
    apply_settings(input->account->settings, arena, out_policy);
    if (group != NULL) {
        out_policy->group_id = group->group_id;
        out_policy->group_name = arena_copy_string(arena, group->name);
        out_policy->group_is_marketing = group->is_marketing;
        apply_settings(group->settings, arena, out_policy);
    }
    if (input->control != NULL) {
        apply_control(input->control, arena, out_policy);
    }
    out_policy->sender_name = arena_copy_string(arena, input->account->name);
    out_policy->tracking_url =
        arena_copy_string(arena, choose_url(input, arena));
    out_policy->feedback_id = make_feedback_id(input, arena);
    out_policy->return_host =
        arena_copy_string(arena, choose_return_host(input->domain));
    out_policy->signing_domain = arena_copy_string(arena, choose_signer(input));
}

bool message_policy_passes_through(const struct directory *directory,
                                   const struct directory_account *account)
{
    const char *everywhere =
        directory_server_setting(directory, "pass_through");
    if (everywhere != NULL && strcmp(everywhere, "on") == 0) {
        return true;
    }
    const struct directory_setting *setting =
        account != NULL ? account->settings : NULL;
    for (; setting != NULL; setting = setting->next) {
        if (strcmp(setting->name, "pass_through") == 0) {
            return strcmp(setting->value, "on") == 0;
        }
    }
    return false;
}
