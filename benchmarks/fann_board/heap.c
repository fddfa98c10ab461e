/* The memory that malloc() of newlib hands out, no larger than FANN asks for: for a connection the
 * weight, its last change and a pointer, for a unit 21 bytes and its error. */

#include <stddef.h>

#include "net.h"

enum { HEAP_SIZE = 12 * CONNECTIONS + 25 * UNITS + 1024 };

void *_sbrk(ptrdiff_t more);

void *_sbrk(ptrdiff_t more)
{
    static uint8_t heap[HEAP_SIZE], *end = heap;
    uint8_t *begin = end;
    if (more > heap + HEAP_SIZE - end)
        return (void *)-1;
    end += more;
    return begin;
}
