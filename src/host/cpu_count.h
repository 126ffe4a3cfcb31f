/* cpu_count.h: how many processors to use, and who said so; sharedmem_cpu_count() and _source(). */
#ifndef HOST_CPU_COUNT_H
#define HOST_CPU_COUNT_H

/* The most that is ever returned, and the most that a variable may say. */
#define CPU_COUNT_MAX 4096

struct cpu_count {
    int count;
    const char *source; /* a variable's name, "cores", "cpu quota" or "processors" */
};

/*
 * Counts as sharedmem.h says of sharedmem_cpu_count(). Malformed variables are warned of once and skipped.
 * The machine's part (hwloc, affinity, quota) is read once per process and kept.
 */
struct cpu_count cpu_count_read(void);

/* What the machine lets this process use, whatever variables say: physical cores, or less by a cpu quota. */
int cpu_count_machine(void);

#endif
