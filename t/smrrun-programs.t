#!/bin/sh
# Several programs in one job, with : between them.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

lines() {
    sort out | tr '\n' ' ' | sed 's/ $//'
}

check_programs() {
    gives 0 "three programs" "$smrrun" -x A=1 -n 1 sh -c 'echo "a $SHAREDMEM_RANK $SHAREDMEM_SIZE $A"' : \
        -n 2 -x A=2 sh -c 'echo "b $SHAREDMEM_RANK $SHAREDMEM_SIZE $A"' : \
        -n 1 sh -c 'echo "c $SHAREDMEM_RANK $SHAREDMEM_SIZE $A"'
    is "a 0 4 1 b 1 4 2 b 2 4 2 c 3 4 1" "$(lines)" "one job, each with its variables"
    mkdir one two
    gives 0 "with folders" "$smrrun" -w one -n 1 sh -c 'basename "$PWD"' : -n 1 -w two sh -c 'basename "$PWD"'
    is "one two" "$(lines)" "each in its own"
    gives 0 "ranks that use the library" "$smrrun" -n 2 "$rank" hello : -n 2 "$rank" hello
    gives 3 "one that fails" "$smrrun" -n 2 sleep 60 : -n 1 sh -c 'exit 3'
    says "^smrrun: rank 2 " "is named"
    gives 0 "an argument that has a colon" "$smrrun" -n 1 echo a:b ::
    prints "a:b ::" "is an argument"
}

check_refused() {
    gives 127 "a program that is not there" "$smrrun" -n 1 touch started : -n 1 ./nowhere
    says "^smrrun: ./nowhere: " "is named"
    gives 125 "one without -n" "$smrrun" -n 1 touch started : touch started
    says "^smrrun: with : between programs each needs its -n, touch too" "is told"
    ok "nothing is started" not test -e started
    gives 0 "--dry-run" "$smrrun" --dry-run -n 1 touch started : -n 2 true
    ok "tells who would run what" grep -q '^smrrun: ranks 1 to 2 would run /.*/true$' err
    ok "nothing is started" not test -e started
}

begin_smrrun 60
check_programs
check_refused
finish
