/*
 * OpenMP runtimes that are loaded as plug-ins, without this program knowing of OpenMP: found, counted, and made
 * ready for forks.
 */
#include "host/openmp.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tap.h"

/* A runtime, by the functions that compilers call; libomp has gcc's too. */
struct api {
    void (*parallel)(void (*body)(void *), void *argument, unsigned n_threads, unsigned flags);
    int (*get_max_threads)(void);
    void (*set_num_threads)(int n);
};

static bool load(const char *name, struct api *api)
{
    void *object = dlopen(name, RTLD_NOW | RTLD_LOCAL);

    if (object == NULL)
        return false;
    api->parallel = (void (*)(void (*)(void *), void *, unsigned, unsigned))dlsym(object, "GOMP_parallel");
    api->get_max_threads = (int (*)(void))dlsym(object, "omp_get_max_threads");
    api->set_num_threads = (void (*)(int))dlsym(object, "omp_set_num_threads");
    return api->parallel != NULL && api->get_max_threads != NULL && api->set_num_threads != NULL;
}

static int count_threads(void)
{
    DIR *tasks = opendir("/proc/self/task");
    int n = 0;

    if (tasks == NULL)
        return -1;
    for (struct dirent *task = readdir(tasks); task != NULL; task = readdir(tasks))
        n += task->d_name[0] != '.';
    closedir(tasks);
    return n;
}

/* A thread that was joined may still be listed for a moment. Where it never goes, the time limit does. */
static bool wait_alone(void)
{
    while (count_threads() > 1)
        sched_yield();
    return count_threads() == 1;
}

static void count(void *argument)
{
    __atomic_fetch_add((int *)argument, 1, __ATOMIC_RELAXED);
}

static int region(const struct api *api, unsigned n)
{
    int threads = 0;

    api->parallel(count, &threads, n, 0);
    return threads;
}

/* Whether a region of three threads in a forked child has them, and ends. A hang is a failure. */
static bool forked_region(const struct api *api)
{
    int status;
    pid_t child = fork();

    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm(20);
        _exit(region(api, 3) == 3 ? 0 : 1);
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* ---- In a region ---- */

struct refusal {
    int n_refused, n_bad;
    sharedmem_error error;
};

static void fork_in_region(void *argument)
{
    struct refusal *refusal = argument;
    sharedmem_error error;

    if (openmp_before_fork("map", &error) != -1) {
        __atomic_fetch_add(&refusal->n_bad, 1, __ATOMIC_RELAXED);
        return;
    }
    __atomic_fetch_add(&refusal->n_bad, errno != EPERM, __ATOMIC_RELAXED);
    if (__atomic_fetch_add(&refusal->n_refused, 1, __ATOMIC_RELAXED) == 0)
        refusal->error = error;
}

static void test_regions(const struct api *api)
{
    struct refusal refusal = {.n_refused = 0};

    api->parallel(fork_in_region, &refusal, 2, 0);
    test_ok(refusal.n_refused == 2 && refusal.n_bad == 0, "in a region both threads are refused");
    test_int(SHAREDMEM_ERROR_USAGE, refusal.error.kind, "the error's kind");
    test_int(EPERM, refusal.error.code, "its code");
    test_has("map: called inside an OpenMP parallel region", refusal.error.message, "its message");
    test_has("before or after the region", refusal.error.message, "which names what to do");

    refusal = (struct refusal){.n_refused = 0};
    api->parallel(fork_in_region, &refusal, 1, 0);
    test_int(1, refusal.n_bad, "a region of one thread may fork");
}

/* ---- Outside ---- */

static void test_forks(const struct api *api, bool is_paused)
{
    for (int i = 0; i < 20; i++) {
        bool good = region(api, 3) == 3 && openmp_before_fork("map", NULL) == 0 &&
                    (!is_paused || wait_alone()) && forked_region(api);

        if (!good || i == 19)
            test_ok(good, "regions and forks in turn, %d times", i + 1);
        if (!good)
            return;
    }
    test_int(3, region(api, 3), "and the caller has its regions");
}

static void test_threads(const struct api *api)
{
    struct openmp_threads before, none = {{0}};

    api->set_num_threads(6);
    test_int(4, openmp_share(4), "a share of 4 cores, of one that asks for 6 threads");
    test_int(6, openmp_share(8), "nobody gets more threads than it asks for");
    before = openmp_set_threads(2);
    test_int(2, api->get_max_threads(), "the number is set");
    test_int(2, region(api, 0), "and regions have it");
    openmp_restore_threads(&before);
    test_int(6, api->get_max_threads(), "and given back");
    before = openmp_set_threads(0);
    test_ok(memcmp(&before, &none, sizeof none) == 0 && api->get_max_threads() == 6, "0 leaves it");
    openmp_restore_threads(&before);
    test_int(6, api->get_max_threads(), "and so does giving nothing back");
}

static void test_runtime(const char *name, bool is_paused)
{
    struct api api;

    test_note("%s", name);
    if (!load(name, &api)) {
        test_skip("no %s here", name);
        return;
    }
    test_int(0, openmp_before_fork("map", NULL), "a fork");
    test_ok(openmp_is_loaded(), "finds it, though it is a plug-in's own");
    if (test_thread_sanitized() || test_under_valgrind()) {
        test_skip("its threads are not known here");
        return;
    }
    test_threads(&api);
    /* The next runtime's test asks for less. */
    api.set_num_threads(64);
    test_forks(&api, is_paused);
    test_regions(&api);
    test_forks(&api, is_paused);
}

int main(void)
{
    test_begin(120);
    test_int(0, openmp_before_fork("map", NULL), "without OpenMP a fork is fine");
    test_ok(!openmp_is_loaded(), "nothing is found");
    test_int(0, openmp_share(4), "nobody gets threads");
    test_runtime("libgomp.so.1", true);
    /* One more, in the same program. LeakSanitizer crashes on libomp's threads, at the end. */
    if (test_address_sanitized())
        test_skip("libomp is not for the address sanitizer");
    else
        test_runtime("libomp.so.5", false);
    return test_end();
}
