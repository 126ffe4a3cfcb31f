# The tests. A new one is one word in one of these lists; an api or a fault test says its library as well.

# Units, t/NAME.t from t/NAME.c: they see the library's internal names.
unit_tests = \
	t/attach.t \
	t/barrier.t \
	t/binding.t \
	t/foreign.t \
	t/binding_maps.t \
	t/binding_plan.t \
	t/binding_saved.t \
	t/binding_speeds.t \
	t/budget.t \
	t/claim.t \
	t/cpu_count.t \
	t/crash.t \
	t/crash-objects.t \
	t/crash-text.t \
	t/crash-users.t \
	t/collective.t \
	t/critical.t \
	t/descendants.t \
	t/domain.t \
	t/doorbell.t \
	t/env.t \
	t/error.t \
	t/futex.t \
	t/heap.t \
	t/heap-kill.t \
	t/heap-kill-checked.t \
	t/heap-mixed.t \
	t/leaks.t \
	t/limits.t \
	t/lock.t \
	t/loop.t \
	t/loop-misuse.t \
	t/member.t \
	t/op.t \
	t/openmp.t \
	t/options.t \
	t/ordered.t \
	t/pages.t \
	t/pages_huge.t \
	t/parse.t \
	t/place_plan.t \
	t/placed.t \
	t/process.t \
	t/process-look.t \
	t/process-twin.t \
	t/progress.t \
	t/reduce.t \
	t/schedule.t \
	t/segment.t \
	t/smrrun-advice.t \
	t/smrrun-batch.t \
	t/smrrun-channel.t \
	t/smrrun-drawing.t \
	t/smrrun-fuzz.t \
	t/smrrun-core.t \
	t/smrrun-line.t \
	t/smrrun-manual.t \
	t/smrrun-options.t \
	t/smrrun-output.t \
	t/smrrun-output-ranks.t \
	t/smrrun-plan.t \
	t/smrrun-program.t \
	t/smrrun-selftest.t \
	t/smrrun-wrap.t \
	t/smrrun-stats.t \
	t/smrrun-verdict.t \
	t/spawn.t \
	t/spawn-fds.t \
	t/spawn-signals.t \
	t/supervise.t \
	t/symbols.t \
	t/text.t \
	t/topology.t \
	t/undo.t \
	t/wait.t
# Parts of the launcher.
# The same source twice.
t_heap_kill_checked_t_SOURCES = t/heap-kill.c
t_heap_kill_checked_t_CPPFLAGS = $(AM_CPPFLAGS) -DHEAP_CHECKED

t_smrrun_advice_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_advice_t_LDADD = $(tools_libraries)
t_smrrun_batch_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_batch_t_LDADD = $(tools_libraries)
t_smrrun_channel_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_channel_t_LDADD = $(tools_libraries)
t_smrrun_drawing_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_drawing_t_LDADD = $(tools_libraries)
t_smrrun_fuzz_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_fuzz_t_LDADD = $(tools_libraries)
t_smrrun_core_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_core_t_LDADD = $(tools_libraries)
t_smrrun_line_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_line_t_LDADD = $(tools_libraries)
t_smrrun_manual_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_manual_t_LDADD = $(tools_libraries)
t_smrrun_options_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_options_t_LDADD = $(tools_libraries)
t_smrrun_output_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_output_t_LDADD = $(tools_libraries)
t_smrrun_output_ranks_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_output_ranks_t_LDADD = $(tools_libraries)
t_smrrun_plan_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_plan_t_LDADD = $(tools_libraries)
t_smrrun_program_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_program_t_LDADD = $(tools_libraries)
t_smrrun_selftest_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_selftest_t_LDADD = $(tools_libraries)
t_smrrun_wrap_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_wrap_t_LDADD = $(tools_libraries)
t_smrrun_stats_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_stats_t_LDADD = $(tools_libraries)
t_smrrun_verdict_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_verdict_t_LDADD = $(tools_libraries)
# The whole launcher, on a terminal of its own; the tests in shell do the rest. Not for valgrind: there is nothing
# of the library in it.
launcher_tests = t/smrrun-fuzz-run.t t/smrrun-gdb.t t/smrrun-tty.t
t_smrrun_gdb_t_LDADD = t/libtap.la -lpthread
t_smrrun_fuzz_run_t_CPPFLAGS = $(tools_cppflags)
t_smrrun_fuzz_run_t_LDADD = $(tools_libraries)
t_smrrun_tty_t_LDADD = t/libtap.la -lpthread
# What they run as ranks.
check_PROGRAMS += t/rank t/rank-crash t/rank-deadlock t/rank-move t/rank-soak t/rank-teams t/rank-threads t/terminal
t_rank_deadlock_SOURCES = t/rank-deadlock.c
t_rank_deadlock_LDADD = libsharedmem.la -lpthread
t_rank_deadlock_LDFLAGS = $(api_ldflags)
# What tests in shell have as a terminal.
t_terminal_SOURCES = t/terminal.c
t_terminal_LDADD = t/libtap.la -lpthread
t_rank_crash_SOURCES = t/rank-crash.c
t_rank_crash_LDADD = libsharedmem.la -lpthread
t_rank_crash_LDFLAGS = $(api_ldflags)
t_rank_move_SOURCES = t/rank-move.c
t_rank_move_LDADD = libsharedmem.la
t_rank_move_LDFLAGS = $(api_ldflags)
t_rank_soak_SOURCES = t/rank-soak.c
t_rank_soak_LDADD = libsharedmem.la
t_rank_soak_LDFLAGS = $(api_ldflags)
t_rank_teams_SOURCES = t/rank-teams.c
t_rank_teams_LDADD = libsharedmem.la -lpthread
t_rank_teams_LDFLAGS = $(api_ldflags)
t_rank_threads_SOURCES = t/rank-threads.c
t_rank_threads_LDADD = libsharedmem.la -lpthread
t_rank_threads_LDFLAGS = $(api_ldflags)
t_rank_LDADD = libsharedmem.la
t_rank_LDFLAGS = $(api_ldflags)
# Its functions are found by name.
t_crash_t_LDFLAGS = $(AM_LDFLAGS) -rdynamic
t_crash_text_t_LDFLAGS = $(AM_LDFLAGS) -rdynamic
t_symbols_t_LDFLAGS = $(AM_LDFLAGS) -rdynamic

# What users have, the public header and the shared library. Each with
#	t_api_NAME_t_LDADD = $(api_libraries)
#	t_api_NAME_t_LDFLAGS = $(api_ldflags)
api_tests = \
	t/api-anchors.t \
	t/api-array.t \
	t/api-array-copy.t \
	t/api-array-make.t \
	t/api-array-view.t \
	t/api-backends.t \
	t/api-background.t \
	t/api-check.t \
	t/api-collective.t \
	t/api-core.t \
	t/api-counter.t \
	t/api-deadlock.t \
	t/api-dims.t \
	t/api-errors.t \
	t/api-failure.t \
	t/api-failure-limits.t \
	t/api-heap-bad.t \
	t/api-heap-check.t \
	t/api-heap-signal.t \
	t/api-heap-sizes.t \
	t/api-limits.t \
	t/api-loop.t \
	t/api-loop-failure.t \
	t/api-map.t \
	t/api-nesting.t \
	t/api-master.t \
	t/api-mend.t \
	t/api-move.t \
	t/api-move-bad.t \
	t/api-message.t \
	t/api-mutex.t \
	t/api-original.t \
	t/api-original-arrays.t \
	t/api-original-parallel.t \
	t/api-parallel.t \
	t/api-pool.t \
	t/api-pool-life.t \
	t/api-reduce.t \
	t/api-regions.t \
	t/api-states.t \
	t/api-team.t \
	t/api-team-failure.t \
	t/api-within.t \
	t/api-oom.t
t_api_counter_t_LDADD = $(api_libraries)
t_api_counter_t_LDFLAGS = $(api_ldflags)
t_api_move_t_LDADD = $(api_libraries)
t_api_move_t_LDFLAGS = $(api_ldflags)
t_api_move_bad_t_LDADD = $(api_libraries)
t_api_move_bad_t_LDFLAGS = $(api_ldflags)
t_api_message_t_LDADD = $(api_libraries)
t_api_message_t_LDFLAGS = $(api_ldflags)
t_api_mutex_t_LDADD = $(api_libraries)
t_api_mutex_t_LDFLAGS = $(api_ldflags)
t_api_oom_t_LDADD = $(api_libraries)
t_api_oom_t_LDFLAGS = $(api_ldflags)
t_api_within_t_LDADD = $(api_libraries)
t_api_within_t_LDFLAGS = $(api_ldflags)
t_api_anchors_t_LDADD = $(api_libraries)
t_api_anchors_t_LDFLAGS = $(api_ldflags)
t_api_array_t_LDADD = $(api_libraries)
t_api_array_t_LDFLAGS = $(api_ldflags)
t_api_array_copy_t_LDADD = $(api_libraries)
t_api_array_copy_t_LDFLAGS = $(api_ldflags)
t_api_array_make_t_LDADD = $(api_libraries)
t_api_array_make_t_LDFLAGS = $(api_ldflags)
t_api_array_view_t_LDADD = $(api_libraries)
t_api_array_view_t_LDFLAGS = $(api_ldflags)
t_api_backends_t_LDADD = $(api_libraries)
t_api_backends_t_LDFLAGS = $(api_ldflags)
t_api_background_t_LDADD = $(api_libraries)
t_api_background_t_LDFLAGS = $(api_ldflags)
t_api_nesting_t_LDADD = $(api_libraries)
t_api_nesting_t_LDFLAGS = $(api_ldflags)
t_api_pool_life_t_LDADD = $(api_libraries)
t_api_pool_life_t_LDFLAGS = $(api_ldflags)
t_api_pool_t_LDADD = $(api_libraries)
t_api_pool_t_LDFLAGS = $(api_ldflags)
# It loads this one, which is shared by its -rpath.
check_LTLIBRARIES += t/loaded.la
t_loaded_la_SOURCES = t/loaded.c
t_loaded_la_LDFLAGS = $(AM_LDFLAGS) -module -avoid-version -shared -rpath /nowhere
t_loaded_la_CFLAGS = $(AM_CFLAGS) -fvisibility=default
t_api_retries_t_LDADD = $(api_libraries)
t_api_retries_t_LDFLAGS = $(api_ldflags)
t_api_states_t_LDADD = $(api_libraries)
t_api_states_t_LDFLAGS = $(api_ldflags)
t_api_collective_t_LDADD = $(api_libraries)
t_api_collective_t_LDFLAGS = $(api_ldflags)
t_api_check_t_LDADD = $(api_libraries)
t_api_check_t_LDFLAGS = $(api_ldflags)
t_api_core_t_LDADD = $(api_libraries)
t_api_core_t_LDFLAGS = $(api_ldflags)
t_api_heap_bad_t_LDADD = $(api_libraries)
t_api_heap_bad_t_LDFLAGS = $(api_ldflags)
t_api_heap_check_t_LDADD = $(api_libraries)
t_api_heap_check_t_LDFLAGS = $(api_ldflags)
t_api_heap_signal_t_LDADD = $(api_libraries)
t_api_heap_signal_t_LDFLAGS = $(api_ldflags)
t_api_heap_sizes_t_LDADD = $(api_libraries)
t_api_heap_sizes_t_LDFLAGS = $(api_ldflags)
t_api_errors_t_LDADD = $(api_libraries)
t_api_errors_t_LDFLAGS = $(api_ldflags)
t_api_limits_t_LDADD = $(api_libraries)
t_api_limits_t_LDFLAGS = $(api_ldflags) -rdynamic
t_api_loop_t_LDADD = $(api_libraries)
t_api_loop_t_LDFLAGS = $(api_ldflags)
t_api_failure_limits_t_LDADD = $(api_libraries)
t_api_failure_limits_t_LDFLAGS = $(api_ldflags)
t_api_loop_failure_t_LDADD = $(api_libraries)
t_api_loop_failure_t_LDFLAGS = $(api_ldflags)
t_api_failure_t_LDADD = $(api_libraries)
t_api_failure_t_LDFLAGS = $(api_ldflags) -rdynamic
t_api_numeric_t_LDADD = $(api_libraries) -lm
t_api_numeric_t_LDFLAGS = $(api_ldflags)
t_api_numeric_sort_t_LDADD = $(api_libraries) -lm
t_api_numeric_sort_t_LDFLAGS = $(api_ldflags)
t_api_numeric_sum_t_LDADD = $(api_libraries) -lm
t_api_numeric_sum_t_LDFLAGS = $(api_ldflags)
t_api_master_t_LDADD = $(api_libraries)
t_api_master_t_LDFLAGS = $(api_ldflags)
t_api_mend_t_LDADD = $(api_libraries)
t_api_mend_t_LDFLAGS = $(api_ldflags)
t_api_original_arrays_t_LDADD = $(api_libraries)
t_api_original_arrays_t_LDFLAGS = $(api_ldflags)
t_api_original_t_LDADD = $(api_libraries)
t_api_original_t_LDFLAGS = $(api_ldflags)
t_api_original_parallel_t_LDADD = $(api_libraries)
t_api_original_parallel_t_LDFLAGS = $(api_ldflags)
t_api_place_t_LDADD = $(api_libraries)
t_api_place_t_LDFLAGS = $(api_ldflags)
t_api_parallel_t_LDADD = $(api_libraries)
t_api_parallel_t_LDFLAGS = $(api_ldflags)
t_api_reduce_t_LDADD = $(api_libraries)
t_api_reduce_t_LDFLAGS = $(api_ldflags)
t_api_regions_t_LDADD = $(api_libraries)
t_api_regions_t_LDFLAGS = $(api_ldflags)
t_api_deadlock_t_LDADD = $(api_libraries)
t_api_deadlock_t_LDFLAGS = $(api_ldflags)
t_api_dims_t_LDADD = $(api_libraries)
t_api_dims_t_LDFLAGS = $(api_ldflags)
t_api_team_t_LDADD = $(api_libraries)
t_api_team_t_LDFLAGS = $(api_ldflags)
t_api_team_failure_t_LDADD = $(api_libraries)
t_api_team_failure_t_LDFLAGS = $(api_ldflags)
t_api_map_t_LDADD = $(api_libraries)
t_api_map_t_LDFLAGS = $(api_ldflags)
# Where the compiler has OpenMP. The library itself knows nothing of that.
if HAVE_OPENMP
api_tests += t/api-openmp.t
endif
EXTRA_DIST += t/api-openmp.c
t_api_openmp_t_CFLAGS = $(AM_CFLAGS) $(OPENMP_CFLAGS)
t_api_openmp_t_LDADD = $(api_libraries)
t_api_openmp_t_LDFLAGS = $(api_ldflags)

# The same, but not for valgrind, where each takes minutes.
long_tests = \
	t/api-numeric.t \
	t/api-place.t \
	t/api-numeric-sort.t \
	t/api-numeric-sum.t \
	t/api-retries.t

# Deaths between any two stores, in a library that can die there. Each with
#	t_fault_NAME_t_LDADD = $(fault_libraries)
#	t_fault_NAME_t_CPPFLAGS = $(fault_cppflags)
fault_tests = \
	t/fault-check.t \
	t/fault-collective.t \
	t/fault-collective-checked.t \
	t/fault-heap.t \
	t/fault-map.t \
	t/fault-move.t \
	t/fault-message.t \
	t/fault-regions.t \
	t/fault-sync.t \
	t/fault-team.t \
	t/fault-workers.t
t_fault_check_t_LDADD = $(fault_libraries)
t_fault_check_t_CPPFLAGS = $(fault_cppflags)
# The same in checking mode.
t_fault_collective_checked_t_SOURCES = t/fault-collective.c
t_fault_collective_checked_t_LDADD = $(fault_libraries)
t_fault_collective_checked_t_CPPFLAGS = $(fault_cppflags) -DCHECKED
t_fault_collective_t_LDADD = $(fault_libraries)
t_fault_collective_t_CPPFLAGS = $(fault_cppflags)
t_fault_message_t_LDADD = $(fault_libraries)
t_fault_message_t_CPPFLAGS = $(fault_cppflags)
t_fault_regions_t_LDADD = $(fault_libraries)
t_fault_regions_t_CPPFLAGS = $(fault_cppflags)
t_fault_sync_t_LDADD = $(fault_libraries)
t_fault_sync_t_CPPFLAGS = $(fault_cppflags)
t_fault_team_t_LDADD = $(fault_libraries)
t_fault_team_t_CPPFLAGS = $(fault_cppflags)
t_fault_heap_t_LDADD = $(fault_libraries)
t_fault_heap_t_CPPFLAGS = $(fault_cppflags)
t_fault_map_t_LDADD = $(fault_libraries)
t_fault_map_t_CPPFLAGS = $(fault_cppflags)
t_fault_move_t_LDADD = $(fault_libraries)
t_fault_move_t_CPPFLAGS = $(fault_cppflags)
t_fault_workers_t_LDADD = $(fault_libraries)
t_fault_workers_t_CPPFLAGS = $(fault_cppflags)

shell_tests = \
	t/cxx.t \
	t/examples.t \
	t/house-floors.t \
	t/house-header.t \
	t/house-symbols.t \
	t/install.t \
	t/openmp-clang.t \
	t/loading.t \
	t/foreign-launchers.t \
	t/smrrun-anchors.t \
	t/smrrun-bad.t \
	t/smrrun-bind.t \
	t/smrrun-check.t \
	t/smrrun-soak.t \
	t/smrrun-report.t \
	t/smrrun-deadlock.t \
	t/smrrun-debug.t \
	t/smrrun-completion.t \
	t/smrrun-crash.t \
	t/smrrun-files.t \
	t/smrrun-programs.t \
	t/smrrun-fail.t \
	t/smrrun-jobs.t \
	t/smrrun-kill.t \
	t/smrrun-limits.t \
	t/smrrun-memory.t \
	t/smrrun-messages.t \
	t/smrrun-move.t \
	t/smrrun-openmp.t \
	t/smrrun-plugin.t \
	t/smrrun-ranks.t \
	t/smrrun-run.t \
	t/smrrun-signals.t \
	t/smrrun-teams.t \
	t/smrrun-threads.t \
	t/smrrun-volume.t \
	t/smrrun-wrapped.t

# The longest first, so that none is left to run alone at the end.
compiled_tests = $(long_tests) $(fault_tests) $(unit_tests) $(launcher_tests) $(api_tests)
check_PROGRAMS += $(compiled_tests)
dist_check_SCRIPTS += $(shell_tests)
TESTS += $(compiled_tests) $(shell_tests)
EXTRA_DIST += t/array_model.h t/array_refused.h t/binding_checks.h t/cgroup.h t/crash.h \
	t/deadlocks.h t/fault_ranks.h t/in_child.h t/look_alikes.h t/machines t/messages.h t/move.h t/next_map.h \
	t/numeric.h t/on_terminal.h t/pool.h t/rank_threads.h t/shared_block.h t/smrrun-output.h \
	t/smrrun.sh t/smrrun_grammar.h t/spawn.h t/tap.sh t/terminal.h t/topologies t/uncaught.h \
	t/valgrind.supp t/ways.h t/whole.h

# Automake takes t/NAME.c for t/NAME.t, and LDADD, where nothing else is said.
AM_DEFAULT_SOURCE_EXT = .c
LDADD = t/libtap.la src/libinternal.la -lpthread
tools_libraries = t/libtap.la tools/libsmrrun.la -lpthread

check_LTLIBRARIES += t/libtap.la
t_libtap_la_SOURCES = t/tap.c t/tap.h t/backends.h

# -no-install: the program itself can be run, by hand and in a debugger, without libtool's wrapper script.
api_libraries = t/libtap.la libsharedmem.la -lpthread
api_ldflags = $(AM_LDFLAGS) -no-install

check_LTLIBRARIES += t/libfault.la
fault_cppflags = $(AM_CPPFLAGS) -DSHAREDMEM_FAULT_INJECTION
fault_libraries = t/libtap.la t/libfault.la -lpthread
t_libfault_la_SOURCES = $(library_sources)
t_libfault_la_CPPFLAGS = $(fault_cppflags)
t_libfault_la_CFLAGS = $(AM_CFLAGS) $(HWLOC_CFLAGS) -pthread
t_libfault_la_LIBADD = src/libunwind.la

TEST_EXTENSIONS = .t
T_LOG_DRIVER = env AM_TAP_AWK='$(AWK)' $(SHELL) $(top_srcdir)/build-aux/tap-driver.sh

# What tests in shell need of configure. A sanitizer's finding must fail the test, and makes it slow.
AM_TESTS_ENVIRONMENT = \
	builddir='$(builddir)'; export builddir; \
	CC='$(CC)'; export CC; \
	CXX='$(SHAREDMEM_CXX)'; export CXX; \
	SANITIZER_CFLAGS='$(SANITIZER_CFLAGS)'; export SANITIZER_CFLAGS;
if SANITIZED
AM_TESTS_ENVIRONMENT += \
	TEST_TIME_SCALE=$${TEST_TIME_SCALE-5}; export TEST_TIME_SCALE; \
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1:$$UBSAN_OPTIONS; export UBSAN_OPTIONS;
endif

# The compiled tests again, each under valgrind: make check-valgrind valgrind_tests='t/heap.t t/lock.t'
# Where ranks or workers die the code is the same as elsewhere, and each death takes valgrind a second.
valgrind_tests = $(unit_tests) $(api_tests) t/fault-heap.t t/fault-sync.t t/fault-workers.t
VALGRIND = valgrind -q --error-exitcode=99 --leak-check=no --trace-children=no \
	--suppressions=$(top_srcdir)/t/valgrind.supp
.PHONY: check-valgrind
check-valgrind: all
	TEST_TIME_SCALE=$${TEST_TIME_SCALE-5} $(MAKE) $(AM_MAKEFLAGS) check TESTS='$(valgrind_tests)' \
	  T_LOG_COMPILER='$(VALGRIND)'

# distcheck builds all that is in the tarball, and runs all tests once more. This does the same, but runs only those
# that depend on what lies where: those in shell, and those that read files of the source tree.
.PHONY: check-dist
check-dist:
	tests=`cd $(srcdir) && grep -l '"srcdir"' t/*.c | sed 's/c$$/t/' | tr '\n' ' '` && \
	  $(MAKE) $(AM_MAKEFLAGS) distcheck TESTS="$(shell_tests) $$tests"
