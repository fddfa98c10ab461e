/* Connections that are not dense: how spikes and errors pass them, and how their weights learn.
 *
 * A spike of a unit meets rows of weights: a pixel meets one row for each kernel offset, with the
 * weights of the channels of one output pixel. A weight by itself is a row of one. Rows are filled
 * up with zeros to whole vectors: to add one changes nothing behind the units that it is for.
 *
 * Here updates are written when a step ends, W_w -= rate sum of c_i e_j over the synapses of weight
 * w. To let them wait would correct each later drive by a convolution of spikes with counts and
 * errors, for each update.
 */
#ifndef SPIKEBP_CONNECTIONS_H
#define SPIKEBP_CONNECTIONS_H

#include "before.h"

/* Units that send, in order, and how often each does. */
struct senders {
    const int32_t *unit;
    const num *times; /* by unit */
    int n;
};

static void add_by_unit(const struct fan *fan, const num *weights, struct senders from, num *to)
{
    const int32_t *restrict target = fan->target, *restrict begin = fan->begin;
    const int length = fan->length;
    for (int a = 0; a < from.n; a++) {
        const int i = from.unit[a], last = fan->last[i];
        const num times = from.times[i], *row = weights + fan->offset[i];
        if (length == 1)
            for (int m = fan->first[i]; m < last; m++)
                to[target[m]] += times * row[begin[m]];
        else
            for (int m = fan->first[i]; m < last; m++)
                for (int v = 0; v < length; v += LANES)
                    *(vec_anywhere *)(to + target[m] + v) +=
                        times * *(const vec *)(row + begin[m] + v);
    }
}

/* The operations of what units send. */
static big operations_of(const struct fan *fan, struct senders from)
{
    big total = 0;
    for (int a = 0; a < from.n; a++) {
        const int i = from.unit[a];
        const num times = from.times[i];
        total += (big)(times < 0 ? -times : times) * fan->n_synapses[i];
    }
    return total;
}

/* The synapses of units that send. */
static big synapses_of(const struct fan *fan, struct senders from)
{
    big total = 0;
    for (int a = 0; a < from.n; a++)
        total += fan->n_synapses[from.unit[a]];
    return total;
}

/* Change W of a convolution, unit by unit below; return the number of changed synapses. */
static int64_t change_kernels(struct network *net, const struct layer *a, struct senders below)
{
    const struct wiring *wired = a->wiring;
    const struct fan *up = &wired->up;
    const int32_t *restrict targets = up->target, *restrict begin = up->begin;
    const int32_t *restrict errors_at = net->errors_at;
    const num *restrict spread = net->spread;
    const int n_vectors = up->length / LANES, channels = wired->channels;
    int64_t n_changed = 0;
    for (int i = 0; i < below.n; i++) {
        const int unit = below.unit[i];
        const num times = below.times[unit];
        num *rows = (num *)a->w + up->offset[unit];
        for (int m = up->first[unit], last = up->last[unit]; m < last; m++) {
            const int target = targets[m], n_errors = errors_at[target];
            if (n_errors == 0)
                continue;
            n_changed += n_errors;
            vec *row = (vec *)(rows + begin[m]);
            for (int v = 0; v < n_vectors; v++)
                row[v] -= times * first_of(spread + target + v * LANES, channels - v * LANES);
        }
    }
    return n_changed;
}

/* Change B of a convolution by the units that have errors. */
static void change_back(const struct network *net, const struct layer *a, const int32_t *erring,
    int n_erring, const num *factor)
{
    const struct wiring *wired = a->wiring;
    const struct fan *down = &wired->down;
    const int32_t *restrict target = down->target, *restrict begin = down->begin;
    const int n_vectors = down->length / LANES, channels = wired->channels_below;
    for (int i = 0; i < n_erring; i++) {
        const int unit = erring[i];
        const num change = net->spread[unit];
        num *rows = (num *)a->b + down->offset[unit];
        for (int m = down->first[unit], last = down->last[unit]; m < last; m++) {
            vec *row = (vec *)(rows + begin[m]);
            for (int v = 0; v < n_vectors; v++)
                row[v] -= change * first_of(factor + target[m] + v * LANES, channels - v * LANES);
        }
    }
}

/* Change weights that are a list, and keep those of an open sample; return how many. */
static int64_t change_list(const struct network *net, struct layer *a, const int32_t *erring,
    int n_erring, const num *factor, int is_open)
{
    const struct fan *down = &a->wiring->down;
    int64_t n_changed = 0;
    for (int i = 0; i < n_erring; i++) {
        const num change = net->spread[erring[i]];
        if (is_open)
            keep_fan(a, erring[i]);
        for (int m = down->first[erring[i]]; m < down->last[erring[i]]; m++) {
            const num times = factor[down->target[m]];
            ((num *)a->w)[down->begin[m]] -= change * times;
            n_changed += times != 0;
        }
    }
    return n_changed;
}

/* The factors of update q by unit. Those of W_1 are spread out for `clear_factors` to clear. */
static const num *factors_by_unit(struct network *net, const struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    const vec *factor = p->factor + p->at[q];
    if (a - 1 > net->layer)
        return (const num *)factor;
    for (int64_t i = 0; i < p->at[q + 1] - p->at[q]; i++)
        net->by_unit[a[-1].active.index[i]] = factor[i];
    return (const num *)net->by_unit;
}

static void clear_factors(struct network *net, const struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    for (int64_t i = 0; a - 1 == net->layer && i < p->at[q + 1] - p->at[q]; i++)
        net->by_unit[a[-1].active.index[i]] = splat(0);
}

/* Write update q of W_l and B_l; return the number of changed synapses. */
static int64_t write_connected(struct network *net, struct layer *a, int q, int is_open)
{
    const struct wiring *wired = a->wiring;
    const struct pending *p = &a->pending;
    const struct layer *below = a - 1;
    const int32_t *erring = p->unit + p->first[q];
    const int n_erring = p->first[q + 1] - p->first[q];
    const num *factor = factors_by_unit(net, a, q);
    int64_t n_changed;
    for (int i = 0; i < n_erring; i++) {
        net->spread[erring[i]] = p->rate[q] * p->error[p->first[q] + i];
        if (wired->is_kernel)
            net->errors_at[erring[i] / wired->channels * wired->channels]++;
    }
    if (wired->is_kernel) {
        struct senders active = {net->listed, factor, 0};
        if (is_open)
            keep_row(a, 0);
        for (int64_t i = 0; i < p->at[q + 1] - p->at[q]; i++) {
            const int v = below->active.index[i];
            active.n += list_nonzero(((const vec *)factor)[v], v * LANES, net->listed + active.n);
        }
        n_changed = change_kernels(net, a, active);
        if (a->n_b > 0 && !net->is.has_random_feedback)
            change_back(net, a, erring, n_erring, factor);
    } else
        n_changed = change_list(net, a, erring, n_erring, factor, is_open);
    for (int i = 0; i < n_erring; i++) {
        net->spread[erring[i]] = 0;
        if (wired->is_kernel)
            net->errors_at[erring[i] / wired->channels * wired->channels] = 0;
    }
    clear_factors(net, a, q);
    return n_changed;
}

#endif
