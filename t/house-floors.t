#!/bin/sh
# The rules of the house: folders are floors, the system's own calls each have one place, files and functions
# are short. Each rule is a function that prints what breaks it in the tree given, "file:line: ..."; it is run
# over our tree, and over a small bad one to see that it can fail.
. "${srcdir:-.}/t/tap.sh"

sources() {
    (cd "$1" && find src tools include -name '*.[ch]' 2>/dev/null | LC_ALL=C sort)
}

# Prints the code of a tree as file:line:text, without comments and what stands in quotes, but for includes.
code() {
    (
        cd "$1" || exit
        sources . | xargs awk '
            FNR == 1 { in_comment = 0 }
            {
                rest = $0
                code = ""
                while (rest != "") {
                    if (in_comment) {
                        end = index(rest, "*/")
                        rest = end ? substr(rest, end + 2) : ""
                        in_comment = !end
                        continue
                    }
                    if (!match(rest, /\/\*|\/\/|"([^"\\]|\\.)*"|\047([^\047\\]|\\.)*\047/)) {
                        code = code rest
                        break
                    }
                    piece = substr(rest, RSTART, RLENGTH)
                    code = code substr(rest, 1, RSTART - 1)
                    rest = substr(rest, RSTART + RLENGTH)
                    if (piece == "//")
                        break
                    in_comment = piece == "/*"
                    if (!in_comment)
                        code = code ($0 ~ /^[ \t]*#[ \t]*include/ ? piece : "\"\"")
                }
                print FILENAME ":" FNR ":" code
            }'
    )
}

# Prints code that matches the expression $2, as a word's beginning, outside of the files matching $3.
code_outside() {
    code "$1" | grep -E "^[^:]*:[0-9]*:(.*[^A-Za-z0-9_.>])?($2)" | grep -Ev "^($3):"
}

includes_upward() {
    code "$1" | awk -F: '
        BEGIN { split("base host memory team run", names, " "); for (i in names) floor[names[i]] = i + 0
            # Of the tools each uses its own files, and the library up to teams.
            floor["smrrun"] = 4.5 }
        $1 ~ /^(src|tools)\// && $3 ~ /^[ \t]*#[ \t]*include[ \t]*[<"]/ {
            split($1, from, "/")
            split($3, quoted, /[<">]/)
            header = quoted[2]
            split(header, to, "/")
            if (header == "sharedmem.h" || header == "config.h" || ($3 ~ /</ && !(to[1] in floor)))
                next
            if (!(from[2] in floor) || !(to[1] in floor) || floor[to[1]] > floor[from[2]])
                print $1 ":" $2 ": includes " header
        }'
}

hwloc_outside_topology() {
    code_outside "$1" 'hwloc|HWLOC|#[ 	]*include[ 	]*[<"]hwloc' 'src/host/topology\.c'
}

futex_outside_futex() {
    code_outside "$1" 'SYS_futex|__NR_futex|FUTEX_' 'src/host/futex\.[ch]'
}

# What makes a process, by whatever name. The library of an OpenMP program must know each fork that it makes.
fork_outside_process() {
    code_outside "$1" \
        '(_?_?v?fork|_Fork|__?clone2?|clone3?|posix_spawnp?|popen|system|daemon|forkpty)[ 	]*\(|SYS_(v?fork|clone)' \
        'src/host/process(_twin)?\.c'
}

getenv_outside_env() {
    code_outside "$1" '(_*(secure_)?getenv|(un)?setenv|putenv|clearenv)[ 	]*\(' 'src/base/env\.c'
}

long_files() {
    (
        cd "$1" || exit
        sources . | xargs wc -l | awk '
            $2 != "total" && $1 > ($2 == "include/sharedmem.h" ? 2500 : 500) { print $2 ": " $1 " lines" }'
    )
}

long_functions() {
    (
        cd "$1" || exit
        sources . | xargs awk '
            /^{/ { begin = FNR }
            /^}/ { if (begin && FNR - begin > 60) print FILENAME ":" begin ": " FNR - begin " lines"; begin = 0 }'
    )
}

# Makes a tree in which src/team/bad.c breaks every rule once and src/host/good.c only looks as if.
plant() {
    mkdir -p "$1/src/team" "$1/src/host" "$1/include"
    cat >"$1/src/host/good.c" <<'END'
#include "base/fork.h"
#include <unistd.h>
/* fork() and getenv("X") are told of here, hwloc and FUTEX_WAIT
 * too: fork(); */
static const char *text = "fork() \" getenv(NAME) hwloc"; // fork()
#define HOST_FUTEX_H
int a = pthread_atfork(0, 0, 0), quote = '"';
int b = ops->fork(my_getenv(1)), c = topology_hwloc(), d = worker_clone(2);
END
    cat >"$1/src/team/bad.c" <<'END'
#include "run/map.h"
#include <hwloc.h>
int a = syscall(SYS_futex, &word, FUTEX_WAIT);
int b = '"', c = fork();
const char *d = /* as text */ getenv("HOME");
static int long_one(void)
{
END
    awk 'BEGIN { for (i = 0; i < 60; i++) print "    step();"; print "}"; for (i = 0; i < 450; i++) print "" }' \
        >>"$1/src/team/bad.c"
}

# rule NAME WHAT: our tree keeps it, and of the planted one it finds the bad file, once, and nothing else.
rule() {
    is "" "$($1 "$tap_source")" "$2"
    is src/team/bad.c "$($1 "$tap_temp/tree" | sed 's/:.*//')" "$1 finds the bad file, and nothing else"
}

begin 60
plant "$tap_temp/tree"
ok "there are sources to look at" test "$(sources "$tap_source" | wc -l)" -gt 10
rule includes_upward "includes go downward only"
rule hwloc_outside_topology "only topology knows hwloc"
rule futex_outside_futex "only futex makes futex calls"
rule fork_outside_process "only process makes processes"
rule getenv_outside_env "only env reads the environment"
rule long_files "no file is over 500 lines"
rule long_functions "no function is over 60 lines"
finish
