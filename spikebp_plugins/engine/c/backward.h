/* Rules 3 and 4: the backward pass.
 *
 *     phi_y += y, e_L = k_L - signed(phi_y);   psi_{l-1} += e_l B_l, e_{l-1} = signed(psi_{l-1}),
 *
 * each 0 where s is negative, with B_l of this step: the transpose of W_l as it was before this
 * step, so corrected by the updates that are pending, or the fixed feedback.
 */
#ifndef SPIKEBP_BACKWARD_H
#define SPIKEBP_BACKWARD_H

#include "forward.h"

/* s_l by now, of which that of layer 1 is prepared where input is in trains. */
INLINE const vec *summed_drive(const struct network *net, int l)
{
    const struct layer *a = &net->layer[l];
    if (l > 1 || !net->in_trains)
        return a->s;
    const int t = net->step - net->delay;
    return net->trains.drive + (int64_t)(t < net->n_steps ? t : net->n_steps - 1) * a->width;
}

/* Rule 3 for what the output sends in step t; 0 if it may be out of range. */
static int output_error(struct network *net, const num *y, double largest_y, int t)
{
    const int l = net->is.n_layers, bits = net->is.bits, is_binary = net->is.is_binary;
    struct layer *a = &net->layer[l];
    const vec *k = a->k + (int64_t)t * a->width, *s = summed_drive(net, l);
    const double half = (double)net->half;
    vec sum = {0};
    int n = 0;
    a->target_bound = (is_binary ? a->target_bound : half) + largest_y;
    if (!(a->target_bound + half < PROVEN
            && (a->target_bound / (double)net->one + 1) * a->n < MOST_COUNTED / 2))
        return 0;
    for (int v = 0; v < a->width; v++) {
        vec phi = a->phi_y[v] + ((const vec *)y)[v];
        vec m = limited((phi + net->half + (phi > 0)) >> bits, is_binary);
        a->phi_y[v] = phi - (m << bits);
        vec error = (k[v] - m) & ~(s[v] >> SIGN);
        a->e[v] = error;
        sum += magnitude(error);
        n += list_nonzero(error, v * LANES, a->erring + n);
    }
    a->n_erring = n;
    a->errors_sent = sum_of(sum);
    return 1;
}

/* The arguments of a backward pass through a layer, handed to its parts. */
struct error_pass {
    struct network *net;
    struct layer *a;
    const vec *drive;
    int n_rows;
    vec sum;
};

/* Backward potentials of n vectors of a layer, with what rows bring. */
INLINE void receive_errors(const int n, int v, const struct error_pass *now, vec *psi)
{
    EACH(i, n) psi[i] = now->a->psi[v + i];
    for (int r = 0; r < now->n_rows; r++) {
        const vec *row = now->net->row[r] + v;
        const num factor = now->net->factor[r];
        EACH(i, n) psi[i] += factor * row[i];
    }
}

INLINE void receive_part(const int n, int v, void *work)
{
    struct error_pass *now = work;
    vec psi[16];
    receive_errors(n, v, now, psi);
    EACH(i, n) now->a->psi[v + i] = psi[i];
}

/* Rule 4 for n vectors of a layer. */
INLINE void err_part(const int n, int v, void *work)
{
    struct error_pass *now = work;
    const struct network *net = now->net;
    struct layer *a = now->a;
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    vec psi[16];
    receive_errors(n, v, now, psi);
    EACH(i, n) {
        vec error = limited((psi[i] + net->half + (psi[i] > 0)) >> bits, is_binary);
        a->psi[v + i] = psi[i] - (error << bits);
        error &= ~(now->drive[v + i] >> SIGN);
        a->e[v + i] = error;
        now->sum += magnitude(error);
        a->n_erring += list_nonzero(error, (v + i) * LANES, a->erring + a->n_erring);
    }
}

/* List the rows that the errors of a layer add to the one below, with factors; return their number. */
static int list_rows(struct network *net, const struct layer *above, int64_t width)
{
    const struct pending *p = &above->pending;
    const num *e = (const num *)above->e;
    int n = 0;
    for (int i = 0; i < above->n_erring; i++, n++) {
        net->row[n] = above->b + above->erring[i] * width;
        net->factor[n] = e[above->erring[i]];
    }
    count_rows(net, above - 1, n);
    if (above->n_erring == 0 || net->is.has_random_feedback || above->writes_at_once)
        return n;
    for (int q = p->n_written; q < p->n_met; q++) {
        num product = 0;
        for (int i = p->first[q]; i < p->first[q + 1]; i++)
            product += p->error[i] * e[p->unit[i]];
        net->row[n] = p->factor + p->at[q];
        net->factor[n] = -p->rate[q] * product;
        n += product != 0;
    }
    return n;
}

/* Send the errors of a layer through a B_l that is not dense. */
static void send_connected(struct network *net, struct layer *above, num *psi)
{
    const struct senders from = {above->erring, (const num *)above->e, above->n_erring};
    add_by_unit(&above->wiring->down, (const num *)above->b, from, psi);
    above->sample.down += operations_of(&above->wiring->down, from);
    const int64_t synapses = (int64_t)synapses_of(&above->wiring->down, from);
    above->sample.messages_down += synapses;
    count_work(net, from.n, synapses);
}

static void send_none(struct layer *a) { a->n_erring = 0, a->errors_sent = 0; }

/* The largest magnitude of what an error of a layer brings to a unit below. */
static double backward_bound(const struct network *net, const struct layer *above)
{
    const int is_random = net->is.has_random_feedback && above->n_b > 0;
    return is_random ? above->feedback_bound : above->weight_bound;
}

/* Rule 4 of layer l; 0 if it may be out of range. */
static int err_layer(struct network *net, int l)
{
    struct layer *a = &net->layer[l], *above = a + 1;
    const double half = (double)net->half;
    const double gain = net->hands_over
        ? a->gain_back
        : (double)above->errors_sent * (above->n_erring > 0 ? backward_bound(net, above) : 0);
    send_none(a);
    const int is_silent = net->hands_over ? gain == 0 : above->n_erring == 0; /* weights may be 0 */
    if (is_silent && a->psi_bound <= half)
        return 1; /* no backward potential fires */
    a->psi_bound += gain;
    const enum proven_range range = proven_range(a->psi_bound, gain, a->limit);
    if (range == UNPROVEN)
        return 0;
    struct error_pass now = {.net = net, .a = a, .drive = summed_drive(net, l)};
    if (net->hands_over)
        add(a->psi, a->arriving_back, a->width);
    else if (above->wiring)
        send_connected(net, above, (num *)a->psi);
    else
        now.n_rows = list_rows(net, above, a->width);
    if (range == EXACT) {
        in_single_vectors(a->width, receive_part, &now);
        now.n_rows = 0;
        if (!is_in_range(net, a, a->psi_bound = largest(a->psi, a->width)))
            return 0;
    }
    in_parts(a->width, IN_REGISTERS, err_part, &now);
    a->errors_sent = sum_of(now.sum);
    if (!net->is.is_binary)
        a->psi_bound = half;
    return 1;
}

/* The most that layer l hands over to a unit of layer l - 1. */
static double gain_down(const struct network *net, int l)
{
    const struct layer *above = &net->layer[l];
    return above->n_erring > 0 ? (double)above->errors_sent * backward_bound(net, above) : 0;
}

/* Hand over to layer l - 1 the errors that layer l has just sent. */
static void hand_down(struct network *net, int l)
{
    struct layer *above = &net->layer[l], *a = above - 1;
    memset(a->arriving_back, 0, (size_t)a->width * sizeof(vec));
    a->gain_back = gain_down(net, l);
    if (above->wiring)
        send_connected(net, above, (num *)a->arriving_back);
    else
        for (int r = list_rows(net, above, a->width) - 1; r >= 0; r--)
            for (int v = 0; v < a->width; v++)
                a->arriving_back[v] += net->factor[r] * net->row[r][v];
}

#endif
