/* The functions that a back end needs of a network in C: samples in blocks, records and work.
 * This file and that of the network are compiled as one. */

#include <stdint.h>

static void host_before_sample(void);
static void host_after_step(void);
enum {
    host_forward, host_backward, host_update, host_spikes, host_errors, host_messages, host_met,
    host_rules, host_rows_read = host_rules, host_multiply_adds, host_kinds
};
static int64_t host_work[host_kinds];
static int host_is_uncountable;
static void host_count(int kind, int64_t n, int64_t times);
#define NET_COUNTS_WORK
#define NET_COUNT(what, n, times) host_count(host_##what, (n), (times))
#define NET_BEFORE_SAMPLE() host_before_sample()
#define NET_AFTER_STEP() host_after_step()
#define NET_MAY_CLOSE() (!host_is_uncountable)

#include "net.c"

/* Work that could leave 64 bits fails the sample. */
#define HOST_MOST ((int64_t)1 << 60)

static void host_count(int kind, int64_t n, int64_t times)
{
    if ((n | times) >> 30 != 0 && times > 0 && n > HOST_MOST / times)
        host_is_uncountable = 1;
    else if (host_work[kind] > HOST_MOST)
        host_is_uncountable = 1;
    else
        host_work[kind] += n * times;
}

static void host_before_sample(void)
{
    /* Work done before counts too: updates that were written late, or undone. */
    memset(host_work, 0, host_rules * sizeof *host_work);
    host_is_uncountable = 0;
}

/* Where the steps of a sample are recorded: spikes, errors and summed drive of the output. */
static net_count_t *host_spikes_at, *host_errors_at;
static net_state_t *host_drive_at;

static void host_after_step(void)
{
    if (host_spikes_at == 0)
        return;
    memcpy(host_spikes_at, spikes, sizeof spikes);
    memcpy(host_errors_at, errors, sizeof errors);
    memcpy(host_drive_at, net_summed_drive(), NET_OUTPUTS * sizeof *host_drive_at);
    host_spikes_at += UNITS;
    host_errors_at += UPPER_UNITS;
    host_drive_at += NET_OUTPUTS;
}

/* A block of samples, and where their results are written. */
struct host_block {
    int64_t n_samples, n_steps;
    int64_t kind;              /* an `enum input` */
    int64_t x_rows, y_rows;    /* 1, or as many as there are steps; 0 for no targets */
    const void *x;             /* [sample][row][input], or the entries of all lists, */
    const int64_t *begin;      /* where that of each [sample][row] begins, and the last one ends */
    const net_state_t *y;      /* [sample][row][output] */
    net_count_t *spikes;       /* [sample][step][unit], or none of the three */
    net_count_t *errors;
    net_state_t *drive;
    net_state_t *scores;       /* the summed drive of each sample */
    int64_t *work;             /* of all samples: the kinds above, samples, and training samples */
};

/* A row of input that is no list. */
static const void *host_row(const struct host_block *b, int64_t row)
{
    size_t size = b->kind == PIXELS ? 1 : b->kind == VALUES ? sizeof(net_state_t) : sizeof(net_count_t);
    return (const uint8_t *)b->x + (size_t)row * size * NET_INPUTS;
}

/* Show one step of sample i. */
static enum net_result host_show_step(const struct host_block *b, int64_t i, int64_t t, int32_t label)
{
    int64_t row = i * b->x_rows + t % b->x_rows;
    enum manner manner = t == 0 || b->x_rows > 1 ? ANEW : AS_BEFORE;
    if (b->kind == LIST) {
        struct input_list list = { (const struct net_entry *)b->x + b->begin[row],
            (int32_t)(b->begin[row + 1] - b->begin[row]) };
        return is_wrong_list(list.entries, list.n) ? NET_WRONG_INPUT : show(&list, LIST, label, manner);
    }
    return show(host_row(b, row), (enum input)b->kind, label, manner);
}

/* Show one sample. */
static int host_show_one(const struct host_block *b, int64_t i, const net_state_t *y)
{
    int32_t label = b->y_rows > 0 ? NET_GIVEN_TARGET : NET_NO_LABEL;
    int is_whole = b->x_rows == 1 && b->y_rows <= 1 && b->n_steps == NET_STEPS;
    int64_t t;
    if (b->y_rows > 0)
        net_set_target(y);
    /* As a user would show it. The steps of a longer or a shorter sample are shown one by one. */
    if (KEEPS_DRIVE && is_whole && b->kind != LIST)
        return show_sample(host_row(b, i), (enum input)b->kind, label) == NET_OK;
    for (t = 0; t < b->n_steps; t++) {
        if (b->y_rows > 0)
            net_set_target(y + t % b->y_rows * NET_OUTPUTS);
        if (host_show_step(b, i, t, label) != NET_OK)
            return 0;
    }
    return net_close() == NET_OK;
}

/* Show samples in order until one fails, and return how many were shown. */
int64_t host_show(const struct host_block *b)
{
    int64_t i, k;
    host_spikes_at = b->spikes;
    host_errors_at = b->errors;
    host_drive_at = b->drive;
    for (i = 0; i < b->n_samples; i++) {
        const net_state_t *y = b->y_rows > 0 ? b->y + i * b->y_rows * NET_OUTPUTS : 0;
        if (!host_show_one(b, i, y)) {
            (void)net_drop();
            break;
        }
        memcpy(b->scores + i * NET_OUTPUTS, net_summed_drive(), NET_OUTPUTS * sizeof *b->scores);
        for (k = 0; k < host_kinds; k++)
            b->work[k] += host_work[k];
        memset(host_work, 0, sizeof host_work);
        b->work[host_kinds]++;
        b->work[host_kinds + 1] += b->y_rows > 0;
    }
    return i;
}

/* Where fixed backward weights are kept, which come with the state; 0 if there are none. */
net_weight_t *host_feedback(void)
{
#if RANDOM_FEEDBACK
    return WEIGHTS_BACK;
#else
    return 0;
#endif
}
