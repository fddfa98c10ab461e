/* The exact path: the rules as they are written, each value formed and checked.
 *
 * Samples that no bound proves go this way, step by step, and so does a step of a stream. Weights
 * change at once, so that what a sample began with has to be kept by the caller. A sum is formed in
 * 128 bits, which hold any sum of products of numbers below 2^53; its result is checked.
 */
#ifndef SPIKEBP_EXACT_H
#define SPIKEBP_EXACT_H

#include "sample.h"

#define LIMIT ((big)1 << 53) /* values and counts stay below this */

static int fits(big value) { return -LIMIT < value && value < LIMIT; }

static big exact_signed(big v, const struct network *net)
{
    big k = (v + net->half - (v > 0)) >> net->is.bits;
    if (net->is.is_binary)
        k = k > 1 ? 1 : k < -1 ? -1 : k;
    return k;
}

static big exact_rectified(big v, const struct network *net)
{
    big k = exact_signed(v, net);
    return k > 0 ? k : 0;
}

/* Add to a counter of the sample; 0 if it does not hold that. */
static int exact_count(int64_t *counter, num spikes)
{
    return !__builtin_add_overflow(*counter, spikes < 0 ? -spikes : spikes, counter);
}

/* Note what a unit of layer l sends in step 0; the row of spikes is that of single steps. */
static int exact_send(struct layer *a, int j, num k, num *spikes)
{
    spikes[j] = k;
    if (k != 0)
        a->fired[a->n_fired[0]++] = j;
    return exact_count(&a->sample_spikes, k);
}

/* Rule 1. */
static int exact_input(struct network *net, const num *x)
{
    struct layer *a = &net->layer[0];
    num *k = (num *)a->k, *phi = (num *)a->s, *c = (num *)a->c;
    a->n_fired[0] = 0;
    for (int j = 0; j < a->n; j++) {
        big now = x[j];
        if (!net->is.takes_counts) {
            big v = (big)phi[j] + x[j];
            if (!fits(v))
                return 0;
            now = exact_signed(v, net);
            phi[j] = (num)(v - (now << net->is.bits));
        }
        if (!fits(now) || !fits(c[j] + now))
            return 0;
        c[j] += (num)now;
        if (!exact_send(a, j, (num)now, k))
            return 0;
    }
    return 1;
}

/* Rule 2 of layer l. */
static int exact_fire(struct network *net, int l)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    num *k = (num *)a->k, *s = (num *)a->s, *c = (num *)a->c;
    const num *from = (const num *)below->k;
    a->n_fired[0] = 0;
    for (int j = 0; j < a->n; j++) {
        big drive = s[j];
        for (int i = 0; i < below->n_fired[0]; i++) {
            int unit = below->fired[i];
            drive += (big)from[unit] * ((const num *)a->w)[(int64_t)unit * a->width * LANES + j];
        }
        big phi = drive - ((big)c[j] << net->is.bits), now = exact_rectified(phi, net);
        if (!fits(drive) || !fits(phi) || !fits(c[j] + now))
            return 0;
        s[j] = (num)drive;
        c[j] += (num)now;
        if (!exact_send(a, j, (num)now, k))
            return 0;
    }
    return 1;
}

static int exact_error(struct layer *a, int j, big error, num *e)
{
    e[j] = ((const num *)a->s)[j] < 0 ? 0 : (num)error;
    if (e[j] != 0)
        a->erring[a->n_erring++] = j;
    return exact_count(&a->sample_errors, e[j]);
}

/* Rule 3. */
static int exact_output_error(struct network *net, const num *y)
{
    struct layer *a = &net->layer[net->is.n_layers];
    num *phi = (num *)a->phi_y, *e = (num *)a->e;
    const num *k = (const num *)a->k;
    a->n_erring = 0;
    for (int j = 0; j < a->n; j++) {
        big v = (big)phi[j] + y[j], m = exact_signed(v, net);
        if (!fits(v))
            return 0;
        phi[j] = (num)(v - (m << net->is.bits));
        if (!exact_error(a, j, k[j] - m, e))
            return 0;
    }
    return 1;
}

/* Rule 4 of layer l. */
static int exact_err(struct network *net, int l)
{
    struct layer *a = &net->layer[l], *above = a + 1;
    num *psi = (num *)a->psi, *e = (num *)a->e;
    const num *from = (const num *)above->e;
    a->n_erring = 0;
    for (int j = 0; j < a->n; j++) {
        big v = psi[j];
        for (int i = 0; i < above->n_erring; i++) {
            int unit = above->erring[i];
            v += (big)from[unit] * ((const num *)above->b)[(int64_t)unit * a->width * LANES + j];
        }
        big error = exact_signed(v, net);
        if (!fits(v))
            return 0;
        psi[j] = (num)(v - (error << net->is.bits));
        if (!exact_error(a, j, error, e))
            return 0;
    }
    return 1;
}

/* Rule 5 of layer l, with errors of units that are listed; or only find whether all stays in
 * range, so that nothing is written where it does not. */
static int exact_learn(struct network *net, int l, num rate, const num *errors, int writes)
{
    struct layer *a = &net->layer[l];
    const struct layer *below = a - 1;
    const num *c = (const num *)below->c;
    int64_t n_units = 0;
    for (int i = 0; i < below->n; i++) {
        n_units += c[i] != 0;
        for (int u = 0; c[i] != 0 && u < a->n_erring; u++) {
            int j = a->erring[u];
            num *w = (num *)a->w + (int64_t)i * a->width * LANES + j;
            big changed = *w - (big)rate * c[i] * errors[j];
            if (!fits(changed))
                return 0;
            if (!writes)
                continue;
            *w = (num)changed;
            if (l > 1 && !net->is.has_random_feedback)
                ((num *)a->b)[(int64_t)j * below->width * LANES + i] = *w;
        }
    }
    if (writes)
        net->sample_updates += n_units * a->n_erring;
    return 1;
}

/* Rule 5 of layer l at the end of a sample whose errors were summed, as `exact_learn`. */
static int exact_learn_once(struct network *net, int l, int writes)
{
    struct layer *a = &net->layer[l];
    num *sum = (num *)a->sum, rate = (num)net->is.rate, limit = (num)net->is.error_limit;
    if (net->is.update == NORMALIZED && (rate = normalized_rate(net, l)) == 0)
        return 0;
    a->n_erring = 0;
    for (int j = 0; j < a->n; j++) {
        if (net->is.update == NORMALIZED && l < net->is.n_layers)
            sum[j] = sum[j] > limit ? limit : sum[j] < -limit ? -limit : sum[j];
        if (sum[j] != 0)
            a->erring[a->n_erring++] = j;
    }
    return exact_learn(net, l, rate, sum, writes);
}

static int exact_learn_sample(struct network *net)
{
    const int L = net->is.n_layers;
    net->sample_updates = 0;
    for (int i = 0; i < 2 * L; i++) /* first find out, then write */
        if (!exact_learn_once(net, i % L + 1, i >= L))
            return 0;
    return 1;
}

/* A step; 0 if a value is out of range. */
static int exact_step(struct network *net, const num *x, const num *y)
{
    const int L = net->is.n_layers;
    if (!exact_input(net, x))
        return 0;
    for (int l = 1; l <= L; l++)
        if (!exact_fire(net, l))
            return 0;
    if (y == NULL)
        return 1;
    for (int l = L; l >= 1; l--) {
        struct layer *a = &net->layer[l];
        if (!(l == L ? exact_output_error(net, y) : exact_err(net, l)))
            return 0;
        for (int u = 0; net->is.update != FRACTIONAL && u < a->n_erring; u++) {
            num *sum = (num *)a->sum + a->erring[u];
            if (__builtin_add_overflow(*sum, ((num *)a->e)[a->erring[u]], sum))
                return 0;
        }
    }
    for (int i = 0; net->is.update == FRACTIONAL && i < 2 * L; i++) {
        const int l = i % L + 1;
        if (!exact_learn(net, l, (num)net->is.rate, (const num *)net->layer[l].e, i >= L))
            return 0;
    }
    return 1;
}

#endif
