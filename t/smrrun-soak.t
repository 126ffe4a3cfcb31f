#!/bin/sh
# Jobs of which one rank is killed at some moment, whatever the ranks are doing: each ends at once, says whose end it
# was, and leaves nothing. TEST_ROUNDS=1000 by hand.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 120
rounds=${rounds:-50}
[ -x "$tap_build/t/rank-soak" ] || skip_all "t/rank-soak is not built in $tap_build"
before=$(leavings)

wrong=0
for seed in $(seq "$rounds"); do
    timeout 60 "$smrrun" -n 8 "$tap_build/t/rank-soak" "$seed" >out 2>err
    status=$?
    if [ "$status" != 137 ] || [ "$(wc -l <err)" -ne 1 ] ||
        ! grep -Eq '^smrrun: rank [0-7] \(pid [0-9]+\) was ended by SIGKILL after ' err; then
        wrong=$((wrong + 1))
        tap_explain "round $seed: status $status" "$(head -c 1000 err)"
    fi
done
is 0 "$wrong" "a rank that is killed at some moment, $rounds times: one line says so, and the job ends"
none_left "nobody is left"
is "$before" "$(leavings)" "nothing is left in the usual places"
finish
