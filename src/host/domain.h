/*
 * domain.h: which NUMA node, last-level cache or package a processor is of, as the kernel tells it in a few small
 * files: without hwloc, which takes milliseconds to load, in each rank.
 */
#ifndef HOST_DOMAIN_H
#define HOST_DOMAIN_H

enum domain { DOMAIN_NUMA, DOMAIN_L3, DOMAIN_PACKAGE };

/*
 * The number of the domain that processor cpu is of, 0 or more: as the kernel counts nodes and packages; of a cache
 * that of the first processor that has it. Where there is no L3 it is the package's; where the kernel tells nothing,
 * 0. root: "", or a made-up machine's for tests.
 */
int domain_of_cpu(const char *root, int cpu, enum domain domain);

/*
 * The same of the calling thread: of the first processor that it may run on. So threads that are bound nowhere all
 * get the same.
 */
int domain_here(enum domain domain);

#endif
