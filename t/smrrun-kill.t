#!/bin/sh
# A job that is ended from outside: its own processes are killed, or it is told to end. Nothing survives,
# nothing is left behind, and a signal reaches each rank once.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# What each rank does: it ignores what can be ignored, and has a daemon that does so too, which has left its
# session and its parent.
daemons='
trap "" TERM HUP INT
(setsid sh -c "echo daemon; while :; do sleep 10; done" &)
echo ready
while :; do sleep 10; done'

# start_stubborn NAME: three ranks, each with a daemon; all run. Sets job and keeper.
start_stubborn() {
    start "$smrrun" -n 3 sh -c "$daemons"
    ok "$1: all run" soon has_lines 6 out
    soon has_keeper
}

# killed_soon NAME: says how long it took.
killed_soon() {
    begun=$(date +%s%N)
    ok "$1: nothing survives" soon nobody_is_left
    echo "# $1: $((($(date +%s%N) - begun) / 1000000)) ms"
    is "$before" "$(leavings)" "$1: nothing is left in the usual places"
}

check_kills() {
    start_stubborn "the face is killed"
    kill -9 "$job"
    killed_soon "the face is killed"
    ends 137 "the face is killed: so it ended"

    start_stubborn "the keeper is killed"
    kill -9 "$keeper"
    killed_soon "the keeper is killed"
    ends 125 "the keeper is killed: the face ends by itself"
    says '^smrrun: the keeper \(pid [0-9]+\) was killed; all ranks are ended' "the keeper is killed: one line"

    for who in face keeper; do
        start "$smrrun" -n 4 "$rank" wait
        ok "ranks in a barrier, the $who is killed: all run" soon has_lines 4 out
        soon has_keeper
        if [ "$who" = face ]; then kill -9 "$job"; else kill -9 "$keeper"; fi
        killed_soon "ranks in a barrier, the $who is killed"
        wait "$job" 2>/dev/null
    done
}

# Killed at any moment of a job's birth.
check_kills_early() {
    survived=0
    for i in $(seq "${rounds:-10}"); do
        start "$smrrun" -n 8 sh -c "$daemons"
        [ $((i % 3)) = 0 ] || sleep "0.00$((i % 10))"
        if [ $((i % 2)) = 0 ]; then
            kill -9 "$job"
        else
            soon has_keeper
            kill -9 "$keeper" 2>/dev/null
        fi
        wait "$job" 2>/dev/null
        soon nobody_is_left || survived=$((survived + 1))
    done
    is 0 "$survived" "killed at its birth, nothing survives, each time of ${rounds:-10}"
}

# Told to end at any moment of its birth, the job ends like a program that is.
check_terms_early() {
    wrong=0
    for i in $(seq "${rounds:-10}"); do
        start "$smrrun" -n 8 sleep 100
        [ $((i % 3)) = 0 ] || sleep "0.00$((i % 10))"
        # The group is not there from the first moment on.
        [ $((i % 2)) = 0 ] && kill -TERM "-$job" 2>/dev/null || kill -TERM "$job"
        wait "$job" 2>/dev/null
        [ $? = 143 ] || wrong=$((wrong + 1))
        nobody_is_left || wrong=$((wrong + 1))
    done
    is 0 "$wrong" "told to end at its birth, it does, each time of ${rounds:-10}"
}

# What ranks leave behind ends with the last of them.
check_left_behind() {
    gives 0 "daemons of ranks that end well" "$smrrun" -n 3 sh -c '
        (setsid sh -c "trap \"\" TERM HUP; echo >&2; exec sleep 100" &)
        sleep 100 &
        exec >/dev/null
        while [ "$(wc -l <err)" -lt 3 ]; do sleep 0.01; done'
    none_left "daemons of ranks that end well: end too"
    gives 9 "daemons of a rank that fails" "$smrrun" -n 3 sh -c '
        (setsid sh -c "trap \"\" TERM HUP; exec sleep 100" &)
        [ "$SHAREDMEM_RANK" != 2 ] || exit 9
        exec sleep 100'
    none_left "daemons of a rank that fails: end too"
}

# each_got SIGNAL N NAME: each of N ranks says that it got it once, and nothing but timeout's SIGCONT besides.
each_got() {
    is "$(seq -f "rank %g: $1 1" 0 $(($2 - 1)))" "$(grep '^rank' out | grep -v CONT | sort)" \
        "$3: each rank got it once"
}

# One of the ways to send a signal: to the launcher, or to its whole process group.
signal_to() {
    if [ "$2" = pid ]; then kill "-$1" "$job"; else kill "-$1" "-$job"; fi
}

check_signals() {
    for way in pid group; do
        start "$smrrun" -n 3 "$rank" save
        soon has_lines 3 out
        signal_to TERM "$way"
        ends 0 "TERM to the $way: ranks that save first"
        is 3 "$(grep -c saved out)" "TERM to the $way: have time for it"
        start "$smrrun" -n 3 sleep 100
        soon ranks_run 3
        signal_to TERM "$way"
        ends 143 "TERM to the $way: as it ends ranks it ends the launcher"
        says "" "TERM to the $way: nothing is said"
        start "$smrrun" --grace 500ms -n 3 "$rank" stubborn
        soon has_lines 3 out
        signal_to TERM "$way"
        ends 143 "TERM to the $way: ranks that ignore it are killed"
        says '^smrrun: ranks 0-2 still run 0\.5 s after being told to end; killing now' \
            "TERM to the $way: one line"
        none_left "TERM to the $way: nobody is left"
    done
}

ranks_run() {
    has_keeper && [ "$(children "$keeper" | wc -l)" -ge "$1" ]
}

# A second one does not wait.
check_second_signal() {
    start "$smrrun" --grace 1h -n 3 "$rank" stubborn
    soon has_lines 3 out
    kill -TERM "$job"
    sleep 0.2
    kill -TERM "$job"
    ends 143 "a second SIGTERM kills at once"
    none_left "a second SIGTERM: nobody is left"
}

# Ranks with a handler, in the middle of a barrier, can save; the others are let go.
check_signal_in_barrier() {
    start "$smrrun" -n 4 "$rank" wait
    soon has_lines 4 out
    kill -TERM "$job"
    ends 143 "TERM while ranks wait in a barrier"
    none_left "TERM while ranks wait in a barrier: nobody is left"
}

check_timeout() {
    gives 124 "timeout(1)" timeout 0.5 "$smrrun" -n 3 "$rank" signals
    each_got TERM 3 "timeout(1)"
    gives 124 "timeout(1) of ranks that ignore it" timeout 0.5 "$smrrun" --grace 200ms -n 3 "$rank" stubborn
    none_left "timeout(1) of ranks that ignore it: nobody is left"
    # Face, keeper and ranks at once.
    gives 137 "timeout -s KILL" timeout -s KILL 0.5 "$smrrun" -n 3 "$rank" stubborn
    ok "timeout -s KILL: nobody is left" soon nobody_is_left
}

# Ignored signals stay so, as under nohup.
check_ignored() {
    (trap '' HUP && start "$smrrun" -n 2 sh -c 'echo ready; sleep 0.3; echo done' && soon has_lines 2 out &&
        kill -HUP "-$job" && wait "$job")
    is 0 "$?" "a signal that is ignored stays ignored"
    is 2 "$(grep -c 'done' out)" "and ends no rank"
    (trap '' CHLD && exec "$smrrun" -n 3 sh -c 'exit 6') >out 2>err
    is 6 "$?" "with SIGCHLD ignored statuses are known all the same"
}

begin_smrrun 120
before=$(leavings)
check_kills
check_kills_early
check_terms_early
check_left_behind
check_signals
check_second_signal
check_signal_in_barrier
check_timeout
check_ignored
none_left "no process is left"
finish
