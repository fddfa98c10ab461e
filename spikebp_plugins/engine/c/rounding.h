/* Weights of a chip learn: they are integers m from -128 to 127 times 2^shift units of 2^-f, with
 *
 *     m -= floor((r c e + z) / 2^16), cut to 8 bits, with c as it teaches,
 *
 * where z are the highest 16 bits of random numbers, of the SplitMix64 generator: one for each
 * weight, step and sample. So rounding is not linear, and updates are written when a step ends.
 */
#ifndef SPIKEBP_ROUNDING_H
#define SPIKEBP_ROUNDING_H

#include "network.h"

enum {
    LOWEST_WEIGHT = -128,
    HIGHEST_WEIGHT = 127,
    RATE_BITS = 16,
};

INLINE uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static const uint64_t GOLDEN = UINT64_C(0x9E3779B97F4A7C15);

INLINE uint64_t absorbed(uint64_t state, uint64_t number)
{
    return mixed(state + GOLDEN * (number + 1));
}

/* Write update q of W_l and of its transpose. */
static void write_rounded(struct network *net, struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    const int l = (int)(a - net->layer), width_below = a[-1].width, shift = net->is.weight_shift;
    const int64_t n_factors = (p->at[q + 1] - p->at[q]) * LANES;
    const num *factor = (const num *)(p->factor + p->at[q]);
    const uint64_t step = (uint64_t)net->step + 1;
    uint64_t state = absorbed(absorbed(0, (uint64_t)net->is.seed), (uint64_t)net->n_learned);
    state = absorbed(absorbed(state, step), (uint64_t)l);
    for (int64_t at = 0; at < n_factors; at++) {
        const int i = a[-1].active.index[at / LANES] * LANES + (int)(at % LANES);
        if (factor[at] == 0)
            continue;
        num *row = (num *)(a->w + (int64_t)i * a->width);
        count_work(net, 0, p->first[q + 1] - p->first[q]);
        const int64_t change = (int64_t)p->rate[q] * factor[at];
        const uint64_t first = (uint64_t)i * (uint64_t)a->n + 1;
        for (int u = p->first[q]; u < p->first[q + 1]; u++) {
            const int j = p->unit[u];
            const uint64_t drawn = mixed(state + GOLDEN * (first + (uint64_t)j));
            const int64_t part = (int64_t)(drawn >> (64 - RATE_BITS));
            int64_t m = (row[j] >> shift) - ((change * p->error[u] + part) >> RATE_BITS);
            m = m < LOWEST_WEIGHT ? LOWEST_WEIGHT : m > HIGHEST_WEIGHT ? HIGHEST_WEIGHT : m;
            row[j] = (num)m * ((num)1 << shift);
            if (l > 1 && !net->is.has_random_feedback)
                ((num *)(a->b + (int64_t)j * width_below))[i] = row[j];
        }
    }
}

#endif
