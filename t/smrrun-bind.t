#!/bin/sh
# Where ranks run: masks read back from the kernel on this machine, and plans for machines that are described.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

allowed='sed -n "s/^Cpus_allowed_list:[[:space:]]*//p" /proc/self/status'

# plan MACHINE ARGUMENT...: what --dry-run says of the ranks, without "smrrun: ".
plan() {
    HWLOC_SYNTHETIC=$1 && export HWLOC_SYNTHETIC
    shift
    "$smrrun" -q --dry-run "$@" true 2>&1 | sed -n 's/^smrrun: rank \([0-9]*\): cpus \([^ ]*\) .*/\1=\2/p' |
        tr '\n' ' ' | sed 's/ $//'
    unset HWLOC_SYNTHETIC
}

check_this_machine() {
    first=$(sh -c "$allowed" | sed 's/[-,].*//')
    gives 0 "--cpus" "$smrrun" -n 1 --cpus "$first" sh -c "$allowed"
    prints "$first" "one processor is left"
    gives 0 "more ranks than that" "$smrrun" -n 3 --cpus "$first" sh -c "$allowed"
    is "$first" "$(sort -u out)" "keep to it, unbound as they are"
    gives 0 "--bind-to pu" "$smrrun" -n 1 --bind-to pu sh -c "$allowed"
    is 1 "$(grep -c '^[0-9]*$' out)" "is one processor"
    gives 0 "--bind-to package, and OpenMP's share" "$smrrun" -n 1 --bind-to package true
    gives 125 "--exclude of all" "$smrrun" -n 1 --exclude 0-65535 touch started
    says "^smrrun: --exclude 0-65535 leaves no processor that may be used here" "is told"
    gives 125 "--map-by of too many cores" "$smrrun" -n 1 --map-by close:PE=4000 touch started
    says "^smrrun: --map-by: 1 rank of 4000 cores each do not fit" "is told"
    ok "nothing is started" not test -e started
}

check_plans() {
    big="package:2 l3:2 core:4 pu:2"
    is "0=0-7 1=8-15 2=16-23 3=24-31" "$(plan "$big" -n 4)" "equal shares"
    is "0=0-7 1=16-23 2=8-15 3=24-31" "$(plan "$big" -n 4 --map-by socket)" "in turn to packages"
    is "0=0-1 1=2-3 2=4-5" "$(plan "$big" -n 3 --map-by close)" "side by side"
    is "0=0-3 1=4-7" "$(plan "$big" -n 2 --map-by core:PE=2)" "of two cores each"
    is "0=0-15 1=16-31" "$(plan "$big" --map-by ppr:1:package)" "one for each package"
    is "0=0-1 1=16-17" "$(plan "$big" -n 2 --bind-to core)" "a core each"
    is "0=0-7 1=16-23" "$(plan "$big" -n 2 --bind-to l3)" "a cache each"
    is "0=0 1=16" "$(plan "$big" -n 2 --bind-to hwthread)" "a hardware thread each"
    is "32" "$(plan "$big" --smt | wc -w | tr -d ' ')" "hardware threads are counted"
}

# saved NAME ARGUMENT...: what --dry-run says of a machine in a file, without "smrrun: ".
saved() {
    HWLOC_XMLFILE=$tap_source/t/topologies/$1.xml && export HWLOC_XMLFILE
    shift
    "$smrrun" -q --dry-run "$@" true 2>&1 | sed 's/^smrrun: //'
    unset HWLOC_XMLFILE
}

check_saved() {
    has "rank 1: cpus 8-15, 136-143 (package 0 cores 8-15)" "$(saved two-by-64 -n 16)" "a saved machine"
    has "rank 2: cpus 8-11 (package 0 cores 4-5)" "$(saved laptop -n 3 -t 1)" "fast cores"
    has "package 0, L3 0: [0 0 1 1 2 2|. . . . . . . .]" "$(saved laptop -n 3 -t 1 -v)" "and drawn"
    has "16 ranks (from 16 cores)" "$(saved laptop)" "all cores are counted"
    is 0 "$(saved laptop -n 3 | grep -c L3)" "nothing is drawn without -v"
    has "cannot read the machine in the file" "$(saved nowhere -n 3)" "a file that is not there is told"
    gives 0 "another machine for a run" env HWLOC_XMLFILE="$tap_source/t/topologies/laptop.xml" \
        "$smrrun" -v -n 2 true
    has "not bound: the topology is not of this machine" "$(cat err)" "binds nobody"
    gives 0 "the map of this machine" "$smrrun" -v --report-bindings -n 1 true
    ok "is drawn before the ranks start" grep -q '^smrrun: package 0.*: *\[' err
}

begin_smrrun 60
check_this_machine
check_plans
check_saved
finish
