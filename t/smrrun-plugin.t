#!/bin/sh
# The library where the program itself is not linked with it: in a plug-in that is loaded by dlopen(3), let go and
# loaded again, beside libraries that want the same short room for thread-local variables; and from Python.
# A compiler and its flags are several words.
# shellcheck disable=SC2086
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60
library=$tap_build/.libs
[ -e "$library/libsharedmem.so" ] || skip_all "the library is not built here"

cat >plugin.c <<'END_OF_FILE'
#include <pthread.h>
#include <sharedmem.h>

static void *work_in_thread(void *unused)
{
    sharedmem_free(sharedmem_malloc(100));
    return unused;
}

int run(void)
{
    static pthread_t thread;
    double *u = sharedmem_team_calloc(100, sizeof *u), sum = 0;
    int size = sharedmem_size();

    if (u == NULL || pthread_create(&thread, NULL, work_in_thread, NULL) != 0)
        return 1;
    u[sharedmem_rank()] = 1;
    sharedmem_barrier();
    for (int i = 0; i < size; i++)
        sum += u[i];
    pthread_join(thread, NULL);
    return sum == size && sharedmem_all_int64(1, SHAREDMEM_SUM) == size ? 0 : 1;
}

#ifdef JOINS_WHEN_LOADED
__attribute__((constructor)) static void join(void)
{
    sharedmem_init();
}
#endif
END_OF_FILE

cat >host.c <<'END_OF_FILE'
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int failed;

/* Loads it, calls it, and lets it go. */
static void *call_once(void *file)
{
    void *plugin = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    int (*run)(void);

    if (plugin == NULL) {
        fprintf(stderr, "%s\n", dlerror());
        exit(2);
    }
    *(void **)&run = dlsym(plugin, "run");
    failed |= run() != 0 || dlclose(plugin) != 0;
    return NULL;
}

/* host WAY PLUGIN... */
int main(int argc, char **argv)
{
    pthread_t thread;
    int status;

    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[1], "thread") != 0) {
            call_once(argv[i]);
            continue;
        }
        /* A thread that has used it ends when it has been let go. */
        pthread_create(&thread, NULL, call_once, argv[i]);
        pthread_join(thread, NULL);
    }
    /* So does a fork. */
    if (fork() == 0)
        exit(0);
    wait(&status);
    return failed || status != 0;
}
END_OF_FILE

# Takes most of the room that a library loaded later can have for words of each thread.
cat >greedy.c <<'END_OF_FILE'
__attribute__((tls_model("initial-exec"))) _Thread_local char room[1200];
int run(void);
int run(void)
{
    return room[0];
}
END_OF_FILE

build() {
    ${CC:-cc} ${SANITIZER_CFLAGS-} -fPIC -I"$tap_source/include" "$@" -lpthread -ldl
}
ok "a plug-in is built" build -shared plugin.c -o plugin.so -L"$library" -lsharedmem -Wl,-rpath,"$library"
ok "one that joins when it is loaded" build -shared -DJOINS_WHEN_LOADED plugin.c -o joins.so -L"$library" \
    -lsharedmem -Wl,-rpath,"$library"
ok "one that is greedy" build -shared greedy.c -o greedy.so
ok "a program that knows nothing of the library" build host.c -o host

for plugins in "./plugin.so" "./joins.so" "./plugin.so ./plugin.so ./joins.so"; do
    for way in main thread; do
        gives 0 "$way, $plugins: alone" ./host $way $plugins
        says "" "$way, $plugins: nothing is said"
        gives 0 "$way, $plugins: three ranks" "$smrrun" -n 3 ./host $way $plugins
        says "" "$way, $plugins: three ranks, nothing is said"
    done
done
if [ -z "${SANITIZER_CFLAGS-}" ]; then
    gives 0 "behind a greedy one" "$smrrun" -n 2 ./host main ./greedy.so ./plugin.so
    says "" "behind a greedy one: nothing is said"
else
    skip "the sanitizers take room of their own"
fi

# Written so that a mistake of Python's side cannot pass for ours.
cat >program.py <<'END_OF_FILE'
import ctypes, sys

try:
    import mmap, multiprocessing, socket, sqlite3, ssl  # libraries of their own
except ImportError:
    pass
library = ctypes.CDLL(sys.argv[1])
library.sharedmem_all_double_at.restype = ctypes.c_double
library.sharedmem_all_double_at.argtypes = [ctypes.c_double, ctypes.c_int32, ctypes.c_char_p]
library.sharedmem_team_calloc_at.restype = ctypes.c_void_p
library.sharedmem_team_calloc_at.argtypes = [ctypes.c_size_t, ctypes.c_size_t, ctypes.c_char_p]
rank, size = library.sharedmem_rank(), library.sharedmem_size()
total = library.sharedmem_all_double_at(rank + 0.5, 1, b"program.py:14")
array = (ctypes.c_int64 * size).from_address(library.sharedmem_team_calloc_at(size, 8, b"program.py:15"))
array[rank] = rank
library.sharedmem_barrier_at(b"program.py:17")
good = total == size * size / 2 and list(array) == list(range(size))
sys.exit(0 if good else 1)
END_OF_FILE

if [ -n "${SANITIZER_CFLAGS-}" ]; then
    skip "Python cannot load a library with sanitizers"
elif ! command -v python3 >/dev/null || ! python3 -c 'import ctypes' 2>/dev/null; then
    skip "no python3 with ctypes"
else
    gives 0 "Python alone" python3 program.py "$library/libsharedmem.so"
    for check in 0 1; do
        gives 0 "Python, three ranks, SHAREDMEM_CHECK=$check" env SHAREDMEM_CHECK=$check \
            "$smrrun" -n 3 python3 program.py "$library/libsharedmem.so"
        says "" "Python, SHAREDMEM_CHECK=$check: nothing is said"
    done
fi
none_left "nothing is left"
finish
