/* A network of rectified units that learns by plain gradient descent on half the squared error, one
 * sample at a time: what the spiking network is held against.
 *
 * It is as fast as C without intrinsics makes it. What is zero is skipped everywhere: pixels,
 * activations, errors. Sums stay in registers: a loop goes over all that is not zero, for a few units
 * at a time. Nothing is checked: a weight or a sum that leaves its type is simply wrong, while the
 * spiking network undoes such a sample.
 *
 * Weights are in the grid of the spiking network. Activations and errors are coarser, as coarse as
 * they can be without more errors on MNIST: so more of them are zero. The rate was chosen there too. */

#include "net.h"

#include <string.h>

/* Bits behind the point: the product of an activation and a weight has 22. */
#define WEIGHT_BITS 14
#define ACTIVATION_BITS 8
#define ERROR_BITS 6

/* The rate is 1/2^RATE_BITS. */
#define RATE_BITS 5

/* By how much rate * activation * error is shifted to be a change of a weight. */
#define UPDATE_SHIFT (ACTIVATION_BITS + ERROR_BITS + RATE_BITS - WEIGHT_BITS)

#define LAYERS 3
#define MOST_ABOVE (HIDDEN_1 > HIDDEN_2 ? (HIDDEN_1 > OUTPUTS ? HIDDEN_1 : OUTPUTS) \
                                          : (HIDDEN_2 > OUTPUTS ? HIDDEN_2 : OUTPUTS))

static const int32_t SIZES[LAYERS + 1] = { INPUTS, HIDDEN_1, HIDDEN_2, OUTPUTS };
static int16_t weights_1[INPUTS * HIDDEN_1];
static int16_t weights_2[HIDDEN_1 * HIDDEN_2];
static int16_t weights_3[HIDDEN_2 * OUTPUTS];
static int16_t *const WEIGHTS[LAYERS] = { weights_1, weights_2, weights_3 };

/* A unit that sends something: where its weights begin, and what it sends. */
struct active {
    int16_t *row;
    int32_t value;
};
static struct active active_0[INPUTS], active_1[HIDDEN_1], active_2[HIDDEN_2];
static struct active *const ACTIVE[LAYERS] = { active_0, active_1, active_2 };
static int32_t n_active[LAYERS];

/* The errors of a layer that are not zero. */
static struct erring {
    int32_t unit, error;
} erring[2][MOST_ABOVE];

static int32_t drive[MOST_ABOVE];

static void find_active_pixels(const uint8_t *x)
{
    struct active *to = active_0;
    int32_t i = 0, j;
    while (i < INPUTS) {
        uint32_t four = 1;
        if (i + 4 <= INPUTS)
            memcpy(&four, x + i, 4);
        for (j = i + 4; four != 0 && i < j && i < INPUTS; i++)
            if (x[i] != 0) {
                to->row = weights_1 + i * HIDDEN_1;
                to->value = x[i] << PIXEL_SHIFT;
                to++;
            }
        i = j;
    }
    n_active[0] = (int32_t)(to - active_0);
}

/* Add up what arrives at the units above connection l. */
static void pass_forward(int32_t l)
{
    const struct active *begin = ACTIVE[l], *end = begin + n_active[l], *at;
    int32_t n = SIZES[l + 1], j = 0;
    for (; j + 5 <= n; j += 5) {
        int32_t a = 0, b = 0, c = 0, d = 0, e = 0;
        for (at = begin; at < end; at++) {
            const int16_t *w = at->row + j;
            int32_t v = at->value;
            a += v * w[0];
            b += v * w[1];
            c += v * w[2];
            d += v * w[3];
            e += v * w[4];
        }
        drive[j] = a;
        drive[j + 1] = b;
        drive[j + 2] = c;
        drive[j + 3] = d;
        drive[j + 4] = e;
    }
    for (; j < n; j++) {
        int32_t a = 0;
        for (at = begin; at < end; at++)
            a += at->value * at->row[j];
        drive[j] = a;
    }
}

/* Note which units of layer l are active. */
static void rectify(int32_t l)
{
    struct active *to = ACTIVE[l];
    int32_t i, n = SIZES[l], n_above = SIZES[l + 1];
    int16_t *row = WEIGHTS[l];
    for (i = 0; i < n; i++, row += n_above) {
        int32_t v = drive[i] >> WEIGHT_BITS;
        if (v > 0) {
            to->row = row;
            to->value = v;
            to++;
        }
    }
    n_active[l] = (int32_t)(to - ACTIVE[l]);
}

static void forward(const uint8_t *x)
{
    int32_t l;
    find_active_pixels(x);
    for (l = 0; l < LAYERS; l++) {
        if (l > 0)
            rectify(l);
        pass_forward(l);
    }
}

/* Compare the output with the target, and return how many errors are not zero. */
static int32_t compare_output(int32_t label)
{
    const int32_t shift = ACTIVATION_BITS + WEIGHT_BITS - ERROR_BITS;
    struct erring *to = erring[0];
    int32_t j;
    for (j = 0; j < OUTPUTS; j++) {
        int32_t over = drive[j] - (j == label ? (int32_t)1 << (ACTIVATION_BITS + WEIGHT_BITS) : 0);
        int32_t error = (over + ((int32_t)1 << (shift - 1))) >> shift;
        if (error != 0) {
            to->unit = j;
            to->error = error;
            to++;
        }
    }
    return (int32_t)(to - erring[0]);
}

/* Bring errors to the layer below connection l: to its active units alone, since nothing passes
 * where a unit is rectified. */
static int32_t pass_back(int32_t l, const struct erring *from, int32_t n_erring, struct erring *to)
{
    const struct active *at = ACTIVE[l], *end = at + n_active[l];
    const struct erring *last = from + n_erring, *m;
    const struct erring *begin = to;
    int32_t n_above = SIZES[l + 1];
    for (; at < end; at++) {
        int32_t sum = (int32_t)1 << (WEIGHT_BITS - 1);
        for (m = from; m < last; m++)
            sum += m->error * at->row[m->unit];
        sum >>= WEIGHT_BITS;
        if (sum != 0) {
            to->unit = (int32_t)(at->row - WEIGHTS[l]) / n_above;
            to->error = sum;
            to++;
        }
    }
    return (int32_t)(to - begin);
}

/* Change the weights of connection l by -rate * activation * error, rounded to the grid. */
static void learn(int32_t l, const struct erring *from, int32_t n_erring)
{
    const struct active *begin = ACTIVE[l], *end = begin + n_active[l], *at;
    const int32_t half = (int32_t)1 << (UPDATE_SHIFT - 1);
    int32_t m = 0;
    for (; m + 3 <= n_erring; m += 3) {
        int32_t a = from[m].unit, b = from[m + 1].unit, c = from[m + 2].unit;
        int32_t p = from[m].error, q = from[m + 1].error, r = from[m + 2].error;
        for (at = begin; at < end; at++) {
            int16_t *row = at->row;
            int32_t v = at->value;
            row[a] = (int16_t)(row[a] + ((half - v * p) >> UPDATE_SHIFT));
            row[b] = (int16_t)(row[b] + ((half - v * q) >> UPDATE_SHIFT));
            row[c] = (int16_t)(row[c] + ((half - v * r) >> UPDATE_SHIFT));
        }
    }
    for (; m < n_erring; m++) {
        int32_t a = from[m].unit, p = from[m].error;
        for (at = begin; at < end; at++)
            at->row[a] = (int16_t)(at->row[a] + ((half - at->value * p) >> UPDATE_SHIFT));
    }
}

enum net_result net_predict_pixels(const uint8_t *x)
{
    forward(x);
    return NET_OK;
}

enum net_result net_learn_pixels(const uint8_t *x, int32_t label)
{
    int32_t l, n, n_below = 0, side = 0;
    forward(x);
    n = compare_output(label);
    for (l = LAYERS - 1; l >= 0 && n > 0; l--) {
        if (l > 0)
            n_below = pass_back(l, erring[side], n, erring[1 - side]);
        learn(l, erring[side], n);
        side = 1 - side;
        n = n_below;
    }
    return NET_OK;
}

int32_t net_class(void)
{
    int32_t best = 0, j;
    for (j = 1; j < OUTPUTS; j++)
        if (drive[j] > drive[best])
            best = j;
    return best;
}

static uint8_t *state_byte(uint32_t at)
{
    if (at < sizeof weights_1)
        return (uint8_t *)weights_1 + at;
    at -= (uint32_t)sizeof weights_1;
    if (at < sizeof weights_2)
        return (uint8_t *)weights_2 + at;
    return (uint8_t *)weights_3 + (at - sizeof weights_2);
}

enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n; i++)
        bytes[i] = *state_byte(offset + i);
    return NET_OK;
}

enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    uint32_t i;
    for (i = 0; i < n; i++)
        *state_byte(offset + i) = bytes[i];
    return NET_OK;
}
