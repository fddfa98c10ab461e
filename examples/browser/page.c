/* What a page needs of a network in C: input, or features, as real numbers, each spike and error of the
 * last sample, and what it cost. It hands out numbers that JavaScript has, which so need not know the
 * types of this network. This file and that of the network are compiled as one. */

#include <stdint.h>

enum {
    page_forward, page_backward, page_update, page_spikes, page_errors, page_messages, page_met,
    page_rows_read, page_multiply_adds, page_kinds
};
static double page_work[page_kinds];
static void page_before_sample(void);
static void page_after_step(void);
#define NET_COUNTS_WORK
#define NET_COUNT(what, n, times) (page_work[page_##what] += (double)(n) * (double)(times))
#define NET_BEFORE_SAMPLE() page_before_sample()
#define NET_AFTER_STEP() page_after_step()

#include "net.c"

#define FOR_PAGE(name) __attribute__((export_name(#name)))

#if NET_TAKES_FEATURES
static net_feature_t values[NET_FEATURES];
#else
static net_state_t values[NET_INPUTS];
#endif
static uint8_t state[NET_STATE_SIZE];

/* What was sent in each step of the last sample. */
static net_count_t spikes_in[NET_STEPS + STEPS_AFTER][UNITS];
static net_count_t errors_in[NET_STEPS + STEPS_AFTER][UPPER_UNITS];
static int32_t n_recorded;

static void page_before_sample(void)
{
    memset(page_work, 0, sizeof page_work);
    n_recorded = 0;
}

static void page_after_step(void)
{
    memcpy(spikes_in[n_recorded], spikes, sizeof spikes);
    memcpy(errors_in[n_recorded], errors, sizeof errors);
    n_recorded++;
}

/* The nearest whole number, of two that of an even one, and none beyond a limit. */
static double rounded(double value, double limit)
{
    double whole = __builtin_rint(value);
    return whole > limit ? limit : whole < -limit ? -limit : whole;
}

/* Set an input and show all of them for all steps, step by step, so that each can be recorded. */
#if NET_TAKES_FEATURES
FOR_PAGE(set_input) void page_set_input(int32_t unit, double value)
{
    values[unit] = (net_feature_t)rounded(value, INT32_MAX);
}

FOR_PAGE(show) int32_t page_show(int32_t label)
{
    return label == NET_NO_LABEL ? net_predict_features(values) : net_learn_features(values, label);
}
#else
/* Input is in spikes a step. One that its type does not hold fails the sample. */
FOR_PAGE(set_input) void page_set_input(int32_t unit, double value)
{
    values[unit] = (net_state_t)rounded(value * ONE, (double)LARGEST_STATE + 1);
}

FOR_PAGE(show) int32_t page_show(int32_t label)
{
    return show_steps(values, VALUES, label, ANEW);
}
#endif

/* Of the last sample: the score of a class, in spikes a step. */
FOR_PAGE(score) double page_score(int32_t class)
{
    return (double)net_summed_drive()[class] / ONE / net_steps();
}

FOR_PAGE(steps) int32_t page_steps(void)
{
    return n_recorded;
}

FOR_PAGE(spikes) double page_spikes_of(int32_t step, int32_t unit)
{
    return (double)spikes_in[step][unit];
}

/* Errors of a unit above the input, which is counted from the first of layer 1. */
FOR_PAGE(errors) double page_errors_of(int32_t step, int32_t unit)
{
    return (double)errors_in[step][unit];
}

FOR_PAGE(additions) double page_additions(void)
{
    return page_work[page_forward] + page_work[page_backward] + page_work[page_update];
}

FOR_PAGE(multiply_adds) double page_multiply_adds_asked(void)
{
    return page_work[page_met] + page_work[page_update];
}

FOR_PAGE(samples_seen) double page_samples_seen(void)
{
    return (double)net_samples_seen();
}

/* What was learned, as bytes: they are written to this place, and read from it. */
FOR_PAGE(state) uint8_t *page_state(void)
{
    return state;
}

FOR_PAGE(write_state) int32_t page_write_state(void)
{
    return net_write_state(0, state, sizeof state);
}

FOR_PAGE(read_state) int32_t page_read_state(void)
{
    return net_read_state(0, state, sizeof state);
}
