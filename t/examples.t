#!/bin/sh
# The examples do what they say, alone and under smrrun: wordcount counts as grep -ow does, the others check
# themselves, and bad arguments are told.
. "${srcdir:-.}/t/tap.sh"

# status COMMAND...: prints its exit status; what it writes is in $tap_temp/stdout and stderr.
status() {
    "$@" >"$tap_temp/stdout" 2>"$tap_temp/stderr"
    echo $?
}

stdout() {
    cat "$tap_temp/stdout"
}

stderr() {
    cat "$tap_temp/stderr"
}

# is_refused NAME COMMAND...: exit status 2 and one line on stderr that begins with $start.
is_refused() {
    refused_name=$1
    shift
    is 2 "$(status "$@")" "$refused_name: exit status 2"
    is 1 "$(wc -l <"$tap_temp/stderr")" "$refused_name: one line"
    ok "$refused_name: it says what to type" grep "^$start" "$tap_temp/stderr"
}

make_tricky_folder() {
    mkdir "$tap_temp/tricky" "$tap_temp/tricky/folder" && cd "$tap_temp/tricky" || return
    : >empty
    printf 'foo' >only-no-newline
    printf 'foo\n' >only
    printf '\n\nfoo\n\n' >only-line
    printf 'foo at the beginning\nat the end foo\nfoo' >ends
    printf 'a a a\na aa aaa\na' >repeated
    printf 'foo_bar foo-bar _foo foo_ -foo foo- foo1 1foo __ _\n' >joined
    printf 'foofoo foo,foo.foo(foo)\tfoo\vfoo\ffoo\n' >separated
    printf 'foo\r\nbar foo\r\n\r\n' >crlf
    printf 'foo\377foo\376 \303\251foo foo\303\251 \200a\n' >bytes
    printf 'Foo FOO fOO 42 042 4 2\n' >cases
    { printf '%070000dfoo foo ' 0 && printf '%0255d %0256d\n' 0 0; } >long
    ln -s only link
    ln -s nowhere dangling
    echo foo >folder/below
    echo foo >.hidden
    mkfifo fifo
}

# grep_counts FOLDER WORD...: what wordcount prints of counts, by grep; FILES are those that it takes.
grep_counts() (
    cd "$1" || exit
    shift
    for file in *; do
        [ -f "$file" ] && echo "$file"
    done >"$tap_temp/files"
    for word in "$@"; do
        count=$(tr '\n' '\0' <"$tap_temp/files" | LC_ALL=C xargs -0 grep -ow -- "$word" | wc -l)
        printf '%10d  %s\n' "$count" "$word"
    done
)

# counts_as_grep NAME FOLDER WORD...
counts_as_grep() {
    same_name=$1
    shift
    is 0 "$(status "$examples/wordcount" "$@")" "$same_name: exit status 0"
    is "$(grep_counts "$@")" "$(sed '/^text files/,$d' "$tap_temp/stdout")" "$same_name: as grep counts"
    has "serial recount agrees" "$(stdout)" "$same_name: checks itself"
}

check_wordcount() {
    start='usage: wordcount DIRECTORY WORD'
    is_refused "no arguments" "$examples/wordcount"
    is_refused "no word" "$examples/wordcount" "$tap_temp"
    start='wordcount: .* is not a word: '
    is_refused "a word with a hyphen" "$examples/wordcount" "$tap_temp" good foo-bar
    is_refused "an empty word" "$examples/wordcount" "$tap_temp" ""
    is_refused "a word of 256 bytes" "$examples/wordcount" "$tap_temp" "$(printf %0256d 0)"
    is 1 "$(status "$examples/wordcount" "$tap_temp/none" foo)" "a directory that is not there"
    has "$tap_temp/none: No such file" "$(stderr)" "it is named"

    (make_tricky_folder)
    counts_as_grep "tricky files" "$tap_temp/tricky" foo a aa foo_bar _foo _ __ bar 42 FOO absent foo \
        "$(printf %0255d 0)"
    printf 'foo\0foo\n' >"$tap_temp/tricky/binary"
    is 0 "$(status "$examples/wordcount" "$tap_temp/tricky" foo)" "a binary file is fine"
    has "binary files skipped: 1" "$(stdout)" "it is reported"
    mkdir "$tap_temp/nothing"
    is 0 "$(status "$examples/wordcount" "$tap_temp/nothing" foo)" "an empty directory"
    has "         0  foo" "$(stdout)" "it holds no word"
}

# Reads of a process's memory fail at address 0, for root too.
check_unreadable() {
    mkdir "$tap_temp/unreadable" && ln -s /proc/self/mem "$tap_temp/unreadable/memory"
    is 1 "$(status "$examples/wordcount" "$tap_temp/unreadable" foo)" "a file that cannot be read"
    has "cannot read memory: " "$(stderr)" "it is named"
    is "" "$(stdout)" "no count is shown"
}

check_licenses() {
    if [ -d /usr/share/common-licenses ]; then
        counts_as_grep "common-licenses" /usr/share/common-licenses the GPL License copyright
    else
        skip "no /usr/share/common-licenses"
    fi
}

check_sum() {
    start='usage: sum \[COUNT\]'
    for count in "" abc -1 0 1.5 1e6 16m 1KK "1 " " 1" 99999999999999999999; do
        is_refused "sum '$count'" "$examples/sum" "$count"
    done
    is_refused "two counts" "$examples/sum" 1 2
    is 1 "$(status "$examples/sum" 1000000000M)" "more than any memory"
    for count in 1 1000 1048576 1048577 3000K 4M; do
        is 0 "$(status "$examples/sum" "$count")" "sum $count"
        has "right: " "$(stdout)" "sum $count checks itself"
    done
    has "4 of 4 chunks" "$(stderr)" "the end is shown as progress"
    is 0 "$(status env SHAREDMEM_NP=1 "$examples/sum" 2M)" "one worker"
    one=$(sed -n 's/^sum \([^ ]*\).*/\1/p' "$tap_temp/stdout")
    is 0 "$(status env SHAREDMEM_NP=5 "$examples/sum" 2M)" "five workers"
    is "$one" "$(sed -n 's/^sum \([^ ]*\).*/\1/p' "$tap_temp/stdout")" "give the same sum"
    is 1 "$(status env SHAREDMEM_HEAP=16M "$examples/sum" 4M)" "a heap that is too small"
    has "no shared memory" "$(stderr)" "it is told"
}

# runs_right WAY PROGRAM COUNT: WAY is a variable of its environment, NAME=VALUE.
runs_right() {
    is 0 "$(status env "$1" "$examples/$2" "$3")" "$2 $3, $1: exit status 0"
    has "right: " "$(stdout)" "$2 $3, $1: checks itself"
}

# are_refused PROGRAM MAX: counts that are none, or more than MAX, are told.
are_refused() {
    for count in "" abc -1 0 1.5 1K "1 " " 1" $(($2 + 1)) 99999999999999999999; do
        is_refused "$1 '$count'" "$examples/$1" "$count"
    done
    is_refused "$1 with two counts" "$examples/$1" 1 2
}

check_integrate() {
    start='usage: integrate \[STRIPS\]'
    are_refused integrate 1000000000000
    for way in $ways; do
        for count in 1 65536 65537 3000000; do
            runs_right "$way" integrate "$count"
            sums=$(sed -nE 's/^(returned|serial) *([0-9.]+) .*/\2/p' "$tap_temp/stdout" | sort -u | wc -l)
            is 1 "$sums" "integrate $count, $way: the returned sum has the serial one's digits"
        done
    done
}

# hellos ITEMS RANKS: what hello prints, from its second line on, without who did an item.
hellos() {
    seq -f 'item %g' 0 $(($1 - 1))
    seq -f 'rank %g' 0 $(($2 - 1))
    seq -f "rank %g has read $2 hellos" 0 $(($2 - 1))
}

check_hello() {
    start='usage: hello \[COUNT\]'
    are_refused hello 1000000
    for way in $ways; do
        ranks=1
        [ "$way" = SHAREDMEM_DEBUG=1 ] || ranks=${way#SHAREDMEM_NP=}
        runs_right "$way" hello 1
        runs_right "$way" hello 20
        is "$(hellos 20 "$ranks")" "$(sed -nE '/^(item|rank) /{s/ says.*//;p;}' "$tap_temp/stdout")" \
            "hello, $way: printed in order"
        is "hello from rank 0 of 1" "$(head -n 1 "$tap_temp/stdout")" "hello, $way: the program's rank and size"
        has "rank $((ranks - 1)) of $ranks" "$(stdout)" "hello, $way: the last rank's"
    done
}

check_list() {
    start='usage: list \[COUNT\]'
    are_refused list 100000000
    for way in $ways; do
        runs_right "$way" list 1
        runs_right "$way" list 20000
        has "the list has 20000 nodes" "$(stdout)" "list, $way: its length is told"
    done
    is 1 "$(status env SHAREDMEM_HEAP=16M "$examples/list" 1000000)" "a heap that is too small for the list"
    has "no shared memory for a node" "$(stderr)" "it is told"
    is "" "$(stdout)" "no list is shown"
}

# job RANKS PROGRAM [ARGUMENT]...: as status, of an example under smrrun.
job() {
    job_ranks=$1 job_program=$2
    shift 2
    status "$smrrun" -n "$job_ranks" "$examples/$job_program" "$@"
}

# is_refused_once RANKS PROGRAM ARGUMENT...: all ranks refuse the arguments, one of them tells.
is_refused_once() {
    is 2 "$(job "$@")" "$2 with $1 ranks: exit status 2"
    is 1 "$(grep -c "^$start" "$tap_temp/stderr")" "$2 with $1 ranks: one of them says what to type"
}

# What the ranks of hello say, and the verdict.
job_hellos() {
    seq -f "hello from rank %g of $1" 0 $(($1 - 1))
    echo "right: all said hello in order"
}

check_hello_job() {
    start='usage: hello \[COUNT\]'
    is_refused_once 3 hello 0
    for ranks in 2 3 4 7; do
        is 0 "$(job "$ranks" hello)" "hello with $ranks ranks: exit status 0"
        is "$(job_hellos "$ranks")" "$(stdout)" "hello with $ranks ranks: printed in order"
    done
    out_of_order=0
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        job 16 hello >"$tap_temp/status"
        [ "$(cat "$tap_temp/status")" = 0 ] && [ "$(job_hellos 16)" = "$(stdout)" ] ||
            out_of_order=$((out_of_order + 1))
    done
    is 0 "$out_of_order" "hello with 16 ranks, ten times: never out of order"
}

# What the last heat found, without who and how long.
heat_result() {
    sed -n -e 's/^\(.* points\), ranks: [0-9]*, /\1, /p' -e '/^change/p' -e '/^checksum/p' "$tap_temp/stdout"
}

# heat_is_same [N [STEPS]]: every bit, for any number of ranks.
heat_is_same() {
    is 0 "$(status "$examples/heat" -c "$@")" "heat $*, alone: exit status 0"
    has "right: a serial run" "$(stdout)" "heat $*, alone: as a serial run"
    alone=$(heat_result)
    is 3 "$(echo "$alone" | wc -l)" "heat $*, alone: points, change and checksum are told"
    for ranks in 2 3 4 7; do
        is 0 "$(job "$ranks" heat "$@")" "heat $*, $ranks ranks: exit status 0"
        is "$alone" "$(heat_result)" "heat $*, $ranks ranks: every bit as alone"
        has "ranks: $ranks," "$(stdout)" "heat $*, $ranks ranks: so many are told"
    done
}

check_heat() {
    start='usage: heat \[-c\] \[N \[STEPS\]\]'
    for number in "" abc -1 0 1.5 1K "9 " " 9" 1000000001 99999999999999999999; do
        is_refused "heat '$number'" "$examples/heat" "$number"
        is_refused "heat 10 '$number'" "$examples/heat" 10 "$number"
    done
    is_refused "heat of 2 points" "$examples/heat" 2
    is_refused "heat of too many points" "$examples/heat" 100001
    is_refused "heat with three numbers" "$examples/heat" -c 10 10 10
    is_refused "heat with an unknown option" "$examples/heat" -d
    is_refused_once 3 heat abc

    heat_is_same 3
    heat_is_same 4 1
    heat_is_same 40 100000
    has "at rest after " "$alone" "heat 40 100000: comes to rest"
    heat_is_same 501 20
    has "stopped after 20 steps" "$alone" "heat 501 20: is stopped"
    is 0 "$(job 4 heat -c 100 100)" "heat -c with 4 ranks: exit status 0"
    has "right: a serial run" "$(stdout)" "heat -c with 4 ranks: as a serial run"

    is 1 "$(status env SHAREDMEM_HEAP=16M "$examples/heat" 2000)" "a heap that is too small for heat"
    has "no shared memory for 2000 x 2000 points" "$(stderr)" "it is told"
    is "" "$(stdout)" "no result is shown"
    SHAREDMEM_HEAP=16M && export SHAREDMEM_HEAP
    is 1 "$(job 3 heat 2000)" "with 3 ranks: exit status 1"
    is 1 "$(grep -c "no shared memory for" "$tap_temp/stderr")" "with 3 ranks: one of them tells"
    unset SHAREDMEM_HEAP
}

check_halo() {
    start='usage: halo \[N \[STEPS\]\]'
    for number in "" abc -1 0 2 1.5 1K "9 " 100001 99999999999999999999; do
        is_refused "halo '$number'" "$examples/halo" "$number"
    done
    is_refused "halo with three numbers" "$examples/halo" 10 10 10
    is_refused "halo with no steps" "$examples/halo" 10 0
    is_refused_once 3 halo abc
    is_refused_once 7 halo 8
    for size in 3 40 300; do
        is 0 "$(status "$examples/halo" $size 30)" "halo $size alone: exit status 0"
        has "right: both give the same bits" "$(stdout)" "halo $size alone: checks itself"
    done
    for ranks in 2 3 4 7; do
        for size in 9 40 500; do
            is 0 "$(job "$ranks" halo $size 31)" "halo $size with $ranks ranks: exit status 0"
            has "right: both give the same bits" "$(stdout)" "halo $size with $ranks ranks: checks itself"
        done
    done
}

check_ring() {
    start='usage: ring'
    is_refused "ring with an argument" "$examples/ring" 1
    is_refused_once 3 ring 1
    is 0 "$(status "$examples/ring")" "ring alone: exit status 0"
    has "right: " "$(stdout)" "ring alone: checks itself"
    for ranks in 2 3 4 7; do
        is 0 "$(job "$ranks" ring)" "ring with $ranks ranks: exit status 0"
        has "right: 1000 rounds of $ranks ranks" "$(stdout)" "ring with $ranks ranks: checks itself"
    done
}

# What does not depend on who did it: number, steps, and the bits of all stars.
nbody_result() {
    sed -n -e 's/^\(.* stars\), ranks: [0-9]*, /\1, /p' -e '/^checksum/p' "$tap_temp/stdout"
}

check_nbody() {
    start='usage: nbody \[N \[STEPS\]\]'
    for number in "" abc -1 0 1.5 "9 " " 9" +9 1000001 99999999999999999999; do
        is_refused "nbody '$number'" "$examples/nbody" "$number"
        is_refused "nbody 10 '$number'" "$examples/nbody" 10 "$number"
    done
    is_refused_once 3 nbody abc
    for number in 1 5 200; do
        is 0 "$(status "$examples/nbody" $number 10)" "nbody $number, alone: exit status 0"
        has "right: " "$(stdout)" "nbody $number, alone: checks itself"
        alone=$(nbody_result)
        is 2 "$(echo "$alone" | wc -l)" "nbody $number, alone: stars and checksum are told"
        for ranks in 2 3 7; do
            is 0 "$(job "$ranks" nbody $number 10)" "nbody $number, $ranks ranks: exit status 0"
            is "$alone" "$(nbody_result)" "nbody $number, $ranks ranks: every bit as alone"
        done
    done
}

# The sums of montecarlo, in all bits: one line.
sums() {
    sed -nE 's/^(ranks|workers|serial) *//p' "$tap_temp/stdout" | sort -u
}

check_montecarlo() {
    start='usage: montecarlo \[SAMPLES\]'
    are_refused montecarlo 1000000000000
    is_refused_once 3 montecarlo 0
    runs_right SHAREDMEM_NP=1 montecarlo 300001
    first=$(sums)
    for way in $ways; do
        runs_right "$way" montecarlo 300001
        is "$first" "$(sums)" "montecarlo, $way: all sums have the same bits"
    done
    for ranks in 2 3 7 16; do
        is 0 "$(job "$ranks" montecarlo 300001)" "montecarlo with $ranks ranks: exit status 0"
        has "right: " "$(stdout)" "montecarlo with $ranks ranks: checks itself"
        is "$first" "$(sums)" "montecarlo with $ranks ranks: all sums have the same bits"
    done
    runs_right SHAREDMEM_NP=2 montecarlo 1
}

# What does not depend on who counted.
histogram_result() {
    sed -n -e 's/^\(.* values\), ranks: .*/\1/p' -e '/^0\.[0-9]* /p' "$tap_temp/stdout"
}

check_histogram() {
    start='usage: histogram \[N\]'
    are_refused histogram 1000000000
    is_refused_once 3 histogram 0
    for number in 1 5 300000; do
        is 0 "$(status "$examples/histogram" $number)" "histogram $number, alone: exit status 0"
        has "right: " "$(stdout)" "histogram $number, alone: checks itself"
        alone=$(histogram_result)
        is 17 "$(echo "$alone" | wc -l)" "histogram $number, alone: 16 bars are shown"
        runs_right SHAREDMEM_DEBUG=1 histogram $number
        for ranks in 2 3 7 16; do
            is 0 "$(job "$ranks" histogram $number)" "histogram $number, $ranks ranks: exit status 0"
            is "$alone" "$(histogram_result)" "histogram $number, $ranks ranks: the same counts as alone"
        done
    done
    is 1 "$(status env SHAREDMEM_HEAP=16M "$examples/histogram")" "a heap that is too small for histogram"
    has "no shared memory for 4000000 values" "$(stderr)" "it is told"
}

begin 180
examples=$tap_build/examples
smrrun=$tap_build/smrrun
ways="SHAREDMEM_NP=1 SHAREDMEM_NP=2 SHAREDMEM_NP=8 SHAREDMEM_DEBUG=1"
[ -x "$examples/sum" ] || skip_all "nothing is built in $examples"

check_wordcount
check_unreadable
check_licenses
check_sum
check_integrate
check_hello
check_hello_job
check_list
check_heat
check_ring
check_halo
check_nbody
check_montecarlo
check_histogram
is "" "$(left_behind)" "no process is left"
finish
