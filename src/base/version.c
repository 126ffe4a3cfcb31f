#include "config.h"

#include "sharedmem.h"

const char *sharedmem_version(void)
{
    return PACKAGE_VERSION;
}
