#!/bin/sh
# Much output, slow readers and readers that are gone: smrrun passes on what it can, in little memory, keeps ranks
# from running ahead, and goes on watching over them. It sets nothing on files that it shares with others.
#
# The other rules of output, and where they are tested:
#     whole lines, pieces, "\r", more than 64 KiB        t/smrrun-line.c, t/smrrun-output.c
#     a prompt after 100 ms, a row of dots               t/smrrun-output.c; on smrrun's terminal t/smrrun-tty.c
#     many ranks: fair, in order, none torn              t/smrrun-output-ranks.c, t/smrrun-run.t
#     stdout and stderr apart and together               t/smrrun-run.t, t/smrrun-output.c
#     -l, --timestamps, -o, -e                           t/smrrun-run.t, t/smrrun-files.t
#     ranks' stdout is a pipe, no terminal; no fd leaks  t/smrrun-anchors.t, t/spawn-fds.c
#     Ctrl-S                                             t/smrrun-tty.c
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# What ranks source. Rank 0 notes what the two processes of the launcher have had at most, in kB, before anybody
# prints and when all have printed; the others wait for it.
write_peaks() {
    cat >peaks.sh <<'END'
peak() {
    face=$(sed -n 's/^PPid:[^0-9]*//p' "/proc/$PPID/status")
    for process in "$face" "$PPID"; do
        sed -n 's/^VmHWM:[^0-9]*\([0-9]*\).*/\1/p' "/proc/$process/status"
    done | tr '\n' ' '
}
await() {
    until [ -e "$1" ]; do sleep 0.01; done
}
begin_peak() {
    [ "$SHAREDMEM_RANK" != 0 ] || { peak >before; echo >begun; }
    await begun
}
end_peak() {
    echo >"done.$SHAREDMEM_RANK"
    rank=$SHAREDMEM_SIZE
    while [ "$SHAREDMEM_RANK" = 0 ] && [ "$rank" -gt 0 ]; do
        rank=$((rank - 1))
        await "done.$rank"
    done
    [ "$SHAREDMEM_RANK" != 0 ] || peak >after
}
END
}

# grew_by AT_MOST NAME: neither process of the launcher took so many kB more.
grew_by() {
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "sanitizers keep what is freed"
    else
        # shellcheck disable=SC2046
        set -- "$1" "$2" $(cat before) $(cat after)
        is 6 $# "$2: memory is known"
        ok "$2: it takes no more than $1 kB ($3 and $4, then $5 and $6)" \
            test $(($5 - $3 + $6 - $4)) -le "$1"
    fi
    rm -f begun before after done.*
}

# volume N COMMAND: four ranks print 100 MB by it.
volume() {
    gives 0 "100 MB of $1" sh -c '"$0" -n 4 sh -c "$1" | wc -c' "$smrrun" ". ./peaks.sh; begin_peak; $2; end_peak"
    prints 100000000 "100 MB of $1: all come"
    grew_by 16384 "100 MB of $1"
}

check_volume() {
    volume "short lines" 'yes "$(printf %099d 0)" | head -c 25000000'
    volume "lines of 70 kB" 'yes "$(printf %069999d 0)" | head -c 25000000'
    volume "one line" 'head -c 25000000 /dev/zero'
    # What may be held back at most: 64 KiB for each rank, and a buffer for the lines on their way.
    gives 0 "64 ranks with a long piece each" "$smrrun" -n 64 sh -c \
        '. ./peaks.sh; begin_peak; head -c 65000 /dev/zero; end_peak'
    is $((64 * 65000)) "$(wc -c <out)" "64 ranks with a long piece each: all come"
    grew_by $((64 * 64 + 1024)) "64 ranks with a long piece each"
}

check_many_ranks() {
    gives 0 "256 ranks" "$smrrun" -n 256 sh -c '[ $SHAREDMEM_RANK != 255 ] || { . ./peaks.sh; peak; }'
    # shellcheck disable=SC2046
    set -- $(cat out)
    is 2 $# "256 ranks: the memory of both processes is known"
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "sanitizers take more memory"
    else
        ok "256 ranks: face and keeper have at most 24 MiB together ($1 and $2 kB)" test $(($1 + $2)) -le 24576
    fi
}

# ---- Readers ----

# Reads little now and then; later nothing, until all ranks are gone.
read_slowly() {
    for _ in 1 2 3 4 5; do
        dd bs=1000 count=1 2>/dev/null
        sleep 0.02
    done
    echo >fail
    soon test -e ended
    cat
}

check_slow_reader() {
    rm -f fail ended
    {
        "$smrrun" -n 4 sh -c '
            [ $SHAREDMEM_RANK != 3 ] || { until [ -e fail ]; do sleep 0.01; done; exit 5; }
            exec yes line' 2>err
        echo $? >status
    } | read_slowly >out &
    # Nobody reads, and the face must wait; the keeper need not.
    soon test -e fail
    soon no_yes && echo >ended
    wait
    ok "a slow reader: ranks end while nobody reads" test -e ended
    is 5 "$(cat status)" "a slow reader: the job's status"
    says '^smrrun: rank 3 .*status 5' "a slow reader: one line"
    ok "a slow reader: whole lines to the end" not grep -qv '^line$' out
    # Each rank's pipe, the reader's, and what the launcher has.
    ok "a slow reader: ranks did not run ahead ($(wc -c <out) bytes)" \
        test "$(wc -c <out)" -le $((5 * 65536 + 400 * 1024))
    none_left "a slow reader: nothing is left"
}

no_yes() {
    for process in $(left_behind); do
        ! grep -qx yes "/proc/$process/comm" 2>/dev/null || return 1
    done
}

check_closed_readers() {
    {
        "$smrrun" -n 3 sh -c 'while echo error >&2; do :; done' 2>&1 >out
        echo $? >status
    } | head -n 1 >err
    is 141 "$(cat status)" "the reader of stderr ends: by SIGPIPE"
    is error "$(cat err)" "the reader of stderr ends: quietly"
    {
        "$smrrun" -n 3 --grace 100ms sh -c 'trap "" TERM PIPE; while :; do echo line 2>/dev/null; done' 2>err
        echo $? >status
    } | head -n 1 >out
    is 141 "$(cat status)" "ranks that ignore SIGPIPE and SIGTERM: by SIGPIPE all the same"
    none_left "readers that end: nothing is left"
}

# ---- Files that others have too ----

# flags FD: of this shell's open file, in octal; 4000 in it is O_NONBLOCK.
flags() {
    sed -n 's/^flags:[^0-9]*//p' "/proc/$$/fdinfo/$1"
}

check_flags() {
    mkfifo shared
    for mode in "" end; do
        exec 8<>shared 9>out
        before=$(flags 8) file=$(flags 9)
        "$smrrun" -n 2 sh -c 'echo up >>up; [ "$0" = end ] || exec sleep 60' $mode <&8 >&8 2>&9 &
        job=$!
        soon has_lines 2 up
        is "$before $file" "$(flags 8) $(flags 9)" "while a job runs its files are as they were"
        [ -n "$mode" ] || kill -9 $job
        wait $job 2>/dev/null
        is "$before $file" "$(flags 8) $(flags 9)" "behind it too, ${mode:-killed}"
        exec 8<&- 9>&-
        rm -f up
    done
}

# Nothing of smrrun's own has colours, also on a terminal.
check_colours() {
    TERM=xterm-256color gives 3 "a job that tells much" "$tap_build/t/terminal" \
        see:2:ready 'press:^\' see:job: 'press:\n' -- \
        "$smrrun" -v --report-bindings -l -n 2 sh -c '
            echo ready
            [ $SHAREDMEM_RANK = 0 ] || exec sleep 60
            read -r key
            exit 3'
    ok "a job that tells much: without colours" not grep -q "$(printf '\033')" out
    ok "a job that tells much: tells it" has_lines 8 out
}

begin_smrrun 120
write_peaks
check_volume
check_many_ranks
check_slow_reader
check_closed_readers
check_flags
check_colours
none_left "no process is left"
finish
