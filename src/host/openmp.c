#include "host/openmp.h"

#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/each_fork.h"
#include "base/error.h"
#include "base/log.h"
#include "base/slow.h"
#include "host/modules.h"

#define PAUSE_HARD 2 /* omp_pause_hard, of omp.h */

/* What is called of a runtime. It stays loaded from when it was found on. */
struct runtime {
    void (*set_num_threads)(int n); /* tells one from another; NULL: there is none */
    int (*get_max_threads)(void);
    int (*in_parallel)(void);
    int (*get_proc_bind)(void);  /* NULL: older than OpenMP 4.0 */
    int (*get_num_places)(void); /* NULL: older than OpenMP 4.5 */
    int (*pause)(int kind);      /* NULL: must not be paused, or cannot */
    bool is_libomp;
};

/*
 * Those found, in the first n of list; they are never changed any more. n_loads: how many objects had ever
 * been loaded when all of them were looked at. Each is stored with release after what it tells of, list and
 * n, and read with acquire.
 */
static struct {
    _Atomic unsigned long long n_loads;
    _Atomic int n;
    struct runtime list[OPENMP_MAX];
} found;

static int count_found(void)
{
    return atomic_load_explicit(&found.n, memory_order_acquire);
}

/* ---- Finding them ---- */

static void *symbol(void *object, const char *name)
{
    return object != NULL ? dlsym(object, name) : NULL;
}

/* The runtime whose omp_set_num_threads() is at set_num_threads. */
static struct runtime runtime_of(void *object, void *set_num_threads)
{
    bool is_libgomp = symbol(object, "GOMP_parallel") != NULL && symbol(object, "__kmpc_fork_call") == NULL;

    return (struct runtime){
        .set_num_threads = (void (*)(int))set_num_threads,
        .get_max_threads = (int (*)(void))symbol(object, "omp_get_max_threads"),
        .in_parallel = (int (*)(void))symbol(object, "omp_in_parallel"),
        .get_proc_bind = (int (*)(void))symbol(object, "omp_get_proc_bind"),
        .get_num_places = (int (*)(void))symbol(object, "omp_get_num_places"),
        .is_libomp = symbol(object, "__kmpc_fork_call") != NULL,
        .pause = is_libgomp ? (int (*)(int))symbol(object, "omp_pause_resource_all") : NULL,
    };
}

static void keep(const struct runtime *runtime)
{
    int n;

    if (runtime->get_max_threads == NULL || runtime->in_parallel == NULL)
        return;
    slow_lock();
    for (n = 0; n < count_found(); n++) {
        if (found.list[n].set_num_threads == runtime->set_num_threads)
            break;
    }
    if (n == count_found() && n < OPENMP_MAX) {
        found.list[n] = *runtime;
        atomic_store_explicit(&found.n, n + 1, memory_order_release);
    }
    slow_unlock();
}

/* NULL where it is not loaded any more. "" is the program. */
static void *open_loaded(const char *name, int flags)
{
    return dlopen(name[0] != '\0' ? name : NULL, RTLD_LAZY | RTLD_NOLOAD | flags);
}

/*
 * Takes the runtime that the object called name is, or was linked with. The symbol may be another object's,
 * in which the rest has to be looked for: there may be two runtimes.
 */
static void look_at(const char *name)
{
    void *object = open_loaded(name, 0);
    void *set_num_threads = symbol(object, "omp_set_num_threads");
    void *owner = NULL;
    struct runtime runtime;
    Dl_info info;

    if (set_num_threads != NULL) {
        if (dladdr(set_num_threads, &info) != 0)
            owner = open_loaded(info.dli_fname, RTLD_NODELETE);
        runtime = runtime_of(owner != NULL ? owner : object, set_num_threads);
        keep(&runtime);
    }
    if (owner != NULL)
        dlclose(owner);
    if (object != NULL)
        dlclose(object);
}

/* The names of all objects, one behind the other, each with its 0. */
struct names {
    char *text;
    size_t bytes;
    unsigned long long n_loads;
    bool is_cut; /* there was no memory for all */
};

/* The loader's lock is held: an object can be opened only later, when another thread's dlopen() is over. */
static int add_name(struct dl_phdr_info *object, size_t size, void *argument)
{
    struct names *names = argument;
    size_t bytes = strlen(object->dlpi_name) + 1;
    char *text = realloc(names->text, names->bytes + bytes);

    (void)size;
    names->n_loads = object->dlpi_adds;
    names->is_cut = text == NULL;
    if (text == NULL)
        return 1;
    names->text = text;
    memcpy(text + names->bytes, object->dlpi_name, bytes);
    names->bytes += bytes;
    return 0;
}

/* Looks for runtimes where something was loaded since the last look. */
static void look(void)
{
    struct names names = {.text = NULL};
    int saved_errno = errno;

    if (modules_loaded() == atomic_load_explicit(&found.n_loads, memory_order_acquire))
        return;
    dl_iterate_phdr(add_name, &names);
    for (size_t at = 0; at < names.bytes; at += strlen(names.text + at) + 1)
        look_at(names.text + at);
    free(names.text);
    /* What was not there is an error for dlerror(); the program shall not read it for its own. */
    dlerror();
    if (!names.is_cut)
        atomic_store_explicit(&found.n_loads, names.n_loads, memory_order_release);
    errno = saved_errno;
}

/* ---- Using them ---- */

bool openmp_is_loaded(void)
{
    look();
    return count_found() > 0;
}

void openmp_clear_after(pid_t pid)
{
    int saved_errno = errno;
    char path[64];

    for (int i = 0; i < count_found(); i++) {
        if (!found.list[i].is_libomp)
            continue;
        snprintf(path, sizeof path, "/dev/shm/__KMP_REGISTERED_LIB_%d_%u", (int)pid, (unsigned)getuid());
        unlink(path);
        break;
    }
    errno = saved_errno;
}

/* libgomp does that to a program's first thread before main(), libomp at the first use. */
static void warn_of_places(const struct runtime *runtime)
{
    static atomic_bool warned;

    if (runtime->get_proc_bind == NULL || runtime->get_num_places == NULL || runtime->get_proc_bind() == 0 ||
        runtime->get_num_places() < 2)
        return;
    /* Relaxed: who sees it set only stays silent. */
    if (!atomic_exchange_explicit(&warned, true, memory_order_relaxed))
        log_warn("OMP_PROC_BIND or OMP_PLACES binds this thread, and so all workers, to one of %d places; "
                 "unset both: workers are pinned without",
                 runtime->get_num_places());
}

int openmp_before_fork(const char *call, sharedmem_error *error)
{
    look();
    for (int i = 0; i < count_found(); i++) {
        const struct runtime *runtime = &found.list[i];

        if (runtime->in_parallel() != 0)
            return error_set(error, SHAREDMEM_ERROR_USAGE, EPERM,
                             "%s: called inside an OpenMP parallel region, where no worker can be forked; "
                             "call it before or after the region",
                             call);
        warn_of_places(runtime);
        /* In a region of one thread libgomp refuses, and forks do no harm: what is nested uses no pool. */
        if (runtime->pause != NULL)
            runtime->pause(PAUSE_HARD);
    }
    return 0;
}

int openmp_share(int cores)
{
    int n = count_found(), share = n > 0 ? cores : 0;

    for (int i = 0; i < n; i++) {
        int own = found.list[i].get_max_threads();

        if (own < share)
            share = own;
    }
    return share;
}

EACH_FORK struct openmp_threads openmp_set_threads(int n)
{
    struct openmp_threads before = {{0}};

    for (int i = 0; n > 0 && i < count_found(); i++) {
        before.of[i] = found.list[i].get_max_threads();
        found.list[i].set_num_threads(n);
    }
    return before;
}

void openmp_restore_threads(const struct openmp_threads *before)
{
    for (int i = 0; i < OPENMP_MAX; i++) {
        if (before->of[i] <= 0)
            continue;
        found.list[i].set_num_threads(before->of[i]);
        if (found.list[i].pause != NULL)
            found.list[i].pause(PAUSE_HARD);
    }
}
