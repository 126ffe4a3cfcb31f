#!/bin/sh
# What the shared library exports is what sharedmem.h declares, no more and no less.
. "${srcdir:-.}/t/tap.sh"

# Prints the functions that the header $1 declares. Typedefs of functions and inline bodies are none.
declared() {
    ${CC:-cc} -E -P "$1" | tr '\n' ' ' | tr ';' '\n' | awk '
        !/typedef|static/ && match($0, /sharedmem_[a-z0-9_]+ *\(/) {
            name = substr($0, RSTART, RLENGTH)
            sub(/ *\($/, "", name)
            print name
        }' | LC_ALL=C sort -u
}

# Prints what the library $1 exports. Type A is a version's own name.
exported() {
    nm -D --defined-only "$1" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | LC_ALL=C sort -u
}

# Prints the difference: "<name" is only declared, ">name" is only exported.
differences() {
    declared "$1" >"$tap_temp/declared"
    exported "$2" >"$tap_temp/exported"
    LC_ALL=C comm -23 "$tap_temp/declared" "$tap_temp/exported" | sed 's/^/</'
    LC_ALL=C comm -13 "$tap_temp/declared" "$tap_temp/exported" | sed 's/^/>/'
}

plant() {
    cat >"$tap_temp/bad.h" <<'END'
typedef int sharedmem_function(int i);
int sharedmem_kept(sharedmem_function *f);
sharedmem_function *
sharedmem_missing (void);
static inline int sharedmem_inline(void) { return 0; }
END
    cat >"$tap_temp/bad.c" <<'END'
int sharedmem_kept(void); int sharedmem_kept(void) { return 0; }
int leaked(void); int leaked(void) { return 0; }
END
    ${CC:-cc} -shared -fPIC -o "$tap_temp/bad.so" "$tap_temp/bad.c"
}

begin 60
library=$tap_build/.libs/libsharedmem.so
header=$tap_source/include/sharedmem.h
command -v nm >/dev/null || skip_all "no nm"
[ -f "$library" ] || skip_all "no $library: build the shared library first"

is "" "$(differences "$header" "$library")" "the header's functions and the library's symbols are the same"
ok "the header declares functions" test "$(declared "$header" | wc -l)" -gt 10
is "" "$(exported "$library" | grep -v '^sharedmem_')" "every symbol begins with sharedmem_"

ok "a bad library can be made" plant
is "<sharedmem_missing
>leaked" "$(differences "$tap_temp/bad.h" "$tap_temp/bad.so")" "a missing and a leaked symbol are found"
finish
