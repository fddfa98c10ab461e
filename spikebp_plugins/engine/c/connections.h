/* Connections that are not dense: how spikes and errors pass them, and how their weights learn.
 *
 * A spike of a unit meets rows of weights: a pixel meets one row for each kernel offset, with the
 * weights of the channels of one output pixel. A weight by itself is a row of one. Rows are filled up
 * with zeros to whole vectors: to add one changes nothing behind the units that it is for.
 *
 * The kernel of an output pixel lies on runs of neighbouring units below, whose rows are equally far
 * apart. So what the pixel receives is also a sum over the active units of its runs, which stays in
 * registers. That is faster where many units are active.
 *
 * Here updates are written at once, W_w -= rate sum of c_i e_j over the synapses of weight w, and
 * taken back by the same sums. To keep them pending would correct each later drive by a convolution
 * of spikes with counts and errors, for each update.
 */
#ifndef SPIKEBP_CONNECTIONS_H
#define SPIKEBP_CONNECTIONS_H

#include "network.h"

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

/* Return senders in the order of their numbers, of n units; count those before each unit, and before
 * the end. */
static struct senders in_order(struct network *net, struct senders from, int n)
{
    int before = 0;
    for (int i = 0; i < n; i++) {
        net->position[i] = before;
        net->listed_at[before] = i;
        before += from.times[i] != 0;
    }
    net->position[n] = before;
    return (struct senders){net->listed_at, from.times, before};
}

/* The arguments of a pass over the output pixels of a convolution, handed to its parts. */
struct pixel_pass {
    const struct network *net;
    const struct wiring *wired;
    struct senders below;
    num *weights, *units; /* of the connection, and of all units above */
    int pixel;
    int64_t n_met;
};

INLINE void add_pixels_part(const int n, int v, void *work)
{
    const struct pixel_pass *all = work;
    const struct wiring *wired = all->wired;
    const int32_t *position = all->net->position;
    for (int pixel = 0; pixel < wired->n_pixels; pixel++) {
        num *to = all->units + (int64_t)pixel * wired->channels + v * LANES;
        vec total[16];
        EACH(i, n) total[i] = ((const vec_anywhere *)to)[i];
        for (int r = wired->first_run[pixel]; r < wired->first_run[pixel + 1]; r++) {
            const int start = wired->start[r], end = position[start + wired->size[r]];
            const num *rows = all->weights + wired->weight[r] + v * LANES;
            for (int a = position[start]; a < end; a++) {
                const int unit = all->below.unit[a];
                const vec *row = (const vec *)(rows + (int64_t)(unit - start) * wired->apart);
                const num times = all->below.times[unit];
                EACH(i, n) total[i] += times * row[i];
            }
        }
        EACH(i, n) ((vec_anywhere *)to)[i] = total[i];
    }
}

/* Add to units above what those below send. */
static void add_up(struct network *net, const struct layer *a, struct senders below, num *to)
{
    const struct wiring *wired = a->wiring;
    if (wired->n_pixels > 0 && below.n >= wired->many) {
        struct pixel_pass all = {net, wired, in_order(net, below, a[-1].n), (num *)a->w, to, 0, 0};
        in_small_parts(wired->up.length / LANES, add_pixels_part, &all);
    } else
        add_by_unit(&wired->up, (const num *)a->w, below, to);
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

/* Change the rows of the units that an output pixel meets, for a part of its channels. */
INLINE void change_pixel_part(const int n, int v, void *work)
{
    struct pixel_pass *all = work;
    const struct wiring *wired = all->wired;
    const int32_t *position = all->net->position;
    const num *errors = all->units + (int64_t)all->pixel * wired->channels + v * LANES;
    vec change[16];
    EACH(i, n) change[i] = first_of(errors + i * LANES, wired->channels - (v + i) * LANES);
    all->n_met = 0;
    for (int r = wired->first_run[all->pixel]; r < wired->first_run[all->pixel + 1]; r++) {
        const int start = wired->start[r], end = position[start + wired->size[r]];
        num *rows = all->weights + wired->weight[r] + v * LANES;
        for (int a = position[start]; a < end; a++) {
            const int unit = all->below.unit[a];
            vec *row = (vec *)(rows + (int64_t)(unit - start) * wired->apart);
            const num times = all->below.times[unit];
            EACH(i, n) row[i] -= times * change[i];
        }
        all->n_met += end - position[start];
    }
}

/* Change W of a convolution, by output pixels with errors; return the number of changed synapses. */
static int64_t change_by_pixel(struct network *net, const struct layer *a, struct senders below)
{
    const struct wiring *wired = a->wiring;
    struct pixel_pass all = {
        net, wired, in_order(net, below, a[-1].n), (num *)a->w, net->spread, 0, 0};
    int64_t n_changed = 0;
    for (all.pixel = 0; all.pixel < wired->n_pixels; all.pixel++) {
        const int n_errors = net->errors_at[all.pixel * wired->channels];
        if (n_errors == 0)
            continue;
        in_small_parts(wired->up.length / LANES, change_pixel_part, &all);
        n_changed += n_errors * all.n_met;
    }
    return n_changed;
}

/* The same, unit by unit below. */
static int64_t change_by_unit(struct network *net, const struct layer *a, struct senders below)
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

/* Change weights that are a list; return how many. */
static int64_t change_list(const struct network *net, const struct layer *a, const int32_t *erring,
    int n_erring, const num *factor)
{
    const struct fan *down = &a->wiring->down;
    int64_t n_changed = 0;
    for (int i = 0; i < n_erring; i++) {
        const num change = net->spread[erring[i]];
        for (int m = down->first[erring[i]]; m < down->last[erring[i]]; m++) {
            const num times = factor[down->target[m]];
            ((num *)a->w)[down->begin[m]] -= change * times;
            n_changed += times != 0;
        }
    }
    return n_changed;
}

/* Whether it takes fewer steps to visit the output pixels that active units meet than those with
 * errors, which have to find the active units of each run. */
static int is_shorter_by_unit(const struct wiring *wired, int64_t n_below, int64_t n_active,
    int64_t n_pixels_with_errors)
{
    enum { LOOK_UP = 4 };
    const int64_t n_runs = wired->first_run[wired->n_pixels];
    return n_active * wired->n_pairs * wired->n_pixels
        < LOOK_UP * n_pixels_with_errors * n_runs * n_below;
}

/* The factors of update q by unit. Those of W_1 are spread out for `clear_factors` to clear. */
static const num *factors_by_unit(struct network *net, const struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    const vec *factor = p->factor + p->at[q];
    if (a - 1 > net->layer)
        return (const num *)factor;
    for (int64_t i = 0; i < p->at[q + 1] - p->at[q]; i++)
        net->by_unit[a[-1].active[i]] = factor[i];
    return (const num *)net->by_unit;
}

static void clear_factors(struct network *net, const struct layer *a, int q)
{
    const struct pending *p = &a->pending;
    for (int64_t i = 0; a - 1 == net->layer && i < p->at[q + 1] - p->at[q]; i++)
        net->by_unit[a[-1].active[i]] = splat(0);
}

/* Write update q of W_l and B_l, or undo it with sign -1; return the number of changed synapses. */
static int64_t write_connected(struct network *net, struct layer *a, int q, num sign)
{
    const struct wiring *wired = a->wiring;
    const struct pending *p = &a->pending;
    const struct layer *below = a - 1;
    const int32_t *erring = p->unit + p->first[q];
    const int n_erring = p->first[q + 1] - p->first[q];
    const num *factor = factors_by_unit(net, a, q);
    int64_t n_pixels = 0, n_changed;
    for (int i = 0; i < n_erring; i++) {
        net->spread[erring[i]] = sign * p->rate[q] * p->error[p->first[q] + i];
        if (wired->n_pixels > 0)
            n_pixels += net->errors_at[erring[i] / wired->channels * wired->channels]++ == 0;
    }
    if (wired->n_pixels > 0) {
        struct senders active = {net->listed, factor, 0};
        for (int64_t i = 0; i < p->at[q + 1] - p->at[q]; i++) {
            const int v = below->active[i];
            active.n += list_nonzero(((const vec *)factor)[v], v * LANES, net->listed + active.n);
        }
        n_changed = is_shorter_by_unit(wired, below->n, active.n, n_pixels)
            ? change_by_unit(net, a, active)
            : change_by_pixel(net, a, active);
        if (a->n_b > 0 && !net->is.has_random_feedback)
            change_back(net, a, erring, n_erring, factor);
    } else
        n_changed = change_list(net, a, erring, n_erring, factor);
    for (int i = 0; i < n_erring; i++) {
        net->spread[erring[i]] = 0;
        if (wired->n_pixels > 0)
            net->errors_at[erring[i] / wired->channels * wired->channels] = 0;
    }
    clear_factors(net, a, q);
    return n_changed;
}

#endif
