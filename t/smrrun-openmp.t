#!/bin/sh
# Ranks that use OpenMP, and whose maps and their workers do.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 120
program=$tap_build/t/api-openmp.t
[ -x "$program" ] || skip_all "the compiler has no OpenMP, or t/api-openmp.t is not built"
case ${SANITIZER_CFLAGS-} in
*thread*) skip_all "the thread sanitizer does not know how OpenMP's threads wait for each other" ;;
esac
gives 0 "two ranks" "$smrrun" -n 2 "$program" rank
says "" "two ranks: nothing is said"
gives 0 "four ranks with two threads each" env OMP_NUM_THREADS=2 "$smrrun" -q -n 4 "$program" rank
says "" "four ranks: nothing is said"
gives 0 "three ranks with two threads each, checked" env SHAREDMEM_CHECK=1 "$smrrun" -q -n 3 -t 2 "$program" rank
says "" "checked: nothing is said"
gives 0 "a program that OpenMP binds" env OMP_PROC_BIND=true "$program" rank
if [ "$(nproc)" -gt 1 ]; then
    says '^sharedmem: OMP_PROC_BIND .*unset both' "and is told"
fi
none_left "nothing is left"
finish
