/*@about@*/

#include "net.h"

#if NET_TAKES_FEATURES
#include <stddef.h>
#endif
#include <string.h>

/* What is computed, in short. All numbers are integers, and 1 << NET_FRACTION_BITS stands for 1.
 *
 * A unit adds up what arrives in its potential. Whenever the potential is above 1/2 it fires: it
 * sends a spike, and 1 is taken from the potential. A spike brings the weight of a synapse to the
 * unit at its other end. The output is compared with a target. Its errors are spikes too: they
 * travel back through the same synapses, and the weight of each synapse changes by
 *
 *     -rate * (spikes that its lower unit has sent in this sample) * (errors of its upper unit).
 *
 * Only units that send something cost time. Integers do not round, so every program that follows
 * these rules learns the same weights, in every bit.
 */

/*@types@*/

enum input { PIXELS, VALUES, SPIKES, LIST };

#if NET_TAKES_FEATURES
struct net_entry { /* which other programs are shown */
    int32_t unit;
    net_state_t number;
};
#endif

/* Input as a list: the entries, and how many they are. */
struct input_list {
    const struct net_entry *entries;
    int32_t n;
};

/*@sizes@*/

/* Units of all layers are in one array, those of layer l from FIRST_UNIT[l] on. Arrays without
 * layer 0 begin at layer 1, and there layer l begins at UPPER(l). */
static const int32_t FIRST_UNIT[LAYERS + 2] = { /*@first_units@*/ };
#define N_UNITS(l) (FIRST_UNIT[(l) + 1] - FIRST_UNIT[l])
#define UPPER(l) (FIRST_UNIT[l] - NET_INPUTS)

/* Where the sums that a layer is to receive begin. With pipelined timing they wait for the next step;
 * otherwise the layer receives them before anything else is sent. They may be kept for the next
 * sample. */
#define ARRIVING_AT(l) (PIPELINED || KEEPS_DRIVE ? UPPER(l) : 0)
#define ARRIVING_BACK_AT(l) (PIPELINED ? UPPER(l) : 0)

/* A connection: the synapses from one layer to the next. The units of an image are numbered by the
 * strides. A layer that is no image is one pixel, whose channels are its units; then a kernel of
 * one pixel joins all units to all. */
struct connection {
    int32_t below_height, below_width, below_channels;
    int32_t row_stride, column_stride, channel_stride; /* between units below */
    int32_t width, height, channels;                   /* of the layer above, channels together */
    int32_t kernel, stride, padding;
    int32_t first_weight;  /* of its weights [row][column][channel below][channel above] */
    int32_t first_back;    /* of the weights, in the same order, that its errors go through */
    int32_t is_dense;      /* whether all units are joined to all */
    int32_t learns;        /* 0 for a pool, whose synapses join equal channels and all weigh */
    net_state_t constant;  /* this */
    net_state_t uses;      /* the most synapses that share one weight */
    net_state_t rate;       /* in units of the last place; it is divided if squares are added, */
    uint64_t added_squares; /* to the squared counts below */
    net_state_t error_limit, error_limit_per_step; /* where errors are cut off: see limit_of */
};

static const struct connection CONNECTIONS[LAYERS] = {
    /*@connections@*/
};

#if NET_TAKES_FEATURES
/* What is known of a feature: kinds, scales, and counters, of which the rules are further below. */
struct feature {
    int64_t since;   /* how many samples there were after that in which it first was not zero, or -1 */
    int64_t centre;  /* of y, */
    int64_t squares; /* the sum of the squares of y, */
    int64_t changes; /* and that of the sizes of its differences */
    int32_t nonzero, is_dense;
    int32_t exponent;      /* 2 to this power is about the deviation */
    int32_t n, total;      /* readings that count, 0 if it is not known, and the sum of their y */
    int32_t n_changes;     /* differences, */
    int32_t n_large;       /* and those of them that are not small */
    int32_t far, small;    /* counters of what tells that it has become another one */
    int32_t met;           /* readings of an unknown one that have come again */
    int32_t last, second;  /* readings: the last, or the first and the second of an unknown one */
    int32_t last_exponent; /* the last reading is `last` times 2 to this power, which a length needs */
    int32_t repeated;
};

/* How far scaling is, and the rate. */
struct progress {
    int64_t unit; /* 2 to this power is what a reading of 1 stands for, for the estimator */
    int64_t n_scaled, n_waiting; /* samples so far, and those of a block that has not ended */
    int64_t sparse_bits; /* 2 to this power is y for a row of sparse features of usual length, or 0 */
    int64_t n_followed, n_since;               /* samples of the rate; those since it began anew */
    int64_t n_errors, total, squares;          /* errors that count, and their sums */
    int64_t least, margin;                     /* the least that was risked, and its deviation */
    int64_t begins_anew, has_come[NET_OUTPUTS]; /* whether each class has */
};

#endif
/*@learned@*/

/* The sample that is open. */
static net_state_t potential[UNITS];
static net_state_t summed_drive[UPPER_UNITS];
static net_count_t spike_count[LOWER_UNITS]; /* spikes so far, those of negative sign subtracted */
static net_state_t target_potential[NET_OUTPUTS];
static net_state_t target[TARGETS_KEPT][NET_OUTPUTS];
static net_state_t given_target[NET_OUTPUTS];
#if LEARNS_ONCE
static net_count_t summed_error[UPPER_UNITS];
#endif
static int32_t steps_shown; /* steps of input, of this sample or of the last one */
static int32_t steps_made;  /* and those after them, in which spikes are still on their way */
static uint8_t is_open, is_learning, is_outside, is_unreadable;

/* What units send in this step: a count for each, the list of those that send any, and sums. */
static net_count_t spikes[UNITS];
static net_count_t errors[UPPER_UNITS];
static unit_t given[NET_INPUTS]; /* the inputs that may send any */
static int32_t n_given;
static unit_t spiking[UNITS];
static unit_t erring[UPPER_UNITS];
static int32_t n_spiking[LAYERS + 1], n_erring[LAYERS + 1];
static net_state_t spikes_sent[LAYERS + 1], errors_sent[LAYERS + 1];
static net_state_t most_errors[LAYERS + 1]; /* the largest error of this step */

/* The units that have sent spikes in this sample, or are inputs that were given something: only these
 * have counts, and only the weights above these change. And the largest spike count among them. */
static unit_t met[LOWER_UNITS];
static uint8_t is_met[LOWER_UNITS];
static int32_t n_met[LAYERS];
static net_state_t most_spikes[LAYERS];

/* The sums that the units of each layer are to receive. */
static net_state_t arriving[ARRIVING];
static net_state_t arriving_back[ARRIVING_BACK];

/* The data to undo a sample: the backward potentials before it and, for each step in which weights
 * have changed, the counts and errors of the change. A copy of the weights would not fit. */
static net_state_t backward_potential_before[HIDDEN_UNITS];
#if !LEARNS_ONCE
static net_count_t logged_counts[STEPS_LOGGED][LOWER_UNITS];
static net_count_t logged_errors[STEPS_LOGGED][UPPER_UNITS];
#endif
static int32_t n_logged;

/* The changes of one row of weights; of each output pixel, where its errors begin in a list, and a
 * unit that its kernel lies on. */
static net_state_t row_change[MOST_CHANNELS];
static unit_t first_of_pixel[MOST_PIXELS + 1];
static int32_t unit_of_pixel[MOST_PIXELS];

#define RATE ((net_state_t)RATE_UNITS >> halvings)

/* A program that includes this file may count work, and look at each step. */
#ifndef NET_COUNT
#define NET_COUNT(what, n, times) ((void)0)
#endif
#ifndef NET_MAY_CLOSE
#define NET_MAY_CLOSE() 1
#endif
#ifndef NET_BEFORE_SAMPLE
#define NET_BEFORE_SAMPLE() ((void)0)
#endif
#ifndef NET_AFTER_STEP
#define NET_AFTER_STEP() ((void)0)
#endif

/* ---- Numbers -------------------------------------------------------------------------------- */

static net_state_t magnitude(net_state_t v)
{
    return v < 0 ? -v : v;
}

static int is_between(net_state_t v, net_state_t limit)
{
    return v <= limit && v >= -limit;
}

/* Note that a magnitude, or one of several that were joined by "or", is larger than its type
 * allows. Limits are one less than a power of two. The sample is undone then. */
static void check(net_state_t magnitudes, net_state_t limit)
{
    if (magnitudes > limit)
        is_outside = 1;
}

/* How often 1 can be taken from a potential, not negative, until it is no more than 1/2. */
static net_state_t crossings(net_state_t v)
{
    net_state_t n = (v + HALF - 1) >> NET_FRACTION_BITS;
    return n > 1 && BINARY_SPIKES ? 1 : n;
}

/* Take spikes of either sign from a potential, and return how many. */
static net_state_t fire(net_state_t *v)
{
    net_state_t n = *v < 0 ? -crossings(-*v) : crossings(*v);
    *v -= n * ONE;
    return n;
}

/* Note that a sum could leave its type: that of n spikes, each of which adds at most one weight. */
static void check_sum(net_state_t n)
{
    check(n, LARGEST_SUM / LARGEST_WEIGHT);
}

/* The low bits of a number that is too large for a weight. They are never used as a weight, but can be
 * undone: adding what was subtracted restores the weight. */
static net_weight_t wrapped(net_state_t v)
{
    weight_bits_t bits = (weight_bits_t)v;
    net_weight_t weight;
    memcpy(&weight, &bits, sizeof weight);
    return weight;
}

/* ---- Spikes forward ------------------------------------------------------------------------- */

/* Clear the spikes that a layer sent in the step before. */
static void send_nothing(int32_t l)
{
    int32_t i;
    for (i = 0; i < n_spiking[l]; i++)
        spikes[FIRST_UNIT[l] + spiking[FIRST_UNIT[l] + i]] = 0;
    n_spiking[l] = 0;
    spikes_sent[l] = 0;
}

/* Note that a unit of a lower layer has something to forget when the sample is over. */
static void meet(int32_t l, int32_t unit)
{
    int32_t first = FIRST_UNIT[l];
    if (!is_met[first + unit]) {
        is_met[first + unit] = 1;
        met[first + n_met[l]++] = (unit_t)unit;
    }
}

/* Let a unit send so many spikes: it is the next in the list of its layer. */
static void send(int32_t l, int32_t unit, net_state_t n)
{
    int32_t first = FIRST_UNIT[l];
    spiking[first + n_spiking[l]++] = (unit_t)unit;
    spikes[first + unit] = (net_count_t)n;
    spikes_sent[l] += magnitude(n);
    check(magnitude(n), LARGEST_COUNT);
    check(spikes_sent[l], LARGEST_STATE);
    if (l < LAYERS) {
        meet(l, unit);
        n += spike_count[first + unit];
        check(magnitude(n), LARGEST_COUNT);
        spike_count[first + unit] = (net_count_t)n;
        if (magnitude(n) > most_spikes[l])
            most_spikes[l] = magnitude(n);
    }
}

/* Whether a list, which is in ascending order, has a unit. */
static int is_listed(const struct input_list *list, int32_t unit)
{
    int32_t from = 0, until = list->n;
    while (from < until) {
        int32_t middle = from + (until - from) / 2;
        if (list->entries[middle].unit < unit)
            from = middle + 1;
        else
            until = middle;
    }
    return from < list->n && list->entries[from].unit == unit;
}

/* The input of a unit in a row: a value, or a number of spikes. */
static net_state_t input_of(const void *x, enum input kind, int32_t unit)
{
#if NET_TAKES_PIXELS
    if (kind == PIXELS)
        return PIXEL_VALUES[((const uint8_t *)x)[unit]];
#endif
    return kind == SPIKES ? ((const net_count_t *)x)[unit] : ((const net_state_t *)x)[unit];
}

/* The number of the input that is `given` as the i-th: those of a list come first, in its order. */
static net_state_t number_of(const struct input_list *list, int32_t i)
{
    return i < list->n ? list->entries[i].number : 0;
}

/* List the inputs that may send spikes in a step: those that are not zero. With binary spikes other
 * inputs may still have spikes to send. */
static void list_inputs(const void *x, enum input kind)
{
    int32_t unit, i;
    n_given = 0;
    if (kind == LIST) {
        const struct input_list *list = x;
        for (i = 0; i < list->n; i++)
            given[n_given++] = (unit_t)list->entries[i].unit;
        /* Only what has fired in the step before can have more to send. */
        for (i = 0; i < n_spiking[0] && BINARY_SPIKES; i++)
            if (magnitude(potential[spiking[i]]) > HALF && !is_listed(list, spiking[i]))
                given[n_given++] = spiking[i];
        return;
    }
    for (unit = 0; unit < NET_INPUTS; unit++) {
        int waits = BINARY_SPIKES && magnitude(potential[unit]) > HALF;
        given[n_given] = (unit_t)unit;
        n_given += waits | (input_of(x, kind, unit) != 0);
    }
}

/* The input fires. */
static void fire_inputs(const void *x, enum input kind)
{
    int32_t i;
    send_nothing(0);
    for (i = 0; i < n_given && !is_outside; i++) {
        int32_t unit = given[i];
        net_state_t v = kind == LIST ? number_of(x, i) : input_of(x, kind, unit);
        net_state_t *sum = potential + unit;
        if (!is_between(v, NET_INPUT_IS_SPIKES ? LARGEST_COUNT : LARGEST_STATE)) {
            is_outside = 1;
            return;
        }
        meet(0, unit);
        if (NET_INPUT_IS_SPIKES) {
            send(0, unit, v);
            continue;
        }
        *sum += v;
        check(magnitude(*sum), LARGEST_STATE);
        if (magnitude(*sum) > HALF && !is_outside)
            send(0, unit, fire(sum));
    }
    NET_COUNT(spikes, spikes_sent[0], 1);
    NET_COUNT(messages, n_spiking[0], 1);
}

/* ---- Connections ---------------------------------------------------------------------------- */

/* The first output pixel, in one dimension, whose kernel lies on a position of the padded image. */
static int32_t first_pixel(const struct connection *c, int32_t position)
{
    return position < c->kernel ? 0 : (position - c->kernel) / c->stride + 1;
}

#if DIVIDES_RATE || LIMITS_GAIN
/* The number of output pixels whose kernel lies on a unit below. */
static int32_t times_met(const struct connection *c, int32_t unit)
{
    int32_t y = unit / c->row_stride % c->below_height + c->padding;
    int32_t x = unit / c->column_stride % c->below_width + c->padding;
    int32_t rows = 0, columns = 0, pixel;
    for (pixel = first_pixel(c, y); pixel < c->height && pixel * c->stride <= y; pixel++)
        rows++;
    for (pixel = first_pixel(c, x); pixel < c->width && pixel * c->stride <= x; pixel++)
        columns++;
    return rows * columns;
}
#endif

/* Where the weights [row][column][channel below] of a kernel begin, one for each channel above. */
static int32_t row_of(const struct connection *c, int32_t row, int32_t column, int32_t channel)
{
    return ((row * c->kernel + column) * c->below_channels + channel) * c->channels;
}

/* The first unit below that kernel offset [row][column] joins to an output pixel; -1 for padding. */
static int32_t unit_under(const struct connection *c, int32_t pixel, int32_t row, int32_t column)
{
    int32_t y = pixel / c->width * c->stride + row - c->padding;
    int32_t x = pixel % c->width * c->stride + column - c->padding;
    int is_inside = y >= 0 && y < c->below_height && x >= 0 && x < c->below_width;
    return is_inside ? y * c->row_stride + x * c->column_stride : -1;
}

/* Divide a list of units into output pixels, and return their number. */
static int32_t find_pixels(const struct connection *c, const unit_t *list, int32_t n)
{
    int32_t n_pixels = 0, pixel = -1, i;
    for (i = 0; i < n; i++)
        if (list[i] / c->channels != pixel) {
            pixel = list[i] / c->channels;
            first_of_pixel[n_pixels++] = (unit_t)i;
        }
    first_of_pixel[n_pixels] = (unit_t)n;
    return n_pixels;
}

/* Add the weights of the units in a list, each times its count. Four rows at a time need fewer
 * loads and stores of the sums. */
static void add_rows(net_state_t *to, const net_weight_t *first, int32_t length,
    const unit_t *list, int32_t n, const net_count_t *sent)
{
    int32_t i = 0, b;
    for (; UNITS >= 4 && i + 4 <= n; i += 4) {
        const net_weight_t *row0 = first + list[i] * length, *row1 = first + list[i + 1] * length;
        const net_weight_t *row2 = first + list[i + 2] * length, *row3 = first + list[i + 3] * length;
        net_state_t count0 = sent[list[i]], count1 = sent[list[i + 1]];
        net_state_t count2 = sent[list[i + 2]], count3 = sent[list[i + 3]];
        for (b = 0; b < length; b++)
            to[b] += count0 * row0[b] + count1 * row1[b] + count2 * row2[b] + count3 * row3[b];
    }
    for (; i < n; i++) {
        const net_weight_t *row = first + list[i] * length;
        net_state_t count = sent[list[i]];
        for (b = 0; b < length; b++)
            to[b] += count * row[b];
    }
}

/* Bring to layer l the spikes of the layer below. */
static void pass_forward(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const net_count_t *sent = spikes + FIRST_UNIT[l - 1];
    const unit_t *list = spiking + FIRST_UNIT[l - 1];
    net_state_t *to = arriving + ARRIVING_AT(l);
    int32_t n;
    memset(to, 0, (size_t)N_UNITS(l) * sizeof *to);
    check_sum(spikes_sent[l - 1]);
    if (is_outside)
        return;
    NET_COUNT(rows_read, n_spiking[l - 1], 1);
    if (c->is_dense) {
        add_rows(to, weights + c->first_weight, c->channels, list, n_spiking[l - 1], sent);
        NET_COUNT(forward, spikes_sent[l - 1], c->channels);
        NET_COUNT(met, n_spiking[l - 1], c->channels);
        NET_COUNT(multiply_adds, n_spiking[l - 1], c->channels);
        return;
    }
    for (n = 0; n < n_spiking[l - 1]; n++) {
        int32_t y = list[n] / c->row_stride % c->below_height + c->padding;
        int32_t x = list[n] / c->column_stride % c->below_width + c->padding;
        int32_t channel = list[n] / c->channel_stride % c->below_channels;
        net_state_t count = sent[list[n]];
        int32_t Y, X, b;
        /* The kernels of output pixels (Y, X) lie on the unit. */
        for (Y = first_pixel(c, y); Y < c->height && Y * c->stride <= y; Y++)
            for (X = first_pixel(c, x); X < c->width && X * c->stride <= x; X++) {
                net_state_t *at = to + (Y * c->width + X) * c->channels;
                if (c->learns) {
                    const net_weight_t *row = weights + c->first_weight
                        + row_of(c, y - Y * c->stride, x - X * c->stride, channel);
                    for (b = 0; b < c->channels; b++)
                        at[b] += count * row[b];
                } else
                    at[channel] += count * c->constant;
                NET_COUNT(forward, magnitude(count), c->learns ? c->channels : 1);
                NET_COUNT(met, 1, c->learns ? c->channels : 1);
                NET_COUNT(multiply_adds, 1, c->learns ? c->channels : 1);
            }
    }
}

/* Add to each sum the weights of its row, each times the errors of its unit. */
static void add_back(net_state_t *to, int32_t n_rows, const net_weight_t *row, int32_t length,
    const unit_t *list, int32_t n, const net_count_t *sent)
{
    int32_t a, m;
    for (a = 0; a < n_rows; a++, row += length)
        for (m = 0; m < n; m++)
            to[a] += (net_state_t)sent[list[m]] * row[list[m]];
}

/* Bring the errors of layer l to the layer below, through the same synapses. */
static void pass_back(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const net_count_t *sent = errors + UPPER(l);
    const unit_t *list = erring + UPPER(l);
    net_state_t *to = arriving_back + ARRIVING_BACK_AT(l - 1);
    int32_t n_pixels, p, q, r, a, m;
    memset(to, 0, (size_t)N_UNITS(l - 1) * sizeof *to);
    check_sum(errors_sent[l]);
    if (is_outside)
        return;
    NET_COUNT(rows_read, n_erring[l], 1);
    if (c->is_dense) {
        int32_t n = n_erring[l];
        add_back(to, c->below_channels, WEIGHTS_BACK + c->first_back, c->channels, list, n, sent);
        NET_COUNT(backward, errors_sent[l], c->below_channels);
        NET_COUNT(met, n, c->below_channels);
        NET_COUNT(multiply_adds, n, c->below_channels);
        return;
    }
    n_pixels = find_pixels(c, list, n_erring[l]);
    for (p = 0; p < n_pixels; p++) {
        int32_t from = first_of_pixel[p], until = first_of_pixel[p + 1];
        int32_t pixel = list[from] / c->channels;
#ifdef NET_COUNTS_WORK
        net_state_t sum_of_pixel = 0;
        for (m = from; m < until; m++)
            sum_of_pixel += magnitude(sent[list[m]]);
#endif
        for (q = 0; q < c->kernel; q++)
            for (r = 0; r < c->kernel; r++) {
                int32_t unit = unit_under(c, pixel, q, r);
                if (unit < 0)
                    continue;
                NET_COUNT(backward, sum_of_pixel, c->learns ? c->below_channels : 1);
                NET_COUNT(met, until - from, c->learns ? c->below_channels : 1);
                NET_COUNT(multiply_adds, until - from, c->learns ? c->below_channels : 1);
                if (!c->learns) {
                    for (m = from; m < until; m++) {
                        int32_t channel = list[m] - pixel * c->channels;
                        to[unit + channel * c->channel_stride] += sent[list[m]] * c->constant;
                    }
                    continue;
                }
                for (a = 0; a < c->below_channels; a++, unit += c->channel_stride) {
                    const net_weight_t *row = WEIGHTS_BACK + c->first_back + row_of(c, q, r, a);
                    net_state_t sum = 0;
                    for (m = from; m < until; m++)
                        sum += (net_state_t)sent[list[m]] * row[list[m] - pixel * c->channels];
                    to[unit] += sum;
                }
            }
    }
}

/* Let a dense connection learn. */
static void learn_dense(int32_t l, const net_count_t *counts, const net_count_t *back, int32_t n,
    net_state_t rate)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const unit_t *list = erring + UPPER(l), *below = met + FIRST_UNIT[l - 1];
    net_state_t magnitudes = 0;
    int32_t n_rows = 0, i, m;
    for (i = 0; i < n_met[l - 1]; i++) {
        net_weight_t *row = weights + c->first_weight + below[i] * c->channels;
        net_state_t factor = counts[below[i]] * rate;
        if (factor == 0) /* spikes of both signs, or none yet in the step that is undone */
            continue;
        for (m = 0; m < n; m++) {
            net_state_t v = row[list[m]] - factor * back[list[m]];
            magnitudes |= magnitude(v);
            row[list[m]] = wrapped(v);
        }
        n_rows++;
    }
    NET_COUNT(update, n_rows, n);
    NET_COUNT(multiply_adds, n_rows, n);
    (void)n_rows;
    check(magnitudes, LARGEST_WEIGHT);
}

/* Let a convolution learn: for each row of its kernel, add up the changes of all output pixels. */
static void learn_kernel(int32_t l, const net_count_t *counts, const net_count_t *back, int32_t n,
    net_state_t rate)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    const unit_t *list = erring + UPPER(l);
    int32_t n_pixels = find_pixels(c, list, n), p, q, r, a, b, m;
    net_state_t magnitudes = 0;
    for (q = 0; q < c->kernel; q++)
        for (r = 0; r < c->kernel; r++) {
            for (p = 0; p < n_pixels; p++)
                unit_of_pixel[p] = unit_under(c, list[first_of_pixel[p]] / c->channels, q, r);
            for (a = 0; a < c->below_channels; a++) {
                net_weight_t *row = weights + c->first_weight + row_of(c, q, r, a);
                int32_t changes = 0;
                for (p = 0; p < n_pixels; p++) {
                    int32_t from = first_of_pixel[p], until = first_of_pixel[p + 1];
                    int32_t first = list[from] / c->channels * c->channels;
                    net_state_t count = unit_of_pixel[p] < 0
                        ? 0
                        : counts[unit_of_pixel[p] + a * c->channel_stride];
                    if (count == 0)
                        continue;
                    for (m = from; m < until; m++)
                        row_change[list[m] - first] += count * back[list[m]];
                    NET_COUNT(update, until - from, 1);
                    NET_COUNT(multiply_adds, until - from, 1);
                    changes = 1;
                }
                NET_COUNT(multiply_adds, changes, c->channels);
                for (b = 0; changes && b < c->channels; b++) {
                    net_state_t v = row[b] - rate * row_change[b];
                    magnitudes |= magnitude(v);
                    row[b] = wrapped(v);
                    row_change[b] = 0;
                }
            }
        }
    check(magnitudes, LARGEST_WEIGHT);
}

/* Let the weights of connection l learn: subtract rate * counts * errors, summed over the synapses
 * that share a weight. The n units with errors are listed. */
static void learn(int32_t l, const net_count_t *counts, const net_count_t *back, int32_t n,
    net_state_t rate)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    if (n == 0 || rate == 0 || !c->learns)
        return;
    if (c->is_dense)
        learn_dense(l, counts + FIRST_UNIT[l - 1], back + UPPER(l), n, rate);
    else
        learn_kernel(l, counts + FIRST_UNIT[l - 1], back + UPPER(l), n, rate);
}

/* List the units of layer l with errors, and return how many there are. */
static int32_t list_errors(int32_t l, const net_count_t *back)
{
    int32_t n = 0, i;
    for (i = 0; i < N_UNITS(l); i++) {
        erring[UPPER(l) + n] = (unit_t)i;
        n += back[UPPER(l) + i] != 0;
    }
    return n;
}

/* ---- Rules ---------------------------------------------------------------------------------- */

/* Layer l receives what has arrived, and fires: positive spikes alone, negative potential waits. */
static void receive(int32_t l)
{
    const net_state_t *from = arriving + ARRIVING_AT(l);
    net_state_t *s = summed_drive + UPPER(l), *v = potential + FIRST_UNIT[l], magnitudes = 0;
    int32_t i;
    for (i = 0; i < N_UNITS(l); i++) {
        s[i] += from[i];
        v[i] += from[i];
        magnitudes |= magnitude(s[i]) | magnitude(v[i]);
    }
    check(magnitudes, LARGEST_STATE);
    send_nothing(l);
    for (i = 0; i < N_UNITS(l) && !is_outside; i++)
        if (v[i] > HALF)
            send(l, i, fire(v + i));
    NET_COUNT(spikes, spikes_sent[l], 1);
    NET_COUNT(messages, n_spiking[l], 1);
}

/* Clear the errors that a layer sent back in the step before. */
static void send_nothing_back(int32_t l)
{
    memset(errors + UPPER(l), 0, (size_t)N_UNITS(l) * sizeof *errors);
    n_erring[l] = 0;
    errors_sent[l] = 0;
    most_errors[l] = 0;
}

/* Let a unit send errors back, unless its summed drive is negative: then they are lost. */
static void send_back(int32_t l, int32_t unit, net_state_t n)
{
    int32_t at = UPPER(l) + unit;
    if (n == 0 || summed_drive[at] < 0)
        return;
    erring[UPPER(l) + n_erring[l]++] = (unit_t)unit;
    errors[at] = (net_count_t)n;
    errors_sent[l] += magnitude(n);
    check(magnitude(n), LARGEST_COUNT);
    check(errors_sent[l], LARGEST_STATE);
    if (magnitude(n) > most_errors[l])
        most_errors[l] = magnitude(n);
#if LEARNS_ONCE
    n += summed_error[at];
    check(magnitude(n), LARGEST_COUNT);
    summed_error[at] = (net_count_t)n;
#endif
}

/* The target fires too: the errors of the output are its spikes less those of the target. */
static void compare_output(const net_state_t *asked)
{
    const net_count_t *sent = spikes + FIRST_UNIT[LAYERS];
    int32_t i;
    send_nothing_back(LAYERS);
    for (i = 0; i < NET_OUTPUTS && !is_outside; i++) {
        if (!is_between(asked[i], LARGEST_STATE)) {
            is_outside = 1;
            return;
        }
        target_potential[i] += asked[i];
        check(magnitude(target_potential[i]), LARGEST_STATE);
        if (!is_outside)
            send_back(LAYERS, i, sent[i] - fire(target_potential + i));
    }
    NET_COUNT(errors, errors_sent[LAYERS], 1);
    NET_COUNT(messages, n_erring[LAYERS], 1);
}

/* Hidden layer l receives errors in its backward potential, and fires what it sends back. */
static void receive_errors(int32_t l)
{
    const net_state_t *from = arriving_back + ARRIVING_BACK_AT(l);
    net_state_t *v = backward_potential + UPPER(l), magnitudes = 0;
    int32_t i;
    send_nothing_back(l);
    for (i = 0; i < N_UNITS(l); i++) {
        v[i] += from[i];
        magnitudes |= magnitude(v[i]);
    }
    check(magnitudes, LARGEST_STATE);
    for (i = 0; i < N_UNITS(l) && !is_outside; i++)
        if (magnitude(v[i]) > HALF)
            send_back(l, i, fire(v + i));
    NET_COUNT(errors, errors_sent[l], 1);
    NET_COUNT(messages, n_erring[l], 1);
}

/* ---- Learning ------------------------------------------------------------------------------- */

/* Where counts or errors are cut off, for the steps of input shown so far. */
static net_state_t limit_of(net_state_t least, net_state_t per_step)
{
    if (per_step > 0 && steps_shown > LARGEST_COUNT / per_step)
        return LARGEST_COUNT;
    return per_step * steps_shown > least ? per_step * steps_shown : least;
}

static net_state_t count_limit(void)
{
    return limit_of(COUNT_LIMIT, COUNT_LIMIT_PER_STEP);
}

static net_state_t lesser(net_state_t a, net_state_t b)
{
    return a < b ? a : b;
}

#if LEARNS_ONCE || KEEPS_DRIVE
static net_state_t error_limit(int32_t l)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    return limit_of(c->error_limit, c->error_limit_per_step);
}

/* Cut off numbers that teach, so that no sample can undo what was learned; return the largest. */
static net_state_t cut_off(net_count_t *values, int32_t n, net_state_t limit)
{
    net_state_t most = 0;
    int32_t i;
    for (i = 0; i < n; i++) {
        net_state_t size = magnitude(values[i]);
        if (size > limit) {
            values[i] = (net_count_t)(values[i] < 0 ? -limit : limit);
            size = limit;
        }
        if (size > most)
            most = size;
    }
    return most;
}
#endif

/* The largest count with which the units below connection l teach. */
static net_state_t most_teaching(int32_t l)
{
    return lesser(most_spikes[l - 1], count_limit());
}

#define TOO_MANY ((uint64_t)1 << 53)

#if DIVIDES_RATE || LIMITS_GAIN
/* The sum of the counts below connection l, each squared as it teaches, as often as its unit meets
 * the weights; TOO_MANY if it is that or more. */
static uint64_t squares_below(int32_t l)
{
    net_state_t limit = count_limit();
    uint64_t squares = 0;
    int32_t i;
    for (i = 0; i < n_met[l - 1]; i++) {
        int32_t unit = met[FIRST_UNIT[l - 1] + i];
        net_state_t sent = magnitude(spike_count[FIRST_UNIT[l - 1] + unit]);
        uint64_t count = (uint64_t)lesser(sent, limit);
        if (count >= (uint64_t)1 << 27 || squares >= TOO_MANY)
            return TOO_MANY;
        squares += (uint64_t)times_met(&CONNECTIONS[l - 1], unit) * count * count;
    }
    return squares < TOO_MANY ? squares : TOO_MANY;
}
#endif

#if LIMITS_GAIN
/* Up to which rate times squares a connection learns, after the steps of input shown so far. */
static uint64_t gain_limit(void)
{
    uint64_t per_step = GAIN_LIMIT_PER_STEP, steps = (uint64_t)steps_shown;
    if (per_step > 0 && steps >= TOO_MANY / per_step)
        return TOO_MANY - 1;
    return per_step * steps > GAIN_LIMIT ? per_step * steps : GAIN_LIMIT;
}
#endif

/* The rate of connection l. It is fixed, or lower the more spikes there are: it is divided by the
 * squares below and a number that is added. A fixed rate is 0 where so many spikes would teach too
 * much. */
static net_state_t rate_of[LAYERS + 1];

static void find_rate(int32_t l)
{
#if DIVIDES_RATE
    const struct connection *c = &CONNECTIONS[l - 1];
    uint64_t squares = c->added_squares + squares_below(l);
    uint64_t rate = ((uint64_t)c->rate >> halvings) / squares;
    is_outside |= squares >= TOO_MANY;
    rate_of[l] = rate > 1 ? (net_state_t)rate : 1;
#else
    rate_of[l] = RATE;
#if LIMITS_GAIN
    if (squares_below(l) > gain_limit() / (uint64_t)RATE)
        rate_of[l] = 0;
#endif
#endif
}

/* Note that the changes of connection l could leave their type: at most `uses` products are added
 * up for a weight, none larger than that of the largest count and the largest error. */
static void check_changes(int32_t l, net_state_t rate, net_state_t most_back)
{
    const struct connection *c = &CONNECTIONS[l - 1];
    net_state_t most = most_teaching(l);
    if (c->learns && rate > 0 && most > 0 && most_back > LARGEST_SUM / c->uses / rate / most)
        is_outside = 1;
}

#if LEARNS_ONCE
/* All connections learn from the errors of the whole sample. */
static void learn_at_end(void)
{
    int32_t l;
    for (l = 1; l <= LAYERS; l++) {
        find_rate(l);
        if (is_outside) /* there is no rate */
            return;
        check_changes(l, rate_of[l], cut_off(summed_error + UPPER(l), N_UNITS(l), error_limit(l)));
        if (most_spikes[l - 1] > count_limit())
            cut_off(spike_count + FIRST_UNIT[l - 1], N_UNITS(l - 1), count_limit());
    }
    if (is_outside)
        return;
    for (l = 1; l <= LAYERS; l++)
        learn(l, spike_count, summed_error, list_errors(l, summed_error), rate_of[l]);
    for (l = 1; l <= LAYERS && is_outside; l++)
        learn(l, spike_count, summed_error, list_errors(l, summed_error), -rate_of[l]);
}
#else
/* All connections learn from the errors of this step. Nothing is cut off at a fixed rate. */
static void learn_now(void)
{
    net_count_t *back;
    int32_t l, n = 0;
    for (l = 1; l <= LAYERS; l++) {
        find_rate(l);
        check_changes(l, rate_of[l], most_errors[l]);
        n += n_erring[l];
    }
    if (is_outside || n == 0)
        return;
    memcpy(logged_counts[n_logged], spike_count, sizeof spike_count);
    back = memcpy(logged_errors[n_logged], errors, sizeof errors);
    for (l = 1; l <= LAYERS; l++)
        if (rate_of[l] == 0)
            memset(back + UPPER(l), 0, (size_t)N_UNITS(l) * sizeof *back);
    n_logged++;
    for (l = 1; l <= LAYERS; l++)
        learn(l, spike_count, back, n_erring[l], rate_of[l]);
}
#endif

/* Undo what was learned from the open sample, and end it. */
static void undo(void)
{
#if !LEARNS_ONCE
    while (n_logged > 0) {
        int32_t l;
        const net_count_t *back = logged_errors[--n_logged];
        for (l = 1; l <= LAYERS; l++)
            learn(l, logged_counts[n_logged], back, list_errors(l, back), -RATE);
    }
#endif
    if (is_learning)
        memcpy(backward_potential, backward_potential_before, sizeof backward_potential);
    is_open = is_learning = is_outside = 0;
}

/*@changes@*/
#if KEEPS_DRIVE
#define IS_WHOLE is_whole
#else
#define IS_WHOLE 0
#endif

/* ---- A step --------------------------------------------------------------------------------- */

/* Whether a layer that is `delay` steps behind the input has something to send. */
static int is_busy(int32_t delay)
{
    return steps_made > delay && steps_made - delay <= steps_shown;
}

/* Make one step of the open sample. With pipelined timing a spike takes a step for each connection,
 * and what is sent in this step arrives in the next. */
static void step(const void *x, enum input kind, int is_taught)
{
    int32_t is_delayed = PIPELINED && is_learning, l;
#if KEEPS_DRIVE
    if (is_whole) {
        step_as_a_whole(x, kind);
        return;
    }
#endif
    steps_made++;
    if (is_busy(0))
        fire_inputs(x, kind);
    else
        send_nothing(0);
    for (l = 1; l <= LAYERS && !is_outside; l++) {
        if (!is_delayed)
            pass_forward(l);
        if (is_outside)
            return;
        if (is_busy(is_delayed ? l : 0))
            receive(l);
        else
            send_nothing(l);
    }
    for (l = LAYERS; l >= 1 && is_learning && !is_outside; l--) {
        int32_t delay = is_delayed ? 2 * LAYERS - l : 0;
        if (l < LAYERS && !is_delayed)
            pass_back(l + 1);
        if (is_outside)
            return;
        if (!is_taught || !is_busy(delay))
            send_nothing_back(l);
        else if (l == LAYERS)
            compare_output(target[(steps_made - delay) % TARGETS_KEPT]);
        else
            receive_errors(l);
    }
    for (l = 1; l <= LAYERS && is_delayed && !is_outside; l++) {
        pass_forward(l);
        if (l > 1 && !is_outside)
            pass_back(l);
    }
#if !LEARNS_ONCE
    if (is_learning && !is_outside)
        learn_now();
#endif
}

/* Let all units begin a sample with nothing. There may be many inputs: those alone are visited that
 * have been given something. */
static void reset_units(void)
{
    int32_t i;
    for (i = 0; i < n_met[0]; i++) {
        potential[met[i]] = 0;
        spike_count[met[i]] = 0;
        is_met[met[i]] = 0;
    }
    memset(potential + NET_INPUTS, 0, sizeof potential - NET_INPUTS * sizeof *potential);
    memset(spike_count + NET_INPUTS, 0, sizeof spike_count - NET_INPUTS * sizeof *spike_count);
    memset(is_met + NET_INPUTS, 0, sizeof is_met - NET_INPUTS * sizeof *is_met);
    memset(summed_drive, 0, sizeof summed_drive);
    memset(most_spikes, 0, sizeof most_spikes);
    memset(n_met, 0, sizeof n_met);
}

#if KEEPS_DRIVE
/* Forget what is kept, or what a sample has left that was shown step by step. */
static void forget_all(void)
{
    if (!is_whole)
        reset_units();
    forget();
}
#endif

/* Open a sample, if none is, and let it learn from here on, if it has a target. */
static void open_sample(int is_taught)
{
    if (!is_open) {
        NET_BEFORE_SAMPLE();
        if (!IS_WHOLE)
            reset_units();
        memset(errors, 0, sizeof errors);
        steps_shown = steps_made = 0;
        n_logged = 0;
        is_open = 1;
    }
    if (is_taught && !is_learning) {
        memset(target_potential, 0, sizeof target_potential);
        if (PIPELINED) {
            memset(arriving, 0, sizeof arriving);
            memset(arriving_back, 0, sizeof arriving_back);
        }
#if LEARNS_ONCE
        memset(summed_error, 0, sizeof summed_error);
#endif
        memcpy(backward_potential_before, backward_potential, sizeof backward_potential);
        if (STARTS_AT_ZERO)
            memset(backward_potential, 0, sizeof backward_potential);
        is_learning = 1;
    }
}

static enum net_result failed(void)
{
    undo();
#if KEEPS_DRIVE
    if (is_whole)
        forget();
#endif
    steps_shown = 0;
    return NET_OUTSIDE;
}

/* How the input of a step is shown: anew, as in the step before, or as that of a whole sample. */
enum manner { ANEW, AS_BEFORE, AS_A_WHOLE };

/* Show the input of one step. */
static enum net_result show(const void *x, enum input kind, int32_t label, enum manner manner)
{
    int is_taught = label != NET_NO_LABEL;
    int32_t i;
    if (is_unreadable)
        return NET_WRONG_STATE;
    if (label < NET_GIVEN_TARGET || label >= NET_OUTPUTS)
        return NET_WRONG_LABEL;
    if (PIPELINED && is_open && is_taught != is_learning)
        return NET_MIXED;
    if (!LEARNS_ONCE && is_taught && (is_learning ? n_logged : 0) + STEPS_AFTER >= STEPS_LOGGED)
        return NET_TOO_LONG;
#if KEEPS_DRIVE
    /* Nothing is kept of a sample that is shown step by step, or for one. */
    if (!is_open && is_whole != (manner == AS_A_WHOLE))
        forget_all();
    is_whole = manner == AS_A_WHOLE;
#endif
    open_sample(is_taught);
    if (manner == ANEW)
        list_inputs(x, kind);
    steps_shown++;
    for (i = 0; i < NET_OUTPUTS && is_taught; i++)
        target[steps_shown % TARGETS_KEPT][i] = label == NET_GIVEN_TARGET ? given_target[i]
            : i == label                                                  ? RIGHT_TARGET
                                                                          : WRONG_TARGET;
    step(x, kind, is_taught);
    NET_AFTER_STEP();
    return is_outside ? failed() : NET_OK;
}

/* Close the open sample, and keep what was learned from it. */
static enum net_result close_sample(void)
{
    if (!is_open)
        return NET_NO_SAMPLE;
    while (is_learning && steps_made < steps_shown + STEPS_AFTER && !is_outside) {
        step(0, PIXELS, 1);
        NET_AFTER_STEP();
    }
    if (!NET_MAY_CLOSE())
        is_outside = 1;
#if KEEPS_DRIVE
    if (is_learning && is_whole && !is_outside)
        learn_whole();
#endif
#if LEARNS_ONCE
    if (is_learning && !IS_WHOLE && !is_outside)
        learn_at_end();
#endif
    if (is_outside)
        return failed();
    samples_seen += is_learning;
    is_open = is_learning = 0;
    return NET_OK;
}

/* Show all steps of a sample. Spike counts are given for each step, other input for all. */
static enum net_result show_steps(const void *x, enum input kind, int32_t label, enum manner first)
{
    enum net_result result = NET_OK;
    int32_t t;
    for (t = 0; t < NET_STEPS && result == NET_OK; t++)
        if (kind == SPIKES)
            result = show((const net_count_t *)x + t * NET_INPUTS, kind, label, t == 0 ? first : ANEW);
        else
            result = show(x, kind, label, t == 0 ? first : AS_BEFORE);
    return result == NET_OK ? close_sample() : result;
}

/* Show a whole sample. */
static enum net_result show_sample(const void *x, enum input kind, int32_t label)
{
    int is_kept = KEEPS_DRIVE && kind != LIST;
    return is_open ? NET_SAMPLE_IS_OPEN : show_steps(x, kind, label, is_kept ? AS_A_WHOLE : ANEW);
}

/* ---- For the program that uses the network -------------------------------------------------- */

#if !NET_TAKES_FEATURES
/* Whether a list is out of order, or has what is no input, or more spikes than one. */
static int is_wrong_list(const struct net_entry *list, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++) {
        int64_t before = i == 0 ? -1 : list[i - 1].unit;
        if (list[i].unit <= before || list[i].unit >= NET_INPUTS)
            return 1;
        if (NET_INPUT_IS_SPIKES && BINARY_SPIKES && (list[i].number > 1 || list[i].number < -1))
            return 1;
    }
    return n < 0;
}

enum net_result net_show_list(const struct net_entry *list, int32_t n, int32_t label)
{
    struct input_list x = { list, n };
    return is_wrong_list(list, n) ? NET_WRONG_INPUT : show(&x, LIST, label, ANEW);
}

#if NET_INPUT_IS_SPIKES
static int is_wrong(const net_count_t *x, int32_t n)
{
    int32_t i;
    for (i = 0; i < n; i++)
        if (BINARY_SPIKES && (x[i] > 1 || x[i] < -1))
            return 1;
    return 0;
}

enum net_result net_show_spikes(const net_count_t *x, int32_t label)
{
    return is_wrong(x, NET_INPUTS) ? NET_WRONG_INPUT : show(x, SPIKES, label, ANEW);
}

enum net_result net_learn_spikes(const net_count_t *x, int32_t label)
{
    if (is_wrong(x, NET_STEPS * NET_INPUTS))
        return NET_WRONG_INPUT;
    return show_sample(x, SPIKES, label);
}

enum net_result net_predict_spikes(const net_count_t *x)
{
    return net_learn_spikes(x, NET_NO_LABEL);
}
#else
enum net_result net_show_values(const net_state_t *x, int32_t label)
{
    return show(x, VALUES, label, ANEW);
}

enum net_result net_learn_values(const net_state_t *x, int32_t label)
{
    return show_sample(x, VALUES, label);
}

enum net_result net_predict_values(const net_state_t *x)
{
    return show_sample(x, VALUES, NET_NO_LABEL);
}

enum net_result net_learn_list(const struct net_entry *list, int32_t n, int32_t label)
{
    struct input_list x = { list, n };
    return is_wrong_list(list, n) ? NET_WRONG_INPUT : show_sample(&x, LIST, label);
}

enum net_result net_predict_list(const struct net_entry *list, int32_t n)
{
    return net_learn_list(list, n, NET_NO_LABEL);
}
#endif
#endif

#if NET_TAKES_PIXELS
enum net_result net_show_pixels(const uint8_t *x, int32_t label)
{
    return show(x, PIXELS, label, ANEW);
}

enum net_result net_learn_pixels(const uint8_t *x, int32_t label)
{
    return show_sample(x, PIXELS, label);
}

enum net_result net_predict_pixels(const uint8_t *x)
{
    return show_sample(x, PIXELS, NET_NO_LABEL);
}
#endif

#if !NET_TAKES_FEATURES
enum net_result net_close(void)
{
    return close_sample();
}

enum net_result net_drop(void)
{
    if (!is_open)
        return NET_NO_SAMPLE;
    undo();
    return NET_OK;
}

void net_set_target(const net_state_t *values)
{
    memcpy(given_target, values, sizeof given_target);
}
#endif

const net_state_t *net_summed_drive(void)
{
    return summed_drive + UPPER(LAYERS);
}

int32_t net_steps(void)
{
    return steps_shown;
}

int32_t net_class(void)
{
    const net_state_t *drive = net_summed_drive();
    int32_t best = 0, i;
    for (i = 1; i < NET_OUTPUTS; i++)
        if (drive[i] > drive[best])
            best = i;
    return best;
}

uint64_t net_samples_seen(void)
{
    return samples_seen;
}

/*@features@*/
/* ---- What was learned, as bytes ------------------------------------------------------------- */

/* The bytes are a header, the weights, the backward potentials, what is known of features if there
 * are any, and a checksum of all before it.
 * All numbers are little-endian. The header has the letters "SBPC", the version of the format (1),
 * the bytes of a weight and of a potential, a byte 0, a key by which the network is known, and the
 * samples seen. */
#define KEY_END 12u
#define HEADER_END (KEY_END + 8u)
#define WEIGHTS_END (HEADER_END + (uint32_t)(N_WEIGHTS * sizeof *weights))
#define POTENTIALS_END (WEIGHTS_END + (uint32_t)(N_HIDDEN * sizeof *backward_potential))
#if NET_TAKES_FEATURES
#define FEATURES_END (POTENTIALS_END + (uint32_t)sizeof features)
#define PROGRESS_END (FEATURES_END + (uint32_t)sizeof progress)
#define NUMBERS_END (PROGRESS_END + (uint32_t)sizeof block)
#else
#define NUMBERS_END POTENTIALS_END
#endif

static const uint8_t HEADER[KEY_END] = { 'S', 'B', 'P', 'C', 1, sizeof *weights,
    sizeof *backward_potential, /*@feature_bytes@*/, /*@key@*/ };

/* How many bytes of a new state have been read, and their checksum. */
static uint32_t bytes_read, checksum_read;

/* The checksum (CRC-32) after one more byte. That of no bytes is 0. */
static uint32_t checksum_after(uint32_t sum, uint8_t byte)
{
    int32_t bit;
    sum = ~sum ^ byte;
    for (bit = 0; bit < 8; bit++)
        sum = sum & 1u ? sum >> 1 ^ 0xEDB88320u : sum >> 1;
    return ~sum;
}

/* Where byte number `at` of an array of little-endian numbers lies in memory. */
static uint8_t *byte_in(void *numbers, uint32_t size, uint32_t at)
{
    const uint16_t one = 1;
    uint32_t byte = at % size;
    if (*(const uint8_t *)&one == 0)
        byte = size - 1 - byte;
    return (uint8_t *)numbers + (at - at % size + byte);
}

/* Where a byte of the state behind the key lies in memory. */
static uint8_t *state_byte(uint32_t at)
{
    if (at < HEADER_END)
        return byte_in(&samples_seen, sizeof samples_seen, at - KEY_END);
    if (at < WEIGHTS_END)
        return byte_in(weights, sizeof *weights, at - HEADER_END);
#if NET_TAKES_FEATURES
    if (at >= PROGRESS_END)
        return byte_in(block, sizeof block[0][0], at - PROGRESS_END);
    if (at >= FEATURES_END)
        return byte_in(&progress, sizeof(int64_t), at - FEATURES_END);
    if (at >= POTENTIALS_END) { /* those of eight bytes come first */
        uint32_t place = (at - POTENTIALS_END) % (uint32_t)sizeof *features;
        return byte_in(features, place < offsetof(struct feature, nonzero) ? 8 : 4, at - POTENTIALS_END);
    }
#endif
    return byte_in(backward_potential, sizeof *backward_potential, at - WEIGHTS_END);
}

/* Whether all numbers of a state that was read are within their range. */
static int is_within_range(void)
{
    int32_t i;
    for (i = 0; i < N_WEIGHTS; i++)
        if (!is_between(weights[i], LARGEST_WEIGHT))
            return 0;
    for (i = 0; i < N_HIDDEN; i++)
        if (!is_between(backward_potential[i], LARGEST_STATE))
            return 0;
#if NET_TAKES_FEATURES
    for (i = 0; i <= NET_FEATURES; i++)
        if (features[i].exponent < -LARGEST_EXPONENT || features[i].exponent > LARGEST_EXPONENT)
            return 0;
    return progress.n_waiting >= 0 && progress.n_waiting < BLOCK;
#else
    return 1;
#endif
}

enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n)
{
    uint32_t at, sum = 0;
    if (is_open)
        return NET_SAMPLE_IS_OPEN;
    if (is_unreadable || offset > NET_STATE_SIZE || n > NET_STATE_SIZE - offset)
        return NET_WRONG_STATE;
#if KEEPS_DRIVE
    write_all_waiting();
#endif
    for (at = 0; at < NUMBERS_END && offset + n > NUMBERS_END; at++)
        sum = checksum_after(sum, at < KEY_END ? HEADER[at] : *state_byte(at));
    for (at = offset; at < offset + n; at++)
        if (at < KEY_END)
            bytes[at - offset] = HEADER[at];
        else if (at < NUMBERS_END)
            bytes[at - offset] = *state_byte(at);
        else
            bytes[at - offset] = (uint8_t)(sum >> 8 * (at - NUMBERS_END));
    return NET_OK;
}

enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    uint32_t i, wrong = 0;
    if (is_open)
        return NET_SAMPLE_IS_OPEN;
    if (offset == 0)
        bytes_read = checksum_read = 0;
    if (offset != bytes_read || n > NET_STATE_SIZE - offset)
        return NET_WRONG_STATE;
    for (i = 0; i < n && !wrong; i++, bytes_read++) {
        uint32_t at = bytes_read;
        if (at < KEY_END)
            wrong = bytes[i] != HEADER[at];
        else if (at < NUMBERS_END) {
#if KEEPS_DRIVE
            if (!is_unreadable)
                forget_all();
#endif
            is_unreadable = 1;
            *state_byte(at) = bytes[i];
        } else
            wrong = bytes[i] != (uint8_t)(checksum_read >> 8 * (at - NUMBERS_END));
        if (at < NUMBERS_END)
            checksum_read = checksum_after(checksum_read, bytes[i]);
    }
    if (wrong || (bytes_read == NET_STATE_SIZE && !is_within_range())) {
        bytes_read = 0;
        return NET_WRONG_STATE;
    }
    if (bytes_read == NET_STATE_SIZE) {
        is_unreadable = 0;
#if NET_TAKES_FEATURES
        find_halvings();
#endif
    }
    return NET_OK;
}
