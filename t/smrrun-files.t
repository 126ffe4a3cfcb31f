#!/bin/sh
# Where ranks print to and read from: -o, -e, --timestamps, --stdin. Files are made before anything starts.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

both='echo "out $SHAREDMEM_RANK"; echo "err $SHAREDMEM_RANK" >&2'

check_own_files() {
    gives 0 "a file for each rank" "$smrrun" -n 3 -o 'new/folder/out.%r' sh -c "$both"
    prints "" "nothing is printed here"
    says "" "nor on stderr"
    is "err 2 out 2" "$(sort new/folder/out.2 | tr '\n' ' ' | sed 's/ $//')" "both streams are in it"
    is 3 "$(ls new/folder | wc -l)" "three of them"
    gives 0 "with digits, and stderr apart" "$smrrun" -n 2 -o 'o.%3r' -e 'e.%%.%t' sh -c "$both"
    is "out 1" "$(cat o.001)" "stdout"
    is "err 1" "$(cat e.%.1)" "stderr"
    gives 0 "stderr alone" "$smrrun" -n 2 -e 'only.%r' sh -c "$both"
    is "out 0 out 1" "$(sort out | tr '\n' ' ' | sed 's/ $//')" "stdout comes here"
    is "err 0" "$(cat only.0)" "stderr does not"
    echo old >again.0
    gives 0 "once more" "$smrrun" -n 1 -o 'again.%r' echo new
    is new "$(cat again.0)" "a file begins anew"
    gives 0 "relative paths, with -w" "$smrrun" -n 1 -w / -o 'here.%r' pwd
    is / "$(cat here.0)" "count from here"
    gives 3 "a rank that fails" "$smrrun" -n 1 -o 'fails.%r' sh -c 'echo text; exit 3'
    is text "$(cat fails.0)" "has printed all the same"
}

check_one_file() {
    gives 0 "one file for all" "$smrrun" -n 3 -l -o all sh -c "$both"
    is 6 "$(wc -l <all)" "has all lines"
    is 3 "$(grep -c '^\[[012]\] err [012]$' all)" "with labels"
    prints "" "nothing is printed here"
    gives 0 "one for each stream" "$smrrun" -n 2 -o first -e second sh -c "$both"
    is "out 0 out 1" "$(sort first | tr '\n' ' ' | sed 's/ $//')" "stdout"
    is "err 0 err 1" "$(sort second | tr '\n' ' ' | sed 's/ $//')" "stderr"
    gives 0 "one rank" "$smrrun" -n 1 -o alone sh -c "$both"
    is 2 "$(wc -l <alone)" "is no different"
    gives 3 "what smrrun itself says" "$smrrun" -n 2 -o quiet sh -c 'exit 3'
    says "^smrrun: ranks? [01]" "is not in it"
}

# is_refused PATTERN ARGUMENT...: one line, and nothing is started.
is_refused() {
    refused=$1
    shift
    gives 125 "$*" "$smrrun" -n 2 "$@" touch started
    says "^smrrun: $refused" "it says why"
    ok "nothing is started" not test -e started
}

check_refused() {
    : >file
    is_refused "cannot make file/out.%r for rank 0: Not a directory" -o 'file/out.%r'
    is_refused "cannot make .: Is a directory" -o .
    is_refused "cannot make /proc/none: No such file" -e /proc/none
    is_refused "--stdin 2: there are ranks 0 to 1; give one of them, or none" --stdin 2
}

check_timestamps() {
    stamp='^20[0-9][0-9]-[01][0-9]-[0-3][0-9] [0-2][0-9]:[0-5][0-9]:[0-6][0-9]\.[0-9][0-9][0-9]'
    gives 0 "--timestamps" "$smrrun" -n 2 --timestamps echo a
    is 2 "$(grep -c "$stamp a\$" out)" "each line begins with date and time"
    gives 0 "with labels" "$smrrun" -n 2 --timestamps -l sh -c 'printf "a\nb"'
    is 4 "$(grep -c "$stamp \[[01]\] [ab]\$" out)" "which come behind"
    gives 0 "with labels into a file" "$smrrun" -n 2 --timestamps -l -o stamped sh -c "$both"
    is 4 "$(grep -Ec "$stamp \[([01])\] (out|err) \1\$" stamped)" "of both streams"
    prints "" "and nothing is printed here"
    gives 0 "of one rank" "$smrrun" -n 1 --timestamps echo a
    is 1 "$(grep -c "$stamp a\$" out)" "too"
}

check_stdin() {
    echo text >input
    gives 0 "--stdin 1" "$smrrun" -n 2 -l --stdin 1 cat <input
    prints "[1] text" "that rank reads"
    gives 0 "--stdin none" "$smrrun" -n 2 -l --stdin none cat <input
    prints "" "nobody does"
    gives 0 "of one rank" "$smrrun" -n 1 --stdin none cat <input
    prints "" "nor that one"
}

begin_smrrun 60
check_own_files
check_one_file
check_refused
check_timestamps
check_stdin
finish
