/* Rule 5: weights learn.
 *
 *     W_l -= rate_l outer(c_{l-1}, e_l)
 *
 * in every step, or when the sample closes, with the summed errors E_l for e_l. Counts and errors
 * are cut off at limits before they teach. The rate is fixed, or one for the sample,
 *
 *     r_l = max(1, R_l / N_l), rounded down, with N_l = added squares + sum of c_{l-1}^2.
 *
 * At a fixed rate a connection may not learn from an update whose gain, rate_l times the sum of
 * c_{l-1}^2, is above a limit.
 *
 * An update is noted, and proven to leave all weights in range. When it is written says network.h.
 */
#ifndef SPIKEBP_LEARNING_H
#define SPIKEBP_LEARNING_H

#include "chip.h"

/* A limit for the steps of input shown so far. */
static num limit_of(const struct network *net, struct limit limit)
{
    const int64_t most = sizeof(num) == 4 ? INT32_MAX : INT64_MAX;
    if (limit.per_step > 0 && net->inputs_shown > most / limit.per_step)
        return (num)most;
    const int64_t of_steps = limit.per_step * net->inputs_shown;
    const int64_t reached = of_steps > limit.least ? of_steps : limit.least;
    return (num)(reached < most ? reached : most);
}

/* What multiplies the errors of an update. */
struct factors {
    int64_t n_units; /* units whose factor is not zero */
    num largest;
};

/* Note an update of W_l by errors that are listed; 0 if it may be out of range. */
static int note_update(struct network *net, struct layer *a, num rate, const vec *errors,
    struct factors below)
{
    struct pending *p = &a->pending;
    const num limit = limit_of(net, net->is.rules[a - net->layer - 1].errors);
    int at = p->first[p->n];
    num top = 0;
    for (int i = 0; i < a->n_erring; i++, at++) {
        const num error = ((const num *)errors)[a->erring[i]];
        const num size = lesser(error < 0 ? -error : error, limit);
        p->unit[at] = a->erring[i];
        p->error[at] = error < 0 ? -size : size;
        top = size > top ? size : top;
    }
    p->rate[p->n] = rate, p->n_factors = below.n_units;
    p->first[++p->n] = at;
    if (!a->wiring)
        net->sample_updates += below.n_units * a->n_erring;
    if (net->is.is_chip)
        return 1; /* weights saturate */
    const double uses = a->wiring ? a->wiring->most_uses : 1;
    a->weight_bound += (double)rate * (double)below.largest * (double)top * uses;
    return a->weight_bound < PROVEN / 2;
}

/* Keep the counts of the layer below for the update of layer l that comes next, as they teach. */
static struct factors keep_counts(const struct network *net, struct layer *a,
    const struct layer *below)
{
    struct pending *p = &a->pending;
    vec *to = p->factor + p->at[p->n];
    const vec *counts = net->has_one_step ? below->k : below->c;
    const num limit = limit_of(net, net->is.counts);
    const int n = *below->active.n;
    const int32_t *restrict active = below->active.index;
    vec silent = {0}, top = {0};
    for (int i = 0; i < n; i++) {
        const vec c = counts[active[i]];
        to[i] = c;
        silent += c == 0;
        top = most(top, magnitude(c));
    }
    p->at[p->n + 1] = p->at[p->n] + n;
    const num largest = largest_of(top);
    p->cuts = largest > limit;
    for (int i = 0; p->cuts && i < n; i++)
        to[i] = within(to[i], limit);
    return (struct factors){(int64_t)n * LANES + sum_of(silent), lesser(largest, limit)};
}

/* The sum of the counts below layer l, each squared as it teaches, as often as its unit meets the
 * weights; they are kept for the update that comes next. */
static double sum_squares(const struct network *net, int l, struct factors factors)
{
    const struct layer *below = &net->layer[l - 1];
    const struct pending *p = &net->layer[l].pending;
    const vec *factor = p->factor + p->at[p->n];
    const double largest = (double)factors.largest;
    const int32_t *times_met = net->layer[l].wiring ? net->layer[l].wiring->times_met : NULL;
    const int n = *below->active.n;
    double squares = 0;
    vec sum = {0};
    for (int i = 0; i < n; i++)
        sum += factor[i] * factor[i];
    if (!times_met && largest * largest * (double)factors.n_units < PROVEN)
        return (double)sum_of(sum);
    for (int at = 0; at < n * LANES; at++) {
        const int i = below->active.index[at / LANES] * LANES + at % LANES;
        const double c = (double)((const num *)factor)[at];
        squares += c * c * (times_met && i < below->n ? times_met[i] : 1);
    }
    return squares;
}

/* Whether the gain of an update is small enough to learn from. The sum is exact below 2^53, where
 * all limits are. */
static int learns_from(const struct network *net, int l, num rate, struct factors below)
{
    const struct limit limit = net->is.gain;
    if (limit.least == INT64_MAX)
        return 1;
    const double of_steps = (double)limit.per_step * (double)net->inputs_shown;
    const double most = fmin(fmax((double)limit.least, of_steps), 0x1p53 - 1);
    return (double)rate * sum_squares(net, l, below) <= most;
}

/* The rate of W_l in this sample; 0 if N_l reaches 2^53, beyond which it is not exact. */
static num rate_of_sample(const struct network *net, int l, struct factors below)
{
    const struct weight_rule *rule = &net->is.rules[l - 1];
    if (rule->added_squares == 0)
        return (num)rule->rate;
    const double squares = (double)rule->added_squares + sum_squares(net, l, below);
    if (!(squares < 0x1p53))
        return 0;
    const int64_t rate = rule->rate / (int64_t)squares;
    return (num)(rate > 1 ? rate : 1);
}

/* Learn from errors; 0 if that may be out of range. */
static int learn_layer(struct network *net, int l, const vec *errors)
{
    struct layer *a = &net->layer[l];
    const struct factors below = keep_counts(net, a, a - 1);
    const num rate = rate_of_sample(net, l, below);
    if (rate == 0)
        return 0;
    if (a->n_erring == 0 || !learns_from(net, l, rate, below))
        return 1;
    return note_update(net, a, rate, errors, below);
}

/* Rule 5 of all layers in a step; 0 if it may be out of range. */
static int learn_step(struct network *net)
{
    const int learns_now = !net->is.learns_once;
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        if (!learns_now)
            for (int i = 0; i < a->n_erring; i++)
                ((num *)a->sum)[a->erring[i]] += ((num *)a->e)[a->erring[i]];
        if (!learns_now || !a->learns)
            continue;
        if (a->n_erring > 0 && !learn_layer(net, l, a->e))
            return 0;
    }
    return 1;
}

/* Rule 5 at the end of a sample whose errors were summed; 0 if it may be out of range. */
static int learn_sample(struct network *net)
{
    net->sample_updates = 0;
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->n_erring = 0;
        for (int v = 0; v < a->width; v++)
            a->n_erring += list_nonzero(a->sum[v], v * LANES, a->erring + a->n_erring);
        if (!a->learns)
            continue;
        if (!learn_layer(net, l, a->sum))
            return 0;
    }
    return 1;
}

#endif
