/* The forward pass: phi_0 += x fires; then for each spike of sign g in unit i of layer l - 1
 *
 *     s_l += g W_l[i],  phi_l += g W_l[i] fires,  c_{l-1}[i] += g,
 *
 * each array a sum of its own. Where no error comes in between, both orders send each layer the same
 * spikes in the same order, so that all of a layer are handled before the next.
 */
#ifndef SPIKEBP_EVENT_FORWARD_H
#define SPIKEBP_EVENT_FORWARD_H

#include "event_backward.h"

/* So many rows are added to the potentials, then to the summed drive while they are in the cache. */
enum { ROWS_AT_ONCE = 16 };

static const vec *row_for(const struct layer *a, int32_t spike)
{
    return a->w + (int64_t)unit_of(spike) * a->width;
}

/* Add the rows of spikes to n vectors of the summed drive, which stay in registers. */
INLINE void drive_part(const int n, struct layer *a, int v, const int32_t *spike, int64_t n_spikes)
{
    vec s[8];
    EACH(i, n) s[i] = a->s[v + i];
    for (int64_t k = 0; k < n_spikes; k++) {
        const vec *row = row_for(a, spike[k]) + v;
        if (spike[k] >= 0)
            EACH(i, n) s[i] += row[i];
        else
            EACH(i, n) s[i] -= row[i];
    }
    EACH(i, n) a->s[v + i] = s[i];
}

static void drive(struct layer *a, const int32_t *spike, int64_t n_spikes)
{
    int v = 0;
    for (; v + 8 <= a->width; v += 8)
        drive_part(8, a, v, spike, n_spikes);
    if (v + 4 <= a->width)
        drive_part(4, a, v, spike, n_spikes), v += 4;
    for (; v < a->width; v++)
        drive_part(1, a, v, spike, n_spikes);
}

/* Let layer l fire by a spike from below; 0 if something is out of range. */
static int fire(struct network *net, int l, int32_t spike)
{
    const vec *row = row_for(&net->layer[l], spike);
    return spike >= 0 ? receive_rectified(net, l, row, 0) : receive_rectified(net, l, row, 1);
}

/* Count a spike that has left the queue of a layer. */
INLINE void note_sent(struct layer *a, int32_t spike)
{
    a->sent[unit_of(spike)] += (real)(spike >= 0 ? 1 : -1);
    a->sample_spikes++;
}

/* Add a spike of layer l to its input count, c. */
INLINE void count_input(struct network *net, int l, int32_t spike)
{
    ((real *)net->layer[l].c)[unit_of(spike)] += (real)(spike >= 0 ? 1 : -1);
    net->layer[l + 1].knows_teachers = 0;
}

/* Handle all spikes of a layer before the next. Those of the input are in its queue; those of the
 * output are returned, or null if something is out of range. */
static struct spikes *forward_by_layers(struct network *net)
{
    struct spikes *sent = &net->sent[0];
    sent->n = net->layer[0].forward.size;
    for (int l = 0; l < net->is.n_layers; l++) {
        struct spikes *next = &net->sent[sent == &net->sent[0]];
        next->n = 0;
        for (int64_t first = 0; first < sent->n; first += ROWS_AT_ONCE) {
            const int64_t rest = sent->n - first, n = rest < ROWS_AT_ONCE ? rest : ROWS_AT_ONCE;
            for (int64_t a = first; a < first + n; a++) {
                if (l == 0)
                    sent->at[a] = poll(&net->layer[0].forward);
                note_sent(&net->layer[l], sent->at[a]);
                count_input(net, l, sent->at[a]);
                if (!fire(net, l + 1, sent->at[a]))
                    return NULL;
                let_go(&net->layer[l + 1].forward, next);
            }
            drive(&net->layer[l + 1], sent->at + first, n);
        }
        sent = next;
    }
    for (int64_t a = 0; a < sent->n; a++)
        note_sent(&net->layer[net->is.n_layers], sent->at[a]);
    return sent;
}

/* Follow each spike of the input's queue to the output and back at once; 0 if something is out of
 * range. A spike is added to the input count after all that it has caused. */
static int forward_by_spikes(struct network *net)
{
    int l = 0;
    for (;;) {
        struct layer *a = &net->layer[l];
        if (a->forward.size == 0) {
            if (l == 0)
                return 1;
            l--;
            count_input(net, l, net->layer[l].current);
            continue;
        }
        const int32_t spike = poll(&a->forward);
        note_sent(a, spike);
        if (l == net->is.n_layers) {
            if (!backward_by_spikes(net, spike))
                return 0;
            continue;
        }
        a->current = spike;
        l++;
        drive(&net->layer[l], &spike, 1);
        if (!fire(net, l, spike))
            return 0;
    }
}

/* Show the input of a step, and handle what it causes; 0 if something is out of range. */
static int forward(struct network *net, const vec *x, int learns)
{
    struct layer *input = &net->layer[0];
    if (!receive_signed(net, 0, input->phi, &input->forward, POTENTIAL, x, 0))
        return 0;
    if (learns && net->is.is_depth && !net->is.holds_error)
        return forward_by_spikes(net);
    struct spikes *output = forward_by_layers(net);
    if (output == NULL)
        return 0;
    if (learns && net->is.holds_error)
        hold(net, output);
    else if (learns) {
        struct spikes *errors = &net->errors[0];
        memcpy(errors->at, output->at, (size_t)output->n * sizeof *errors->at);
        errors->n = output->n;
        return launch(net, errors);
    }
    return 1;
}

#endif
