#!/bin/sh
# Ranks that commands start, --wrap: they are ranks as all others; --gdb where it cannot be, with a terminal it is
# tested by smrrun-gdb.t; and --selftest.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# wrapped NAME COMMAND: rank 1 of 3 is started by it, and is a rank.
wrapped() {
    gives 0 "by $1" "$smrrun" -n 3 --wrap "1:$2" "$rank" hello
    is "rank 0 of 3 rank 1 of 3 rank 2 of 3 " "$(grep '^rank' out | sort | tr '\n' ' ')" "by $1: it joins the job"
}

# by_tool NAME COMMAND: the same, unless the tool is not there, or cannot run this program in no job either.
by_tool() {
    # shellcheck disable=SC2086
    if "$smrrun" -n 3 --wrap "1:$2" "$rank" hello >out 2>&1 || $2 "$rank" who >out 2>&1; then
        is "rank 0 of 3 rank 1 of 3 rank 2 of 3 " "$(grep '^rank' out | sort | tr '\n' ' ')" \
            "by $1: it joins the job"
    else
        skip "$1 is not installed, or cannot run this program here"
    fi
}

check_commands() {
    wrapped "env" "env A=b"
    printf '#!/bin/sh\necho "$SHAREDMEM_RANK of $SHAREDMEM_SIZE" >by-script.%s\n"$@"\n' '$SHAREDMEM_RANK' >script
    chmod +x script
    wrapped "a shell script" ./script
    is "1 of 3" "$(cat by-script.*)" "that rank alone ran it"
    wrapped "a shell that closes inherited files" \
        'sh -c "for fd in 3 4 5 6 7 8 9; do eval exec \$fd\>\&-; done; \"\$@\"" sh'
    by_tool "strace -f" "strace -f -o trace"
    by_tool "perf stat" "perf stat -o counts"
    by_tool "valgrind" "valgrind -q --log-file=/dev/null"
}

check_ranks() {
    gives 0 "several commands" "$smrrun" -n 4 --wrap '0,2-3:env A=%r' --wrap 'all:env B=%2r C=%%' \
        sh -c 'echo "$SHAREDMEM_RANK ${A-none} $B $C"'
    is "0 0 00 %% 1 none 01 %% 2 2 02 %% 3 3 03 %% " "$(sort out | tr '\n' ' ')" "each rank has its own"
    gives 0 "the second program" "$smrrun" -n 1 --wrap '1-2:env A=b' sh -c 'echo "${A-none}"' : -n 2 \
        sh -c 'echo "${A-none} two"'
    is "b two b two none " "$(sort out | tr '\n' ' ')" "is wrapped alone"
    mkdir -p folder && cp script folder/other
    gives 0 "a command in the folder to run in" "$smrrun" -w folder -n 2 --wrap 0:./other true
    ok "is looked for there" test -e folder/by-script.0
    gives 0 "a place" "$smrrun" -n 1 --bind-to pu --wrap 0:env sed -n 's/^Cpus_allowed_list:[[:space:]]*//p' \
        /proc/self/status
    ok "binding reaches through" grep -qx '[0-9]*' out
    gives 3 "a status" "$smrrun" -n 2 --wrap 0:env sh -c 'test "$SHAREDMEM_RANK" = 1 || exit 3; sleep 60'
    says '^smrrun: rank 0 .*status 3' "is that of the rank"
    gives 0 "--dry-run" "$smrrun" --dry-run -n 2 --wrap '1:env A=%r' touch started
    ok "tells of it" grep -q '^smrrun: rank 1: .*/env A=1 .*touch started' err
}

check_refusals() {
    gives 127 "a command that is not there" "$smrrun" -n 2 --wrap 1:no-such-command touch started
    says '^smrrun: --wrap 1: no-such-command: not found; install it, or give its path$' "is told"
    gives 126 "a command that is a folder" "$smrrun" -n 2 --wrap 1:./folder touch started
    says '^smrrun: --wrap 1: ./folder: is a folder' "is told"
    gives 125 "a rank that is not there" "$smrrun" -n 2 --wrap 0,2:env touch started
    says '^smrrun: --wrap 0,2: there are ranks 0 to 1; give one of them$' "is told"
    gives 125 "no command" "$smrrun" -n 2 --wrap 0: touch started
    says "^smrrun: --wrap 0:: no command behind the ranks; give R:CMD" "is told"
    gives 127 "no debugger" env SHAREDMEM_GDB=no-such-debugger "$smrrun" -n 2 --gdb 1 touch started
    says '^smrrun: --gdb: no-such-debugger: not found; install the package gdb' "is told"
    gives 125 "no terminal" env SHAREDMEM_GDB=env setsid -w "$smrrun" -n 2 --gdb 1 touch started
    says "^smrrun: --gdb 1: there is no terminal .* --wrap '1:gdb -batch -ex run -ex bt --args' ./prog\$" "is told"
    ok "nothing is started then" not test -e started
}

# In few words and many: what is not ok stands there by itself.
check_selftest() {
    gives 0 "--selftest" "$smrrun" --selftest
    ok "begins with versions" grep -q '^ok    versions    smrrun [0-9]' out
    ok "ends with a job that ran" grep -Eq '^ok    job         [0-9]+ ranks met, shared memory and ended: [0-9.]+ ms$' out
    is "" "$(grep -Ev '^(ok|note|FAIL) {2,4}[a-z/ ]{10}  .' out)" "has lines of one shape"
    is "" "$(cat err)" "says nothing else"
    first=$(sh -c 'sed -n "s/^Cpus_allowed_list:[[:space:]]*//p" /proc/self/status' | sed 's/[-,].*//')
    gives 0 "--selftest on one processor" "$smrrun" --selftest --cpus "$first"
    ok "counts one rank" grep -q '^ok    ranks       1 (from 1 core) unless -n says otherwise' out
    ok "and runs two" grep -q '^ok    job         2 ranks met' out
    gives 0 "--selftest with a size" "$smrrun" --selftest -n 3 --heap 64M
    ok "has it" grep -q '^ok    heap        up to 64 MiB: as --heap says$' out
    gives 0 "--selftest under ulimit -n 64" sh -c 'ulimit -n 64; exec "$0" --selftest' "$smrrun"
    ok "counts files" grep -q '^ok    files       enough for 8 ranks' out
    gives 1 "--selftest under ulimit -f 100" sh -c 'ulimit -f 100; exec "$0" --selftest' "$smrrun"
    ok "finds too few" grep -Eq '^FAIL  file size .*; raise ulimit -f$' out
    ok "and that no job runs" grep -q '^FAIL  job ' out
    gives 0 "--selftest in a batch job" env PBS_JOBID=1.here PBS_NP=3 "$smrrun" --selftest
    ok "tells of it" grep -q '^ok    batch       a job of Torque: 3 ranks by PBS_NP' out
    gives 125 "--selftest with a program" "$smrrun" --selftest touch started
    says '^smrrun: --selftest runs smrrun itself, and no program; leave out touch$' "is refused"
    gives 125 "--selftest to a full device" sh -c 'exec "$0" --selftest >/dev/full' "$smrrun"
}

check_batch() {
    if ! gdb --version >out 2>&1; then
        skip "gdb is not installed; install the package gdb"
        return
    fi
    gives 0 "gdb's batch mode" "$smrrun" -n 3 --wrap '2:gdb -nx -batch -ex run --args' "$rank" hello
    ok "a rank under gdb joins the job" grep -q '^rank 2 of 3$' out
    ok "and ends well" grep -q 'exited normally' out
}

begin_smrrun 60
# That cannot be looked for under another tracer.
ASAN_OPTIONS=detect_leaks=0:$ASAN_OPTIONS
check_commands
check_ranks
check_refusals
check_batch
check_selftest
none_left "nothing is left"
finish
