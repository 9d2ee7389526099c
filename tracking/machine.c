/* SPDX-License-Identifier: MIT */
#include "tracking/machine.h"

#include "core/memory.h"

const struct machine_pattern machine_patterns[] = {
    /* Every mail reader and browser says what it is. */
    { "", true, "scanner" },
    /* Apple Mail Privacy Protection says no more than this. */
    { "mozilla/5.0", true, "apple-proxy" },
    /* Gmail loads pictures itself, when a human opens the message or before.
     * */
    { "googleimageproxy", false, "gmail-proxy" },
    { "ggpht.com", false, "gmail-proxy" },
    /* Yahoo's, which loads before anybody looks. */
    { "yahoomailproxy", false, "scanner" },
    /* What stands before mailboxes and tries every link. */
    { "barracuda", false, "scanner" },
    { "proofpoint", false, "scanner" },
    { "mimecast", false, "scanner" },
    { "symantec", false, "scanner" },
    { "messagelabs", false, "scanner" },
    { "fireeye", false, "scanner" },
    { "trendmicro", false, "scanner" },
    { "safelinks", false, "scanner" },
    { "urldefense", false, "scanner" },
    { "cloudmark", false, "scanner" },
    { "ironport", false, "scanner" },
    /* Pages looked at for a preview of a link. */
    { "bingpreview", false, "scanner" },
    { "skypeuripreview", false, "scanner" },
    { "microsoft office existence discovery", false, "scanner" },
    { "ms-office-link", false, "scanner" },
    { "microsoftpreview", false, "scanner" },
    { "facebookexternalhit", false, "scanner" },
    { "slack-imgproxy", false, "scanner" },
    { "slackbot", false, "scanner" },
    { "whatsapp/", false, "scanner" },
    { "telegrambot", false, "scanner" },
    { "bitlybot", false, "scanner" },
    { "embedly", false, "scanner" },
    { "google-safety", false, "scanner" },
    { "google-read-aloud", false, "scanner" },
    /* Libraries and tools of programmers: no reader has them. */
    { "python", false, "scanner" },
    { "curl/", false, "scanner" },
    { "wget/", false, "scanner" },
    { "go-http-client", false, "scanner" },
    { "java/", false, "scanner" },
    { "okhttp", false, "scanner" },
    { "apache-httpclient", false, "scanner" },
    { "libwww-perl", false, "scanner" },
    { "lwp::", false, "scanner" },
    { "node-fetch", false, "scanner" },
    { "axios/", false, "scanner" },
    { "guzzlehttp", false, "scanner" },
    { "php/", false, "scanner" },
    { "ruby", false, "scanner" },
    { "winhttp", false, "scanner" },
    { "powershell", false, "scanner" },
    /* Browsers that nobody looks at. */
    { "headlesschrome", false, "scanner" },
    { "phantomjs", false, "scanner" },
    { "puppeteer", false, "scanner" },
    { "playwright", false, "scanner" },
    { "selenium", false, "scanner" },
    /* Robots that say so; not "bot" alone, as there are CUBOT telephones. */
    { "bot/", false, "scanner" },
    { "bot;", false, "scanner" },
    { "bot)", false, "scanner" },
    { "googlebot", false, "scanner" },
    { "bingbot", false, "scanner" },
    { "crawler", false, "scanner" },
    { "spider", false, "scanner" },
    { "slurp", false, "scanner" },
    { "scanner", false, "scanner" },
    { "+http", false, "scanner" },
};
const size_t machine_pattern_count = ARRAY_LENGTH(machine_patterns);

/* An agent is short and patterns are few: no index is worth its while. */
static bool has_words(struct text agent, const char *words)
{
    size_t length = text_of(words).length;
    for (size_t i = 0; i + length <= agent.length; i++) {
        if (ascii_lower(agent.data[i]) == words[0] &&
            text_is_ignoring_case(text_slice(agent, i, i + length), words)) {
            return true;
        }
    }
    return false;
}

static bool fits(struct text agent, const struct machine_pattern *pattern)
{
    return pattern->is_whole ? text_is_ignoring_case(agent, pattern->words)
                             : has_words(agent, pattern->words);
}

const char *machine_reason(const struct hit_facts *facts)
{
    struct text agent = facts->user_agent;
    if (agent.length > MACHINE_AGENT_BYTES) {
        agent.length = MACHINE_AGENT_BYTES;
    }
    for (size_t i = 0; i < machine_pattern_count; i++) {
        if (fits(agent, &machine_patterns[i])) {
            return machine_patterns[i].reason;
        }
    }
    return facts->is_prefetch ? "prefetch" : NULL;
}
