/* The border: a row of input becomes a list of its vectors that are not zero.
 *
 * It comes as 8-bit levels, real numbers or counts, of all units or of some that are listed. What
 * is behind this border costs what a row has, and not how long it is.
 */
#ifndef SPIKEBP_ROWS_H
#define SPIKEBP_ROWS_H

#include "network.h"

static double farthest(void) { return sizeof(num) == 4 ? 0x1p31 - 1 : 0x1p60; }

/* A real value in units of 2^-f, limited to a magnitude that every bound refuses. */
INLINE num encoded(double value, double one, double far)
{
    double units = rint(value * one);
    return (num)(units < far ? (units > -far ? units : -far) : far);
}

/* Number i of a row, in units of 2^-f, or a count. */
INLINE num number_of(struct network *net, int kind, const void *row, int64_t i)
{
    const double one = (double)net->one, far = farthest(), scale = net->is.input_scale;
    if (net->is.takes_counts) {
        const int64_t count = ((const int64_t *)row)[i];
        net->x.is_beyond |= fabs((double)count) > far;
        return (num)count;
    }
    switch (kind) {
    case LEVELS: return net->x.of_level[((const uint8_t *)row)[i]];
    case COUNTS: return encoded((double)((const int64_t *)row)[i] * scale, one, far);
    default: return encoded(((const double *)row)[i] * scale, one, far);
    }
}

/* Write a vector of real numbers as `encoded` does. Adding 2^52 rounds a magnitude below it, ties
 * to even; what is not below it is refused. */
INLINE vec encoded_vector(const struct network *net, const double *x)
{
    const double one = (double)net->one, scale = net->is.input_scale, far = farthest();
    vec to;
    for (int i = 0; i < LANES; i += FEW) {
        const few_longs units = (few_longs)(*(const few_doubles *)(x + i) * scale * one);
        const few_longs sign = units & INT64_MIN;
        const few_doubles size = ((few_doubles)(units ^ sign) + 0x1p52) - 0x1p52;
        const few_longs is_near = size < far, most = (few_longs)((few_doubles){0} + far);
        *(few_nums *)((num *)&to + i) = __builtin_convertvector(
            (few_doubles)((is_near & (few_longs)size) | (~is_near & most) | sign), few_nums);
    }
    return to;
}

/* Write a vector of counts, and note their magnitudes in `some`. */
INLINE vec counts_of(const int64_t *x, few_longs *some)
{
    vec to;
    for (int i = 0; i < LANES; i += FEW) {
        const few_longs counts = *(const few_longs *)(x + i), sign = counts >> 63;
        *some |= (counts ^ sign) - sign;
        *(few_nums *)((num *)&to + i) = __builtin_convertvector(counts, few_nums);
    }
    return to;
}

/* Append a vector to a row if it is listed there; return how many are. */
INLINE int append(const struct row *x, int n, int index, vec numbers)
{
    x->some.index[n] = index;
    x->numbers[n] = numbers;
    if (!x->is_change && !is_any(numbers))
        return n;
    return x->some.place[index] = n + 1;
}

/* Read bytes: list the vectors that are not those kept, or if none are, that are not zero. */
static int read_bytes(struct network *net, const uint8_t *row, int n_units)
{
    static const uint8_t dark[LANES];
    const struct row *x = &net->x;
    int n = 0;
    if (net->has_one_step && !x->are_kept)
        memset(x->bytes, 0, (size_t)n_units);
    for (int i = 0; i < n_units; i += LANES) {
        uint8_t *kept = x->bytes + i;
        if (memcmp(row + i, net->has_one_step ? kept : dark, LANES) == 0)
            continue;
        if (net->has_one_step)
            memcpy(kept, row + i, LANES);
        x->some.index[n] = i / LANES;
        num *numbers = (num *)(x->numbers + n);
        x->some.place[i / LANES] = ++n;
        EACH(lane, LANES) numbers[lane] = x->of_level[row[i + lane]];
    }
    return n;
}

/* Read a row of all units. */
static void read_all(struct network *net, int kind, const void *row)
{
    struct row *x = &net->x;
    const int n_units = net->layer[0].n, whole = n_units / LANES * LANES;
    few_longs sizes = {0};
    int n = 0;
    if (net->is.takes_counts)
        for (int i = 0; i < whole; i += LANES)
            n = append(x, n, i / LANES, counts_of((const int64_t *)row + i, &sizes));
    else if (kind == LEVELS)
        n = read_bytes(net, row, whole);
    else
        for (int i = 0; i < whole; i += LANES)
            n = append(x, n, i / LANES, encoded_vector(net, (const double *)row + i));
    for (int lane = 0; lane < FEW; lane++)
        x->is_beyond |= (double)(uint64_t)sizes[lane] > farthest();
    if (whole < n_units) {
        vec numbers = {0};
        for (int i = whole; i < n_units; i++)
            numbers[i - whole] = number_of(net, kind, row, i);
        n = append(x, n, whole / LANES, numbers);
    }
    *x->some.n = n;
}

/* The number of a unit in a row that is made. */
INLINE num *number_in(const struct row *x, int64_t unit)
{
    const int index = (int)(unit / LANES), n = *x->some.n, at = place_in(x->some, index);
    if (at == n)
        x->numbers[at] = splat(0);
    return (num *)(x->numbers + at) + unit % LANES;
}

/* Whether potentials of the input wait, so that units may fire without being given any. */
static int may_wait(const struct network *net)
{
    return (net->is.is_binary || net->is.is_chip) && !net->is.takes_counts && !net->has_one_step;
}

/* The vectors of a layer that may have sent something in this step; with `is_change`, those of the
 * input that may have changed. */
static struct list sent_by(const struct network *net, const struct layer *a)
{
    return a == net->layer && !may_wait(net) ? net->x.some : a->active;
}

/* Begin to read a row: that of the step before is over. */
static void begin_row(struct network *net)
{
    struct layer *input = &net->layer[0];
    const struct list before = sent_by(net, input);
    for (int i = 0; i < *before.n && !net->x.is_change; i++)
        input->k[before.index[i]] = splat(0);
    empty(net->x.some);
    net->x.is_beyond = 0;
}

static void end_row(struct network *net)
{
    struct row *x = &net->x;
    x->largest = x->is_beyond ? INFINITY : largest(x->numbers, *x->some.n);
}

static int are_bytes(const struct rows *x) { return x->kind == LEVELS && x->unit == NULL; }

/* Return where the list of a sample has a unit, or the first of those behind it. */
static int64_t place_of(const struct rows *x, int64_t sample, int64_t unit)
{
    int64_t low = x->begin[sample], high = x->begin[sample + 1];
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (x->unit[middle] < unit)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void read_row(struct network *net, const struct block *block, int64_t sample, int step)
{
    const struct rows *x = &block->x;
    begin_row(net);
    if (x->unit == NULL)
        read_all(net, x->kind, row_of(x, sample, step));
    else {
        const int64_t first = step * x->step_apart;
        const int64_t last = place_of(x, sample, first + net->layer[0].n);
        for (int64_t i = place_of(x, sample, first); i < last; i++)
            *number_in(&net->x, x->unit[i] - first) = number_of(net, x->kind, x->at, i);
    }
    net->x.are_kept = net->has_one_step && are_bytes(x);
    end_row(net); /* what is not listed was proven when it came */
}

/* Note which units are given input. */
static void activate_row(const struct network *net)
{
    for (int i = 0; i < *net->x.some.n; i++)
        place_in(net->layer[0].active, net->x.some.index[i]);
}

#endif
