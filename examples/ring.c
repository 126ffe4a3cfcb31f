/*
 * ring: a token goes from rank to rank, and from the last one to the first again, round after round; once
 * without messages, and once by messages.
 *
 *     ./ring                       alone: from rank 0 to rank 0
 *     smrrun -n 4 ./ring           four ranks
 *
 * Without messages the token lies in shared memory, so nothing is sent: who has the turn in an ordered region
 * has it. With messages it is sent on, as in a program of MPI. Each rank looks whether it was passed to it,
 * and changes it in a way that depends on the order; so both ways must come to the same token.
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

/* The same by messages. Rank 0 begins with a new token, and has it in the end; the others' are copies. */
static int send_on(struct token *token)
{
    int rank = sharedmem_rank(), size = sharedmem_size(), wrong = 0;

    for (int round = 0; round < ROUNDS; round++) {
        if (rank > 0 || round > 0)
            sharedmem_recv(token, sizeof *token, (rank + size - 1) % size, 0, NULL);
        wrong += token->to != rank;
        token->value = changed(token->value, rank);
        token->to = (rank + 1) % size;
        sharedmem_send(token, sizeof *token, token->to, 0);
    }
    if (rank == 0)
        sharedmem_recv(token, sizeof *token, size - 1, 0, NULL);
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

/* Rank 0 has the token when all are through with it, and all know whether it is right. */
static bool is_right(int wrong, const struct token *token)
{
    int64_t n_wrong = sharedmem_all_int64(wrong, SHAREDMEM_SUM);

    n_wrong += sharedmem_rank() == 0 && token->value != value_at_the_end();
    return sharedmem_all_int64(n_wrong, SHAREDMEM_SUM) == 0;
}

int main(int argc, char **argv)
{
    struct token *shared, mine = {0};
    double begin, turns, messages;
    bool right;

    (void)argv;
    if (argc > 1)
        return fail(2, "usage: ring    without arguments");
    shared = sharedmem_team_calloc(1, sizeof *shared);
    if (shared == NULL)
        return fail(EXIT_FAILURE, "ring: no shared memory");
    begin = sharedmem_wtime();
    right = is_right(pass_on(shared), shared);
    turns = sharedmem_wtime() - begin;
    right &= is_right(send_on(&mine), &mine);
    messages = sharedmem_wtime() - begin - turns;
    if (sharedmem_rank() == 0) {
        printf("%s: %d rounds of %d ranks made the token %016" PRIx64 ", twice\n", right ? "right" : "WRONG",
               ROUNDS, sharedmem_size(), shared->value);
        printf("a hop took %.2f us by turns, %.2f us by messages\n", turns * 1e6 / ROUNDS / sharedmem_size(),
               messages * 1e6 / ROUNDS / sharedmem_size());
    }
    return right && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
