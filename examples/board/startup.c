/* What runs before main() on a Cortex-M3 or M4: the vector table, and the first values of RAM. */

#include <stdint.h>

#include "semihosting.h"
#include "stack.h"

/* Where board.ld has put the parts of a program. */
extern const uint32_t data_in_flash[];
extern uint32_t data_begin[], data_end[], bss_begin[], bss_end[], stack_begin[], stack_end[];

/* What the stack is filled with before it is used. */
#define FILLING 0xA5A5A5A5u

/* What of the processor is switched on: its unit for floating point is number 10 and 11. */
#define COPROCESSORS (*(volatile uint32_t *)0xE000ED88u)

/* The exit code of a program that the processor has stopped, for example at a wrong address. */
#define EXIT_FAULT 70

int main(void);
void reset(void);

static void fault(void)
{
    semihosting_exit(EXIT_FAULT);
}

/* The processor reads this table at address 0: where the stack ends, and what it calls for each
 * exception. No interrupt is enabled, so the table ends with the last exception. */
struct vectors {
    uint32_t *stack;
    void (*handlers[15])(void);
};
extern const struct vectors vectors;
const struct vectors vectors __attribute__((section(".vectors"), used)) = {
    stack_end,
    { reset, fault, fault, fault, fault, fault, 0, 0, 0, 0, fault, fault, 0, fault, fault },
};

void reset(void)
{
    const uint32_t *from = data_in_flash;
    uint32_t *to, *here;
    for (to = data_begin; to < data_end; to++)
        *to = *from++;
    for (to = bss_begin; to < bss_end; to++)
        *to = 0;
    /* Below the stack pointer nothing is in use yet. */
    __asm__ volatile("mov %0, sp" : "=r"(here));
    for (to = stack_begin; to < here; to++)
        *(volatile uint32_t *)to = FILLING;
#ifdef __ARM_FP
    COPROCESSORS |= 0xFu << 20;
    __asm__ volatile("dsb\n isb");
#endif
    semihosting_exit(main());
}

uint32_t stack_used(void)
{
    const uint32_t *at = stack_begin;
    while (at < stack_end && *at == FILLING)
        at++;
    return (uint32_t)(stack_end - at) * (uint32_t)sizeof *at;
}

uint32_t stack_reserved(void)
{
    return (uint32_t)(stack_end - stack_begin) * (uint32_t)sizeof *stack_begin;
}
