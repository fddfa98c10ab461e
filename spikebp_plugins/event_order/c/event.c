/* The order of events: built for single and for double precision, and for several processors.
 *
 * Sizes are known when it runs. All memory is the caller's. See event_network.h for where arrays
 * lie, event_queue.h for the order of spikes, event_forward.h and event_backward.h for what they do,
 * event_sample.h for samples.
 */
#include <stddef.h>
#include <stdint.h>

#include "event_sample.h"

#include "../../engine/c/placing.h"

int64_t NAMED(event_size, BUILD)(const struct definition *is, int64_t *learned_size)
{
    return size_of(is, learned_size);
}

struct network *NAMED(event_place, BUILD)(const struct definition *is, char *learned_at, char *at)
{
    return placed(is, learned_at, at);
}

enum array { W, B, PSI, NET_BACKWARD, ALL_BACKWARD };

/* An array of layer l that Python reads and writes: what was learned, and the error spikes of the
 * last sample before the gate. */
void *NAMED(event_array, BUILD)(const struct network *net, int32_t l, int32_t which)
{
    const struct layer *a = &net->layer[l];
    switch ((enum array)which) {
    case W: return a->w;
    case B: return a->b;
    case PSI: return a->psi;
    case NET_BACKWARD: return a->net_backward;
    default: return a->all_backward;
    }
}

/* Write the counts since the start: samples shown, those that learned, updates; spikes and errors of
 * layers 0 to L. */
void NAMED(event_write_counts, BUILD)(const struct network *net, int64_t *to)
{
    *to++ = net->shown, *to++ = net->trained, *to++ = net->updates;
    for (int l = 0; l <= net->is.n_layers; l++)
        *to++ = net->layer[l].spikes, *to++ = net->layer[l].errors;
}

/* Write what was out of range in the sample that was refused last: its quantity, layer and value. */
void NAMED(event_write_fault, BUILD)(const struct network *net, double *to)
{
    memcpy(to, net->fault, sizeof net->fault);
}

/* Show samples in order; return how many were shown before one that is out of range, of which
 * nothing is left. */
int64_t NAMED(event_show, BUILD)(const struct block *block)
{
    for (int64_t i = 0; i < block->n_samples; i++)
        if (!show_sample(block->network, block, i))
            return i;
    return block->n_samples;
}
