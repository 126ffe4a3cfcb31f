# smrrun.sh: what the tests of the launcher have in common; sourced behind tap.sh.
#
#     begin_smrrun 60                              # as begin; $smrrun and $rank, and an empty folder to be in
#     gives 3 "the status" "$smrrun" -n 4 false    # runs the command, with its output in files out and err
#     says "smrrun: .*status 3" "the line"         # err is that one line, by an extended regular expression
#     start "$smrrun" -n 4 "$rank" wait            # in the background, as $job, leader of a session
#     ok "all run" soon has_lines 4 out            # waits for an event
#     ends 143 "status"                            # waits for $job's end
# shellcheck shell=sh disable=SC2034,SC2154

begin_smrrun() {
    begin "$1"
    smrrun=$tap_build/smrrun
    rank=$tap_build/t/rank
    [ -x "$smrrun" ] && [ -x "$rank" ] || skip_all "smrrun or t/rank is not built in $tap_build"
    mkdir "$tap_temp/here" "$tap_temp/tmp" && cd "$tap_temp/here" || exit 1
    # Nothing may be left in it; see nothing_new.
    TMPDIR=$tap_temp/tmp
    export TMPDIR
    # The sanitizers' own handlers would turn a signal's end into an exit.
    ASAN_OPTIONS=handle_segv=0:handle_abort=0:${ASAN_OPTIONS-}
    UBSAN_OPTIONS=handle_segv=0:handle_abort=0:${UBSAN_OPTIONS-}
    TSAN_OPTIONS=handle_segv=0:handle_abort=0:${TSAN_OPTIONS-}
    export ASAN_OPTIONS UBSAN_OPTIONS TSAN_OPTIONS
    # How often what may go wrong now and then is done; more by hand.
    rounds=${TEST_ROUNDS-}
}

# gives STATUS NAME COMMAND...: its output is in out and err.
gives() {
    gives_status=$1 gives_name=$2
    shift 2
    "$@" >out 2>err
    is "$gives_status" "$?" "$gives_name" ||
        tap_explain "stdout: $(head -c 1000 out)" "stderr: $(head -c 1000 err)"
}

# What is in err but for tracebacks.
without_traceback() {
    grep -Ev '^(  #[0-9]|     inlined in|  \.\.\. [0-9]+ more$)' err
}

# says PATTERN NAME: err is one line, a traceback aside, which matches; "" for none at all.
says() {
    if [ -z "$1" ]; then
        is "" "$(cat err)" "$2"
    elif [ "$(without_traceback | wc -l)" -eq 1 ] && grep -Eq -- "$1" err; then
        tap_result 0 "$2"
    else
        tap_result 1 "$2" || tap_explain "one line: $1" "     got: $(cat err)"
    fi
}

# prints TEXT NAME: out is that.
prints() {
    is "$1" "$(cat out)" "$2"
}

# soon COMMAND...: waits until it succeeds; fails after a generous time.
soon() {
    soon_end=$(($(date +%s) + 20 * ${TEST_TIME_SCALE:-1}))
    until "$@"; do
        [ "$(date +%s)" -lt "$soon_end" ] || return 1
        sleep 0.01
    done
}

# has_lines N FILE: N or more.
has_lines() {
    [ -e "$2" ] && [ "$(wc -l <"$2")" -ge "$1" ]
}

nobody_is_left() {
    [ -z "$(left_behind)" ]
}

# none_left NAME: nothing that the test started runs any more, as of now.
none_left() {
    is "" "$(left_behind)" "$1"
}

# What the launcher or ranks could have left in the usual places, by name; other tests' folders come and go.
leavings() {
    find /dev/shm /tmp -maxdepth 1 2>/dev/null | grep -Ei 'smrrun|sharedmem' | grep -v sharedmem-test
    ls -A "$tap_temp/tmp"
}

# start COMMAND...: in the background, as $job, in a session and process group of its own.
start() {
    # Here, so that nobody takes what the job before has said for this one's.
    : >out
    setsid "$@" >out 2>err </dev/null &
    job=$!
}

# ends STATUS NAME: that is how $job ends, in the words of the shell.
ends() {
    wait "$job" 2>/dev/null
    is "$1" "$?" "$2" || tap_explain "stdout: $(head -c 1000 out)" "stderr: $(head -c 1000 err)"
}

# children PID: one a line. Processes may go meanwhile.
children() {
    grep -s '^PPid:' /proc/[0-9]*/status | sed -n "s,^/proc/\([0-9]*\)/status:PPid:[^0-9]*$1\$,\1,p"
}

# The keeper of $job, once it calls itself so.
keeper() {
    for keeper_pid in $(children "$job"); do
        grep -qx smrrun-keeper "/proc/$keeper_pid/comm" && echo "$keeper_pid"
    done
}

# Sets keeper; not for ok, which would set it in a subshell.
has_keeper() {
    keeper=$(keeper)
    [ -n "$keeper" ]
}

# Whether commands can be run as another user, of whom nobody else runs anything: limits of processes don't hold root.
# Makes the current folder theirs too.
other_user() {
    other_uid=$((60000 + $$ % 5000))
    [ "$(id -u)" = 0 ] && chmod 755 "$tap_temp" && chmod 777 . &&
        as_other --nproc=1 test -x "$smrrun" 2>/dev/null
}

# as_other LIMIT COMMAND...: by that user, with a limit as prlimit(1) has it.
as_other() {
    # The search for leaks would need a thread.
    as_limit=$1
    shift
    ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 prlimit "$as_limit" \
        setpriv --reuid "$other_uid" --clear-groups "$@"
}
