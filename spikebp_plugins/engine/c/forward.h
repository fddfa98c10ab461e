/* Rules 1 and 2: the forward pass.
 *
 *     phi_0 += x, k_0 = signed(phi_0);   s_l += k_{l-1} W_l, k_l = rectified(s_l - c_l), c_l += k_l
 *
 * with W_l of now: see drive.h. Binary spikes are limited to one; what is left waits.
 */
#ifndef SPIKEBP_FORWARD_H
#define SPIKEBP_FORWARD_H

#include "rows.h"
#include "drive.h"

/* What a bound proves of values after an addition: that they are in range; that they are exact,
 * since they do not wrap, so that they can be measured; or nothing. */
enum proven_range { IN_RANGE, EXACT, UNPROVEN };

static enum proven_range proven_range(double bound, double received, double limit)
{
    if (bound < limit)
        return IN_RANGE;
    return sizeof(num) == 8 && received < 0x1p61 ? EXACT : UNPROVEN;
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

/* Bound the drive of a layer to which at most `received` is added. A bound of many steps is loose:
 * then drive and potentials are measured anew. */
static enum proven_range bound_drive(const struct network *net, struct layer *a, double received)
{
    if (!(a->drive_bound + received < a->limit))
        a->drive_bound = largest_drive(net, a);
    a->drive_bound += received;
    return proven_range(a->drive_bound, received, a->limit);
}

/* Whether measured values are in range, and what fires of them can be counted. */
static int is_in_range(const struct network *net, const struct layer *a, double bound)
{
    return bound < 0x1p53 && (bound / (double)net->one + 1) * a->n < 0x1p62;
}

/* The spikes, of either sign, that a potential fires: sgn(phi) ceil(|phi| - 1/2), or one. */
INLINE vec signed_spikes(const struct network *net, vec phi)
{
    const vec spikes = (phi + net->half + (phi > 0)) >> net->is.bits;
    return net->is.is_binary ? most(least(spikes, splat(1)), splat(-1)) : spikes;
}

/* Note what a layer has sent; 0 if that is too much to be counted. */
static int note_sent(struct layer *a)
{
    a->sample.messages += a->n_fired;
    return !__builtin_add_overflow(a->sample.spikes, a->sent, &a->sample.spikes);
}

/* Rule 1, from values in units of 2^-f, or from spike counts; 0 if out of range. Where the row says
 * what has changed, what was sent before is still noted. */
static int fire_input(struct network *net)
{
    struct layer *a = &net->layer[0];
    const struct row *x = &net->x;
    const struct list due = sent_by(net, a);
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    const int takes_counts = net->is.takes_counts, has_one_step = net->has_one_step;
    const double half = (double)net->half, one = (double)net->one;
    double most_spikes = x->largest;
    if (!takes_counts) {
        net->input_bound = (is_binary ? net->input_bound : half) + x->largest;
        most_spikes = is_binary ? 1 : net->input_bound / one + 1;
        if (!(net->input_bound + half < PROVEN))
            return 0;
    }
    a->drive_bound += most_spikes; /* here of the counts */
    if (!(a->drive_bound * a->n < MOST_COUNTED))
        return 0;
    if (!x->is_change)
        a->sent = 0, a->n_fired = 0;
    const int32_t *restrict index = due.index;
    const vec *given = x->numbers;
    vec *s = a->s, *c = a->c, *k = a->k, more = {0}, fired = {0};
    for (int i = 0, n = *x->some.n; i < n && !takes_counts && !has_one_step; i++)
        s[x->some.index[i]] += given[i];
    for (int i = 0, n = *due.n, is_change = x->is_change; i < n; i++) {
        const int v = index[i];
        vec now = takes_counts || has_one_step ? given[i] : s[v];
        if (!takes_counts)
            now = signed_spikes(net, now);
        if (!has_one_step) {
            s[v] -= takes_counts ? splat(0) : now << bits;
            c[v] += now;
        }
        if (is_change) {
            more -= magnitude(k[v]);
            fired -= k[v] == 0;
        } else
            fired -= splat(-1);
        k[v] = now;
        more += magnitude(now);
        fired += now == 0;
    }
    a->sent += sum_of(more);
    a->n_fired += (int32_t)sum_of(fired);
    return note_sent(a);
}

/* Rule 2 of layer l; 0 if it may be out of range. */
static int fire_layer(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    const vec under = splat(net->half - 1);
    const int width = a->width;
    const double received = net->delay ? a->most_arriving : most_received_drive(net, l);
    const enum proven_range range = bound_drive(net, a, received);
    vec *s = a->s, *c = a->c, *k = a->k, sent = {0}, silent = {0};
    if (range == UNPROVEN)
        return 0;
    if (net->delay)
        add(s, a->arriving, width);
    else
        receive_drive(net, l, s);
    if (range == EXACT && !is_in_range(net, a, a->drive_bound = largest_drive(net, a)))
        return 0;
    for (int v = 0; v < width; v++) {
        vec now = rectified((s[v] - (c[v] << bits) + under) >> bits);
        if (is_binary)
            now = least(now, splat(1));
        c[v] += now;
        k[v] = now;
        sent += now;
        silent += now == 0;
    }
    a->sent = sum_of(sent);
    a->n_fired = width * LANES + (int32_t)sum_of(silent);
    return note_sent(a);
}

#endif
