/* A network of dense layers, and where its arrays lie.
 *
 * In the symbols of docs/semantics.md: layers l = 0..L of n_l units; weights W_l of shape
 * (n_{l-1}, n_l); their transposes, or the fixed feedback, B_l; spikes k_l, counts c_l, potentials
 * phi_l = s_l - c_l, summed drive s_l; backward potentials psi_l; errors e_l; summed errors E_l; the
 * potential of the target phi_y.
 *
 * Weights do not change within a sample. What rule 5 changes is kept as pending updates, each a
 * product of counts and errors:
 *
 *     W_l of step t = W_l - sum over p of rate_p outer(c_p, e_p),
 *
 * so that later drive and backward potentials are corrected by scalar products,
 *
 *     k W_l of step t = k W_l - sum over p of rate_p (k . c_p) e_p,
 *     e B_l of step t = e B_l - sum over p of rate_p (e . e_p) c_p.
 *
 * They are written when the sample closes, once nothing can be out of range any more. So to undo a
 * sample is to forget it, but for psi.
 */
#ifndef SPIKEBP_NETWORK_H
#define SPIKEBP_NETWORK_H

#include "numbers.h"

enum update { FRACTIONAL, OUTER, NORMALIZED };
enum start { CARRY, ZERO, DRAWN }; /* of psi, when a sample learns */

/* What Python says of a network. */
struct definition {
    const int32_t *sizes; /* n_0..n_L */
    double input_scale;
    int64_t rate;          /* in grid units; with NORMALIZED the learning rate R */
    int64_t added_squares; /* 16 T^2 */
    int64_t error_limit;   /* where summed errors of hidden layers are cut off */
    int32_t n_layers;      /* L */
    int32_t most_steps;    /* there is room for so many steps of a sample */
    int32_t bits;
    int32_t hidden_rate_bits;
    int32_t update, start;
    int32_t is_binary, takes_counts, has_random_feedback;
};

/* The updates of a layer that are pending. */
struct pending {
    int32_t n;
    int32_t *step;
    int32_t *first; /* where the errors of an update begin in the lists; [n] where the last end */
    int32_t *unit;  /* the units that have errors */
    num *error;
    num *rate; /* by update */
    vec *count; /* by update, c of the layer below; none for W_1 where input is in trains */
};

/* What a layer has counted and proven before a step: see steps.h. */
struct kept_counts {
    int64_t spikes, errors;
    int32_t n_pending;
    double drive_bound, psi_bound, target_bound, weight_bound;
};

struct layer {
    int32_t n, width; /* units, and vectors of them */
    int32_t is_signed; /* whether spikes may be negative: layer 0 */
    vec *w;           /* W_l: a row for each unit below */
    vec *b;           /* B_l: a row for each unit; l > 1 */
    vec *psi, *psi_kept;
    vec *s, *c, *phi_y;
    vec *k;            /* the spikes of each step, a row each */
    int32_t *fired;    /* and the units that fire, a row each */
    int32_t *n_fired;  /* how many units do in each step, */
    int64_t *sent;     /* and how many spikes they send */
    vec *e, *sum;      /* errors of this step, and E */
    int32_t *erring;   /* the units that have errors in this step */
    int32_t n_erring;
    int64_t errors_sent;
    struct pending pending;
    double limit; /* below it drive is in range, and so are the spikes of the layer in a step */
    double weight_bound, feedback_bound, drive_bound, psi_bound, target_bound;
    double weight_bound_kept, psi_bound_kept;
    big spikes, errors;                   /* of all samples so far */
    int64_t sample_spikes, sample_errors; /* and of this one */
    vec *step_kept;                       /* s, c, phi_y, E and psi before a step */
    struct kept_counts kept;
};

/* Constant input whose spikes are known beforehand: see trains.h. */
struct trains {
    int32_t *of_label; /* the row of a train; 0 if it is not known yet */
    num *train;        /* the counts of a train after each step, a row each; row 0 is silence */
    int32_t n_steps; /* of samples whose trains are known */
    int32_t n_known, room, length; /* numbers of a row */
    num *place;    /* by label: how many units have it, then where the next one goes; else 0 */
    int32_t *rank, *label_of, *active, *member;
    num *value, *label;
    num *level_value, *level_label;
    int32_t levels; /* whether the labels of 8-bit input are known: 0 not yet, 1 yes, 2 too large */
    int32_t n_groups, n_active, low, high;
    int32_t *start, *train_in;             /* of each group of units: its members, its train */
    int32_t *jump_first, *jump_step;       /* of each group: the steps in which its train leaves */
    num *jump;                             /* that of the group before, and by how much */
    vec *sent_by, *product;
    vec *drive; /* s_1 after each step, a row each */
    int32_t *update_of_step; /* which pending update a step has made, or -1 */
};

struct network {
    struct definition is;
    num one, half;
    big updates;
    int64_t shown, trained, sample_updates;
    int32_t age; /* samples learned since bounds were measured */
    int32_t n_steps;   /* of this sample */
    int32_t is_taught;  /* whether this sample learns: then psi_kept has what was before, */
    int32_t is_settled; /* whether updates of it were written: then `backup` has */
    char *learned, *backup; /* null until it is needed */
    int32_t in_trains; /* whether the input of this sample is in trains */
    double input_bound, input_bound_kept;
    int64_t updates_kept;
    struct trains trains;
    const vec **row; /* rows to add, with their factors */
    num *factor;
    num *matrix; /* rate times errors, of what is written */
    vec *change;
    vec *sent; /* of a layer in each step, by lanes */
    int32_t *touched, *mark, *listed;
    struct layer layer[]; /* 0..L */
};

enum {
    MOST_LABEL = 32768, /* labels of trains are at most this in magnitude */
    MOST_NUMBERS_OF_TRAINS = 1 << 18,
    SAMPLES_PER_BOUND = 250,
    HUGE_AGE = 1 << 30, /* bounds are to be measured */
};

/* Arrays lie one after the other in memory that the caller gives, each on a line of its own. It is
 * laid out twice: from address 0, to find how much is needed, and where it is. A build with
 * AddressSanitizer, for tests, guards what is between them. */
struct room {
    uintptr_t at;
    int is_found; /* whether it is there, and not only measured */
};

#if defined __has_feature
#if __has_feature(address_sanitizer)
#define __SANITIZE_ADDRESS__ 1
#endif
#endif
#if defined __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
enum { GAP = LINE };
#else
#define ASAN_POISON_MEMORY_REGION(at, size) ((void)(at), (void)(size))
enum { GAP = 0 };
#endif

static void *taken(struct room *room, int64_t n, size_t size)
{
    const uintptr_t place = room->at, end = place + (uintptr_t)n * size;
    room->at = (end + GAP + LINE - 1) / LINE * LINE;
    if (room->is_found)
        ASAN_POISON_MEMORY_REGION((void *)end, room->at - end);
    return (void *)place;
}

static void *vectors(struct room *room, int64_t n) { return taken(room, n, sizeof(vec)); }
static void *numbers(struct room *room, int64_t n) { return taken(room, n, sizeof(num)); }
static void *integers(struct room *room, int64_t n) { return taken(room, n, sizeof(int32_t)); }

static void lay_out_learned(struct layer *a, int l, int64_t below, int64_t width_below,
    struct room *room)
{
    a->w = vectors(room, below * a->width);
    a->psi = vectors(room, a->width);
    if (l > 1)
        a->b = vectors(room, a->n * width_below);
}

static void lay_out_sample(struct layer *a, int l, int64_t width_below, int64_t T,
    struct room *room)
{
    const int64_t width = a->width, n = width * LANES;
    struct pending *p = &a->pending;
    a->s = vectors(room, width), a->c = vectors(room, width), a->phi_y = vectors(room, width);
    a->k = vectors(room, T * width), a->e = vectors(room, width), a->sum = vectors(room, width);
    a->psi_kept = vectors(room, width), a->step_kept = vectors(room, 5 * width);
    a->fired = integers(room, T * n), a->n_fired = integers(room, T);
    a->sent = taken(room, T, sizeof *a->sent), a->erring = integers(room, n);
    if (l == 0)
        return;
    p->step = integers(room, T), p->first = integers(room, T + 1);
    p->unit = integers(room, T * n), p->error = numbers(room, T * n);
    p->rate = numbers(room, T), p->count = vectors(room, T * width_below);
}

static void lay_out_trains(struct trains *r, int64_t n_inputs, int64_t width_of_1, int64_t T,
    struct room *room)
{
    const int64_t n_labels = 2 * MOST_LABEL + 1, n = n_vectors((int)n_inputs) * LANES;
    const int width = n_vectors((int)T);
    r->length = width * LANES;
    r->of_label = integers(room, n_labels);
    r->place = numbers(room, n_labels - 1 + LANES); /* whose last vector begins with the last */
    r->rank = integers(room, n), r->label_of = integers(room, n), r->active = integers(room, n);
    r->member = integers(room, n), r->value = numbers(room, n), r->label = numbers(room, n);
    r->level_value = numbers(room, 256), r->level_label = numbers(room, 256);
    r->start = integers(room, n + 1), r->train_in = integers(room, n);
    r->jump_first = integers(room, n + 1);
    /* A list of jumps may end with the last one, and is written by whole vectors. */
    r->jump_step = integers(room, n * T + LANES), r->jump = numbers(room, n * T + LANES);
    r->sent_by = vectors(room, width), r->product = vectors(room, width);
    r->drive = vectors(room, T * width_of_1), r->update_of_step = integers(room, r->length);
    r->room = (int32_t)(MOST_NUMBERS_OF_TRAINS / r->length);
    r->train = numbers(room, (int64_t)r->room * r->length);
}

/* Lay out a network whose `sizes`, `layer` and so on lie at `net`, which is written. */
static void lay_out(struct network *net, struct room *learned, struct room *sample)
{
    const struct definition *is = &net->is;
    const int64_t T = is->most_steps;
    int64_t widest = 0;
    for (int l = 0; l <= is->n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->n = is->sizes[l], a->width = n_vectors(a->n);
        int64_t below = l > 0 ? a[-1].n : 0, width_below = l > 0 ? a[-1].width : 0;
        widest = a->width * LANES > widest ? a->width * LANES : widest;
        if (l > 0)
            lay_out_learned(a, l, below, width_below, learned);
        lay_out_sample(a, l, width_below, T, sample);
    }
    if (!is->is_binary && !is->takes_counts)
        lay_out_trains(&net->trains, is->sizes[0], net->layer[1].width, T, sample);
    net->row = taken(sample, widest + T, sizeof *net->row);
    net->factor = numbers(sample, widest + T), net->matrix = numbers(sample, T * widest);
    net->change = vectors(sample, widest / LANES), net->sent = vectors(sample, T);
    net->touched = integers(sample, widest), net->mark = integers(sample, widest);
    net->listed = integers(sample, widest);
}

#endif
