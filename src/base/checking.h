/* checking.h: whether checking mode is on, which finds mistakes at a price: by SHAREDMEM_CHECK. */
#ifndef BASE_CHECKING_H
#define BASE_CHECKING_H

#include <stdbool.h>

/* The environment is read at the first call, and once. */
bool checking_is_on(void);

#endif
