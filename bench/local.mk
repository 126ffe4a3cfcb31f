# The benchmarks: each answers one question side by side with its peers. Built and run by make bench only.
bench_programs = bench/map bench/critical bench/ordered bench/barrier
bench_shared = bench/bench.c bench/bench.h bench/gang.c bench/gang.h bench/gate.h bench/spin.h
bench_ldflags = $(AM_LDFLAGS) -no-install -pthread

EXTRA_PROGRAMS = $(bench_programs) bench/openmp
CLEANFILES += $(EXTRA_PROGRAMS)

bench_map_SOURCES = bench/map.c $(bench_shared)
bench_map_LDFLAGS = $(bench_ldflags)
bench_map_LDADD = libsharedmem.la

bench_critical_SOURCES = bench/critical.c $(bench_shared)
bench_critical_LDFLAGS = $(bench_ldflags)
bench_critical_LDADD = libsharedmem.la

bench_ordered_SOURCES = bench/ordered.c $(bench_shared)
bench_ordered_LDFLAGS = $(bench_ldflags)
bench_ordered_LDADD = libsharedmem.la

bench_barrier_SOURCES = bench/barrier.c $(bench_shared)
bench_barrier_LDFLAGS = $(bench_ldflags)
bench_barrier_LDADD = libsharedmem.la

# OpenMP's side, where the compiler has it; the others run it and do without where it is not there.
bench_openmp_SOURCES = bench/openmp.c bench/gate.h bench/spin.h
bench_openmp_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
bench_openmp_LDADD =

# make bench BENCH_FLAGS='-r 31 critical' passes that to each program: 31 rounds, tables with this word.
BENCH_FLAGS =
bench_peers =
if HAVE_OPENMP
bench_peers += bench/openmp
endif
.PHONY: bench
bench: $(bench_programs) $(bench_peers)
	@for program in $(bench_programs); do ./$$program $(BENCH_FLAGS) || exit 1; echo; done
