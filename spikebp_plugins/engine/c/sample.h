/* A sample: it is opened, shown for some steps, and closed, which writes its updates; or forgotten. */
#ifndef SPIKEBP_SAMPLE_H
#define SPIKEBP_SAMPLE_H

#include "changes.h"

/* Write a row of spike counts; return the largest magnitude, which numbers may not hold. */
static double read_counts(int n, const int64_t *row, num *to)
{
    few_longs some = {0};
    int i = 0;
    for (; i + FEW <= n; i += FEW) {
        const few_longs counts = *(const few_longs *)(row + i), sign = counts >> 63;
        some |= (counts ^ sign) - sign;
        *(few_nums *)(to + i) = __builtin_convertvector(counts, few_nums);
    }
    uint64_t all = 0; /* whose bits are those of all magnitudes */
    for (int lane = 0; lane < FEW; lane++)
        all |= (uint64_t)some[lane];
    for (; i < n; i++) {
        all |= (uint64_t)(row[i] < 0 ? -row[i] : row[i]);
        to[i] = (num)row[i];
    }
    return (double)all > farthest() ? INFINITY : largest((const vec *)to, n_vectors(n));
}

/* Write a row of input in units of 2^-f, or as counts; return its largest magnitude. */
static double read_input(const struct network *net, const struct block *block, const void *row)
{
    const double one = (double)net->one, far = farthest(), scale = net->is.input_scale;
    const int n = net->layer[0].n;
    num *to = block->x_row;
    double top = 0;
    if (net->is.takes_counts)
        return read_counts(n, row, to);
    if (block->x.kind == REALS && encode_reals(net, row, to))
        return largest((const vec *)to, n_vectors(n));
    for (int i = 0; i < n; i++) {
        double x;
        switch (block->x.kind) {
        case LEVELS: x = ((const uint8_t *)row)[i]; break;
        case COUNTS: x = (double)((const int64_t *)row)[i]; break;
        default: x = ((const double *)row)[i];
        }
        to[i] = encoded(x * scale, one, far);
        double size = fabs((double)to[i]);
        top = size > top ? size : top;
    }
    return top;
}

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

static void measure(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        write_waiting(net, a);
        a->weight_bound = largest(a->w, a->n_w);
        a->psi_bound = largest(a->psi, a->width);
        if (net->is.has_random_feedback)
            a->feedback_bound = largest(a->b, a->n_b);
    }
    net->age = 0;
}

/* Copy what was learned to the backup, or copy it back. */
static void keep_learned(struct network *net, int is_back)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct layer *a = &net->layer[l];
        char *arrays[] = {(char *)a->w, (char *)a->psi, (char *)a->b};
        const int64_t widths[] = {a->n_w, a->width, a->n_b};
        for (int i = 0; i < 3; i++) {
            char *kept = net->backup + (arrays[i] - net->learned);
            memcpy(is_back ? arrays[i] : kept, is_back ? kept : arrays[i],
                (size_t)widths[i] * sizeof(vec));
        }
    }
    net->is_settled = !is_back;
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
        keep_learned(net, 1);
    else
        take_back(net);
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
        measure(net);
}

static void open_sample(struct network *net, int n_steps, int delay)
{
    const int L = net->is.n_layers;
    net->hands_over = 0;
    net->n_steps = n_steps, net->step = 0, net->inputs_shown = 0, net->delay = delay;
    net->sample_updates = 0;
    net->is_settled = 0;
    net->input_bound = 0;
    if (!net->follows)
        stop_following(net);
    for (int l = 0; l <= L; l++) {
        struct layer *a = &net->layer[l];
        a->drive_bound = a->target_bound = 0;
        a->sample = (struct sent){0};
        send_none(a);
        if (net->is.is_chip)
            clear(a->phi, a->width);
        if (l > 0 || !net->in_bytes)
            clear(a->c, a->width);
        if (l > 0 ? !net->follows : !net->in_bytes)
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
            else if (l == 0 && net->in_bytes)
                memcpy(to, net->layer[1].pending.factor, size);
            else
                memcpy(to, a->k + (int64_t)t * a->width, size);
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
    if (net->in_trains || net->in_bytes)
        return 1;
    if (t == 0 || block->x.step_apart != 0)
        net->largest_x = read_input(net, block, row_of(&block->x, i, t));
    if (!net->is.is_chip)
        return fire_input(net, block->x_row, net->largest_x, t);
    chip_input(net, block->x_row, t);
    return 1;
}

/* Rule 2 of layer l in step t; 0 if it may be out of range. */
static int send_spikes(struct network *net, const struct block *block, int64_t i, int l, int t)
{
    if (net->is.is_chip) {
        chip_layer(net, l, t);
        return 1;
    }
    if (net->follows && l == 1 && net->in_bytes)
        follow_bytes(net, row_of(&block->x, i, t));
    else if (net->follows)
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
        if (t < T && !send_input(net, block, i, t))
            return 0;
        for (int l = 1; l <= L; l++)
            if (t >= d * l && t - d * l < T && !send_spikes(net, block, i, l, t - d * l))
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
    const int T = net->n_steps, is_known = net->in_trains;
    for (int t = 0; t < T; t++)
        if (is_known ? !send_spikes(net, block, i, 1, t) : !send_input(net, block, i, t))
            return 0;
    for (int l = is_known ? 2 : 1; l <= net->is.n_layers; l++)
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
    const void *row = row_of(&block->x, i, 0);
    if (!may_be_in_trains(net) || block->x.step_apart != 0 || net->follows)
        return 0;
    prepare_trains(net);
    if (!(block->x.kind == LEVELS ? label_levels(net, row) : label_reals(net, row)))
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
    net->is_taught = net->is_settled = 0;
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
    net->in_bytes = net->follows && block->x.kind == LEVELS && know_spikes_of_levels(net);
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
