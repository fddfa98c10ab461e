/* A sample: it is opened, shown for some steps, and closed, which writes its updates; or
 * forgotten. */
#ifndef SPIKEBP_SAMPLE_H
#define SPIKEBP_SAMPLE_H

#include "learning.h"

/* A row of targets in units of 2^-f, or null, and the largest magnitude in it. */
struct shown_target {
    const num *y;
    double largest_y;
};

static struct shown_target read_target(const struct network *net, const struct block *block,
    const void *row)
{
    const double one = (double)net->one, far = farthest();
    const int n = net->layer[net->is.n_layers].n;
    double top = 0;
    for (int j = 0; j < n; j++) {
        double y = block->y.kind == LABELS ? block->label_targets[j == *(const int64_t *)row]
                                           : ((const double *)row)[j];
        block->y_row[j] = encoded(y, one, far);
        double size = fabs((double)block->y_row[j]);
        top = size > top ? size : top;
    }
    return (struct shown_target){block->y_row, top};
}

/* The largest weight of W_1, of which only rows have changed that are listed. */
static double largest_by_rows(const struct network *net)
{
    const struct layer *a = &net->layer[1];
    double top = net->measured;
    for (int r = 0; r < *net->changed.n; r++)
        top = fmax(top, largest(a->w + (int64_t)net->changed.index[r] * a->width, a->width));
    return top;
}

/* Measure bounds. That of W_1 by rows stays what it is if the largest becomes smaller: then, where
 * it proves too little, all are measured. */
static void measure(struct network *net, int is_whole)
{
    const int by_rows = !is_whole && !net->layer[1].wiring && isfinite(net->measured);
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        write_waiting(net, a);
        a->weight_bound = l == 1 && by_rows ? largest_by_rows(net) : largest(a->w, a->n_w);
        a->psi_bound = largest(a->psi, a->width);
        if (net->is.has_random_feedback)
            a->feedback_bound = largest(a->b, a->n_b);
    }
    empty(net->changed);
    net->measured = net->layer[1].weight_bound;
    net->age = by_rows;
}

static void copy(vec *to, const vec *from, int64_t n) { memcpy(to, from, (size_t)n * sizeof(vec)); }

static void forget_pending(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        net->layer[l].pending.n = 0;
}

/* Forget what a sample has learned so far. */
static void undo(struct network *net)
{
    restore_weights(net);
    forget_weights(net);
    forget_pending(net);
    for (int l = 1; net->is_taught && l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->weight_bound = a->weight_bound_before;
        a->psi_bound = a->psi_bound_before;
        copy(a->psi, a->psi_before, a->width);
    }
    net->is_taught = 0;
}

/* Return to the end of the last sample: undo what an interrupt has left, and measure bounds if
 * due. */
static void prepare(struct network *net)
{
    undo(net);
    if (net->age >= SAMPLES_PER_BOUND)
        measure(net, 0);
}

/* Forget the input of the sample before. */
static void forget_input(struct network *net)
{
    struct layer *input = &net->layer[0];
    for (int i = 0; i < *input->active.n; i++) {
        const int v = input->active.index[i];
        input->s[v] = input->c[v] = input->k[v] = splat(0);
    }
    empty(input->active), empty(net->x.some);
}

static void open_sample(struct network *net, int n_steps, int delay)
{
    const int L = net->is.n_layers;
    net->n_steps = n_steps, net->step = 0, net->inputs_shown = 0, net->delay = delay;
    net->sample_updates = 0;
    net->input_bound = 0;
    if (!net->has_one_step) {
        write_all_waiting(net);
        net->x.are_kept = net->x.is_change = 0;
    }
    if (!net->x.is_change)
        forget_input(net);
    for (int l = 0; l <= L; l++) {
        struct layer *a = &net->layer[l];
        a->drive_bound = a->target_bound = 0;
        a->sample = (struct sent){0};
        if (l == 0)
            continue;
        send_none(a);
        a->most_arriving = a->most_arriving_back = 0;
        clear(a->c, a->width), clear(a->s, a->width);
        if (net->is.is_chip)
            clear(a->phi, a->width);
        if (delay)
            clear(a->arriving, a->width), clear(a->arriving_back, a->width);
    }
}

/* Let a sample learn from now on: keep the backward potentials that were before. */
static void keep_backward(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->weight_bound_before = a->weight_bound;
        clear(a->phi_y, a->width), clear(a->sum, a->width);
        a->psi_bound_before = a->psi_bound;
        copy(a->psi_before, a->psi, a->width);
    }
    net->is_taught = 1;
}

/* And write those that it starts from. */
static void start_learning(struct network *net)
{
    keep_backward(net);
    for (int l = 1; l < net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        if (net->is.starts_at_zero)
            clear(a->psi, a->width), a->psi_bound = 0;
    }
}

/* Write what layers have sent in this step to the record of sample i, under the step of input that
 * it belongs to. */
static void record_step(const struct network *net, const struct block *block, int64_t i)
{
    const int L = net->is.n_layers, T = net->n_steps, n = net->layer[L].n;
    int64_t units = 0, first = 0;
    for (int l = 0; l <= L; l++)
        units += net->layer[l].n;
    for (int l = 0; l <= L; first += net->layer[l++].n) {
        const struct layer *a = &net->layer[l];
        const size_t size = (size_t)a->n * sizeof(num);
        const int t = net->step - net->delay * l, of_error = net->step - net->delay * (2 * L - l);
        if (t >= 0 && t < T)
            memcpy(block->spikes + (i * T + t) * units + first, a->k, size);
        if (block->y.kind != NONE && l > 0 && a->n_erring > 0) /* the record holds zeros */
            memcpy(block->errors + (i * T + of_error) * units + first, a->e, size);
    }
    const int shown = net->step - net->delay * L;
    const num *s = (const num *)net->layer[L].s;
    for (int j = 0; j < n && shown >= 0 && shown < T; j++)
        block->step_scores[(i * T + shown) * n + j] =
            (double)s[j] / (double)net->one / (shown + 1);
}

/* How far the largest summed drive of the output, or that of sample i's label, is above all others,
 * in spikes. */
static double lead(const struct network *net, const struct block *block, int64_t i)
{
    const int n = net->layer[net->is.n_layers].n;
    const num *s = (const num *)net->layer[net->is.n_layers].s;
    int64_t first = 0;
    if (block->y.kind == LABELS)
        first = *(const int64_t *)row_of(&block->y, i, 0);
    else
        for (int j = 1; j < n; j++)
            first = s[j] > s[first] ? j : first;
    int64_t second = first == 0;
    for (int j = 0; j < n; j++)
        second = j != first && s[j] > s[second] ? j : second;
    return (double)((int64_t)s[first] - (int64_t)s[second]) / (double)net->one;
}

/* Rules 1 and 2 of layer l; 0 if they may be out of range. */
static int send_spikes(struct network *net, int l)
{
    if (!net->is.is_chip)
        return l == 0 ? fire_input(net) : fire_layer(net, l);
    if (l == 0)
        chip_input(net);
    else
        chip_layer(net, l);
    return 1;
}

static void be_silent(const struct network *net, struct layer *a)
{
    const struct list before = sent_by(net, a);
    a->n_fired = 0, a->sent = 0;
    for (int i = 0; i < *before.n; i++)
        a->k[before.index[i]] = splat(0);
}

/* Rules 3 and 4 of layer l; 0 if they may be out of range. */
static int send_errors(struct network *net, struct shown_target target, int l)
{
    struct layer *a = &net->layer[l];
    const int is_output = l == net->is.n_layers;
    if (net->is.is_chip) {
        if (is_output)
            chip_output_error(net, target.y);
        else
            chip_err(net, l);
    } else if (!(is_output ? output_error(net, target.y, target.largest_y) : err_layer(net, l)))
        return 0;
    a->sample.error_messages += a->n_erring;
    return !__builtin_add_overflow(a->sample.errors, a->errors_sent, &a->sample.errors)
        && (net->is.is_chip || (double)a->sample.errors < MOST_COUNTED);
}

/* Whether no sum of what all layers have sent can wrap. */
static int may_arrive(const struct network *net)
{
    const double limit = sizeof(num) == 8 ? 0x1p61 : PROVEN;
    for (int l = 1; l <= net->is.n_layers; l++)
        if (!(net->layer[l].most_arriving < limit && net->layer[l].most_arriving_back < limit))
            return 0;
    return 1;
}

/* Let what is sent to layer l now arrive there in the next step. */
static void let_arrive(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    a->most_arriving = most_received_drive(net, l);
    clear(a->arriving, a->width);
    receive_drive(net, l, a->arriving);
    if (l == net->is.n_layers)
        return;
    a->most_arriving_back = most_received_errors(net, l);
    clear(a->arriving_back, a->width);
    receive_errors(net, l, a->arriving_back);
}

/* Rules 1 to 5 in a step by bounds; 0 if it may be out of range. With delays layers have received
 * what was sent in the step before, and what they send passes the weights before these learn. */
static int compute_step(struct network *net, struct shown_target target)
{
    const int L = net->is.n_layers, d = net->delay, T = net->n_steps;
    for (int l = 0; l <= L; l++) {
        const int t = net->step - d * l;
        if (t < 0 || t >= T)
            be_silent(net, &net->layer[l]);
        else if (!send_spikes(net, l))
            return 0;
    }
    for (int i = 1; i <= L; i++) {
        const int l = d ? i : L + 1 - i; /* what the layer above has sent before, or now */
        const int t = net->step - d * (2 * L - l);
        if (!target.y || t < 0 || t >= T)
            send_none(&net->layer[l]);
        else if (!send_errors(net, target, l))
            return 0;
    }
    for (int l = 1; d && l <= L; l++)
        let_arrive(net, l);
    return (!d || net->is.is_chip || may_arrive(net)) && (!target.y || learn_step(net));
}

/* Write the updates that may not wait, of a step that is over. */
static void end_step(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        if (net->layer[l].wiring || net->is.is_chip)
            write_layer(net, &net->layer[l], 1);
}

/* Have room for the updates of a step. */
static void make_room(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++)
        if (net->layer[l].pending.n == net->is.most_pending)
            write_layer(net, &net->layer[l], 1);
}

/* Show a sample; return the steps shown, or 0 if it may be out of range. */
static int show_steps(struct network *net, const struct block *block, int64_t i)
{
    const int learns = block->y.kind != NONE, L = net->is.n_layers, T = net->n_steps;
    const int d = net->delay, duration = T + d * (2 * L - 1);
    struct shown_target target = {0};
    for (net->step = 0; net->step < duration; net->step++) {
        const int t = net->step, of_target = t - d * L;
        make_room(net);
        net->inputs_shown += t < T;
        if (t == 0 || (t < T && block->x.step_apart != 0)) {
            read_row(net, block, i, t);
            activate_row(net);
        }
        if (learns && (t == 0 || (of_target > 0 && of_target < T && block->y.step_apart != 0)))
            target = read_target(net, block, row_of(&block->y, i, of_target > 0 ? of_target : 0));
        if (!compute_step(net, target))
            return 0;
        end_step(net);
        if (block->spikes)
            record_step(net, block, i);
        if (block->until_lead && lead(net, block, i) >= block->margin) {
            net->n_steps = t + 1;
            break;
        }
    }
    return learns && net->is.learns_once && !learn_sample(net) ? 0 : net->n_steps;
}

/* Write the scores of a sample so far. */
static void write_scores(const struct network *net, double *scores, int64_t n_steps)
{
    const struct layer *a = &net->layer[net->is.n_layers];
    for (int j = 0; j < a->n; j++)
        scores[j] = (double)((const num *)a->s)[j] / (double)net->one / (double)n_steps;
}

/* What a layer has sent, in the order in which Python reads it. */
static void all_sent(const struct sent *sent, big *to)
{
    to[0] = sent->spikes, to[1] = sent->errors;
    to[2] = sent->messages, to[3] = sent->error_messages;
    to[4] = sent->up, to[5] = sent->down;
    to[6] = sent->messages_up, to[7] = sent->messages_down;
}

/* Count a sample that has ended, and write what it has learned. */
static void close_sample(struct network *net, int learns)
{
    for (int l = 1; learns && l <= net->is.n_layers; l++)
        if (net->has_one_step && net->layer[l].pending.n > 0)
            wait_for_next(net, &net->layer[l]);
        else
            write_layer(net, &net->layer[l], 0);
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        big sent[N_SENT];
        all_sent(&a->sample, sent);
        for (int i = 0; i < N_SENT; i++)
            a->so_far[i] += sent[i];
    }
    forget_pending(net);
    forget_weights(net);
    net->is_taught = 0;
    net->updates += net->sample_updates;
    net->shown++;
    net->trained += learns;
    net->age += learns;
}

/* Write a count by its low 63 bits and the others; return what is behind it. */
static int64_t *write_count(big count, int64_t *to)
{
    *to++ = (int64_t)(count & INT64_MAX), *to++ = (int64_t)(count >> 63);
    return to;
}

/* The synaptic operations of the last sample. */
static big operations_of_sample(const struct network *net)
{
    big total = net->sample_updates;
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct layer *a = &net->layer[l], *below = a - 1;
        total += a->wiring ? a->sample.up : (big)below->sample.spikes * a->n;
        if (l > 1)
            total += a->wiring ? a->sample.down : (big)a->sample.errors * below->n;
    }
    return total;
}

/* End sample i after so many steps. */
static void end_sample(struct network *net, const struct block *block, int64_t i, int shown)
{
    write_scores(net, block->scores + i * net->layer[net->is.n_layers].n, shown);
    close_sample(net, block->y.kind != NONE);
    if (block->until_lead) {
        block->steps_shown[i] = shown;
        write_count(operations_of_sample(net), block->operations + 2 * i);
    }
}

/* Show sample i; 0, with nothing changed, if it may be out of range. */
static int show_sample(struct network *net, const struct block *block, int64_t i)
{
    const int learns = block->y.kind != NONE;
    net->has_one_step = may_have_one_step(net) && block->n_steps == 1;
    net->x.is_change = net->has_one_step && net->x.are_kept && are_bytes(&block->x);
    open_sample(net, block->n_steps, learns ? net->is.delay : 0);
    if (learns)
        start_learning(net);
    net->n_learned = block->n_learned + net->trained;
    const int shown = show_steps(net, block, i);
    if (shown > 0)
        end_sample(net, block, i, shown);
    else
        undo(net), net->x.are_kept = 0; /* not all layers have seen what has changed */
    return shown;
}

#endif
