#!/bin/sh
# The public header stands alone, in C and in C++, without a warning; its structs hold no padding.
. "${srcdir:-.}/t/tap.sh"

strict="-pedantic -Wall -Wextra -Werror"

# compiles COMPILER LANGUAGE FOLDER FLAG...: the program on stdin compiles with the header in FOLDER.
compiles() {
    compiler=$1 language=$2 folder=$3
    shift 3
    $compiler "$@" -I"$folder" -x "$language" -c -o /dev/null -
}

header_compiles() {
    echo '#include "sharedmem.h"' | compiles "$@"
}

# A compiler lays out, and warns of, only what is used: this uses every type of the header.
layout_has_no_padding() {
    {
        echo '#include "sharedmem.h"'
        sed -n 's/^} \(sharedmem_[a-z0-9_]*\);.*/extern char size_of_\1[sizeof(\1)];/p' "$2/sharedmem.h"
    } | compiles "$1" c "$2" -std=c11 -Wpadded -Werror
}

macros_compile() {
    compiles "$1" c "$2" -std=c11 $strict <<'END'
#include <sharedmem.h>

static int work(size_t i, void *result, void *context)
{
    if (context == NULL)
        return sharedmem_fail(1, "item %zu has no context", i);
    *(double *)result = (double)i;
    return 0;
}

static int add(size_t i, void *result, void *context)
{
    (void)i;
    *(double *)context += *(double *)result;
    return 0;
}

static void larger(void *into, const void *from, void *context)
{
    (void)context;
    if (*(const double *)from > *(double *)into)
        *(double *)into = *(const double *)from;
}

static double loop_over(size_t n)
{
    double sum = 0;
    sharedmem_loop loop;
    size_t begin, end;

    SHAREDMEM_FOR (i, n)
        sum += (double)i;
    SHAREDMEM_FOR (i, n, .schedule = SHAREDMEM_DYNAMIC, .chunk = 16) {
        SHAREDMEM_ORDERED
            sum += (double)i;
        if (i == 7)
            break;
    }
    sharedmem_loop_begin(&loop, n, .schedule = SHAREDMEM_STATIC);
    while (sharedmem_loop_next_chunk(&loop, &begin, &end))
        sum += (double)(end - begin);
    return sharedmem_all(&sum, sizeof sum, larger, NULL) == 0 ? sum : 0;
}

static sharedmem_array array_of(double value)
{
    sharedmem_array a = sharedmem_team_empty(SHAREDMEM_FLOAT64, 2, (int64_t[]){3, 4});

    sharedmem_free(a.data);
    a = sharedmem_team_full(SHAREDMEM_FLOAT64, 2, (int64_t[]){3, 4}, &value);
    return sharedmem_slice(a, 0, SHAREDMEM_END, SHAREDMEM_END, -1);
}

int main(void)
{
    double sum = loop_over(8) + *(double *)sharedmem_element(array_of(1), (int64_t[]){2, 3}), results[4];
    sharedmem_error error;
    int status = sharedmem_map(4, work, &sum);

    status |= sharedmem_map(4, work, &sum, results, sizeof *results);
    status |= sharedmem_map(4, work, &sum, .np = 2, .results = results, .result_size = sizeof *results);
    return status | sharedmem_map(4, work, &sum, .result_size = sizeof sum, .reduce = add, .error = &error,
                                  .schedule = SHAREDMEM_STATIC, .backend = SHAREDMEM_SERIAL);
}
END
}

# A header to see that each check can fail: $2 is put before its first struct.
plant() {
    mkdir -p "$tap_temp/$1"
    awk -v extra="$2" '/^typedef struct/ && !done { print extra; done = 1 } { print }' \
        "$tap_source/include/sharedmem.h" >"$tap_temp/$1/sharedmem.h"
}

check_c() {
    ok "$1: the header alone" header_compiles "$1" c "$include" -std=c11 $strict
    ok "$1: the macros, in a program without a warning" macros_compile "$1" "$include"
    ok "$1: no struct has padding" layout_has_no_padding "$1" "$include"
    ok "$1: padding would be found" not layout_has_no_padding "$1" "$tap_temp/padded"
    ok "$1: a header that lacks an include would be found" \
        not header_compiles "$1" c "$tap_temp/lacking" -std=c11 $strict
    ok "$1: a function without a prototype would be found" \
        not header_compiles "$1" c "$tap_temp/unprototyped" -std=c11 $strict -Wstrict-prototypes
}

check_cxx() {
    ok "$1: the header alone, as C++17" header_compiles "$1" c++ "$include" -std=c++17 $strict
    ok "$1: a word of C++ as a name would be found" \
        not header_compiles "$1" c++ "$tap_temp/keyword" -std=c++17 $strict
}

works() {
    echo 'int main(void) { return 0; }' | $1 -x "$2" -c -o /dev/null - 2>/dev/null
}

begin 120
include=$tap_source/include
plant padded 'typedef struct sharedmem_planted { char c; int32_t i;
} sharedmem_planted;'
plant lacking 'extern FILE *sharedmem_file;'
plant unprototyped 'void sharedmem_planted();'
plant keyword 'void sharedmem_planted(int class);'

check_c "${CC:-cc}"
if works clang c && ! ${CC:-cc} --version | grep -q clang; then
    check_c clang
fi
if works "${CXX-c++}" c++; then
    check_cxx "${CXX-c++}"
else
    skip "no C++ compiler"
fi
finish
