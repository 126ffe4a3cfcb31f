# tap.sh: the harness of the tests in shell; sourced, not run.
#
#     #!/bin/sh
#     . "${srcdir:-.}/t/tap.sh"
#     begin 60                          # seconds that the whole file may take
#     ok "true succeeds" true
#     ok "false fails" not false
#     is 2 $((1 + 1)) "one and one"
#     has part "some parts" "a part"
#     finish                            # prints the plan; the exit status
#
# begin sets, as absolute paths: tap_source (the source tree), tap_build (the build tree) and tap_temp (an empty
# folder of this test, removed at its end); and it clears OMP_*, PBS_*, SLURM_*, SHAREDMEM_* and MPI's from the
# environment. The test runs as the child of a copy of itself, which holds the time limit and afterwards kills
# whatever is left of it. The limit is multiplied by TEST_TIME_SCALE, where set.
# shellcheck shell=sh disable=SC2034

tap_ran=0
tap_failed=0

begin() {
    [ -n "${TAP_TEMP-}" ] || tap_supervise "$1"
    tap_temp=$TAP_TEMP
    export TAP_CHILD="$TAP_TEMP"
    tap_source=$(cd "${srcdir:-.}" && pwd)
    tap_build=$(cd "${builddir:-.}" && pwd)
    # By hand, from the source tree, what quickstart built is what is tested.
    if [ -z "${builddir-}" ] && [ ! -f "$tap_build/libsharedmem.la" ] && [ -d "$tap_build/build" ]; then
        tap_build=$tap_build/build
    fi
    tap_clear_environment
}

# Runs the test again, as a child, and ends with it. Never returns.
tap_supervise() {
    TAP_TEMP=$(mktemp -d "${TMPDIR:-/tmp}/sharedmem-test.XXXXXX") || exit 1
    export TAP_TEMP
    trap 'tap_kill "$(tap_marked TAP_TEMP)"; rm -rf "$TAP_TEMP"' EXIT
    trap 'exit 129' HUP
    trap 'exit 130' INT
    trap 'exit 143' TERM
    tap_seconds=$(($1 * ${TEST_TIME_SCALE:-1}))
    timeout --foreground -k 1 "$tap_seconds" /bin/sh "$0"
    tap_status=$?
    case $tap_status in
    124 | 137) echo "Bail out! time limit of $tap_seconds s" ;;
    esac
    exit "$tap_status"
}

# Prints the processes that were started with this test's variable $1 in their environment. A shell that sets the
# variable later is not among them, nor are its subshells: that tells the test's shell from what it runs.
tap_marked() {
    (
        mark="$1=$TAP_TEMP"
        unset TAP_TEMP TAP_CHILD
        grep -lsF "$mark" /proc/[0-9]*/environ | sed 's,^/proc/\(.*\)/environ$,\1,'
    )
}

tap_kill() {
    for tap_process in $1; do
        kill -9 "$tap_process" 2>/dev/null
    done
}

# Prints the pids of what the test started and still runs, daemons too; use as $(left_behind), without a pipe.
left_behind() {
    tap_marked TAP_CHILD
}

tap_clear_environment() {
    # shellcheck disable=SC2046
    unset tap_none $(awk 'BEGIN {
        for (name in ENVIRON)
            if (name ~ /^(OMP|PBS|SLURM|SHAREDMEM|OMPI|PMIX?|MPI|FLUX)_[A-Za-z0-9_]*$/)
                print name
    }')
}

# Prints a result: $1 is the status of the check, 0 where it held, $2 its name.
tap_result() {
    tap_ran=$((tap_ran + 1))
    if [ "$1" -eq 0 ]; then
        echo "ok $tap_ran - $2"
        return 0
    fi
    tap_failed=$((tap_failed + 1))
    echo "not ok $tap_ran - $2"
    return 1
}

tap_explain() {
    printf '%s\n' "$@" | sed 's/^/# /' >&2
}

# ok NAME COMMAND [ARGUMENT]...: the command succeeds, in a subshell. What it prints is shown where it fails.
ok() {
    tap_name=$1
    shift
    tap_output=$("$@" 2>&1)
    tap_result $? "$tap_name" || tap_explain "failed: $*" "$tap_output"
}

# not COMMAND [ARGUMENT]...: succeeds where the command fails; for ok.
not() {
    ! "$@"
}

# is EXPECTED GOT NAME
is() {
    [ "$1" = "$2" ]
    tap_result $? "$3" || tap_explain "expected: $1" "     got: $2"
}

# has PART TEXT NAME: the text contains the part.
has() {
    case $2 in
    *"$1"*) tap_result 0 "$3" ;;
    *) tap_result 1 "$3" || tap_explain "part: $1" "  of: $2" ;;
    esac
}

# One result that does not count: skip WHY
skip() {
    tap_ran=$((tap_ran + 1))
    echo "ok $tap_ran # SKIP $1"
}

# Ends the file without any result: skip_all WHY
skip_all() {
    echo "1..0 # SKIP $1"
    exit 0
}

# Prints the plan and ends the test. A test that checked nothing has failed.
finish() {
    [ "$tap_ran" -gt 0 ] || { echo "Bail out! the test checks nothing" && exit 1; }
    echo "1..$tap_ran"
    [ "$tap_failed" -eq 0 ]
    exit
}
