/* What the launcher's two processes tell each other: whole messages, and only for the last one they wait. */
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "smrrun/channel.h"

#include "tap.h"

static int ends[2];

static void test_messages(void)
{
    struct channel_message message;

    test_int(0, channel_receive(ends[0], &message), "nothing is there at first");
    test_ok(channel_send(ends[1], CHANNEL_SIGNAL, SIGINT, 7), "a signal is sent");
    channel_send_text(ends[1], "first line\n");
    channel_send_text(ends[1], "");
    test_int(1, channel_receive(ends[0], &message), "a message is there");
    test_ok(message.kind == CHANNEL_SIGNAL && message.value == SIGINT && message.detail == 7,
            "as it was sent");
    test_int(1, channel_receive(ends[0], &message), "then the next one");
    test_str("first line\n", message.text, "which keeps its border");
    test_int(1, channel_receive(ends[0], &message), "and an empty text");
    test_str("", message.text, "which is empty");
    test_int(0, channel_receive(ends[0], &message), "and no more");
}

static void test_long_text(void)
{
    char text[2 * CHANNEL_TEXT_BYTES];
    struct channel_message message;

    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    channel_send_text(ends[1], text);
    test_int(1, channel_receive(ends[0], &message), "a text that is too long comes");
    test_int(CHANNEL_TEXT_BYTES - 1, (long long)strlen(message.text), "cut to fit");
}

/* More than the system keeps, and then that all is over. */
static void flood(int told)
{
    bool has_room;

    close(ends[0]);
    for (int i = 0; i < 5000; i++)
        channel_send_text(ends[1], "a line of some length, which many ranks have\n");
    has_room = channel_send(ends[1], CHANNEL_SIGNAL, 1, 0);
    (void)!write(told, &has_room, 1);
    test_child_exit(channel_send(ends[1], CHANNEL_END, 3, 9) ? 0 : 1);
}

static void test_flood(void)
{
    struct channel_message message = {.kind = CHANNEL_TEXT};
    int told[2], texts = 0, status;
    bool has_room = true;
    pid_t child;

    (void)!pipe(told);
    child = fork();
    if (child == 0)
        flood(told[1]);
    close(ends[1]);
    (void)!read(told[0], &has_room, 1);
    test_ok(!has_room, "a channel that nobody reads takes so much and no more");
    while (message.kind != CHANNEL_END && channel_receive(ends[0], &message) != -1)
        texts += message.kind == CHANNEL_TEXT;
    test_ok(texts > 0, "what it took comes");
    test_ok(message.kind == CHANNEL_END && message.value == 3 && message.detail == 9,
            "and the end is not lost");
    waitpid(child, &status, 0);
    test_ok(WIFEXITED(status) && WEXITSTATUS(status) == 0, "as who sent it knows");
    test_int(-1, channel_receive(ends[0], &message), "then the channel is closed");
    test_ok(!channel_send(ends[0], CHANNEL_END, 0, 0), "and takes nothing more");
    channel_send_text(ends[0], "nor texts");
    close(told[0]);
    close(told[1]);
}

/* Who says the end need not have read all that it was told. */
static void test_unread(void)
{
    struct channel_message message = {.kind = CHANNEL_TEXT};
    int pair[2];

    test_int(0, channel_open(pair), "a channel is opened");
    test_ok(channel_send(pair[0], CHANNEL_SIGNAL, SIGINT, 0), "something is sent that is never read");
    test_ok(channel_send(pair[1], CHANNEL_END, 3, 9), "the other says the end");
    close(pair[1]);
    test_int(1, channel_receive(pair[0], &message), "which comes");
    test_ok(message.kind == CHANNEL_END && message.value == 3, "as it was sent");
    test_int(-1, channel_receive(pair[0], &message), "then the channel is closed");
    close(pair[0]);
}

int main(void)
{
    test_begin(30);
    test_unread();
    test_int(0, channel_open(ends), "a channel is opened");
    test_messages();
    test_long_text();
    test_flood();
    close(ends[0]);
    return test_end();
}
