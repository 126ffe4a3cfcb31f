# The launcher: everything but main as a library of its own, for the unit tests.
noinst_LTLIBRARIES += tools/libsmrrun.la
tools_cppflags = $(AM_CPPFLAGS) -I$(top_srcdir)/tools
tools_libsmrrun_la_SOURCES = \
	tools/smrrun/advice.c tools/smrrun/advice.h \
	tools/smrrun/batch.c tools/smrrun/batch.h \
	tools/smrrun/channel.c tools/smrrun/channel.h \
	tools/smrrun/debugged.c tools/smrrun/debugged.h \
	tools/smrrun/core.c tools/smrrun/core.h \
	tools/smrrun/decide.c tools/smrrun/decide.h \
	tools/smrrun/drawing.c tools/smrrun/drawing.h \
	tools/smrrun/face.c tools/smrrun/face.h \
	tools/smrrun/failure.c tools/smrrun/failure.h \
	tools/smrrun/files.c tools/smrrun/files.h \
	tools/smrrun/hosts.c tools/smrrun/hosts.h \
	tools/smrrun/keeper.c tools/smrrun/keeper.h tools/smrrun/keeper_ends.c tools/smrrun/keeper_signals.c \
	tools/smrrun/keeper_state.h \
	tools/smrrun/line.c tools/smrrun/line.h \
	tools/smrrun/options.c tools/smrrun/options.h \
	tools/smrrun/options_bind.c tools/smrrun/options_completion.c \
	tools/smrrun/options_help.c tools/smrrun/options_table.c tools/smrrun/options_table.h \
	tools/smrrun/output.c tools/smrrun/output.h \
	tools/smrrun/plan.c tools/smrrun/plan.h \
	tools/smrrun/program.c tools/smrrun/program.h \
	tools/smrrun/report.c tools/smrrun/report.h \
	tools/smrrun/selftest.c tools/smrrun/selftest.h \
	tools/smrrun/sink.c tools/smrrun/sink.h \
	tools/smrrun/start.c tools/smrrun/start.h \
	tools/smrrun/stats.c tools/smrrun/stats.h \
	tools/smrrun/verdict.c tools/smrrun/verdict.h \
	tools/smrrun/wrap.c tools/smrrun/wrap.h
tools_libsmrrun_la_CPPFLAGS = $(tools_cppflags)
tools_libsmrrun_la_LIBADD = src/libinternal.la

bin_PROGRAMS += smrrun
smrrun_SOURCES = tools/smrrun/main.c
smrrun_CPPFLAGS = $(tools_cppflags)
smrrun_LDADD = tools/libsmrrun.la

# The compiler wrapper, made by configure.
bin_SCRIPTS += smrcc

# For bash, which finds it by the program's name: the installed program says what there is to complete. So nothing is
# made at build time, which a cross build could not.
completiondir = $(datadir)/bash-completion/completions
dist_completion_DATA = tools/completion/smrrun
