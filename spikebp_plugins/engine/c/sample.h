/* A sample: it is opened, shown for some steps, and closed, which writes its updates; or forgotten. */
#ifndef SPIKEBP_SAMPLE_H
#define SPIKEBP_SAMPLE_H

#include "changes.h"

/* Write a row of targets in units of 2^-f; return its largest magnitude. */
static double read_target(const struct network *net, const struct block *block, const void *row)
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
    return top;
}

/* The largest weight of W_1, of which only rows have changed that are listed. */
static double largest_by_rows(const struct network *net)
{
    const struct layer *a = &net->layer[1];
    const struct changed_rows *changed = net->changed;
    double top = net->measured;
    for (int r = 0; r < changed->n; r++)
        top = fmax(top, largest(a->w + (int64_t)changed->unit[r] * a->width, a->width));
    return top;
}

/* Measure bounds. That of W_1 by rows stays what it is if the largest becomes smaller: then, where it
 * proves too little, all are measured. */
static void measure(struct network *net, int is_whole)
{
    struct changed_rows *changed = net->changed;
    const int by_rows = !is_whole && !net->layer[1].wiring && isfinite(net->measured)
        && changed->n_measured == net->n_measured;
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        write_waiting(net, a);
        a->weight_bound = l == 1 && by_rows ? largest_by_rows(net) : largest(a->w, a->n_w);
        a->psi_bound = largest(a->psi, a->width);
        if (net->is.has_random_feedback)
            a->feedback_bound = largest(a->b, a->n_b);
    }
    for (int r = 0; r < changed->n; r++)
        changed->is_listed[changed->unit[r]] = 0;
    changed->n = 0, changed->n_measured = ++net->n_measured;
    net->measured = net->layer[1].weight_bound;
    net->age = by_rows;
}

static void copy(vec *to, const vec *from, int64_t n) { memcpy(to, from, (size_t)n * sizeof(vec)); }

/* Copy the weights before the open sample back to where they were. */
static void restore_weights(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        const struct kept_weights *before = &a->before;
        const int has_transpose = l > 1 && !net->is.has_random_feedback;
        if (a->wiring)
            copy(a->w, before->row, a->n_w), copy(a->b, before->row + a->n_w, a->n_b);
        for (int r = 0; r < before->n; r++) {
            const int unit = before->unit[r];
            const vec *row = before->row + (int64_t)r * a->width;
            copy(a->w + (int64_t)unit * a->width, row, a->width);
            for (int j = 0; has_transpose && j < a->n; j++)
                ((num *)(a->b + (int64_t)j * a[-1].width))[unit] = ((const num *)row)[j];
        }
    }
}

/* Forget the weights before the open sample. */
static void forget_weights(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct kept_weights *before = &net->layer[l].before;
        for (int r = 0; r < before->n; r++)
            before->is_kept[before->unit[r]] = 0;
        before->n = 0;
    }
    net->is_settled = 0;
}

static void forget_pending(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct pending *p = &net->layer[l].pending;
        p->n = p->n_met = p->n_before = p->n_written = 0;
    }
}

/* Forget what a sample has learned so far. */
static void undo(struct network *net)
{
    if (net->is_settled)
        restore_weights(net);
    else
        take_back(net);
    forget_weights(net);
    forget_pending(net);
    for (int l = 1; net->is_taught && l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->weight_bound = a->weight_bound_kept;
        if (l < net->is.n_layers) {
            a->psi_bound = a->psi_bound_kept;
            memcpy(a->psi, a->psi_kept, (size_t)a->width * sizeof(vec));
        }
    }
    net->is_taught = 0;
}

/* Return to the end of the last sample: undo what an interrupt has left, and measure bounds if due. */
static void prepare(struct network *net)
{
    undo(net);
    if (net->age >= SAMPLES_PER_BOUND)
        measure(net, 0);
}

/* Forget the input of the sample before. Where the next one follows it, what was sent stays listed. */
static void forget_input(struct network *net)
{
    const struct layer *input = &net->layer[0];
    vec *kept = net->layer[1].pending.kept;
    int n = 0;
    for (int i = 0; i < *input->n_active; i++) {
        const int v = input->active[i];
        input->s[v] = input->c[v] = input->k[v] = splat(0);
        input->place[v] = 0;
        if (!net->follows)
            kept[v] = splat(0);
        else if (is_any(kept[v]))
            input->active[n] = v, input->place[v] = ++n;
    }
    *input->n_active = n, *net->x.n = 0;
}

static void open_sample(struct network *net, int n_steps, int delay)
{
    const int L = net->is.n_layers;
    net->hands_over = 0;
    net->n_steps = n_steps, net->step = 0, net->inputs_shown = 0, net->delay = delay;
    net->sample_updates = 0;
    net->input_bound = 0;
    if (!net->follows)
        stop_following(net);
    if (!net->x.is_change)
        forget_input(net);
    for (int l = 0; l <= L; l++) {
        struct layer *a = &net->layer[l];
        a->drive_bound = a->target_bound = 0;
        a->sample = (struct sent){0};
        send_none(a);
        if (net->is.is_chip && l > 0)
            clear(a->phi, a->width);
        if (l > 0)
            clear(a->c, a->width);
        if (l > 0 && !net->follows)
            clear(a->s, a->width);
    }
}

/* Let a sample learn from now on: keep the backward potentials that were before. */
static void keep_backward(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->weight_bound_kept = a->weight_bound;
        clear(a->phi_y, a->width), clear(a->sum, a->width);
        a->psi_bound_kept = a->psi_bound;
        memcpy(a->psi_kept, a->psi, (size_t)a->width * sizeof(vec));
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

/* Write what layers have sent in this step to the record of sample i, under the step of input that it
 * belongs to. */
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
        if (t >= 0 && t < T) {
            num *to = block->spikes + (i * T + t) * units + first;
            if (l == 0 && net->in_trains)
                spikes_of_trains(net, t, to);
            else
                memcpy(to, a->k + (int64_t)t * a->apart, size);
        }
        if (block->y.kind != NONE && l > 0 && a->n_erring > 0) /* the record holds zeros */
            memcpy(block->errors + (i * T + of_error) * units + first, a->e, size);
    }
    const int shown = net->step - net->delay * L;
    const num *s = (const num *)summed_drive(net, L);
    for (int j = 0; j < n && shown >= 0 && shown < T; j++)
        block->step_scores[(i * T + shown) * n + j] =
            (double)s[j] / (double)net->one / (shown + 1);
}

/* How far the largest summed drive of the output, or that of sample i's label, is above all others, in
 * spikes. */
static double lead(const struct network *net, const struct block *block, int64_t i)
{
    const int n = net->layer[net->is.n_layers].n;
    const num *s = (const num *)summed_drive(net, net->is.n_layers);
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

/* Rule 1 in step t; 0 if it may be out of range. */
static int send_input(struct network *net, const struct block *block, int64_t i, int t)
{
    if (net->in_trains)
        return 1;
    if (t == 0 || block->x.step_apart != 0) {
        read_row(net, block, i, t);
        activate_row(net);
    }
    if (!net->is.is_chip)
        return fire_input(net, t);
    chip_input(net, t);
    return 1;
}

/* Rule 2 of layer l in step t; 0 if it may be out of range. */
static int send_spikes(struct network *net, int l, int t)
{
    if (net->is.is_chip) {
        chip_layer(net, l, t);
        return 1;
    }
    if (net->follows)
        follow_spikes(net, &net->layer[l]);
    if (l > 1 || !net->in_trains)
        return fire_layer(net, l, t);
    struct layer *a = &net->layer[1];
    const num *sent_by = (const num *)net->trains.sent_by;
    a->drive_bound += (double)(sent_by[t] - (t > 0 ? sent_by[t - 1] : 0)) * a->weight_bound;
    return a->drive_bound < a->limit && fire_prepared(net, t);
}

/* Rules 3 and 4 of layer l for what the output has sent in step t; 0 if they may be out of range. */
static int send_errors(struct network *net, const num *y, double largest_y, int l, int t)
{
    struct layer *a = &net->layer[l];
    const int is_output = l == net->is.n_layers;
    if (net->is.is_chip) {
        if (is_output)
            chip_output_error(net, y, t);
        else
            chip_err(net, l);
        a->sample.errors += a->errors_sent;
        a->sample.error_messages += a->n_erring;
        return 1;
    }
    if (!(is_output ? output_error(net, y, largest_y, t) : err_layer(net, l)))
        return 0;
    a->sample.error_messages += a->n_erring;
    return !__builtin_add_overflow(a->sample.errors, a->errors_sent, &a->sample.errors)
        && (double)a->sample.errors < MOST_COUNTED;
}

/* Rules 3 and 4 of a step; 0 if they may be out of range. */
static int send_all_errors(struct network *net, const num *y, double largest_y)
{
    const int L = net->is.n_layers, d = net->delay;
    for (int i = 1; i <= L; i++) {
        const int l = d ? i : L + 1 - i; /* what the layer above has sent before, or now */
        const int t = net->step - d * (2 * L - l);
        if (t < 0 || t >= net->n_steps)
            send_none(&net->layer[l]);
        else if (!send_errors(net, y, largest_y, l, net->hands_over ? 0 : t))
            return 0;
    }
    return 1;
}

/* Show a sample step by step; return the steps shown, or 0 if it may be out of range. */
static int show_steps(struct network *net, const struct block *block, int64_t i)
{
    const int learns = block->y.kind != NONE, L = net->is.n_layers, T = net->n_steps;
    const int d = net->delay, duration = T + d * (2 * L - 1);
    double largest_y = 0;
    for (net->step = 0; net->step < duration; net->step++) {
        const int t = net->step;
        meet_updates(net);
        net->inputs_shown += t < T;
        if (!d && !send_input(net, block, i, t))
            return 0;
        for (int l = 1; l <= L; l++)
            if (t >= d * l && t - d * l < T && !send_spikes(net, l, t - d * l))
                return 0;
        if (d && t < T && !send_input(net, block, i, t)) /* the layer above has what was sent before */
            return 0;
        if (learns) {
            const int of_target = t - d * L;
            if (of_target == 0 || (of_target > 0 && of_target < T && block->y.step_apart != 0))
                largest_y = read_target(net, block, row_of(&block->y, i, of_target));
            if (!send_all_errors(net, block->y_row, largest_y) || !learn_step(net))
                return 0;
        }
        if (block->spikes)
            record_step(net, block, i);
        if (block->until_lead && lead(net, block, i) >= block->margin) {
            net->n_steps = t + 1;
            break;
        }
    }
    return learns && net->is.learns_once && !learn_sample(net) ? 0 : net->n_steps;
}

/* Show a sample layer by layer, to learn nothing; 0 if it may be out of range. */
static int show_layers(struct network *net, const struct block *block, int64_t i)
{
    const int T = net->n_steps;
    for (int t = 0; t < T; t++)
        if (!send_input(net, block, i, t) || !send_spikes(net, 1, t))
            return 0;
    for (int l = 2; l <= net->is.n_layers; l++)
        if (!show_layer(net, l, T))
            return 0;
    return T;
}

/* Whether the counts of a train are cut off where they teach. */
static int train_is_cut_off(const struct network *net)
{
    int64_t n_units;
    return largest_of_trains(&net->trains, net->n_steps - 1, &n_units) > limit_of(net, net->is.counts);
}

/* Whether the input of a sample is in trains: then it is sorted, and the drive prepared. */
static int enter_trains(struct network *net, const struct block *block, int64_t i)
{
    if (!may_be_in_trains(net) || block->x.step_apart != 0 || net->follows)
        return 0;
    prepare_trains(net);
    read_row(net, block, i, 0);
    if (!label_row(net))
        return 0;
    sort_units(net);
    if (block->y.kind != NONE && train_is_cut_off(net))
        return 0;
    in_parts(net->layer[1].width, IN_REGISTERS, prepare_part, net);
    count_rows(net, &net->layer[1], net->trains.n_active);
    return 1;
}

/* Write the scores of a sample so far, and what layer 0 has sent where its spikes were known. */
static void write_scores(struct network *net, double *scores, int n_steps)
{
    const int L = net->is.n_layers;
    net->step = n_steps - 1 + net->delay * L;
    const num *s = (const num *)summed_drive(net, L);
    for (int j = 0; j < net->layer[L].n; j++)
        scores[j] = (double)s[j] / (double)net->one / n_steps;
    if (net->in_trains) {
        const struct trains *r = &net->trains;
        net->layer[0].sample.spikes = ((const num *)r->sent_by)[n_steps - 1];
        net->layer[0].sample.messages = ((const num *)r->messages_by)[n_steps - 1];
    }
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
    if (learns && net->follows)
        keep_updates(net);
    else if (learns)
        write_updates(net);
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

/* Show sample i, or leave all as it was and return 0 if it may be out of range. */
static int try_sample(struct network *net, const struct block *block, int64_t i, int may_be_known)
{
    const int learns = block->y.kind != NONE;
    net->follows = may_follow(net) && block->n_steps == 1;
    net->x.is_change = net->follows && net->x.are_kept && are_bytes(&block->x);
    open_sample(net, block->n_steps, learns ? net->is.delay : 0);
    if (learns)
        start_learning(net);
    net->n_learned = block->n_learned + i;
    net->in_trains = may_be_known && enter_trains(net, block, i);
    int by_steps = learns || block->until_lead || block->spikes || net->is.is_chip || net->follows;
    int shown = by_steps ? show_steps(net, block, i) : show_layers(net, block, i);
    if (shown == 0)
        undo(net);
    else
        end_sample(net, block, i, shown);
    return shown;
}

/* Show sample i; 0, with nothing changed, if it may be out of range. */
static int show_sample(struct network *net, const struct block *block, int64_t i)
{
    if (try_sample(net, block, i, 1))
        return 1;
    /* What is prepared for all steps is proven by bounds alone. */
    return sizeof(num) == 8 && net->in_trains && try_sample(net, block, i, 0);
}

#endif
