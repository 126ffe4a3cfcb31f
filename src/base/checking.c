#include "base/checking.h"

#include <stdatomic.h>

#include "base/env.h"

static bool by_environment(void)
{
    long value = 0;

    if (env_int(ENV_CHECK, 0, 1, &value) == ENV_MALFORMED)
        env_warn(ENV_CHECK, "0 or 1");
    return value != 0;
}

bool checking_is_on(void)
{
    /* 1 + whether it is; 0: nobody has asked yet. relaxed: threads that ask at once find the same. */
    static atomic_int known;
    int value = atomic_load_explicit(&known, memory_order_relaxed);

    if (value == 0) {
        value = 1 + by_environment();
        atomic_store_explicit(&known, value, memory_order_relaxed);
    }
    return value > 1;
}
