/* Single steps, of samples whose end is not known beforehand.
 *
 * A step is proven in range by bounds, with some updates pending. Other updates are written and stay
 * noted. Once there is no room to note more, layers keep the rows that change from then on as they
 * were before the sample, and the noted updates are forgotten. If bounds do not prove a step in range, they are measured anew:
 * those of weights, and those of the sums of the sample so far. A step that they still do not prove
 * is not shown. There is one row of spikes: that of the present step.
 *
 * With pipelined timing what a layer sends passes the weights in the step in which it is sent, before
 * they learn, and waits for the next step: others may read and replace the weights in between.
 */
#ifndef SPIKEBP_STEPS_H
#define SPIKEBP_STEPS_H

#include "sample.h"

/* Keep what weights were before the open sample from now on: then updates need not stay noted. */
static void back_up(struct network *net)
{
    if (net->is_settled)
        return;
    take_back(net);
    net->is_settled = 1;
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        if (a->wiring)
            copy(a->before.row, a->w, a->n_w), copy(a->before.row + a->n_w, a->b, a->n_b);
        write_some(net, a, (struct updates){0, a->pending.n_written, 1});
    }
}

/* Write the updates so far, and forget them. */
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
    measure(net, 1);
    net->age = 1; /* at the close: the bounds kept are those of before */
    struct layer *input = &net->layer[0];
    net->input_bound = input->drive_bound = 0;
    for (int i = 0; i < *input->n_active; i++) {
        net->input_bound = fmax(net->input_bound, largest(&input->s[input->active[i]], 1));
        input->drive_bound = fmax(input->drive_bound, largest(&input->c[input->active[i]], 1));
    }
    for (int l = 1; l <= L; l++)
        net->layer[l].drive_bound = largest_drive(net, &net->layer[l]);
    net->layer[L].target_bound = largest(net->layer[L].phi_y, net->layer[L].width);
}

/* Copy what a step changes before it is proven in range, or copy it back. */
static void keep_step(struct network *net, int is_back)
{
    const struct layer *input = &net->layer[0];
    const struct vector_list due = due_input(net);
    for (int i = 0; i < due.n; i++) {
        vec *at[] = {&input->c[due.index[i]], &input->s[due.index[i]]}, *kept = input->step_kept + 2 * i;
        for (int j = 0; j < 2; j++)
            *(is_back ? at[j] : &kept[j]) = *(is_back ? &kept[j] : at[j]);
    }
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        vec *arrays[] = {a->c, a->s, l == net->is.n_layers ? a->phi_y : a->psi};
        for (int i = 0; l > 0 && i < 3; i++) {
            vec *kept = a->step_kept + (int64_t)i * a->width;
            copy(is_back ? arrays[i] : kept, is_back ? kept : arrays[i], a->width);
        }
        struct kept_counts *kept = &a->kept;
        if (is_back) {
            a->sample = kept->sent;
            a->pending.n = kept->n_pending;
            a->drive_bound = kept->drive_bound, a->psi_bound = kept->psi_bound;
            a->target_bound = kept->target_bound, a->weight_bound = kept->weight_bound;
        } else
            *kept = (struct kept_counts){a->sample, a->pending.n, a->drive_bound, a->psi_bound,
                a->target_bound, a->weight_bound};
    }
    if (is_back)
        net->sample_updates = net->updates_kept, net->input_bound = net->input_bound_kept;
    else
        net->updates_kept = net->sample_updates, net->input_bound_kept = net->input_bound;
}

/* A row of targets, or null, and the largest magnitude in it. */
struct shown_row {
    const num *y;
    double largest_y;
};

static void be_silent(struct layer *a)
{
    a->n_fired[0] = 0, a->sent[0] = 0;
    for (int i = 0; i < *a->n_active; i++)
        a->k[a->active[i]] = splat(0);
}

/* Whether no sum of what all layers have sent can wrap. */
static int may_hand_over(const struct network *net)
{
    const double limit = sizeof(num) == 8 ? 0x1p61 : PROVEN;
    for (int l = 1; l <= net->is.n_layers; l++)
        if (!(gain_up(net, l) < limit && (l == 1 || gain_down(net, l) < limit)))
            return 0;
    return 1;
}

static void hand_over(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        hand_up(net, l);
        if (l > 1)
            hand_down(net, l);
    }
}

/* Rules 1 to 5 of a step by bounds; 0, with nothing changed, if it may be out of range. */
static int bounded_step(struct network *net, const struct shown_row *row)
{
    const int L = net->is.n_layers, d = net->delay;
    int may_go_on = 1;
    meet_updates(net);
    keep_step(net, 0);
    for (int l = 0; l <= L; l++) {
        const int t = net->step - d * l;
        if (t < 0 || t >= net->n_steps)
            be_silent(&net->layer[l]);
        else if (may_go_on)
            may_go_on = l == 0 ? fire_input(net, 0) : fire_layer(net, l, 0);
        send_none(&net->layer[l]);
        if (l > 0)
            clear(net->layer[l].e, net->layer[l].width);
    }
    if (may_go_on && row->y)
        may_go_on = send_all_errors(net, row->y, row->largest_y);
    if (may_go_on && net->hands_over)
        may_go_on = may_hand_over(net);
    if (may_go_on && row->y)
        may_go_on = learn_step(net);
    if (!may_go_on)
        keep_step(net, 1);
    else if (net->hands_over)
        hand_over(net); /* a step that is shown again still meets what was handed over before */
    return may_go_on;
}

/* Have room for the updates of a step, and few pending, which each step corrects what it sends by. */
static void make_room(struct network *net)
{
    enum { MOST_PENDING = 8 };
    int n_noted = 0, n_pending = 0;
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct pending *p = &net->layer[l].pending;
        n_noted = p->n > n_noted ? p->n : n_noted;
        n_pending = p->n - p->n_written > n_pending ? p->n - p->n_written : n_pending;
    }
    if (n_noted == net->is.most_steps || (net->is_settled && n_pending >= MOST_PENDING))
        settle(net);
    else if (n_pending >= MOST_PENDING)
        write_updates(net);
}

/* Show a step; 0, with nothing changed, if it may be out of range. */
static int show_step(struct network *net, const struct shown_row *row)
{
    const int64_t inputs_before = net->inputs_shown;
    make_room(net);
    net->inputs_shown += net->step < net->n_steps;
    if (bounded_step(net, row))
        return 1;
    settle(net);
    measure_all(net);
    if (bounded_step(net, row))
        return 1;
    net->inputs_shown = inputs_before;
    return 0;
}

/* Show the next step likewise; with delays what it learns is written at once, for what it has sent
 * has passed the weights of before. */
static int show_next(struct network *net, const struct shown_row *row, const struct block *block)
{
    if (!net->hands_over)
        return show_step(net, row);
    net->step = (int32_t)(block->step + block->n_shown);
    net->n_steps = (int32_t)(block->n_inputs < INT32_MAX ? block->n_inputs : INT32_MAX);
    if (!show_step(net, row))
        return 0;
    settle(net);
    return 1;
}

/* Open a sample if these steps are its first, and let it learn if they are its first with a target;
 * return what all of them show. */
static struct shown_row begin_steps(struct network *net, struct block *block)
{
    struct shown_row row = {0};
    if (block->opens) {
        prepare(net);
        net->in_trains = net->follows = 0;
        open_sample(net, 1, net->is.delay);
        net->hands_over = net->is.delay;
    }
    if (block->starts_learning)
        start_learning(net);
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
    read_row(net, block, 0, 0);
    activate_row(net);
    for (block->n_shown = 0; block->n_shown < block->n_steps; block->n_shown++)
        if (!show_next(net, &row, block))
            return;
}

/* Close a sample of single steps, of which others may have written what it learns at its end; 0, with
 * nothing learned, if that may be out of range. */
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

/* Open a sample in the middle, which was begun elsewhere: `counts` are those of `sample_counts`. What
 * was learned before lies here; the caller writes what the sample has. */
static void reopen(struct network *net, const int64_t *counts)
{
    prepare(net);
    net->in_trains = net->follows = 0;
    open_sample(net, 1, 0);
    for (int v = 0; v < net->layer[0].width; v++)
        activate(&net->layer[0], v);
    if (*counts++)
        keep_backward(net);
    back_up(net);
    net->sample_updates = *counts++;
    net->inputs_shown = *counts++;
    net->input_bound = INFINITY; /* so that the first step measures */
    for (int l = 0; l <= net->is.n_layers; l++) {
        net->layer[l].sample = (struct sent){counts[0], counts[1], counts[2], counts[3],
            counts[4], counts[5], counts[6], counts[7]};
        counts += N_SENT;
        net->layer[l].drive_bound = net->layer[l].target_bound = INFINITY;
        net->layer[l].psi_bound = net->layer[l].weight_bound = INFINITY;
    }
}

#endif
