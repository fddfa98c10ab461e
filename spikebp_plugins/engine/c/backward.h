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

/* Rule 3 for what the output sends; 0 if it may be out of range. */
static int output_error(struct network *net, const num *y, double largest_y)
{
    const int l = net->is.n_layers, bits = net->is.bits, is_binary = net->is.is_binary;
    struct layer *a = &net->layer[l];
    const double half = (double)net->half;
    vec sum = {0};
    int n = 0;
    a->target_bound = (is_binary ? a->target_bound : half) + largest_y;
    if (!(a->target_bound + half < PROVEN
            && (a->target_bound / (double)net->one + 1) * a->n < MOST_COUNTED / 2))
        return 0;
    for (int v = 0; v < a->width; v++) {
        vec phi = a->phi_y[v] + ((const vec *)y)[v];
        const vec m = signed_spikes(net, phi);
        a->phi_y[v] = phi - (m << bits);
        vec error = (a->k[v] - m) & ~(a->s[v] >> SIGN);
        a->e[v] = error;
        sum += magnitude(error);
        n += list_nonzero(error, v * LANES, a->erring + n);
    }
    a->n_erring = n;
    a->errors_sent = sum_of(sum);
    return 1;
}

/* List the rows that the errors of a layer add to the one below, with factors; return their
 * number. */
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
    for (int q = 0; q < p->n && !net->is.has_random_feedback; q++) {
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

/* The largest magnitude of what an error of a layer brings to a unit below. */
static double backward_bound(const struct network *net, const struct layer *above)
{
    const int is_random = net->is.has_random_feedback && above->n_b > 0;
    return is_random ? above->feedback_bound : above->weight_bound;
}

/* The arguments of `receive_errors`, handed to its parts. */
struct error_pass {
    const struct network *net;
    vec *psi;
    int n_rows;
};

INLINE void receive_part(const int n, int v, void *work)
{
    const struct error_pass *now = work;
    vec sum[16], *psi = now->psi + v;
    EACH(i, n) sum[i] = psi[i];
    for (int r = 0; r < now->n_rows; r++) {
        const vec *row = now->net->row[r] + v;
        const num factor = now->net->factor[r];
        EACH(i, n) sum[i] += factor * row[i];
    }
    EACH(i, n) psi[i] = sum[i];
}

/* Add to psi what layer l receives from the errors of the one above. */
static void receive_errors(struct network *net, int l, vec *psi)
{
    struct layer *a = &net->layer[l], *above = a + 1;
    if (above->n_erring == 0)
        return;
    if (above->wiring) {
        send_connected(net, above, (num *)psi);
        return;
    }
    struct error_pass pass = {net, psi, list_rows(net, above, a->width)};
    in_parts(a->width, IN_REGISTERS, receive_part, &pass);
}

/* The most that the errors of layer l + 1 bring to a unit of layer l. */
static double most_received_errors(const struct network *net, int l)
{
    const struct layer *above = &net->layer[l + 1];
    return above->n_erring > 0 ? (double)above->errors_sent * backward_bound(net, above) : 0;
}

static void send_none(struct layer *a)
{
    a->n_erring = 0, a->errors_sent = 0;
    clear(a->e, a->width);
}

/* Rule 4 of layer l; 0 if it may be out of range. */
static int err_layer(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    const int bits = net->is.bits, is_binary = net->is.is_binary;
    const double half = (double)net->half;
    const double received = net->delay ? a->most_arriving_back : most_received_errors(net, l);
    send_none(a);
    const int is_silent = net->delay ? received == 0 : a[1].n_erring == 0; /* weights may be 0 */
    if (is_silent && a->psi_bound <= half)
        return 1; /* no backward potential fires */
    a->psi_bound += received;
    const enum proven_range range = proven_range(a->psi_bound, received, a->limit);
    if (range == UNPROVEN)
        return 0;
    const vec *s = a->s;
    const int width = a->width;
    vec *psi = a->psi, *e = a->e, sum = {0};
    if (net->delay)
        add(psi, a->arriving_back, width);
    else
        receive_errors(net, l, psi);
    if (range == EXACT && !is_in_range(net, a, a->psi_bound = largest(a->psi, a->width)))
        return 0;
    int32_t *erring = a->erring;
    int n = 0;
    for (int v = 0; v < width; v++) {
        vec error = signed_spikes(net, psi[v]);
        psi[v] -= error << bits;
        error &= ~(s[v] >> SIGN);
        e[v] = error;
        sum += magnitude(error);
        n += list_nonzero(error, v * LANES, erring + n);
    }
    a->n_erring = n;
    a->errors_sent = sum_of(sum);
    if (!is_binary)
        a->psi_bound = half;
    return 1;
}

#endif
