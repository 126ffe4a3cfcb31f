#!/bin/sh
# Ranks that bring parts together, deal them out and exchange them: few ranks and many, and a rank that is wrong, or
# dies.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# good RANKS CALL BYTES [HOW]
good() {
    good_ranks=$1
    shift
    gives 0 "$good_ranks ranks: $*" "$smrrun" -n "$good_ranks" "$move" "$@"
    says "" "$good_ranks ranks: $*: nothing is said"
}

begin_smrrun 120
move=$tap_build/t/rank-move
[ -x "$move" ] || skip_all "t/rank-move is not built in $tap_build"

for call in gather allgather scatter alltoall gatherv allgatherv scatterv; do
    good 1 "$call" 100
    good 3 "$call" 100
    good 3 "$call" 100000
    good 7 "$call" 20000 shared
    good 16 "$call" 20001
    gives 137 "$call of a rank that is killed" "$smrrun" -n 5 "$move" "$call" 20000 killed
    says '^smrrun: rank 1 .* was ended by SIGKILL' "$call of a rank that is killed: one line"
    gives 1 "$call of a rank that is wrong" "$smrrun" -n 5 "$move" "$call" 20000 wrong
    says "^smrrun: rank.*rank-move\\.c:[0-9]+: $call: bytes is 20001 in rank 1, and .*20000" \
        "$call of a rank that is wrong: one line, with both numbers"
done
none_left "nothing is left"
finish
