#!/bin/sh
# What batch systems do to their jobs: how they end them, and what a job is started with.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# A job's script, as a batch system starts it: the leader of a session, which starts smrrun. Ranks ignore what can be
# ignored. The last one has a session of its own, and each has a daemon that has left its session and its parent.
script='
stubborn="trap \"\" TERM HUP INT; echo ready; while :; do sleep 10; done"
"$0" -n 3 sh -c "
    (setsid sh -c \"\$0\" &)
    [ \$SHAREDMEM_RANK != 2 ] || exec setsid sh -c \"\$0\"
    eval \"\$0\"" "$stubborn"
echo "the script goes on with $?"'

# sweep SIGNAL: to each process that is in one of the sessions now.
sweep() {
    # By cat, for some awks end where a process has gone meanwhile.
    cat /proc/[0-9]*/stat 2>/dev/null | awk -v sessions=" $sessions " 'index(sessions, " " $6 " ") { print $1 }' |
        while read -r pid; do kill "-$1" "$pid" 2>/dev/null; done
}

# Several jobs at once: SIGTERM to each process of the session, and 0.15 s later SIGKILL to those that it has then.
check_sweeps() {
    survived=0 n=${rounds:-20}
    for _ in $(seq $(((n + 4) / 5))); do
        sessions=
        : >out
        for _ in 1 2 3 4 5; do
            setsid sh -c "$script" "$smrrun" >>out 2>>err </dev/null &
            sessions="$sessions $!"
        done
        soon has_lines 30 out || survived=$((survived + 100))
        sweep TERM
        sleep 0.15
        sweep KILL
        begun=$(date +%s%N)
        soon nobody_is_left || survived=$((survived + 1))
        ms=$((($(date +%s%N) - begun) / 1000000))
        [ "$ms" -le "${longest:=0}" ] || longest=$ms
        wait
    done
    is 0 "$survived" "sessions that are swept: nothing survives, each time of $n"
    echo "# the last process was gone $longest ms after the sweep, or earlier"
}

# Torque ignores SIGPIPE in each job.
check_pipe() {
    for n in 1 3; do
        : >err
        sh -c 'trap "" PIPE; { "$0" -n "$1" sh -c "while echo y; do :; done"; echo $? >status; } | head -n 1' \
            "$smrrun" "$n" >out 2>err
        is y "$(cat out)" "SIGPIPE ignored, $n ranks, | head -n 1: the line"
        is 141 "$(cat status)" "SIGPIPE ignored, $n ranks: the status"
        says "" "SIGPIPE ignored, $n ranks: and not a word"
        sh -c 'trap "" PIPE; "$0" -n "$1" grep SigIgn: /proc/self/status' "$smrrun" "$n" >out 2>err
        is "$n" "$(grep -c '[02468ace]...$' out)" "SIGPIPE ignored, $n ranks: it is at its default in them"
    done
}

# What the job has open is the program's, under its number (Torque leaks two); of smrrun's own it has the memory.
check_files() {
    list='for fd in /proc/$$/fd/*; do
        case $(readlink "$fd") in */memfd:*) ;; *) echo "${SHAREDMEM_RANK-0} ${fd##*/}" ;; esac
    done'
    sh -c "$list" >without 6>>leaked 9</dev/zero
    gives 0 "two leaked files" "$smrrun" -n 2 sh -c "$list" 6>>leaked 9</dev/zero
    ok "two leaked files: the program has them" grep -q '^0 9$' without
    is "$(cat without; sed 's/^0/1/' without)" "$(sort -s -n -k 1,1 out)" \
        "two leaked files: ranks have them, and none of the launcher's"
}

# A pipe that has ended, and no terminal, as Torque gives.
check_stdin() {
    : | setsid "$smrrun" -n 2 sh -c 'cat; echo "$SHAREDMEM_RANK is done"' >out 2>err
    is "0 is done 1 is done " "$(sort out | tr '\n' ' ')" "standard input at its end: ranks see that"
    says "" "standard input at its end: nothing is said"
    gives 0 "a loop over lines" sh -c 'printf "a\nb\n" | while read -r line; do
        "$0" -n 2 --stdin none sh -c "echo \$0" "$line" </dev/null; done' "$smrrun"
    is "a a b b " "$(tr '\n' ' ' <out)" "a loop over lines: smrrun takes none of them"
}

# What a step of Slurm leaves in the environment of a script that was handed in from within it: recorded. A program
# would wait for a rank that is none.
check_outer_step() {
    gives 0 "a script that a step has handed in" env SLURM_JOB_ID=17 SLURM_STEP_ID=0 SLURM_NODEID=0 \
        SLURM_LOCALID=0 SLURM_PROCID=0 SLURM_STEP_NUM_TASKS=2 SLURM_STEP_TASKS_PER_NODE=2 SLURM_TASKS_PER_NODE=2 \
        SLURM_NTASKS=2 SLURM_GTIDS=0 "$rank" who
    prints "rank 0 of 1" "a script that a step has handed in: the program is alone"
}

# Said once on stderr, by what the environment says; t/smrrun-advice.t has the lines.
check_advice() {
    printf 'node1\nnode2\n' >nodes
    gives 0 "a job on several nodes" env PBS_JOBID=1 PBS_NODEFILE=nodes PBS_NUM_PPN=1 "$smrrun" true
    is 1 "$(grep -c 'does not name this host' err)" "a job on several nodes: none is this one"
    is 1 "$(grep -c 'the job has 2 nodes, .*pbsdsh' err)" "a job on several nodes: what starts smrrun on each"
    gives 0 "-q" env PBS_JOBID=1 PBS_NODEFILE=nodes PBS_NUM_PPN=1 "$smrrun" -q true
    says "" "-q: nothing is said"
    gives 0 "-v" env PBS_JOBID=1 PBS_NUM_PPN=2 "$smrrun" -v true
    is 1 "$(grep -c '2 ranks (from PBS_NUM_PPN of Torque)' err)" "-v: names the source"
    gives 0 "more slots than processors" env PBS_JOBID=1 PBS_NUM_PPN=4 \
        taskset -c "$(sed -n 's/^Cpus_allowed_list:[^0-9]*\([0-9]*\).*/\1/p' /proc/self/status)" "$smrrun" true
    says '^smrrun: only 1 CPU is allowed here .* and Torque granted 4: .*; -n 1 starts one' \
        "more slots than processors: one line"
}

begin_smrrun 60
check_sweeps
check_pipe
check_files
check_stdin
check_outer_step
check_advice
none_left "no process is left"
finish
