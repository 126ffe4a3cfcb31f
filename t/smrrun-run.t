#!/bin/sh
# Jobs that go well, mostly of programs that know nothing of the library: what ranks are given, and what becomes
# of what they print and read.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# each COMMAND...: what it prints for each of three ranks, sorted.
each() {
    "$smrrun" -n 3 "$@" 2>err | sort
}

check_environment() {
    is "0 of 3
1 of 3
2 of 3" "$(each sh -c 'echo $SHAREDMEM_RANK of $SHAREDMEM_SIZE')" "rank and size are in the environment"
    says "" "nothing is said of a job that goes well"
    is "1 1 1 " "$(each sh -c 'echo $PYTHONUNBUFFERED' | tr '\n' ' ')" "Python prints at once"
    is "5 5 5 " "$(PYTHONUNBUFFERED=5 each sh -c 'echo $PYTHONUNBUFFERED' | tr '\n' ' ')" "unless that is set"
    is "yes yes yes " "$(WORD=yes each sh -c 'echo $WORD' | tr '\n' ' ')" "the environment is passed on"
    is "a b=c a b=c a b=c " "$(each sh -c 'echo "$0"' 'a b=c' | tr '\n' ' ')" \
        "arguments are passed on as they are"
    is "$(umask)" "$("$smrrun" -n 1 sh -c umask)" "the umask is passed on"
}

check_threads() {
    is "7 7 7 " "$(each -q -t 7 sh -c 'echo $OMP_NUM_THREADS' | tr '\n' ' ')" "-t sets OMP_NUM_THREADS"
    is "5 5 5 " "$(OMP_NUM_THREADS=5 each -q sh -c 'echo $OMP_NUM_THREADS' | tr '\n' ' ')" \
        "else OMP_NUM_THREADS is left alone"
    is "4 4 4 " "$(OMP_NUM_THREADS=5 each -q -t 4 sh -c 'echo $OMP_NUM_THREADS' | tr '\n' ' ')" "-t beats it"
    is "1 1 1 " "$(each -n 4000 -q -n 3 --bind-to none sh -c 'echo ${OMP_NUM_THREADS:+1}' | tr '\n' ' ')" \
        "and else it is planned"
    is "1" "$(SLURM_JOB_ID=1 SLURM_NTASKS=1 SLURM_NNODES=1 SLURM_CPUS_PER_TASK=1 \
        "$smrrun" sh -c 'echo $OMP_NUM_THREADS')" "as the batch system has it"
    is "0 1 2 3 4 " "$(PBS_JOBID=1 PBS_NP=5 "$smrrun" -q sh -c 'echo $SHAREDMEM_RANK' | sort | tr '\n' ' ')" \
        "and so the number of ranks"
    gives 0 "more threads than cores" "$smrrun" -n 2 -t 1000 true
    says '^smrrun: 2 ranks of 1000 threads each are more than the [0-9]+ cores? here; give -t ' \
        "more threads than cores: one line with what to type"
    gives 0 "the same with -q" "$smrrun" -q -n 2 -t 1000 true
    says "" "the same with -q: is not told"
}

check_options() {
    is "1 2 " "$("$smrrun" -n 1 -x A=1 -x B=2 sh -c 'echo $A $B' | tr '\n' ' ')" "-x sets variables"
    is "9" "$("$smrrun" -q -n 1 -x OMP_NUM_THREADS=9 sh -c 'echo $OMP_NUM_THREADS')" "-x beats the plan"
    is "there" "$(WORD=there "$smrrun" -n 1 -x WORD sh -c 'echo $WORD')" "-x of a variable that is set"
    mkdir folder
    echo 'echo here is $(basename "$PWD")' >folder/script
    is "here is folder" "$("$smrrun" -n 1 -w folder sh script)" "-w: the folder to run in"
    printf '#!/bin/sh\nexit 6\n' >folder/program
    chmod +x folder/program
    gives 6 "-w: a program's path is seen from there" "$smrrun" -n 2 -w folder ./program
    gives 0 "--dry-run" "$smrrun" --dry-run -n 2 touch started
    ok "--dry-run: starts nothing" not test -e started
    has "touch" "$(cat err)" "--dry-run: tells the program"
    is 2 "$(grep -c '^smrrun: rank [01]: ' err)" "--dry-run: and where ranks would be"
    gives 0 "-v" "$smrrun" -v -n 2 true
    has "2 ranks (from -n)" "$(cat err)" "-v: tells where the number is from"
    is 1 "$(grep -Ec '^smrrun: huge pages: .*shmem_enabled is ' err)" "-v: and what is with huge pages, in a line"
    is 0 "$(grep -c '^smrrun: memory' err)" "-v: of memory nothing that nobody asked for"
    gives 0 "-v --mem" "$smrrun" -v --mem interleave -n 2 true
    is 1 "$(grep -c '^smrrun: memory: interleave' err)" "-v --mem: tells where memory lies"
    gives 0 "--report-bindings" "$smrrun" --report-bindings -n 2 sleep 0.2
    is 2 "$(grep -Ec '^smrrun: rank [01]: .*cpus? [0-9]' err)" "--report-bindings: a line a rank"
    is 2 "$(wc -l <err)" "--report-bindings: no more"
    gives 0 "options behind --" "$smrrun" -n 1 -- echo -n 3
}

# Their own statuses: the first that fails by itself counts.
check_statuses() {
    for status in 0 1 2 77 124 125 126 127 128 255; do
        gives "$status" "exit status $status" "$smrrun" -n 2 sh -c "exit $status"
    done
    gives 0 "-q" "$smrrun" -q -n 2 true
    says "" "-q: nothing is said"
    gives 4 "-q and a failure" "$smrrun" -q -n 2 sh -c 'exit 4'
    says '^smrrun: ranks? [01].* status 4' "-q and a failure: one line"
}

# What rank prints N of: lines of 70 bytes to 20 kB, some in two writes.
check_whole_lines() {
    n=${rounds:-60}
    gives 0 "8 ranks print $n lines each" "$smrrun" -n 8 "$rank" lines "$n"
    is "$((8 * n)) whole, 0 torn" "$(awk '
        length($0) == $3 && $2 == next_of[$1] && $0 ~ /^[0-7] [0-9]+ [0-9]+ x+$/ {
            whole++
            next_of[$1]++
            next
        }
        { torn++ }
        END { print whole + 0 " whole, " torn + 0 " torn" }' out)" "8 ranks print $n lines each: none is torn"
    gives 0 "the same through a pipe" sh -c '"$0" -n 8 "$1" lines "$2" | cat' "$smrrun" "$rank" "$n"
    is "$((8 * n))" "$(awk 'length($0) == $3' out | wc -l)" "the same through a pipe: none is torn"
    gives 0 "without a newline at the end" "$smrrun" -n 1 -l printf 'one\ntwo'
    prints "[0] one
[0] two" "without a newline at the end: nothing is lost"
}

check_labels() {
    is "[0] rank 0 of 3
[1] rank 1 of 3
[2] rank 2 of 3" "$(each -l "$rank" who)" "-l labels each line"
    gives 0 "-l of stderr" "$smrrun" -l -n 2 sh -c 'echo to err >&2; echo to out'
    is "[0] to err [1] to err " "$(sort err | tr '\n' ' ')" "-l of stderr: too"
    is "[0] to out [1] to out " "$(sort out | tr '\n' ' ')" "-l of stderr: and stdout"
    gives 0 "no output at all" "$smrrun" -l -n 2 true
    prints "" "no output at all: none is printed"
}

check_files() {
    "$smrrun" -n 2 sh -c '
        echo $SHAREDMEM_RANK one
        echo $SHAREDMEM_RANK two >&2
        echo $SHAREDMEM_RANK three' >both 2>&1
    for one in 0 1; do
        is "one two three " "$(sed -n "s/^$one //p" both | tr '\n' ' ')" \
            "one file for both: rank $one's order is kept"
    done
    echo before >file
    "$smrrun" -n 2 echo line >>file
    is "before line line " "$(tr '\n' ' ' <file)" "a file is appended to"
    gives 125 "a full device" sh -c '"$0" -n 2 sh -c "echo x; sleep 60" >/dev/full' "$smrrun"
    says '^smrrun: cannot write to standard output: No space' "a full device: one line"
    none_left "a full device: nothing is left"
    gives 0 "much output of a rank that ends at once" \
        "$smrrun" -n 2 sh -c 'head -c 500000 /dev/zero | tr "\0" "x"'
    is 1000000 "$(wc -c <out)" "much output of a rank that ends at once: all is there"
}

# The reader ends while ranks are still being started.
check_closed_pipe() {
    : >errors
    : >statuses
    for _ in 1 2 3 4 5; do
        {
            "$smrrun" -n 4 sh -c 'while echo $SHAREDMEM_RANK; do :; done' 2>>errors
            echo $? >>statuses
        } | head -n 1 >out
    done
    is "141 141 141 141 141 " "$(tr '\n' ' ' <statuses)" "a reader that ends: as a program that SIGPIPE ends"
    is "" "$(cat errors)" "a reader that ends: nothing is said"
    none_left "a reader that ends: nothing is left"
}

check_input() {
    head -c 1000000 /dev/urandom >input
    "$smrrun" -n 4 cat <input >out 2>err
    ok "stdin goes to rank 0, whole" cmp input out
    is "0:one 1: 2: " "$(echo one | each sh -c 'echo "$SHAREDMEM_RANK:$(cat)"' | tr '\n' ' ')" \
        "stdin goes to rank 0 alone, the others see its end"
    "$smrrun" -n 1 cat <input >out 2>err
    ok "one rank's stdin, whole" cmp input out
    gives 0 "stdin that nobody reads" sh -c 'yes | "$0" -n 2 true' "$smrrun"
}

# row_of RANK: its line of the table, as words: rank, user, s, system, s, peak, unit, waiting, unit.
row_of() {
    sed 's/^smrrun: *//' err | awk -v rank="$1" '$1 == rank && NF >= 8'
}

check_stats() {
    gives 0 "--stats" "$smrrun" --stats -n 4 "$rank" late
    ok "--stats: a line for all" grep -Eq '^smrrun: 4 ranks in [0-9.]+ s, imbalance ([0-9.]+|-)$' err
    is 6 "$(grep -c '^smrrun: ' err)" "--stats: and one for each"
    is "s s s s " "$(for r in 0 1 2 3; do row_of $r | awk '{ printf "%s ", $9 }'; done)" "--stats: all know how long they waited"
    ok "--stats: who waited for the late one" sh -c 'test "$1" != 0.00' sh "$(row_of 0 | awk '{ print $8 }')"
    gives 124 "--stats of a wait that is cut off" "$smrrun" --stats --timeout 300ms -n 3 "$rank" wait
    ok "--stats of a wait that is cut off: it counts" sh -c 'test "$1" != 0.00' sh "$(row_of 0 | awk '{ print $8 }')"
    gives 3 "--stats of ranks that share nothing" "$smrrun" -q --stats -n 2 sh -c 'exit 3'
    is "- - " "$(for r in 0 1; do row_of $r | awk '{ printf "%s ", $8 }'; done)" \
        "--stats of ranks that share nothing: waiting is not known"
    gives 0 "--stats of many" "$smrrun" --stats -n 17 true
    is 6 "$(grep -c '^smrrun: ' err)" "--stats of many: the extremes"
    ok "--stats of many: of peak memory" grep -Eq '^smrrun:   peak memory +[0-9.]+ [KM]iB +\([0-9]+\)' err
    gives 0 "--stats of many, -v" "$smrrun" -v --stats -n 17 true
    ok "--stats of many, -v: each" test -n "$(row_of 16)"
    gives 0 "without --stats" "$smrrun" -n 2 true
    says "" "without --stats nothing is said"
}

begin_smrrun 60
before=$(leavings)
check_environment
check_threads
check_options
check_statuses
check_whole_lines
check_labels
check_files
check_closed_pipe
check_input
check_stats
is "$before" "$(leavings)" "nothing is left in the usual places"
none_left "no process is left"
finish
