#!/bin/sh
# What a job does that seems to hang: SIGQUIT to the launcher, or --timeout, tells who waits where, since when and for
# whom, and what those do who are waited for.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60
waits=$tap_build/t/rank-deadlock
[ -x "$waits" ] || skip_all "t/rank-deadlock is not built in $tap_build"

# reports PATTERN NAME: one line of err is that.
reports() {
    ok "$2" grep -Eq -- "^smrrun:   $1, for [0-9.]+ s\$" err || tap_explain "$(cat err)"
}

# Ranks and workers have come to where they wait.
all_wait() {
    kill -QUIT "$job"
    sleep 0.1
    grep -Eq 'worker of rank 2, pids .*: waiting for the turn' err && grep -q 'ranks 0-1, 4: waiting in' err
}

all_wait_but_one() {
    kill -QUIT "$job"
    sleep 0.1
    grep -Eq '^smrrun:   rank 1: waiting in the barrier .*, and stopped, for ' err
}

barrier='waiting in the barrier or collective at .*rank-deadlock\.c:[0-9]+ \(ranks 2-3 are missing\)'
start env --ignore-signal=QUIT "$smrrun" -n 5 "$waits" report
ok "all print" soon has_lines 5 out
ok "SIGQUIT, ignored as in the background: the ranks are told of" soon all_wait
reports "ranks 0-1, 4: $barrier" "who waits in the barrier, and for whom"
reports 'rank 2: waiting for workers of a map or parallel call at .*rank-deadlock\.c:[0-9]+' "who has workers"
ok "who does something else" grep -q '^smrrun:   rank 3: asleep in own code$' err
reports 'worker of rank 2, pids [-0-9, ]+: waiting for the turn of an ordered region at .*rank-deadlock\.c:[0-9]+' \
    "workers that wait"
ok "a worker that does not" grep -Eq '^smrrun:   worker of rank 2, pid [0-9]+: asleep in own code$' err
ok "it goes on, however often it is asked" kill -0 "$job"

stopped=$(sed -n 's/^1 //p' out)
kill -STOP "$stopped"
: >err
ok "one is stopped" soon all_wait_but_one
kill -CONT "$stopped"
kill -TERM "$job"
ends 143 "it is ended"

gives 124 "--timeout" "$smrrun" --timeout 2 -n 5 "$waits" report
ok "--timeout: says so" grep -q '^smrrun: time limit of 2 s is over (--timeout); the ranks:$' err
reports "ranks 0-1, 4: $barrier" "--timeout: the ranks are told of"
none_left "nothing is left"
finish
