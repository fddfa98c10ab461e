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
    for (int r = 0; is_writing && a - 1 == change->net->layer && r < change->n_rows; r++)
        note_change(change->net, change->net->listed[r]);
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
    struct vector_list some = {below->active, *below->n_active};
    const vec *k = below->k;
    vec *kept = a->pending.kept, differs = {0}, met = {0};
    if (below == net->layer && net->x.is_change)
        some = (struct vector_list){net->x.index, *net->x.n};
    for (int i = 0; i < some.n; i++)
        differs += k[some.index[i]] != kept[some.index[i]];
    const int follows = follows_changes(net, a, -sum_of(differs), below->n_fired[0]);
    if (!follows)
        some = (struct vector_list){below->active, *below->n_active};
    for (int i = 0; i < some.n; i++) {
        const int v = some.index[i];
        const vec now = k[v], by = now - (follows ? kept[v] : splat(0));
        const int found = list_nonzero(by, v * LANES, net->listed + change.n_rows);
        if (found > 0)
            write_nonzero(by, found, net->factor + change.n_rows);
        change.n_rows += found;
        met += by * kept[v];
        kept[v] = now;
    }
    change.met = sum_of(met);
    receive_change(&change);
}

#endif
