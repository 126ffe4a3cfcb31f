#include "base/env.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>

#include "base/log.h"
#include "base/parse.h"

static const struct {
    const char *name;
    const char *purpose;
} variables[ENV_COUNT] = {
    [ENV_NP] = {"SHAREDMEM_NP", "how many workers a map starts by default"},
    [ENV_OMP_NUM_THREADS] = {"OMP_NUM_THREADS", "the same, where SHAREDMEM_NP is not set"},
    [ENV_PBS_NUM_PPN] = {"PBS_NUM_PPN", "the same, set by Torque, where neither of those is"},
    [ENV_HEAP] = {"SHAREDMEM_HEAP", "size of the shared heap: 512M, 16G"},
    [ENV_BIND] = {"SHAREDMEM_BIND",
                  "share (the default): workers are pinned to equal shares of cores; none: not"},
    [ENV_DEBUG] = {"SHAREDMEM_DEBUG", "1: maps and parallel calls run in the caller, without workers"},
    [ENV_JOB] = {"SHAREDMEM_JOB", "where the ranks of a job find its segment; set by the launcher"},
    [ENV_LD_PRELOAD] = {"LD_PRELOAD", "not ours; tells whether the program runs under valgrind"},
};

static atomic_uint warned;

bool env_is_untrusted(void)
{
    return getauxval(AT_SECURE) != 0;
}

bool env_has_valgrind(void)
{
    const char *text = env_text(ENV_LD_PRELOAD);

    return text != NULL && strstr(text, "vgpreload") != NULL;
}

const char *env_name(enum env_variable variable)
{
    return variables[variable].name;
}

const char *env_purpose(enum env_variable variable)
{
    return variables[variable].purpose;
}

const char *env_text(enum env_variable variable)
{
    return secure_getenv(variables[variable].name);
}

static enum env_result result_of(int parsed)
{
    return parsed == 0 ? ENV_GOOD : ENV_MALFORMED;
}

enum env_result env_int(enum env_variable variable, long min, long max, long *value)
{
    const char *text = env_text(variable);

    return text == NULL ? ENV_UNSET : result_of(parse_int(text, min, max, value));
}

enum env_result env_first_int(enum env_variable variable, long min, long max, long *value)
{
    const char *text = env_text(variable);
    char first[32];
    size_t length;

    if (text == NULL)
        return ENV_UNSET;
    length = strcspn(text, ",");
    if (length >= sizeof first)
        return ENV_MALFORMED;
    memcpy(first, text, length);
    first[length] = '\0';
    return result_of(parse_int(first, min, max, value));
}

enum env_result env_size(enum env_variable variable, uint64_t *value)
{
    const char *text = env_text(variable);

    return text == NULL ? ENV_UNSET : result_of(parse_size(text, value));
}

void env_warn(enum env_variable variable, const char *expected)
{
    unsigned bit = 1u << variable;

    if (atomic_fetch_or(&warned, bit) & bit)
        return;
    log_warn("%s=%.40s is not %s and is ignored", env_name(variable), env_text(variable), expected);
}
