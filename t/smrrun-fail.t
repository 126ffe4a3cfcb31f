#!/bin/sh
# A rank that fails ends the job: soon, all of it, with its status, and one line says why. A job that takes too
# long ends too, and tells what its ranks do.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# ends_soon STATUS PATTERN NAME COMMAND...: one line on stderr, nothing left. Others sleep for a minute: half of
# that shows that it did not wait for them. Where it had waited for the grace a second line would say so.
ends_soon() {
    ends_status=$1 ends_pattern=$2 ends_name=$3
    shift 3
    begun=$(date +%s)
    gives "$ends_status" "$ends_name" "$@"
    none_left "$ends_name: nothing is left"
    ok "$ends_name: it ends soon" test $(($(date +%s) - begun)) -lt 30
    says "$ends_pattern" "$ends_name: one line"
}

# The same of rank 2 of four, which does what is said, while the others sleep.
rank_ends() {
    ends_soon "$1" "^smrrun: rank 2 \\(pid [0-9]+(, cpus? [0-9,-]+)?\\) $2 after [0-9.]+ s; ending the others\$" "$3" \
        "$smrrun" -n 4 sh -c "test \$SHAREDMEM_RANK = 2 && $4; sleep 60"
}

check_programs() {
    rank_ends 3 'exited with status 3' "a rank exits" 'exit 3'
    rank_ends 139 'was ended by SIGSEGV( \(core dumped[^)]*\))?' "a rank segfaults" 'kill -SEGV $$'
    rank_ends 134 'was ended by SIGABRT( \(core dumped[^)]*\))?' "a rank aborts" 'kill -ABRT $$'
    rank_ends 137 'was ended by SIGKILL' "a rank is killed" 'kill -KILL $$'
    rank_ends 143 'was ended by SIGTERM' "a rank is told to end" 'kill -TERM $$'
}

# Others wait in a barrier for rank 2, or use the library for no more than to know who they are.
check_ranks() {
    for how in segv:139:SIGSEGV abort:134:SIGABRT kill:137:SIGKILL; do
        name=${how%%:*} status=${how#*:}
        for mode in end end-alone; do
            ends_soon "${status%:*}" "^smrrun: rank 2 \\(pid [0-9]+(, cpus? [0-9,-]+)?\\) was ended by ${how##*:}" \
                "$mode $name" "$smrrun" -n 4 "$rank" "$mode" "$name"
        done
    done
    ends_soon 4 '^smrrun: rank 2 .* exited with status 4' "end 4" "$smrrun" -n 4 "$rank" end 4
    ends_soon 7 '^smrrun: rank 2 .*: sharedmem_abort\(7\) was called' "end abort7" \
        "$smrrun" -n 4 "$rank" end abort7
    ends_soon 7 '^smrrun: rank 2 .*' "end-alone abort7" "$smrrun" -n 4 "$rank" end-alone abort7
    ends_soon 1 '^smrrun: rank 2 .*rank\.c:[0-9]+: critical: the name is longer' "an uncaught error" \
        "$smrrun" -n 4 "$rank" end uncaught
    ends_soon 1 '^smrrun: rank 2 .*sharedmem_free\(0x[0-9a-f]+\): this is not memory of the shared heap' \
        "a rank that frees what is no block" "$smrrun" -n 4 "$rank" end free
    ends_soon 1 '^smrrun: rank 2 .*sharedmem_free\(0x[0-9a-f]+\): no block begins there: the block was freed before' \
        "a rank that frees twice" "$smrrun" -n 4 "$rank" end free-twice
    ends_soon 1 '^smrrun: rank 2 .*rank\.c:[0-9]+: item 3 failed with code 7 .*item three is bad' \
        "a map that fails in a rank" "$smrrun" -n 4 "$rank" end map
    ends_soon 1 '^smrrun: rank 2 is gone while ranks? [013, -]+ waits? in the barrier or collective at .*rank\.c:[0-9]+' \
        "a rank that leaves" "$smrrun" -n 4 "$rank" end 0
    ends_soon 1 \
        '^smrrun: rank 2 has ended without joining the job, while ranks? [013, -]+ waits? for it at .*rank\.c:[0-9]' \
        "a rank that never comes" "$smrrun" -n 4 "$rank" absent
    for how in segv:139:SIGSEGV kill:137:SIGKILL; do
        name=${how%%:*} status=${how#*:}
        ends_soon "${status%:*}" "^smrrun: rank 2 \\(pid [0-9]+(, cpus? [0-9,-]+)?\\) was ended by ${how##*:}" \
            "locked-end $name" "$smrrun" -n 4 "$rank" locked-end "$name"
    done
    ends_soon 1 '^smrrun: ranks? [013, -]+.*rank\.c:[0-9]+: mutex: who held it ended' "a rank that leaves with a mutex" \
        "$smrrun" -n 4 "$rank" locked-end 0
    is "" "$(cat out)" "a rank that leaves with a mutex: nobody gets it"
    gives 1 "a map's worker that crashes" "$smrrun" -n 4 "$rank" end map-crash
    ok "a map's worker that crashes: which item" grep -Eq \
        '^smrrun: rank 2 .*rank\.c:[0-9]+: worker .* was ended by SIGSEGV while it did item 3(; ending the others)?$' err
    ok "a map's worker that crashes: a traceback follows" grep -q '^  #0 ' err
    ends_soon 1 'item 3(;|$)' "a map's worker that crashes, -q" "$smrrun" -q -n 4 "$rank" end map-crash
    ends_soon 139 '^smrrun: rank 2 .*SIGSEGV' "end segv, -q" "$smrrun" -q -n 4 "$rank" end segv
}

# Which of many fails first is not known, but that it is one of them, told of once.
check_many() {
    ends_soon 6 '^smrrun: rank 2 .* exited with status 6' "a rank is stopped" "$smrrun" -n 3 sh -c '
        [ "$SHAREDMEM_RANK" != 1 ] || { echo; kill -STOP $$; }
        [ "$SHAREDMEM_RANK" = 2 ] || exec sleep 60
        until [ -s out ]; do sleep 0.01; done
        exit 6'
    ends_soon 5 '^smrrun: ranks? [0-9]+[0-9, -]* (\(.*\) )?exited with status 5 after' "all fail at once" \
        "$smrrun" -n 16 sh -c 'exit 5'
    ends_soon 1 '^smrrun: ranks? [0-9]+[0-9, -]*( \(.*\))?: .*rank\.c:[0-9]+: .*the name is longer' \
        "all have the same error" "$smrrun" -n 8 "$rank" end-all uncaught
    ends_soon 7 '^smrrun: ranks? [0-9]+[0-9, -]*( \(.*\))?: .*sharedmem_abort\(7\) was called' "all abort" \
        "$smrrun" -n 8 "$rank" end-all abort7
    failed=0
    for _ in $(seq "${rounds:-10}"); do
        "$smrrun" -n 4 "$rank" end segv >out 2>err
        if [ $? != 139 ] || [ "$(without_traceback | wc -l)" != 1 ] || [ -n "$(left_behind)" ]; then
            failed=$((failed + 1))
            tap_explain "$(cat err)"
        fi
    done
    is 0 "$failed" "the cause is told and not what follows from it, each time of ${rounds:-10}"
}

check_grace() {
    start "$smrrun" --grace 300ms -n 3 "$rank" stubborn
    ok "ranks that ignore signals: run" soon has_lines 3 out
    kill -9 "$(children "$(keeper)" | head -n 1)"
    ends 137 "a failure beside them"
    none_left "a failure beside them: ends them"
    gives 3 "a rank that saves when it is told to end" "$smrrun" -n 2 sh -c '
        [ "$SHAREDMEM_RANK" = 1 ] || exec "$0" save
        sleep 0.2; exit 3' "$rank"
    has "saved" "$(cat out)" "a rank that saves when it is told to end: has time for it"
    is 1 "$(grep -c 'exited with status 3' err)" \
        "a rank that saves when it is told to end: its own end does not count"
}

check_keep_going() {
    gives 3 "-k" "$smrrun" -k -n 3 sh -c '
        [ $SHAREDMEM_RANK != 1 ] || exit 3
        sleep 0.2; echo done; exit $SHAREDMEM_RANK'
    is 2 "$(grep -c 'done' out)" "-k: the others go on"
    is 1 "$(grep -c '^smrrun: rank 1 .*status 3' err)" "-k: the failure is told"
    is 1 "$(grep -c '^smrrun: rank 2 .*status 2' err)" "-k: and the later one, whose status does not count"
    is 2 "$(wc -l <err)" "-k: no more"
    gives 1 "-k and errors that nobody catches" "$smrrun" -k -n 3 "$rank" errors
    is 1 "$(grep -c '^smrrun: rank 1 .*sharedmem_free' err)" "-k and errors that nobody catches: the first"
    is 1 "$(grep -c '^smrrun: rank 2 .*the name is longer' err)" "-k and errors that nobody catches: the later one"
    is 2 "$(wc -l <err)" "-k and errors that nobody catches: no more"
    gives 137 "-k and a rank that dies in a critical region" "$smrrun" -k -n 4 "$rank" held
    is 3 "$(grep -c entered out)" "-k and a rank that dies in a critical region: the others enter it"
    says 'smrrun: rank 2 .* SIGKILL' "-k and a rank that dies in a critical region: one line"
    gives 139 "-k and a rank that others wait for" "$smrrun" -k -n 4 "$rank" end segv
    is 1 "$(grep -c '^smrrun: rank 2 .*SIGSEGV' err)" "-k and a rank that others wait for: its end is told"
    is 1 "$(grep -c '^smrrun: rank 2 is gone while' err)" \
        "-k and a rank that others wait for: and that of the others, once"
    is 2 "$(without_traceback | wc -l)" "-k and a rank that others wait for: no more"
}

check_timeout() {
    begun=$(date +%s)
    gives 124 "--timeout" "$smrrun" --timeout 500ms -n 3 sleep 60
    ok "--timeout: ends soon" test $(($(date +%s) - begun)) -lt 30
    none_left "--timeout: nothing is left"
    is 1 "$(grep -Ec '^smrrun: time limit of 0\.5 s is over' err)" "--timeout: is told"
    is 1 "$(grep -Ec '^smrrun:   ranks 0-2: asleep' err)" "--timeout: and what the ranks do"
    gives 124 "--timeout of ranks that wait" "$smrrun" --timeout 500ms -n 4 "$rank" wait
    ok "--timeout of ranks that wait: they tell where" grep -Eq \
        '^smrrun:   ranks 0-1, 3: waiting in the barrier or collective at .*rank\.c:[0-9]+ \(rank 2 is missing\), for [0-9.]+ s' err
    ok "--timeout of ranks that wait: and who does not" grep -Eq '^smrrun:   rank 2: asleep in own code$' err
    gives 124 "--timeout of ranks that sum" "$smrrun" --timeout 500ms -n 4 "$rank" wait sum
    ok "--timeout of ranks that sum: they tell where" grep -Eq \
        '^smrrun:   ranks 0-1, 3: waiting in the barrier or collective at .*rank\.c:[0-9]+ \(rank 2 is missing\), for [0-9.]+ s' err
    gives 124 "--timeout of ranks that wait for a counter" "$smrrun" --timeout 500ms -n 4 "$rank" counter
    ok "--timeout of ranks that wait for a counter: they tell where" grep -Eq \
        '^smrrun:   ranks 0-1, 3: waiting for a counter at .*rank\.c:[0-9]+, for [0-9.]+ s' err
    gives 124 "--timeout of ranks that wait for one" "$smrrun" --timeout 500ms -n 4 "$rank" hold
    ok "--timeout of ranks that wait for one: for its message" grep -Eq \
        '^smrrun:   rank 0: waiting for a message at .*rank\.c:[0-9]+ \(from rank 2\), for [0-9.]+ s' err
    ok "--timeout of ranks that wait for one: or its lock" grep -Eq \
        '^smrrun:   ranks 1, 3: waiting for a lock or critical region at .*rank\.c:[0-9]+ \(rank 2 has it\), for' err
    gives 124 "--timeout of ranks that have not met" "$smrrun" --timeout 500ms -n 3 sh -c '
        [ "$SHAREDMEM_RANK" = 0 ] && exec "$0" init
        exec sleep 60' "$rank"
    ok "--timeout of ranks that have not met: where" grep -Eq \
        '^smrrun:   rank 0: waiting for all ranks to join the job at .*rank\.c:[0-9]+' err
    gives 124 "--timeout of ranks that ignore SIGTERM" \
        "$smrrun" --timeout 200ms --grace 200ms -n 2 "$rank" stubborn
    none_left "--timeout of ranks that ignore SIGTERM: ends them"
    gives 0 "--timeout that is not needed" "$smrrun" --timeout 1:00:00 -n 2 true
    gives 0 "a rank that ends well does not end the job" \
        "$smrrun" -n 2 sh -c '[ $SHAREDMEM_RANK = 0 ] || sleep 0.2'
}

begin_smrrun 120
check_programs
check_ranks
check_many
check_grace
check_keep_going
check_timeout
none_left "no process is left"
finish
