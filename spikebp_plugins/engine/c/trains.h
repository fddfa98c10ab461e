/* Constant input of graded spikes: the spikes of all steps are known beforehand.
 *
 * A unit of layer 0 with the input x has sent C_t = signed(t x) spikes after step t: its train. Units
 * of equal trains are a group. Trains are told apart by their labels, the sums of C_t over t.
 *
 * With the groups in the order of labels, and D_g = C of group g less C of the group before, the
 * summed drive of layer 1 after step t is, by summation by parts,
 *
 *     s_1 = sum over groups g of D_g,t (sum of the rows of W_1 of all units in groups g, g + 1, ..),
 *
 * so each row is read once for all steps; D_g is zero in most steps. What an update in step p, with
 * errors e_p, changes in s_1 after a later step t is
 *
 *     rate e_p (sum over units of C_p C_t - sum over units of C_p C_p),
 *
 * since what was sent up to step p has met the weights of before. That is added at once. At the
 * close all rows of a group change alike, by the change of the group before and D_g.
 */
#ifndef SPIKEBP_TRAINS_H
#define SPIKEBP_TRAINS_H

#include "rows.h"

/* How many spikes a potential sends, of either sign: sgn(v) ceil(|v| - 1/2). */
INLINE num signed_spikes(num v, num half, int bits) { return (v + half - (v > 0)) >> bits; }

/* Write the labels of n values, a multiple of LANES; 0 if one is too large. */
static int find_labels(struct network *net, const num *value, num *label, int n)
{
    const int T = net->trains.n_steps, bits = net->is.bits;
    num low = 0, high = 0;
    vec bottom = {0}, top = {0};
    for (int i = 0; i < n; i++) {
        low = value[i] < low ? value[i] : low;
        high = value[i] > high ? value[i] : high;
    }
    const double bound = -(double)low > (double)high ? -(double)low : (double)high;
    if (!(bound * T < PROVEN
            && (bound * T / (double)net->one + 1) * net->layer[0].n < MOST_COUNTED))
        return 0;
    for (int i = 0; i < n; i += LANES) {
        vec v = *(const vec *)(value + i), reached = splat(net->half) + (v > 0), total = {0};
        for (int t = 0; t < T; t++) {
            reached += v;
            total += reached >> bits;
        }
        *(vec *)(label + i) = total;
        bottom = least(bottom, total);
        top = most(top, total);
    }
    return largest_of(-bottom) <= MOST_LABEL && largest_of(top) <= MOST_LABEL;
}

/* Write the train of a label that is met for the first time; 0 if there is no room for it. */
static int know_train(struct network *net, num label, num value)
{
    struct trains *r = &net->trains;
    int32_t *known = &r->of_label[label + MOST_LABEL];
    if (*known)
        return 1;
    if (r->n_known + 1 == r->most_known)
        return 0;
    *known = ++r->n_known;
    num *count = r->train + (int64_t)*known * r->length, before = 0;
    num *messages = r->messages + (int64_t)*known * r->length, n_messages = 0;
    for (int t = 1; t <= r->length; t++) {
        count[t - 1] = t <= r->n_steps ? signed_spikes(t * value, net->half, net->is.bits) : 0;
        messages[t - 1] = n_messages += count[t - 1] != before;
        before = count[t - 1];
    }
    return 1;
}

/* Forget trains of another length than samples have now. */
static void prepare_trains(struct network *net)
{
    struct trains *r = &net->trains;
    if (r->n_steps == net->n_steps)
        return;
    memset(r->of_label, 0, sizeof *r->of_label * (2 * MOST_LABEL + 1));
    r->n_known = 0;
    r->n_steps = net->n_steps;
}

/* Count the units of each label among the active ones, `label_of` which is given. */
static void count_labels(struct trains *r, int n_active)
{
    int32_t low = MOST_LABEL, high = MOST_LABEL;
    for (int a = 0; a < n_active; a++) {
        int32_t at = r->label_of[a];
        r->rank[a] = (int32_t)r->slot[at]++;
        low = at < low ? at : low;
        high = at > high ? at : high;
    }
    r->n_active = n_active, r->low = low, r->high = high;
}

/* Label the row of input that was read; 0 if it is not for trains. */
static int label_row(struct network *net)
{
    struct trains *r = &net->trains;
    const struct row *x = &net->x;
    const int n = *x->n;
    int n_active = 0;
    for (int i = 0; i < n; i++) {
        const int found = list_nonzero(x->numbers[i], x->index[i] * LANES, r->active + n_active);
        write_nonzero(x->numbers[i], found, r->value + n_active);
        n_active += found;
    }
    const int padded = n_vectors(n_active) * LANES;
    for (int a = n_active; a < padded; a++)
        r->value[a] = 0;
    if (!find_labels(net, r->value, r->label, padded))
        return 0;
    for (int a = 0; a < n_active; a++) {
        if (!know_train(net, r->label[a], r->value[a]))
            return 0;
        r->label_of[a] = (int32_t)r->label[a] + MOST_LABEL;
    }
    count_labels(r, n_active);
    return 1;
}

/* Sort the active units by train, and find where trains leave those of the groups before. */
static void sort_units(struct network *net)
{
    struct trains *r = &net->trains;
    const int width = (r->n_steps + LANES - 1) / LANES;
    num *slot = r->slot;
    const num *before = r->train; /* the train of silence */
    int32_t found[16], end = 0;
    int n_groups = 0, n_jumps = 0;
    slot[MOST_LABEL] = 0; /* silent units are in no group */
    for (int v = 0; v < width; v++)
        r->sent_by[v] = r->messages_by[v] = splat(0);
    for (int first = r->low / LANES * LANES; first <= r->high; first += LANES) {
        int n = list_nonzero(*(vec *)(slot + first), first, found);
        for (int i = 0; i < n; i++) {
            int at = found[i];
            num size = slot[at];
            const int64_t row = (int64_t)r->of_label[at] * r->length;
            const num *train = r->train + row;
            const vec *messages = (const vec *)(r->messages + row);
            r->train_in[n_groups] = r->of_label[at];
            r->start[n_groups] = end;
            r->jump_first[n_groups++] = n_jumps;
            slot[at] = end;
            end += (int32_t)size;
            for (int v = 0; v < width; v++) {
                vec now = ((const vec *)train)[v], jump = now - ((const vec *)before)[v];
                r->sent_by[v] += magnitude(now) * size;
                r->messages_by[v] += messages[v] * size;
                int n_found = list_nonzero(jump, v * LANES, r->jump_step + n_jumps);
                write_nonzero(jump, n_found, r->jump + n_jumps);
                n_jumps += n_found;
            }
            before = train;
        }
    }
    r->start[n_groups] = end;
    r->jump_first[n_groups] = n_jumps;
    r->n_groups = n_groups;
    slot[MOST_LABEL] = end; /* silent units come behind the others */
    for (int a = 0; a < r->n_active; a++)
        r->member[slot[r->label_of[a]] + r->rank[a]] = r->active[a];
    slot[MOST_LABEL] = 0;
    for (int first = r->low / LANES * LANES; first <= r->high; first += LANES)
        *(vec *)(slot + first) = splat(0);
}

/* Write the spikes of layer 0 in step t. */
static void spikes_of_trains(const struct network *net, int t, num *to)
{
    const struct trains *r = &net->trains;
    memset(to, 0, (size_t)net->layer[0].n * sizeof *to);
    for (int g = 0; g < r->n_groups; g++) {
        const num *train = r->train + (int64_t)r->train_in[g] * r->length;
        const num now = t > 0 ? train[t] - train[t - 1] : train[0];
        for (int m = r->start[g]; m < r->start[g + 1]; m++)
            to[r->member[m]] = now;
    }
}

/* The summed drive of n vectors of layer 1 after each step. */
INLINE void prepare_part(const int n, int v, void *work)
{
    const struct network *net = work;
    const struct trains *r = &net->trains;
    const int64_t width = net->layer[1].width;
    const vec *w = net->layer[1].w + v;
    vec total[16], *drive = r->drive + v;
    EACH(i, n) total[i] = splat(0);
    for (int t = 0; t < net->n_steps; t++)
        EACH(i, n) drive[t * width + i] = splat(0);
    for (int g = r->n_groups - 1; g >= 0; g--) {
        for (int m = r->start[g]; m < r->start[g + 1]; m++) {
            const vec *row = w + r->member[m] * width;
            EACH(i, n) total[i] += row[i];
        }
        for (int q = r->jump_first[g]; q < r->jump_first[g + 1]; q++) {
            vec *to = drive + r->jump_step[q] * width;
            num jump = r->jump[q];
            if (jump == 1)
                EACH(i, n) to[i] += total[i];
            else
                EACH(i, n) to[i] += jump * total[i];
        }
    }
}

/* Return the largest count of an input after step t; *n_units is how many have one. */
static num largest_of_trains(const struct trains *r, int t, int64_t *n_units)
{
    num top = 0;
    *n_units = 0;
    for (int g = 0; g < r->n_groups; g++) {
        num count = r->train[(int64_t)r->train_in[g] * r->length + t];
        num size = count < 0 ? -count : count;
        top = size > top ? size : top;
        *n_units += count ? r->start[g + 1] - r->start[g] : 0;
    }
    return top;
}

/* Write the sums over units of C_t C_u, for all steps u from t on. */
static void find_products(struct trains *r, int t, int n_steps)
{
    for (int v = t / LANES; v <= (n_steps - 1) / LANES; v++) {
        vec total = {0};
        for (int g = 0; g < r->n_groups; g++) {
            const num *train = r->train + (int64_t)r->train_in[g] * r->length;
            total += (r->start[g + 1] - r->start[g]) * train[t] * ((const vec *)train)[v];
        }
        r->product[v] = total;
    }
}

/* Correct the drive of later steps by the last update, of step t. */
static void correct_later_drive(struct network *net, int t, int n_steps)
{
    struct trains *r = &net->trains;
    const struct layer *a = &net->layer[1];
    const struct pending *p = &a->pending;
    const num *product = (const num *)r->product;
    find_products(r, t, n_steps);
    const int32_t *restrict unit = p->unit;
    const num *restrict error = p->error;
    const int from = p->first[p->n - 1], stop = p->first[p->n];
    for (int later = t + 1; later < n_steps; later++) {
        num change = p->rate[p->n - 1] * (product[later] - product[t]);
        num *restrict drive = (num *)(r->drive + (int64_t)later * a->width);
        for (int i = from; i < stop; i++)
            drive[unit[i]] -= change * error[i];
    }
}

/* What `write_from_trains` hands to its parts. */
struct train_writes {
    struct network *net;
    int n_touched;
};

INLINE void write_part(const int n, int q, void *work)
{
    const struct train_writes *writing = work;
    const struct network *net = writing->net;
    const struct trains *r = &net->trains;
    const int64_t width = net->layer[1].width;
    const int n_touched = writing->n_touched;
    const vec *matrix = (const vec *)net->matrix + q;
    vec change[16], *w = net->layer[1].w;
    int64_t at[16];
    EACH(i, n) change[i] = splat(0), at[i] = net->touched[q + i];
    for (int g = 0; g < r->n_groups; g++) {
        for (int j = r->jump_first[g]; j < r->jump_first[g + 1]; j++) {
            int p = r->update_of_step[r->jump_step[j]];
            if (p >= 0)
                EACH(i, n) change[i] += r->jump[j] * matrix[(int64_t)p * n_touched + i];
        }
        for (int m = r->start[g]; m < r->start[g + 1]; m++) {
            vec *row = w + r->member[m] * width;
            EACH(i, n) row[at[i]] -= change[i];
        }
    }
}

#endif
