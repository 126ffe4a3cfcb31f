/* symbols_read.h: what symbols_find() does in its child. */
#ifndef HOST_SYMBOLS_READ_H
#define HOST_SYMBOLS_READ_H

#include "host/symbols.h"

/*
 * Fills answers, all zeros so far, in order. Loads libdw and frees nothing: for a process that ends after it.
 * That may be in the middle of it, by what libdw makes of broken files or too little memory.
 */
void symbols_read(const struct symbols_question *questions, int n, struct symbols_answer *answers);

#endif
