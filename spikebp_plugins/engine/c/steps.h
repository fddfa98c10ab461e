/* Single steps, of samples whose end is not known beforehand.
 *
 * A step goes the way of bounds, with updates pending; where their room is full, they are written,
 * for which what was learned before is kept. Where bounds do not prove a step, they are measured
 * anew: those of weights, and those of what the sample has summed up so far. A step that they do not
 * prove then either is shown by the exact path (in 64 bits), or not at all. There is one row of
 * spikes: that of the present step. All this needs a backup.
 */
#ifndef SPIKEBP_STEPS_H
#define SPIKEBP_STEPS_H

#include "exact.h"

/* Keep what was learned before. */
static void back_up(struct network *net)
{
    if (!net->is_settled)
        keep_learned(net, 0);
}

static void forget_pending(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        net->layer[l].pending.n = 0;
}

/* Write the updates so far. */
static void settle(struct network *net)
{
    back_up(net);
    write_updates(net);
    forget_pending(net);
}

/* Measure all bounds within a sample whose updates are written. */
static void measure_all(struct network *net)
{
    const int L = net->is.n_layers;
    measure(net);
    net->age = 1; /* at the close: the bounds kept are those of before */
    net->input_bound = largest(net->layer[0].s, net->layer[0].width);
    net->layer[0].drive_bound = largest(net->layer[0].c, net->layer[0].width);
    for (int l = 1; l <= L; l++)
        net->layer[l].drive_bound = largest(net->layer[l].s, net->layer[l].width);
    net->layer[L].target_bound = largest(net->layer[L].phi_y, net->layer[L].width);
}

/* Copy what a step changes before its range is certain, or copy it back. */
static void keep_step(struct network *net, int is_back)
{
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        vec *arrays[] = {a->s, a->c, a->phi_y, a->sum, l > 0 ? a->psi : NULL};
        const size_t size = (size_t)a->width * sizeof(vec);
        for (int i = 0; i < 5 && arrays[i]; i++)
            if (is_back)
                memcpy(arrays[i], a->step_kept + (int64_t)i * a->width, size);
            else
                memcpy(a->step_kept + (int64_t)i * a->width, arrays[i], size);
        struct kept_counts *kept = &a->kept;
        if (is_back) {
            a->sample_spikes = kept->spikes, a->sample_errors = kept->errors;
            a->pending.n = kept->n_pending;
            a->drive_bound = kept->drive_bound, a->psi_bound = kept->psi_bound;
            a->target_bound = kept->target_bound, a->weight_bound = kept->weight_bound;
        } else
            *kept = (struct kept_counts){a->sample_spikes, a->sample_errors, a->pending.n,
                a->drive_bound, a->psi_bound, a->target_bound, a->weight_bound};
    }
    if (is_back)
        net->sample_updates = net->updates_kept, net->input_bound = net->input_bound_kept;
    else
        net->updates_kept = net->sample_updates, net->input_bound_kept = net->input_bound;
}

/* What is shown in steps: input, and a target or null, with the largest magnitudes in them. */
struct shown_row {
    const num *x, *y;
    double largest_x, largest_y;
};

/* Rules 1 to 5 of a step by bounds; 0, with nothing changed, if it may be out of range. */
static int bounded_step(struct network *net, const struct shown_row *row)
{
    keep_step(net, 0);
    int is_in_range = fire_input(net, row->x, row->largest_x, 0);
    for (int l = 1; is_in_range && l <= net->is.n_layers; l++)
        is_in_range = fire_layer(net, l, 0);
    if (is_in_range && row->y)
        is_in_range = send_errors(net, row->y, row->largest_y, 0) && learn_step(net, 0);
    if (!is_in_range)
        keep_step(net, 1);
    return is_in_range;
}

static int has_room(const struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        if (net->layer[l].pending.n == net->is.most_steps)
            return 0;
    return 1;
}

/* Show a step; 0, with nothing changed, if it may be out of range, and in 64 bits if it is. */
static int show_step(struct network *net, const struct shown_row *row)
{
    if (!has_room(net))
        settle(net);
    if (bounded_step(net, row))
        return 1;
    settle(net);
    measure_all(net);
    if (bounded_step(net, row))
        return 1;
    if (sizeof(num) == 4)
        return 0;
    keep_step(net, 0);
    if (!exact_step(net, row->x, row->y)) {
        keep_step(net, 1);
        return 0;
    }
    measure_all(net);
    return 1;
}

/* Open a sample if these steps are its first, and let it learn if they are its first with a target;
 * return what all of them show. */
static struct shown_row begin_steps(struct network *net, struct block *block)
{
    struct shown_row row = {.x = block->x_row};
    if (block->opens) {
        prepare(net);
        net->in_trains = 0;
        open_sample(net, 1);
    }
    if (block->starts_learning)
        start_learning(net, block->drawn);
    block->opens = block->starts_learning = 0;
    if (block->y.kind != NONE) {
        row.largest_y = read_target(net, block, block->y.at);
        row.y = block->y_row;
    }
    return row;
}

/* Show steps of the same input and target, up to one that may be out of range. */
static void show_same(struct network *net, struct block *block)
{
    struct shown_row row = begin_steps(net, block);
    row.largest_x = read_input(net, block, block->x.at);
    for (block->n_shown = 0; block->n_shown < block->n_steps; block->n_shown++)
        if (!show_step(net, &row))
            return;
}

/* Close a sample of single steps; 0, with nothing learned, if that may be out of range, and in 64
 * bits if it is. */
static int close_steps(struct network *net, int learns)
{
    if (learns && net->is.update != FRACTIONAL && !learn_sample(net)) {
        forget_pending(net);
        back_up(net);
        measure_all(net);
        if (!learn_sample(net)) {
            forget_pending(net);
            if (sizeof(num) == 4 || !exact_learn_sample(net))
                return 0;
            net->age = HUGE_AGE;
        }
    }
    close_sample(net, learns);
    return 1;
}

/* Show sample i by the exact path; 0, with nothing changed, if a value is out of range. */
static int show_exactly(struct network *net, const struct block *block, int64_t i)
{
    const int learns = block->y.kind != NONE;
    int t = 0, is_in_range = 1;
    prepare(net);
    net->in_trains = 0;
    open_sample(net, block->n_steps);
    if (learns) {
        start_learning(net, block->drawn ? block->drawn + i * block->drawn_length : NULL);
        back_up(net);
    }
    while (t < block->n_steps && is_in_range) {
        read_input(net, block, row_of(&block->x, i, t));
        if (learns)
            read_target(net, block, row_of(&block->y, i, t));
        is_in_range = exact_step(net, block->x_row, learns ? block->y_row : NULL);
        if (is_in_range && block->spikes)
            record_step(net, block, i, t, 0);
        t++;
        if (is_in_range && block->until_lead && lead(net, t - 1) >= block->margin)
            break;
    }
    if (is_in_range && learns && net->is.update != FRACTIONAL)
        is_in_range = exact_learn_sample(net);
    net->age = HUGE_AGE; /* bounds follow no weights that change at once */
    if (!is_in_range) {
        undo(net);
        return 0;
    }
    end_sample(net, block, i, t);
    return 1;
}

/* Open a sample in the middle, which another network has begun: `counts` are those of
 * `sample_counts`. What was learned before lies here; the caller writes what the sample has. */
static void reopen(struct network *net, const int64_t *counts)
{
    prepare(net);
    net->in_trains = 0;
    open_sample(net, 1);
    if (*counts++)
        keep_backward(net);
    back_up(net);
    net->sample_updates = *counts++;
    net->input_bound = INFINITY; /* so that the first step measures */
    for (int l = 0; l <= net->is.n_layers; l++) {
        net->layer[l].sample_spikes = *counts++, net->layer[l].sample_errors = *counts++;
        net->layer[l].drive_bound = net->layer[l].target_bound = INFINITY;
        net->layer[l].psi_bound = net->layer[l].weight_bound = INFINITY;
    }
}

#endif
