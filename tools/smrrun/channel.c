#include "smrrun/channel.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "host/fds.h"

int channel_open(int ends[2])
{
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) != 0)
        return -1;
    ends[0] = fds_above_stdio(ends[0]);
    ends[1] = fds_above_stdio(ends[1]);
    return ends[0] >= 0 && ends[1] >= 0 ? 0 : -1;
}

static bool put(int fd, const struct channel_message *message, size_t bytes, bool waits)
{
    int flags = waits ? MSG_NOSIGNAL : MSG_NOSIGNAL | MSG_DONTWAIT;
    ssize_t sent;

    do {
        sent = send(fd, message, bytes, flags);
    } while (sent < 0 && errno == EINTR);
    return sent == (ssize_t)bytes;
}

bool channel_send(int fd, enum channel_kind kind, int32_t value, int32_t detail)
{
    struct channel_message message;
    int saved_errno = errno;
    bool sent;

    message.kind = kind;
    message.value = value;
    message.detail = detail;
    message.text[0] = '\0';
    /* The end must not be lost, and who sends it has nothing else to do. */
    sent = put(fd, &message, offsetof(struct channel_message, text) + 1, kind == CHANNEL_END);
    errno = saved_errno;
    return sent;
}

static void send_text(int fd, const char *text, bool waits)
{
    struct channel_message message = {.kind = CHANNEL_TEXT};
    size_t length = strlen(text);

    if (length >= sizeof message.text)
        length = sizeof message.text - 1;
    memcpy(message.text, text, length);
    put(fd, &message, offsetof(struct channel_message, text) + length + 1, waits);
}

void channel_send_text(int fd, const char *text)
{
    send_text(fd, text, false);
}

void channel_send_last_text(int fd, const char *text)
{
    send_text(fd, text, true);
}

int channel_receive(int fd, struct channel_message *message)
{
    ssize_t got;

    /* ECONNRESET, once: the other has left without reading all; what it sent before is still to come. */
    do {
        got = recv(fd, message, sizeof *message, MSG_DONTWAIT);
    } while (got < 0 && (errno == EINTR || errno == ECONNRESET));
    if (got <= 0)
        return got < 0 && errno == EAGAIN ? 0 : -1;
    if ((size_t)got <= offsetof(struct channel_message, text))
        return 0;
    ((char *)message)[(size_t)got - 1] = '\0';
    return 1;
}
