/* The queue of a layer: spikes that have fired leave in the order of their potentials.
 *
 * A spike of unit i is one integer: i if it is positive, ~i if it is negative. Its key is the
 * magnitude of the potential that fired it, in single precision. The largest key leaves first; equal
 * keys leave in the order of the binary heap of java.util.PriorityQueue, so each comparison is strict
 * exactly where Java's is.
 */
#ifndef SPIKEBP_EVENT_QUEUE_H
#define SPIKEBP_EVENT_QUEUE_H

#include <stdint.h>
#include <string.h>

/* No layer may fire so many spikes in one step. */
enum { MOST_FIRED = 1 << 20 };

struct queue {
    uint64_t *entry; /* [MOST_FIRED]: the key above the spike; keys are positive, so their bits rise
                      * with them */
    int64_t size, fired; /* and how many have fired in this step */
};

/* Spikes that have left a queue, in order. */
struct spikes {
    int32_t *at; /* [MOST_FIRED] */
    int64_t n;
};

static inline int32_t unit_of(int32_t spike) { return spike >= 0 ? spike : ~spike; }

static inline uint32_t key_of(uint64_t entry) { return (uint32_t)(entry >> 32); }

static inline void offer(struct queue *q, float key, int32_t spike)
{
    uint32_t key_bits;
    int64_t index = q->size++;
    memcpy(&key_bits, &key, sizeof key_bits);
    while (index > 0) {
        const int64_t parent = (index - 1) / 2;
        if (key_of(q->entry[parent]) >= key_bits)
            break;
        q->entry[index] = q->entry[parent];
        index = parent;
    }
    q->entry[index] = (uint64_t)key_bits << 32 | (uint32_t)spike;
}

/* Take the first spike out of a queue that has one.
 *
 * The last entry goes down along the larger children until none is larger. Keys do not rise along
 * this way, so that is where it comes to if it goes up from the end of the way, past what is not
 * larger: of which there is little, and the way down does not depend on it. */
static inline int32_t poll(struct queue *q)
{
    uint64_t *entry = q->entry;
    const int32_t first = (int32_t)(uint32_t)entry[0];
    const int64_t size = --q->size;
    const uint64_t last = entry[size];
    int64_t index = 0;
    entry[size] = 0; /* where there is no right child */
    for (int64_t child = 1; child < size; child = 2 * index + 1) {
        child += key_of(entry[child + 1]) > key_of(entry[child]);
        entry[index] = entry[child];
        index = child;
    }
    while (index > 0 && key_of(last) >= key_of(entry[(index - 1) / 2])) {
        entry[index] = entry[(index - 1) / 2];
        index = (index - 1) / 2;
    }
    entry[index] = last;
    return first;
}

/* Append all spikes of a queue to those that have left. */
static inline void let_go(struct queue *q, struct spikes *left)
{
    while (q->size > 0)
        left->at[left->n++] = poll(q);
}

#endif
