/* Steps of events: counts of the events of a sensor.
 *
 * The rules are those of data/events.py, which serve all back ends and raise the errors about
 * events. Rare cases are left to them: `feed` stops before one, and returns the number of events
 * that it has taken. A step costs its events, however many pixels there are.
 */
#ifndef SPIKEBP_EVENTS_H
#define SPIKEBP_EVENTS_H

#include "steps.h"

/* The counts of a step, of the units that are listed; of all others they are zero. */
struct counted {
    int64_t *counts;    /* [n_0] */
    int32_t *unit, *n;  /* [n_0 + 1] */
    uint8_t *is_listed; /* [n_0] */
};

/* Steps given by events in order: event a counts weight[a] of unit[a] in step at[a]. */
struct events {
    const int64_t *at, *unit, *weight;
    int64_t n_events, n_steps;
    struct counted counted; /* none between two steps */
};

/* An event as most recordings have it, and with numbers of any other type. */
struct usual_event {
    int16_t x, y;
    int64_t t;
    int8_t p;
} __attribute__((packed));
struct event {
    int64_t x, y, t, p;
} __attribute__((packed));

/* Events as they come, the encoder's fields, and the clock that cuts time into steps. */
struct feeding {
    struct block *block;
    const void *events; /* side by side, and nobody else's */
    int64_t n_events, n_taken; /* how many there are, and how many of them are taken */
    int32_t are_usual, are_checked;
    int64_t *times;  /* the start, the time of the last event, and the step that it lies in */
    struct counted counted; /* and its counts */
    int64_t width, height;
    uint64_t step, longest_leap; /* in microseconds */
    int32_t planes, signs;       /* polarity="planes", polarity="signs" */
    int64_t until, n_left;
};

enum { LONG_SILENCE = 1000 }; /* more steps between two events are not looked at one by one */

/* Whether a step of silence without a target changes nothing: no potential fires. Graded spikes
 * leave none beyond the threshold. */
static int rests(const struct network *net)
{
    if (!net->is.is_binary)
        return 1;
    for (int l = 0; l <= net->is.n_layers; l++) {
        const struct layer *a = &net->layer[l];
        for (int i = 0; i < *a->active.n; i++) {
            const int v = a->active.index[i];
            vec phi = a->s[v];
            if (l > 0)
                phi -= a->c[v] << net->is.bits;
            else
                phi = magnitude(phi);
            if (is_any(phi > net->half))
                return 0;
        }
    }
    return 1;
}

/* Count an event; return how many units have counts, of which there were n. */
static int count(const struct counted *to, int n, int64_t unit, int64_t weight)
{
    const int is_new = !to->is_listed[unit];
    to->counts[unit] += weight;
    to->unit[n] = (int32_t)unit;
    to->is_listed[unit] = 1;
    return n + is_new;
}

/* Show a step of counts, and clear them; 0 if it may be out of range. */
static int show_counts(struct network *net, struct shown_target target, const struct counted *given)
{
    begin_row(net);
    for (int i = 0; i < *given->n; i++)
        *number_in(&net->x, given->unit[i]) = number_of(net, COUNTS, given->counts, given->unit[i]);
    end_row(net);
    activate_row(net);
    if (!show_step(net, target))
        return 0;
    for (int i = 0; i < *given->n; i++)
        given->counts[given->unit[i]] = 0, given->is_listed[given->unit[i]] = 0;
    *given->n = 0;
    return 1;
}

/* Show consecutive steps of events; 0 if one may be out of range, whose counts `counts` has then.
 * Steps of silence that change nothing are passed over, and at most `block->n_steps` of the others
 * are shown. */
static int show_events(struct network *net, struct block *block, const struct events *given)
{
    block->x.kind = COUNTS;
    struct shown_target target = begin_steps(net, block);
    int64_t a = 0, i = 0;
    int is_in_range = 1, n_left = block->n_steps;
    while (i < given->n_steps && n_left > 0 && is_in_range) {
        for (; a < given->n_events && given->at[a] == i; a++)
            *given->counted.n = count(
                &given->counted, *given->counted.n, given->unit[a], given->weight[a]);
        if (*given->counted.n == 0 && target.y == NULL && rests(net)) {
            i = a < given->n_events ? given->at[a] : given->n_steps;
            continue;
        }
        is_in_range = show_counts(net, target, &given->counted);
        i += is_in_range;
        n_left--;
    }
    block->n_shown = i;
    return is_in_range;
}

static struct event event_at(const struct feeding *given, int64_t a)
{
    if (!given->are_usual)
        return ((const struct event *)given->events)[a];
    const struct usual_event usual = ((const struct usual_event *)given->events)[a];
    return (struct event){usual.x, usual.y, usual.t, usual.p};
}

/* Whether the events that are left are on the sensor, in the order of time, and make no leap. */
static int are_allowed(const struct feeding *given)
{
    int64_t before = given->times[1];
    for (int64_t a = given->n_taken; a < given->n_events; a++) {
        const struct event e = event_at(given, a);
        if (e.x < 0 || e.x >= given->width || e.y < 0 || e.y >= given->height || e.p < 0 || e.p > 1)
            return 0;
        if (e.t < before || (uint64_t)e.t - (uint64_t)before > given->longest_leap)
            return 0;
        before = e.t;
    }
    return 1;
}

static int count_event(const struct feeding *given, int n, struct event e)
{
    int64_t unit = e.y * given->width + e.x;
    if (given->planes)
        unit += e.p * given->width * given->height;
    return count(&given->counted, n, unit, given->signs ? 2 * e.p - 1 : 1);
}

/* Take events, and show the steps that they or the time `until` complete, at most `n_left`.
 *
 * `n_taken` becomes the number of events taken so far, one more if that time is reached, or -1 if
 * one may be wrong: then nothing has changed. Events are checked once, however many calls take
 * them. `n_shown` becomes the number of steps. Events that are not taken follow a step that is not
 * shown: one that may be out of range, one of a long silence, or the first after `n_left`. */
static void feed(struct network *net, struct feeding *given)
{
    struct block *block = given->block;
    const uint64_t length = given->step, start = (uint64_t)given->times[0];
    const int64_t n = given->n_events;
    struct shown_target target = {0};
    int64_t a = given->n_taken;
    block->n_shown = 0, block->x.kind = COUNTS;
    if (!given->are_checked && !are_allowed(given)) {
        given->n_taken = -1;
        return;
    }
    given->are_checked = 1;
    for (;;) {
        /* Events of the unfinished step; a division for each would take longer than the rest. */
        const uint64_t begun = (uint64_t)given->times[2] * length;
        struct event e = {0};
        int n_units = *given->counted.n;
        for (; a < n; a++) {
            e = event_at(given, a);
            if ((uint64_t)e.t - start - begun >= length)
                break;
            n_units = count_event(given, n_units, e);
            given->times[1] = e.t;
        }
        *given->counted.n = n_units;
        given->n_taken = a;
        int64_t reached = given->until > given->times[1] ? given->until : given->times[1];
        if (a < n)
            reached = e.t;
        const uint64_t elapsed = (uint64_t)reached - start;
        if (a == n && elapsed - begun < length) {
            given->times[1] = reached;
            given->n_taken = n + 1;
            return;
        }
        const int64_t n_over = (int64_t)(elapsed / length) - given->times[2];
        const int64_t most = given->n_left - block->n_shown;
        if (n_over <= 0 || n_over > most || n_over > LONG_SILENCE)
            return;
        for (int64_t i = 0; i < n_over; i++) {
            if (block->n_shown == 0)
                target = begin_steps(net, block);
            if ((*given->counted.n > 0 || target.y || !rests(net))
                && !show_counts(net, target, &given->counted))
                return;
            given->times[2]++;
            block->n_shown++;
        }
    }
}

#endif
