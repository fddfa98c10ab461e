/* A network, and where its arrays lie.
 *
 * In the symbols of docs/semantics.md: layers l = 0..L of n_l units; weights W_l of shape
 * (n_{l-1}, n_l); their transposes, or the fixed feedback, B_l; spikes k_l, counts c_l, potentials
 * phi_l = s_l - c_l, summed drive s_l; backward potentials psi_l; errors e_l; summed errors E_l; the
 * potential of the target phi_y.
 *
 * Weights do not change within a sample. The changes of rule 5 are kept as pending updates, each a
 * product of counts and errors:
 *
 *     W_l of step t = W_l - sum over p of rate_p outer(c_p, e_p),
 *
 * so that later drive and backward potentials are corrected by scalar products,
 *
 *     k W_l of step t = k W_l - sum over p of rate_p (k . c_p) e_p,
 *     e B_l of step t = e B_l - sum over p of rate_p (e . e_p) c_p.
 *
 * They are written when the sample closes, once all values are proven in range. So to undo a sample
 * is to forget its updates, and to restore psi. Updates that are written before, in samples of many
 * single steps, stay noted: to undo them is to subtract the same products. Where there are too many
 * to note, rows are kept before they change first. Updates of samples of one
 * step may wait longer, until their counts change or somebody reads the weights: see changes.h.
 *
 * Where synapses share weights, such a correction would be a convolution for each update, and on a
 * chip rounding makes updates no sum. There they are written as soon as spikes and errors meet them:
 * see connections.h and chip.h.
 *
 * With pipelined timing an update meets spikes and errors that were sent in later steps than its own:
 * `n_met` says how many of the noted updates have.
 */
#ifndef SPIKEBP_NETWORK_H
#define SPIKEBP_NETWORK_H

#include "numbers.h"
#include "block.h"
#include "arena.h"

/* Where a magnitude is cut off, or higher if the steps of input so far have a higher limit. */
struct limit {
    int64_t least, per_step;
};

/* How W_l learns. */
struct weight_rule {
    int64_t rate;          /* in units of 2^-f; it is divided if squares are added, */
    int64_t added_squares; /* to the squared counts of the sample */
    struct limit errors;
};

/* The rows of weights through which the units of a layer send. */
struct fan {
    const int32_t *first, *last; /* of each unit: its first row, and that behind its last */
    const int32_t *offset;       /* and what its channel adds to where these rows begin */
    const int32_t *n_synapses;
    const int32_t *target; /* of each row: the unit that receives its first weight, */
    const int32_t *begin;  /* and where it begins for channel 0 */
    int32_t length;        /* weights of a row, in whole vectors, or 1 */
};

/* A connection that is not dense. */
struct wiring {
    struct fan up, down;        /* of the units below through W, and of those above through B */
    const int32_t *times_met;   /* how often each unit below meets the weights */
    int64_t n_weights, n_backward; /* numbers of W and B; of W 0 if the connection is dense */
    int64_t n_pairs;            /* of a unit below and an output pixel that it sends to */
    /* The units below that an output pixel of a convolution receives from, as runs of neighbours: */
    const int32_t *first_run;   /* of each output pixel, and the end */
    const int32_t *start, *size; /* of each run: its first unit, and how many */
    const int32_t *weight;      /* and where the row of that unit begins */
    int32_t apart;              /* numbers from the row of a unit to that of the next */
    int32_t n_pixels;           /* 0 if weights are a list, where B is W unless feedback is random */
    int32_t channels_below, channels;
    int32_t many;     /* with so many active units, drive is summed by output pixel */
    int32_t most_uses; /* the most synapses that share a weight */
    int32_t learns;
};

/* The definition of a network, as Python gives it. */
struct definition {
    const int32_t *sizes; /* n_0..n_L */
    const struct wiring *wirings; /* of W_1..W_L, or null if all are dense */
    const struct weight_rule *rules; /* of W_1..W_L */
    double input_scale;
    struct limit counts;   /* of units that teach */
    struct limit gain;     /* up to which W_l learns from an update, in units of 2^-f */
    int32_t n_layers;      /* L */
    int32_t most_steps;    /* there is room for so many steps of a sample */
    int32_t bits;
    int32_t learns_once; /* when a sample closes, from summed errors */
    int32_t starts_at_zero; /* whether psi does, in a sample that learns */
    int32_t is_binary, takes_counts, has_random_feedback;
    int32_t delay;       /* steps that spikes and errors of a sample that learns are on their way */
    int32_t is_chip, weight_shift; /* the numbers of a chip: weights are multiples of 2^shift */
    int64_t seed;
};

/* The updates of a layer in this sample, and those that earlier samples of one step have left. */
struct pending {
    int32_t n;
    int32_t n_met;     /* the first of them, which what arrives in this step meets, */
    int32_t n_before;  /* those that were noted before this step, */
    int32_t n_written; /* and those that are written, but noted to be taken back */
    int32_t *step; /* in which it was noted; of W_1 with input in trains, the last step of input */
    int64_t *at;   /* where the factors of an update begin; [n] where the last end */
    int32_t *first; /* where the errors of an update begin in the lists; [n] where the last end */
    int32_t *unit;  /* the units that have errors */
    num *error;
    num *rate; /* by update */
    vec *factor; /* by update, what multiplies its errors: of the active vectors of the layer below as
                  * they are listed; none for W_1 where input is in trains */
    /* Of samples of one step: */
    int32_t cuts;    /* whether any count is cut off where it teaches */
    int32_t is_kept; /* whether s is that of `kept`, */
    vec *kept;       /* the counts that the layer below sent last */
    int32_t waits;   /* whether W_l is still to lose what `waiting` says, times these counts */
    vec *waiting;
    int64_t n_factors, n_changed; /* how many counts are not zero, and how many have changed */
    int64_t rows_changed, rows_written; /* moving averages: of the vectors in the rows that change,
                                         * and of those that a sample would write at its close */
};

enum { N_SENT = 8 };

/* Counts of what a layer has sent: its spikes and error spikes; the messages that carry them, one for
 * each unit and step; and through a W_l or B_l that is not dense, the synapses that spikes, errors,
 * messages and messages of errors meet. */
struct sent {
    int64_t spikes, errors, messages, error_messages;
    big up, down, messages_up, messages_down;
};

/* What weights were before the open sample, of those that have changed: rows of a dense W_l, in the
 * order in which they changed first; otherwise W_l and B_l. */
struct kept_weights {
    int32_t n;        /* rows */
    int32_t *unit;    /* the unit below of each, */
    uint8_t *is_kept; /* and by unit, whether its row is here */
    vec *row;
};

/* The rows of a dense W_1 that have changed since its bound was measured. It lies with the samples, and
 * the bound in the header, of which there may be copies: a number says whether they belong together. */
struct changed_rows {
    int32_t n;
    int32_t *unit;
    uint8_t *is_listed; /* by unit */
    int64_t n_measured; /* as `network` has it */
};

/* The counts and bounds of a layer before a step: see steps.h. */
struct kept_counts {
    struct sent sent;
    int32_t n_pending;
    double drive_bound, psi_bound, target_bound, weight_bound;
};

/* A row of input: its vectors that are not zero, in units of 2^-f, or of counts. */
struct row {
    int32_t *n;     /* how many there are; the counts of lists lie with the lists: headers are copied */
    int32_t *index; /* of each vector, */
    vec *numbers;   /* and its numbers */
    int32_t *place; /* by index, the place of a vector plus 1 while a row is made; else 0 */
    int32_t is_beyond; /* whether a count is that numbers do not hold */
    double largest;    /* the largest magnitude, or more */
    num of_level[256]; /* the number of each 8-bit level */
    uint8_t *bytes;    /* that came last, where samples follow each other */
    int32_t are_kept;  /* whether they were the input of the sample before; */
    int32_t is_change; /* then vectors are listed where bytes have changed */
};

struct layer {
    int32_t n, width; /* units, and vectors of them */
    int32_t is_signed; /* whether spikes may be negative: layer 0 */
    /* The vectors of units that may have sent anything in this sample, or in the one that it follows:
     * of layer 0 those that were given input, of others all. */
    int32_t *n_active, *active; /* how many, in the order of their first input; */
    int32_t *place;             /* by vector, its place plus 1, or 0 */
    int32_t apart;     /* vectors from the spikes of a step to those of the next: 0 for layer 0 */
    int32_t learns, writes_at_once;
    const struct wiring *wiring; /* of W_l; null if it is dense */
    int64_t n_w, n_b; /* vectors of W_l, and of B_l, none if these are those of W_l */
    vec *w;           /* W_l: if it is dense a row for each unit below */
    vec *b;           /* B_l: and a row for each unit; l > 1 */
    vec *psi, *psi_kept;
    vec *s, *c, *phi_y, *phi; /* phi on a chip alone */
    vec *arriving, *arriving_back; /* what was handed over to s and psi in the step before, */
    double gain, gain_back;        /* and how much that may be */
    vec *k;            /* the spikes of each step, a row each; of layer 0 those of this step */
    int32_t *fired;    /* and the units that fire, likewise */
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
    struct sent sample; /* in this sample */
    big so_far[N_SENT]; /* and in all before: see all_sent */
    struct kept_weights before;
    vec *step_kept; /* c, s, and psi or phi_y before a step */
    struct kept_counts kept;
};

/* Constant input whose spikes are known beforehand: see trains.h. */
struct trains {
    int32_t *of_label; /* the row of a train; 0 if it is not known yet */
    num *train;        /* the counts of a train after each step, a row each; row 0 is silence */
    num *messages;     /* and in how many steps it has sent something */
    int32_t n_steps; /* of samples whose trains are known */
    int32_t n_known, most_known, length; /* rows, and numbers of a row */
    num *slot;     /* by label: how many units have it, then where the next one goes; else 0 */
    int32_t *rank, *label_of, *active, *member;
    num *value, *label;
    int32_t n_groups, n_active, low, high;
    int32_t *start, *train_in;             /* of each group of units: its members, its train */
    int32_t *jump_first, *jump_step;       /* of each group: the steps in which its train leaves */
    num *jump;                             /* that of the group before, and by how much */
    vec *sent_by, *messages_by, *product;
    vec *drive; /* s_1 after each step, a row each */
    int32_t *update_of_step; /* which pending update a step has made, or -1 */
};

struct network {
    struct definition is;
    num one, half;
    big updates;
    big rows_read, multiply_adds; /* what was really done */
    int64_t shown, trained, sample_updates;
    int32_t age; /* samples learned since bounds were measured */
    int64_t n_measured; /* how often they were */
    double measured;    /* what the bound of W_1 was then */
    struct changed_rows *changed;
    int32_t n_steps;   /* of this sample */
    int32_t delay;     /* of this sample: 0 if it learns nothing */
    int32_t step;      /* of this sample */
    int64_t inputs_shown; /* the steps of input so far */
    int32_t hands_over; /* whether what is sent passes its weights at once, and arrives a step later */
    int64_t n_learned; /* samples learned before this one, where random numbers depend on it */
    int32_t is_taught;  /* whether this sample learns: then psi_kept has what was before, */
    int32_t is_settled; /* whether layers keep the weights before: then what is written is forgotten */
    int32_t in_trains; /* whether the input of this sample is in trains */
    int32_t follows;   /* whether it costs what has changed since the one before */
    struct row x;      /* the input of this step */
    double input_bound, input_bound_kept;
    int64_t updates_kept;
    struct trains trains;
    const vec **row; /* rows to add, with their factors */
    num *factor;
    num *matrix; /* rate times errors, of what is written */
    vec *change;
    int32_t *position;  /* how many active units come before a unit */
    num *spread;        /* of an update that is written, rate times errors by unit, */
    int32_t *errors_at; /* and how many errors the output pixel has that begins with a unit */
    vec *sent; /* of a layer in each step, by lanes */
    int32_t *touched, *mark;
    int32_t *listed, *listed_at; /* units below, and where their factors are */
    vec *by_unit;      /* factors of W_1, where they are needed unit by unit; else zero */
    struct layer layer[]; /* 0..L */
};

enum {
    MOST_LABEL = 32768, /* labels of trains are at most this in magnitude */
    MOST_NUMBERS_OF_TRAINS = 1 << 18,
    SAMPLES_PER_BOUND = 250,
    HUGE_AGE = 1 << 30, /* bounds are to be measured */
    OVER = PADDING / LANES, /* vectors behind a layer to which rows of its last pixel add zeros */
};

static void *vectors(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(vec)); }
static void *numbers(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(num)); }
static void *integers(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(int32_t)); }

static void lay_out_learned(struct layer *a, int l, const struct layer *below, struct arena *arena)
{
    const struct wiring *wired = a->wiring;
    a->n_w = wired ? n_vectors(wired->n_weights) : below->n * (int64_t)a->width;
    a->n_b = l == 1 ? 0 : wired ? n_vectors(wired->n_backward) : a->n * (int64_t)below->width;
    a->w = vectors(arena, a->n_w);
    a->psi = vectors(arena, a->width + OVER);
    a->b = a->n_b > 0 ? vectors(arena, a->n_b) : a->w;
}

static void lay_out_sample(struct layer *a, int l, int64_t width_below, int64_t T,
    struct arena *arena)
{
    const int64_t width = a->width, n = width * LANES;
    struct pending *p = &a->pending;
    a->s = vectors(arena, width + OVER), a->c = vectors(arena, width);
    a->phi_y = vectors(arena, width);
    a->phi = vectors(arena, width), a->arriving = vectors(arena, width + OVER);
    a->arriving_back = vectors(arena, width + OVER);
    a->apart = l > 0 ? (int32_t)width : 0;
    const int64_t rows = l > 0 ? T : 1;
    a->k = vectors(arena, rows * width), a->e = vectors(arena, width);
    a->sum = vectors(arena, width);
    a->n_active = integers(arena, 1);
    a->active = integers(arena, width), a->place = integers(arena, width);
    a->psi_kept = vectors(arena, width), a->step_kept = vectors(arena, 3 * width);
    a->fired = integers(arena, rows * n), a->n_fired = integers(arena, T);
    a->sent = taken(arena, T, sizeof *a->sent), a->erring = integers(arena, n);
    if (l == 0)
        return;
    p->step = integers(arena, T), p->first = integers(arena, T + 1);
    p->unit = integers(arena, T * n), p->error = numbers(arena, T * n);
    p->rate = numbers(arena, T), p->at = taken(arena, T + 1, sizeof *p->at);
    p->factor = vectors(arena, T * width_below + OVER), p->kept = vectors(arena, width_below);
    p->waiting = vectors(arena, width);
}

static void lay_out_trains(struct trains *r, int64_t n_inputs, int64_t width_of_1, int64_t T,
    struct arena *arena)
{
    const int64_t n_labels = 2 * MOST_LABEL + 1, n = n_vectors((int)n_inputs) * LANES;
    const int width = n_vectors((int)T);
    const int64_t most_known = MOST_NUMBERS_OF_TRAINS / (width * LANES);
    const int64_t groups = n < most_known ? n : most_known; /* at most, and each leaves the one before */
    r->length = width * LANES;
    r->of_label = integers(arena, n_labels);
    r->slot = numbers(arena, n_labels - 1 + LANES); /* whose last vector begins with the last */
    r->rank = integers(arena, n), r->label_of = integers(arena, n), r->active = integers(arena, n);
    r->member = integers(arena, n), r->value = numbers(arena, n), r->label = numbers(arena, n);
    r->start = integers(arena, groups + 1), r->train_in = integers(arena, groups);
    r->jump_first = integers(arena, groups + 1);
    /* A list of jumps may end with the last one, and is written by whole vectors. */
    r->jump_step = integers(arena, groups * T + LANES);
    r->jump = numbers(arena, groups * T + LANES);
    r->sent_by = vectors(arena, width), r->messages_by = vectors(arena, width);
    r->product = vectors(arena, width);
    r->drive = vectors(arena, T * width_of_1), r->update_of_step = integers(arena, r->length);
    r->most_known = (int32_t)most_known;
    r->train = numbers(arena, (int64_t)r->most_known * r->length);
    r->messages = numbers(arena, (int64_t)r->most_known * r->length);
}

/* Whether the spikes of constant input may be known beforehand: see trains.h. */
static int may_be_in_trains(const struct network *net)
{
    const struct definition *is = &net->is;
    return !is->is_binary && !is->takes_counts && !is->is_chip && !net->layer[1].wiring;
}

/* Whether samples of one step may cost what has changed since the one before: see changes.h. */
static int may_follow(const struct network *net)
{
    const struct definition *is = &net->is;
    return !is->wirings && !is->delay && !is->is_chip;
}

static void count_work(struct network *net, int64_t rows, int64_t products)
{
    net->rows_read += rows;
    net->multiply_adds += products;
}

/* Note that a row of W_1 is to change. */
INLINE void note_change(struct network *net, int32_t unit)
{
    struct changed_rows *changed = net->changed;
    changed->unit[changed->n] = unit;
    changed->n += !changed->is_listed[unit];
    changed->is_listed[unit] = 1;
}

/* Count rows of W_l that are added up. */
static void count_rows(struct network *net, const struct layer *a, int64_t n)
{
    count_work(net, n, n * a->n);
}

/* Lay out a network whose `sizes`, `layer` and so on lie at `net`, which is written. */
static void lay_out(struct network *net, struct arena *learned, struct arena *sample)
{
    const struct definition *is = &net->is;
    const int64_t T = is->most_steps;
    int64_t widest = 0, widest_above = 0;
    for (int l = 0; l <= is->n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->n = is->sizes[l], a->width = n_vectors(a->n);
        widest = a->width * LANES > widest ? a->width * LANES : widest;
        if (l > 0)
            widest_above = a->width * LANES > widest_above ? a->width * LANES : widest_above;
        if (l > 0 && is->wirings && is->wirings[l - 1].n_weights > 0)
            a->wiring = &is->wirings[l - 1];
        if (l > 0)
            lay_out_learned(a, l, a - 1, learned);
        lay_out_sample(a, l, l > 0 ? a[-1].width : 0, T, sample);
    }
    net->changed = taken(sample, 1, sizeof *net->changed);
    int32_t *unit = integers(sample, is->sizes[0] + 1);
    uint8_t *is_listed = taken(sample, is->sizes[0], 1);
    if (sample->is_found)
        net->changed->unit = unit, net->changed->is_listed = is_listed;
    if (may_be_in_trains(net))
        lay_out_trains(&net->trains, is->sizes[0], net->layer[1].width, T, sample);
    net->row = taken(sample, widest + T, sizeof *net->row);
    net->factor = numbers(sample, widest + T), net->matrix = numbers(sample, T * widest_above);
    net->change = vectors(sample, widest / LANES), net->sent = vectors(sample, T);
    net->touched = integers(sample, widest), net->mark = integers(sample, widest);
    net->listed = integers(sample, widest), net->listed_at = integers(sample, widest);
    net->by_unit = vectors(sample, net->layer[0].width + OVER);
    net->x.n = integers(sample, 1), net->x.index = integers(sample, net->layer[0].width);
    net->x.numbers = vectors(sample, net->layer[0].width);
    net->x.place = integers(sample, net->layer[0].width);
    net->x.bytes = taken(sample, net->layer[0].width, LANES);
    if (is->wirings) {
        net->position = integers(sample, widest + 1), net->errors_at = integers(sample, widest);
        net->spread = numbers(sample, widest + PADDING);
    }
}

/* Lay out what weights were before a sample, which single steps alone need. */
static void lay_out_before(struct network *net, struct arena *arena)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        const struct layer *a = &net->layer[l];
        struct kept_weights *before = &net->layer[l].before;
        before->row = vectors(arena, a->wiring ? a->n_w + a->n_b : a->n_w);
        before->unit = integers(arena, a[-1].n);
        before->is_kept = taken(arena, a[-1].n, 1);
    }
}

#endif
