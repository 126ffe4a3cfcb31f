/* modules.h: whether a shared object was loaded since, for who must look again then. */
#ifndef HOST_MODULES_H
#define HOST_MODULES_H

/*
 * How many objects this process has ever loaded: it rises with each dlopen(3) that loads one, and never
 * falls. Takes the loader's lock, for a moment.
 */
unsigned long long modules_loaded(void);

#endif
