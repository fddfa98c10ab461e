/* A timer of the board, by which work is measured. */

#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

void timer_start(void);

/* Ticks since the start, modulo 1 << 32. The difference of two is right if less has passed. */
uint32_t timer_ticks(void);

#endif
