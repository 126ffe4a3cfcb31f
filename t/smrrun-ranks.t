#!/bin/sh
# Ranks that use the library: they meet, share memory at one address, take turns, and end as one job.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# in_order N: what ranks 0 to N-1 say in turn.
in_order() {
    seq -f "rank %g of $1" 0 $(($1 - 1))
}

# good NAME MODE...: four ranks end well, and nothing is said.
good() {
    good_name=$1
    shift
    gives 0 "$good_name" "$smrrun" -n 4 "$rank" "$@"
    says "" "$good_name: nothing is said"
}

check_meeting() {
    good "init and finalize" init
    good "barriers" barriers 1000
    prints "all met" "barriers: all come back"
    good "a rank that comes late" late
    gives 0 "one rank" "$smrrun" -n 1 "$rank" barriers
    gives 0 "more ranks than processors" "$smrrun" -n 32 "$rank" barriers 50
    for call in bcast all_int64 all_double all loop team_calloc team_empty team_full malloc; do
        good "$call as the first call" first "$call"
    done
    gives 1 "an array of which rank 2 wants more" "$smrrun" -n 4 "$rank" first team_empty 1
    ok "an array of which rank 2 wants more: is told of" \
        grep -q 'team_empty: rank 2 gives 5 as shape\[0\], rank 0 4; all ranks must give the same' err
}

check_order() {
    out_of_order=0
    for _ in $(seq "${rounds:-10}"); do
        "$smrrun" -n 16 "$rank" hello >out 2>err || tap_explain "$(cat err)"
        [ "$(cat out)" = "$(in_order 16)" ] || out_of_order=$((out_of_order + 1))
    done
    is 0 "$out_of_order" "16 ranks print in order, each time of ${rounds:-10}"
    gives 0 "30 rounds of turns" "$smrrun" -n 5 "$rank" turns 30
    prints "$(for round in $(seq 0 29); do seq -f "$round %g" 0 4; done)" "30 rounds of turns: in order"
    gives 0 "a rank that ends is passed over" "$smrrun" -n 4 "$rank" skip
    is "0 0 0 1 0 2 0 3 1 0 1 1 1 3 2 0 2 1 2 3 " "$(tr '\n' ' ' <out)" \
        "a rank that ends is passed over: in order"
    gives 0 "the same with stderr in the same pipe" \
        sh -c '"$0" -n 5 "$1" turns 30 >both 2>&1' "$smrrun" "$rank"
    is "$(cat out)" "" "nothing else is printed"
    is "$(for round in $(seq 0 29); do seq -f "$round %g" 0 4; done)" "$(cat both)" "and in order"
}

# looped N RANKS: what loops prints.
looped() {
    for _ in $(seq "$1"); do
        seq -s ' ' 0 19 | tr '\n' ' '
    done
    seq -f "rank %g" 0 $(($2 - 1))
}

# In a few words, through the board, and in rounds.
check_reductions() {
    for n in 1 200 100000; do
        gives 0 "reductions of $n numbers" "$smrrun" -n 3 "$rank" reductions $n
    done
    gives 0 "reductions of more ranks than processors" "$smrrun" -n 16 "$rank" reductions 5000
}

check_loops() {
    gives 0 "loops" "$smrrun" -n 4 "$rank" loops 50
    prints "$(looped 50 4)" "loops: each item once, and in order"
    says "" "loops: nothing is said"
    gives 0 "loops of more ranks than processors" "$smrrun" -n 16 "$rank" loops 20
    prints "$(looped 20 16)" "loops of more ranks than processors: in order"
    gives 0 "loops over programs" "$smrrun" -n 3 sh -c '"$0" loops 5; "$0" barriers 3; "$0" loops 40' "$rank"
    prints "$(looped 5 3 && echo all met && looped 40 3)" "loops over programs: in order"
    # Rank 0 makes all loops in one program, the others in two, which end in turns of their own.
    gives 0 "loops match over programs" "$smrrun" -n 3 sh -c '
        case $SHAREDMEM_RANK in
        0) exec "$0" loops 36 ;;
        *) "$0" loops 12 >/dev/null && "$0" loops 24 >/dev/null ;;
        esac' "$rank"
    gives 1 "a rank with less loops" "$smrrun" -n 3 sh -c '
        [ "$SHAREDMEM_RANK" = 1 ] || exec "$0" loops 48
        "$0" loops 12' "$rank"
    says 'smrrun: rank 1 is gone while rank [02] waits for it to leave an earlier loop, in the loop at .*rank\.c:[0-9]+' \
        "a rank with less loops: it is named"
    gives 137 "a rank that is killed in a loop" "$smrrun" -n 4 "$rank" loop-end kill
    says 'smrrun: rank 2 \(pid [0-9]+(, cpus? [0-9,-]+)?\) .*SIGKILL' "a rank that is killed in a loop: it is named"
}

check_memory() {
    failed=0
    for _ in $(seq "${rounds:-10}"); do
        "$smrrun" -n 4 "$rank" pointers >out 2>err || { failed=$((failed + 1)) && tap_explain "$(cat err)"; }
    done
    is 0 "$failed" "pointers made in one rank are followed in the others, in each start of ${rounds:-10}"
    gives 0 "with another layout of addresses" sh -c '
        (ulimit -s unlimited) 2>/dev/null && ulimit -s unlimited
        exec "$0" -n 4 "$1" pointers' "$smrrun" "$rank"
    gives 0 "critical over all ranks" "$smrrun" -n 8 "$rank" critical 1000
    prints "counted 8000 of 8000" "critical over all ranks: nothing is lost"
    gives 0 "a mutex and a counter of all ranks" "$smrrun" -n 8 "$rank" locked 1000
    prints 8000 "a mutex and a counter of all ranks: nothing is lost, and all is seen"
    good "a map in each rank" map
    gives 0 "a sort in each rank but one" env SHAREDMEM_NP=2 "$smrrun" -n 4 "$rank" sort
    gives 0 "a small heap" env SHAREDMEM_HEAP=32M "$smrrun" -n 3 "$rank" heap 64
    prints "Cannot allocate memory" "a small heap: more is not to be had"
    gives 0 "what fits into it" env SHAREDMEM_HEAP=32M "$smrrun" -n 3 "$rank" heap 8
    prints "enough" "what fits into it: is there"
    gives 0 "--heap" "$smrrun" --heap 32M -n 3 "$rank" heap 64
    prints "Cannot allocate memory" "--heap: as the variable"
    gives 0 "--heap beats the variable" env SHAREDMEM_HEAP=32M "$smrrun" --heap 256M -n 3 "$rank" heap 64
    prints "enough" "--heap beats the variable: it is larger"
    gives 0 "large memory" "$smrrun" -n 3 "$rank" place
    prints "placed, SHAREDMEM_MEM is not set" "large memory: each rank's part is good"
    for policy in local interleave none; do
        gives 0 "--mem $policy" env SHAREDMEM_MEM=elsewhere "$smrrun" --mem $policy -n 3 "$rank" place
        prints "placed, SHAREDMEM_MEM is $policy" "--mem $policy: beats the variable"
        says "" "--mem $policy: nothing is said"
    done
    gives 0 "with nodes that are only described" \
        env HWLOC_SYNTHETIC='numa:2 core:4 pu:1' "$smrrun" --mem interleave -n 3 "$rank" place
    prints "placed, SHAREDMEM_MEM is interleave" "nodes that are only described: nothing is done"
}

# The helper's own line, and nothing of the job's.
alone='would be a second process of rank 1, which process [0-9]+ is; it runs alone, as rank 0 of 1$'

check_helpers() {
    gives 0 "a helper of a rank" "$smrrun" -n 4 "$rank" helper
    prints "rank 0 of 1 helper" "a helper of a rank: runs alone"
    says "$alone" "a helper of a rank: with one line of warning"
    gives 0 "a copy that a rank forks" "$smrrun" -n 4 "$rank" forked
    prints "rank 0 of 1 forked" "a copy that a rank forks: is alone"
    says "$alone" "a copy that a rank forks: with one line of warning"
}

check_programs_in_turn() {
    gives 0 "two programs in a shell" \
        "$smrrun" -n 4 sh -c '"$0" barriers 3; "$0" barriers 3; "$0" hello' "$rank"
    prints "$(echo all met && echo all met && in_order 4)" "two programs in a shell: each meets in all ranks"
    says "" "two programs in a shell: nothing is said"
    # Rank 0 makes the ten barriers in one program, the others in two and three.
    gives 0 "barriers match over programs" "$smrrun" -n 3 sh -c '
        case $SHAREDMEM_RANK in
        0) exec "$0" barriers 10 ;;
        1) "$0" barriers 4 && "$0" barriers 6 ;;
        *) "$0" barriers 1 && "$0" barriers 2 && exec "$0" barriers 7 ;;
        esac' "$rank"
    prints "all met" "barriers match over programs: all come back"
    gives 0 "a program that needs no other before" \
        "$smrrun" -n 3 sh -c '"$0" who && true && "$0" hello' "$rank"
    gives 0 "a program that executes another" \
        "$smrrun" -n 3 sh -c 'exec "$0" close-exec "$0" barriers 5' "$rank"
    prints "all met" "a program that executes another: meets, though it closed all files"
    gives 1 "one program less in a rank" "$smrrun" -n 3 sh -c '
        "$0" barriers 2
        [ "$SHAREDMEM_RANK" = 1 ] || "$0" barriers 2' "$rank"
    says 'smrrun: rank 1 is gone while ranks? [02, -]+ waits? in the barrier or collective at .*rank\.c:[0-9]+' \
        "one program less in a rank: the barrier is named"
}

check_strangers() {
    "$smrrun" -n 2 sh -c 'echo "$SHAREDMEM_JOB"' >out 2>err
    job_left=$(head -n 1 out)
    gives 0 "variables left over from a job" \
        env SHAREDMEM_JOB="$job_left" SHAREDMEM_RANK=1 SHAREDMEM_SIZE=2 "$rank" hello
    prints "rank 0 of 1" "variables left over from a job: the program is alone"
    says "alone" "variables left over from a job: with one line"
    gives 0 "a job from within a job" "$smrrun" -n 2 sh -c '
        [ "$SHAREDMEM_RANK" = 1 ] || "$0" -n 3 "$1" hello
        "$1" barriers 2' "$smrrun" "$rank"
    prints "$(in_order 3 && echo all met)" "a job from within a job: both are whole"
    says "" "a job from within a job: nothing is said"
    gives 0 "ranks without the library beside others" "$smrrun" -n 2 sh -c 'test -n "$SHAREDMEM_JOB"'
}

# Less address space than the least that shared memory takes, 16 MiB.
check_limits() {
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "a sanitizer needs more address space than that"
        return
    fi
    gives 0 "no room for shared memory: others run" \
        sh -c 'ulimit -v 16000; exec "$0" -n 3 sh -c "echo \$SHAREDMEM_RANK"' "$smrrun"
    is "0 1 2" "$(sort out | tr '\n' ' ' | sed 's/ $//')" "no room for shared memory: all of them"
    says "" "no room for shared memory: nothing is said where nobody needs it"
    gives 1 "no room for shared memory: who needs it fails" \
        sh -c 'ulimit -v 16000; exec "$0" -n 3 sh -c "[ \$SHAREDMEM_RANK != 1 ] || exec \"\$0\" hello" "$1"' \
        "$smrrun" "$rank"
    is 1 "$(grep -c 'smrrun: cannot map 16 MiB of shared memory' err)" \
        "no room for shared memory: one line says why"
}

check_progress() {
    gives 0 "progress of maps in all ranks" "$smrrun" -n 3 "$rank" progress
    says '^map at prog.c:7: 100% \(10 of 10\), 30.0/min, in 20 s$' "progress of maps: that of rank 0 is shown"
}

begin_smrrun 60
check_meeting
check_order
check_progress
check_reductions
check_loops
check_memory
check_helpers
check_programs_in_turn
check_strangers
check_limits
none_left "no process is left"
finish
