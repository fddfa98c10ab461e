/* What weights were before the open sample.
 *
 * Rows are copied before they change within a sample. To undo it is to copy them back.
 */
#ifndef SPIKEBP_BEFORE_H
#define SPIKEBP_BEFORE_H

#include "network.h"

/* Keep a row of weights that is about to change in an open sample. */
static void keep_row(struct layer *a, int row)
{
    const struct weights_before *before = &a->before;
    const int n = *before->rows.n;
    const int64_t length = before->length;
    if (place_in(before->rows, row) == n)
        memcpy(before->numbers + n * length, (const num *)a->w + row * length,
            (size_t)length * sizeof(num));
}

/* Keep the weights of a list through which a unit above receives: none of them is another
 * unit's. */
static void keep_fan(struct layer *a, int unit)
{
    const struct fan *down = &a->wiring->down;
    const int32_t *restrict weight = down->begin + down->first[unit];
    const struct list rows = a->before.rows;
    const int n = *rows.n, n_weights = down->last[unit] - down->first[unit];
    if (n_weights == 0 || rows.place[weight[0]] > 0)
        return;
    const num *w = (const num *)a->w;
    num *restrict numbers = a->before.numbers + n;
    memcpy(rows.index + n, weight, (size_t)n_weights * sizeof *weight);
    for (int m = 0; m < n_weights; m++)
        numbers[m] = w[weight[m]];
    rows.place[weight[0]] = n + 1; /* which stands for all of them */
    *rows.n = n + n_weights;
}

/* Whether B_l is the transpose of a dense W_l, in memory of its own. */
static int has_transpose(const struct network *net, const struct layer *a)
{
    return a->n_b > 0 && !a->wiring && !net->is.has_random_feedback;
}

/* Copy the weights before the open sample back to where they were. */
static void restore_weights(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        const struct weights_before *before = &a->before;
        for (int r = 0; before->rows.n && r < *before->rows.n; r++) {
            const int row = before->rows.index[r];
            const num *numbers = before->numbers + r * before->length;
            memcpy((num *)a->w + row * before->length, numbers,
                (size_t)before->length * sizeof(num));
            for (int j = 0; has_transpose(net, a) && j < a->n; j++)
                ((num *)(a->b + (int64_t)j * a[-1].width))[row] = numbers[j];
            a->last.is_known = 0;
        }
    }
}

/* Forget the weights before the open sample. */
static void forget_weights(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        if (net->layer[l].before.rows.n)
            empty(net->layer[l].before.rows);
}

#endif
