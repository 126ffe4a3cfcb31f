#!/bin/sh
# A rank that crashes leaves a traceback, and its core file where it may: told behind the one line that says how it
# ended.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# Whether names are found, by libdw.
has_names() {
    grep -q '^#define HAVE_DWFL 1' "$tap_build/config.h" && ldconfig -p 2>/dev/null | grep -q 'libdw\.so\.1'
}

# crashes STATUS HOW LINE FRAME: LINE is what is said of rank 2, and FRAME is a function in the traceback.
crashes() {
    gives "$1" "$2" "$smrrun" -n 4 "$crash" "$2"
    ok "$2: one line says how" grep -Eq "^smrrun: rank 2 \\(pid [0-9]+(, cpus? [0-9,-]+)?\\) $3 after [0-9.]+ s" err
    if has_names; then
        ok "$2: where" grep -Eq "^  #[0-9]+ $4" err
    else
        ok "$2: where" grep -Eq '^  #0 ' err
    fi
    is 1 "$(without_traceback | wc -l)" "$2: all behind it is a traceback"
}

check_ways() {
    dumped='( \(core dumped[^)]*\))?'
    crashes 139 null "was ended by SIGSEGV$dumped" crash_here
    crashes 134 abort "was ended by SIGABRT$dumped" crash_abort
    crashes 139 exec "was ended by SIGSEGV$dumped" crash_here
    crashes 139 threads "was ended by SIGSEGV$dumped" crash_here
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "sanitizers have stacks of their own"
        return
    fi
    crashes 139 overflow "was ended by SIGSEGV, a stack overflow,$dumped" recurse
    ok "overflow: the recursion is one line" grep -Eq '^  \.\.\. [0-9]+ more$' err
    crashes 139 thread-overflow "was ended by SIGSEGV, a stack overflow,$dumped" recurse
}

# Who handles signals by itself is left alone; and a rank that can say no more than where it was.
check_others() {
    gives 9 "a program with a handler" "$smrrun" -n 4 "$crash" own
    ok "a program with a handler: ends by that" grep -Eq '^smrrun: rank 2 .* exited with status 9' err
    is 0 "$(grep -c '^  #' err)" "a program with a handler: no traceback"
    gives 139 "-q" "$smrrun" -q -n 4 "$crash" null
    is 1 "$(wc -l <err)" "-q: no traceback"
    gives 124 "a child of a rank that crashes" "$smrrun" --timeout 1 -n 4 "$crash" child
    is 0 "$(grep -c '^  #' err)" "a child of a rank that crashes: is none of the job's"
    gives 139 "a shell around it" "$smrrun" -n 4 sh -c '"$0" null; exit $?' "$crash"
    ok "a shell around it: is told" grep -Eq '^smrrun: rank 2 .* exited with status 139' err
    ok "a shell around it: and where the program was" grep -Eq '^  #0 ' err
    if [ -z "${SANITIZER_CFLAGS-}" ]; then
        "$smrrun" -n 4 "$crash" malloc >out 2>err
        ok "in malloc: it ends" grep -Eq '^smrrun: rank 2 .* was ended by SIG(SEGV|ABRT)' err
    fi
    none_left "nothing is left"
}

# The same in all ranks is told once, however many each message names.
check_all() {
    gives 139 "all ranks crash" "$smrrun" -n 4 "$crash" null all
    is 1 "$(grep -c '^smrrun:' err)" "all ranks crash: one line"
    is 1 "$(grep -c '^  #0 ' err)" "all ranks crash: one traceback"
    gives 139 "all ranks crash, -k" "$smrrun" -k -n 4 "$crash" null all
    is "0 1 2 3" "$(ranks_told)" "all ranks crash, -k: each is told of"
    is "$(grep -c '^smrrun:' err)" "$(grep -c '^  #0 ' err)" "all ranks crash, -k: a traceback for each line"
    gives 3 "all ranks exit, -k" "$smrrun" -k -n 16 sh -c 'exit 3'
    is "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15" "$(ranks_told)" "all ranks exit, -k: each is told of, once"
    failed=0
    for _ in $(seq "${rounds:-5}"); do
        "$smrrun" -k -n 8 "$crash" null all >out 2>err
        if [ $? != 139 ] || [ "$(ranks_told)" != "0 1 2 3 4 5 6 7" ] || [ -n "$(left_behind)" ]; then
            failed=$((failed + 1))
            tap_explain "$(cat err)"
        fi
    done
    is 0 "$failed" "all are told each time of ${rounds:-5}"
}

# The ranks in "smrrun: ranks 0-2, 5 were ended" of all lines, in order.
ranks_told() {
    sed -n 's/^smrrun: ranks* \([0-9][0-9, -]*\) .*/\1/p' err | tr -d ' ' | tr ',' '\n' |
        while IFS=- read -r from to; do seq "$from" "${to:-$from}"; done | sort -n | tr '\n' ' ' | sed 's/ $//'
}

# Where the system writes cores into files, and this test may have some.
check_core() {
    read -r pattern </proc/sys/kernel/core_pattern
    case $pattern in
    '|'*) taken=yes ;;
    /*)
        skip "core files go to $pattern, out of this test's reach"
        return
        ;;
    *) taken= ;;
    esac
    if [ -n "${SANITIZER_CFLAGS-}" ] || ! (ulimit -c unlimited) 2>/dev/null; then
        skip "no core files here"
        return
    fi
    mkdir cores
    gives 139 "with a core file" sh -c 'ulimit -c unlimited; exec "$@"' sh "$smrrun" -w cores -n 4 "$crash" null
    if [ -n "$taken" ]; then
        ok "who has the core is told" grep -Eq \
            ' \(core dumped(; see: coredumpctl info [0-9]+|, taken by [^ )]+)\)' err
        return
    fi
    file=$(find cores -type f | head -n 1)
    if [ -z "$file" ]; then
        skip "the system wrote no core file"
        return
    fi
    ok "the core file is told" grep -Fq " (core dumped: $(cd cores && pwd -P)/${file#cores/}) after " err
    rm -rf cores
}

begin_smrrun 120
crash=$tap_build/t/rank-crash
[ -x "$crash" ] || skip_all "t/rank-crash is not built in $tap_build"
check_ways
check_others
check_all
check_core
none_left "no process is left"
finish
