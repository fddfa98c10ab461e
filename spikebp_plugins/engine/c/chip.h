/* The numbers of a chip: states that saturate, messages and traces of 7 bits, rounded weights.
 *
 * States are cut to 24 bits, after all that arrives in a step was added exactly: s and phi each by
 * itself, so that phi has an array of its own here. A unit sends at most 127 spikes or errors in a
 * step, or 1; of its potential the rest waits. A weight is an integer m from -128 to 127 times
 * 2^shift units of 2^-f, and learns by
 *
 *     m -= floor((r c e + z) / 2^16), cut to 8 bits, with c as it teaches,
 *
 * where z are the highest 16 bits of random numbers, of the SplitMix64 generator: one for each
 * weight, step and sample. Nothing is ever out of range. So rounding is not linear, and updates are
 * written at once. The caller proves that no sum of what arrives wraps.
 */
#ifndef SPIKEBP_CHIP_H
#define SPIKEBP_CHIP_H

#include "backward.h"

enum {
    LARGEST_STATE = (1 << 23) - 1,
    LARGEST_MESSAGE = 127,
    LOWEST_WEIGHT = -128,
    HIGHEST_WEIGHT = 127,
    RATE_BITS = 16,
};

INLINE vec saturated(vec state) { return within(state, (num)LARGEST_STATE); }

/* The spikes that potentials fire; the rest of the potential waits. */
INLINE vec chip_fire(const struct network *net, vec *phi, num lowest)
{
    const num most_sent = net->is.is_binary ? 1 : LARGEST_MESSAGE;
    vec k = within((*phi + net->half + (*phi > 0)) >> net->is.bits, most_sent);
    k = most(k, splat(lowest * most_sent));
    *phi -= k << net->is.bits;
    return k;
}

/* Rule 1 in step t. */
static void chip_input(struct network *net, int t)
{
    struct layer *a = &net->layer[0];
    const struct row *x = &net->x;
    const struct vector_list due = due_input(net);
    vec sent = {0};
    int n_fired = 0;
    for (int i = 0; i < *x->n && !net->is.takes_counts; i++) {
        vec *phi = &a->s[x->index[i]];
        *phi = saturated(*phi + saturated(x->numbers[i]));
    }
    for (int i = 0; i < due.n; i++) {
        const int v = due.index[i];
        const vec now = net->is.takes_counts ? x->numbers[i] : chip_fire(net, &a->s[v], -1);
        n_fired += note_input(a, v, now, n_fired, &sent);
    }
    note_sent(a, t, n_fired, sent);
}

INLINE void chip_fire_part(const int n, int v, void *work)
{
    struct forward_pass *now = work;
    struct layer *a = now->a;
    const int64_t at = (int64_t)now->t * a->width;
    vec arriving[16];
    EACH(i, n) arriving[i] = splat(0);
    add_rows(n, arriving, a->w + v, a->width, now->below, now->t);
    EACH(i, n) {
        a->s[v + i] = saturated(a->s[v + i] + arriving[i]);
        a->phi[v + i] = saturated(a->phi[v + i] + arriving[i]);
        vec k = chip_fire(now->net, &a->phi[v + i], 0);
        a->c[v + i] += k;
        a->k[at + v + i] = k;
        *now->sent += k;
        now->n_fired += list_nonzero(k, (v + i) * LANES, a->fired + at * LANES + now->n_fired);
    }
}

/* Rule 2 of layer l in step t. */
static void chip_layer(struct network *net, int l, int t)
{
    struct layer *a = &net->layer[l];
    vec sent = {0};
    struct forward_pass now = {.net = net, .a = a, .below = a - 1, .t = t, .sent = &sent};
    count_rows(net, a, a[-1].n_fired[t]);
    in_small_parts(a->width, chip_fire_part, &now);
    note_sent(a, t, now.n_fired, sent);
}

/* Note the errors of a vector of a layer, each 0 where s is negative. */
INLINE vec chip_errors(struct layer *a, int v, vec errors)
{
    errors &= ~(a->s[v] >> SIGN);
    a->e[v] = errors;
    a->n_erring += list_nonzero(errors, v * LANES, a->erring + a->n_erring);
    return magnitude(errors);
}

/* Rule 3 for what the output sends in step t. */
static void chip_output_error(struct network *net, const num *y, int t)
{
    struct layer *a = &net->layer[net->is.n_layers];
    const vec *k = a->k + (int64_t)t * a->width;
    vec sum = {0};
    a->n_erring = 0;
    for (int v = 0; v < a->width; v++) {
        a->phi_y[v] = saturated(a->phi_y[v] + saturated(((const vec *)y)[v]));
        const vec m = chip_fire(net, &a->phi_y[v], -1);
        sum += chip_errors(a, v, within(k[v] - m, LARGEST_MESSAGE));
    }
    a->errors_sent = sum_of(sum);
}

INLINE void chip_err_part(const int n, int v, void *work)
{
    struct error_pass *now = work;
    struct layer *a = now->a;
    vec psi[16];
    receive_errors(n, v, now, psi);
    EACH(i, n) {
        psi[i] = saturated(psi[i]);
        const vec errors = chip_fire(now->net, &psi[i], -1);
        a->psi[v + i] = psi[i];
        now->sum += chip_errors(a, v + i, errors);
    }
}

/* Rule 4 of layer l. */
static void chip_err(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    struct error_pass now = {.net = net, .a = a};
    a->n_erring = 0;
    now.n_rows = list_rows(net, a + 1, a->width);
    in_small_parts(a->width, chip_err_part, &now);
    a->errors_sent = sum_of(now.sum);
}

INLINE uint64_t mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

static const uint64_t GOLDEN = UINT64_C(0x9E3779B97F4A7C15);

INLINE uint64_t absorbed(uint64_t state, uint64_t number) { return mixed(state + GOLDEN * (number + 1)); }

/* Write update q of W_l and of its transpose. */
static void write_rounded(struct network *net, struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    const int l = (int)(a - net->layer), width_below = a[-1].width, shift = net->is.weight_shift;
    const int64_t n_factors = (p->at[q + 1] - p->at[q]) * LANES;
    const num *factor = (const num *)(p->factor + p->at[q]);
    const uint64_t step = (uint64_t)p->step[q] + 1;
    uint64_t state = absorbed(absorbed(0, (uint64_t)net->is.seed), (uint64_t)net->n_learned);
    state = absorbed(absorbed(state, step), (uint64_t)l);
    for (int64_t at = 0; at < n_factors; at++) {
        const int i = a[-1].active[at / LANES] * LANES + (int)(at % LANES);
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
