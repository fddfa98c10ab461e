/* How deep the stack has been. startup.c fills it before main() runs. */

#ifndef STACK_H
#define STACK_H

#include <stdint.h>

/* The most bytes of the stack that have been in use so far. If these are all that board.ld keeps
 * for it, it may have been deeper and have overwritten variables. */
uint32_t stack_used(void);
uint32_t stack_reserved(void);

#endif
