/* Rules 1 and 2: spikes go up.
 *
 *     phi_0 += x, k_0 = signed(phi_0);   s_l += k_{l-1} W_l, k_l = rectified(s_l - c_l), c_l += k_l
 *
 * with W_l of this step, so corrected by the updates that are pending. Binary spikes are limited to
 * one; what is left waits. A layer lists the units that fire: their rows alone are added.
 */
#ifndef SPIKEBP_FORWARD_H
#define SPIKEBP_FORWARD_H

#include "network.h"
#include "trains.h"

/* Add what so many spikes bring to a layer at most; 0 if that may be out of range. */
static int bring(struct layer *a, int64_t sent)
{
    a->drive_bound += (double)sent * a->weight_bound;
    return a->drive_bound < a->limit;
}

INLINE vec limited(vec spikes, int is_binary)
{
    return is_binary ? most(least(spikes, splat(1)), splat(-1)) : spikes;
}

/* What goes with a layer through its parts. */
struct firing {
    const struct network *net;
    struct layer *a;
    const struct layer *below;
    int t, n_steps, n_fired;
    vec *sent; /* by lanes; of one step, or of each */
};

/* Let n vectors of units fire, which have received s and sent c; list those that do. */
INLINE void fire(const int n, int v, const struct network *net, const vec *s, vec *c, vec *k,
    int32_t *fired, int *n_fired, vec *sent)
{
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    const num under = net->half - 1;
    EACH(i, n) {
        vec now = rectified((s[i] - (c[i] << bits) + under) >> bits);
        if (is_binary)
            now = least(now, splat(1));
        c[i] += now;
        k[v + i] = now;
        *sent += now;
        *n_fired += list_nonzero(now, (v + i) * LANES, fired + *n_fired);
    }
}

/* s += what the spikes of a layer bring in step t. */
INLINE void add_rows(const int n, vec *s, const vec *w, int64_t width, const struct layer *from,
    int t)
{
    const int64_t at = (int64_t)t * from->width;
    const int32_t *fired = from->fired + at * LANES;
    const num *k = (const num *)(from->k + at);
    const int n_fired = from->n_fired[t];
    if (n_fired == from->sent[t] && !from->is_signed)
        for (int a = 0; a < n_fired; a++) {
            const vec *row = w + fired[a] * width;
            EACH(i, n) s[i] += row[i];
        }
    else
        for (int a = 0; a < n_fired; a++) {
            const vec *row = w + fired[a] * width;
            const num times = k[fired[a]];
            EACH(i, n) s[i] += times * row[i];
        }
}

/* Rule 1 in step t, from values in grid units, or from spike counts; 0 if out of range. */
static int fire_input(struct network *net, const num *x, double largest_x, int t)
{
    struct layer *a = &net->layer[0];
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    vec *k = a->k + (int64_t)t * a->width, sent = {0};
    int32_t *fired = a->fired + (int64_t)t * a->width * LANES;
    int n = 0;
    const double half = (double)net->half, one = (double)net->one;
    double most_spikes = largest_x;
    if (!net->is.takes_counts) {
        net->input_bound = (is_binary ? net->input_bound : half) + largest_x;
        most_spikes = is_binary ? 1 : net->input_bound / one + 1;
        if (!(net->input_bound + half < CERTAIN))
            return 0;
    }
    a->drive_bound += most_spikes; /* here of the counts */
    if (!(a->drive_bound * a->n < MOST_COUNTED))
        return 0;
    for (int v = 0; v < a->width; v++) {
        vec now = ((const vec *)x)[v];
        if (!net->is.takes_counts) {
            vec phi = a->s[v] + now;
            now = limited((phi + net->half + (phi > 0)) >> bits, is_binary);
            a->s[v] = phi - (now << bits);
        }
        k[v] = now;
        a->c[v] += now;
        sent += magnitude(now);
        n += list_nonzero(now, v * LANES, fired + n);
    }
    a->n_fired[t] = n;
    a->sent[t] = sum_of(sent);
    a->sample_spikes += a->sent[t];
    return 1;
}

/* A step of layer 1 whose drive is prepared. */
static void fire_prepared(struct network *net, int t)
{
    struct layer *a = &net->layer[1];
    const int64_t at = (int64_t)t * a->width;
    const vec *drive = net->trains.drive + at;
    vec sent = {0};
    int n = 0;
    for (int v = 0; v < a->width; v++)
        fire(1, v, net, drive + v, a->c + v, a->k + at, a->fired + at * LANES, &n, &sent);
    a->n_fired[t] = n;
    a->sent[t] = sum_of(sent);
    a->sample_spikes += a->sent[t];
}

/* A step of n vectors of a layer. */
INLINE void fire_part(const int n, int v, void *work)
{
    struct firing *now = work;
    struct layer *a = now->a;
    const int64_t at = (int64_t)now->t * a->width;
    vec s[16];
    EACH(i, n) s[i] = a->s[v + i];
    add_rows(n, s, a->w + v, a->width, now->below, now->t);
    EACH(i, n) a->s[v + i] = s[i];
    fire(n, v, now->net, s, a->c + v, a->k + at, a->fired + at * LANES, &now->n_fired, now->sent);
}

/* All steps of n vectors of a layer, which stay in registers: weights do not change. */
INLINE void show_part(const int n, int v, void *work)
{
    struct firing *now = work;
    struct layer *a = now->a;
    vec s[16], c[16];
    EACH(i, n) s[i] = c[i] = splat(0);
    for (int t = 0; t < now->n_steps; t++) {
        const int64_t at = (int64_t)t * a->width;
        add_rows(n, s, a->w + v, a->width, now->below, t);
        fire(n, v, now->net, s, c, a->k + at, a->fired + at * LANES, &a->n_fired[t],
            &now->sent[t]);
    }
    EACH(i, n) a->s[v + i] = s[i];
}

/* Correct the drive of layer l in step t by what W_l has learned since the sample opened. */
static void correct_drive(struct layer *a, const struct layer *below, int t)
{
    const vec *k = below->k + (int64_t)t * below->width;
    const struct pending *p = &a->pending;
    for (int q = 0; q < p->n; q++) {
        const vec *count = p->count + (int64_t)q * below->width;
        vec product = {0};
        for (int v = 0; v < below->width; v++)
            product += k[v] * count[v];
        num change = p->rate[q] * sum_of(product);
        if (change != 0)
            for (int i = p->first[q]; i < p->first[q + 1]; i++)
                ((num *)a->s)[p->unit[i]] -= change * p->error[i];
    }
}

/* Rule 2 of layer l in step t; 0 if it may be out of range. */
static int fire_layer(struct network *net, int l, int t)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    vec sent = {0};
    struct firing now = {.net = net, .a = a, .below = below, .t = t, .sent = &sent};
    if (!bring(a, below->sent[t]))
        return 0;
    correct_drive(a, below, t);
    in_parts(a->width, IN_REGISTERS, fire_part, &now);
    a->n_fired[t] = now.n_fired;
    a->sent[t] = sum_of(sent);
    a->sample_spikes += a->sent[t];
    return 1;
}

/* Rule 2 of layer l in all steps, without learning; 0 if it may be out of range. */
static int show_layer(struct network *net, int l, int n_steps)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    vec *sent = net->sent;
    struct firing all = {.net = net, .a = a, .below = below, .n_steps = n_steps, .sent = sent};
    if (!bring(a, below->sample_spikes))
        return 0;
    for (int t = 0; t < n_steps; t++)
        sent[t] = splat(0), a->n_fired[t] = 0;
    in_parts(a->width, PAIRS_IN_REGISTERS, show_part, &all);
    for (int t = 0; t < n_steps; t++) {
        a->sent[t] = sum_of(sent[t]);
        a->sample_spikes += a->sent[t];
    }
    return 1;
}

#endif
