#!/bin/sh
# Signals of a job: whichever way they come, each reaches each rank once; and whoever runs smrrun, a script or a
# loop, keeps its input, its process group and its life. t/smrrun-tty.t has more of the keys.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# The key that sends a signal; nothing where there is none.
key_of() {
    case $1 in
    INT) echo 'press:^C' ;;
    QUIT) echo 'press:^\' ;;
    TSTP) echo 'press:^Z' ;;
    WINCH) echo 'size' ;;
    esac
}

# on_way WAY SIGNAL COMMAND...: the command on a terminal, whose three ranks say that they are ready; then it gets
# the signal that way. steps: what else is done then. Sets sent_status, and what is seen is in out.
on_way() {
    on_way=$1 on_signal=$2
    shift 2
    case $on_way in
    key) send=$(key_of "$on_signal") ;;
    pid) send=kill:$on_signal ;;
    group) send=group:$on_signal ;;
    # By this timeout(1) thinks that the time is over.
    timeout)
        send=kill:ALRM
        set -- timeout -s "$on_signal" 1000 "$@"
        ;;
    esac
    # shellcheck disable=SC2086
    "$tap_build/t/terminal" see:3:ready "$send" $steps -- "$@" >out 2>err
    sent_status=$?
}

# each_got SIGNAL NAME: each of three ranks says that it got it once, and nothing besides but SIGCONT, which
# timeout(1) sends behind.
each_got() {
    is "$(seq -f "rank %g: $1 1" 0 2)" "$(sed 's/^\^.//' out | grep '^rank' | grep -v CONT | sort)" \
        "$2: each rank got it once"
}

# The status that ends well, by the way.
well() {
    if [ "$1" = timeout ]; then echo 124; else echo 0; fi
}

check_once() {
    for signal in INT TERM HUP USR1 USR2 WINCH; do
        for way in key pid group timeout; do
            [ "$way" != key ] || [ -n "$(key_of $signal)" ] || continue
            steps=
            on_way $way $signal "$smrrun" -n 3 "$rank" signals 50
            each_got $signal "$signal by $way"
            is "$(well $way)" "$sent_status" "$signal by $way: ranks that take it can end well"
        done
    done
}

# The launcher is seen to stop, and goes on. By the time that files are there the ranks have counted what came.
check_stop() {
    for way in key pid group; do
        rm -f stopped.*
        steps="stopped there:stopped.0 there:stopped.1 there:stopped.2 fg"
        on_way $way TSTP "$smrrun" -n 3 "$rank" signals 50 stopped
        each_got TSTP "TSTP by $way"
        is 0 "$sent_status" "TSTP by $way: behind fg it ends well"
    done
    steps=
    on_way timeout TSTP "$smrrun" -n 3 "$rank" signals 50
    # Behind it timeout(1) sends SIGCONT, with which it may be gone before a rank has seen it.
    is "3 0" "$(grep -c '^rank.*CONT 1' out) $(grep -c 'TSTP [2-9]' out)" "TSTP by timeout: no rank got it twice"
    on_way pid CONT "$smrrun" -n 3 "$rank" signals 50
    is "$(seq -f "rank %g: CONT 1" 0 2)" "$(grep '^rank' out | sort)" "CONT by pid: each rank got it once"
    # Ranks that stop are let go on by whoever lets the launcher go on.
    for way in pid group; do
        steps="stopped $([ $way = pid ] && echo "kill:CONT kill:TSTP kill:CONT" || echo fg)"
        on_way $way TSTP "$smrrun" -n 3 sh -c 'echo ready; sleep 0.2; echo on'
        is 3 "$(grep -c '^on' out)" "TSTP by $way: ranks that stop go on"
        is 0 "$sent_status" "TSTP by $way: and end well"
    done
}

# It is no signal for ranks: they start with it ignored.
check_report() {
    for way in key pid group timeout; do
        # The second one would be ^C, which ends all.
        steps="see:job: press:^C"
        [ $way = timeout ] && steps="see:job: group:INT"
        on_way $way QUIT "$smrrun" -n 3 sh -c 'echo ready; exec sleep 100'
        is 1 "$(grep -c 'once more within 2 s' out)" "QUIT by $way: one report"
        ok "QUIT by $way: and the job went on until it was ended" test "$sent_status" -ge 124
        ok "QUIT by $way: nobody is left" soon nobody_is_left
    done
}

# ---- Who runs it ----

check_loops() {
    seq 5 >numbers
    for n in 1 2; do
        while read -r number; do
            "$smrrun" -n $n sh -c 'echo "$0"' "$number" 2>>err
        done <numbers >out
        is "$(for number in $(seq 5); do yes "$number" | head -n $n; done)" "$(cat out)" \
            "a loop around $n ranks that read nothing keeps its input"
    done
    while read -r number; do
        "$smrrun" -n 2 --stdin none cat
        echo "$number"
    done <numbers >out
    prints "$(cat numbers)" "--stdin none keeps it from ranks that would read"
    {
        "$smrrun" -n 2 head -c 2
        cat
    } <numbers >out
    prints "$(cat numbers)" "what rank 0 leaves is for who comes next"
}

# A shell without job control, as scripts are: all in one process group, which nobody leaves or signals.
check_scripts() {
    start sh -c '
        trap "echo script was hit" TERM HUP USR1
        group() { cut -d " " -f 5 /proc/self/stat; }
        group
        "$0" -n 2 sh -c "cut -d \" \" -f 5 /proc/self/stat"
        "$0" -n 3 sh -c "[ \$SHAREDMEM_RANK = 1 ] && exit 3; exec sleep 60"
        echo status $?
        "$0" --timeout 100ms --grace 100ms -n 2 "$1" stubborn >/dev/null
        echo status $?
        for signal in USR1 TERM; do
            : >up
            "$0" -n 2 sh -c "echo >>up; exec sleep 60" &
            until [ "$(wc -l <up)" = 2 ]; do sleep 0.01; done
            kill -$signal $!
            wait $!
            echo status $?
        done
        echo done' "$smrrun" "$rank"
    ends 0 "a script around jobs that fail, take too long, and are told to end"
    prints "$(printf '%s\n' $job $job $job \
        'status 3' 'status 124' 'status 138' 'status 143' 'done')" "all are in its group, and it is not hit"
    none_left "nobody is left"
}

begin_smrrun 120
# The search for leaks stops a rank that ends, and hangs where it gets a SIGCONT then.
ASAN_OPTIONS=$ASAN_OPTIONS:detect_leaks=0
check_once
check_stop
check_report
check_loops
check_scripts
none_left "no process is left"
finish
