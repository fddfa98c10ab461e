/* The engine of the step rules: built for 32 and for 64 bits, and for several processors.
 *
 * Sizes are known when it runs. All memory is the caller's. See network.h for how it computes,
 * trains.h, connections.h, forward.h, backward.h and learning.h for the rules, changes.h for samples
 * of one step, chip.h for other numbers, sample.h for samples, steps.h and events.h for streams.
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
        a->writes_at_once = l > 0 && (a->wiring || is->is_chip);
        for (int v = 0; l > 0 && v < a->width; v++)
            activate(a, v);
        a->limit = fmin(PROVEN, (MOST_COUNTED / (double)a->n - 1) * (double)net->one);
    }
    return net;
}

/* Whether updates of the open sample are written, and stay noted. */
static int is_written(const struct network *net)
{
    int n = 0;
    for (int l = 1; l <= net->is.n_layers; l++)
        n += net->layer[l].pending.n_written;
    return n > 0;
}

/* Of what was learned before the open sample, if any; of what it has now. */
enum array { W, B, PSI, W_NOW, B_NOW, PSI_NOW, S, C, PHI_Y, E, SENT, ERRORS };

/* An array of layer l that Python reads and writes. Of dense weights before the open sample, those
 * rows that have changed are what `kept` says. */
void *NAMED(array, BUILD)(struct network *net, int32_t l, int32_t which)
{
    if ((which == W || which == B) && is_written(net))
        back_up(net);
    write_all_waiting(net);
    const struct layer *a = &net->layer[l];
    const int is_kept = net->is_settled && a->wiring;
    switch ((enum array)which) {
    case W: return is_kept ? a->before.row : a->w;
    case B: return is_kept ? a->before.row + (a->n_b > 0 ? a->n_w : 0) : a->b;
    case PSI: return net->is_taught ? a->psi_kept : a->psi;
    case W_NOW: return a->w;
    case B_NOW: return a->b;
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
        a->pending.is_kept = 0;
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

/* Training samples since the start. */
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

/* Return the bytes for weights that are kept. */
int64_t NAMED(kept_size, BUILD)(struct network *net)
{
    struct arena arena = {0};
    lay_out_before(net, &arena);
    return (int64_t)arena.at;
}

/* Give these bytes. */
void NAMED(give_backup, BUILD)(struct network *net, char *at)
{
    struct arena arena = {(uintptr_t)at, 1};
    lay_out_before(net, &arena);
}

/* Find the rows of a dense W_l that have changed in the open sample as they were before it, and their
 * units; return how many. */
int32_t NAMED(kept, BUILD)(struct network *net, int32_t l, void **units, void **rows)
{
    const struct kept_weights *before = &net->layer[l].before;
    *units = before->unit, *rows = before->row;
    return before->n;
}

/* Keep rows of W_l that others are about to change in a sample whose updates are written. */
void NAMED(keep_rows, BUILD)(struct network *net, int32_t l, const int32_t *units, int32_t n)
{
    if (net->is_settled && !net->layer[l].wiring)
        keep_rows(&net->layer[l], units, n);
}

/* Show single steps up to one that may be out of range; all functions that follow need a backup. */
void NAMED(show_steps, BUILD)(struct block *block) { show_same(block->network, block); }

/* Show steps of events; 0 if one may be out of range. */
int32_t NAMED(show_events, BUILD)(struct block *block, const struct events *given)
{
    return show_events(block->network, block, given);
}

/* Take events, and show the steps that they complete. */
void NAMED(feed, BUILD)(struct feeding *given) { feed(given->block->network, given); }

/* Write all that is pending, so that the arrays of the open sample are complete. */
void NAMED(settle, BUILD)(struct network *net) { settle(net); }

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

/* Forget the open sample, if there is one, and write what waits: then others may read the weights. */
void NAMED(drop_sample, BUILD)(struct network *net)
{
    undo(net);
    write_all_waiting(net);
}

/* Write the scores of the open sample after so many steps. */
void NAMED(find_scores, BUILD)(const struct network *net, double *scores, int64_t n_steps)
{
    const struct layer *a = &net->layer[net->is.n_layers];
    for (int j = 0; j < a->n; j++)
        scores[j] = (double)((const num *)a->s)[j] / (double)net->one / (double)n_steps;
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
