#!/bin/sh
# What launchers do wrong, case by case, turned around: the 27 rows of the comparison with Open MPI's and MPICH's
# launchers (design/ANCHORS, section 2), each as one small case that bears the row's name. Where another test goes
# deeper the case says which.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# on_terminal STATUS NAME STEP... -- COMMAND...: as gives, see t/terminal.c for the steps.
on_terminal() {
    on_status=$1 on_name=$2
    shift 2
    gives "$on_status" "$on_name" "$tap_build/t/terminal" "$@"
}

# ends_alone NAME: nobody is left, now, though the others would have gone on for a minute.
ends_alone() {
    none_left "$1: nothing is left"
}

# ---- Ranks that fail: t/smrrun-fail.t ----

check_exit_3() {
    row="rank 1 of 4 exits 3 at once, others sleep"
    gives 3 "$row" "$smrrun" -n 4 sh -c '[ $SHAREDMEM_RANK != 1 ] || exit 3; exec sleep 60'
    says '^smrrun: rank 1 \(pid [0-9]+\) exited with status 3 after [0-9.]+ s; ending the others$' "$row: one line"
    ends_alone "$row"
}

# The one that fails first counts, and statuses are not mixed.
check_exits_1_and_2() {
    row="ranks exit 1 and 2"
    gives 1 "$row" "$smrrun" -n 2 sh -c '
        trap "exit 2" TERM
        [ $SHAREDMEM_RANK = 1 ] || { until [ -e up ]; do sleep 0.01; done; exit 1; }
        : >up
        sleep 60 & wait'
    says '^smrrun: rank 0 .* status 1 ' "$row: one line, of the first"
}

# ended_by STATUS NAME: rank 2 ends itself by that signal; it is named, by its own pid.
ended_by() {
    gives "$1" "$row" "$smrrun" -n 4 sh -c '
        [ $SHAREDMEM_RANK = 2 ] || exec sleep 60
        echo $$ >pid
        kill -'"$2"' $$'
    says "^smrrun: rank 2 \\(pid $(cat pid)\\) was ended by SIG$2( \\(core dumped\\))? after" "$row: one line"
    prints "" "$row: nothing on stdout"
    ends_alone "$row"
}

check_signal_ends() {
    row=SIGSEGV
    ended_by 139 SEGV
    row='abort()'
    ended_by 134 ABRT
}

# ---- Keys and signals: t/smrrun-tty.t, t/smrrun-signals.t ----

check_keys() {
    on_terminal 0 "Ctrl-C" see:3:ready press:^C -- "$smrrun" -n 3 "$rank" signals 50
    is 3 "$(grep -c ': INT 1$' out)" "Ctrl-C: ranks get INT, once"
    is 3 "$(grep -c '^^*C*rank' out)" "Ctrl-C: and nothing else"
    on_terminal 130 "Ctrl-C: by which they end" see:3:ready press:^C -- \
        "$smrrun" -n 3 sh -c 'echo ready; exec sleep 60'
    ends_alone "Ctrl-C"

    on_terminal 130 "Ctrl-C twice" see:3:ready press:^C see:again press:^C -- "$smrrun" -n 3 "$rank" stubborn
    ends_alone "Ctrl-C twice"
    is 1 "$(grep -c smrrun: out)" "Ctrl-C twice: one line, which said so"

    on_terminal 130 'Ctrl-\' see:3:ready 'press:^\' 'see:  rank' press:^C -- \
        "$smrrun" -n 3 sh -c 'echo ready; exec sleep 60'
    ok 'Ctrl-\: tells what ranks do' grep -Eq '^smrrun:   ranks? [0-2, -]+: (asleep|running)' out
    ends_alone 'Ctrl-\'

    on_terminal 0 "Ctrl-Z, and fg" see:3:ready press:^Z stopped fg -- \
        "$smrrun" -n 3 sh -c 'echo ready; sleep 0.1; echo on'
    is 3 "$(grep -c 'on$' out)" "Ctrl-Z, and fg: ranks stop and go on"
}

check_signals() {
    start "$smrrun" -n 3 "$rank" save
    soon has_lines 3 out
    kill -TERM "$job"
    ends 0 "SIGTERM, a rank that saves"
    is 3 "$(grep -c saved out)" "SIGTERM, a rank that saves: has saved"

    start "$smrrun" -n 3 "$rank" signals 50
    soon has_lines 3 out
    kill -USR2 "$job"
    ends 0 USR2
    is 3 "$(grep -c ': USR2 1$' out)" "USR2: each rank got it once"
}

# Daemons of ranks and the keeper's own end: t/smrrun-kill.t.
check_launcher_killed() {
    row="SIGKILL of the launcher"
    before=$(leavings)
    for mode in stubborn wait; do
        start "$smrrun" -n 4 "$rank" $mode
        soon has_lines 4 out
        kill -KILL "$job"
        ok "$row: all are gone ($mode)" soon nobody_is_left
        ends 137 "$row: so it ended"
    done
    is "$before" "$(leavings)" "$row: nothing is left in /dev/shm and /tmp"
}

# ---- What is refused, and what is not: t/smrrun-bad.t ----

check_refused() {
    gives 127 "program not found" "$smrrun" -n 4 ./no-such-program
    says '^smrrun: \./no-such-program: not found' "program not found: one line"
    for n in 0 -1 abc 2x; do
        gives 125 "-n $n" "$smrrun" -n $n touch started
        says '^smrrun: .*-n.*give 1 to 4096' "-n $n: one line"
        ok "-n $n: nothing is started" not test -e started
    done
}

# Masks by number of ranks: t/smrrun-bind.t, t/binding_plan.c.
check_cores() {
    row="more ranks than cores"
    n=$((4 * $(nproc)))
    gives 0 "$row" "$smrrun" -n $n sh -c 'echo'
    is $n "$(wc -l <out)" "$row: all run"
    says "" "$row: nothing is said"

    row="under taskset"
    if ! command -v taskset >/dev/null; then
        skip "$row: there is none"
        return
    fi
    cpu=$(sed -n 's/^Cpus_allowed_list:.*[^0-9]\([0-9]*\)$/\1/p' /proc/self/status)
    for n in 1 3; do
        gives 0 "$row -c $cpu, $n ranks" taskset -c "$cpu" "$smrrun" -n $n \
            sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/self/status
        prints "$(yes "$cpu" | head -n $n)" "$row -c $cpu: ranks keep to it"
        says "" "$row -c $cpu: nothing is said"
    done
}

# ---- Output: t/smrrun-output.t, t/smrrun-output-ranks.t, t/smrrun-volume.t ----

check_head() {
    row='100 MB to head -1'
    : >status
    {
        "$smrrun" -n 4 sh -c 'yes | head -c 25000000' 2>err
        echo $? >status
    } | head -n 1 >out
    prints y "$row"
    is 141 "$(cat status)" "$row: its status"
    says "" "$row: quietly"
    ends_alone "$row"
}

# Awk writes what it prints in pieces of some kB, which end anywhere.
check_torn() {
    for case in 2000:80 50:20000; do
        n=${case%:*} length=${case#*:}
        row="$((8 * n)) lines of $length bytes from 8 ranks"
        gives 0 "$row" "$smrrun" -n 8 awk -v n="$n" -v length_="$length" 'BEGIN {
            rank = ENVIRON["SHAREDMEM_RANK"]
            for (line = "x"; length(line) < length_ - 3; line = line line);
            for (line = substr(line, 1, length_ - 3); n > 0; n--) print rank, line }'
        is "$((8 * n))" "$(awk -v length_=$((length - 1)) 'length($0) == length_ && /^[0-7] x*$/' out | wc -l)" \
            "$row: none is torn or lost"
    done
    row="lines written in two flushes"
    gives 0 "$row" "$smrrun" -n 8 awk 'BEGIN {
        rank = ENVIRON["SHAREDMEM_RANK"]
        for (n = 0; n < 50; n++) { printf "%s first ", rank; fflush(); print "second", rank, n; fflush() } }'
    is 400 "$(awk '$1 == $4 && $2 == "first" && $3 == "second" && $5 == of[$1]++ && NF == 5' out | wc -l)" \
        "$row: none is mixed, and each rank's are in order"
}

check_input() {
    row="10 MB on stdin"
    head -c 10000000 /dev/urandom >input
    cat input | "$smrrun" -n 4 cat >out 2>err
    is 0 $? "$row"
    ok "$row: all there" cmp input out
    gives 0 "rank > 0 reads stdin" "$smrrun" -n 4 sh -c '[ $SHAREDMEM_RANK = 0 ] || cat' <input
    prints "" "rank > 0 reads stdin: its end"
    row="launcher started with stdin closed"
    "$smrrun" -n 2 touch started <&- >out 2>err
    is 125 $? "$row"
    says '^smrrun: standard input is closed; give it a file, as in: smrrun .* </dev/null$' "$row: one line"
    ok "$row: nothing is started" not test -e started
}

# ---- What ranks leave behind: t/smrrun-kill.t ----

check_left_behind() {
    row="background child holds stdout"
    gives 0 "$row" "$smrrun" -n 2 sh -c 'sleep 60 & echo line'
    is 2 "$(wc -l <out)" "$row: what was printed is there"
    ends_alone "$row"
    row="daemonised grandchild"
    gives 0 "$row" "$smrrun" -n 2 sh -c '(setsid sh -c "trap \"\" TERM HUP; exec sleep 60" &) ; echo line'
    ends_alone "$row"
}

# ---- Limits: t/smrrun-limits.t ----

check_limits() {
    row="ulimit -n 64, 60 ranks"
    gives 125 "$row" sh -c 'ulimit -n 64; exec "$0" -n 60 touch started' "$smrrun"
    says '^smrrun: 60 ranks need about [0-9]+ open files, and the limit is 64; raise ulimit -n' "$row: one line"
    ok "$row: nothing is started" not test -e started
    gives 0 "$row: where it may be raised" sh -c 'ulimit -S -n 64; exec "$0" -n 60 true' "$smrrun"

    row="ulimit -u 20, 40 ranks"
    if ! other_user; then
        skip "$row: not root, or another user cannot use the build folder"
    else
        gives 125 "$row" as_other --nproc=20 "$smrrun" -n 40 touch started
        says '^smrrun: 40 ranks are more than .*raise ulimit -u' "$row: one line"
        ends_alone "$row"
    fi

    row="/dev/shm of 64 kB"
    if ! unshare -m mount -t tmpfs -o size=64k none /dev/shm 2>/dev/null; then
        skip "$row: no file systems can be mounted here"
        return
    fi
    gives 0 "$row" unshare -m sh -c 'mount -t tmpfs -o size=64k none /dev/shm && exec "$@"' sh \
        "$smrrun" -n 4 "$rank" pointers
    says "" "$row: nothing is said"
}

# What ranks are given: a pipe, also on a terminal, and the files of who started smrrun, but for the job's memory.
check_files() {
    row="ranks' stdout"
    on_terminal 0 "$row" -- "$smrrun" -n 2 sh -c 'test -p /dev/fd/1 && test -p /dev/fd/2 && echo pipes'
    prints "pipes
pipes" "$row: a pipe, and no terminal"
    fds='ls -l /proc/$$/fd >"fds.${SHAREDMEM_RANK-none}"; :'
    sh -c "$fds"
    gives 0 "$row: no file leaks" "$smrrun" -n 2 sh -c "$fds"
    is "$(($(wc -l <fds.none) + 1)) 1" "$(wc -l <fds.1) $(grep -c memfd:sharedmem fds.1)" \
        "$row: no file leaks, and the job's memory is one more"
}

begin_smrrun 120
check_exit_3
check_exits_1_and_2
check_signal_ends
check_keys
check_signals
check_launcher_killed
check_refused
check_cores
check_head
check_torn
check_input
check_left_behind
check_limits
check_files
none_left "no process is left"
finish
