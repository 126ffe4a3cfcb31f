#!/bin/sh
# Ranks that smrrun has not started: by srun's variables, as a launcher sets them, and by mpiexec where it is there.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# step JOB N COMMAND...: N tasks, as srun would start them. Their statuses are in statuses, by rank.
step() {
    step_job=$1 step_n=$2 step_pids=
    shift 2
    for step_rank in $(seq 0 $((step_n - 1))); do
        env SLURM_JOB_ID="$step_job" SLURM_STEP_ID=0 SLURM_NODEID=0 SLURM_LOCALID="$step_rank" \
            SLURM_STEP_TASKS_PER_NODE="$step_n" "$@" &
        step_pids="$step_pids $!"
    done
    statuses=
    for step_pid in $step_pids; do
        wait "$step_pid"
        statuses="$statuses $?"
    done
    statuses=${statuses# }
}

# Each test's jobs differ from those of other tests that run at the same time.
job=$$

lines() {
    sort out | tr '\n' ' ' | sed 's/ $//'
}

check_step() {
    step $job 3 "$rank" who >out 2>err
    is "0 0 0" "$statuses" "a step of three tasks"
    is "rank 0 of 3 rank 1 of 3 rank 2 of 3" "$(lines)" "are ranks of one job"
    step $job 4 "$rank" pointers >out 2>err
    is "0 0 0 0" "$statuses" "follow each other's pointers"
    says "" "and say nothing"
    step $job 9 "$rank" barriers 200 >out 2>err
    is "0 0 0 0 0 0 0 0 0" "$statuses" "more ranks than processors"
    wrong=0
    for _ in $(seq "${rounds:-30}"); do
        step $job 4 "$rank" pointers >out 2>err
        [ "$statuses" = "0 0 0 0" ] && [ ! -s err ] || wrong=$((wrong + 1))
    done
    is 0 "$wrong" "one job after the other, by one name: each meets its own"
    step $job 3 sh -c '"$0" pointers && "$0" pointers && "$0" who' "$rank" >out 2>err
    is "0 0 0" "$statuses" "one program after the other"
    is "rank 0 of 3 rank 1 of 3 rank 2 of 3" "$(lines)" "makes a job each"
    (step $((job + 1)) 3 "$rank" pointers >out2 2>&1; echo "$statuses" >statuses2) &
    step $job 3 "$rank" pointers >out 2>err
    wait
    is "0 0 0 0 0 0" "$statuses $(cat statuses2)" "two jobs at once"
    step $job 2 env SHAREDMEM_JOB=none "$rank" who >out 2>err
    is "rank 0 of 1 rank 0 of 1" "$(lines)" "SHAREDMEM_JOB=none: each is alone"
    step $job 2 "$smrrun" -n 2 "$rank" who >out 2>err
    is "rank 0 of 2 rank 0 of 2 rank 1 of 2 rank 1 of 2" "$(lines)" "smrrun in a step: its ranks are its own"
    step $job 2 "$rank" helper >out 2>err
    is "0 0" "$statuses" "a program that a rank starts"
    ok "is told that it is a second process" grep -q 'would be a second process of rank [01], .* alone' err
}

check_failures() {
    step $job 3 "$rank" end kill >out 2>err
    is "1 1 137" "$statuses" "a rank that is killed ends the others"
    ok "one of them says why" grep -Eq '^sharedmem: rank 2 is gone while ranks? [01].* waits? in the barrier' err
    is 1 "$(grep -c '^sharedmem: ' err)" "once"
    step $job 3 "$rank" end 0 >out 2>err
    is "1 1 0" "$statuses" "a rank that leaves while others wait for it"
    ok "is named" grep -Eq '^sharedmem: rank 2 is gone while ranks? [01].* waits? in' err
    step $job 3 "$rank" end abort7 >out 2>err
    is "1 1 7" "$statuses" "sharedmem_abort()"
    says "^sharedmem: sharedmem_abort.7. was called" "is told once"
    step $job 3 "$rank" end free >out 2>err
    is "1 1 1" "$statuses" "an uncaught error"
    says "^sharedmem: .*rank.c:[0-9]*: sharedmem_free" "is told once"
    step $job 3 "$rank" die-first >out 2>err
    is "1 1 137" "$statuses" "a rank that is killed before it meets the others ends them"
    says "^sharedmem: .*rank.c:[0-9]*: rank 2 has ended without joining the job" "is told once"
    is 1 "$(grep -c '^sharedmem: ' err)" "once"
    step $job 2 env SLURM_LOCALID=5 "$rank" who >out 2>err
    is "rank 0 of 1 rank 0 of 1" "$(lines)" "variables that contradict each other: alone"
    ok "with a line that says which" grep -q 'SLURM_LOCALID=5 is not what srun sets; this process runs alone' err
}

# by LAUNCHER COMMAND...
by() {
    by_name=$1
    shift
    if [ "$(id -u)" -eq 0 ]; then
        OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
        export OMPI_ALLOW_RUN_AS_ROOT OMPI_ALLOW_RUN_AS_ROOT_CONFIRM
    fi
    gives 0 "$by_name: four ranks" "$@" "$rank" who
    is "rank 0 of 4 rank 1 of 4 rank 2 of 4 rank 3 of 4" "$(lines)" "$by_name: of one job"
    gives 0 "$by_name: they share memory" "$@" "$rank" pointers
    wrong=0
    for _ in $(seq "${rounds:-3}"); do
        "$@" "$rank" pointers >out 2>&1 || wrong=$((wrong + 1))
    done
    is 0 "$wrong" "$by_name: again and again"
    "$@" "$rank" end 0 >out 2>&1
    ok "$by_name: a rank that leaves while others wait ends them" test $? -ne 0
}

check_launchers() {
    found=
    for launcher in mpiexec.hydra mpirun.openmpi; do
        command -v $launcher >/dev/null || continue
        found=yes
        case $launcher in
        mpiexec.hydra) by MPICH $launcher -n 4 ;;
        *) by "Open MPI" $launcher --oversubscribe -n 4 ;;
        esac
    done
    [ -n "$found" ] || skip "neither mpiexec.hydra nor mpirun.openmpi is here"
}

begin_smrrun 120
check_step
check_failures
check_launchers
is "" "$(left_behind)" "no process is left"
finish
