/* SPDX-License-Identifier: MIT */
#include "http/page.h"

#include "core/memory.h"

const char page_style[] =
    "body{margin:0;background:#f4f5f7;color:#1c1e21;"
    "font:1.125rem/1.5 system-ui,sans-serif}"
    "main{box-sizing:border-box;max-width:34rem;margin:4vh auto;padding:1.5rem;"
    "background:#fff;border-radius:.5rem;overflow-wrap:anywhere}"
    "h1{margin:0 0 1rem;font-size:1.5rem;line-height:1.25}"
    "button{min-height:3rem;padding:.5rem "
    "1.5rem;border:0;border-radius:.375rem;"
    "background:#0b57d0;color:#fff;font:inherit;cursor:pointer}"
    "button:hover{background:#0842a0}"
    /* The way back looks unlike the way there: a second, hasty press on the
     * same place should not undo the first one unseen. */
    "button[name=resubscribe]{background:none;color:#0b57d0;"
    "box-shadow:inset 0 0 0 .125rem}"
    "button[name=resubscribe]:hover{background:#e8f0fe}"
    "button:focus-visible{outline:.1875rem solid "
    "#1c1e21;outline-offset:.1875rem}"
    "@media(prefers-color-scheme:dark){"
    "body{background:#16181c;color:#e8eaed}main{background:#23262b}"
    "button{background:#a8c7fa;color:#062e6f}button:hover{background:#d3e3fd}"
    "button[name=resubscribe]{color:#a8c7fa}"
    "button[name=resubscribe]:hover{background:#333b47}"
    "button:focus-visible{outline-color:#e8eaed}}";

/* {} is what it is about: messages from whom, of which group. */
static const struct {
    const char *title;
    const char *before;
    const char *behind;
    const char *field;
    const char *button;
} states[] = {
    /* Whether they come at all is not said: something else may keep them. */
    [PAGE_SUBSCRIBED] = { "Unsubscribe", "Press the button to get no more ",
                          ".", "unsubscribe", "Unsubscribe" },
    [PAGE_UNSUBSCRIBED] = { "You are unsubscribed", "You do not get ",
                            " any more. You can have them again.",
                            "resubscribe", "Resubscribe" },
    [PAGE_JUST_UNSUBSCRIBED] = { "You are unsubscribed", "You will not get ",
                                 " any more. If that was a mistake, take it "
                                 "back.",
                                 "resubscribe", "Resubscribe" },
    [PAGE_JUST_RESUBSCRIBED] = { "You are subscribed again",
                                 "Your unsubscribe was taken back: you can "
                                 "get ",
                                 " again.", "unsubscribe", "Unsubscribe" },
};

static void append_escaped(struct buffer *html, const char *text)
{
    static const char *const escapes[128] = {
        ['&'] = "&amp;",  ['<'] = "&lt;",   ['>'] = "&gt;",
        ['"'] = "&quot;", ['\''] = "&#39;",
    };
    for (; *text != '\0'; text++) {
        unsigned char byte = (unsigned char)*text;
        const char *escape = byte < 128 ? escapes[byte] : NULL;
        if (escape != NULL) {
            buffer_append_string(html, escape);
        } else {
            buffer_append_byte(html, *text);
        }
    }
}

static void append_subject(struct buffer *html, const char *account_name,
                           const char *group_name)
{
    buffer_append_string(html, group_name != NULL
                                   ? "messages from <strong>"
                                   : "messages of this kind from <strong>");
    append_escaped(html, account_name);
    buffer_append_string(html, "</strong>");
    if (group_name != NULL) {
        buffer_append_string(html, " of the kind <strong>");
        append_escaped(html, group_name);
        buffer_append_string(html, "</strong>");
    }
}

void page_write(struct buffer *out_html, enum page_state state,
                const char *account_name, const char *group_name)
{
    buffer_printf(out_html,
                  "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n"
                  "<meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width, "
                  "initial-scale=1\">\n"
                  "<title>%s</title>\n<style>%s</style>\n</head>\n"
                  "<body>\n<main>\n<h1>%s</h1>\n<p role=\"status\">%s",
                  states[state].title, page_style, states[state].title,
                  states[state].before);
    append_subject(out_html, account_name, group_name);
    buffer_printf(out_html,
                  "%s</p>\n<form method=\"post\">\n"
                  "<button type=\"submit\" name=\"%s\" value=\"1\">%s"
                  "</button>\n</form>\n</main>\n</body>\n</html>\n",
                  states[state].behind, states[state].field,
                  states[state].button);
}
