#include "smrrun/failure.h"

#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "host/binding.h"
#include "smrrun/core.h"
#include "smrrun/start.h"

/* ", cpus 4-5" where the rank is bound. */
static const char *say_cpus(const struct keeper_job *job, uint32_t rank, char *text, size_t size)
{
    const struct binding_plan *binding = job->plan->binding;
    char list[200];

    text[0] = '\0';
    if (binding == NULL || !binding->is_this_machine || binding->width == 0 ||
        binding_format(binding, (int)rank, list, sizeof list) >= (int)sizeof list)
        return text;
    snprintf(text, size, ", cpu%s %s", list[strspn(list, "0123456789")] != '\0' ? "s" : "", list);
    return text;
}

/* "rank 2 (pid 77, cpus 4-5)", "ranks 0-3, 7". */
static void say_who(const struct keeper_job *job, const struct verdict_cause *cause, char *text, size_t size)
{
    struct text_ranges ranks;
    char cpus[240];

    if (cause->n == 1) {
        snprintf(text, size, "rank %u (pid %d%s)", cause->rank, (int)cause->pid,
                 say_cpus(job, cause->rank, cpus, sizeof cpus));
        return;
    }
    text_ranges_begin(&ranks);
    for (uint32_t rank = 0; rank < OPTIONS_MAX_RANKS; rank++) {
        if ((cause->set[rank / 64] >> rank % 64 & 1) != 0)
            text_ranges_add(&ranks, rank);
    }
    snprintf(text, size, "ranks %s", ranks.text);
}

/* " (core dumped: /tmp/core)", of the first of them. */
static const char *say_core(const struct keeper_job *job, const struct verdict_cause *cause, char *text,
                            size_t size)
{
    char described[1200];

    text[0] = '\0';
    if (!cause->end.dumped_core)
        return text;
    core_describe(cause->pid, cause->end.code, start_folder(job, (int)cause->rank), cause->seconds, described,
                  sizeof described);
    snprintf(text, size, " (%s)", described);
    return text;
}

static void say_end(const struct keeper_job *job, const struct verdict_cause *cause, const char *who,
                    char *text, size_t size)
{
    const struct process_end *end = &cause->end;
    char name[32], core[1300];

    if (end->how == PROCESS_VANISHED)
        snprintf(text, size, "how %s ended is not known, after %.2f s", who, cause->seconds);
    else if (end->how == PROCESS_SIGNALLED)
        snprintf(text, size, "%s %s ended by %s%s%s after %.2f s%s", who, cause->n == 1 ? "was" : "were",
                 process_signal_name(end->code, name, sizeof name),
                 cause->is_overflow ? ", a stack overflow," : "", say_core(job, cause, core, sizeof core),
                 cause->seconds, cause->shortage);
    else
        snprintf(text, size, "%s exited with status %d after %.2f s", who, end->code, cause->seconds);
}

void failure_say(const struct keeper_job *job, const struct verdict_cause *cause, char *text, size_t size)
{
    char who[320];

    if (cause->kind == VERDICT_MISSING) {
        snprintf(text, size, "%s", cause->text);
        return;
    }
    say_who(job, cause, who, sizeof who);
    if (cause->kind == VERDICT_ERROR)
        snprintf(text, size, "%s: %s", who, cause->text);
    else
        say_end(job, cause, who, text, size);
}
