/* A network, and where its arrays lie.
 *
 * In the symbols of docs/semantics.md: layers l = 0..L of n_l units; weights W_l of shape (n_{l-1},
 * n_l); their transposes, or the fixed feedback, B_l; spikes k_l, counts c_l, potentials phi_l =
 * s_l - c_l, summed drive s_l; backward potentials psi_l; errors e_l; summed errors E_l; the
 * potential of the target phi_y.
 *
 * What rule 5 changes waits as a product of counts and errors,
 *
 *     W_l of now = W_l as written - sum over p of rate_p outer(c_p, e_p),
 *
 * so that drive and backward potentials are corrected by scalar products,
 *
 *     k W_l of now = k W_l - sum over p of rate_p (k . c_p) e_p,
 *     e B_l of now = e B_l - sum over p of rate_p (e . e_p) c_p.
 *
 * Weights are written when the sample closes, once all values are proven in range, or before that
 * if there is no room for more updates. What is written within a sample is kept as it was before,
 * so to undo a sample is to copy that back, and to forget updates. See writing.h, and for what a
 * connection keeps from one step to the next drive.h.
 *
 * Where synapses share weights, a correction would be a convolution for each update, and on a chip
 * rounding makes updates no sum. There updates are written when a step ends: see connections.h and
 * chip.h.
 *
 * With pipelined timing, what layers send passes the weights in the step in which it is sent,
 * before they learn, and arrives in the next step.
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
    int32_t is_kernel; /* a convolution; else W is a list, and B is W unless it is random */
    int32_t channels_below, channels;
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
    int32_t most_pending;  /* so many updates of a layer wait: each step corrects by all of them */
    int32_t bits;
    int32_t learns_once; /* when a sample closes, from summed errors */
    int32_t starts_at_zero; /* whether psi does, in a sample that learns */
    int32_t is_binary, takes_counts, has_random_feedback;
    int32_t delay;       /* steps that spikes and errors of a sample that learns are on their way */
    int32_t is_chip, weight_shift; /* the numbers of a chip: weights are multiples of 2^shift */
    int64_t seed;
};

/* Indices, each listed once. How many there are lies with them: of the header there may be
 * copies. */
struct list {
    int32_t *n, *index;
    int32_t *place; /* by index: 1 more than its place in the list, or 0; null if nobody asks */
};

/* The updates of W_l that are not written. */
struct pending {
    int32_t n;
    int64_t *at;    /* where the factors of an update begin; [n] where the last end */
    int32_t *first; /* where the errors of an update begin in the lists; [n] where the last end */
    int32_t *unit;  /* the units that have errors */
    num *error;
    num *rate;   /* by update */
    vec *factor; /* by update, what multiplies its errors: of the active vectors of the layer
                  * below as they are listed */
    int64_t n_factors; /* how many of the last update are not zero, */
    int32_t cuts;      /* and whether any is cut off where it teaches */
};

/* What a dense connection keeps of the last step: see drive.h. */
struct last_step {
    int32_t is_known; /* whether `drive` is that of `numbers` */
    vec *numbers;     /* the numbers that it was sent, */
    struct list some; /* the vectors of these that may not be zero, */
    vec *drive;       /* and their drive, through the weights as written, less what waits */
    int32_t repays;   /* whether the first step of this sample was near the last one before */
    /* Of samples of one step: */
    int32_t waits; /* whether W_l is still to lose what `waiting` says, times `numbers` */
    vec *waiting;
    int64_t n_changed; /* how many numbers have changed */
    int64_t rows_changed, rows_written; /* moving averages: of the vectors in the rows that change,
                                         * and of those that a sample would write at its close */
};

enum { N_SENT = 8 };

/* Counts of what a layer has sent: its spikes and error spikes; the messages that carry them, one
 * for each unit and step; and through a W_l or B_l that is not dense, the synapses that spikes,
 * errors, messages and messages of errors meet. */
struct sent {
    int64_t spikes, errors, messages, error_messages;
    big up, down, messages_up, messages_down;
};

/* What weights were before the open sample, of those rows that have changed in it. A row is that of
 * a unit below if W_l is dense; a single weight if W_l is a list; and of kernels all of W_l and
 * B_l. */
struct weights_before {
    struct list rows;
    int64_t length; /* numbers of a row */
    num *numbers;   /* the rows, in the order of their list */
};

/* The counts of a layer before a step: see steps.h. */
struct counts_before {
    struct sent sent;
    int32_t n_pending;
    double most_arriving, most_arriving_back;
};

/* A row of input: its vectors that are not zero, in units of 2^-f, or of counts. */
struct row {
    struct list some;
    vec *numbers; /* of each vector that is listed */
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
    /* The vectors of units that may have sent anything in this sample: of layer 0 those that were
     * given input, in their order, of others all. */
    struct list active;
    int32_t learns, writes_at_once;
    const struct wiring *wiring; /* of W_l; null if it is dense */
    int64_t n_w, n_b; /* vectors of W_l, and of B_l, none if these are those of W_l */
    vec *w;           /* W_l: if it is dense a row for each unit below */
    vec *b;           /* B_l: and a row for each unit; l > 1 */
    vec *psi, *psi_before; /* before the open sample */
    vec *s, *c, *phi_y, *phi; /* phi on a chip alone */
    vec *arriving, *arriving_back; /* what s and psi receive, */
    double most_arriving, most_arriving_back; /* and the largest that may be in these */
    vec *k;          /* the spikes of this step, */
    int32_t n_fired; /* how many units send them, */
    int64_t sent;    /* and how many these are */
    vec *e, *sum;      /* errors of this step, and E */
    int32_t *erring;   /* the units that have errors in this step */
    int32_t n_erring;
    int64_t errors_sent;
    struct last_step last;
    struct pending pending;
    double limit; /* below it drive is in range, and so are the spikes of the layer in a step */
    double weight_bound, feedback_bound, drive_bound, psi_bound, target_bound;
    double weight_bound_before, psi_bound_before;
    struct sent sample; /* in this sample */
    big so_far[N_SENT]; /* and in all before: see all_sent */
    struct weights_before before;
    vec *step_before; /* what a step changes, before it: see steps.h */
    struct counts_before counts_before;
};

struct network {
    struct definition is;
    num one, half;
    big updates;
    big rows_read, multiply_adds; /* what was really done */
    int64_t shown, trained, sample_updates;
    int32_t age; /* samples learned since bounds were measured */
    double measured;    /* what the bound of W_1 was then, */
    struct list changed; /* and the rows of a dense W_1 that have changed since */
    int32_t n_steps;   /* of this sample */
    int32_t delay;     /* of this sample: 0 if a whole sample learns nothing */
    int32_t step;      /* of this sample */
    int64_t inputs_shown; /* the steps of input so far */
    int64_t n_learned; /* samples learned before this one, where random numbers depend on it */
    int32_t is_taught;  /* whether this sample learns: then psi_before has what was before */
    int32_t has_one_step; /* whether it ends with its first step: then k_0 serves as c_0 */
    struct row x;      /* the input of this step */
    double input_bound;
    int64_t updates_before;
    const vec **row; /* rows to add, with their factors */
    num *factor;
    vec *matrix; /* of what is written, rate times errors: a row for each update, */
    num *times;  /* and what multiplies these, by row of weights */
    vec *gathered; /* numbers of the vectors on a list */
    struct list differing; /* vectors of the input that may differ from those of the step before */
    num *spread;        /* of an update that is written, rate times errors by unit, */
    int32_t *errors_at; /* and how many errors the output pixel has that begins with a unit */
    int32_t *touched, *mark;
    int32_t *listed, *listed_at; /* units, and where their factors are */
    vec *by_unit;      /* factors of W_1, where they are needed unit by unit; else zero */
    struct layer layer[]; /* 0..L */
};

enum {
    SAMPLES_PER_BOUND = 250,
    HUGE_AGE = 1 << 30, /* bounds are to be measured */
    OVER = PADDING / LANES, /* vectors behind a layer to which rows of its last pixel add zeros */
};

static void *vectors(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(vec)); }
static void *numbers(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(num)); }
static void *integers(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(int32_t)); }

static struct list list_of(struct arena *arena, int64_t most)
{
    struct list list;
    list.n = integers(arena, 1), list.index = integers(arena, most);
    list.place = integers(arena, most);
    return list;
}

/* Return where an index is in a list, behind all others if it was not there. */
INLINE int place_in(struct list list, int index)
{
    const int n = *list.n;
    if (list.place[index] == 0) {
        list.index[n] = index;
        list.place[index] = *list.n = n + 1;
    }
    return list.place[index] - 1;
}

static void empty(struct list list)
{
    for (int i = 0; i < *list.n; i++)
        list.place[list.index[i]] = 0;
    *list.n = 0;
}

static void lay_out_learned(struct layer *a, int l, const struct layer *below, struct arena *arena)
{
    const struct wiring *wired = a->wiring;
    a->n_w = wired ? n_vectors(wired->n_weights) : below->n * (int64_t)a->width;
    a->n_b = l == 1 ? 0 : wired ? n_vectors(wired->n_backward) : a->n * (int64_t)below->width;
    a->w = vectors(arena, a->n_w + a->n_b); /* side by side, as kernels are copied */
    a->b = a->n_b > 0 ? a->w + a->n_w : a->w;
    a->psi = vectors(arena, a->width + OVER);
}

static void lay_out_sample(struct layer *a, int l, int64_t width_below, int64_t most_pending,
    struct arena *arena)
{
    const int64_t width = a->width, n = width * LANES;
    struct pending *p = &a->pending;
    struct last_step *last = &a->last;
    a->s = vectors(arena, width + OVER), a->c = vectors(arena, width);
    a->k = vectors(arena, width), a->e = vectors(arena, width);
    a->active = list_of(arena, width);
    a->step_before = vectors(arena, 5 * width);
    if (l == 0)
        return;
    a->phi = vectors(arena, width), a->phi_y = vectors(arena, width);
    a->sum = vectors(arena, width), a->psi_before = vectors(arena, width);
    a->arriving = vectors(arena, width + OVER), a->arriving_back = vectors(arena, width + OVER);
    a->erring = integers(arena, n);
    p->first = integers(arena, most_pending + 1), p->rate = numbers(arena, most_pending);
    p->unit = integers(arena, most_pending * n), p->error = numbers(arena, most_pending * n);
    p->at = taken(arena, most_pending + 1, sizeof *p->at);
    p->factor = vectors(arena, most_pending * width_below + OVER);
    last->numbers = vectors(arena, width_below);
    last->some = (struct list){integers(arena, 1), integers(arena, width_below), NULL};
    last->drive = vectors(arena, width), last->waiting = vectors(arena, width);
}

/* Whether samples of one step are followed by the next: see drive.h. */
static int may_have_one_step(const struct network *net)
{
    const struct definition *is = &net->is;
    return !is->wirings && !is->delay && !is->is_chip;
}

static void count_work(struct network *net, int64_t rows, int64_t products)
{
    net->rows_read += rows;
    net->multiply_adds += products;
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
    const int64_t most_pending = is->most_pending;
    int64_t widest = 0, widest_above = 0;
    for (int l = 0; l <= is->n_layers; l++) {
        struct layer *a = &net->layer[l];
        a->n = is->sizes[l], a->width = n_vectors(a->n);
        widest = a->width * LANES > widest ? a->width * LANES : widest;
        if (l > 0)
            widest_above = a->width > widest_above ? a->width : widest_above;
        if (l > 0 && is->wirings && is->wirings[l - 1].n_weights > 0)
            a->wiring = &is->wirings[l - 1];
        if (l > 0)
            lay_out_learned(a, l, a - 1, learned);
        lay_out_sample(a, l, l > 0 ? a[-1].width : 0, is->most_pending, sample);
    }
    net->changed = list_of(sample, is->sizes[0]);
    net->row = taken(sample, widest + most_pending, sizeof *net->row);
    net->factor = numbers(sample, widest + most_pending);
    net->matrix = vectors(sample, most_pending * widest_above);
    net->times = numbers(sample, most_pending * widest + LANES);
    net->gathered = vectors(sample, widest / LANES);
    net->touched = integers(sample, widest), net->mark = integers(sample, widest);
    net->listed = integers(sample, widest), net->listed_at = integers(sample, widest);
    net->by_unit = vectors(sample, net->layer[0].width + OVER);
    net->differing
        = (struct list){integers(sample, 1), integers(sample, net->layer[0].width + 1), NULL};
    net->x.some = list_of(sample, net->layer[0].width);
    net->x.numbers = vectors(sample, net->layer[0].width);
    net->x.bytes = taken(sample, net->layer[0].width, LANES);
    if (is->wirings) {
        net->errors_at = integers(sample, widest);
        net->spread = numbers(sample, widest + PADDING);
    }
}

/* Lay out what weights were before a sample, where they are written within it. */
static void lay_out_before(struct network *net, struct arena *arena)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        struct layer *a = &net->layer[l];
        const int64_t n = (a->wiring ? a->n_w + a->n_b : a->n_w) * LANES;
        a->before.length = !a->wiring ? a->width * LANES : a->wiring->is_kernel ? n : 1;
        a->before.rows = list_of(arena, n / a->before.length);
        a->before.numbers = numbers(arena, n);
    }
}

#endif
