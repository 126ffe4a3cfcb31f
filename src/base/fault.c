#include "base/fault.h"

#ifdef SHAREDMEM_FAULT_INJECTION

#include <signal.h>
#include <unistd.h>

static unsigned long steps_left;

void fault_arm(unsigned long steps)
{
    steps_left = steps;
}

unsigned long fault_left(void)
{
    return steps_left;
}

void fault_point(void)
{
    if (steps_left > 0 && --steps_left == 0)
        kill(getpid(), SIGKILL);
}

#else

/* ISO C forbids an empty translation unit. */
typedef int fault_is_off;

#endif
