#include "smrrun/batch.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/parse.h"
#include "base/text.h"
#include "smrrun/hosts.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* The most that a host may have of anything, and a job of hosts. */
#define MAX_COUNT 4096
#define MAX_HOSTS (1 << 20)

/* ---- Words and numbers ---- */

/* The first warning is kept. */
__attribute__((format(printf, 2, 3))) static void warn(struct batch *batch, const char *format, ...)
{
    va_list arguments;

    if (batch->warning[0] != '\0')
        return;
    va_start(arguments, format);
    vsnprintf(batch->warning, sizeof batch->warning, format, arguments);
    va_end(arguments);
    text_one_line(batch->warning);
}

static void warn_value(struct batch *batch, enum env_variable variable, const char *expected)
{
    warn(batch, "%s=%.60s is not %s and is ignored", env_name(variable), env_text(variable), expected);
}

/* A variable's number from 1 to max, or 0 where it has none. */
static int number(struct batch *batch, enum env_variable variable, int max)
{
    char expected[64];
    long value;

    switch (env_int(variable, 1, max, &value)) {
    case ENV_GOOD:
        return (int)value;
    case ENV_MALFORMED:
        snprintf(expected, sizeof expected, "a whole number from 1 to %d", max);
        warn_value(batch, variable, expected);
        return 0;
    default:
        return 0;
    }
}

/* Reads a number from 1 to max at *text and goes behind it. Returns 0 where there is none. */
static int take_number(const char **text, int max)
{
    int sum = 0;

    for (; isdigit((unsigned char)**text); (*text)++) {
        sum = sum * 10 + (**text - '0');
        if (sum > max)
            return 0;
    }
    return sum;
}

/* Keeps n as the number of ranks, if it is one. */
static void keep(struct batch *batch, int n, enum env_variable source)
{
    batch->n_ranks = n;
    if (n > 0)
        snprintf(batch->source, sizeof batch->source, "%s", env_name(source));
}

/* Looks for the number of ranks in one more place, where none is known and the job has one host. */
static void try_total(struct batch *batch, enum env_variable variable)
{
    if (batch->n_ranks == 0 && batch->n_nodes == 1)
        keep(batch, number(batch, variable, MAX_COUNT), variable);
}

/* ---- Torque and PBS Pro ---- */

static struct hosts read_nodefile(struct batch *batch, const char *hostname)
{
    struct hosts hosts = {0};
    const char *path = env_text(ENV_PBS_NODEFILE);
    int code;

    if (path == NULL)
        return hosts;
    code = hosts_read_file(&hosts, path, hostname);
    /* The job has one host, and we are in the job: whatever else this host is called. */
    if (hosts.n_hosts == 1)
        hosts.n_here = hosts.n_slots;
    if (code != 0)
        warn(batch, "PBS_NODEFILE=%.100s cannot be read (%s) and is ignored", path,
             code == EINVAL ? "no plain file" : strerror(code));
    else if (hosts.n_hosts == 0 || hosts.n_here > MAX_COUNT)
        warn(batch, "PBS_NODEFILE=%.100s names %s and is ignored", path,
             hosts.n_hosts == 0 ? "no host" : "this host more than 4096 times");
    if (hosts.n_here > MAX_COUNT)
        hosts.n_here = 0;
    return hosts;
}

/* Without mpiprocs PBS Pro writes one line for a chunk, however many processors it has. */
static void count_pbs_pro(struct batch *batch, int n_slots)
{
    int n_cpus = number(batch, ENV_NCPUS, MAX_COUNT);

    batch->system = "PBS Pro";
    if (n_slots > 1 || n_cpus == 0)
        keep(batch, n_slots, ENV_PBS_NODEFILE);
    else
        keep(batch, n_cpus, ENV_NCPUS);
    /* NCPUS is of the first chunk, and the lines don't tell how many chunks they are. */
    batch->n_cores = n_slots > 1 && n_cpus > 1 ? 0 : batch->n_ranks;
}

static void read_pbs(struct batch *batch, const char *hostname)
{
    struct hosts hosts = read_nodefile(batch, hostname);
    bool has_torque = env_text(ENV_PBS_NUM_PPN) != NULL || env_text(ENV_PBS_NP) != NULL ||
                      env_text(ENV_PBS_NUM_NODES) != NULL;

    batch->n_nodes = hosts.n_hosts > 0 ? hosts.n_hosts : number(batch, ENV_PBS_NUM_NODES, MAX_HOSTS);
    if (batch->n_nodes == 0)
        batch->n_nodes = 1;
    if (!has_torque && env_text(ENV_NCPUS) != NULL) {
        count_pbs_pro(batch, hosts.n_here);
        return;
    }
    keep(batch, hosts.n_here, ENV_PBS_NODEFILE);
    if (batch->n_ranks == 0)
        keep(batch, number(batch, ENV_PBS_NUM_PPN, MAX_COUNT), ENV_PBS_NUM_PPN);
    try_total(batch, ENV_PBS_NP);
    batch->n_cores = batch->n_ranks;
}

/* ---- Slurm ---- */

/* This host's entry of a variable that is such a list, or 0. Sets n_nodes where nothing else has. */
static int slurm_entry(struct batch *batch, enum env_variable variable)
{
    const char *text = env_text(variable);
    int entry, n_hosts;
    long node = 0;

    if (text == NULL)
        return 0;
    if (env_int(ENV_SLURM_NODEID, 0, MAX_HOSTS, &node) == ENV_MALFORMED)
        warn_value(batch, ENV_SLURM_NODEID, "a whole number");
    entry = parse_list_entry(text, node, MAX_COUNT, &n_hosts);
    if (entry == 0)
        warn_value(batch, variable, "a list like 2(x3),1 with this host in it");
    else if (batch->n_nodes == 0)
        batch->n_nodes = n_hosts;
    return entry;
}

/* The job said how many cores, but not for how many ranks. */
static void share_cores(struct batch *batch, enum env_variable source)
{
    int n_threads = batch->n_threads > 0 ? batch->n_threads : 1;

    if (batch->n_ranks > 0 || batch->n_cores == 0)
        return;
    batch->n_ranks = batch->n_cores < n_threads ? 1 : batch->n_cores / n_threads;
    snprintf(batch->source, sizeof batch->source, batch->n_threads > 0 ? "%s / %s" : "%s", env_name(source),
             env_name(ENV_SLURM_CPUS_PER_TASK));
}

static void read_slurm(struct batch *batch, const char *hostname)
{
    enum env_variable cores_source = ENV_SLURM_CPUS_ON_NODE;

    (void)hostname;
    /* The step's, if this is in one, then the job's; the lists tell it too. */
    batch->n_nodes = number(batch, ENV_SLURM_NNODES, MAX_HOSTS);
    if (batch->n_nodes == 0)
        batch->n_nodes = number(batch, ENV_SLURM_JOB_NUM_NODES, MAX_HOSTS);
    keep(batch, slurm_entry(batch, ENV_SLURM_TASKS_PER_NODE), ENV_SLURM_TASKS_PER_NODE);
    batch->n_cores = number(batch, cores_source, MAX_COUNT);
    if (batch->n_cores == 0) {
        cores_source = ENV_SLURM_JOB_CPUS_PER_NODE;
        batch->n_cores = slurm_entry(batch, cores_source);
    }
    batch->n_threads = number(batch, ENV_SLURM_CPUS_PER_TASK, MAX_COUNT);
    if (batch->n_nodes == 0)
        batch->n_nodes = 1;
    try_total(batch, ENV_SLURM_NTASKS);
    try_total(batch, ENV_SLURM_NPROCS);
    share_cores(batch, cores_source);
}

/* ---- LSF and Grid Engine ---- */

/* Counts names and numbers that take turns, "a 8 b 4". n_hosts is 0 where the text is another. */
static struct hosts count_pairs(const char *text, const char *hostname)
{
    struct hosts hosts = {0};

    for (text += strspn(text, " "); *text != '\0'; text += strspn(text, " ")) {
        size_t length = strcspn(text, " ");
        char name[256];
        int count;

        if (length >= sizeof name)
            return (struct hosts){0};
        memcpy(name, text, length);
        name[length] = '\0';
        text += length + strspn(text + length, " ");
        count = take_number(&text, MAX_COUNT);
        if (count == 0 || (*text != ' ' && *text != '\0') || hosts.n_hosts == MAX_HOSTS)
            return (struct hosts){0};
        hosts.n_hosts++;
        if (hosts_is_here(name, hostname))
            hosts.n_here = count;
    }
    return hosts;
}

static void read_lsf(struct batch *batch, const char *hostname)
{
    const char *text = env_text(ENV_LSB_MCPU_HOSTS);
    struct hosts hosts = {0};

    if (text != NULL) {
        hosts = count_pairs(text, hostname);
        if (hosts.n_hosts == 0)
            warn_value(batch, ENV_LSB_MCPU_HOSTS, "a list like \"node1 8 node2 4\"");
    }
    batch->n_nodes = hosts.n_hosts > 0 ? hosts.n_hosts : 1;
    keep(batch, hosts.n_here, ENV_LSB_MCPU_HOSTS);
    try_total(batch, ENV_LSB_DJOB_NUMPROC);
    batch->n_cores = batch->n_ranks;
}

static void read_grid_engine(struct batch *batch, const char *hostname)
{
    (void)hostname;
    batch->n_nodes = number(batch, ENV_NHOSTS, MAX_HOSTS);
    if (batch->n_nodes == 0)
        batch->n_nodes = 1;
    try_total(batch, ENV_NSLOTS);
    batch->n_cores = batch->n_ranks;
}

/* ---- All ---- */

/* Slurm first: it can be told to set the variables of PBS as well. */
static const struct {
    enum env_variable marker;
    const char *system;
    void (*read)(struct batch *batch, const char *hostname);
} systems[] = {
    {ENV_SLURM_JOB_ID, "Slurm", read_slurm},
    {ENV_PBS_JOBID, "Torque", read_pbs},
    {ENV_LSB_JOBID, "LSF", read_lsf},
    {ENV_SGE_TASK_ID, "Grid Engine", read_grid_engine},
};

void batch_read(struct batch *batch, const char *hostname)
{
    *batch = (struct batch){.n_nodes = 1};
    for (size_t i = 0; i < COUNT_OF(systems); i++) {
        const char *marker = env_text(systems[i].marker);

        if (marker == NULL || marker[0] == '\0')
            continue;
        batch->system = systems[i].system;
        systems[i].read(batch, hostname);
        return;
    }
}
