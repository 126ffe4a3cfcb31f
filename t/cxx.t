#!/bin/sh
# From C++: exceptions that leave the functions given to a call harm neither the call nor the program, and regions end.
. "${srcdir:-.}/t/tap.sh"

begin 60
compiler=${CXX-c++}
command -v ${compiler%% *} >/dev/null 2>&1 || skip_all "no C++ compiler here"
library=$tap_build/.libs
[ -e "$library/libsharedmem.so" ] || skip_all "the library is not built here"

cat >"$tap_temp/cxx.cc" <<'END'
#include <sharedmem.h>

#include <cstdio>
#include <cstring>
#include <stdexcept>

static int throw_at_3(size_t i, void *, void *)
{
    SHAREDMEM_CRITICAL
    {
        if (i == 3)
            throw std::runtime_error("three");
    }
    return 0;
}

static int do_nothing(size_t, void *, void *)
{
    return 0;
}

static int throw_in_body(size_t rank, void *, void *context)
{
    if (rank == *static_cast<size_t *>(context))
        throw std::runtime_error("rank");
    return sharedmem_barrier() == 0 ? 0 : 1;
}

/* Each rank leaves the team that it was in. */
static int throw_in_team(size_t rank, void *, void *)
{
    sharedmem_team *team = sharedmem_team_split(rank == 0 ? 0 : 1, 0);
    int size = 0;

    try {
        SHAREDMEM_TEAM (team) {
            size = sharedmem_size();
            throw std::runtime_error("team");
        }
    } catch (const std::exception &e) {
        if (rank == 1)
            std::printf("%s: of %d, behind it of %d\n", e.what(), size, sharedmem_size());
    }
    sharedmem_team_free(team);
    return sharedmem_barrier() == 0 ? 0 : 1;
}

static sharedmem_error error;

static sharedmem_map_options options(sharedmem_function *work, sharedmem_function *reduce, int backend)
{
    sharedmem_map_options o;

    std::memset(&o, 0, sizeof o);
    o.n = 10;
    o.work = work;
    o.reduce = reduce;
    o.np = 2;
    o.backend = backend;
    o.error = &error;
    return o;
}

static void map(const char *what, sharedmem_function *work, sharedmem_function *reduce, int backend)
{
    sharedmem_map_options o = options(work, reduce, backend);

    try {
        int result = sharedmem_map_with(&o, sizeof o);

        std::printf("%s: %d %d %d\n", what, result, error.kind, error.code);
    } catch (const std::exception &e) {
        std::printf("%s: caught %s\n", what, e.what());
    }
}

static void parallel(const char *what, int np, size_t bad_rank)
{
    sharedmem_parallel_options o;

    std::memset(&o, 0, sizeof o);
    o.np = np;
    o.body = throw_in_body;
    o.context = &bad_rank;
    o.error = &error;
    try {
        int result = sharedmem_parallel_with(&o, sizeof o);

        std::printf("%s: %d %d %d\n", what, result, error.kind, error.code);
    } catch (const std::exception &e) {
        std::printf("%s: caught %s\n", what, e.what());
    }
}

static int throw_at_1000(size_t i, void *result, void *)
{
    *static_cast<double *>(result) = static_cast<double>(i);
    if (i == 1000)
        throw std::runtime_error("thousand");
    return 1;
}

static void arrays()
{
    const int64_t shape[] = {3, 4}, flat[] = {-1}, index[] = {2, 1}, of_odd[] = {1, 2};
    sharedmem_array a = sharedmem_fromiter(SHAREDMEM_FLOAT64, throw_at_1000, nullptr, 12), matrix, odd;
    double sum = 0;

    matrix = sharedmem_reshape(a, 2, shape);
    odd = sharedmem_slice(sharedmem_transpose(matrix, nullptr), 0, 1, SHAREDMEM_END, 2);
    std::printf("element: %g\n", *static_cast<double *>(sharedmem_element(odd, of_odd)));
    std::printf("matrix: %g\n", *static_cast<double *>(sharedmem_element(matrix, index)));
    sharedmem_copy_into(odd, sharedmem_index(sharedmem_reshape(a, 1, flat), 0, -1));
    sharedmem_sum(a, &sum);
    std::printf("sum: %g\n", sum);
    sharedmem_free(a.data);
    a = sharedmem_team_full(SHAREDMEM_FLOAT64, 2, shape, &sum);
    std::printf("full: %d\n", static_cast<double *>(a.data)[11] == sum);
    sharedmem_free(a.data);
    /* What had been made is freed: of all of them the heap would be full. */
    for (int k = 0; k < 5000; k++) {
        try {
            sharedmem_fromiter(SHAREDMEM_FLOAT64, throw_at_1000, nullptr, -1);
        } catch (const std::exception &e) {
            if (k == 4999)
                std::printf("next: caught %s\n", e.what());
        }
    }
}

int main()
{
    arrays();
    map("work", throw_at_3, nullptr, SHAREDMEM_PROCESSES);
    map("reduce", do_nothing, throw_at_3, SHAREDMEM_PROCESSES);
    map("serial", throw_at_3, nullptr, SHAREDMEM_SERIAL);
    parallel("rank 1", 3, 1);
    parallel("rank 0", 3, 0);
    parallel("alone", 1, 0);
    sharedmem_parallel_options teams = {};
    teams.np = 3;
    teams.body = throw_in_team;
    std::printf("teams: %d\n", sharedmem_parallel_with(&teams, sizeof teams));
    map("after", do_nothing, nullptr, SHAREDMEM_PROCESSES);
    std::printf("rank %d of %d, heap %d\n", sharedmem_rank(), sharedmem_size(), sharedmem_heap_check(nullptr));
    std::fflush(stdout);
    return 0;
}
END

# shellcheck disable=SC2086 # a compiler and its flags are several words
$compiler ${SANITIZER_CFLAGS-} -std=c++17 -I"$tap_source/include" "$tap_temp/cxx.cc" -o "$tap_temp/cxx" -L"$library" \
    -lsharedmem -Wl,-rpath,"$library" 2>"$tap_temp/errors"
ok "a program in C++ compiles" [ $? -eq 0 ]
SHAREDMEM_HEAP=64M "$tap_temp/cxx" >"$tap_temp/out" 2>"$tap_temp/err"
ok "runs to its end" [ $? -eq 0 ]
line() {
    sed -n "s/^$1: //p" "$tap_temp/out"
}
is 11 "$(line element)" "an element of a view of views"
is 9 "$(line matrix)" "and of a matrix"
is "$(((0 + 2 + 4 + 6 + 8 + 10) + 6 * 11))" "$(line sum)" "what was copied into the view is in the array"
is 1 "$(line full)" "an array of the team, alone"
is "caught thousand" "$(line next)" "an exception out of next is the caller's"
is "-1 4 6" "$(line work)" "an exception out of work fails the item by SIGABRT"
is "caught three" "$(line reduce)" "one out of reduce is the caller's"
is "caught three" "$(line serial)" "and so is one out of work in SERIAL"
is "-1 4 6" "$(line 'rank 1')" "one out of a forked rank fails the rank"
is "caught rank" "$(line 'rank 0')" "one out of rank 0 is the caller's"
is "caught rank" "$(line alone)" "also where it is alone"
is "of 2, behind it of 3" "$(line team)" "an exception leaves the team that it was thrown in"
is 0 "$(line teams)" "and the rank goes on"
is "0 0 0" "$(line after)" "the next map is right"
is "rank 0 of 1, heap 0" "$(grep ^rank.0.of "$tap_temp/out")" "the thread works for no team any more, the heap is whole"
finish
