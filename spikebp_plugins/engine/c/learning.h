/* Rule 5: weights learn.
 *
 *     W_l -= rate_l outer(c_{l-1}, e_l)
 *
 * in every step, or when the sample closes, with the summed errors E_l for e_l. Counts and errors are
 * cut off at limits before they teach. The rate is fixed, or one for the sample,
 *
 *     r_l = max(1, R_l / N_l), rounded down, with N_l = added squares + sum of c_{l-1}^2.
 *
 * At a fixed rate a connection may not learn from an update whose gain, rate_l times the sum of
 * c_{l-1}^2, is above a limit.
 *
 * An update is noted, and proven to leave all weights in range. Dense weights are written when the
 * sample closes, others as soon as spikes and errors meet the update.
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
static int note_update(struct network *net, struct layer *a, int step, num rate,
    const vec *errors, struct factors below)
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
    p->step[p->n] = step, p->rate[p->n] = rate, p->n_factors = below.n_units;
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
    const vec *counts = net->follows ? p->kept : below->c;
    const num limit = limit_of(net, net->is.counts);
    const int n = *below->n_active;
    const int32_t *restrict active = below->active;
    vec silent = {0}, top = {0};
    for (int i = 0; i < n; i++) {
        const vec c = counts[active[i]];
        to[i] = c;
        silent += c == 0;
        top = most(top, below->is_signed ? magnitude(c) : c);
    }
    p->at[p->n + 1] = p->at[p->n] + n;
    const num largest = largest_of(top);
    p->cuts = largest > limit;
    for (int i = 0; p->cuts && i < n; i++)
        to[i] = within(to[i], limit);
    return (struct factors){(int64_t)n * LANES + sum_of(silent), lesser(largest, limit)};
}

/* The sum of the counts below layer l up to a step, each squared as it teaches, as often as its unit
 * meets the weights; they are kept for the update that comes next. */
static double sum_squares(const struct network *net, int l, int step, struct factors factors)
{
    const struct layer *below = &net->layer[l - 1];
    const struct pending *p = &net->layer[l].pending;
    const vec *factor = p->factor + p->at[p->n];
    const double largest = (double)factors.largest;
    double squares = 0;
    if (l == 1 && net->in_trains) {
        const struct trains *r = &net->trains;
        for (int g = 0; g < r->n_groups; g++) {
            double c = (double)r->train[(int64_t)r->train_in[g] * r->length + step];
            squares += c * c * (r->start[g + 1] - r->start[g]);
        }
        return squares;
    }
    const int32_t *times_met = net->layer[l].wiring ? net->layer[l].wiring->times_met : NULL;
    const int n = *below->n_active;
    vec sum = {0};
    for (int i = 0; i < n; i++)
        sum += factor[i] * factor[i];
    if (!times_met && largest * largest * (double)factors.n_units < PROVEN)
        return (double)sum_of(sum);
    for (int at = 0; at < n * LANES; at++) {
        const int i = below->active[at / LANES] * LANES + at % LANES;
        const double c = (double)((const num *)factor)[at];
        squares += c * c * (times_met && i < below->n ? times_met[i] : 1);
    }
    return squares;
}

/* Whether the gain of an update is small enough to learn from. The sum is exact below 2^53, where
 * all limits are. */
static int learns_from(const struct network *net, int l, num rate, int step, struct factors below)
{
    const struct limit limit = net->is.gain;
    if (limit.least == INT64_MAX)
        return 1;
    const double of_steps = (double)limit.per_step * (double)net->inputs_shown;
    const double most = fmin(fmax((double)limit.least, of_steps), 0x1p53 - 1);
    return (double)rate * sum_squares(net, l, step, below) <= most;
}

/* The rate of W_l in this sample; 0 if N_l reaches 2^53, beyond which it is not exact. */
static num rate_of_sample(const struct network *net, int l, int step, struct factors below)
{
    const struct weight_rule *rule = &net->is.rules[l - 1];
    if (rule->added_squares == 0)
        return (num)rule->rate;
    const double squares = (double)rule->added_squares + sum_squares(net, l, step, below);
    if (!(squares < 0x1p53))
        return 0;
    const int64_t rate = rule->rate / (int64_t)squares;
    return (num)(rate > 1 ? rate : 1);
}

/* Learn from the errors of a step; 0 if that may be out of range. */
static int learn_layer(struct network *net, int l, const vec *errors)
{
    struct layer *a = &net->layer[l];
    const int in_trains = l == 1 && net->in_trains, T = net->n_steps;
    const int t = in_trains && net->step >= T ? T - 1 : net->step;
    struct factors below;
    if (in_trains)
        below.largest = largest_of_trains(&net->trains, t, &below.n_units);
    else
        below = keep_counts(net, a, a - 1);
    const num rate = rate_of_sample(net, l, t, below);
    if (rate == 0)
        return 0;
    if (a->n_erring == 0 || !learns_from(net, l, rate, t, below))
        return 1;
    if (!note_update(net, a, t, rate, errors, below))
        return 0;
    if (in_trains && t + 1 < T)
        correct_later_drive(net, t, T);
    return 1;
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

/* Noted updates of a layer, to be written, or with sign -1 to be undone. */
struct updates {
    int first, n;
    num sign;
};

/* List the vectors of a row of W_l that change, and write rate times errors to `matrix`, a row for
 * each update, or one for all that share their factors because they were noted in the same step;
 * return how many vectors. */
static int find_touched(struct network *net, const struct layer *a, struct updates which,
    int shares_factors)
{
    const struct pending *p = &a->pending;
    const int end = which.first + which.n;
    int n = 0;
    for (int i = p->first[which.first]; i < p->first[end]; i++) {
        int v = p->unit[i] / LANES;
        if (net->mark[v] == 0) {
            net->touched[n] = v;
            net->mark[v] = ++n;
        }
    }
    memset(net->matrix, 0, sizeof *net->matrix * (size_t)which.n * (size_t)n * LANES);
    for (int q = which.first, row = -1; q < end; q++) {
        row += !shares_factors || q == which.first || p->step[q] != p->step[q - 1];
        for (int i = p->first[q]; i < p->first[q + 1]; i++) {
            int at = (net->mark[p->unit[i] / LANES] - 1) * LANES + p->unit[i] % LANES;
            net->matrix[(int64_t)row * n * LANES + at] += which.sign * p->rate[q] * p->error[i];
        }
    }
    for (int i = 0; i < n; i++)
        net->mark[net->touched[i]] = 0;
    return n;
}

static void write_from_trains(struct network *net)
{
    const struct pending *p = &net->layer[1].pending;
    const struct updates all = {0, p->n, 1};
    const int length = net->trains.length, n = find_touched(net, &net->layer[1], all, 1);
    int32_t *update_of_step = net->trains.update_of_step;
    for (int t = 0; t < length; t++)
        update_of_step[t] = -1;
    for (int q = 0, row = -1; q < p->n; q++) {
        row += q == 0 || p->step[q] != p->step[q - 1];
        update_of_step[p->step[q]] = row;
    }
    struct train_writes writing = {net, n};
    count_work(net, 0, (int64_t)net->trains.n_active * n * LANES);
    for (int m = 0; m < net->trains.start[net->trains.n_groups]; m++)
        note_change(net, net->trains.member[m]);
    in_parts(n, IN_REGISTERS, write_part, &writing);
}

/* Rows of factors, one for each update, each at least as long as the one before. */
struct factor_rows {
    const vec *factor;
    const int64_t *at; /* where each begins, and the end */
    int n;
};

static struct factor_rows factors_of(const struct layer *a, struct updates which)
{
    return (struct factor_rows){a->pending.factor, a->pending.at + which.first, which.n};
}

/* List the units below that have a factor in any row, and where it is in each: their rows change. */
static int list_senders(struct network *net, const struct layer *below, struct factor_rows rows)
{
    const int64_t last = rows.at[rows.n - 1], length = rows.at[rows.n] - last;
    const int may_come_back = below->is_signed; /* to 0 */
    int n = 0;
    for (int i = 0; i < length; i++) {
        vec some = rows.factor[last + i];
        for (int q = 0; may_come_back && q < rows.n - 1; q++)
            if (i < rows.at[q + 1] - rows.at[q])
                some |= rows.factor[rows.at[q] + i];
        list_nonzero(some, i * LANES, net->listed_at + n);
        n += list_nonzero(some, below->active[i] * LANES, net->listed + n);
    }
    for (int r = 0; below == net->layer && r < n; r++)
        note_change(net, net->listed[r]);
    return n;
}

/* Keep rows of a dense W_l as they were before the open sample, unless they are kept. */
static void keep_rows(struct layer *a, const int32_t *units, int n)
{
    struct kept_weights *before = &a->before;
    for (int r = 0; r < n; r++) {
        const int unit = units[r];
        if (before->is_kept[unit])
            continue;
        memcpy(before->row + (int64_t)before->n * a->width, a->w + (int64_t)unit * a->width,
            (size_t)a->width * sizeof(vec));
        before->unit[before->n++] = unit;
        before->is_kept[unit] = 1;
    }
}

/* The arguments that `write_rows` hands to its parts. */
struct row_writes {
    struct network *net;
    const struct layer *a;
    struct factor_rows factors;
    int n_touched, n_rows;
};

INLINE void write_rows_part(const int n, int first, void *work)
{
    const struct row_writes *writing = work;
    const struct network *net = writing->net;
    const struct layer *a = writing->a;
    const struct factor_rows factors = writing->factors;
    const int n_touched = writing->n_touched;
    int64_t at[16];
    EACH(i, n) at[i] = net->touched[first + i];
    for (int r = 0; r < writing->n_rows; r++) {
        const int64_t place = net->listed_at[r];
        const vec *matrix = (const vec *)net->matrix + first;
        vec change[16], *row = a->w + (int64_t)net->listed[r] * a->width;
        num before = 0;
        EACH(i, n) change[i] = splat(0);
        for (int q = 0; q < factors.n; q++, matrix += n_touched) {
            const int64_t from = factors.at[q] * LANES + place;
            const num count = from < factors.at[q + 1] * LANES ? ((const num *)factors.factor)[from] : 0;
            const num more = count - before;
            if (more != 0)
                EACH(i, n) change[i] += more * matrix[i];
            before = count;
        }
        EACH(i, n) row[at[i]] -= change[i];
    }
}

/* Write W_l row by row: without a transpose that follows. With c_p the factors of update p, those of a
 * unit are mostly the same from one update to the next, so by summation by parts
 *
 *     sum over p of c_p e_p = sum over p of (c_p - c_{p-1}) (e_p + e_{p+1} + ..).
 */
static void write_rows(struct network *net, struct layer *a, struct updates which)
{
    const struct factor_rows factors = factors_of(a, which);
    const int n_touched = find_touched(net, a, which, 0), n_rows = list_senders(net, a - 1, factors);
    if (net->is_settled)
        keep_rows(a, net->listed, n_rows);
    vec *matrix = (vec *)net->matrix;
    for (int64_t i = (int64_t)(which.n - 1) * n_touched - 1; i >= 0; i--)
        matrix[i] += matrix[i + n_touched];
    struct row_writes writing = {net, a, factors, n_touched, n_rows};
    count_work(net, 0, (int64_t)n_rows * n_touched * LANES);
    in_parts(n_touched, IN_REGISTERS, write_rows_part, &writing);
}

/* Write what waits of samples of one step, times some factors; s stays what it is. */
static void write_waiting_by(struct network *net, struct layer *a, const vec *factor)
{
    struct pending *p = &a->pending;
    const int64_t ends[] = {0, *a[-1].n_active};
    struct row_writes writing = {.net = net, .a = a, .factors = {factor, ends, 1}};
    int32_t found[LANES];
    for (int v = 0; v < a->width; v++)
        if (list_nonzero(p->waiting[v], 0, found) > 0) {
            ((vec *)net->matrix)[writing.n_touched] = p->waiting[v];
            net->touched[writing.n_touched++] = v;
            p->waiting[v] = splat(0);
        }
    writing.n_rows = list_senders(net, a - 1, writing.factors);
    count_work(net, 0, (int64_t)writing.n_rows * writing.n_touched * LANES);
    in_parts(writing.n_touched, IN_REGISTERS, write_rows_part, &writing);
    p->waits = 0;
}

/* Write what waits, times the counts that are kept. */
static void write_waiting(struct network *net, struct layer *a)
{
    const struct layer *below = a - 1;
    if (!a->pending.waits)
        return;
    for (int i = 0; i < *below->n_active; i++)
        net->change[i] = a->pending.kept[below->active[i]];
    write_waiting_by(net, a, net->change);
}

/* Write W_l and its transpose, unit by unit of those that had errors. */
static void write_columns(struct network *net, struct layer *a, struct updates which)
{
    const struct pending *p = &a->pending;
    const int n_updates = which.n, width = a[-1].width;
    const int64_t row_length = (int64_t)a->width * LANES;
    const int n_rows = list_senders(net, a - 1, factors_of(a, which));
    if (net->is_settled)
        keep_rows(a, net->listed, n_rows);
    const int32_t *restrict listed = net->listed;
    int n_units = 0;
    for (int q = 0; q < n_updates; q++) { /* rate times errors of a unit, side by side */
        const num rate = which.sign * p->rate[which.first + q];
        for (int i = p->first[which.first + q]; i < p->first[which.first + q + 1]; i++) {
            int j = p->unit[i];
            num *factors = net->matrix + (int64_t)n_units * n_updates;
            if (net->mark[j] == 0) {
                memset(factors, 0, sizeof *factors * (size_t)n_updates);
                net->touched[n_units] = j;
                net->mark[j] = ++n_units;
            }
            net->matrix[(int64_t)(net->mark[j] - 1) * n_updates + q] = rate * p->error[i];
        }
    }
    count_work(net, 0, (int64_t)n_units * (a[-1].n + n_rows));
    for (int i = 0; i < n_units; i++) {
        const int j = net->touched[i];
        vec *restrict change = net->change, *restrict back = a->b + (int64_t)j * width;
        num *restrict column = (num *)a->w + j;
        int is_first = 1;
        for (int q = 0; q < n_updates; q++) {
            const vec *restrict count = p->factor + p->at[which.first + q];
            const num factor = net->matrix[(int64_t)i * n_updates + q];
            if (factor == 0)
                continue;
            for (int v = 0; is_first && v < width; v++)
                change[v] = factor * count[v];
            for (int v = 0; !is_first && v < width; v++)
                change[v] += factor * count[v];
            is_first = 0;
        }
        for (int v = 0; v < width; v++)
            back[v] -= change[v];
        for (int r = 0; r < n_rows; r++)
            column[listed[r] * row_length] -= ((const num *)change)[listed[r]];
        net->mark[j] = 0;
    }
}

/* Write some updates of W_l and B_l, or undo them; return the number of synapses changed by updates
 * that are written at once, which were not counted when they were noted. */
static int64_t write_some(struct network *net, struct layer *a, struct updates which)
{
    const int l = (int)(a - net->layer);
    int64_t n_changed = 0;
    for (int q = which.first; a->writes_at_once && q < which.first + which.n; q++)
        if (net->is.is_chip)
            write_rounded(net, a, q);
        else
            n_changed += write_connected(net, a, q, which.sign);
    count_work(net, 0, n_changed);
    if (which.n == 0 || a->writes_at_once)
        return n_changed;
    if (l == 1 && net->in_trains)
        write_from_trains(net);
    else if (l == 1 || net->is.has_random_feedback)
        write_rows(net, a, which);
    else
        write_columns(net, a, which);
    return 0;
}

/* Write the updates of a layer up to the n-th. */
static void write_up_to(struct network *net, struct layer *a, int n)
{
    struct pending *p = &a->pending;
    net->sample_updates += write_some(net, a, (struct updates){p->n_written, n - p->n_written, 1});
    p->n_written = n;
}

/* Undo the written updates of an open sample. A chip's samples are never refused. */
static void take_back(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        write_some(net, &net->layer[l], (struct updates){0, net->layer[l].pending.n_written, -1});
}

/* Begin a step, in which spikes and errors meet the updates that were noted before they were sent. */
static void meet_updates(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        struct pending *p = &a->pending;
        p->n_met = net->delay ? p->n_before : p->n;
        p->n_before = p->n;
        if (a->writes_at_once)
            write_up_to(net, a, p->n_met);
    }
}

/* Sum of the counts that a connection keeps, each times itself as it teaches. */
static num squares_of(const struct layer *a)
{
    const struct layer *below = a - 1;
    vec squares = {0};
    for (int i = 0; i < *below->n_active; i++)
        squares += a->pending.kept[below->active[i]] * a->pending.factor[i];
    return sum_of(squares);
}

/* Keep the update of W_l of a sample of one step waiting, unless rows change so often that writing
 * them now costs less, or counts are cut off: rows wait for their counts as they were sent. Write
 * B_l. */
static void keep_update(struct network *net, struct layer *a)
{
    enum { FINE = 256 }; /* so that moving averages of integers come near to what they follow */
    struct pending *p = &a->pending;
    const struct layer *below = a - 1;
    const int has_transpose = below > net->layer && !net->is.has_random_feedback;
    const int n_erring = p->first[1], width_below = has_transpose ? below->width : 0;
    const num rate = p->rate[0], squares = squares_of(a);
    const vec *restrict counts = p->factor;
    num *restrict waiting = (num *)p->waiting, *restrict s = (num *)a->s;
    int n_touched = 0, touched = -1;
    if (p->cuts)
        write_waiting(net, a); /* for the counts as they were sent */
    for (int i = 0; i < n_erring; i++) {
        const int j = p->unit[i];
        const num taught = rate * p->error[i];
        vec *restrict back = a->b + (int64_t)j * width_below;
        n_touched += j / LANES != touched, touched = j / LANES;
        waiting[j] += taught;
        s[j] -= squares * taught;
        for (int v = 0; v < width_below; v++)
            back[v] -= taught * counts[v];
    }
    if (has_transpose)
        count_work(net, 0, (int64_t)n_erring * below->n);
    p->rows_changed += (p->n_changed * a->width * FINE - p->rows_changed) / 16;
    p->rows_written += (p->n_factors * n_touched * FINE - p->rows_written) / 16;
    p->waits = 1;
    if (p->cuts || p->rows_changed >= p->rows_written)
        write_waiting_by(net, a, counts);
}

static void keep_updates(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        if (net->layer[l].pending.n > 0)
            keep_update(net, &net->layer[l]);
}

static void write_all_waiting(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        write_waiting(net, &net->layer[l]);
}

/* Write what waits, and keep no drive any more. */
static void stop_following(struct network *net)
{
    write_all_waiting(net);
    for (int l = 1; l <= net->is.n_layers; l++)
        net->layer[l].pending.is_kept = 0;
    net->x.are_kept = net->x.is_change = 0;
}

/* Write all that is pending. */
static void write_updates(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        write_up_to(net, &net->layer[l], net->layer[l].pending.n);
}

#endif
