/* array_refused.h: calls for arrays that are refused, and what they say of it, as uncaught errors. */
#ifndef T_ARRAY_REFUSED_H
#define T_ARRAY_REFUSED_H

#include <errno.h>
#include <string.h>

#include "tap.h"
#include "uncaught.h"

static inline bool is_nothing(sharedmem_array a)
{
    static const sharedmem_array nothing;

    return memcmp(&a, &nothing, sizeof a) == 0;
}

/* For the next refusal. */
static inline void forget_uncaught(void)
{
    uncaught = 0;
    last.message[0] = '\0';
    errno = 0;
}

/* One call was refused, as a usage error of its name that says this. gave_nothing: what it returned. */
static inline void test_call_refused(bool gave_nothing, const char *call, const char *says)
{
    int code = errno;

    test_ok(gave_nothing && code == EINVAL && uncaught == 1 && last.kind == SHAREDMEM_ERROR_USAGE, "%s: %s",
            call, last.message);
    test_ok(strncmp(last.message, call, strlen(call)) == 0 && last.message[strlen(call)] == ':',
            "it names the call");
    test_has(says, last.message, "and says what");
    forget_uncaught();
}

/* The same where an array is what was asked for. */
static inline void test_array_refused(sharedmem_array a, const char *call, const char *says)
{
    test_call_refused(is_nothing(a), call, says);
}

#endif
