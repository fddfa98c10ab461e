/* Single steps, of samples whose end is not known beforehand.
 *
 * If bounds do not prove a step in range, they are measured anew: those of weights, and those of
 * the sums of the sample so far. A step that they still do not prove is not shown, and leaves
 * nothing behind. With pipelined timing others may read and replace the weights between two steps.
 */
#ifndef SPIKEBP_STEPS_H
#define SPIKEBP_STEPS_H

#include "sample.h"

/* Measure all bounds within a sample whose updates are written. */
static void measure_all(struct network *net)
{
    const int L = net->is.n_layers;
    measure(net, 1);
    struct layer *input = &net->layer[0];
    net->age = 1; /* if it is undone, bounds are those of before */
    net->input_bound = input->drive_bound = 0;
    for (int i = 0; i < *input->active.n; i++) {
        const int v = input->active.index[i];
        net->input_bound = fmax(net->input_bound, largest(&input->s[v], 1));
        input->drive_bound = fmax(input->drive_bound, largest(&input->c[v], 1));
    }
    for (int l = 1; l <= L; l++)
        net->layer[l].drive_bound = largest_drive(net, &net->layer[l]);
    net->layer[L].target_bound = largest(net->layer[L].phi_y, net->layer[L].width);
}

/* Copy what a step changes before it is proven in range, or copy it back: but bounds, which are
 * measured then. What connections keep of the last step stays consistent by itself. */
static void keep_step(struct network *net, int is_back)
{
    const struct layer *input = &net->layer[0];
    const struct list due = sent_by(net, input);
    for (int i = 0; i < *due.n; i++) {
        const int v = due.index[i];
        vec *at[] = {&input->c[v], &input->s[v]}, *before = input->step_before + 2 * i;
        for (int j = 0; j < 2; j++)
            *(is_back ? at[j] : &before[j]) = *(is_back ? &before[j] : at[j]);
    }
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        vec *arrays[] = {a->c, a->s, l == net->is.n_layers ? a->phi_y : a->psi, a->arriving,
            a->arriving_back};
        for (int i = 0; l > 0 && i < (net->delay ? 5 : 3); i++) {
            vec *before = a->step_before + (int64_t)i * a->width;
            copy(is_back ? arrays[i] : before, is_back ? before : arrays[i], a->width);
        }
        struct counts_before *before = &a->counts_before;
        if (is_back) {
            a->sample = before->sent, a->pending.n = before->n_pending;
            a->most_arriving = before->most_arriving;
            a->most_arriving_back = before->most_arriving_back;
        } else
            *before = (struct counts_before){
                a->sample, a->pending.n, a->most_arriving, a->most_arriving_back};
    }
    *(is_back ? &net->sample_updates : &net->updates_before)
        = is_back ? net->updates_before : net->sample_updates;
}

/* Rules 1 to 5 of a step by bounds; 0, with nothing changed, if it may be out of range. */
static int try_step(struct network *net, struct shown_target target)
{
    keep_step(net, 0);
    if (compute_step(net, target)) {
        end_step(net);
        return 1;
    }
    keep_step(net, 1);
    return 0;
}

/* Show a step; 0, with nothing changed but bounds, if it may be out of range. Then the sample is
 * reopened, here or in wider numbers, or undone. */
static int show_step(struct network *net, struct shown_target target)
{
    const int64_t inputs_before = net->inputs_shown;
    make_room(net);
    net->inputs_shown += net->step < net->n_steps;
    if (try_step(net, target))
        return 1;
    write_updates(net, 1);
    measure_all(net);
    if (try_step(net, target))
        return 1;
    net->inputs_shown = inputs_before;
    return 0;
}

/* Open a sample if these steps are its first, and let it learn if they are its first with a target;
 * return the target of all of them. */
static struct shown_target begin_steps(struct network *net, struct block *block)
{
    if (block->opens) {
        prepare(net);
        net->has_one_step = 0;
        open_sample(net, 1, net->is.delay);
    }
    if (block->starts_learning)
        start_learning(net);
    block->opens = block->starts_learning = 0;
    if (block->y.kind == NONE)
        return (struct shown_target){0};
    return read_target(net, block, block->y.at);
}

/* Show steps of the same input and target, up to one that may be out of range. */
static void show_same(struct network *net, struct block *block)
{
    const struct shown_target target = begin_steps(net, block);
    read_row(net, block, 0, 0);
    activate_row(net);
    for (block->n_shown = 0; block->n_shown < block->n_steps; block->n_shown++) {
        if (net->delay) {
            net->step = (int32_t)(block->step + block->n_shown);
            net->n_steps = (int32_t)(block->n_inputs < INT32_MAX ? block->n_inputs : INT32_MAX);
        }
        if (!show_step(net, target))
            return;
    }
}

/* Close a sample of single steps, of which others may have written what it learns at its end; 0,
 * with nothing learned, if that may be out of range. */
static int close_steps(struct network *net, int learns, int is_written)
{
    if (learns && net->is.learns_once && !is_written && !learn_sample(net)) {
        forget_pending(net);
        measure_all(net);
        if (!learn_sample(net)) {
            forget_pending(net);
            return 0;
        }
    }
    close_sample(net, learns);
    return 1;
}

/* Open a sample in the middle, which was begun elsewhere: `counts` are those of `sample_counts`.
 * What was learned before lies here; the caller writes what the sample has. */
static void reopen(struct network *net, const int64_t *counts)
{
    prepare(net);
    net->has_one_step = 0;
    open_sample(net, 1, 0);
    for (int v = 0; v < net->layer[0].width; v++)
        place_in(net->layer[0].active, v), place_in(net->x.some, v);
    if (*counts++)
        keep_backward(net);
    net->sample_updates = *counts++;
    net->inputs_shown = *counts++;
    for (int l = 0; l <= net->is.n_layers; l++) {
        net->layer[l].sample = (struct sent){counts[0], counts[1], counts[2], counts[3],
            counts[4], counts[5], counts[6], counts[7]};
        counts += N_SENT;
        net->layer[l].weight_bound = INFINITY; /* so that the next step measures, or sample */
        net->layer[l].last.is_known = 0;
    }
}

#endif
