#include "host/cpu_count.h"

#include <stdatomic.h>
#include <stdint.h>
#include <unistd.h>

#include "base/env.h"
#include "host/affinity.h"
#include "host/limits.h"
#include "host/topology.h"
#include "sharedmem.h"

static const struct {
    enum env_variable variable;
    enum env_result (*read)(enum env_variable variable, long min, long max, long *value);
} variables[] = {
    {ENV_NP, env_int},
    {ENV_OMP_NUM_THREADS, env_first_int},
    {ENV_PBS_NUM_PPN, env_int},
};

enum machine_source { SOURCE_CORES, SOURCE_QUOTA, SOURCE_PROCESSORS };

static const char *const source_names[] = {
    [SOURCE_CORES] = "cores",
    [SOURCE_QUOTA] = "cpu quota",
    [SOURCE_PROCESSORS] = "processors",
};

struct machine {
    int32_t pid; /* whose count it is: a forked worker may be bound to fewer cores */
    uint16_t count;
    uint16_t source;
};

static int at_most(int count, int max)
{
    return count < max ? count : max;
}

static int count_processors(const cpu_set_t *allowed, size_t allowed_bytes)
{
    long online;

    if (allowed != NULL)
        return CPU_COUNT_S(allowed_bytes, allowed);
    online = sysconf(_SC_NPROCESSORS_ONLN);
    return online < 1 ? 1 : at_most((int)online, CPU_COUNT_MAX);
}

static int count_cores(const cpu_set_t *allowed, size_t allowed_bytes)
{
    struct topology *topology = topology_load(allowed, allowed_bytes, NULL);
    int n_cores = topology != NULL ? topology->n_cores : 0;

    topology_destroy(topology);
    return n_cores;
}

static struct machine read_machine(void)
{
    size_t allowed_bytes = 0;
    cpu_set_t *allowed = affinity_read(&allowed_bytes);
    enum machine_source source = SOURCE_CORES;
    int count = count_cores(allowed, allowed_bytes);
    int quota = limits_cpu_quota("");

    if (count == 0) {
        source = SOURCE_PROCESSORS;
        count = count_processors(allowed, allowed_bytes);
    }
    if (allowed != NULL)
        CPU_FREE(allowed);
    if (quota > 0 && quota < count) {
        source = SOURCE_QUOTA;
        count = quota;
    }
    return (struct machine){getpid(), (uint16_t)at_most(count, CPU_COUNT_MAX), (uint16_t)source};
}

/*
 * Two threads at once may both read the machine, and find the same. A lock or a pthread_once in its place
 * could be left taken in the child of a fork.
 */
static struct machine machine_once(void)
{
    static _Atomic(struct machine) kept;
    struct machine machine = atomic_load_explicit(&kept, memory_order_relaxed);

    if (machine.pid != getpid()) {
        machine = read_machine();
        atomic_store_explicit(&kept, machine, memory_order_relaxed);
    }
    return machine;
}

struct cpu_count cpu_count_read(void)
{
    struct machine machine;

    for (size_t i = 0; i < sizeof variables / sizeof variables[0]; i++) {
        enum env_variable variable = variables[i].variable;
        long value;
        enum env_result result = variables[i].read(variable, 1, CPU_COUNT_MAX, &value);

        if (result == ENV_GOOD)
            return (struct cpu_count){(int)value, env_name(variable)};
        if (result == ENV_MALFORMED)
            env_warn(variable, "a whole number from 1 to 4096");
    }
    machine = machine_once();
    return (struct cpu_count){machine.count, source_names[machine.source]};
}

int cpu_count_machine(void)
{
    return machine_once().count;
}

int sharedmem_cpu_count(void)
{
    return cpu_count_read().count;
}

const char *sharedmem_cpu_count_source(void)
{
    return cpu_count_read().source;
}
