/* Timer 0 of the boards MPS2 with a Cortex-M3 or M4: it counts down at 25 MHz. */

#include "timer.h"

struct timer {
    volatile uint32_t control, value, reload;
};
#define TIMER0 ((struct timer *)0x40000000u)
#define CONTROL_ENABLE 1u

void timer_start(void)
{
    TIMER0->control = 0;
    TIMER0->reload = 0xFFFFFFFFu;
    TIMER0->value = 0xFFFFFFFFu;
    TIMER0->control = CONTROL_ENABLE;
}

uint32_t timer_ticks(void)
{
    return 0xFFFFFFFFu - TIMER0->value;
}
