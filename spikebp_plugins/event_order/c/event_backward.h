/* The backward pass: errors come back, and weights learn.
 *
 *     an error spike of sign g in unit j of layer l is lost if s_l[j] < 0; else psi_{l-1} += g B_l[j],
 *     and W_l[i, j] -= c_{l-1}[i] (g rate) for each i with c_{l-1}[i] > 0,
 *
 * breadth first: what goes back together passes the gate, its rows of B_l are added, then it teaches;
 * depth first: each spike teaches, then its row is added, and what that fires is followed at once.
 */
#ifndef SPIKEBP_EVENT_BACKWARD_H
#define SPIKEBP_EVENT_BACKWARD_H

#include "event_network.h"

/* Count an error spike, and say whether the gate lets it through. */
INLINE int passes(struct layer *a, int32_t spike)
{
    const int j = unit_of(spike), sign = spike >= 0 ? 1 : -1;
    a->net_backward[j] += sign;
    a->all_backward[j]++;
    if (((const real *)a->s)[j] < 0)
        return 0;
    a->erred[j] += (real)sign;
    a->sample_errors++;
    return 1;
}

/* List the units below that teach layer l, and keep their rows of W_l. */
static void list_teachers(struct network *net, int l)
{
    struct layer *a = &net->layer[l];
    const struct layer *below = a - 1;
    const real *c = (const real *)below->c;
    int n = 0;
    for (int v = 0; v < below->width; v++)
        for (unsigned set = signs(above(below->c[v], 0)); set; set &= set - 1) {
            const int i = v * LANES + __builtin_ctz(set);
            a->teacher[n] = i, a->taught[n++] = c[i];
            if (a->is_kept[i])
                continue;
            const int64_t at = (int64_t)i * a->width;
            memcpy(a->w_kept + at, a->w + at, (size_t)a->width * sizeof(vec));
            a->is_kept[i] = 1;
            a->kept[a->n_kept++] = i;
        }
    a->n_teachers = n, a->knows_teachers = 1;
}

/* W_l[:, j] -= max(c, 0) factor, and B_l with it; 0 if a weight is out of range. */
static int descend(struct network *net, int l, int j, real factor)
{
    struct layer *a = &net->layer[l];
    const int64_t length = (int64_t)a->width * LANES;
    real *w = (real *)a->w + j;
    if (!a->knows_teachers)
        list_teachers(net, l);
    for (int k = 0; k < a->n_teachers; k++) {
        real *weight = w + a->teacher[k] * length;
        *weight -= a->taught[k] * factor;
        if (!(fabs((double)*weight) < net->is.limit))
            return note_fault(net, WEIGHT, l, (double)*weight);
    }
    net->sample_updates += a->n_teachers;
    if (l > 1) {
        const vec *c = a[-1].c;
        vec *row = a->b + (int64_t)j * a[-1].width;
        for (int v = 0; v < a[-1].width; v++) /* what does not teach subtracts +0 */
            row[v] -= (vec)((lanes)(c[v] * factor) & (c[v] > 0));
    }
    return 1;
}

/* Change the weights into a unit by one error spike; 0 if one is out of range. */
static int learn(struct network *net, int l, int32_t spike)
{
    const int j = unit_of(spike);
    const real rate = (real)net->is.rate;
    if (net->is.is_outer) {
        ((real *)net->layer[l].sum)[j] += (real)(spike >= 0 ? 1 : -1);
        return 1;
    }
    return descend(net, l, j, spike >= 0 ? rate : -rate);
}

/* With update="outer", learn from the summed errors; 0 if a weight is out of range. */
static int learn_sample(struct network *net)
{
    for (int l = 1; l <= net->is.n_layers; l++) {
        const real *sum = (const real *)net->layer[l].sum;
        for (int j = 0; j < net->layer[l].n; j++)
            if (sum[j] != 0 && !descend(net, l, j, sum[j] * (real)net->is.rate))
                return 0;
    }
    return 1;
}

/* Give the row of an error spike to the layer below; 0 if something is out of range. */
static int send_back(struct network *net, int l, int32_t spike)
{
    struct layer *below = &net->layer[l - 1];
    const vec *row = net->layer[l].b + (int64_t)unit_of(spike) * below->width;
    if (spike >= 0)
        return receive_signed(net, l - 1, below->psi, &below->backward, BACKWARD, row, 0);
    return receive_signed(net, l - 1, below->psi, &below->backward, BACKWARD, row, 1);
}

/* Send error spikes of the output back, all of a layer at a time; 0 if something is out of range. */
static int backward_by_layers(struct network *net, struct spikes *errors)
{
    for (int l = net->is.n_layers; l >= 1; l--) {
        struct spikes *next = &net->errors[errors == &net->errors[0]];
        int64_t n = 0;
        for (int64_t a = 0; a < errors->n; a++)
            if (passes(&net->layer[l], errors->at[a]))
                errors->at[n++] = errors->at[a];
        next->n = 0;
        for (int64_t a = 0; l > 1 && a < n; a++) {
            if (!send_back(net, l, errors->at[a]))
                return 0;
            let_go(&net->layer[l - 1].backward, next);
        }
        for (int64_t a = 0; a < n; a++)
            if (!learn(net, l, errors->at[a]))
                return 0;
        errors = next;
    }
    return 1;
}

/* Follow an error spike of the output to the first layer; 0 if something is out of range. */
static int backward_by_spikes(struct network *net, int32_t spike)
{
    const int L = net->is.n_layers;
    int l = L;
    for (;;) {
        if (passes(&net->layer[l], spike)) {
            if (!learn(net, l, spike))
                return 0;
            if (l > 1 && !send_back(net, l, spike))
                return 0;
            l -= l > 1;
        }
        while (l < L && net->layer[l].backward.size == 0)
            l++;
        if (l == L)
            return 1;
        spike = poll(&net->layer[l].backward);
    }
}

/* Send error spikes of the output back; 0 if something is out of range. */
static int launch(struct network *net, struct spikes *errors)
{
    if (!net->is.is_depth)
        return backward_by_layers(net, errors);
    for (int64_t a = 0; a < errors->n; a++)
        if (!backward_by_spikes(net, errors->at[a]))
            return 0;
    return 1;
}

/* Count spikes until the end of the step. */
static void hold(struct network *net, const struct spikes *spikes)
{
    for (int64_t a = 0; a < spikes->n; a++)
        net->held[unit_of(spikes->at[a])] += spikes->at[a] >= 0 ? 1 : -1;
}

/* Send the held errors back, one spike after the other; 0 if something is out of range. */
static int launch_held(struct network *net)
{
    struct spikes *alone = &net->errors[0];
    for (int j = 0; j < net->layer[net->is.n_layers].n; j++)
        for (const int sign = net->held[j] > 0 ? 1 : -1; net->held[j] != 0; net->held[j] -= sign) {
            alone->at[0] = sign > 0 ? j : ~j;
            alone->n = 1;
            if (!launch(net, alone))
                return 0;
        }
    return 1;
}

/* Let the negative target fire, and send errors back; 0 if something is out of range. */
static int compare(struct network *net, const vec *y)
{
    const int L = net->is.n_layers;
    struct queue *q = &net->layer[L].backward;
    struct spikes *fired = &net->errors[0];
    if (!receive_signed(net, L, net->phi_y, q, TARGET, y, 1))
        return 0;
    fired->n = 0;
    let_go(q, fired);
    if (!net->is.holds_error)
        return launch(net, fired);
    hold(net, fired);
    return launch_held(net);
}

#endif
