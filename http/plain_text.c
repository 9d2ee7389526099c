/* SPDX-License-Identifier: MIT */
#include "http/plain_text.h"

void plain_text_copy(struct text from, char *to)
{
    bool is_utf8 = text_is_utf8(from);
    for (size_t i = 0; i < from.length; i++) {
        bool is_kept = from.data[i] != '\0' &&
                       (is_utf8 || (unsigned char)from.data[i] < 0x80);
        to[i] = '?';
        if (is_kept) {
            to[i] = from.data[i];
        }
    }
    to[from.length] = '\0';
}

void user_agent_copy(struct text user_agent, char to[USER_AGENT_SIZE])
{
    size_t length = user_agent.length;
    if (length >= USER_AGENT_SIZE) {
        length = USER_AGENT_SIZE - 1;
        while (length > 0 &&
               ((unsigned char)user_agent.data[length] & 0xc0) == 0x80) {
            length--;
        }
    }
    plain_text_copy(text_slice(user_agent, 0, length), to);
}
