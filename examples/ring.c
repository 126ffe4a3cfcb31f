/*
 * ring: a token goes from rank to rank, and from the last one to the first again, round after round.
 *
 *     ./ring                       alone: from rank 0 to rank 0
 *     smrrun -n 4 ./ring           four ranks
 *
 * The token lies in shared memory, so nothing is sent: who has the turn in an ordered region has it. Each
 * looks whether it was passed to it, and changes it in a way that depends on the order.
 */
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include <sharedmem.h>

#define ROUNDS 1000

struct token {
    int to; /* the rank that has it next, at the start 0 */
    uint64_t value;
};

static uint64_t changed(uint64_t value, int rank)
{
    return 31 * value + (uint64_t)rank + 1;
}

static uint64_t value_at_the_end(void)
{
    uint64_t value = 0;

    for (int turn = 0; turn < ROUNDS * sharedmem_size(); turn++)
        value = changed(value, turn % sharedmem_size());
    return value;
}

/* Takes the token once in each round. Returns how often it was not for this rank. */
static int pass_on(struct token *token)
{
    int rank = sharedmem_rank(), wrong = 0;

    for (int round = 0; round < ROUNDS; round++) {
        SHAREDMEM_ORDERED
        {
            wrong += token->to != rank;
            token->value = changed(token->value, rank);
            token->to = (rank + 1) % sharedmem_size();
        }
    }
    return wrong;
}

/* All ranks come here. One of them prints, and none ends, which would end the job, before it has. */
static int fail(int status, const char *message)
{
    if (sharedmem_rank() == 0)
        fprintf(stderr, "%s\n", message);
    sharedmem_barrier();
    return status;
}

int main(int argc, char **argv)
{
    struct token *token;
    bool right;

    (void)argv;
    if (argc > 1)
        return fail(2, "usage: ring    without arguments");
    token = sharedmem_team_calloc(1, sizeof *token);
    if (token == NULL)
        return fail(EXIT_FAILURE, "ring: no shared memory");
    /* Here all wait for all: after it nobody changes the token any more. */
    right = sharedmem_all_int64(pass_on(token), SHAREDMEM_SUM) == 0 && token->value == value_at_the_end();
    if (sharedmem_rank() == 0)
        printf("%s: %d rounds of %d ranks made the token %016" PRIx64 "\n", right ? "right" : "WRONG", ROUNDS,
               sharedmem_size(), token->value);
    return right && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
