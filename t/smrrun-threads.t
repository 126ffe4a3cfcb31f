#!/bin/sh
# Ranks with threads of their own.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60
threads=$tap_build/t/rank-threads
# Looking for leaks stops all threads of a process by way of one more, which a copy forked among threads may not have.
ASAN_OPTIONS=detect_leaks=0:$ASAN_OPTIONS
export ASAN_OPTIONS

failed=0
for _ in $(seq "${rounds:-20}"); do
    "$smrrun" -n 3 "$threads" both-first >out 2>err || { failed=$((failed + 1)) && tap_explain "$(cat err)"; }
done
is 0 "$failed" "two threads make the first calls at once, ${rounds:-20} times"
for n in 1 3; do
    gives 0 "seven threads make the first calls at once, $n ranks" "$smrrun" -n $n "$threads" all-first
    says "" "seven threads make the first calls at once, $n ranks: nothing is said"
done
gives 0 "seven threads make the first calls at once, alone" "$threads" all-first
gives 0 "a thread ends the job that another one joins" "$smrrun" -n 1 "$threads" finalize-while-joining
gives 0 "a rank lives on without the thread that joined" "$smrrun" -n 2 "$threads" joiner-ends
says "" "a rank lives on without the thread that joined: nothing is said"
gives 0 "and without its first thread" "$smrrun" -n 2 "$threads" main-ends
for check in 0 1; do
    gives 0 "messages of 4 threads of each of 3 ranks, SHAREDMEM_CHECK=$check" \
        env SHAREDMEM_CHECK=$check "$smrrun" -n 3 "$threads" messages
    for mode in busy in-turns forks exits; do
        gives 0 "$mode, SHAREDMEM_CHECK=$check" env SHAREDMEM_CHECK=$check "$smrrun" -n 3 "$threads" $mode
        says "" "$mode, SHAREDMEM_CHECK=$check: nothing is said"
        gives 0 "$mode alone" env SHAREDMEM_CHECK=$check "$threads" $mode
    done
done
mkfifo nothing
sleep 20 >nothing &
sleeper=$!
gives 7 "abort while a thread reads stdin" "$smrrun" --timeout 15 -n 3 "$threads" abort-while-reading <nothing
says '^smrrun: rank 0 .*sharedmem_abort\(7\) was called' "abort while a thread reads stdin: one line"
kill "$sleeper"
wait "$sleeper" 2>/dev/null
none_left "nothing is left"
finish
