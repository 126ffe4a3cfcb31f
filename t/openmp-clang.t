#!/bin/sh
# Programs of clang's OpenMP: what t/api-openmp.t checks with the compiler's own, and under the launcher.
. "${srcdir:-.}/t/tap.sh"

compile() {
    clang -fopenmp -std=gnu11 -D_GNU_SOURCE -O1 -I"$tap_source/include" -I"$tap_source/t" "$@" -L"$library" \
        -lsharedmem -Wl,-rpath,"$library"
}

works() {
    printf '#include <omp.h>\nint main(void) { return omp_get_max_threads() < 1; }\n' >"$tap_temp/try.c"
    clang -fopenmp "$tap_temp/try.c" -o "$tap_temp/try" 2>/dev/null && "$tap_temp/try"
}

begin 240
library=$tap_build/.libs
[ -e "$library/libsharedmem.so" ] || skip_all "the library is not built here"
[ -z "${SANITIZER_CFLAGS-}" ] || skip_all "clang's programs cannot use a library with gcc's sanitizers"
works || skip_all "no clang with OpenMP: install clang and libomp-dev (Debian, Ubuntu) or libomp-devel (Fedora)"

ok "a program compiles" compile "$tap_source/t/api-openmp.c" "$tap_source/t/tap.c" -o "$tap_temp/program"
"$tap_temp/program" >"$tap_temp/out" 2>"$tap_temp/err"
is 0 $? "it passes all of its checks" || tap_explain "$(cat "$tap_temp/err")"
ok "which are many" test "$(grep -c '^ok' "$tap_temp/out")" -gt 30
has libomp "$(ldd "$tap_temp/program")" "it is libomp that was tried"
if [ -x "$tap_build/smrrun" ]; then
    ok "two ranks" "$tap_build/smrrun" -n 2 "$tap_temp/program" rank
    ok "three ranks with two threads each, checked" env SHAREDMEM_CHECK=1 \
        "$tap_build/smrrun" -q -n 3 -t 2 "$tap_temp/program" rank
    ok "two ranks with a thread each" "$tap_build/smrrun" -n 2 -t 1 "$tap_temp/program" rank
fi
is "" "$(left_behind)" "nothing is left"
finish
