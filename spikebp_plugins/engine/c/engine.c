/* The engine of the step rules: built for 32 and for 64 bits, and for several processors.
 *
 * Sizes are known when it runs. All memory is the caller's. See network.h for how it computes;
 * rows.h for input; connections.h, writing.h and drive.h for the weights of kernels and lists, how
 * weights are written, and what drive costs; forward.h, backward.h and learning.h for the rules;
 * chip.h and rounding.h for other numbers; before.h and sample.h for samples; steps.h and events.h
 * for streams.
 */
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#include "events.h"
#include "placing.h"

int64_t NAMED(header_size, BUILD)(const struct definition *is) { return (int64_t)header_of(is); }

int64_t NAMED(size, BUILD)(const struct definition *is, int64_t *learned_size)
{
    return size_of(is, learned_size);
}

struct network *NAMED(place, BUILD)(const struct definition *is, char *learned_at, char *at)
{
    struct network *net = placed(is, learned_at, at);
    net->one = (num)1 << is->bits, net->half = net->one / 2;
    net->age = HUGE_AGE, net->measured = INFINITY;
    for (int level = 0; level < 256; level++)
        net->x.of_level[level] = encoded(level * is->input_scale, (double)net->one, farthest());
    for (int l = 0; l <= is->n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->is_signed = l == 0;
        a->learns = l > 0 && (!a->wiring || a->wiring->learns);
        for (int v = 0; l > 0 && v < a->width; v++)
            place_in(a->active, v);
        for (int v = 0; l > 1 && v < a[-1].width; v++)
            a->last.some.index[(*a->last.some.n)++] = v;
        a->limit = fmin(PROVEN, (MOST_COUNTED / (double)a->n - 1) * (double)net->one);
    }
    return net;
}

/* Of what was learned; of the open sample. */
enum array { W, B, PSI, PSI_NOW, S, C, PHI_Y, E, SENT, ERRORS };

/* An array of layer l that Python reads and writes. Of psi there is also what was before the open
 * sample; of weights, those rows that have changed are what `before` says. */
void *NAMED(array, BUILD)(struct network *net, int32_t l, int32_t which)
{
    write_all_waiting(net);
    const struct layer *a = &net->layer[l];
    switch ((enum array)which) {
    case W: return a->w;
    case B: return a->b;
    case PSI: return net->is_taught ? a->psi_before : a->psi;
    case PSI_NOW: return a->psi;
    case S: return a->s;
    case C: return a->c;
    case PHI_Y: return a->phi_y;
    case E: return a->sum;
    case SENT: return a->k;
    default: return a->e;
    }
}

/* Say that others have changed what was learned, maybe within a sample. */
void NAMED(forget_bounds, BUILD)(struct network *net)
{
    net->age = HUGE_AGE, net->measured = INFINITY;
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->weight_bound = a->feedback_bound = a->psi_bound = INFINITY;
        a->last.is_known = 0;
    }
}

/* Take over the bounds of a network on the same weights. */
void NAMED(take_bounds, BUILD)(struct network *net, const struct network *from)
{
    net->age = from->age;
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct layer *known = &from->layer[l];
        struct layer *a = &net->layer[l];
        a->weight_bound = known->weight_bound, a->feedback_bound = known->feedback_bound;
        a->psi_bound = known->psi_bound;
    }
}

/* Samples shown since the start. */
int64_t NAMED(shown, BUILD)(const struct network *net) { return net->shown; }

/* Training samples among them. */
int64_t NAMED(trained, BUILD)(const struct network *net) { return net->trained; }

/* Write the counts since the start: samples shown, those
 * that learned, updates; what layers 0 to L have sent; and the rows read and multiply-adds done. */
void NAMED(write_counts, BUILD)(const struct network *net, int64_t *to)
{
    to = write_count(net->shown, to), to = write_count(net->trained, to);
    to = write_count(net->updates, to);
    for (int l = 0; l <= net->is.n_layers; l++)
        for (int i = 0; i < N_SENT; i++)
            to = write_count(net->layer[l].so_far[i], to);
    to = write_count(net->rows_read, to), write_count(net->multiply_adds, to);
}

/* Return the bytes for the weights before an open sample. */
int64_t NAMED(size_before, BUILD)(struct network *net)
{
    struct arena arena = {0};
    lay_out_before(net, &arena);
    return (int64_t)arena.at;
}

/* Give these bytes, without which no sample may be shown that writes weights before it closes. */
void NAMED(place_before, BUILD)(struct network *net, char *at)
{
    struct arena arena = {(uintptr_t)at, 1};
    lay_out_before(net, &arena);
}

/* Rows of weights as they were before the open sample: which they are, and how long each is. */
struct rows_before {
    const int32_t *index;
    const num *numbers;
    int64_t length;
};

/* Find the rows of W_l that have changed in the open sample; return how many. */
int32_t NAMED(before, BUILD)(struct network *net, int32_t l, struct rows_before *found)
{
    const struct weights_before *before = &net->layer[l].before;
    *found = (struct rows_before){before->rows.index, before->numbers, before->length};
    return before->rows.n ? *before->rows.n : 0;
}

/* Keep a row of W_l that others are about to change in an open sample. */
void NAMED(keep_row, BUILD)(struct network *net, int32_t l, int32_t row)
{
    keep_row(&net->layer[l], row);
}

/* Show single steps up to one that may be out of range; all functions that follow need
 * `place_before`. */
void NAMED(show_steps, BUILD)(struct block *block) { show_same(block->network, block); }

/* Show steps of events; 0 if one may be out of range. */
int32_t NAMED(show_events, BUILD)(struct block *block, const struct events *given)
{
    return show_events(block->network, block, given);
}

/* Take events, and show the steps that they complete. */
void NAMED(feed, BUILD)(struct feeding *given) { feed(given->block->network, given); }

/* Write all updates of the open sample: then its arrays are complete. */
void NAMED(write_updates, BUILD)(struct network *net) { write_updates(net, 1); }

/* Write whether the open sample is taught, its updates, its steps of input, and what layers 0 to L
 * have sent in it. */
void NAMED(sample_counts, BUILD)(const struct network *net, int64_t *to)
{
    *to++ = net->is_taught, *to++ = net->sample_updates, *to++ = net->inputs_shown;
    for (int l = 0; l <= net->is.n_layers; l++) {
        big sent[N_SENT];
        all_sent(&net->layer[l].sample, sent);
        for (int i = 0; i < N_SENT; i++)
            *to++ = (int64_t)sent[i];
    }
}

/* Open a sample that another network has begun. */
void NAMED(reopen, BUILD)(struct network *net, const int64_t *counts) { reopen(net, counts); }

/* End a sample of single steps, and learn from it unless that is written; 0 if that may be out of
 * range. */
int32_t NAMED(close_sample, BUILD)(struct network *net, int32_t learns, int32_t is_written)
{
    return close_steps(net, learns, is_written);
}

/* Forget the open sample, if there is one, and write what waits: then others may read the
 * weights. */
void NAMED(drop_sample, BUILD)(struct network *net)
{
    undo(net);
    write_all_waiting(net);
}

/* Write the scores of the open sample after so many steps. */
void NAMED(find_scores, BUILD)(const struct network *net, double *scores, int64_t n_steps)
{
    write_scores(net, scores, n_steps);
}

/* Show samples in order; return how many were shown before one that may be out of range, of which
 * nothing is left. */
int64_t NAMED(show, BUILD)(const struct block *block)
{
    struct network *net = block->network;
    for (int64_t i = 0; i < block->n_samples; i++) {
        prepare(net);
        while (!show_sample(net, block, i)) {
            if (net->age == 0)
                return i;
            measure(net, 1); /* bounds only grow from sample to sample */
        }
    }
    return block->n_samples;
}
