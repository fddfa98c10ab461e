/* Weights are written.
 *
 * With c_p the counts of update p and e_p its errors, times its rate, a dense W_l changes row by
 * row,
 *
 *     row i of W_l -= sum over p of c_p,i e_p,
 *
 * and its transpose likewise, row j of B_l -= sum over p of e_p,j c_p. The counts of a unit are
 * mostly the same from one update to the next, so for W_l, by summation by parts,
 *
 *     sum over p of c_p e_p = sum over p of (c_p - c_{p-1}) (e_p + e_{p+1} + ..).
 *
 * What a connection keeps as the drive of what it was sent last is corrected when W_l is written.
 */
#ifndef SPIKEBP_WRITING_H
#define SPIKEBP_WRITING_H

#include "connections.h"
#include "rounding.h"

/* The product of numbers that a layer has sent, of some vectors, with the factors of update q. */
static num product_of(const vec *sent, struct list some, const struct layer *below,
    const struct pending *p, int q)
{
    const vec *factor = p->factor + p->at[q];
    const int n_factors = (int)(p->at[q + 1] - p->at[q]), n = *some.n;
    const int32_t *restrict index = some.index, *restrict place = below->active.place;
    vec product = {0};
    if (!below->is_signed) { /* all, in their order */
        for (int v = 0; v < n; v++)
            product += sent[v] * factor[v];
        return sum_of(product);
    }
    for (int i = 0; i < n; i++) {
        const int v = index[i], at = place[v] - 1;
        if (at >= 0 && at < n_factors)
            product += sent[v] * factor[at];
    }
    return sum_of(product);
}

/* Correct the drive of what a connection was sent by the updates that wait. */
static void correct_drive(vec *drive, const vec *sent, struct list some, const struct layer *a)
{
    const struct pending *p = &a->pending;
    for (int q = 0; q < p->n; q++) {
        const num change = p->rate[q] * product_of(sent, some, a - 1, p, q);
        if (change != 0)
            for (int i = p->first[q]; i < p->first[q + 1]; i++)
                ((num *)drive)[p->unit[i]] -= change * p->error[i];
    }
}

/* Rows of weights, of which each loses for each update a number times a row of `matrix`. */
struct row_writes {
    vec *weights;
    int64_t width;
    const int32_t *row;
    const num *times; /* by row and update */
    const int32_t *touched; /* the vectors of a row that change */
    const vec *matrix;
    int n_rows, n_touched, n_updates;
};

INLINE void write_rows_part(const int n, int first, void *work)
{
    const struct row_writes *writing = work;
    const int n_updates = writing->n_updates, n_rows = writing->n_rows;
    const num *restrict times = writing->times;
    const int32_t *restrict rows = writing->row;
    const int64_t width = writing->width;
    const vec *only = writing->matrix + first;
    vec *weights = writing->weights;
    int64_t at[16];
    EACH(i, n) at[i] = writing->touched[first + i];
    for (int r = 0; n_updates == 1 && r < n_rows; r++) {
        vec *row = weights + rows[r] * width;
        const num by = times[r];
        EACH(i, n) row[at[i]] -= by * only[i];
    }
    for (int r = 0; n_updates > 1 && r < n_rows; r++, times += n_updates) {
        vec change[16], *row = weights + rows[r] * width;
        const vec *matrix = only;
        EACH(i, n) change[i] = times[0] * matrix[i];
        for (int q = 1; q < n_updates; q++) {
            matrix += writing->n_touched;
            if (times[q] != 0)
                EACH(i, n) change[i] += times[q] * matrix[i];
        }
        EACH(i, n) row[at[i]] -= change[i];
    }
}

/* List the vectors of a row of W_l that change, and write rate times errors to `matrix`, a row for
 * each update; return how many vectors. */
static int find_touched(struct network *net, const struct layer *a)
{
    const struct pending *p = &a->pending;
    int n = 0;
    for (int i = 0; i < p->first[p->n]; i++) {
        const int v = p->unit[i] / LANES;
        if (net->mark[v] == 0) {
            net->touched[n] = v;
            net->mark[v] = ++n;
        }
    }
    clear(net->matrix, p->n * n);
    for (int q = 0; q < p->n; q++)
        for (int i = p->first[q]; i < p->first[q + 1]; i++) {
            const int at = net->mark[p->unit[i] / LANES] - 1;
            ((num *)(net->matrix + q * n + at))[p->unit[i] % LANES] = p->rate[q] * p->error[i];
        }
    for (int i = 0; i < n; i++)
        net->mark[net->touched[i]] = 0;
    return n;
}

/* Factors of some vectors of units below, a row for each update, at least as long as the one
 * before. */
struct factor_rows {
    const int32_t *vector;
    const vec *factor;
    const int64_t *at; /* where each begins, and the end */
    int n;
};

/* List the units below that have a factor in any row, and by how much it differs from the one of
 * the update before; return how many. */
static int list_senders(struct network *net, struct factor_rows rows, int may_come_back)
{
    const int64_t last = rows.at[rows.n - 1];
    const int length = (int)(rows.at[rows.n] - last);
    int n = 0;
    for (int i = 0; i < length; i++) {
        vec some = rows.factor[last + i];
        for (int q = 0; may_come_back && q < rows.n - 1; q++) /* to 0 */
            if (i < rows.at[q + 1] - rows.at[q])
                some |= rows.factor[rows.at[q] + i];
        const int found = list_nonzero(some, rows.vector[i] * LANES, net->listed + n);
        if (rows.n == 1)
            write_nonzero(some, found, net->times + n);
        else
            list_nonzero(some, i * LANES, net->listed_at + n);
        n += found;
    }
    num *times = net->times;
    for (int r = 0; rows.n > 1 && r < n; r++) {
        num before = 0;
        for (int q = 0; q < rows.n; q++) {
            const int64_t at = rows.at[q] * LANES + net->listed_at[r];
            const num now = at < rows.at[q + 1] * LANES ? ((const num *)rows.factor)[at] : 0;
            *times++ = now - before, before = now;
        }
    }
    return n;
}

/* Write W_l by rows, with rate times errors in `matrix`. */
static void write_rows(struct network *net, struct layer *a, struct factor_rows rows, int n_touched,
    int is_open)
{
    const int n_rows = list_senders(net, rows, a[-1].is_signed);
    for (int r = 0; a - 1 == net->layer && r < n_rows; r++)
        place_in(net->changed, net->listed[r]);
    for (int r = 0; is_open && r < n_rows; r++)
        keep_row(a, net->listed[r]);
    for (int i = (rows.n - 1) * n_touched - 1; i >= 0; i--)
        net->matrix[i] += net->matrix[i + n_touched];
    struct row_writes writing = {a->w, a->width, net->listed, net->times, net->touched, net->matrix,
        n_rows, n_touched, rows.n};
    count_work(net, 0, (int64_t)n_rows * n_touched * LANES);
    in_parts(n_touched, IN_REGISTERS, write_rows_part, &writing);
}

/* Write the rows of B_l of units that have errors. */
static void write_transpose(struct network *net, struct layer *a)
{
    const struct pending *p = &a->pending;
    const struct layer *below = a - 1;
    int n_rows = 0;
    for (int q = 0; q < p->n; q++)
        for (int i = p->first[q]; i < p->first[q + 1]; i++) {
            const int j = p->unit[i];
            if (net->mark[j] == 0) {
                memset(net->times + n_rows * p->n, 0, sizeof(num) * (size_t)p->n);
                net->listed[n_rows] = j;
                net->mark[j] = ++n_rows;
            }
            net->times[(net->mark[j] - 1) * p->n + q] = p->rate[q] * p->error[i];
        }
    for (int r = 0; r < n_rows; r++)
        net->mark[net->listed[r]] = 0;
    struct row_writes writing = {a->b, below->width, net->listed, net->times, below->active.index,
        p->factor, n_rows, below->width, p->n};
    count_work(net, 0, (int64_t)n_rows * below->n);
    in_parts(below->width, IN_REGISTERS, write_rows_part, &writing);
}

/* Write the updates of a layer that wait, in an open sample or at its close. */
static void write_layer(struct network *net, struct layer *a, int is_open)
{
    struct pending *p = &a->pending;
    if (p->n == 0)
        return;
    if (a->wiring || net->is.is_chip) {
        for (int q = 0; q < p->n; q++)
            if (net->is.is_chip)
                write_rounded(net, a, q);
            else
                net->sample_updates += write_connected(net, a, q, is_open);
        a->last.is_known = 0;
    } else {
        a->last.is_known &= a->last.repays || is_open;
        if (a->last.is_known)
            correct_drive(a->last.drive, a->last.numbers, a->last.some, a);
        const struct factor_rows rows = {a[-1].active.index, p->factor, p->at, p->n};
        write_rows(net, a, rows, find_touched(net, a), is_open);
        if (has_transpose(net, a))
            write_transpose(net, a);
    }
    p->n = 0;
}

static void write_updates(struct network *net, int is_open)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        write_layer(net, &net->layer[l], is_open);
}

/* Write what waits from one sample of one step to the next: see drive.h. */
static void write_waiting(struct network *net, struct layer *a)
{
    struct last_step *last = &a->last;
    const int64_t ends[] = {0, *last->some.n};
    int32_t found[LANES];
    int n_touched = 0;
    if (!last->waits)
        return;
    for (int v = 0; v < a->width; v++)
        if (list_nonzero(last->waiting[v], 0, found) > 0) {
            net->matrix[n_touched] = last->waiting[v];
            net->touched[n_touched++] = v;
            last->waiting[v] = splat(0);
        }
    for (int i = 0; i < ends[1]; i++)
        net->gathered[i] = last->numbers[last->some.index[i]];
    const struct factor_rows rows = {last->some.index, net->gathered, ends, 1};
    write_rows(net, a, rows, n_touched, 0);
    last->waits = 0;
}

static void write_all_waiting(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        write_waiting(net, &net->layer[l]);
}

#endif
