/* The numbers of a chip: states that saturate, messages and traces of 7 bits, rounded weights.
 *
 * States are cut to 24 bits, after all that arrives in a step was added exactly: s and phi each by
 * itself, so that phi has an array of its own here. A unit sends at most 127 spikes or errors in a
 * step, or 1; of its potential the rest waits. How weights learn says rounding.h. Nothing is ever
 * out of range. The caller proves that no sum of what arrives wraps.
 */
#ifndef SPIKEBP_CHIP_H
#define SPIKEBP_CHIP_H

#include "backward.h"

enum {
    LARGEST_STATE = (1 << 23) - 1,
    LARGEST_MESSAGE = 127,
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

/* Rule 1. */
static void chip_input(struct network *net)
{
    struct layer *a = &net->layer[0];
    const struct row *x = &net->x;
    const struct list due = sent_by(net, a);
    vec sent = {0}, silent = {0};
    for (int i = 0; i < *x->some.n && !net->is.takes_counts; i++) {
        vec *phi = &a->s[x->some.index[i]];
        *phi = saturated(*phi + saturated(x->numbers[i]));
    }
    for (int i = 0; i < *due.n; i++) {
        const int v = due.index[i];
        const vec now = net->is.takes_counts ? x->numbers[i] : chip_fire(net, &a->s[v], -1);
        a->k[v] = now;
        a->c[v] += now;
        sent += magnitude(now);
        silent += now == 0;
    }
    a->sent = sum_of(sent);
    a->n_fired = *due.n * LANES + (int32_t)sum_of(silent);
    note_sent(a);
}

/* Rule 2 of layer l. */
static void chip_layer(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    vec sent = {0}, silent = {0};
    if (!net->delay) {
        clear(a->arriving, a->width);
        receive_drive(net, l, a->arriving);
    }
    for (int v = 0; v < a->width; v++) {
        a->s[v] = saturated(a->s[v] + a->arriving[v]);
        a->phi[v] = saturated(a->phi[v] + a->arriving[v]);
        a->k[v] = chip_fire(net, &a->phi[v], 0);
        a->c[v] += a->k[v];
        sent += a->k[v];
        silent += a->k[v] == 0;
    }
    a->sent = sum_of(sent);
    a->n_fired = a->width * LANES + (int32_t)sum_of(silent);
    note_sent(a);
}

/* Note the errors of a vector of a layer, each 0 where s is negative. */
INLINE vec chip_errors(struct layer *a, int v, vec errors)
{
    errors &= ~(a->s[v] >> SIGN);
    a->e[v] = errors;
    a->n_erring += list_nonzero(errors, v * LANES, a->erring + a->n_erring);
    return magnitude(errors);
}

/* Rule 3 for what the output sends. */
static void chip_output_error(struct network *net, const num *y)
{
    struct layer *a = &net->layer[net->is.n_layers];
    vec sum = {0};
    a->n_erring = 0;
    for (int v = 0; v < a->width; v++) {
        a->phi_y[v] = saturated(a->phi_y[v] + saturated(((const vec *)y)[v]));
        const vec m = chip_fire(net, &a->phi_y[v], -1);
        sum += chip_errors(a, v, within(a->k[v] - m, LARGEST_MESSAGE));
    }
    a->errors_sent = sum_of(sum);
}

/* Rule 4 of layer l. */
static void chip_err(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    vec sum = {0};
    if (!net->delay) {
        clear(a->arriving_back, a->width);
        receive_errors(net, l, a->arriving_back);
    }
    a->n_erring = 0;
    for (int v = 0; v < a->width; v++) {
        a->psi[v] = saturated(a->psi[v] + a->arriving_back[v]);
        sum += chip_errors(a, v, chip_fire(net, &a->psi[v], -1));
    }
    a->errors_sent = sum_of(sum);
}

#endif
