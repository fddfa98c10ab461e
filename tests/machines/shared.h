/* The memory that two processes share, and what is at its begin: a call of one to the other. */
#include <stddef.h>
#include <stdint.h>

/* Where no process has anything of its own: above what 32 bits reach, and below libraries. */
#define SHARED_AT ((uintptr_t)1 << 36)
#define SHARED_SIZE ((uintptr_t)1 << 34)

struct call {
    char name[64]; /* of the function */
    int64_t given[3], result;
    char text[64]; /* what a result that is a text points to */
};
