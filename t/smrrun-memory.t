#!/bin/sh
# A rank that memory runs out for is told so by its allocations; and where it ends of that, the job says that it
# very likely was that. In a real cgroup where this machine lets a test make one; no setting of the machine changes.
# What stands in single quotes is for shells that are started.
# shellcheck disable=SC2016
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

check_sigbus() {
    if [ -n "${SANITIZER_CFLAGS-}" ]; then
        skip "the address sanitizer has a handler of its own for SIGBUS"
        return
    fi
    gives 135 "a page of the heap cannot be had" "$smrrun" -n 4 "$rank" no-page
    says '^smrrun: rank 2 .* was ended by SIGBUS.*, at a page of the shared heap, very likely because memory ran out: ' \
        "it is told that memory ran out"
    gives 135 "a SIGBUS of a program that shares nothing" "$smrrun" -n 1 sh -c 'kill -BUS $$'
    says '^smrrun: rank 0 .* was ended by SIGBUS( \(core dumped[^)]*\))? after [0-9.]+ s$' "is not taken for it"
}

# A cgroup of 96 MiB, of version 1 or 2.
make_group() {
    top=/sys/fs/cgroup limit=memory.max
    [ -e /sys/fs/cgroup/memory/memory.limit_in_bytes ] && top=/sys/fs/cgroup/memory limit=memory.limit_in_bytes
    group=$top/sharedmem-smrrun-$$
    mkdir "$group" 2>/dev/null || return 1
    { echo 100663296 >"$group/$limit"; } 2>/dev/null && return 0
    rmdir "$group"
    return 1
}

# in_group STATUS NAME COMMAND...: as gives; a shell of its own is in the cgroup.
in_group() {
    group_status=$1 group_name=$2
    shift 2
    gives "$group_status" "$group_name" sh -c 'echo $$ >"$0/cgroup.procs" && exec "$@"' "$group" "$@"
}

check_group() {
    in_group 137 "a rank takes too much" "$smrrun" --heap 16M -n 1 tail /dev/zero
    says '^smrrun: rank 0 .* was ended by SIGKILL after .*, very likely because memory ran out: 96 MiB are allowed by .*, it had up to [0-9.]+ MiB, and now ' \
        "the job says what it very likely was"
    for bytes in 64 20000 3000000; do
        in_group 0 "ranks fill the heap with $bytes bytes each" "$smrrun" --heap 512M -n 3 "$rank" fill "$bytes"
        prints whole "$bytes bytes: nobody is killed"
        ok "$bytes bytes: the limit is named" grep -q 'cgroup /sharedmem-smrrun-.* 96 MiB' err
    done
    none_left "nothing is left"
    ok "the cgroup is gone again" soon rmdir "$group"
}

begin_smrrun 120
check_sigbus
if [ -n "${TEST_TIME_SCALE-}" ]; then
    skip "instrumented programs take more memory than the small cgroup has"
elif make_group; then
    check_group
else
    skip "no memory cgroup can be made here; it takes root, and cgroups that are writable"
fi
finish
