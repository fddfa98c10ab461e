/* The drive of a layer costs what has changed since the step before.
 *
 * A dense connection keeps the numbers k that it was sent last, and their drive k W, from one step
 * to the next, be it of the same sample or not. If some of the numbers have changed, to k + d, then
 *
 *     (k + d) W = k W + d W,
 *
 * and only the rows of those units are read; or those of all that send, where these are fewer.
 *
 * In samples of one step the update waits for the next one: with P the sum of rate times errors of
 * all samples whose updates wait,
 *
 *     W of now = W as written - outer(k, P),
 *
 * so (k . c) rate e is subtracted from the drive when a sample closes. When numbers change, the
 * rows of their units are written, since they are read anyway, and all other rows go on waiting:
 *
 *     W - outer(k, P) = (W + outer(d, P)) - outer(k + d, P).
 *
 * B_l does not wait: its rows of the units with errors are written when the sample closes. Where it
 * takes fewer rows, W is written and the drive is summed anew. Where many rows change from sample
 * to sample, W is written when each sample closes.
 *
 * All this is computed modulo 2^32 or 2^64; bounds prove afterwards that the drive is in range. So
 * what a connection keeps stays consistent in a step that is refused, too.
 */
#ifndef SPIKEBP_DRIVE_H
#define SPIKEBP_DRIVE_H

#include "writing.h"

/* A change of the drive of a layer: the rows in `listed`, each times a number in `factor`. */
struct change {
    const struct network *net;
    const struct layer *a;
    int n_rows;
    int are_ones; /* whether all numbers are 1 */
    num met;      /* d . k */
};

INLINE void add_rows_part(const int n, int v, void *work)
{
    const struct change *change = work;
    const int64_t width = change->a->width;
    const int32_t *restrict rows = change->net->listed;
    const num *restrict factor = change->net->factor;
    const vec *w = change->a->w + v;
    vec drive[16], *kept = change->a->last.drive + v;
    const int n_rows = change->n_rows, are_ones = change->are_ones;
    EACH(i, n) drive[i] = kept[i];
    for (int r = 0; are_ones && r < n_rows; r++) {
        const vec *row = w + rows[r] * width;
        EACH(i, n) drive[i] += row[i];
    }
    for (int r = 0; !are_ones && r < n_rows; r++) {
        const vec *row = w + rows[r] * width;
        const num by = factor[r];
        EACH(i, n) drive[i] += by * row[i];
    }
    EACH(i, n) kept[i] = drive[i];
}

/* The same, where the rows have waited. */
INLINE void add_waiting_rows_part(const int n, int v, void *work)
{
    const struct change *change = work;
    const struct network *net = change->net;
    const struct layer *a = change->a;
    vec drive[16], waiting[16], *kept = a->last.drive + v;
    EACH(i, n) waiting[i] = a->last.waiting[v + i];
    EACH(i, n) drive[i] = kept[i] - change->met * waiting[i];
    for (int r = 0; r < change->n_rows; r++) {
        vec *row = a->w + (int64_t)net->listed[r] * a->width + v;
        const num by = net->factor[r];
        EACH(i, n) {
            const vec before = row[i];
            drive[i] += by * before;
            row[i] = before + by * waiting[i];
        }
    }
    EACH(i, n) kept[i] = drive[i];
}

/* The vectors of what a layer sends now, and those of what it sent last behind them; with
 * `is_change` those of now are all that differ. */
static struct list may_differ(const struct network *net, const struct layer *a)
{
    const struct list now = sent_by(net, a - 1), then = a->last.some;
    if (a - 1 > net->layer || net->x.is_change)
        return now;
    const struct list some = net->differing;
    memcpy(some.index, now.index, (size_t)*now.n * sizeof *now.index);
    int n = *now.n;
    for (int i = 0, n_then = *then.n; i < n_then; i++) {
        some.index[n] = then.index[i];
        n += now.place[then.index[i]] == 0;
    }
    *some.n = n;
    return some;
}

/* Count the numbers that differ; if vectors that only one of both has are too many, these. */
static int64_t count_changes(const struct network *net, const struct layer *a, struct list some)
{
    const vec *k = a[-1].k, *sent = a->last.numbers;
    const int32_t *restrict index = some.index;
    const int n = *some.n, apart = 2 * n - *sent_by(net, a - 1).n - *a->last.some.n;
    vec differs = {0};
    if (apart > 2 * a[-1].n_fired)
        return apart;
    for (int i = 0; i < n; i++)
        differs += k[index[i]] != sent[index[i]];
    return -sum_of(differs);
}

/* Note the vectors of what is sent now. Where samples follow each other by what changes, these are
 * more and more. */
static void note_vectors(const struct network *net, struct last_step *last)
{
    const struct list now = net->x.is_change ? net->layer[0].active : sent_by(net, net->layer);
    const int from = net->x.is_change ? *last->some.n : 0;
    memcpy(last->some.index + from, now.index + from, (size_t)(*now.n - from) * sizeof *now.index);
    *last->some.n = *now.n;
}

/* Bring the drive that a connection keeps from what it was sent last to what it is sent now. */
static void follow(struct network *net, struct layer *a)
{
    const struct layer *below = a - 1;
    struct last_step *last = &a->last;
    struct list some = may_differ(net, a);
    last->n_changed = count_changes(net, a, some);
    const int is_near = 2 * last->n_changed <= (last->waits ? 3 : 2) * below->n_fired;
    const int follows = last->is_known && is_near, waits = follows && last->waits;
    const vec *k = below->k;
    vec *sent = last->numbers, met = {0}, others = {0};
    if (net->step == 0)
        last->repays = is_near;
    if (!follows) {
        write_waiting(net, a);
        clear(last->drive, a->width);
        for (int i = 0; i < *last->some.n; i++)
            sent[last->some.index[i]] = splat(0);
        last->is_known = 1;
    }
    if (below == net->layer)
        note_vectors(net, last);
    if (!follows)
        some = last->some;
    int32_t *restrict listed = net->listed;
    const int32_t *restrict index = some.index;
    int n_rows = 0;
    for (int i = 0, n = *some.n; i < n; i++) {
        const int v = index[i];
        const vec now = k[v], before = sent[v], by = now - before;
        const int found = list_nonzero(by, v * LANES, listed + n_rows);
        write_nonzero(by, found, net->factor + n_rows);
        n_rows += found;
        others |= (by != 0) & (by != 1);
        if (waits)
            met += by * before;
        sent[v] = now;
    }
    struct change change = {net, a, n_rows, !is_any(others), sum_of(met)};
    const int64_t products = (int64_t)n_rows * a->n;
    for (int r = 0; waits && below == net->layer && r < n_rows; r++)
        place_in(net->changed, listed[r]);
    if (waits)
        in_parts(a->width, PAIRS_IN_REGISTERS, add_waiting_rows_part, &change);
    else
        in_parts(a->width, IN_REGISTERS, add_rows_part, &change);
    count_work(net, n_rows, waits ? 2 * products : products);
}

/* Let the update of a sample of one step wait, unless rows change so often that to write them now
 * costs less, or counts are cut off: rows wait for their numbers as they were sent. */
static void wait_for_next(struct network *net, struct layer *a)
{
    enum { FINE = 256 }; /* so that moving averages of integers come near to what they follow */
    struct pending *p = &a->pending;
    struct last_step *last = &a->last;
    int n_touched = 0, touched = -1;
    for (int i = 0; i < p->first[1]; i++)
        n_touched += p->unit[i] / LANES != touched, touched = p->unit[i] / LANES;
    last->rows_changed += (last->n_changed * a->width * FINE - last->rows_changed) / 16;
    last->rows_written += (p->n_factors * n_touched * FINE - last->rows_written) / 16;
    const int is_due = p->cuts || last->rows_changed >= last->rows_written;
    if (p->cuts)
        write_waiting(net, a);
    if (is_due && !last->waits) {
        write_layer(net, a, 0);
        return;
    }
    correct_drive(last->drive, last->numbers, last->some, a);
    for (int i = 0; i < p->first[1]; i++)
        ((num *)last->waiting)[p->unit[i]] += p->rate[0] * p->error[i];
    if (has_transpose(net, a))
        write_transpose(net, a);
    p->n = 0, last->waits = 1;
    if (is_due)
        write_waiting(net, a);
}

/* Units that send, listed with what they send. */
static struct senders senders_of(struct network *net, const struct layer *a)
{
    const struct list some = sent_by(net, a);
    struct senders from = {net->listed, (const num *)a->k, 0};
    for (int i = 0; i < *some.n; i++) {
        const int v = some.index[i];
        from.n += list_nonzero(a->k[v], v * LANES, net->listed + from.n);
    }
    return from;
}

/* The most that what layer l - 1 sends brings to a unit of layer l. */
static double most_received_drive(const struct network *net, int l)
{
    return (double)net->layer[l - 1].sent * net->layer[l].weight_bound;
}

/* Add to drive what layer l receives from the one below. */
static void receive_drive(struct network *net, int l, vec *drive)
{
    struct layer *a = &net->layer[l], *below = a - 1;
    if (a->wiring) {
        const struct senders from = senders_of(net, below);
        const int64_t synapses = (int64_t)synapses_of(&a->wiring->up, from);
        add_by_unit(&a->wiring->up, (const num *)a->w, from, (num *)drive);
        a->sample.up += operations_of(&a->wiring->up, from);
        a->sample.messages_up += synapses;
        count_work(net, from.n, synapses);
        return;
    }
    follow(net, a);
    add(drive, a->last.drive, a->width);
    correct_drive(drive, below->k, sent_by(net, below), a);
}

#endif
