#!/bin/sh
# All ranks or none: where limits of files, processes or memory leave no room for the job, one line says so with
# what to raise, and nothing is started, nothing left. t/smrrun-bad.t has ulimit -n and -u, t/limits.c the limits
# of processes in recorded machines, t/smrrun-memory.t what memory runs out for once ranks run.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# all_or_none NAME PATTERN COMMAND...: thirty ranks that each write a line into the file started have all done so,
# or the launcher has said one line of its own and none has. Sets outcome: all, none or neither.
all_or_none() {
    all_name=$1 all_pattern=$2
    shift 2
    : >started
    "$@" >out 2>err
    outcome="$? $(wc -l <started)"
    case $outcome in
    '0 30') outcome=all ;;
    '125 0') outcome=none ;;
    # The system could not even load the launcher, and says so in its own words, or not at all.
    '127 0' | '139 0') outcome=none all_pattern= ;;
    esac
    if [ "$outcome" = none ] && [ -z "$all_pattern" ]; then
        ok "$all_name: nothing is started" not grep '^smrrun:' err
    elif [ "$outcome" = none ]; then
        says "$all_pattern" "$all_name: none is started, and one line says why"
    else
        is all "$outcome" "$all_name: all are started" || tap_explain "$(head -c 1000 err)"
    fi
    none_left "$all_name: nothing is left"
}

# ---- Processes ----

# A cgroup that counts processes, of version 1 or 2.
make_group() {
    top=/sys/fs/cgroup
    [ -d $top/pids ] && top=$top/pids
    group=$top/sharedmem-smrrun-$$
    mkdir "$group" 2>/dev/null || return 1
    [ -e "$group/pids.max" ] && return 0
    rmdir "$group"
    return 1
}

in_group() {
    sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
}

check_processes() {
    if ! make_group; then
        skip "no cgroup that counts processes can be made here; it takes root, and cgroups that are writable"
        return
    fi
    # Launcher, keeper, and the ranks, of which each shell is one process.
    for limit in 1 2 3 15 31 32; do
        echo $limit >"$group/pids.max"
        all_or_none "pids.max $limit and 30 ranks" '^smrrun: 30 ranks are more than .*; raise ulimit -u or the job' \
            in_group "$smrrun" -n 30 sh -c 'echo >>started'
        [ $limit -ge 32 ] && expected=all || expected=none
        is $expected "$outcome" "pids.max $limit and 30 ranks: $expected of them"
    done
    check_competitor
    ok "the cgroup is gone again" soon rmdir "$group"
}

# Others may take the room while ranks are being started: what was started then is ended.
check_competitor() {
    wrong=0
    echo 60 >"$group/pids.max"
    for i in $(seq "${rounds:-5}"); do
        rm -f taken given_back
        # Without room for one more it ends.
        in_group sh -c '
            trap "kill \$pids; wait" EXIT
            for i in $(seq 25); do sleep 60 & pids="$pids $!"; done
            echo >taken
            until [ -e given_back ]; do sleep 0.01; done' 2>/dev/null &
        [ $((i % 2)) = 0 ] && soon test -e taken
        in_group "$smrrun" -n 50 sh -c 'exec sleep 0.05' >out 2>err
        status=$?
        [ $status = 0 ] || { [ $status = 125 ] && [ "$(wc -l <err)" = 1 ]; } || wrong=$((wrong + 1))
        echo >given_back
        wait
        nobody_is_left || wrong=$((wrong + 1))
    done
    is 0 "$wrong" "others that take the room meanwhile: all or one line, each time of ${rounds:-5}"
}

# ---- Files ----

check_files() {
    gives 0 "a soft limit of files that is too low" sh -c '
        ulimit -S -n 40 && exec "$0" -n 60 sh -c "echo \$(ulimit -S -n) \$(ulimit -H -n)"' "$smrrun"
    is "60 40 $(ulimit -H -n)" "$(sort out | uniq -c | sed 's/^ *//')" "ranks have it as it was, soft and hard"
}

# ---- Memory ----

# From too little for the launcher itself, in whose libraries it then ends, to more than enough.
check_memory() {
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "sanitizers need more memory than there is"
        return
    fi
    for kind in v:2500:2900:3000:3100:3200:3500:4500:30000 d:250:350:450:500:550:600:650:5000; do
        for limit in $(echo "${kind#*:}" | tr : ' '); do
            letter=${kind%%:*}
            all_or_none "ulimit -$letter $limit" '^smrrun: .*(no memory|raise ulimit -v)' \
                sh -c 'ulimit -$0 $1; shift; exec "$@"' "$letter" "$limit" "$smrrun" -n 30 sh -c 'echo >>started'
        done
        is all "$outcome" "ulimit -$letter $limit is enough"
    done
}

begin_smrrun 60
# The search for leaks needs a thread.
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
check_processes
check_files
check_memory
none_left "no process is left"
finish
