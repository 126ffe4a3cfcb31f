/*
 * channel.h: what face and keeper tell each other. Messages keep their borders; a closed end tells that the
 * other process is gone, whatever ended it.
 */
#ifndef SMRRUN_CHANNEL_H
#define SMRRUN_CHANNEL_H

#include <stdbool.h>
#include <stdint.h>

#define CHANNEL_TEXT_BYTES 4096

enum channel_kind {
    CHANNEL_SIGNAL,  /* face to keeper: the face got signal value, from process detail; 0: from the system */
    CHANNEL_UNHEARD, /* face to keeper: nobody takes the ranks' output any more; value is the errno */
    CHANNEL_TEXT,    /* keeper to face: text for stderr */
    CHANNEL_END /* keeper to face: all is over; value is the exit status, detail a signal to raise or 0 */
};

struct channel_message {
    uint32_t kind;
    int32_t value;
    int32_t detail;
    char text[CHANNEL_TEXT_BYTES]; /* sent up to its 0 */
};

/*
 * Makes both ends, closed on exec: ends[0] for the face, ends[1] for the keeper. Returns 0, or -1 with errno.
 */
int channel_open(int ends[2]);

/*
 * Sends a message without text. Async-signal-safe. Returns false where the other is gone, or cannot take
 * more; only CHANNEL_END waits until it can.
 */
bool channel_send(int fd, enum channel_kind kind, int32_t value, int32_t detail);

/*
 * Sends text, cut to fit. Dropped where the other takes nothing: who supervises never waits for who prints.
 */
void channel_send_text(int fd, const char *text);

/* The same when all ranks have ended: waits until the other takes it. */
void channel_send_last_text(int fd, const char *text);

/* Takes the next message. Returns 1; 0 there is none now; -1 the other is gone. */
int channel_receive(int fd, struct channel_message *message);

#endif
