/* Memory for arrays, which lie one after the other, each on a line of the cache of its own. The
 * caller gives it: arrays are laid out twice, from address 0, to find how much is needed, and where
 * it is. A build with AddressSanitizer, for tests, guards what is between them. */
#ifndef SPIKEBP_ARENA_H
#define SPIKEBP_ARENA_H

#include <stdint.h>

struct arena {
    uintptr_t at;
    int is_found; /* whether it is there, and not only measured */
};

enum { LINE = 64 }; /* bytes of a line of the cache */

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = LINE };
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
enum { GAP = 0 };
#endif

static inline void *taken(struct arena *arena, int64_t n, size_t size)
{
    const uintptr_t place = arena->at, end = place + (uintptr_t)n * size;
    arena->at = (end + GAP + LINE - 1) / LINE * LINE;
    if (arena->is_found)
        ASAN_POISON_MEMORY_REGION((void *)end, arena->at - end);
    return (void *)place;
}

#endif
