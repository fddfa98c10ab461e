/* A network in the order of events, where its arrays lie, and how a layer fires.
 *
 * In the symbols of docs/event_order.md: layers l = 0..L of n_l units; weights W_l of
 * shape (n_{l-1}, n_l); their transposes B_l; potentials phi_l, backward
 * potentials psi_l, that of the negative target phi_y; summed drive s_l; input counts c_l; summed
 * errors E_l. Both W_l and B_l lie by rows, so columns too are read along memory.
 *
 * Floating point has no inverse. Before a sample first changes the weights of a unit below, its row
 * of W_l is kept; to undo a sample, it is copied back to W_l and to B_l.
 */
#ifndef SPIKEBP_EVENT_NETWORK_H
#define SPIKEBP_EVENT_NETWORK_H

#include <math.h>

#include "event_queue.h"
#include "event_reals.h"

#include "../../engine/c/arena.h"

/* The quantities that can be out of range. */
enum quantity { POTENTIAL, TARGET, BACKWARD, DRIVE, WEIGHT, SPIKES };

/* Potentials stay below it in magnitude: single precision holds halves there, and to subtract a
 * spike always changes them. */
#define LARGEST_POTENTIAL 0x1p23

/* The definition of a network, as Python gives it. */
struct definition {
    const int32_t *sizes; /* n_0..n_L */
    double rate;
    double limit; /* of weights and summed drive */
    int32_t n_layers; /* L */
    int32_t starts_at_zero; /* whether psi does, in a sample that learns */
    int32_t is_outer, is_depth, holds_error;
};

struct layer {
    int32_t n, width; /* units, and vectors of them */
    vec *w;           /* W_l: a row for each unit below */
    vec *b;           /* B_l: a row for each unit; l > 1 */
    vec *psi, *psi_kept;
    vec *phi, *s, *c, *sum;
    struct queue forward, backward;
    int32_t current; /* the spike that is being followed */
    int32_t *teacher; /* the units below with c > 0, */
    real *taught;     /* their counts, */
    int32_t n_teachers, knows_teachers; /* and whether these are those of now */
    vec *w_kept; /* rows of W_l as they were before the sample: */
    int32_t *kept, *is_kept;
    int32_t n_kept; /* of these units below */
    real *sent, *erred; /* net spikes of this step, and net errors behind the gate, for a record */
    int64_t *net_backward, *all_backward; /* errors of a sample before the gate */
    int64_t spikes, errors;               /* of all samples so far, */
    int64_t sample_spikes, sample_errors; /* and of this one */
};

struct network {
    struct definition is;
    int64_t shown, trained, updates, sample_updates;
    double fault[3]; /* a quantity, its layer and its value, of the last sample that was refused */
    vec *phi_y;
    int64_t *held; /* [n_L]: output spikes less target spikes of this step */
    struct spikes sent[2], errors[2]; /* of two layers that are next to each other */
    struct layer layer[]; /* 0..L */
};

static int note_fault(struct network *net, enum quantity quantity, int l, double value)
{
    net->fault[0] = (double)quantity, net->fault[1] = l, net->fault[2] = value;
    return 0;
}

static vec *vectors(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(vec)); }
static int32_t *integers(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(int32_t)); }
static int64_t *counts(struct arena *arena, int64_t n) { return taken(arena, n, sizeof(int64_t)); }

static struct queue queue_in(struct arena *arena)
{
    return (struct queue){.entry = taken(arena, MOST_FIRED, sizeof(uint64_t))};
}

/* Lay out a network whose definition lies at `net`, which is written. Of the memory of queues what
 * is never used costs nothing. */
static void lay_out(struct network *net, struct arena *learned, struct arena *arena)
{
    const int L = net->is.n_layers;
    for (int l = 0; l <= L; l++) {
        struct layer *a = &net->layer[l];
        a->n = net->is.sizes[l], a->width = n_vectors(a->n);
        const int64_t width = a->width, below = l > 0 ? a[-1].n : 0;
        a->w = vectors(learned, below * width);
        a->b = vectors(learned, l > 1 ? a->n * (int64_t)a[-1].width : 0);
        a->psi = vectors(learned, width);
        a->psi_kept = vectors(arena, width), a->phi = vectors(arena, width);
        a->s = vectors(arena, width), a->c = vectors(arena, width), a->sum = vectors(arena, width);
        a->forward = queue_in(arena), a->backward = queue_in(arena);
        a->w_kept = vectors(arena, below * width);
        a->teacher = integers(arena, below), a->taught = taken(arena, below, sizeof(real));
        a->kept = integers(arena, below), a->is_kept = integers(arena, below);
        a->sent = taken(arena, a->n, sizeof(real)), a->erred = taken(arena, a->n, sizeof(real));
        a->net_backward = counts(arena, a->n), a->all_backward = counts(arena, a->n);
    }
    net->phi_y = vectors(arena, net->layer[L].width);
    net->held = counts(arena, net->layer[L].n);
    for (int i = 0; i < 2; i++)
        net->sent[i].at = integers(arena, MOST_FIRED), net->errors[i].at = integers(arena, MOST_FIRED);
}

/* Whether a potential above the threshold may fire; if not, the fault is noted. It fires at most
 * |v| + 1/2 spikes. */
INLINE int has_room(struct network *net, const struct queue *q, enum quantity quantity, int l, real v)
{
    const double size = fabs((double)v);
    if (!(size < LARGEST_POTENTIAL))
        return note_fault(net, quantity, l, (double)v);
    if (!((double)(q->fired + q->size) + size + 1 < MOST_FIRED))
        return note_fault(net, SPIKES, l, MOST_FIRED);
    return 1;
}

/* Add a row to potentials, or subtract it; return whether a unit fires. */
INLINE int add_rectified(vec *phi, const vec *row, int width, const int is_negative)
{
    lanes some = {0};
    for (int v = 0; v < width; v++) {
        vec now = is_negative ? phi[v] - row[v] : phi[v] + row[v];
        phi[v] = now;
        some |= above(now, ABOVE_HALF);
    }
    return signs(some) != 0;
}

/* The same, with the sums rounded to single precision. */
INLINE int add_signed(vec *phi, const vec *row, int width, const int is_negative)
{
    lanes some = {0};
    for (int v = 0; v < width; v++) {
        vec now = rounded(is_negative ? phi[v] - row[v] : phi[v] + row[v]);
        phi[v] = now;
        some |= above(magnitude(now), (real)0.5);
    }
    return signs(some) != 0;
}

/* Give a row to the rectified quantizer of layer l; 0 if something is out of range. */
INLINE int receive_rectified(struct network *net, int l, const vec *row, const int is_negative)
{
    struct layer *a = &net->layer[l];
    struct queue *q = &a->forward;
    if (!add_rectified(a->phi, row, a->width, is_negative))
        return 1;
    for (int v = 0; v < a->width; v++)
        for (unsigned set = signs(above(a->phi[v], ABOVE_HALF)); set; set &= set - 1) {
            const int j = v * LANES + __builtin_ctz(set);
            real phi = ((real *)a->phi)[j];
            if (!has_room(net, q, POTENTIAL, l, phi))
                return 0;
            for (; phi > ABOVE_HALF; phi -= 1)
                offer(q, (float)phi, j);
            ((real *)a->phi)[j] = phi;
        }
    q->fired += q->size;
    return 1;
}

/* Give a row to a signed quantizer of layer l, with its potentials and its queue; 0 if something is
 * out of range. */
INLINE int receive_signed(struct network *net, int l, vec *phi, struct queue *q,
    enum quantity quantity, const vec *row, const int is_negative)
{
    const int width = net->layer[l].width;
    if (!add_signed(phi, row, width, is_negative))
        return 1;
    for (int v = 0; v < width; v++)
        for (unsigned set = signs(above(magnitude(phi[v]), (real)0.5)); set; set &= set - 1) {
            const int j = v * LANES + __builtin_ctz(set);
            float now = (float)((real *)phi)[j];
            if (!has_room(net, q, quantity, l, now))
                return 0;
            for (; now > 0.5f; now -= 1)
                offer(q, now, j);
            for (; now < -0.5f; now += 1)
                offer(q, -now, ~j);
            ((real *)phi)[j] = now;
        }
    q->fired += q->size;
    return 1;
}

#endif
