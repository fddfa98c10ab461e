/* Rules 1 and 2: the forward pass.
 *
 *     phi_0 += x, k_0 = signed(phi_0);   s_l += k_{l-1} W_l, k_l = rectified(s_l - c_l), c_l += k_l
 *
 * with W_l of this step, so corrected by the updates that are pending. Binary spikes are limited to
 * one; what is left waits. A layer lists the units that fire: their rows alone are added.
 */
#ifndef SPIKEBP_FORWARD_H
#define SPIKEBP_FORWARD_H

#include "connections.h"
#include "trains.h"

/* What a bound proves of values after an addition: that they are in range; that they are exact, since
 * they do not wrap, so that they can be measured; or nothing. */
enum proven_range { IN_RANGE, EXACT, UNPROVEN };

static enum proven_range proven_range(double bound, double gain, double limit)
{
    if (bound < limit)
        return IN_RANGE;
    return sizeof(num) == 8 && gain < 0x1p61 ? EXACT : UNPROVEN;
}

/* The largest magnitude of the drive and of the potentials of a layer. */
static double largest_drive(const struct network *net, const struct layer *a)
{
    vec low = {0}, high = {0};
    for (int v = 0; v < a->width; v++) {
        const vec s = a->s[v], phi = s - (a->c[v] << net->is.bits);
        low = where(s < low, s, low), high = where(s > high, s, high);
        low = where(phi < low, phi, low), high = where(phi > high, phi, high);
    }
    const double below = (double)largest_of(-low), above = (double)largest_of(high);
    return below > above ? below : above;
}

/* Bound the drive of a layer to which at most `gain` is added. A bound of many steps is loose: then
 * drive and potentials are measured anew. */
static enum proven_range bound_drive(const struct network *net, struct layer *a, double gain)
{
    if (!(a->drive_bound + gain < a->limit))
        a->drive_bound = largest_drive(net, a);
    a->drive_bound += gain;
    return proven_range(a->drive_bound, gain, a->limit);
}

/* Whether measured values are in range, and what fires of them can be counted. */
static int is_in_range(const struct network *net, const struct layer *a, double bound)
{
    return bound < 0x1p53 && (bound / (double)net->one + 1) * a->n < 0x1p62;
}

INLINE vec limited(vec spikes, int is_binary)
{
    return is_binary ? most(least(spikes, splat(1)), splat(-1)) : spikes;
}

/* The arguments of a forward pass through a layer, handed to its parts. */
struct forward_pass {
    const struct network *net;
    struct layer *a;
    const struct layer *below;
    int t, n_steps, n_fired;
    vec *to;   /* what rows are added to */
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

/* Add to s the rows of the spikes of a layer in step t. */
INLINE void add_rows(const int n, vec *s, const vec *w, int64_t width, const struct layer *from,
    int t)
{
    const int64_t at = (int64_t)t * from->apart;
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

/* Note what a layer has sent in step t; 0 if that is too much to be counted. */
static int note_sent(struct layer *a, int t, int n_fired, vec sent)
{
    a->n_fired[t] = n_fired;
    a->sent[t] = sum_of(sent);
    a->sample.messages += n_fired;
    return !__builtin_add_overflow(a->sample.spikes, a->sent[t], &a->sample.spikes);
}

/* Note the spikes of a vector of the input; return how many units fire. */
INLINE int note_input(struct layer *a, int v, vec k, int n_fired, vec *sent)
{
    a->k[v] = k;
    a->c[v] += k;
    *sent += magnitude(k);
    return list_nonzero(k, v * LANES, a->fired + n_fired);
}

/* The vectors of the input that may fire: those that are given some, or where potentials wait all that
 * have been given any. */
struct vector_list {
    const int32_t *index;
    int n;
};

static int may_wait(const struct network *net)
{
    return (net->is.is_binary || net->is.is_chip) && !net->is.takes_counts;
}

static struct vector_list due_input(const struct network *net)
{
    const struct layer *a = &net->layer[0];
    if (may_wait(net))
        return (struct vector_list){a->active, *a->n_active};
    return (struct vector_list){net->x.index, *net->x.n};
}

/* Rule 1 of a sample of one step: note the spikes of what may have changed since the one before. */
static void change_input(struct network *net)
{
    struct layer *a = &net->layer[0];
    const struct row *x = &net->x;
    vec more = {0}, fired = {0};
    for (int i = 0; i < *x->n; i++) {
        const vec before = a->k[x->index[i]], given = x->numbers[i];
        const vec now = net->is.takes_counts
            ? given
            : limited((given + net->half + (given > 0)) >> net->is.bits, net->is.is_binary);
        a->k[x->index[i]] = now;
        more += magnitude(now) - magnitude(before);
        fired += (now == 0) - (before == 0);
    }
    a->sample.spikes = a->sent[0] = (x->is_change ? a->sent[0] : 0) + sum_of(more);
    a->sample.messages = a->n_fired[0] = (x->is_change ? a->n_fired[0] : 0) + (int32_t)sum_of(fired);
}

/* Rule 1 in step t, from values in units of 2^-f, or from spike counts; 0 if out of range. */
static int fire_input(struct network *net, int t)
{
    struct layer *a = &net->layer[0];
    const struct row *x = &net->x;
    const struct vector_list due = due_input(net);
    const int waits = may_wait(net);
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    vec sent = {0};
    int n_fired = 0;
    const double half = (double)net->half, one = (double)net->one;
    double most_spikes = x->largest;
    if (!net->is.takes_counts) {
        net->input_bound = (is_binary ? net->input_bound : half) + x->largest;
        most_spikes = is_binary ? 1 : net->input_bound / one + 1;
        if (!(net->input_bound + half < PROVEN))
            return 0;
    }
    a->drive_bound += most_spikes; /* here of the counts */
    if (!(a->drive_bound * a->n < MOST_COUNTED))
        return 0;
    if (net->follows) {
        change_input(net);
        return 1;
    }
    for (int i = 0; i < *x->n && waits; i++)
        a->s[x->index[i]] += x->numbers[i];
    for (int i = 0; i < due.n; i++) {
        const int v = due.index[i];
        vec now = x->numbers[i];
        if (!net->is.takes_counts) {
            const vec phi = a->s[v] + (waits ? splat(0) : now);
            now = limited((phi + net->half + (phi > 0)) >> bits, is_binary);
            a->s[v] = phi - (now << bits);
        }
        n_fired += note_input(a, v, now, n_fired, &sent);
    }
    return note_sent(a, t, n_fired, sent);
}

/* A step of layer 1 whose drive is prepared; 0 if it may be out of range. */
static int fire_prepared(struct network *net, int t)
{
    struct layer *a = &net->layer[1];
    const int64_t at = (int64_t)t * a->width;
    const vec *drive = net->trains.drive + at;
    vec sent = {0};
    int n = 0;
    for (int v = 0; v < a->width; v++)
        fire(1, v, net, drive + v, a->c + v, a->k + at, a->fired + at * LANES, &n, &sent);
    return note_sent(a, t, n, sent);
}

/* Add what n vectors of a layer receive. */
INLINE void add_part(const int n, int v, void *work)
{
    struct forward_pass *now = work;
    vec *to = now->to + v, s[16];
    EACH(i, n) s[i] = to[i];
    add_rows(n, s, now->a->w + v, now->a->width, now->below, now->t);
    EACH(i, n) to[i] = s[i];
}

/* Let n vectors of a layer fire. */
INLINE void fire_part(const int n, int v, void *work)
{
    struct forward_pass *now = work;
    struct layer *a = now->a;
    const int64_t at = (int64_t)now->t * a->width;
    fire(n, v, now->net, a->s + v, a->c + v, a->k + at, a->fired + at * LANES, &now->n_fired,
        now->sent);
}

/* A step of n vectors of a layer. */
INLINE void add_and_fire_part(const int n, int v, void *work)
{
    struct forward_pass *now = work;
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
    struct forward_pass *now = work;
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

/* k . c with the factors of an update, of the units that fire, or of all, whichever is shorter. */
static num product_of(const struct layer *below, int t, const struct pending *p, int q)
{
    const int64_t at = (int64_t)t * below->apart, n = p->at[q + 1] - p->at[q];
    const vec *k = below->k + at, *factor = p->factor + p->at[q];
    const int n_fired = below->n_fired[t];
    num total = 0;
    if (n_fired < n) {
        for (int a = 0; a < n_fired; a++) {
            const int unit = below->fired[at * LANES + a], place = below->place[unit / LANES] - 1;
            if (place < n)
                total += ((const num *)k)[unit] * ((const num *)(factor + place))[unit % LANES];
        }
        return total;
    }
    vec product = {0};
    for (int i = 0; i < n; i++)
        product += k[below->active[i]] * factor[i];
    return sum_of(product);
}

/* Correct the drive of a layer in step t by what W_l has learned since the sample opened. */
static void correct_drive(struct layer *a, const struct layer *below, int t)
{
    const struct pending *p = &a->pending;
    for (int q = p->n_written; q < p->n_met; q++) {
        const num change = p->rate[q] * product_of(below, t, p, q);
        if (change != 0)
            for (int i = p->first[q]; i < p->first[q + 1]; i++)
                ((num *)a->s)[p->unit[i]] -= change * p->error[i];
    }
}

/* Add what a layer receives from the one below through what is no dense W_l. */
static void add_connected(struct network *net, struct layer *a, int t, vec *to)
{
    struct layer *below = a - 1;
    const int64_t at = (int64_t)t * below->apart;
    const struct senders from = {below->fired + at * LANES, (const num *)(below->k + at),
        below->n_fired[t]};
    add_up(net, a, from, (num *)to);
    const int64_t synapses = (int64_t)synapses_of(&a->wiring->up, from);
    a->sample.up += operations_of(&a->wiring->up, from);
    a->sample.messages_up += synapses;
    count_work(net, from.n, synapses);
}

static void add(vec *to, const vec *values, int width)
{
    for (int v = 0; v < width; v++)
        to[v] += values[v];
}

/* Rule 2 of layer l in step t; 0 if it may be out of range. */
static int fire_layer(struct network *net, int l, int t)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    const double gain = net->hands_over ? a->gain : (double)below->sent[t] * a->weight_bound;
    const enum proven_range range = bound_drive(net, a, gain);
    const int is_added = net->hands_over || net->follows || a->wiring || range == EXACT;
    vec sent = {0};
    struct forward_pass now = {.net = net, .a = a, .below = below, .t = t, .to = a->s, .sent = &sent};
    if (range == UNPROVEN)
        return 0;
    if (net->hands_over)
        add(a->s, a->arriving, a->width);
    else if (!net->follows) { /* else s has received its change */
        if (!a->writes_at_once)
            correct_drive(a, below, t);
        if (a->wiring)
            add_connected(net, a, t, a->s);
        else {
            count_rows(net, a, below->n_fired[t]);
            if (is_added)
                in_single_vectors(a->width, add_part, &now);
        }
    }
    if (range == EXACT && !is_in_range(net, a, a->drive_bound = largest_drive(net, a)))
        return 0;
    if (is_added)
        in_single_vectors(a->width, fire_part, &now);
    else
        in_parts(a->width, IN_REGISTERS, add_and_fire_part, &now);
    return note_sent(a, t, now.n_fired, sent);
}

/* The most that layer l - 1 hands over to a unit of layer l. */
static double gain_up(const struct network *net, int l)
{
    return (double)net->layer[l - 1].sent[0] * net->layer[l].weight_bound;
}

/* Hand over to layer l what the one below has just sent. */
static void hand_up(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    struct forward_pass now = {.net = net, .a = a, .below = a - 1, .to = a->arriving};
    memset(a->arriving, 0, (size_t)a->width * sizeof(vec));
    a->gain = gain_up(net, l);
    if (a->wiring)
        add_connected(net, a, 0, a->arriving);
    else {
        count_rows(net, a, a[-1].n_fired[0]);
        in_single_vectors(a->width, add_part, &now);
    }
}

/* Rule 2 of layer l in all steps, without learning; 0 if it may be out of range. */
static int show_layer(struct network *net, int l, int n_steps)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    const double gain = (double)below->sample.spikes * a->weight_bound;
    vec *sent = net->sent;
    struct forward_pass all = {.net = net, .a = a, .below = below, .n_steps = n_steps, .sent = sent};
    if (a->wiring || !(a->drive_bound + gain < a->limit)) {
        for (int t = 0; t < n_steps; t++)
            if (!fire_layer(net, l, t))
                return 0;
        return 1;
    }
    a->drive_bound += gain;
    for (int t = 0; t < n_steps; t++)
        sent[t] = splat(0), a->n_fired[t] = 0;
    in_parts(a->width, PAIRS_IN_REGISTERS, show_part, &all);
    for (int t = 0; t < n_steps; t++) {
        a->sent[t] = sum_of(sent[t]);
        a->sample.spikes += a->sent[t];
        a->sample.messages += a->n_fired[t];
        count_rows(net, a, below->n_fired[t]);
    }
    return 1;
}

#endif
