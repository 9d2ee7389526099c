/* SPDX-License-Identifier: MIT */
/* A reply of any bytes has a class; it suppresses only what is missing for
 * good; and a temporary reply never does. The first byte is the step. */
#include "core/memory.h"
#include "tracking/bounce_class.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) {
        return 0;
    }
    struct bounce_reply reply = {
        .text = { (const char *)data + 1, size - 1 },
        .step = (enum bounce_step)(data[0] % (BOUNCE_STEP_DATA + 1)),
    };
    struct bounce_verdict verdict;
    bounce_class_decide(&reply, &verdict);
    check(verdict.class < BOUNCE_CLASS_COUNT);
    check(verdict.suppresses == (verdict.severity == BOUNCE_HARD));
    check(!verdict.suppresses || verdict.class == BOUNCE_INVALID_ADDRESS ||
          verdict.class == BOUNCE_INVALID_DOMAIN);
    check(verdict.code == 0 || (verdict.code >= 400 && verdict.code < 600));

    reply.code = 450;
    bounce_class_decide(&reply, &verdict);
    check(!verdict.suppresses && verdict.code == 450);
    /* The same bytes as a status: only a status is taken for one. */
    struct bounce_reply status = { .status = reply.text };
    bounce_class_decide(&status, &verdict);
    return 0;
}
