/* Where core files are: kernel.core_pattern made a pattern that the file of one process matches. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "smrrun/core.h"

#include "tap.h"

static void test_patterns(void)
{
    static const struct {
        const char *pattern;
        bool uses_pid;
        const char *glob; /* NULL: there is none */
    } rows[] = {
        {"|/usr/lib/systemd/systemd-coredump %P %u", true, NULL},
        {"|/bin/false", false, NULL},
        {"@/run/cores.socket", false, NULL},
        {"", false, NULL},
        {"core", false, "core"},
        {"core", true, "core.77"},
        {"core.%p", true, "core.77"},
        {"/var/crash/%e.%p.%s", false, "/var/crash/*.77.11"},
        {"%E-%h-%t-%P-%i-%I-%d-%c-%C-%f-%F", false, "*-*-*-*-*-*-*-*-*-*-*"},
        {"100%%.%p", false, "100%.77"},
        {"core.%", false, "core."},
        {"core.%q.%p", false, "core..77"},
        {"[core]*?\\", false, "\\[core]\\*\\?\\\\"},
        {"%P", true, "*.77"},
    };
    char glob[64];

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int result = core_glob(rows[i].pattern, rows[i].uses_pid, 77, 11, glob, sizeof glob);

        test_int(rows[i].glob != NULL ? 0 : -1, result, "\"%s\"", rows[i].pattern);
        if (result == 0 && rows[i].glob != NULL)
            test_str(rows[i].glob, glob, "\"%s\" is", rows[i].pattern);
    }
}

static void test_ids(void)
{
    char glob[64], expected[64];

    snprintf(expected, sizeof expected, "%u.%u", (unsigned)getuid(), (unsigned)getgid());
    test_int(0, core_glob("%u.%g", false, 77, 11, glob, sizeof glob), "with ids");
    test_str(expected, glob, "they are ours");
}

static void test_room(void)
{
    char glob[8], longest[200];

    memset(longest, 'x', sizeof longest);
    longest[sizeof longest - 1] = '\0';
    test_int(0, core_glob("core.77", false, 7, 11, glob, sizeof glob), "what just fits");
    test_int(-1, core_glob("core.777", false, 7, 11, glob, sizeof glob), "what does not by one");
    test_int(-1, core_glob("core.%p", true, 1234567, 11, glob, sizeof glob), "nor a number");
    test_int(-1, core_glob(longest, false, 7, 11, glob, sizeof glob), "nor what is much longer");
    test_int(-1, core_glob("core", false, 7, 11, glob, 0), "nor anything into nothing");
}

int main(void)
{
    test_begin(30);
    test_patterns();
    test_ids();
    test_room();
    return test_end();
}
