#include "base/env.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <unistd.h>

#include "base/log.h"
#include "base/parse.h"

static const struct {
    const char *name;
    const char *purpose;
} variables[ENV_COUNT] = {
    [ENV_NP] = {"SHAREDMEM_NP", "how many workers a map starts by default"},
    [ENV_OMP_NUM_THREADS] = {"OMP_NUM_THREADS", "the same, where SHAREDMEM_NP is not set"},
    [ENV_PBS_NUM_PPN] = {"PBS_NUM_PPN", "the same, set by Torque, where neither of those is"},
    [ENV_HEAP] = {"SHAREDMEM_HEAP", "size of the shared heap: 512M, 16G"},
    [ENV_HEAP_CHECK] = {"SHAREDMEM_HEAP_CHECK",
                        "1: the shared heap finds overruns and double frees, and who did them; slow"},
    [ENV_CHECK] = {"SHAREDMEM_CHECK",
                   "1: finds collectives that differ between ranks, and locks in different orders; slow"},
    [ENV_BIND] = {"SHAREDMEM_BIND",
                  "share (the default): workers are pinned to equal shares of cores; none: not"},
    [ENV_MEM] = {"SHAREDMEM_MEM",
                 "local (the default): pages lie near who touches them first; interleave: on all nodes"},
    [ENV_DEBUG] = {"SHAREDMEM_DEBUG", "1: maps and parallel calls run in the caller, without workers"},
    [ENV_PROGRESS] = {"SHAREDMEM_PROGRESS", "1: maps show how far they are, on stderr"},
    [ENV_JOB] = {"SHAREDMEM_JOB", "where the ranks of a job find its segment; set by the launcher"},
    [ENV_RANK] = {"SHAREDMEM_RANK", "this rank of the job; set by the launcher"},
    [ENV_SIZE] = {"SHAREDMEM_SIZE", "how many ranks the job has; set by the launcher"},
    [ENV_OPTS] = {"SHAREDMEM_OPTS", "options that smrrun reads before those on its command line"},
    [ENV_LD_PRELOAD] = {"LD_PRELOAD", "not ours; tells whether the program runs under valgrind"},
    [ENV_COLUMNS] = {"COLUMNS", "not ours; the width of a terminal that does not know it"},
    [ENV_GDB] = {"SHAREDMEM_GDB", "the debugger of smrrun --gdb, with options: cuda-gdb; else gdb"},
    [ENV_PATH] = {"PATH", "where the launcher looks for programs"},
    [ENV_PYTHONUNBUFFERED] = {"PYTHONUNBUFFERED", "not ours; the launcher sets it for ranks where it is not"},
    [ENV_PBS_JOBID] = {"PBS_JOBID", "this is a job of Torque or PBS Pro"},
    [ENV_PBS_NODEFILE] = {"PBS_NODEFILE", "a file with a line for each slot, the name of its host"},
    [ENV_PBS_NP] = {"PBS_NP", "slots on all hosts"},
    [ENV_PBS_NUM_NODES] = {"PBS_NUM_NODES", "hosts of the job"},
    [ENV_PBS_TASKNUM] = {"PBS_TASKNUM", "which task of the job; 1 is its script"},
    [ENV_PBS_NODENUM] = {"PBS_NODENUM", "which of its hosts this is, from 0"},
    [ENV_PBS_O_WORKDIR] = {"PBS_O_WORKDIR", "the folder in which the job was submitted"},
    [ENV_NCPUS] = {"NCPUS", "PBS Pro: processors of the first part of the job"},
    [ENV_SLURM_JOB_ID] = {"SLURM_JOB_ID", "this is a job of Slurm"},
    [ENV_SLURM_NNODES] = {"SLURM_NNODES", "hosts of the job or job step"},
    [ENV_SLURM_JOB_NUM_NODES] = {"SLURM_JOB_NUM_NODES", "hosts of the job"},
    [ENV_SLURM_NODEID] = {"SLURM_NODEID", "which of its hosts this is, from 0"},
    [ENV_SLURM_TASKS_PER_NODE] = {"SLURM_TASKS_PER_NODE", "tasks on each host: 2(x3),1"},
    [ENV_SLURM_NTASKS] = {"SLURM_NTASKS", "tasks on all hosts"},
    [ENV_SLURM_NPROCS] = {"SLURM_NPROCS", "the same, as it was called before"},
    [ENV_SLURM_CPUS_ON_NODE] = {"SLURM_CPUS_ON_NODE", "processors granted on this host"},
    [ENV_SLURM_JOB_CPUS_PER_NODE] = {"SLURM_JOB_CPUS_PER_NODE", "processors granted on each host: 16(x2)"},
    [ENV_SLURM_CPUS_PER_TASK] = {"SLURM_CPUS_PER_TASK", "processors that each task asked for"},
    [ENV_SLURM_STEP_ID] = {"SLURM_STEP_ID", "srun: which step of the job"},
    [ENV_SLURM_LOCALID] = {"SLURM_LOCALID", "srun: which task of this host, from 0"},
    [ENV_SLURM_STEP_TASKS_PER_NODE] = {"SLURM_STEP_TASKS_PER_NODE", "srun: tasks on each host: 2(x3),1"},
    [ENV_SLURM_GTIDS] = {"SLURM_GTIDS", "the tasks of this host: 0,1,2"},
    [ENV_SLURM_HET_SIZE] = {"SLURM_HET_SIZE", "parts of a heterogeneous job"},
    [ENV_SLURMD_NODENAME] = {"SLURMD_NODENAME", "Slurm's name of the host it has started this on"},
    [ENV_SLURM_JOB_NODELIST] = {"SLURM_JOB_NODELIST", "hosts of the job: node[1-3,7]"},
    [ENV_MPI_LOCALRANKID] = {"MPI_LOCALRANKID", "MPICH's mpiexec: which rank of this host, from 0"},
    [ENV_MPI_LOCALNRANKS] = {"MPI_LOCALNRANKS", "MPICH's mpiexec: ranks on this host"},
    [ENV_OMPI_LOCAL_RANK] = {"OMPI_COMM_WORLD_LOCAL_RANK", "Open MPI: which rank of this host, from 0"},
    [ENV_OMPI_LOCAL_SIZE] = {"OMPI_COMM_WORLD_LOCAL_SIZE", "Open MPI: ranks on this host"},
    [ENV_PMIX_NAMESPACE] = {"PMIX_NAMESPACE", "Open MPI: which job"},
    [ENV_FLUX_JOB_ID] = {"FLUX_JOB_ID", "flux: which job"},
    [ENV_FLUX_TASK_LOCAL_ID] = {"FLUX_TASK_LOCAL_ID", "flux: which task of this host, from 0"},
    [ENV_FLUX_JOB_SIZE] = {"FLUX_JOB_SIZE", "flux: tasks on all hosts"},
    [ENV_FLUX_JOB_NNODES] = {"FLUX_JOB_NNODES", "flux: hosts of the job"},
    [ENV_LSB_JOBID] = {"LSB_JOBID", "this is a job of LSF"},
    [ENV_LSB_MCPU_HOSTS] = {"LSB_MCPU_HOSTS", "hosts of the job, each with its slots: a 8 b 4"},
    [ENV_LSB_DJOB_NUMPROC] = {"LSB_DJOB_NUMPROC", "slots on all hosts"},
    [ENV_SGE_TASK_ID] = {"SGE_TASK_ID", "this is a job of Grid Engine"},
    [ENV_NHOSTS] = {"NHOSTS", "hosts of the job"},
    [ENV_NSLOTS] = {"NSLOTS", "slots on all hosts"},
    [ENV_PE_HOSTFILE] = {"PE_HOSTFILE", "Grid Engine: a file with a line for each host and its slots"},
    [ENV_HWLOC_PLUGINS_PATH] = {"HWLOC_PLUGINS_PATH", "not ours; where hwloc looks for plug-ins"},
    [ENV_HWLOC_XMLFILE] = {"HWLOC_XMLFILE", "not ours; a machine in a file, for hwloc, in place of this one"},
    [ENV_HWLOC_SYNTHETIC] = {"HWLOC_SYNTHETIC", "not ours; the same as a description"},
};

static atomic_bool warned[ENV_COUNT];

bool env_is_untrusted(void)
{
    return getauxval(AT_SECURE) != 0;
}

bool env_has_valgrind(void)
{
    const char *text = env_text(ENV_LD_PRELOAD);

    return text != NULL && strstr(text, "vgpreload") != NULL;
}

const char *env_name(enum env_variable variable)
{
    return variables[variable].name;
}

const char *env_purpose(enum env_variable variable)
{
    return variables[variable].purpose;
}

const char *env_text(enum env_variable variable)
{
    return env_text_of(variables[variable].name);
}

const char *env_text_of(const char *name)
{
    return secure_getenv(name);
}

bool env_is_name(const char *text)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";

    return text[0] != '\0' && strchr("0123456789", text[0]) == NULL && strspn(text, letters) == strlen(text);
}

static enum env_result result_of(int parsed)
{
    return parsed == 0 ? ENV_GOOD : ENV_MALFORMED;
}

enum env_result env_int(enum env_variable variable, long min, long max, long *value)
{
    const char *text = env_text(variable);

    return text == NULL ? ENV_UNSET : result_of(parse_int(text, min, max, value));
}

enum env_result env_first_int(enum env_variable variable, long min, long max, long *value)
{
    const char *text = env_text(variable);
    char first[32];
    size_t length;

    if (text == NULL)
        return ENV_UNSET;
    length = strcspn(text, ",");
    if (length >= sizeof first)
        return ENV_MALFORMED;
    memcpy(first, text, length);
    first[length] = '\0';
    return result_of(parse_int(first, min, max, value));
}

enum env_result env_size(enum env_variable variable, uint64_t *value)
{
    const char *text = env_text(variable);

    return text == NULL ? ENV_UNSET : result_of(parse_size(text, value));
}

void env_warn(enum env_variable variable, const char *expected)
{
    /* Relaxed: who sees it set only stays silent. */
    if (atomic_exchange_explicit(&warned[variable], true, memory_order_relaxed))
        return;
    log_warn("%s=%.40s is not %s and is ignored", env_name(variable), env_text(variable), expected);
}

/* ---- A copy for another program ---- */

static bool is_same_variable(const char *setting, const char *other)
{
    size_t length = strcspn(setting, "=");

    return length == strcspn(other, "=") && strncmp(setting, other, length) == 0;
}

static bool is_set_by(const char *setting, const char *const *settings, int n)
{
    for (int i = 0; i < n; i++) {
        if (is_same_variable(setting, settings[i]))
            return true;
    }
    return false;
}

/* What of environ and of settings counts, into texts where that is not NULL. Returns how many. */
static size_t effective_texts(const char *const *settings, int n, const char **texts)
{
    size_t count = 0;

    for (char **text = environ; text != NULL && *text != NULL; text++) {
        if (is_set_by(*text, settings, n))
            continue;
        if (texts != NULL)
            texts[count] = *text;
        count++;
    }
    for (int i = 0; i < n; i++) {
        if (is_set_by(settings[i], settings + i + 1, n - i - 1))
            continue;
        if (texts != NULL)
            texts[count] = settings[i];
        count++;
    }
    return count;
}

static size_t bytes_of(const char *const *texts, size_t count)
{
    size_t bytes = 0;

    for (size_t i = 0; i < count; i++)
        bytes += strlen(texts[i]) + 1;
    return bytes;
}

/* The array first, its texts behind it. */
static char **copy_texts(const char *const *texts, size_t count)
{
    size_t array_bytes = (count + 1) * sizeof(char *);
    char **copy = malloc(array_bytes + bytes_of(texts, count));
    char *place;

    if (copy == NULL)
        return NULL;
    place = (char *)copy + array_bytes;
    for (size_t i = 0; i < count; i++) {
        copy[i] = place;
        place = stpcpy(place, texts[i]) + 1;
    }
    copy[count] = NULL;
    return copy;
}

void env_set(enum env_variable variable, const char *value)
{
    if (value != NULL)
        setenv(variables[variable].name, value, 1);
    else
        unsetenv(variables[variable].name);
}

char **env_copy_with(const char *const *settings, int n)
{
    size_t count = effective_texts(settings, n, NULL);
    const char **texts = malloc((count + 1) * sizeof *texts);
    char **copy = NULL;

    if (texts != NULL) {
        effective_texts(settings, n, texts);
        copy = copy_texts(texts, count);
    }
    free(texts);
    return copy;
}
