#!/bin/sh
# What make install puts under a prefix is enough to build a program and to run it.
. "${srcdir:-.}/t/tap.sh"

# A make above us would hand down its own switches, variables and job slots.
install_into() {
    env -u MAKEFLAGS -u MFLAGS -u MAKELEVEL -u MAKEOVERRIDES -u DESTDIR \
        "${MAKE:-make}" -C "$tap_build" install prefix="$1"
}

# The prefix is another than configure's, so pkg-config is told of it.
package() {
    PKG_CONFIG_PATH=$prefix/lib/pkgconfig pkg-config --define-variable=prefix="$prefix" "$@" sharedmem
}

write_program() {
    cat >"$tap_temp/program.c" <<'END'
#include <sharedmem.h>
#include <stdint.h>
#include <stdio.h>

static int work(size_t i, void *result, void *context)
{
    (void)context;
    *(int64_t *)result = (int64_t)i;
    return 0;
}

static int add(size_t i, void *result, void *context)
{
    (void)i;
    *(int64_t *)context += *(int64_t *)result;
    return 0;
}

int main(void)
{
    int64_t sum = 0;

    if (sharedmem_map(1000, work, &sum, .result_size = sizeof sum, .reduce = add, .np = 2) != 0)
        return 2;
    printf("%s %lld\n", sharedmem_version(), (long long)sum);
    return sum == 999 * 1000 / 2 ? 0 : 1;
}
END
}

# The sanitizers' runtime must come first in a program that uses a library built with them.
compile_program() {
    # shellcheck disable=SC2046
    ${CC:-cc} ${SANITIZER_CFLAGS-} -std=c11 -pedantic -Wall -Wextra -Werror $(package --cflags) \
        -o "$tap_temp/program" "$tap_temp/program.c" $(package --libs) "-Wl,-rpath,$prefix/lib"
}

# In a folder of its own, to see what it leaves there.
run_program() {
    (mkdir "$tap_temp/run" && cd "$tap_temp/run" && ../program)
}

begin 180
[ -f "$tap_build/libsharedmem.la" ] || skip_all "nothing is built in $tap_build"
command -v pkg-config >/dev/null || skip_all "no pkg-config"
prefix=$tap_temp/prefix

ok "make install" install_into "$prefix"
ok "the header" test -f "$prefix/include/sharedmem.h"
ok "the shared library" test -f "$prefix/lib/libsharedmem.so"
ok "no static library, which would show internal names" not test -e "$prefix/lib/libsharedmem.a"
ok "the pkg-config file" test -f "$prefix/lib/pkgconfig/sharedmem.pc"
ok "what bash completes" test -f "$prefix/share/bash-completion/completions/smrrun"
ok "a manual page" test -n "$(find "$prefix/share/man" -name 'sharedmem.[1-9]')"

write_program
ok "a program compiles with what pkg-config says" compile_program
is "$(package --modversion) 499500" "$(run_program)" "it runs, alone"
is "" "$(left_behind)" "it leaves no process"
is "" "$(ls -A "$tap_temp/run")" "it leaves no file"
finish
