#!/bin/sh
# The examples do what they say: wordcount counts as grep -ow does, the others check themselves, and bad
# arguments are told.
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
        has "program says hello: rank 0 of 1" "$(stdout)" "hello, $way: the program's rank and size"
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

begin 120
examples=$tap_build/examples
ways="SHAREDMEM_NP=1 SHAREDMEM_NP=2 SHAREDMEM_NP=8 SHAREDMEM_DEBUG=1"
[ -x "$examples/sum" ] || skip_all "nothing is built in $examples"

check_wordcount
check_unreadable
check_licenses
check_sum
check_integrate
check_hello
check_list
is "" "$(left_behind)" "no process is left"
finish
