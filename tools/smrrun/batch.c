#include "smrrun/batch.h"

#include <ctype.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/env.h"
#include "base/parse.h"
#include "base/text.h"
#include "memory/foreign.h"
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

static int smaller(int a, int b)
{
    return a < b ? a : b;
}

/* The job has several hosts, and its list has none that is called as this one. */
static void warn_elsewhere(struct batch *batch, enum env_variable variable, const char *hostname)
{
    warn(batch, "%s=%.80s does not name this host, %.60s; start smrrun on the job's hosts, or say -n",
         env_name(variable), env_text(variable), hostname);
}

/*
 * Each of several has its share; that of one alone is all. Cores are counted out to ranks then, and not as many ranks
 * started by each as the job has.
 */
static void take_share(struct batch *batch)
{
    int share = batch->n_cores / batch->n_starts;

    if (batch->n_threads > 0)
        batch->n_cores = batch->n_cores > 0 ? smaller(batch->n_cores, batch->n_threads) : batch->n_threads;
    else if (batch->n_cores > 0)
        batch->n_cores = share > 0 ? share : 1;
    batch->n_ranks = 0;
    batch->n_threads = 0;
    batch->source[0] = '\0';
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
    else if (hosts.n_hosts > 1 && hosts.n_here == 0)
        warn_elsewhere(batch, ENV_PBS_NODEFILE, hostname);
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

/* The job's script is task 1 of the first host. */
static void look_for_pbsdsh(struct batch *batch)
{
    long task = 1, node = 0;

    env_int(ENV_PBS_TASKNUM, 1, INT_MAX, &task);
    env_int(ENV_PBS_NODENUM, 0, INT_MAX, &node);
    if (batch->starter == NULL && (task > 1 || node > 0))
        batch->starter = "pbsdsh";
}

static void read_pbs(struct batch *batch, const char *hostname)
{
    struct hosts hosts = read_nodefile(batch, hostname);
    bool has_torque = env_text(ENV_PBS_NUM_PPN) != NULL || env_text(ENV_PBS_NP) != NULL ||
                      env_text(ENV_PBS_NUM_NODES) != NULL;

    batch->n_nodes = hosts.n_hosts > 0 ? hosts.n_hosts : number(batch, ENV_PBS_NUM_NODES, MAX_HOSTS);
    if (batch->n_nodes == 0)
        batch->n_nodes = 1;
    look_for_pbsdsh(batch);
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

/* Of a heterogeneous job the variables without a number tell of this part. The others have their own hosts. */
static void add_groups(struct batch *batch)
{
    int n_nodes = 0;

    if (batch->starter != NULL || env_text(ENV_SLURM_HET_SIZE) == NULL)
        return;
    batch->n_groups = number(batch, ENV_SLURM_HET_SIZE, MAX_COUNT);
    for (int i = 0; i < batch->n_groups && n_nodes < MAX_HOSTS; i++) {
        char name[64];
        const char *text;
        long n = 1;

        snprintf(name, sizeof name, "SLURM_JOB_NUM_NODES_HET_GROUP_%d", i);
        text = env_text_of(name);
        if (text != NULL && parse_int(text, 1, MAX_HOSTS, &n) != 0)
            warn(batch, "%s=%.60s is not a whole number and is ignored", name, text);
        n_nodes += (int)n;
    }
    batch->n_nodes = n_nodes > batch->n_nodes ? n_nodes : batch->n_nodes;
}

/* A shell of salloc may be a step of one task, in a job of more. */
static bool is_task_of_step(struct batch *batch)
{
    int n_tasks = batch->starter != NULL ? slurm_entry(batch, ENV_SLURM_STEP_TASKS_PER_NODE) : 0;

    if (n_tasks > 0 && (batch->n_ranks == 0 || batch->n_ranks == n_tasks))
        return true;
    if (batch->starter != NULL && strcmp(batch->starter, "srun") == 0) {
        batch->starter = NULL;
        batch->n_starts = 1;
    }
    return false;
}

/* What Slurm has started knows its host's name there; a shell of salloc may be on the host where people log in. */
static void check_slurm_host(struct batch *batch, const char *hostname)
{
    const char *list = env_text(ENV_SLURM_JOB_NODELIST);

    if (env_text(ENV_SLURMD_NODENAME) == NULL && list != NULL && !hosts_is_in_ranges(list, hostname))
        warn(batch,
             "this host, %.60s, is none of the job's (%.60s), and ranks are started here; srun -N %d -n %d "
             "smrrun "
             "... starts them there",
             hostname, list, batch->n_nodes, batch->n_nodes);
}

static void read_slurm(struct batch *batch, const char *hostname)
{
    enum env_variable cores_source = ENV_SLURM_CPUS_ON_NODE;

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
    check_slurm_host(batch, hostname);
    if (is_task_of_step(batch)) {
        take_share(batch);
        return;
    }
    try_total(batch, ENV_SLURM_NTASKS);
    try_total(batch, ENV_SLURM_NPROCS);
    share_cores(batch, cores_source);
    add_groups(batch);
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
        else if (hosts.n_hosts > 1 && hosts.n_here == 0)
            warn_elsewhere(batch, ENV_LSB_MCPU_HOSTS, hostname);
    }
    batch->n_nodes = hosts.n_hosts > 0 ? hosts.n_hosts : 1;
    keep(batch, hosts.n_here, ENV_LSB_MCPU_HOSTS);
    try_total(batch, ENV_LSB_DJOB_NUMPROC);
    batch->n_cores = batch->n_ranks;
}

/* This host's slots by a file with "node7 4 all.q@node7 UNDEFINED" a line. */
static int slots_in_file(struct batch *batch, const char *hostname)
{
    const char *path = env_text(ENV_PE_HOSTFILE);
    struct hosts hosts = {0};
    int code = path != NULL ? hosts_read_file(&hosts, path, hostname) : 0;

    if (code != 0)
        warn(batch, "PE_HOSTFILE=%.100s cannot be read (%s) and is ignored", path,
             code == EINVAL ? "no plain file" : strerror(code));
    else if (path != NULL && hosts.n_here == 0)
        warn_elsewhere(batch, ENV_PE_HOSTFILE, hostname);
    return hosts.n_here <= MAX_COUNT ? hosts.n_here : 0;
}

static void read_grid_engine(struct batch *batch, const char *hostname)
{
    batch->n_nodes = number(batch, ENV_NHOSTS, MAX_HOSTS);
    if (batch->n_nodes == 0)
        batch->n_nodes = 1;
    try_total(batch, ENV_NSLOTS);
    if (batch->n_nodes > 1)
        keep(batch, slots_in_file(batch, hostname), ENV_PE_HOSTFILE);
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

static void read_starter(struct batch *batch)
{
    struct foreign foreign;

    foreign_read_any(&foreign);
    if (foreign.launcher == NULL)
        return;
    batch->starter = foreign.launcher;
    batch->n_starts = foreign.size;
    batch->start = foreign.rank;
}

void batch_read(struct batch *batch, const char *hostname)
{
    *batch = (struct batch){.n_nodes = 1, .n_starts = 1};
    read_starter(batch);
    for (size_t i = 0; i < COUNT_OF(systems); i++) {
        const char *marker = env_text(systems[i].marker);

        if (marker == NULL || marker[0] == '\0')
            continue;
        batch->system = systems[i].system;
        systems[i].read(batch, hostname);
        break;
    }
    if (batch->n_starts > 1 && batch->n_ranks > 0)
        take_share(batch);
}
