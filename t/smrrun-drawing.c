/* The map that smrrun -v draws: recorded drawings of some machines, and what holds of all. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "smrrun/drawing.h"
#include "tap.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

struct lines {
    char text[65536];
    size_t longest;
    bool is_plain; /* printable ASCII */
};

static void keep(const char *text, void *argument)
{
    struct lines *lines = argument;
    size_t used = strlen(lines->text);

    if (strlen(text) > lines->longest)
        lines->longest = strlen(text);
    for (const char *c = text; *c != '\0'; c++)
        lines->is_plain = lines->is_plain && *c >= ' ' && *c <= '~';
    snprintf(lines->text + used, sizeof lines->text - used, "%s\n", text);
}

/* A description, or the name of a saved machine. */
static struct topology *load(const char *machine)
{
    const char *srcdir = getenv("srcdir");
    char path[4096];

    if (strchr(machine, ':') != NULL)
        return topology_load_synthetic(machine, NULL);
    snprintf(path, sizeof path, "%s/t/topologies/%s.xml", srcdir != NULL ? srcdir : ".", machine);
    return topology_load_xml(path, NULL);
}

/* Keeps of the machine what --cpus would: every processor from first to last. */
static void restrict_to(struct topology *topology, int first, int last)
{
    int n = 0;

    for (int i = 0; i < topology->n_pus; i++) {
        if (topology->pus[i].os_index >= first && topology->pus[i].os_index <= last)
            topology->pus[n++] = topology->pus[i];
    }
    topology->n_pus = n;
    topology->n_cores = 0;
    for (int i = 0; i < n; i++)
        topology->n_cores += i == 0 || topology->pus[i].core != topology->pus[i - 1].core;
}

static const struct {
    const char *machine;
    int first, last; /* what is allowed; 0, 0: all */
    struct binding_request request;
    const char *drawing;
} drawings[] = {
    {"package:2 l3:2 core:4 pu:2",
     0,
     0,
     {.n_ranks = 5, .policy = BINDING_SHARE},
     "the ranks on each core; . is free\n"
     "package 0, L3 0: [0 0 0 1]\n"
     "package 0, L3 1: [1 1 2 2]\n"
     "package 1, L3 2: [2 3 3 3]\n"
     "package 1, L3 3: [4 4 4 .]\n"},
    {"package:2 core:4 pu:1",
     0,
     0,
     {.n_ranks = 3, .policy = BINDING_NONE},
     "the cores; no rank is bound\n"
     "package 0: [. . . .]\n"
     "package 1: [. . . .]\n"},
    {"package:2 core:4 pu:2",
     2,
     13,
     {.n_ranks = 2, .policy = BINDING_SHARE, .map = BINDING_CLOSE},
     "the ranks on each core; . is free; x is not allowed here\n"
     "package 0: [x 0 1 .]\n"
     "package 1: [. . . x]\n"},
    {"package:1 core:4 pu:2",
     0,
     0,
     {.n_ranks = 6, .policy = BINDING_SHARE},
     "the ranks on each core; . is free; / is between hardware threads\n"
     "package 0: [0/1 2/3 4/. 5/.]\n"},
    {"package:1 core:4 pu:2",
     0,
     0,
     {.n_ranks = 8, .policy = BINDING_PACKAGE},
     "the ranks on each core\n"
     "package 0: [0-7 0-7 0-7 0-7]\n"},
    {"package:1 numa:2 l3:2 core:2 pu:1",
     0,
     0,
     {.n_ranks = 4, .policy = BINDING_L3},
     "the ranks on each core\n"
     "package 0, node 0, L3 0: [0 0]\n"
     "package 0, node 0, L3 1: [1 1]\n"
     "package 0, node 1, L3 2: [2 2]\n"
     "package 0, node 1, L3 3: [3 3]\n"},
    {"laptop",
     0,
     0,
     {.n_ranks = 3, .policy = BINDING_SHARE},
     "the ranks on each core; . is free; | is between speeds\n"
     "package 0, L3 0: [0 0 1 1 2 2|. . . . . . . .]\n"
     "package 0, L3 1: [. .]\n"},
    {"laptop",
     0,
     0,
     {.n_ranks = 9, .policy = BINDING_PU},
     "the ranks on each core; . is free; / is between hardware threads; | is between speeds\n"
     "package 0, L3 0: [0/. 1/. 2/. 3/. 4/. 5/.|6 7 8 . . . . .]\n"
     "package 0, L3 1: [. .]\n"},
    {"arm-72",
     0,
     0,
     {.n_ranks = 4, .policy = BINDING_SHARE},
     "the ranks on each core\n"
     "package 0: [0*18 1*18 2*18 3*18]\n"},
    {"arm-72",
     0,
     0,
     {.n_ranks = 72, .policy = BINDING_SHARE},
     "the ranks on each core\n"
     "package 0: [0..71]\n"},
    {"arm-72",
     0,
     0,
     {.n_ranks = 36, .policy = BINDING_SHARE},
     "the ranks on each core\n"
     "package 0: [0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13 14 14 15 15 16 16 17 17\n"
     "            18 18 19 19 20 20 21 21 22 22 23 23 24 24 25 25 26 26 27 27 28 28 29 29 30 30 31 31 32 32\n"
     "            33 33 34 34 35 35]\n"},
    {"two-by-64",
     0,
     0,
     {.n_ranks = 20, .policy = BINDING_SHARE, .cores = 4},
     "the ranks on each core; . is free\n"
     "package 0, L3 0:  [0 0 0 0 1 1 1 1]\n"
     "package 0, L3 1:  [2 2 2 2 3 3 3 3]\n"
     "package 0, L3 2:  [4 4 4 4 . . . .]\n"
     "package 0, L3 3:  [5 5 5 5 . . . .]\n"
     "package 0, L3 4:  [6 6 6 6 . . . .]\n"
     "package 0, L3 5:  [7 7 7 7 . . . .]\n"
     "package 0, L3 6:  [8 8 8 8 . . . .]\n"
     "package 0, L3 7:  [9 9 9 9 . . . .]\n"
     "package 1, L3 8:  [10 10 10 10 11 11 11 11]\n"
     "package 1, L3 9:  [12 12 12 12 13 13 13 13]\n"
     "package 1, L3 10: [14 14 14 14 . . . .]\n"
     "package 1, L3 11: [15 15 15 15 . . . .]\n"
     "package 1, L3 12: [16 16 16 16 . . . .]\n"
     "package 1, L3 13: [17 17 17 17 . . . .]\n"
     "package 1, L3 14: [18 18 18 18 . . . .]\n"
     "package 1, L3 15: [19 19 19 19 . . . .]\n"},
};

static struct lines drawn;

/* Draws into drawn. Returns whether it could be. */
static bool draw(const struct topology *whole, const struct topology *allowed,
                 const struct binding_request *request)
{
    struct binding_plan *plan = binding_plan_make(allowed, request);
    bool is_drawn;

    drawn = (struct lines){.is_plain = true};
    is_drawn = plan != NULL && drawing_make(whole, allowed, plan, keep, &drawn) == 0;
    binding_plan_destroy(plan);
    return is_drawn;
}

static void test_recorded(void)
{
    for (size_t i = 0; i < COUNT_OF(drawings); i++) {
        struct topology *whole = load(drawings[i].machine), *allowed = load(drawings[i].machine);

        if (!test_ok(whole != NULL && allowed != NULL, "%s is loaded", drawings[i].machine))
            continue;
        if (drawings[i].last > 0)
            restrict_to(allowed, drawings[i].first, drawings[i].last);
        test_ok(draw(whole, allowed, &drawings[i].request), "it is drawn");
        test_str(drawings[i].drawing, drawn.text, "%s, %d ranks", drawings[i].machine,
                 drawings[i].request.n_ranks);
        topology_destroy(allowed);
        topology_destroy(whole);
    }
}

/* Whatever the machine, and wherever the ranks are: lines of plain characters, none too long. */
static void test_all(void)
{
    static const char *const machines[] = {"two-by-64",
                                           "sub-numa",
                                           "laptop",
                                           "arm-72",
                                           "memory-only",
                                           "pu:1",
                                           "package:4 numa:2 l3:2 core:8 pu:4",
                                           "core:300 pu:1"};

    for (size_t i = 0; i < COUNT_OF(machines); i++) {
        struct topology *whole = load(machines[i]);
        size_t longest = 0;
        bool is_plain = true, is_drawn = whole != NULL;

        for (int n = 1; n < 600 && is_drawn; n += test_under_valgrind() ? 150 : n / 2 + 1) {
            for (enum binding_policy policy = BINDING_NONE; policy <= BINDING_PACKAGE; policy++) {
                is_drawn =
                    draw(whole, whole, &(struct binding_request){.n_ranks = n, .policy = policy}) && is_drawn;
                longest = drawn.longest > longest ? drawn.longest : longest;
                is_plain = is_plain && drawn.is_plain;
            }
        }
        test_ok(is_drawn, "%s can be drawn", machines[i]);
        test_ok(is_plain, "in plain characters");
        test_ok(longest + strlen("smrrun: ") <= DRAWING_COLUMNS, "%zu columns and a name at most", longest);
        topology_destroy(whole);
    }
}

int main(void)
{
    test_begin(60);
    test_recorded();
    test_all();
    return test_end();
}
