#include "base/debug.h"

#include <stdatomic.h>

#include "base/env.h"
#include "sharedmem.h"

/* 0 and 1: it was set; -1: the environment tells. */
static atomic_int set_to = -1;

static bool by_environment(void)
{
    long value = 0;

    if (env_int(ENV_DEBUG, 0, 1, &value) == ENV_MALFORMED)
        env_warn(ENV_DEBUG, "0 or 1");
    return value != 0;
}

bool debug_is_on(void)
{
    int value = atomic_load(&set_to);

    return value >= 0 ? value != 0 : by_environment();
}

bool sharedmem_set_debug(bool on)
{
    bool before = debug_is_on();

    atomic_store(&set_to, on);
    return before;
}
