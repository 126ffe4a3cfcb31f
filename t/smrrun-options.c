/* The command line of smrrun: what each option sets, what is refused and in which words, and the help. */
#include "smrrun/options.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sharedmem.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define SECOND          UINT64_C(1000000000)

static struct options options;
static char message[256];

/* Parses smrrun with these words. */
static enum options_answer parse(const char *const *words)
{
    static char *argv[32]; /* options.program points into it */
    int argc = 1;

    memset(argv, 0, sizeof argv);
    argv[0] = (char *)"smrrun";
    for (; words[argc - 1] != NULL; argc++)
        argv[argc] = (char *)words[argc - 1];
    options_free(&options);
    return options_parse(&options, argc, argv, message, sizeof message);
}

#define PARSE(...) parse((const char *const[]){__VA_ARGS__, NULL})

/* The words as one text, to name a case. */
static const char *shown(const char *const *words)
{
    static char text[256];
    size_t used = 0;

    text[0] = '\0';
    for (; *words != NULL && used < sizeof text; words++)
        used += (size_t)snprintf(text + used, sizeof text - used, " %s", (*words)[0] != '\0' ? *words : "''");
    return text;
}

/* ---- What is refused ---- */

static const struct {
    const char *words[6];
    const char *part; /* of the message */
} bad[] = {
    {{NULL}, "no program given; as in: smrrun -n 4 ./prog"},
    {{"-n", "4"}, "no program given"},
    {{"--"}, "no program given"},
    {{"-l", "--"}, "no program given"},
    /* Values of -n. */
    {{"-n", "0", "a"}, "-n 0: out of range; give 1 to 4096, as in: smrrun -n 4 ./prog"},
    {{"-n0", "a"}, "-n 0: out of range"},
    {{"-n", "-1", "a"}, "-n -1: out of range"},
    {{"-n", "abc", "a"}, "-n abc: not a whole number; give 1 to 4096, as in: smrrun -n 4 ./prog"},
    {{"-n", "2x", "a"}, "-n 2x: not a whole number"},
    {{"-n2x", "a"}, "-n 2x: not a whole number"},
    {{"-n", "", "a"}, "-n '': not a whole number"},
    {{"-n", "-", "a"}, "-n -: not a whole number"},
    {{"-n", "+4", "a"}, "-n +4: not a whole number"},
    {{"-n", "2.5", "a"}, "-n 2.5: not a whole number"},
    {{"-n", "0x4", "a"}, "-n 0x4: not a whole number"},
    {{"-n", "4 2", "a"}, "-n 4 2: not a whole number"},
    {{"-n=4", "a"}, "-n =4: not a whole number"},
    {{"-n", "4097", "a"}, "-n 4097: out of range"},
    {{"-n", "100000", "a"}, "-n 100000: out of range"},
    {{"-n", "99999999999999999999", "a"}, "-n 99999999999999999999: out of range"},
    {{"-n", "4294967300", "a"}, "out of range"},
    {{"-n", "./prog"}, "-n ./prog: not a whole number"},
    {{"-n", "a\nb", "a"}, "-n a b: not a whole number"},
    {{"-n"}, "-n needs a value; give 1 to 4096, as in: smrrun -n 4 ./prog"},
    {{"-np"}, "-np needs a value; give 1 to 4096, as in: smrrun -np 4 ./prog"},
    {{"-np", "x", "a"}, "-np x: not a whole number; give 1 to 4096, as in: smrrun -np 4 ./prog"},
    {{"--ntasks", "0", "a"}, "--ntasks 0: out of range"},
    {{"--ntasks=", "a"}, "--ntasks '': not a whole number"},
    {{"--ntasks"}, "--ntasks needs a value"},
    {{"-n", "4", "-n", "x", "a"}, "-n x: not a whole number"},
    {{"-t", "0", "a"}, "-t 0: out of range; give 1 to 4096, as in: smrrun -t 2 ./prog"},
    {{"-t", "two", "a"}, "-t two: not a whole number"},
    /* Policies. */
    {{"--bind-to", "", "a"},
     "--bind-to '': no such policy; give share, core, pu, l3, numa, package or none, as in:"},
    {{"--bind-to", "cores", "a"}, "--bind-to cores: no such policy (core?); give share, core, pu"},
    {{"--bind-to", "everything", "a"}, "--bind-to everything: no such policy; give share"},
    {{"--map-by", "", "a"},
     "--map-by '': no such order; give spread, close, core, l3, numa, package or ppr:2:numa"},
    {{"--map-by", "spraed", "a"}, "--map-by spraed: no such order (spread?)"},
    {{"--map-by", "core:PE=0", "a"}, "--map-by core:PE=0: not understood; give spread"},
    {{"--map-by", "core:QE=2", "a"}, "not understood"},
    {{"--map-by", "ppr:2", "a"}, "--map-by ppr:2: not understood"},
    {{"--map-by", "ppr:x:numa", "a"}, "not understood"},
    {{"--map-by", "ppr:0:numa", "a"}, "not understood"},
    {{"--map-by", "ppr:2:core", "a"}, "ranks are counted for each l3, numa or package"},
    {{"--map-by", "a-word-that-is-so-long-that-nobody-would-take-it-for-an-order-of-ranks", "a"},
     "no such order"},
    {{"--cpus", "", "a"}, "--cpus '': no list; give a list of processors, as in: smrrun --cpus 0-3,8 ./prog"},
    {{"--cpus", "3-1", "a"}, "--cpus 3-1: no list"},
    {{"--cpus", "0,", "a"}, "no list"},
    {{"--cpus", "0-", "a"}, "no list"},
    {{"--cpus", "0-8:0", "a"}, "no list"},
    {{"--cpus", "99999999999", "a"}, "no list"},
    {{"--exclude", "-1", "a"}, "--exclude -1: no list"},
    /* Variables, folders, times, sizes. */
    {{"-x", "", "a"},
     "-x '': no name of a variable; give VAR or VAR=VAL, as in: smrrun -x OMP_NUM_THREADS=2"},
    {{"-x", "=1", "a"}, "-x =1: no name of a variable"},
    {{"-x", "1A=1", "a"}, "-x 1A=1: no name of a variable"},
    {{"-x", "A B=1", "a"}, "-x A B=1: no name of a variable"},
    {{"-x", "SHAREDMEM_RANK=1", "a"}, "-x SHAREDMEM_RANK: smrrun sets it for each rank; leave it out"},
    {{"-x", "SHAREDMEM_SIZE", "a"}, "-x SHAREDMEM_SIZE: smrrun sets it"},
    {{"-x", "SHAREDMEM_JOB=1:2:3", "a"}, "-x SHAREDMEM_JOB: smrrun sets it"},
    {{"-x", "-l", "a"}, "-x -l: no name of a variable"},
    {{"-x", "NOT_SET", "a"},
     "-x NOT_SET: it is not set here; give its value, as in: smrrun -x NOT_SET=1 ./prog"},
    {{"-w", "", "a"}, "-w '': no folder; give a folder, as in: smrrun -w run1 ./prog"},
    {{"--wdir=", "a"}, "--wdir '': no folder"},
    {{"-wdir"}, "-wdir needs a value; give a folder"},
    {{"--timeout", "5x", "a"},
     "--timeout 5x: not a time; give 90, 500ms, 5m, 1h or 1:30:00, as in: smrrun --timeout"},
    {{"--timeout", "-5", "a"}, "--timeout -5: not a time"},
    {{"--timeout", "", "a"}, "--timeout '': not a time"},
    {{"--timeout", "1:60", "a"}, "not a time"},
    {{"--timeout", "99999999999999999999", "a"}, "not a time"},
    {{"--grace", "soon", "a"},
     "--grace soon: not a time; give 5, 500ms or 1m, as in: smrrun --grace 10s ./prog"},
    {{"--heap", "lots", "a"}, "--heap lots: not a size; give 16M to 8192G, as in: smrrun --heap 4G ./prog"},
    {{"--heap", "-1G", "a"}, "--heap -1G: not a size"},
    {{"--heap", "1K", "a"}, "--heap 1K: out of range"},
    {{"--heap", "8193G", "a"}, "--heap 8193G: out of range"},
    {{"--mem", "numa", "a"},
     "--mem numa: no such policy; give local, interleave or none, as in: smrrun --mem interleave ./prog"},
    {{"--mem", "", "a"}, "--mem '': no such policy"},
    {{"--completion", "zsh", "a"},
     "--completion zsh: no such shell; give bash, as in: smrrun --completion bash"},
    /* What a terminal would obey is shown. */
    {{"-n", "4\033[2J\t", "a"}, "-n 4?[2J : not a whole number"},
    /* Words that are no options. */
    {{"--lable", "a"}, "unknown option --lable; did you mean --label? smrrun -h lists all"},
    {{"--lable=3", "a"}, "unknown option --lable=3; did you mean --label?"},
    {{"--tiemout", "5", "a"}, "did you mean --timeout?"},
    {{"--keepgoing", "a"}, "did you mean --keep-going?"},
    {{"--bindto", "none", "a"}, "did you mean --bind-to?"},
    {{"--labels", "a"}, "did you mean --label?"},
    {{"-lable", "a"}, "unknown option -lable; did you mean --label?"},
    {{"--frobnicate", "a"}, "unknown option --frobnicate; smrrun -h lists all"},
    {{"--a-word-that-is-longer-than-any-name-of-an-option", "a"}, "smrrun -h lists all"},
    {{"--=3", "a"}, "unknown option --=3; smrrun -h lists all"},
    {{"---", "a"}, "unknown option ---; smrrun -h lists all"},
    {{"-z", "a"}, "unknown option -z; smrrun -h lists all"},
    {{"-lz", "a"}, "unknown option -lz; smrrun -h lists all"},
    {{"-4", "a"}, "unknown option -4; smrrun -h lists all"},
    {{"-=", "a"}, "unknown option -="},
    {{"--mem", "interleaved", "a"},
     "--mem interleaved: no such policy (interleave?); give local, interleave or"},
    {{"--bind-to", "shares", "a"}, "--bind-to shares: no such policy (share?); give share, core"},
    /* Files and input. */
    {{"-o", "", "a"},
     "-o '': no file; give a file, in which %r is the rank, as in: smrrun -o 'out.%r' ./prog"},
    {{"-o", "out.%x", "a"}, "-o out.%x: behind % stands r, for the rank, or another %; give"},
    {{"-e", "err.%", "a"}, "-e err.%: behind % stands r"},
    {{"-o", "%3%", "a"}, "behind % stands r"},
    {{"-l", "-o", "out.%r", "a"}, "no line begins with a label; leave out %r or -l"},
    {{"--timestamps", "-e", "out.%r", "a"}, "no line begins with the time; leave out %r or --timestamps"},
    {{"--stdin", "x", "a"}, "--stdin x: no rank; give a rank or none, as in: smrrun --stdin none ./prog"},
    {{"--stdin", "-1", "a"}, "--stdin -1: out of range"},
    /* As others have it. */
    {{"-hostfiel", "x", "a"}, "unknown option -hostfiel; did you mean --hostfile?"},
    {{"-hostfile", "", "a"}, "-hostfile '': no file; give a file, as in: smrrun -f hosts ./prog"},
    {{"-H", "", "a"}, "-H '': no host; give localhost, as in: smrrun -H localhost ./prog"},
    {{"-genv", "A"}, "-genv needs two values; give VAR VALUE, as in: smrrun -genv OMP_NUM_THREADS 2 ./prog"},
    {{"-genv"}, "-genv needs a value; give VAR VALUE"},
    {{"-genv", "1A", "1", "a"}, "-genv 1A: no name of a variable"},
    {{"-env", "SHAREDMEM_RANK", "1", "a"}, "-env SHAREDMEM_RANK: smrrun sets it for each rank"},
    {{"--mca", "btl"}, "--mca needs two values; give KEY VALUE"},
    {{"-ppn", "x", "a"}, "-ppn x: not a whole number; give 1 to 4096"},
    {{"-\xc3\xa4", "a"}, "smrrun -h lists all"},
    {{"--t", "4", "a"}, "--t is short for --threads or --timeout; type more of it"},
    {{"--ver", "a"}, "--ver is short for --verbose or --version; type more of it"},
    {{"--ver=1", "a"}, "--ver is short for"},
    {{"--h", "a"}, "--h is short for --heap or --help"},
    {{"--label=3", "a"}, "--label takes no value; as in: smrrun --label ./prog"},
    {{"--label=", "a"}, "--label takes no value"},
    {{"--help=me", "a"}, "--help takes no value"},
    {{"a", ":", "b"}, "with : between programs each needs its -n, a too; as in: smrrun -n 1 ./a : -n 3 ./b"},
    {{"-n", "1", "a", ":", "b"}, "each needs its -n, b too"},
    {{"-n", "2", "a", "-n", ":"}, "no program given behind :; as in: smrrun -n 4 ./prog : -n 2 ./other"},
    {{":", "a"}, "no program given; as in"},
    {{"-n1", "a", ":", ":", "b"}, "no program given behind :"},
    {{"-n1", "a", ":", "-l", "b"},
     "-l counts for all programs and stands before the first; behind : stand -n, -x and"},
    {{"-n4000", "a", ":", "-n97", "b"}, "the programs have more than 4096 ranks together"},
};

static void test_bad(void)
{
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        test_int(OPTIONS_BAD, parse(bad[i].words), "refused:%s", shown(bad[i].words));
        test_has(bad[i].part, message, "and it says why");
        test_ok(strchr(message, '\n') == NULL, "in one line");
    }
}

/* The message is cut to what the caller has. */
static void test_cut(void)
{
    char *argv[] = {(char *)"smrrun", (char *)"-n", (char *)"x", NULL}, small[8];

    options_free(&options);
    test_int(OPTIONS_BAD, options_parse(&options, 3, argv, small, sizeof small), "with little room for it");
    test_str("-n x: n", small, "the message is cut");
    test_int(OPTIONS_BAD, options_parse(&options, 0, argv + 3, message, sizeof message), "no words at all");
    test_has("no program given", message, "are no program");
}

/* ---- What is taken ---- */

static void test_defaults(void)
{
    test_int(OPTIONS_RUN, PARSE("a"), "a program alone");
    test_str("", message, "no message");
    test_int(0, options.n_ranks, "no count");
    test_int(0, options.n_threads, "no threads");
    test_int(BINDING_SHARE, options.bind, "equal shares");
    test_ok(!options.is_bind_given, "not because it was asked for");
    test_ok(!options.report_bindings && !options.dry_run && !options.keep_going && !options.label &&
                !options.quiet && !options.verbose,
            "no flag is set");
    test_ok(options.timeout_ns == 0, "no time limit");
    test_ok(options.grace_ns == 5 * SECOND, "a grace of 5 s");
    test_ok(options.heap_bytes == 0 && options.programs[0].wdir == NULL && options.n_exports == 0 &&
                options.mem == NULL,
            "nothing else");
    test_str("a", options.programs[0].argv[0], "the program");
    test_str(NULL, options.programs[0].argv[1], "and no arguments");
}

static const struct {
    const char *words[6];
    int n_ranks;
} counts[] = {
    {{"-n4", "a"}, 4},
    {{"-n", "4", "a"}, 4},
    {{"-np", "4", "a"}, 4},
    {{"-np=4", "a"}, 4},
    {{"--np", "4", "a"}, 4},
    {{"--np=4", "a"}, 4},
    {{"--ntasks", "4", "a"}, 4},
    {{"--ntasks=4", "a"}, 4},
    {{"-ntasks", "4", "a"}, 4},
    {{"--nt=4", "a"}, 4},
    {{"--n", "4", "a"}, 4},
    {{"-ln4", "a"}, 4},
    {{"-lvn", "4", "a"}, 4},
    {{"-n", "1", "a"}, 1},
    {{"-n", "4096", "a"}, 4096},
    {{"-n", "007", "a"}, 7},
    {{"-n", " 4 ", "a"}, 4},
    {{"-n", "2", "-n", "3", "a"}, 3},
    {{"-n", "2", "--", "a"}, 2},
    {{"-ppn", "4", "a"}, 4},
    {{"-npernode", "4", "a"}, 4},
    {{"--ntasks-per-node=4", "a"}, 4},
    {{"-ppn", "4", "-n", "2", "a"}, 2},
    {{"-n", "2", "-ppn", "4", "a"}, 2},
};

static void test_counts(void)
{
    for (size_t i = 0; i < COUNT_OF(counts); i++) {
        test_int(OPTIONS_RUN, parse(counts[i].words), "taken:%s", shown(counts[i].words));
        test_int(counts[i].n_ranks, options.n_ranks, "as %d", counts[i].n_ranks);
        test_str("a", options.programs[0].argv[0], "with the program behind it");
    }
}

/* Each flag in all its spellings sets its own member, and no other. */
static const struct {
    const char *spelled[4];
    size_t offset;
} flags[] = {
    {{"--report-bindings", "--rep", "-report-bindings", "-display-map"},
     offsetof(struct options, report_bindings)},
    {{"--dry-run", "--d"}, offsetof(struct options, dry_run)},
    {{"-k", "--keep-going", "--keep"}, offsetof(struct options, keep_going)},
    {{"-l", "--label", "--l", "--tag-output"}, offsetof(struct options, label)},
    {{"-q", "--quiet", "--q"}, offsetof(struct options, quiet)},
    {{"-v", "--verbose", "--verb"}, offsetof(struct options, verbose)},
    /* The manual alone tells of the rest. */
    {{"--timestamps", "--timestamp-output"}, offsetof(struct options, timestamps)},
    {{"--smt", "--use-hwthread-cpus"}, offsetof(struct options, use_smt)},
};
#define N_SHOWN 6

static void test_flag(const char *word, size_t offset)
{
    test_int(OPTIONS_RUN, PARSE(word, "a"), "%s is taken", word);
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        bool is_set = *(bool *)((char *)&options + flags[i].offset);

        test_ok(is_set == (flags[i].offset == offset), "and %s %s", flags[i].spelled[0],
                is_set ? "is on" : "is off");
    }
}

static void test_flags(void)
{
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        for (size_t j = 0; j < COUNT_OF(flags[i].spelled) && flags[i].spelled[j] != NULL; j++)
            test_flag(flags[i].spelled[j], flags[i].offset);
    }
    test_int(OPTIONS_RUN, PARSE("-lvk", "a"), "flags share a word");
    test_ok(options.label && options.verbose && options.keep_going && !options.quiet, "and all are set");
    test_int(OPTIONS_RUN, PARSE("--oversubscribe", "--allow-run-as-root", "-oversubscribe", "a"),
             "what means nothing here is taken");
    test_str("a", options.programs[0].argv[0], "and passed over");
}

static void test_values(void)
{
    test_int(OPTIONS_RUN, PARSE("-t", "2", "--bind-to", "none", "--timeout", "1:30:00", "--grace=500ms", "a"),
             "values of all kinds");
    test_int(2, options.n_threads, "threads");
    test_int(BINDING_NONE, options.bind, "no binding");
    test_ok(options.is_bind_given, "as asked for");
    test_ok(options.timeout_ns == 5400 * SECOND, "a time limit");
    test_ok(options.grace_ns == SECOND / 2, "a grace");
    test_int(OPTIONS_RUN, PARSE("--heap", "2G", "-w", "/tmp", "--bind-to=share", "a"), "and more of them");
    test_ok(options.heap_bytes == UINT64_C(2) << 30, "a size");
    test_str("/tmp", options.programs[0].wdir, "a folder");
    test_int(BINDING_SHARE, options.bind, "the default");
    test_ok(options.is_bind_given, "asked for by name");
    test_int(OPTIONS_RUN, PARSE("--mem", "interleave", "--mem=none", "a"),
             "a policy of memory, the last counts");
    test_str("none", options.mem, "it is kept");
    test_int(OPTIONS_RUN, PARSE("-wdir", "run1", "--timeout=0", "--grace", "0", "--heap=16M", "a"),
             "least ones");
    test_str("run1", options.programs[0].wdir, "MPI's -wdir is no -w with dir");
    test_ok(options.timeout_ns == 0 && options.grace_ns == 0 && options.heap_bytes == 16 << 20,
            "all of them");
    test_int(OPTIONS_RUN, PARSE("--bind-to", "socket", "--map-by", "ppr:2:numa:PE=3", "--smt", "a"),
             "places");
    test_int(BINDING_PACKAGE, options.bind, "a socket is a package");
    test_int(BINDING_BY_NUMA, options.map, "in turn to nodes");
    test_int(2, options.per_object, "two on each");
    test_int(3, options.cores, "of three cores");
    test_ok(options.use_smt, "by hardware threads");
    test_int(OPTIONS_RUN, PARSE("-map-by", "ppr:2:numa", "-map-by", "slot:pe=2", "-bind-to", "hwthread", "a"),
             "others");
    test_int(BINDING_CLOSE, options.map, "slots are cores");
    test_int(0, options.per_object, "the last counts");
    test_int(2, options.cores, "with its cores");
    test_int(BINDING_PU, options.bind, "a hardware thread");
    test_int(OPTIONS_RUN, PARSE("--cpus", "0-3,8,10-20:2", "--exclude=1", "a"), "processors");
    test_str("0-3,8,10-20:2", options.cpus, "to use");
    test_str("1", options.exclude, "or not to");
    test_int(OPTIONS_RUN, PARSE("-o", "a%%b.%4r", "--stdin", "none", "a"),
             "a file for each rank, and no input");
    test_str("a%%b.%4r", options.files[0], "stdout's");
    test_str("a%%b.%4r", options.files[1], "is stderr's too");
    test_int(-1, options.stdin_rank, "nobody reads");
    test_int(OPTIONS_RUN, PARSE("-o", "out", "-e", "err.%t", "--stdin=3", "a"), "one each");
    test_str("out", options.files[0], "stdout's");
    test_str("err.%t", options.files[1], "stderr's");
    test_int(3, options.stdin_rank, "who reads");
    test_int(OPTIONS_RUN, PARSE("-w/tmp", "--heap", "8192G", "a"), "the largest heap");
    test_str("/tmp", options.programs[0].wdir, "a folder in the same word");
}

static void test_exports(void)
{
    setenv("SET_HERE", "by=me", 1);
    test_int(OPTIONS_RUN, PARSE("-x", "A=1", "-xSET_HERE", "--export=B=x=y", "-x", "C=", "a"), "variables");
    test_int(4, options.n_exports, "each is kept");
    test_str("A=1", options.exports[0], "with its value");
    test_str("SET_HERE=by=me", options.exports[1], "or with that which it has here");
    test_str("B=x=y", options.exports[2], "which may hold =");
    test_str("C=", options.exports[3], "or be empty");
    test_int(OPTIONS_RUN, PARSE("-x", "A=1", "-x", "A=2", "a"), "the same twice");
    test_str("A=2", options.exports[1], "is kept in order");
    test_int(OPTIONS_BAD, PARSE("-x", "A=1", "-x", "?", "a"), "one good and one bad");
    options_free(&options);
    options_free(&options);
    test_ok(options.exports == NULL && options.n_exports == 0, "may be freed, twice even");
    unsetenv("SET_HERE");
}

static void test_programs(void)
{
    test_int(OPTIONS_RUN,
             PARSE("-x", "A=1", "-w", "d", "-n", "2", "a", "b", ":", "-n1", "c", ":", "-n", "3", "-x", "A=2",
                   "-w", "e", "c"),
             "three programs");
    test_int(6, options.n_ranks, "with six ranks together");
    test_int(3, options.n_programs, "are three");
    test_str("b", options.programs[0].argv[1], "arguments of the first");
    test_str(NULL, options.programs[0].argv[2], "end at the colon");
    test_str("c", options.programs[1].argv[0], "the second");
    test_str(NULL, options.programs[1].argv[1], "has none");
    test_int(2, options.programs[0].n_ranks, "ranks of the first");
    test_int(3, options.programs[2].n_ranks, "and of the last");
    test_str("d", options.programs[1].wdir, "the first's folder is the second's");
    test_str("e", options.programs[2].wdir, "but where it has its own");
    test_int(0, options.programs[1].exports[1] - options.programs[1].exports[0],
             "the second has no variables");
    test_int(1, options.programs[2].exports[0], "the third's");
    test_int(2, options.programs[2].exports[1], "is its own");
}

/* What commands for others have in them, and means the same here or nothing. */
static const char *const foreign[][8] = {
    {"--mca", "btl", "self,vader", "a"},
    {"-mca", "mpi_yield_when_idle", "1", "--oversubscribe", "a"},
    {"-genvall", "-launcher", "ssh", "-iface", "eth0", "a"},
    {"-genvlist", "A,B", "-rmk", "slurm", "a"},
    {"--mpi=pmi2", "--unbuffered", "--exclusive", "--overlap", "a"},
    {"-byslot", "-bynode", "--allow-run-as-root", "a"},
};

static void test_foreign(void)
{
    for (size_t i = 0; i < COUNT_OF(foreign); i++) {
        test_int(OPTIONS_RUN, parse(foreign[i]), "passed over:%s", shown(foreign[i]));
        test_str("a", options.programs[0].argv[0], "up to the program");
    }
    test_int(OPTIONS_RUN, PARSE("-genv", "A", "1 2", "-env", "B", "", "--cpus-per-task=3", "a"), "of others");
    test_int(2, options.n_exports, "variables");
    test_str("A=1 2", options.exports[0], "each with its value");
    test_str("B=", options.exports[1], "be it empty");
    test_int(3, options.n_threads, "threads");
    test_int(OPTIONS_RUN, PARSE("-H", "localhost:2", "-wd", "/tmp", "-prepend-rank", "-display-map", "a"),
             "more");
    test_str("localhost:2", options.hosts, "hosts");
    test_str("/tmp", options.programs[0].wdir, "a folder");
    test_ok(options.label && options.report_bindings, "and flags");
    test_int(OPTIONS_RUN, PARSE("-machinefile", "m", "a"), "a file");
    test_str("m", options.hosts_file, "of hosts");
    test_int(OPTIONS_RUN, PARSE("-f", "m", "a"), "in Hydra's words");
    test_str("m", options.hosts_file, "too");
}

/* Parses with words in SHAREDMEM_OPTS. */
static enum options_answer parse_preset(const char *preset, const char *word)
{
    enum options_answer answer;

    setenv("SHAREDMEM_OPTS", preset, 1);
    answer = PARSE(word, "a");
    unsetenv("SHAREDMEM_OPTS");
    return answer;
}

static void test_preset(void)
{
    char many[2048] = "";

    test_int(OPTIONS_RUN, parse_preset("  -l  --timeout 5m\t-n2 -w /tmp ", "-q"), "SHAREDMEM_OPTS");
    test_ok(options.label && options.quiet && options.timeout_ns == 300 * SECOND, "its options count");
    test_str("/tmp", options.programs[0].wdir, "and so do their values");
    test_int(2, options.n_ranks, "all of them");
    test_int(OPTIONS_RUN, parse_preset("-n2", "-n3"), "both say how many");
    test_int(3, options.n_ranks, "the command line is the last");
    test_int(OPTIONS_RUN, parse_preset("", "-n3"), "an empty one");
    test_int(OPTIONS_BAD, parse_preset("-n x", "-l"), "a bad value");
    test_has("SHAREDMEM_OPTS: -n x: not a whole number", message, "is said to be there");
    test_int(OPTIONS_BAD, parse_preset("-l ./prog", "-l"), "a program");
    test_has("SHAREDMEM_OPTS: ./prog is no option", message, "has no place there");
    for (int i = 0; i < 300; i++)
        strcat(many, "-l ");
    test_int(OPTIONS_BAD, parse_preset(many, "-l"), "too many words");
    test_has("more than", message, "are refused");
}

static void test_program(void)
{
    test_int(OPTIONS_RUN, PARSE("-n", "2", "a", "-n", "3", "--", "-h"), "options behind the program");
    test_int(2, options.n_ranks, "are not ours");
    test_str("a", options.programs[0].argv[0], "the program");
    test_str("-n", options.programs[0].argv[1], "has them");
    test_str("--", options.programs[0].argv[3], "all");
    test_str("-h", options.programs[0].argv[4], "to the last");
    test_int(OPTIONS_RUN, PARSE("--", "-a", "b"), "a program with a dash");
    test_str("-a", options.programs[0].argv[0], "stands behind --");
    test_int(OPTIONS_RUN, PARSE("-", "b"), "a dash alone");
    test_str("-", options.programs[0].argv[0], "is no option");
    test_int(OPTIONS_RUN, PARSE("", "b"), "an empty word");
    test_str("", options.programs[0].argv[0], "is no option either");
    test_int(OPTIONS_RUN, PARSE("a", "::", "-x:"), "arguments with colons");
    test_str("::", options.programs[0].argv[1], "are arguments");
}

/* ---- Help and version ---- */

/* What parsing word prints. */
static const char *output_of(const char *word, enum options_answer expected)
{
    static char text[4096];
    int saved = dup(STDOUT_FILENO), pipe_fds[2];
    enum options_answer answer;
    ssize_t length;

    fflush(stdout);
    if (pipe2(pipe_fds, O_CLOEXEC) != 0 || dup2(pipe_fds[1], STDOUT_FILENO) < 0)
        return "no pipe";
    answer = PARSE(word);
    fflush(stdout);
    dup2(saved, STDOUT_FILENO);
    close(saved);
    close(pipe_fds[1]);
    length = read(pipe_fds[0], text, sizeof text - 1);
    close(pipe_fds[0]);
    text[length > 0 ? length : 0] = '\0';
    test_int(expected, answer, "%s: the answer", word);
    return text;
}

static void test_help(void)
{
    char text[4096];
    int n_lines = 0;
    size_t widest = 0;

    snprintf(text, sizeof text, "%s", output_of("-h", OPTIONS_DONE));
    for (const char *line = text; *line != '\0'; line += strcspn(line, "\n") + 1) {
        size_t width = strcspn(line, "\n");

        n_lines++;
        widest = width > widest ? width : widest;
    }
    test_ok(n_lines <= 24, "it fits a screen: %d lines", n_lines);
    test_ok(widest <= 79, "of %zu columns", widest);
    for (size_t i = 0; i < N_SHOWN; i++)
        test_has(flags[i].spelled[0], text, "it tells of %s", flags[i].spelled[0]);
    test_has("-n, --ntasks N", text, "and of the count");
    test_has("-x, --export VAR[=VAL]", text, "and of variables");
    test_has("(5s)", text, "with defaults");
    test_ok(strstr(text, "oversubscribe") == NULL, "but not of what means nothing");
    test_str(text, output_of("--help", OPTIONS_DONE), "--help is the same");
    test_str(text, output_of("-lh", OPTIONS_DONE), "in one word with another too");
}

static void test_version(void)
{
    char expected[64];

    snprintf(expected, sizeof expected, "smrrun (sharedmem) %s\n", sharedmem_version());
    test_str(expected, output_of("-V", OPTIONS_DONE), "the version");
    test_str(expected, output_of("--version", OPTIONS_DONE), "in its long spelling too");
    setenv("SHAREDMEM_OPTS", "-l -V", 1);
    test_str(expected, output_of("./prog", OPTIONS_DONE), "from SHAREDMEM_OPTS, and no program is run");
    unsetenv("SHAREDMEM_OPTS");
}

/* stdout that cannot be written is no success. */
static void test_closed_stdout(void)
{
    int saved = dup(STDOUT_FILENO);
    enum options_answer answer;

    fflush(stdout);
    close(STDOUT_FILENO);
    answer = PARSE("-V");
    dup2(saved, STDOUT_FILENO);
    close(saved);
    clearerr(stdout);
    test_int(OPTIONS_BAD, answer, "no stdout for the version");
    test_has("cannot write to stdout: ", message, "and it says so");
}

int main(void)
{
    test_begin(20);
    test_bad();
    test_cut();
    test_defaults();
    test_counts();
    test_flags();
    test_values();
    test_exports();
    test_programs();
    test_foreign();
    test_preset();
    test_program();
    test_help();
    test_version();
    test_closed_stdout();
    options_free(&options);
    return test_end();
}
