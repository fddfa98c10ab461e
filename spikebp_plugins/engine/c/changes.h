/* Samples of one step: their cost is that of the changes since the sample before.
 *
 * A dense connection keeps the counts c that it received last, and s = c W, from one such sample to
 * the next. If some of the counts have changed, to c + d, then
 *
 *     (c + d) W = s + d W,
 *
 * and only the rows of those units are read. The update of the sample waits: with P the sum of rate
 * times errors of all samples whose updates wait,
 *
 *     W of now = W - outer(c, P),
 *
 * so (c . c) rate e is subtracted from s when a sample closes. When counts change, the rows of their
 * units are written, since they are read anyway, and all other rows go on waiting:
 *
 *     W - outer(c, P) = (W + outer(d, P)) - outer(c + d, P).
 *
 * B_l does not wait: its rows of the units with errors are written when the sample closes. Where it
 * takes fewer rows, W is written and s is summed anew. Where many rows change from sample to sample,
 * W is written when each sample closes.
 *
 * All this is computed modulo 2^32 or 2^64; bounds prove afterwards that s is in range. So c, s and P
 * of a connection stay consistent in a sample that is refused, too.
 */
#ifndef SPIKEBP_CHANGES_H
#define SPIKEBP_CHANGES_H

#include "learning.h"

/* A change of the drive of a layer: the rows in `listed`, each times a number in `factor`. */
struct change {
    struct network *net;
    struct layer *a;
    int n_rows;
    num met; /* d . c */
};

INLINE void receive_rows_part(const int n, int v, void *work)
{
    const struct change *change = work;
    const struct network *net = change->net;
    const struct layer *a = change->a;
    vec s[16];
    EACH(i, n) s[i] = a->s[v + i];
    for (int r = 0; r < change->n_rows; r++) {
        const vec *row = a->w + (int64_t)net->listed[r] * a->width + v;
        const num by = net->factor[r];
        EACH(i, n) s[i] += by * row[i];
    }
    EACH(i, n) a->s[v + i] = s[i];
}

/* The same, where the rows have waited. */
INLINE void receive_waiting_rows_part(const int n, int v, void *work)
{
    const struct change *change = work;
    const struct network *net = change->net;
    const struct layer *a = change->a;
    vec s[16], waiting[16];
    EACH(i, n) waiting[i] = a->pending.waiting[v + i];
    EACH(i, n) s[i] = a->s[v + i] - change->met * waiting[i];
    for (int r = 0; r < change->n_rows; r++) {
        vec *row = a->w + (int64_t)net->listed[r] * a->width + v;
        const num by = net->factor[r];
        EACH(i, n) {
            const vec before = row[i];
            s[i] += by * before;
            row[i] = before + by * waiting[i];
        }
    }
    EACH(i, n) a->s[v + i] = s[i];
}

static void receive_change(struct change *change)
{
    const struct layer *a = change->a;
    const int64_t products = (int64_t)change->n_rows * a->n;
    const int is_writing = a->pending.waits;
    if (is_writing)
        in_parts(a->width, PAIRS_IN_REGISTERS, receive_waiting_rows_part, change);
    else
        in_parts(a->width, IN_REGISTERS, receive_rows_part, change);
    count_work(change->net, change->n_rows, is_writing ? 2 * products : products);
}

/* Whether a layer adds the changes of counts to its drive. If not, s is to be summed anew, for which
 * all waiting rows are written before those of active units are read. */
static int follows_changes(struct network *net, struct layer *a, int64_t n_changed, int64_t n_active)
{
    struct pending *p = &a->pending;
    p->n_changed = n_changed;
    if (p->is_kept && 2 * n_changed <= (p->waits ? 3 : 2) * n_active)
        return 1;
    write_waiting(net, a);
    clear(a->s, a->width);
    p->is_kept = 1;
    return 0;
}

/* Update the drive of a layer by the changes in the spikes of the layer below. */
static void follow_spikes(struct network *net, struct layer *a)
{
    const struct layer *below = a - 1;
    struct change change = {.net = net, .a = a};
    vec *kept = a->pending.factor, differs = {0}, met = {0};
    net->levels.are_kept &= below > net->layer;
    for (int v = 0; v < below->width; v++)
        differs += below->k[v] != kept[v];
    const int follows = follows_changes(net, a, -sum_of(differs), below->n_fired[0]);
    for (int v = 0; v < below->width; v++) {
        const vec now = below->k[v], by = now - (follows ? kept[v] : splat(0));
        const int n = list_nonzero(by, v * LANES, net->listed + change.n_rows);
        if (n > 0)
            write_nonzero(by, n, net->factor + change.n_rows);
        change.n_rows += n;
        met += by * kept[v];
        kept[v] = now;
    }
    change.met = sum_of(met);
    receive_change(&change);
}

/* ---- Input of 8 bits ---- */

typedef uint8_t byte_vec __attribute__((vector_size(BYTES), aligned(1), may_alias));

/* By its address: GCC 14 for ARM64 fails where a vector of such an alignment is passed itself. */
INLINE int sum_of_bytes(const byte_vec *x)
{
    int total = 0;
    for (int i = 0; i < BYTES; i++)
        total += (*x)[i];
    return total;
}

/* Count the bytes that are not those kept, and those that are not zero. */
static void count_bytes(const uint8_t *x, const uint8_t *kept, int n, int *n_changed, int *n_active)
{
    enum { MOST_VECTORS = 255 }; /* that a byte counts */
    *n_changed = *n_active = 0;
    int i = 0;
    while (i + BYTES <= n) {
        byte_vec changed = {0}, active = {0};
        for (int v = 0; v < MOST_VECTORS && i + BYTES <= n; v++, i += BYTES) {
            const byte_vec now = *(const byte_vec *)(x + i), before = *(const byte_vec *)(kept + i);
            changed -= (byte_vec)(now != before), active -= (byte_vec)(now != 0);
        }
        *n_changed += sum_of_bytes(&changed), *n_active += sum_of_bytes(&active);
    }
    for (; i < n; i++)
        *n_changed += x[i] != kept[i], *n_active += x[i] != 0;
}

/* List the bytes that are not those kept; return how many. */
static int list_changed_bytes(const uint8_t *x, const uint8_t *kept, int n, int32_t *to)
{
    int found = 0, i = 0;
    for (; i + LANES <= n; i += LANES)
        found += list_nonzero(vec_of_bytes(x + i) ^ vec_of_bytes(kept + i), i, to + found);
    for (; i < n; i++) {
        to[found] = i;
        found += x[i] != kept[i];
    }
    return found;
}

/* Find once how many spikes each level sends; 0 if that may be out of range. */
static int know_spikes_of_levels(struct network *net)
{
    struct levels *levels = &net->levels;
    const double half = (double)net->half, one = (double)net->one;
    double top = 0;
    if (levels->are_known)
        return levels->are_known == 1;
    for (int i = 0; i < 256; i++) {
        const num x = encoded(i * net->is.input_scale, one, farthest());
        const num k = signed_spikes(x, net->half, net->is.bits);
        levels->spikes[i] = net->is.is_binary && k > 1 ? 1 : k;
        top = fmax(top, (double)x);
    }
    const int is_proven = top + 2 * half < PROVEN
        && (top / one + 1) * net->layer[0].n < MOST_COUNTED;
    levels->are_known = is_proven ? 1 : 2;
    return is_proven;
}

/* The spikes of 8-bit input, and the change that they make. */
struct sent_by_levels {
    struct change change;
    num sent;
    int n_fired;
};

/* List the units whose counts change, and by how much. */
static void list_changed_levels(struct sent_by_levels *by, const uint8_t *x)
{
    struct network *net = by->change.net;
    struct levels *levels = &net->levels;
    num *kept = (num *)net->layer[1].pending.factor, met = 0, sent = 0;
    int n_fired = 0;
    const int n = list_changed_bytes(x, levels->kept, net->layer[0].n, net->listed);
    for (int r = 0; r < n; r++) {
        const int unit = net->listed[r];
        const num k = levels->spikes[x[unit]], before = kept[unit];
        levels->kept[unit] = x[unit], kept[unit] = k;
        net->factor[r] = k - before;
        met += (k - before) * before;
        n_fired += (k != 0) - (before != 0);
        sent += k - before; /* levels are not negative */
    }
    by->change.n_rows = n, by->change.met = met;
    by->n_fired += n_fired, by->sent += sent;
}

/* List the units that send any, and how many. */
static void list_active_levels(struct sent_by_levels *by, const uint8_t *x)
{
    struct network *net = by->change.net;
    const struct layer *input = &net->layer[0];
    num *kept = (num *)net->layer[1].pending.factor, sent = 0;
    int n_fired = 0;
    const int n = list_bytes(x, input->n, net->listed);
    clear(net->layer[1].pending.factor, input->width);
    for (int r = 0; r < n; r++) {
        const int unit = net->listed[r];
        const num k = net->levels.spikes[x[unit]];
        net->factor[r] = kept[unit] = k;
        n_fired += k != 0;
        sent += k;
    }
    memcpy(net->levels.kept, x, (size_t)input->n);
    by->change.n_rows = n, by->n_fired = n_fired, by->sent = sent;
}

/* Update the drive of layer 1 by the changes in 8-bit input. */
static void follow_bytes(struct network *net, const uint8_t *x)
{
    struct layer *a = &net->layer[1], *input = &net->layer[0];
    struct levels *levels = &net->levels;
    int n_changed, n_active;
    if (!levels->are_kept) {
        write_waiting(net, a);
        a->pending.is_kept = 0;
        levels->are_kept = 1;
    }
    count_bytes(x, levels->kept, input->n, &n_changed, &n_active);
    struct sent_by_levels by = {{.net = net, .a = a}, (num)input->sent[0], input->n_fired[0]};
    if (follows_changes(net, a, n_changed, n_active))
        list_changed_levels(&by, x);
    else
        list_active_levels(&by, x);
    receive_change(&by.change);
    input->sample.spikes = input->sent[0] = by.sent;
    input->sample.messages = input->n_fired[0] = by.n_fired;
}

#endif
