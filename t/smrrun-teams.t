#!/bin/sh
# Teams of the ranks of a job: they meet, end, and give back, as those of a parallel call do.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

begin_smrrun 60
teams=$tap_build/t/rank-teams
[ -x "$teams" ] || skip_all "t/rank-teams is not built in $tap_build"

for n in 1 2 3 7 16; do
    gives 0 "teams of $n ranks" "$smrrun" -n "$n" "$teams" teams "${rounds:-20}"
    prints "all right" "teams of $n ranks: all that ranks do together"
    says "" "teams of $n ranks: nothing is said"
done
gives 0 "teams alone" "$teams" teams
prints "all right" "teams alone: all that ranks do together"
gives 0 "teams of each program of a rank" "$smrrun" -n 3 sh -c '"$0" teams 5; "$0" teams 5' "$teams"
prints "$(echo all right && echo all right)" "teams of each program of a rank: all that ranks do together"
gives 0 "a rank that ends between its turns" "$smrrun" -n 4 "$teams" turns
prints "$(printf '%s\n' '0 3' '0 2' '0 1' '0 0' '1 3' '1 1' '1 0' '2 3' '2 1' '2 0')" \
    "a rank that ends between its turns: is passed over"
gives 0 "a thread in a team" "$smrrun" -n 4 "$teams" threads
says "" "a thread in a team: the others have the job's"

gives 137 "a rank that is killed in a team" "$smrrun" -n 4 "$teams" end kill
says 'smrrun: rank 2 \(pid [0-9]+(, cpus? [0-9,-]+)?\) .*SIGKILL' "a rank that is killed in a team: it is named"
gives 9 "a rank that exits in a team" "$smrrun" -n 4 "$teams" end 9
says 'smrrun: rank 2 .*9' "a rank that exits in a team: it is named"
gives 7 "an abort in a team" "$smrrun" -n 4 "$teams" end abort7
gives 1 "an uncaught error in a team" "$smrrun" -n 4 "$teams" end uncaught
says 'rank 2.*team_split: colour is -7' "an uncaught error in a team: rank 2 of the job is named"
gives 1 "a rank that ends well in a team" "$smrrun" -n 4 "$teams" end 0
says 'rank 2 is gone while rank.* wait.* in the barrier or collective at .*rank-teams\.c:[0-9]+' \
    "a rank that ends well in a team: it is named"
gives 1 "a rank that gives its team back" "$smrrun" -n 4 "$teams" free
says 'rank 2 has given its team back while rank 0 waits in .* at .*rank-teams\.c:[0-9]+, in a team of 2' \
    "a rank that gives its team back: it is named"
none_left "no process is left"
finish
