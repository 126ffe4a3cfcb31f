/* text.h: what is done to text before a person reads it. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

/* Makes text one line, whatever names and values of users went into it: line breaks at its end go, others are blanks. */
void text_one_line(char *text);

#endif
