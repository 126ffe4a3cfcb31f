#!/bin/sh
# Bad input: one line that says what to type instead, the right status, and nothing is started.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# is_refused STATUS PATTERN ARGUMENT...: smrrun says one line of its own, and the file "started" is not there,
# which the arguments would make if they were taken.
is_refused() {
    refused_status=$1 refused_pattern=$2
    shift 2
    refused_name="smrrun $(printf '%.60s' "$*")"
    gives "$refused_status" "$refused_name" "$smrrun" "$@"
    says "^smrrun: .*$refused_pattern" "$refused_name: one line"
    ok "$refused_name: prints and starts nothing" not test -s out -o -e started
    rm -f started
}

check_numbers() {
    for number in 0 -1 abc 2x '' 100000 99999999999999999999 4.0 0x4 +4 4097; do
        is_refused 125 "-n .*give 1 to 4096, as in: smrrun -n 4" -n "$number" touch started
    done
    is_refused 125 "-n" -n0 touch started
    is_refused 125 "--ntasks" --ntasks=abc touch started
    is_refused 125 "-np" -np two touch started
    is_refused 125 "-t" -t 0 touch started
    is_refused 125 "-n needs a value" -n
    is_refused 125 "--timeout" --timeout soon touch started
    is_refused 125 "--grace" --grace -1 touch started
    is_refused 125 "--heap" --heap 1K touch started
    is_refused 125 "--bind-to" --bind-to everything touch started
    is_refused 125 "-x" -x 1=2 touch started
    is_refused 125 "SHAREDMEM_RANK" -x SHAREDMEM_RANK=2 touch started
}

check_options() {
    is_refused 125 "unknown option --frobnicate" --frobnicate touch started
    is_refused 125 "did you mean --timeout" --timeuot 5 touch started
    is_refused 125 "unknown option -Z" -Z touch started
    is_refused 125 "--threads or --timeout" --t 5 touch started
    is_refused 125 "-w nowhere" -w nowhere touch started
    : >file
    is_refused 125 "-w file" -w file touch started
    is_refused 125 "node7.example does not name this host" -H node7.example touch started
    is_refused 125 "nowhere, cannot be read: No such file" -hostfile nowhere touch started
    is_refused 125 "cannot be read: it is no plain file" -machinefile . touch started
    SHAREDMEM_OPTS='--frobnicate' && export SHAREDMEM_OPTS
    is_refused 125 "SHAREDMEM_OPTS: unknown option --frobnicate" touch started
    unset SHAREDMEM_OPTS
}

# Lists of hosts say how many, where they count; and are told of where others are in them too.
check_hosts() {
    printf '# ours\nlocalhost slots=2\n%s.somewhere slots=1 max_slots=4\nother:4\n' "$(uname -n)" >hosts
    gives 0 "a file of hosts" "$smrrun" -q -hostfile hosts sh -c 'echo "$SHAREDMEM_SIZE"'
    is "3 3 3" "$(tr '\n' ' ' <out | sed 's/ $//')" "counts the slots of this one"
    gives 0 "one that is named twice" "$smrrun" -q -H "localhost,$(uname -n)" sh -c 'echo "$SHAREDMEM_SIZE"'
    is "2 2" "$(tr '\n' ' ' <out | sed 's/ $//')" "has two slots"
    gives 0 "-n and a list" "$smrrun" -q -n 1 -H localhost:5 sh -c 'echo "$SHAREDMEM_SIZE"'
    is 1 "$(cat out)" "-n counts"
    gives 0 "several hosts" "$smrrun" -H localhost:1,other:1 true
    says "^smrrun: the job has 2 nodes, and smrrun uses this one" "are told of"
    SHAREDMEM_OPTS='-l -n 2' && export SHAREDMEM_OPTS
    gives 0 "SHAREDMEM_OPTS" "$smrrun" echo a
    unset SHAREDMEM_OPTS
    is "[0] a [1] a" "$(sort out | tr '\n' ' ' | sed 's/ $//')" "has options"
}

# executable NAME: makes a file that may be executed of what it is given.
executable() {
    cat >"$1"
    chmod +x "$1"
}

check_programs() {
    is_refused 125 "no program" -n 4
    is_refused 127 "empty" -n 4 ''
    is_refused 127 "no-such-program: not found in PATH" -n 4 no-such-program
    is_refused 127 "\\./none: not found" -n 4 ./none
    is_refused 127 "/none/of/it: not found" -n 4 /none/of/it
    gives 127 "a name with characters that a terminal would obey" \
        "$smrrun" -n 4 "$(printf 'no-such\033[2J\nprog')"
    says "^smrrun: no-such\\?\\[2J prog: not found" "is told without them"
    mkdir folder
    is_refused 126 "folder: is a folder" -n 4 ./folder
    echo 'touch started' >plain
    is_refused 126 "plain: is not executable; as in: chmod \\+x" -n 4 ./plain
    is_refused 127 "plain: not found; for a program in this folder type \\./plain" -n 4 plain
    echo 'touch started' | executable no-header
    is_refused 126 "no-header: has no #! line" -n 4 ./no-header
    printf '#!/no/such/interpreter\ntouch started\n' | executable bad-interpreter
    is_refused 126 "bad-interpreter: its interpreter /no/such/interpreter cannot be run" \
        -n 4 ./bad-interpreter
    printf '#!\ntouch started\n' | executable no-interpreter
    is_refused 126 "no-interpreter: its #! line names no interpreter" -n 4 ./no-interpreter
    printf '#!/bin/sh\r\ntouch started\r\n' | executable windows
    is_refused 126 "windows: has lines that end as on Windows" -n 4 ./windows
    : | executable empty
    is_refused 126 "empty: is empty" -n 4 ./empty
    printf '\177ELF\002\001\001%09d\002\000\377\377garbage' 0 | executable broken
    gives 126 "a broken program" "$smrrun" -n 4 ./broken
    says '^smrrun: ' "a broken program: one line"
}

# closed NAME STATUS: the line is where something is open.
closed() {
    is 125 "$2" "closed $1"
    is 1 "$(cat out err | wc -l)" "closed $1: one line"
    ok "closed $1: says what to type" \
        grep -q "^smrrun: standard $1 is closed; give it a file, as in: smrrun " out err
    ok "closed $1: nothing is started" not test -e started
}

check_closed() {
    : >out
    : >err
    "$smrrun" -n 2 touch started <&- >out 2>err
    closed input $?
    : >out
    "$smrrun" -n 2 touch started >&- 2>err
    closed output $?
    : >err
    "$smrrun" -n 2 touch started >out 2>&-
    closed error $?
    "$smrrun" -n 2 touch started <&- >&- 2>&-
    is 125 $? "all three closed"
    ok "all three closed: nothing is started" not test -e started
}

# For more files than may be open, also where the hard limit forbids to raise that.
check_files() {
    gives 125 "ulimit -n 40 and 100 ranks" sh -c 'ulimit -n 40; exec "$0" -n 100 touch started' "$smrrun"
    says '^smrrun: 100 ranks need about [0-9]+ open files, .* 40; raise ulimit -n, or give a smaller -n$' \
        "ulimit -n 40 and 100 ranks: one line"
    ok "ulimit -n 40 and 100 ranks: nothing is started" not test -e started
    gives 0 "a soft limit is raised" sh -c 'ulimit -S -n 40; exec "$0" -n 100 true' "$smrrun"
    # Anything between too few for pipes and just enough for all.
    for limit in 8 10 12 14 16 20 24 28 32 36; do
        sh -c 'ulimit -n '$limit'; exec "$0" -n 4 touch started' "$smrrun" >out 2>err
        files_status=$?
        if [ "$files_status" != 0 ]; then
            is 125 "$files_status" "ulimit -n $limit and 4 ranks"
            says '^smrrun: .*(ulimit -n|open files)' "ulimit -n $limit and 4 ranks: one line"
            ok "ulimit -n $limit and 4 ranks: nothing is started" not test -e started
        fi
        rm -f started
    done
}

# Processes of a user: root is not held by the limit, so it is another's, of whom nothing else may run.
check_processes() {
    mkdir shared
    cd shared || exit 1
    if ! other_user; then
        skip "not root, or another user cannot use the build folder"
        cd ..
        return
    fi
    for limit in 1 2 5 20; do
        gives 125 "ulimit -u $limit and 30 ranks" as_other --nproc=$limit "$smrrun" -n 30 sh -c ": >>started"
        says '^smrrun: 30 ranks are more than .*raise ulimit -u' "ulimit -u $limit and 30 ranks: one line"
        ok "ulimit -u $limit and 30 ranks: nothing is started" not test -e started
        none_left "ulimit -u $limit and 30 ranks: nothing is left"
        rm -f started
    done
    cd ..
}

begin_smrrun 60
check_numbers
check_options
check_hosts
check_programs
check_closed
check_files
check_processes
none_left "no process is left"
finish
