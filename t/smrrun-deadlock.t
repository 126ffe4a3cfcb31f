#!/bin/sh
# Ranks of a job that wait for each other for ever end at once, with one line that says who waits where; ranks of
# which it only looks like that are left alone.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 120
waits=$tap_build/t/rank-deadlock
[ -x "$waits" ] || skip_all "t/rank-deadlock is not built in $tap_build"

"$waits" list >list
while read -r kind i size name; do
    if [ "$kind" = true ]; then
        gives 1 "$name: the job ends" "$smrrun" -n "$size" "$waits" true "$i"
        says 'smrrun: deadlock: ranks? [-0-9, ]+ waits? .* at .*deadlocks\.h:[0-9]+.*; nobody is left who could end that(; ending the others)?$' \
            "$name: one line, who waits where"
    else
        gives 0 "$name: all go on" "$smrrun" -n "$size" "$waits" alike "$i"
        says "" "$name: nothing is said"
    fi
done <list

gives 0 "a rank that joins late is waited for" "$smrrun" -n 3 sh -c \
    '[ "$SHAREDMEM_RANK" != 1 ] || sleep 0.4; exec "$0" alike 0' "$waits"
says "" "a rank that joins late: nothing is said"
gives 0 "a program after a program" "$smrrun" -n 3 sh -c \
    '"$0" alike 0; [ "$SHAREDMEM_RANK" != 1 ] || sleep 0.4; exec "$0" alike 0' "$waits"
says "" "a program after a program: nothing is said"

# One of them is stopped: it is no deadlock until that one goes on.
start "$smrrun" -n 2 sh -c 'echo $$; exec "$0" "$@"' "$waits" true 0
ok "both run" soon has_lines 2 out
first=$(head -n 1 out)
kill -STOP "$first"
sleep 0.5
ok "while one is stopped it may go on" kill -0 "$job"
kill -CONT "$first"
ends 1 "once it goes on it is a deadlock"
none_left "nothing is left"
finish
