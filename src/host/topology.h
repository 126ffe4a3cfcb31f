/*
 * topology.h: the processors that this process may use, as plain data. The only client of hwloc.
 *
 * It is loaded light (processors, cores, caches of level 3, NUMA nodes and packages; no distances, memory
 * attributes or devices, and kinds of processors only on machines that have several) and at the first need: a
 * load takes about a millisecond, and two more where hwloc has plug-ins installed, which it opens and closes
 * each time.
 */
#ifndef HOST_TOPOLOGY_H
#define HOST_TOPOLOGY_H

#include <sched.h>
#include <stdbool.h>
#include <stddef.h>

#include "sharedmem.h"

/* One processing unit (a hardware thread). The ids count from 0 in hwloc's order what is allowed: no gaps. */
struct topology_pu {
    int os_index; /* as the kernel counts, for affinity masks */
    int core;
    int l3;   /* the last cache shared by several cores; its package where there is none */
    int numa; /* the nearest NUMA node */
    int package;
    int speed; /* of its core: 0 the slowest kind, then 1, ...; 0 for all where they are alike or nobody knows */
};

/* The allowed processing units in hwloc's order: those of one core are neighbours, so are those of one l3. */
struct topology {
    bool is_this_machine; /* not so by HWLOC_XMLFILE and HWLOC_SYNTHETIC: nobody can be bound by it */
    int n_pus;
    int n_cores;
    struct topology_pu *pus;
    int n_nodes;
    int *nodes; /* of each NUMA node that a unit is near: how the kernel counts it */
};

/*
 * Loads the topology of this machine, as the cgroup allows it (HWLOC_XMLFILE and HWLOC_SYNTHETIC are
 * honoured), and keeps of it only what is in allowed; allowed NULL, or a topology that is not of this
 * machine, keeps all.
 * Owner: the caller, topology_destroy().
 * Returns NULL with errno and error where hwloc fails, or nothing is left (ENODEV).
 */
struct topology *topology_load(const cpu_set_t *allowed, size_t allowed_bytes, sharedmem_error *error);

/* As topology_load() of a machine that hwloc describes as text ("package:2 core:4 pu:2"): for tests. */
struct topology *topology_load_synthetic(const char *description, sharedmem_error *error);

/* As topology_load() of a machine that was saved as XML by lstopo: for tests. */
struct topology *topology_load_xml(const char *path, sharedmem_error *error);

/* Writes "hwloc interface 2.8" of the library that is used, or "no hwloc". */
void topology_version(char *text, size_t size);

/* Memory, whole pages, and the NUMA nodes that new pages of it are to come from. */
struct topology_area {
    void *begin;
    size_t bytes;
    enum topology_source {
        TOPOLOGY_AS_USUAL,    /* as if nothing had ever been said about it */
        TOPOLOGY_FIRST_TOUCH, /* the node of whoever touches a page first */
        TOPOLOGY_NODES        /* the nodes below: one of them, or several in turn, a page each */
    } source;
    int n_nodes;
    const int *nodes; /* as the kernel counts them */
};

/*
 * Tells the kernel where new pages of these n areas are to come from; where a node is full another gives
 * them. In shared memory that holds for all who have it mapped, until something else is said. Pages that are
 * there stay where they are. The first call of a process loads hwloc's topology, and keeps it.
 * Returns 0, or -1 with errno and error: mostly EPERM, in containers, or ENOSYS.
 */
int topology_place(const struct topology_area *areas, int n, sharedmem_error *error);

/* Frees it. NULL is fine. Keeps errno. */
void topology_destroy(struct topology *topology);

#endif
