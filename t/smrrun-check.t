#!/bin/sh
# Checking mode in ranks: what differs is told once, with both places, and the examples run as without it.
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# differs WHAT STATUS PATTERN: ranks do so with checking, and the one line matches; and behind "-x" too.
differs() {
    for differs_ranks in 3 7; do
        gives "$2" "$1, $differs_ranks ranks" env SHAREDMEM_CHECK=1 "$smrrun" -n "$differs_ranks" "$rank" differ "$1"
        says "$3" "$1, $differs_ranks ranks: told"
    done
    gives "$2" "$1, by -x" "$smrrun" -x SHAREDMEM_CHECK=1 -n 3 "$rank" differ "$1"
    says "$3" "$1, by -x: told"
}

check_mistakes() {
    differs finalize 1 '^smrrun: rank 2 \(pid [1-9][0-9]*\): rank 2 calls finalize at rank2.c:1, rank 0 calls barrier at others.c:2; all'
    differs root 1 'rank 2 calls bcast with root 1 at rank2.c:1, rank 0 calls bcast with root 0 at others.c:2'
    differs end 1 '^smrrun: rank 2 is gone while ranks? [0-9, -]* waits? in .* at others.c:2'
    differs region 1 'others.c:2: finalize: this rank is in critical "log" since rank2.c:1'
    differs message 0 '^sharedmem: rank 2 sent 4 bytes with tag 5 to rank 0 at rank2.c:1, which nobody has received$'
    differs order 0 '^sharedmem: locks are taken in different orders.*"a" at rank2.c:1; rank 0 .*"b" at others.c:2$'
}

# What has no check goes wrong elsewhere, or not at all.
check_off() {
    for value in 0 "" 2; do
        gives 0 "with SHAREDMEM_CHECK=$value" env SHAREDMEM_CHECK="$value" "$smrrun" -n 1 "$rank" differ order
    done
    is "sharedmem: SHAREDMEM_CHECK=2 is not 0 or 1 and is ignored" "$(sort -u err)" "a bad value is told"
    gives 0 "orders of locks are no matter without" "$smrrun" -n 3 "$rank" differ order
    says "" "nothing is said then"
}

# Others' tests of what ranks do.
check_right() {
    SHAREDMEM_CHECK=1 && export SHAREDMEM_CHECK
    for mode in "barriers 200" init late "turns 30" "loops 48" pointers critical locked map sort; do
        # shellcheck disable=SC2086 # a mode and its arguments
        gives 0 "$mode, checked" "$smrrun" -n 4 "$rank" $mode
        says "" "$mode, checked: nothing is said"
    done
    gives 0 "hello; hello, checked" "$smrrun" -n 3 sh -c '"$0" hello; "$0" barriers' "$rank"
    says "" "hello; hello, checked: nothing is said"
    unset SHAREDMEM_CHECK
}

# Each example that is built, with little to do.
check_examples() {
    mkdir words && echo foo >words/file
    for example in "$tap_build"/examples/*; do
        name=${example##*/}
        [ -f "$example" ] && [ -x "$example" ] || continue
        case $name in
        heat) set -- -c 40 40 ;;
        integrate) set -- 65536 ;;
        list) set -- 1000 ;;
        sum) set -- 1M ;;
        wordcount) set -- words foo ;;
        *) set -- ;;
        esac
        gives 0 "$name, checked" env SHAREDMEM_CHECK=1 "$smrrun" -n 3 "$example" "$@"
        is "" "$(grep -a ^sharedmem: err)" "$name, checked: nothing is found"
        gives 0 "$name, checked, alone" env SHAREDMEM_CHECK=1 SHAREDMEM_NP=3 "$example" "$@"
        is "" "$(grep -a ^sharedmem: err)" "$name, checked, alone: nothing is found"
    done
}

begin_smrrun 120
check_mistakes
check_off
check_right
check_examples
none_left "nothing is left"
finish
