/* A sample: opened, shown step by step, and closed; or undone. */
#ifndef SPIKEBP_EVENT_SAMPLE_H
#define SPIKEBP_EVENT_SAMPLE_H

#include "event_forward.h"

/* Samples to show, as Python gives them. Rows are padded by zeros to whole vectors. */
struct block {
    struct network *network;
    const vec *x, *y; /* [n_samples]: a row of input each, and one of targets; y may be null */
    int64_t n_samples;
    int64_t n_steps;
    double *scores;        /* [n_samples][n_L] */
    real *spikes, *errors; /* [n_samples][n_steps][sum of n_l], or null */
};

/* Whether all potentials and summed drive are in range. */
static int are_within(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct layer *a = &net->layer[l];
        lanes all = ~(lanes){0}; /* sign bits stay where |x| - limit < 0 */
        for (int v = 0; v < a->width; v++)
            all &= (lanes)(magnitude(a->phi[v]) - (real)LARGEST_POTENTIAL)
                & (lanes)(magnitude(a->s[v]) - (real)net->is.limit);
        if (signs(~all) == 0)
            continue;
        for (int j = 0; j < a->n; j++) {
            const double phi = ((const real *)a->phi)[j], s = ((const real *)a->s)[j];
            if (!(fabs(phi) < LARGEST_POTENTIAL))
                return note_fault(net, POTENTIAL, l, phi);
            if (!(fabs(s) < net->is.limit))
                return note_fault(net, DRIVE, l, s);
        }
    }
    return 1;
}

static void clear(vec *values, int width) { memset(values, 0, (size_t)width * sizeof(vec)); }

/* Reset the state of a sample. */
static void open_sample(struct network *net)
{
    const int L = net->is.n_layers;
    net->sample_updates = 0;
    for (int l = 0; l <= L; l++) {
        struct layer *a = &net->layer[l];
        clear(a->phi, a->width), clear(a->s, a->width), clear(a->c, a->width);
        clear(a->sum, a->width);
        memset(a->net_backward, 0, (size_t)a->n * sizeof *a->net_backward);
        memset(a->all_backward, 0, (size_t)a->n * sizeof *a->all_backward);
        a->forward.size = a->backward.size = 0;
        a->sample_spikes = a->sample_errors = 0;
        a->knows_teachers = 0;
    }
    clear(net->phi_y, net->layer[L].width);
    memset(net->held, 0, (size_t)net->layer[L].n * sizeof *net->held);
}

/* Let a sample learn: keep the backward potentials, and write those that it starts from. */
static void start_learning(struct network *net)
{
    for (int l = 1; l < net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        memcpy(a->psi_kept, a->psi, (size_t)a->width * sizeof(vec));
        if (net->is.starts_at_zero)
            clear(a->psi, a->width);
    }
}

/* Forget what the rows of W_l were before the sample. */
static void forget_kept(struct layer *a)
{
    for (int k = 0; k < a->n_kept; k++)
        a->is_kept[a->kept[k]] = 0;
    a->n_kept = 0;
}

/* Make what a sample has changed what it was before. */
static void undo(struct network *net, int learns)
{
    for (int l = 1; learns && l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        const int64_t length = (int64_t)a->width * LANES, below = (int64_t)a[-1].width * LANES;
        for (int k = 0; k < a->n_kept; k++) {
            const int i = a->kept[k];
            const real *kept = (const real *)a->w_kept + i * length;
            memcpy((real *)a->w + i * length, kept, (size_t)length * sizeof(real));
            for (int j = 0; l > 1 && j < a->n; j++)
                ((real *)a->b)[j * below + i] = kept[j];
        }
        if (l < net->is.n_layers)
            memcpy(a->psi, a->psi_kept, (size_t)a->width * sizeof(vec));
        forget_kept(a);
    }
}

/* Reset what is counted in a step. */
static void open_step(struct network *net)
{
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->forward.fired = a->backward.fired = 0;
        memset(a->sent, 0, (size_t)a->n * sizeof *a->sent);
        memset(a->erred, 0, (size_t)a->n * sizeof *a->erred);
    }
}

/* Summed drive of the output over steps, in single precision, as the authors hand it out. */
static void write_scores(const struct network *net, double *scores, int64_t n_steps)
{
    const struct layer *a = &net->layer[net->is.n_layers];
    for (int j = 0; j < a->n; j++)
        scores[j] = (float)((double)((const real *)a->s)[j] / (double)n_steps);
}

/* Write what layers have sent in step t of sample i, net. */
static void record_step(const struct network *net, const struct block *block, int64_t i, int64_t t)
{
    const int L = net->is.n_layers;
    const int64_t row = i * block->n_steps + t;
    int64_t units = 0, first = 0;
    for (int l = 0; l <= L; l++)
        units += net->layer[l].n;
    for (int l = 0; l <= L; first += net->layer[l++].n) {
        const struct layer *a = &net->layer[l];
        const size_t size = (size_t)a->n * sizeof(real);
        memcpy(block->spikes + row * units + first, a->sent, size);
        memcpy(block->errors + row * units + first, a->erred, size);
    }
}

/* Show step t of sample i; 0 if something is out of range. */
static int show_step(struct network *net, const struct block *block, int64_t i, int64_t t)
{
    const int learns = block->y != NULL;
    open_step(net);
    if (!forward(net, block->x + i * net->layer[0].width, learns))
        return 0;
    if (learns && !compare(net, block->y + i * net->layer[net->is.n_layers].width))
        return 0;
    if (!are_within(net))
        return 0;
    if (block->spikes)
        record_step(net, block, i, t);
    return 1;
}

/* Count a sample that has ended. */
static void close_sample(struct network *net, int learns)
{
    for (int l = 0; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->spikes += a->sample_spikes, a->errors += a->sample_errors;
        forget_kept(a);
    }
    net->updates += net->sample_updates;
    net->shown++, net->trained += learns;
}

/* Show sample i; 0, with nothing changed but the fault, if something is out of range. */
static int show_sample(struct network *net, const struct block *block, int64_t i)
{
    const int learns = block->y != NULL;
    int is_in_range = 1;
    open_sample(net);
    if (learns)
        start_learning(net);
    for (int64_t t = 0; is_in_range && t < block->n_steps; t++)
        is_in_range = show_step(net, block, i, t);
    if (is_in_range && learns && net->is.is_outer)
        is_in_range = learn_sample(net);
    if (!is_in_range) {
        undo(net, learns);
        return 0;
    }
    write_scores(net, block->scores + i * net->layer[net->is.n_layers].n, block->n_steps);
    close_sample(net, learns);
    return 1;
}

#endif
