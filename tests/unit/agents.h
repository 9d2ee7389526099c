/* SPDX-License-Identifier: MIT */
/*
 * User agents and what speaks against a human in each (NULL: nothing): as they
 * were seen, then one for each pattern. tracking/machine.c and the function
 * baton.hit_verdict in SQL are both held against this list.
 */
#ifndef BATON_TESTS_AGENTS_H
#define BATON_TESTS_AGENTS_H

#include <stddef.h>

#define AGENT_PATTERN_COUNT 61

static const struct {
    const char *agent;
    const char *reason;
} sample_agents[] = {
    { "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com "
      "GoogleImageProxy)",
      "gmail-proxy" },
    { "Mozilla/5.0", "apple-proxy" },
    { "mozilla/5.0", "apple-proxy" },
    { "Mozilla/5.0 ", NULL },
    { "YahooMailProxy; "
      "https://help.yahoo.com/kb/yahoo-mail-proxy-SLN28749.html",
      "scanner" },
    { "BarracudaCentral/1.0", "scanner" },
    { "Mozilla/5.0 (compatible; Mimecast URL Protect)", "scanner" },
    { "Mozilla/5.0 (Windows NT 6.1; WOW64) AppleWebKit/534+ (KHTML, like "
      "Gecko) BingPreview/1.0b",
      "scanner" },
    { "Microsoft Office Existence Discovery", "scanner" },
    { "python-requests/2.31.0", "scanner" },
    { "Python-urllib/3.11", "scanner" },
    { "curl/7.88.1", "scanner" },
    { "Wget/1.21.3", "scanner" },
    { "Go-http-client/1.1", "scanner" },
    { "Java/17.0.2", "scanner" },
    { "Apache-HttpClient/4.5.13 (Java/11.0.11)", "scanner" },
    { "Mozilla/5.0 (compatible; Googlebot/2.1; "
      "+http://www.google.com/bot.html)",
      "scanner" },
    { "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) "
      "HeadlessChrome/119.0.0.0 Safari/537.36",
      "scanner" },
    { "", "scanner" },
    { "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 "
      "(KHTML, like Gecko)",
      NULL },
    { "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, "
      "like Gecko) Chrome/119.0.0.0 Safari/537.36",
      NULL },
    { "Mozilla/5.0 (X11; Linux x86_64; rv:102.0) Gecko/20100101 "
      "Thunderbird/102.13.0",
      NULL },
    { "Mozilla/4.0 (compatible; ms-office; MSOffice 16)", NULL },
    { "Mozilla/5.0 (Linux; Android 9; CUBOT NOTE S) AppleWebKit/537.36", NULL },
    { "Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) "
      "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1 Mobile/15E148 "
      "Safari/604.1",
      NULL },
    { "\303\251tat CURL/1", "scanner" },
    { "100% _ \\ curl", NULL },
    { "CurL/ \304\260", "scanner" },
    { " ", NULL },
    { "Mozilla/5.0 (X11; GOOGLEIMAGEPROXY x) y", "gmail-proxy" },
    { "Mozilla/5.0 (X11; GGPHT.COM x) y", "gmail-proxy" },
    { "Mozilla/5.0 (X11; YAHOOMAILPROXY x) y", "scanner" },
    { "Mozilla/5.0 (X11; BARRACUDA x) y", "scanner" },
    { "Mozilla/5.0 (X11; PROOFPOINT x) y", "scanner" },
    { "Mozilla/5.0 (X11; MIMECAST x) y", "scanner" },
    { "Mozilla/5.0 (X11; SYMANTEC x) y", "scanner" },
    { "Mozilla/5.0 (X11; MESSAGELABS x) y", "scanner" },
    { "Mozilla/5.0 (X11; FIREEYE x) y", "scanner" },
    { "Mozilla/5.0 (X11; TRENDMICRO x) y", "scanner" },
    { "Mozilla/5.0 (X11; SAFELINKS x) y", "scanner" },
    { "Mozilla/5.0 (X11; URLDEFENSE x) y", "scanner" },
    { "Mozilla/5.0 (X11; CLOUDMARK x) y", "scanner" },
    { "Mozilla/5.0 (X11; IRONPORT x) y", "scanner" },
    { "Mozilla/5.0 (X11; BINGPREVIEW x) y", "scanner" },
    { "Mozilla/5.0 (X11; SKYPEURIPREVIEW x) y", "scanner" },
    { "Mozilla/5.0 (X11; MICROSOFT OFFICE EXISTENCE DISCOVERY x) y",
      "scanner" },
    { "Mozilla/5.0 (X11; MS-OFFICE-LINK x) y", "scanner" },
    { "Mozilla/5.0 (X11; MICROSOFTPREVIEW x) y", "scanner" },
    { "Mozilla/5.0 (X11; FACEBOOKEXTERNALHIT x) y", "scanner" },
    { "Mozilla/5.0 (X11; SLACK-IMGPROXY x) y", "scanner" },
    { "Mozilla/5.0 (X11; SLACKBOT x) y", "scanner" },
    { "Mozilla/5.0 (X11; WHATSAPP/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; TELEGRAMBOT x) y", "scanner" },
    { "Mozilla/5.0 (X11; BITLYBOT x) y", "scanner" },
    { "Mozilla/5.0 (X11; EMBEDLY x) y", "scanner" },
    { "Mozilla/5.0 (X11; GOOGLE-SAFETY x) y", "scanner" },
    { "Mozilla/5.0 (X11; GOOGLE-READ-ALOUD x) y", "scanner" },
    { "Mozilla/5.0 (X11; PYTHON x) y", "scanner" },
    { "Mozilla/5.0 (X11; CURL/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; WGET/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; GO-HTTP-CLIENT x) y", "scanner" },
    { "Mozilla/5.0 (X11; JAVA/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; OKHTTP x) y", "scanner" },
    { "Mozilla/5.0 (X11; APACHE-HTTPCLIENT x) y", "scanner" },
    { "Mozilla/5.0 (X11; LIBWWW-PERL x) y", "scanner" },
    { "Mozilla/5.0 (X11; LWP:: x) y", "scanner" },
    { "Mozilla/5.0 (X11; NODE-FETCH x) y", "scanner" },
    { "Mozilla/5.0 (X11; AXIOS/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; GUZZLEHTTP x) y", "scanner" },
    { "Mozilla/5.0 (X11; PHP/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; RUBY x) y", "scanner" },
    { "Mozilla/5.0 (X11; WINHTTP x) y", "scanner" },
    { "Mozilla/5.0 (X11; POWERSHELL x) y", "scanner" },
    { "Mozilla/5.0 (X11; HEADLESSCHROME x) y", "scanner" },
    { "Mozilla/5.0 (X11; PHANTOMJS x) y", "scanner" },
    { "Mozilla/5.0 (X11; PUPPETEER x) y", "scanner" },
    { "Mozilla/5.0 (X11; PLAYWRIGHT x) y", "scanner" },
    { "Mozilla/5.0 (X11; SELENIUM x) y", "scanner" },
    { "Mozilla/5.0 (X11; BOT/ x) y", "scanner" },
    { "Mozilla/5.0 (X11; BOT; x) y", "scanner" },
    { "Mozilla/5.0 (X11; BOT) x) y", "scanner" },
    { "Mozilla/5.0 (X11; GOOGLEBOT x) y", "scanner" },
    { "Mozilla/5.0 (X11; BINGBOT x) y", "scanner" },
    { "Mozilla/5.0 (X11; CRAWLER x) y", "scanner" },
    { "Mozilla/5.0 (X11; SPIDER x) y", "scanner" },
    { "Mozilla/5.0 (X11; SLURP x) y", "scanner" },
    { "Mozilla/5.0 (X11; SCANNER x) y", "scanner" },
    { "Mozilla/5.0 (X11; +HTTP x) y", "scanner" },
};

#endif
