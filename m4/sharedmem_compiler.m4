# What the project asks of the compiler and of the system's headers.

# SHAREDMEM_C11_ATOMICS: stops where C11 atomics of 8 bytes need a library or a lock.
AC_DEFUN([SHAREDMEM_C11_ATOMICS], [
AC_CACHE_CHECK([for lock-free C11 atomics], [sharedmem_cv_c11_atomics],
  [AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <stdatomic.h>
      #include <stdint.h>
      #if ATOMIC_LLONG_LOCK_FREE != 2 || ATOMIC_INT_LOCK_FREE != 2
      #error not lock-free
      #endif]],
      [[_Atomic uint64_t word = 0; return (int)atomic_fetch_add(&word, 1);]])],
    [sharedmem_cv_c11_atomics=yes], [sharedmem_cv_c11_atomics=no])])
AS_IF([test "$sharedmem_cv_c11_atomics" = no],
  [AC_MSG_ERROR([a C11 compiler with lock-free 64-bit atomics is needed: gcc 7 or clang 6 and newer])])
])

# SHAREDMEM_LINUX_HEADERS: calls that older C libraries lack; each has a body without it.
AC_DEFUN([SHAREDMEM_LINUX_HEADERS], [
AC_CHECK_FUNCS([memfd_create], [],
  [AC_MSG_ERROR([memfd_create is missing: glibc 2.27 or newer is needed])])
AC_CHECK_FUNCS([sigabbrev_np])
AC_CHECK_HEADERS([sys/single_threaded.h])
])

# SHAREDMEM_WARNINGS: puts into WARNING_CFLAGS what the compiler knows; --enable-werror for developers.
AC_DEFUN([SHAREDMEM_WARNINGS], [
AC_ARG_ENABLE([werror],
  [AS_HELP_STRING([--enable-werror], [make compiler warnings errors (for developers)])],
  [], [enable_werror=no])
WARNING_CFLAGS=
for flag in -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith \
    -Wwrite-strings -Wvla -Wundef -Wformat=2 -Wimplicit-fallthrough; do
  SHAREDMEM_TRY_CFLAG([$flag], [WARNING_CFLAGS="$WARNING_CFLAGS $flag"])
done
AS_IF([test "$enable_werror" != no], [WARNING_CFLAGS="$WARNING_CFLAGS -Werror"])
AC_SUBST([WARNING_CFLAGS])
])

# SHAREDMEM_TRY_CFLAG(FLAG, IF-ACCEPTED)
AC_DEFUN([SHAREDMEM_TRY_CFLAG], [
AC_MSG_CHECKING([whether $CC accepts $1])
sharedmem_saved_cflags=$CFLAGS
CFLAGS="$CFLAGS -Werror $1"
AC_COMPILE_IFELSE([AC_LANG_PROGRAM()],
  [AC_MSG_RESULT([yes])
   CFLAGS=$sharedmem_saved_cflags
   $2],
  [AC_MSG_RESULT([no])
   CFLAGS=$sharedmem_saved_cflags])
])

# SHAREDMEM_SANITIZERS: --enable-sanitizers=address,undefined or =thread, for everything that is built.
AC_DEFUN([SHAREDMEM_SANITIZERS], [
AC_ARG_ENABLE([sanitizers],
  [AS_HELP_STRING([--enable-sanitizers=LIST], [build with -fsanitize=LIST: address,undefined or thread (for developers)])],
  [], [enable_sanitizers=no])
SANITIZER_CFLAGS=
AS_CASE([$enable_sanitizers],
  [no], [],
  [yes], [AC_MSG_ERROR([say which: --enable-sanitizers=address,undefined or --enable-sanitizers=thread])],
  [SHAREDMEM_TRY_CFLAG([-fsanitize=$enable_sanitizers],
     [SANITIZER_CFLAGS="-fsanitize=$enable_sanitizers -fno-omit-frame-pointer"])
   AS_IF([test -z "$SANITIZER_CFLAGS"],
     [AC_MSG_ERROR([$CC does not accept -fsanitize=$enable_sanitizers])])])
AC_SUBST([SANITIZER_CFLAGS])
AM_CONDITIONAL([SANITIZED], [test -n "$SANITIZER_CFLAGS"])
])

# SHAREDMEM_VERSION_SCRIPT: whether the linker takes one (GNU ld, gold, lld and mold do).
AC_DEFUN([SHAREDMEM_VERSION_SCRIPT], [
AC_CACHE_CHECK([whether the linker takes a version script], [sharedmem_cv_version_script],
  [sharedmem_saved_ldflags=$LDFLAGS
   echo '{ global: main; local: *; };' >conftest.map
   LDFLAGS="$LDFLAGS -Wl,--version-script=conftest.map"
   AC_LINK_IFELSE([AC_LANG_PROGRAM()],
     [sharedmem_cv_version_script=yes], [sharedmem_cv_version_script=no])
   LDFLAGS=$sharedmem_saved_ldflags])
AM_CONDITIONAL([HAVE_VERSION_SCRIPT], [test "$sharedmem_cv_version_script" = yes])
])

# SHAREDMEM_DWFL: the headers of elfutils. Its library is not linked: it is loaded for a traceback.
AC_DEFUN([SHAREDMEM_DWFL], [
AC_CACHE_CHECK([for elfutils/libdwfl.h], [sharedmem_cv_dwfl],
  [AC_COMPILE_IFELSE([AC_LANG_PROGRAM([[#include <dwarf.h>
      #include <elfutils/libdwfl.h>]],
      [[return dwfl_begin == 0 || DW_AT_linkage_name == 0;]])],
    [sharedmem_cv_dwfl=yes], [sharedmem_cv_dwfl=no])])
AS_IF([test "$sharedmem_cv_dwfl" = yes],
  [AC_DEFINE([HAVE_DWFL], [1], [Define to 1 if the headers of elfutils are there.])
   sharedmem_tracebacks='with file:line'],
  [sharedmem_tracebacks='names only (for file:line install libdw-dev, or elfutils-devel on Fedora)'])
])

# SHAREDMEM_HWLOC_SONAME: what the library is called that is loaded at the first need, src/host/topology.c, and
# where, for programs of ours, when the system's loader does not look there by itself. Nothing is linked with it.
AC_DEFUN([SHAREDMEM_HWLOC_SONAME], [
AC_REQUIRE([LT_INIT])
AC_CACHE_CHECK([for the name of the hwloc library], [sharedmem_cv_hwloc_soname],
  [sharedmem_saved_libs=$LIBS
   sharedmem_saved_cflags=$CFLAGS
   LIBS="$HWLOC_LIBS $LIBS"
   CFLAGS="$CFLAGS $HWLOC_CFLAGS"
   sharedmem_cv_hwloc_soname=
   AC_LINK_IFELSE([AC_LANG_PROGRAM([[#include <hwloc.h>]], [[return (int)hwloc_get_api_version();]])],
     [sharedmem_cv_hwloc_soname=$($OBJDUMP -p conftest$EXEEXT 2>/dev/null |
        sed -n 's/^ *NEEDED *\(libhwloc\.so[[^ ]]*\)$/\1/p')])
   LIBS=$sharedmem_saved_libs
   CFLAGS=$sharedmem_saved_cflags])
AS_IF([test -z "$sharedmem_cv_hwloc_soname"],
  [AC_MSG_ERROR([hwloc is needed as a shared library, libhwloc.so, and objdump to see its name: install binutils])])
AC_DEFINE_UNQUOTED([HWLOC_SONAME], ["$sharedmem_cv_hwloc_soname"], [The hwloc library, as the loader finds it.])
HWLOC_LDFLAGS=
sharedmem_hwloc_libdir=$($PKG_CONFIG --variable=libdir hwloc)
AS_CASE([" $sys_lib_dlsearch_path_spec "],
  [*" ${sharedmem_hwloc_libdir:-.} "*], [],
  [HWLOC_LDFLAGS="-Wl,-rpath,$sharedmem_hwloc_libdir"])
AC_SUBST([HWLOC_LDFLAGS])
])
