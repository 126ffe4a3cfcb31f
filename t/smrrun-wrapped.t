#!/bin/sh
# Programs inside of shells and pipes, which hide how they ended; and launchers started in odd ways.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60

gives 7 "abort into a pipe" "$smrrun" -n 4 sh -c '"$0" end abort7 | cat' "$rank"
says 'sharedmem_abort\(7\) was called' "abort into a pipe: one line"
gives 1 "an uncaught error, and a shell that goes on" "$smrrun" -n 4 sh -c '"$0" end uncaught; true' "$rank"
says '^smrrun: rank 2 ' "an uncaught error, and a shell that goes on: one line"
gives 1 "a rank that leaves the others, into a pipe" "$smrrun" -n 4 sh -c '"$0" end 0 | cat' "$rank"
says '^smrrun: rank 2 is gone while ' "a rank that leaves the others, into a pipe: one line"

# Rank 1 is killed while the ranks agree on an address, and its shell ends well.
gives 1 "killed in the meeting" "$smrrun" --timeout 20 -n 3 sh -c '
    case $SHAREDMEM_RANK in
    1) timeout -s KILL 0.3 "$0" init 2>/dev/null; exit 0 ;;
    2) sleep 1; exec "$0" init ;;
    *) exec "$0" init ;;
    esac' "$rank"
says '^smrrun: rank 1 has ended without joining the job, while ranks? [02]' "killed in the meeting: one line"

if env --ignore-signal=CHLD true 2>/dev/null; then
    gives 0 "started with SIGCHLD ignored" env --ignore-signal=CHLD "$smrrun" -n 2 true
    says "" "started with SIGCHLD ignored: nothing is said"
    gives 0 "ranks have it ignored too" \
        env --ignore-signal=CHLD "$smrrun" -n 2 grep -q '^SigIgn:.*1....$' /proc/self/status
else
    skip "env cannot ignore signals here"
fi
gives 125 "shared memory that was asked for and cannot be had" \
    sh -c 'ulimit -f 100000; exec "$0" --heap 1G -n 2 touch started' "$smrrun"
says '^smrrun: --heap 1024M .*ulimit -f' "shared memory that was asked for and cannot be had: one line"
ok "nothing is started then" not test -e started
gives 0 "rank and size are known without shared memory" \
    sh -c 'ulimit -f 10000; exec "$0" -n 2 "$1" who' "$smrrun" "$rank"
none_left "nothing is left"
finish
