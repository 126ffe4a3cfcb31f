/* speeds.h: whether this machine has fast and slow cores, by a look that costs little. hwloc tells which are which. */
#ifndef HOST_SPEEDS_H
#define HOST_SPEEDS_H

#include <stdbool.h>

/*
 * Whether the kernel says so: it has counters of its own for each kind (Intel), or gives its processors different
 * capacities (Arm, and newer kernels for all). Clock rates say nothing: they differ a little from core to core in
 * machines whose cores are alike. root: "", or a folder with another machine's sys.
 */
bool speeds_differ(const char *root);

#endif
