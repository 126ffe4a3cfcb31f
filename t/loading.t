#!/bin/sh
# What is loaded, and when: programs start without hwloc and the unwinder, and go on where hwloc cannot be had.
# A compiler and its flags are several words; with is called by gives.
# shellcheck disable=SC2086,SC2317
. "${srcdir:-.}/t/tap.sh"
. "${srcdir:-.}/t/smrrun.sh"

# early FILE PATTERN: prints the libraries that match, of those that it is linked with.
early() {
    objdump -p "$1" | awk -v heavy="$2" '$1 == "NEEDED" && $2 ~ heavy { print $2 }'
}

# The sanitizers bring the unwinder in, and more.
heavy='hwloc|gcc_s'
[ -z "${SANITIZER_CFLAGS-}" ] || heavy='hwloc'

check_links() {
    ok "libraries are seen" test -n "$(early "$tap_build/.libs/libsharedmem.so" libc.so)"
    is "" "$(early "$tap_build/.libs/libsharedmem.so" "$heavy")" "the library needs neither at its start"
    is "" "$(early "$smrrun" "$heavy")" "nor does the launcher"
}

# with FOLDER COMMAND...: runs it with the libraries in there before all others.
with() {
    with_folder=$1
    shift
    LD_LIBRARY_PATH=$with_folder${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} "$@"
}

# check_broken FOLDER WHY NAME: with the hwloc in there.
check_broken() {
    gives 0 "$3: a job runs" with "$1" "$smrrun" -n 1 true
    says "^smrrun: the processors of this machine are not known, nobody is bound: hwloc cannot be loaded: .*$2" \
        "$3: the launcher says so in one line"
    gives 0 "$3: ranks do not load it" with "$1" "$smrrun" -n 2 --bind-to none -t 1 "$rank" hello
    says "" "$3: nor a launcher that need not know the machine"
}

begin_smrrun 60
command -v objdump >/dev/null || skip_all "no objdump"
soname=$(sed -n 's/^#define HWLOC_SONAME "\(.*\)"$/\1/p' "$tap_build/config.h")
check_links

mkdir damaged empty
echo damaged >"damaged/$soname"
check_broken "$PWD/damaged" "$soname" "hwloc is damaged"
echo 'extern int nothing; int nothing;' >empty.c
ok "another library of that name can be made" \
    ${CC:-cc} ${SANITIZER_CFLAGS-} -shared -fPIC -Wl,-soname,"$soname" -o "empty/$soname" empty.c
check_broken "$PWD/empty" "hwloc_" "hwloc lacks a function"
finish
