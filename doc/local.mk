# The manual. Each page in section 3 is for a group of calls; the other names of the group lead to it.
dist_man_MANS += \
	doc/sharedmem.7 \
	doc/sharedmem_all.3 \
	doc/sharedmem_array.3 \
	doc/sharedmem_background_start.3 \
	doc/sharedmem_counter.3 \
	doc/sharedmem_cpu_count.3 \
	doc/sharedmem_critical.3 \
	doc/sharedmem_error.3 \
	doc/sharedmem_gather.3 \
	doc/sharedmem_loop.3 \
	doc/sharedmem_malloc.3 \
	doc/sharedmem_map.3 \
	doc/sharedmem_mutex.3 \
	doc/sharedmem_parallel.3 \
	doc/sharedmem_place.3 \
	doc/sharedmem_pool_create.3 \
	doc/sharedmem_progress_bar.3 \
	doc/sharedmem_rank.3 \
	doc/sharedmem_reduce.3 \
	doc/sharedmem_send.3 \
	doc/sharedmem_sum.3 \
	doc/sharedmem_team.3 \
	doc/smrcc.1 \
	doc/smrrun.1

names_of_all = \
	doc/links/sharedmem_all_at.3 \
	doc/links/sharedmem_all_double.3 \
	doc/links/sharedmem_all_double_at.3 \
	doc/links/sharedmem_all_int64.3 \
	doc/links/sharedmem_all_int64_at.3 \
	doc/links/sharedmem_bcast.3 \
	doc/links/sharedmem_bcast_at.3 \
	doc/links/sharedmem_team_calloc.3 \
	doc/links/sharedmem_team_calloc_at.3 \
	doc/links/sharedmem_team_empty.3 \
	doc/links/sharedmem_team_empty_at.3 \
	doc/links/sharedmem_team_full.3 \
	doc/links/sharedmem_team_full_at.3
names_of_array = \
	doc/links/sharedmem_array_nbytes.3 \
	doc/links/sharedmem_array_size.3 \
	doc/links/sharedmem_copy.3 \
	doc/links/sharedmem_copy_into.3 \
	doc/links/sharedmem_element.3 \
	doc/links/sharedmem_empty.3 \
	doc/links/sharedmem_empty_like.3 \
	doc/links/sharedmem_fromiter.3 \
	doc/links/sharedmem_full.3 \
	doc/links/sharedmem_full_like.3 \
	doc/links/sharedmem_index.3 \
	doc/links/sharedmem_is_contiguous.3 \
	doc/links/sharedmem_itemsize.3 \
	doc/links/sharedmem_memdup.3 \
	doc/links/sharedmem_new.3 \
	doc/links/sharedmem_reshape.3 \
	doc/links/sharedmem_slice.3 \
	doc/links/sharedmem_strdup.3 \
	doc/links/sharedmem_transpose.3 \
	doc/links/sharedmem_wrap.3
names_of_counter = \
	doc/links/sharedmem_counter_add.3 \
	doc/links/sharedmem_counter_add_at.3 \
	doc/links/sharedmem_counter_read.3 \
	doc/links/sharedmem_counter_read_at.3 \
	doc/links/sharedmem_counter_set.3 \
	doc/links/sharedmem_counter_set_at.3 \
	doc/links/sharedmem_counter_timedwait.3 \
	doc/links/sharedmem_counter_timedwait_at.3 \
	doc/links/sharedmem_counter_wait.3 \
	doc/links/sharedmem_counter_wait_at.3
names_of_cpu_count = \
	doc/links/sharedmem_available_memory.3 \
	doc/links/sharedmem_cpu_count_source.3 \
	doc/links/sharedmem_total_memory.3 \
	doc/links/sharedmem_version.3
names_of_critical = \
	doc/links/SHAREDMEM_CRITICAL.3 \
	doc/links/SHAREDMEM_CRITICAL_NAMED.3 \
	doc/links/SHAREDMEM_ORDERED.3 \
	doc/links/sharedmem_critical_begin.3 \
	doc/links/sharedmem_critical_end.3 \
	doc/links/sharedmem_ordered_begin.3 \
	doc/links/sharedmem_ordered_end.3 \
	doc/links/sharedmem_region_begin.3 \
	doc/links/sharedmem_region_end.3
names_of_error = \
	doc/links/sharedmem_fail.3 \
	doc/links/sharedmem_fail_message.3 \
	doc/links/sharedmem_print_error.3 \
	doc/links/sharedmem_set_log.3 \
	doc/links/sharedmem_set_uncaught.3 \
	doc/links/sharedmem_uncaught.3
names_of_gather = \
	doc/links/sharedmem_allgather.3 \
	doc/links/sharedmem_allgather_at.3 \
	doc/links/sharedmem_allgatherv.3 \
	doc/links/sharedmem_allgatherv_at.3 \
	doc/links/sharedmem_alltoall.3 \
	doc/links/sharedmem_alltoall_at.3 \
	doc/links/sharedmem_gather_at.3 \
	doc/links/sharedmem_gatherv.3 \
	doc/links/sharedmem_gatherv_at.3 \
	doc/links/sharedmem_scatter.3 \
	doc/links/sharedmem_scatter_at.3 \
	doc/links/sharedmem_scatterv.3 \
	doc/links/sharedmem_scatterv_at.3
names_of_loop = \
	doc/links/SHAREDMEM_FOR.3 \
	doc/links/sharedmem_loop_begin.3 \
	doc/links/sharedmem_loop_begin_with.3 \
	doc/links/sharedmem_loop_end.3 \
	doc/links/sharedmem_loop_next.3 \
	doc/links/sharedmem_loop_next_chunk.3
names_of_malloc = \
	doc/links/sharedmem_aligned_alloc.3 \
	doc/links/sharedmem_calloc.3 \
	doc/links/sharedmem_free.3 \
	doc/links/sharedmem_heap_check.3 \
	doc/links/sharedmem_heap_statistics_read.3 \
	doc/links/sharedmem_is_shared.3 \
	doc/links/sharedmem_realloc.3 \
	doc/links/sharedmem_usable_size.3
names_of_background = \
	doc/links/sharedmem_background_cancel.3 \
	doc/links/sharedmem_background_start_with.3 \
	doc/links/sharedmem_background_test.3 \
	doc/links/sharedmem_background_wait.3
names_of_map = \
	doc/links/sharedmem_item.3 \
	doc/links/sharedmem_map_with.3 \
	doc/links/sharedmem_stop.3
names_of_mutex = \
	doc/links/SHAREDMEM_LOCKED.3 \
	doc/links/sharedmem_mutex_lock.3 \
	doc/links/sharedmem_mutex_lock_at.3 \
	doc/links/sharedmem_mutex_lock_robust.3 \
	doc/links/sharedmem_mutex_lock_robust_at.3 \
	doc/links/sharedmem_mutex_timedlock.3 \
	doc/links/sharedmem_mutex_timedlock_at.3 \
	doc/links/sharedmem_mutex_trylock.3 \
	doc/links/sharedmem_mutex_trylock_at.3 \
	doc/links/sharedmem_mutex_unlock.3 \
	doc/links/sharedmem_mutex_unlock_at.3
names_of_parallel = \
	doc/links/sharedmem_barrier.3 \
	doc/links/sharedmem_barrier_arrive.3 \
	doc/links/sharedmem_barrier_arrive_at.3 \
	doc/links/sharedmem_barrier_at.3 \
	doc/links/sharedmem_barrier_wait.3 \
	doc/links/sharedmem_barrier_wait_at.3 \
	doc/links/sharedmem_parallel_with.3 \
	doc/links/sharedmem_set_debug.3
names_of_pool = \
	doc/links/sharedmem_pool_create_at.3 \
	doc/links/sharedmem_pool_destroy.3
names_of_rank = \
	doc/links/sharedmem_abort.3 \
	doc/links/sharedmem_dims.3 \
	doc/links/sharedmem_dims_at.3 \
	doc/links/sharedmem_finalize.3 \
	doc/links/sharedmem_finalize_at.3 \
	doc/links/sharedmem_init.3 \
	doc/links/sharedmem_init_at.3 \
	doc/links/sharedmem_my_part.3 \
	doc/links/sharedmem_part.3 \
	doc/links/sharedmem_seed.3 \
	doc/links/sharedmem_size.3 \
	doc/links/sharedmem_wtime.3
names_of_reduce = \
	doc/links/sharedmem_allreduce.3 \
	doc/links/sharedmem_allreduce_at.3 \
	doc/links/sharedmem_allreduce_by.3 \
	doc/links/sharedmem_allreduce_by_at.3 \
	doc/links/sharedmem_exscan.3 \
	doc/links/sharedmem_exscan_at.3 \
	doc/links/sharedmem_exscan_by.3 \
	doc/links/sharedmem_exscan_by_at.3 \
	doc/links/sharedmem_reduce_at.3 \
	doc/links/sharedmem_reduce_by.3 \
	doc/links/sharedmem_reduce_by_at.3 \
	doc/links/sharedmem_scan.3 \
	doc/links/sharedmem_scan_at.3 \
	doc/links/sharedmem_scan_by.3 \
	doc/links/sharedmem_scan_by_at.3
names_of_send = \
	doc/links/sharedmem_iprobe.3 \
	doc/links/sharedmem_iprobe_at.3 \
	doc/links/sharedmem_probe.3 \
	doc/links/sharedmem_probe_at.3 \
	doc/links/sharedmem_recv.3 \
	doc/links/sharedmem_recv_at.3 \
	doc/links/sharedmem_send_at.3 \
	doc/links/sharedmem_sendrecv.3 \
	doc/links/sharedmem_sendrecv_at.3
names_of_sum = \
	doc/links/sharedmem_argsort.3 \
	doc/links/sharedmem_max.3 \
	doc/links/sharedmem_min.3 \
	doc/links/sharedmem_searchsorted.3 \
	doc/links/sharedmem_sort.3
names_of_team = \
	doc/links/SHAREDMEM_TEAM.3 \
	doc/links/sharedmem_team_enter.3 \
	doc/links/sharedmem_team_enter_at.3 \
	doc/links/sharedmem_team_free.3 \
	doc/links/sharedmem_team_leave.3 \
	doc/links/sharedmem_team_rank.3 \
	doc/links/sharedmem_team_size.3 \
	doc/links/sharedmem_team_split.3 \
	doc/links/sharedmem_team_split_at.3 \
	doc/links/sharedmem_team_split_by.3 \
	doc/links/sharedmem_team_split_by_at.3

man_links = $(names_of_all) $(names_of_array) $(names_of_background) $(names_of_counter) $(names_of_cpu_count) \
	$(names_of_critical) $(names_of_error) $(names_of_gather) $(names_of_loop) $(names_of_malloc) $(names_of_map) \
	$(names_of_mutex) $(names_of_parallel) $(names_of_pool) $(names_of_rank) $(names_of_reduce) \
	$(names_of_send) $(names_of_sum) $(names_of_team)
man_MANS = $(man_links)
CLEANFILES += $(man_links)

$(names_of_all):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_all.3' >$@
$(names_of_array):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_array.3' >$@
$(names_of_background):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_background_start.3' >$@
$(names_of_counter):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_counter.3' >$@
$(names_of_cpu_count):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_cpu_count.3' >$@
$(names_of_critical):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_critical.3' >$@
$(names_of_error):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_error.3' >$@
$(names_of_gather):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_gather.3' >$@
$(names_of_loop):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_loop.3' >$@
$(names_of_malloc):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_malloc.3' >$@
$(names_of_map):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_map.3' >$@
$(names_of_mutex):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_mutex.3' >$@
$(names_of_parallel):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_parallel.3' >$@
$(names_of_pool):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_pool_create.3' >$@
$(names_of_rank):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_rank.3' >$@
$(names_of_reduce):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_reduce.3' >$@
$(names_of_send):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_send.3' >$@
$(names_of_sum):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_sum.3' >$@
$(names_of_team):
	$(AM_V_GEN)$(MKDIR_P) doc/links && echo '.so man3/sharedmem_team.3' >$@
