/* An integer network of rectified units: the rival of the engine, built with it.
 *
 * It learns on line. [v]_b rounds v to b bits behind the point. For a sample x with target y,
 * and errors of E bits:
 *
 *     a_0 = [x]_8,   s_l = a_{l-1} W_l,   a_l = max(0, s_l), cut to 8 bits;
 *     e_L = [s_L - y]_E,   e_{l-1} = [W_l e_l]_E where a_{l-1} > 0;   W_l -= [rate a_{l-1} e_l]_f.
 *
 * Weights have f bits behind the point; drive s has f + 8, and 32 in all. If f is at most 14,
 * weights, activations and errors have 16 bits in all, otherwise 32. What is zero is skipped, and so
 * are vectors of a row of weights that hold no error.
 *
 * No result wraps. |W_l| is below a bound, which each update raises by its largest change, and a sum
 * is below this bound times the sum of the factors of weights. Where a bound proves nothing, weights
 * are measured anew, and then sums; a sample that is still not proven in range ends the learning.
 */
#if !defined BITS64 /* its numbers have 32 bits alone: a build for others is empty */
#include <stddef.h>

#include "../../engine/c/numbers.h"
#include "../../engine/c/arena.h"
#if defined __SSE2__
#include <immintrin.h>
#endif

#define JOINED(a, b) a##_##b
#define NAMED(name, build) JOINED(name, build)

typedef int16_t shorts __attribute__((vector_size(BYTES), may_alias));

/* Layer l; where it is about weights, of W_l. Arrays have room for two vectors behind a row. */
struct relu_layer {
    int32_t n;        /* units */
    int32_t n_lines;  /* lines of the cache in a row of weights */
    int32_t n_active; /* units whose activation is not zero, */
    int32_t *active;  /* which these are, */
    num *value;       /* their activations, */
    double sum, top;  /* the sum of these and the largest */
    vec *drive, *error;
    void *w; /* a row for each unit below */
    double weight_bound;
};

/* A vector of errors of 16 bits; and those of even and of odd columns, each next to a 1. */
struct short_errors {
    shorts all, even, odd;
};

struct relu {
    struct relu_layer *layer; /* 0..L */
    int32_t n_layers;         /* L */
    int32_t is_short;         /* whether weights, activations and errors have 16 bits */
    int32_t bits;             /* f */
    int32_t error_bits;       /* by which an error of the output has fewer than drive, */
    int32_t update_bits;      /* and a weight than a_{l-1} e_l; at most 15 */
    const num *of_pixel;      /* a_0 of each value of a pixel */
    int32_t n_errors, n_touched;
    int32_t *erring;                   /* units that have errors, in one layer, */
    int32_t *touched;                  /* the vectors of a row that these change, */
    struct short_errors *short_errors; /* and what is in them */
    const uint8_t *x;                  /* [n_samples][n_0] */
    const num *y;                      /* [n_learned][n_L], of the first samples, as drive */
    num *scores;                       /* [n_samples][n_L]: s_L */
    int64_t n_samples, n_learned;
    int64_t forward, backward, updates; /* multiply-adds so far */
};

/* --- Smaller numbers. `widened` has pixels in the lanes of a vector; a lane of `pair_products` is
 * the sum of the products of two neighbours. */

#if defined __AVX512BW__

INLINE vec widened(const uint8_t *x)
{
    return (vec)_mm512_cvtepu8_epi32(_mm_loadu_si128((const __m128i *)x));
}

INLINE vec pair_products(shorts a, shorts b)
{
    return (vec)_mm512_madd_epi16((__m512i)a, (__m512i)b);
}

#elif defined __AVX2__

INLINE vec widened(const uint8_t *x)
{
    return (vec)_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)x));
}

INLINE vec pair_products(shorts a, shorts b)
{
    return (vec)_mm256_madd_epi16((__m256i)a, (__m256i)b);
}

#else

INLINE vec widened(const uint8_t *x)
{
    vec numbers = {0};
    for (int i = 0; i < LANES; i++)
        numbers[i] = x[i];
    return numbers;
}

INLINE vec pair_products(shorts a, shorts b)
{
#if defined __SSE2__
    return (vec)_mm_madd_epi16((__m128i)a, (__m128i)b);
#else
    vec sums = {0};
    for (int i = 0; i < LANES; i++)
        sums[i] = a[2 * i] * b[2 * i] + a[2 * i + 1] * b[2 * i + 1];
    return sums;
#endif
}

#endif

/* Numbers of even and of odd columns, cut to 16 bits, in the order of the columns. */
INLINE shorts in_order(vec even, vec odd)
{
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return (shorts)(even << 16 | (odd & 0xFFFF));
#else
    return (shorts)((even & 0xFFFF) | odd << 16);
#endif
}

INLINE void write_in_order(vec even, vec odd, num *to)
{
    for (int i = 0; i < LANES; i++)
        to[2 * i] = even[i], to[2 * i + 1] = odd[i];
}

/* Processors that have shifts by a vector take longer for others. */
INLINE vec shifted(vec x, int bits)
{
    if (BYTES > 16)
        return x >> splat(bits);
    return x >> bits;
}

/* The sum of all lanes, by quarters: `sum_of` takes longer. */
INLINE num folded(vec x)
{
    typedef num quad __attribute__((vector_size(16), may_alias));
    quad total = ((quad *)&x)[0];
    for (int part = 1; part < BYTES / 16; part++)
        total += ((quad *)&x)[part];
    return total[0] + total[1] + total[2] + total[3];
}

/* Vectors of a row of weights. */
INLINE int width_of(const struct relu_layer *a) { return a->n_lines * (LINE / BYTES); }

/* --- Range */

static double largest_short(const shorts *x, int64_t n)
{
    shorts low = {0}, high = {0};
    int top = 0;
    for (int64_t v = 0; v < n; v++) {
        shorts below = x[v] < low, above = x[v] > high;
        low = (below & x[v]) | (~below & low), high = (above & x[v]) | (~above & high);
    }
    for (int i = 0; i < 2 * LANES; i++) {
        top = high[i] > top ? high[i] : top;
        top = -low[i] > top ? -low[i] : top;
    }
    return top;
}

static void measure(const struct relu *net, struct relu_layer *a)
{
    const int64_t n = (int64_t)a[-1].n * width_of(a);
    a->weight_bound = net->is_short ? largest_short(a->w, n) : largest(a->w, n);
}

static double weight_of(const struct relu *net, const struct relu_layer *a, int unit, int j)
{
    const char *row = (const char *)a->w + (ptrdiff_t)unit * a->n_lines * LINE;
    return net->is_short ? ((const int16_t *)row)[j] : ((const num *)row)[j];
}

/* Whether sums themselves are in range: in floating point, whose errors are far below the room that
 * PROVEN leaves. */
typedef int are_in_range(const struct relu *net, const struct relu_layer *a);

static int is_drive_in_range(const struct relu *net, const struct relu_layer *a)
{
    const struct relu_layer *below = a - 1;
    for (int j = 0; j < a->n; j++) {
        double sum = 0;
        for (int q = 0; q < below->n_active; q++)
            sum += below->value[q] * weight_of(net, a, below->active[q], j);
        if (!(-PROVEN < sum && sum < PROVEN))
            return 0;
    }
    return 1;
}

static int are_errors_in_range(const struct relu *net, const struct relu_layer *a)
{
    const struct relu_layer *below = a - 1;
    for (int q = 0; q < below->n_active; q++) {
        double sum = 0;
        for (int i = 0; i < net->n_errors; i++) {
            const int j = net->erring[i];
            sum += ((const num *)a->error)[j] * weight_of(net, a, below->active[q], j);
        }
        if (!(-PROVEN < sum && sum < PROVEN))
            return 0;
    }
    return 1;
}

/* Whether W_l is in range if it changes by at most `change`, and its products with what has this
 * `sum` of magnitudes. */
static int is_in_range(const struct relu *net, struct relu_layer *a, double sum, double change,
    are_in_range *are_sums_in_range)
{
    const double limit = net->is_short ? 0x1p15 : PROVEN;
    if (!(a->weight_bound + change < limit && a->weight_bound * sum < PROVEN))
        measure(net, a);
    if (!(a->weight_bound + change < limit)
        || !(a->weight_bound * sum < PROVEN || are_sums_in_range(net, a)))
        return 0;
    a->weight_bound += change;
    return 1;
}

/* --- Forward */

INLINE void drive_part(const int n, int v, void *layer)
{
    const struct relu_layer *a = layer, *below = a - 1;
    const int64_t width = width_of(a);
    vec s[16];
    EACH(i, n) s[i] = splat(0);
    for (int q = 0; q < below->n_active; q++) {
        const vec *row = (const vec *)a->w + below->active[q] * width + v;
        const num value = below->value[q];
        EACH(i, n) s[i] += value * row[i];
    }
    EACH(i, n) a->drive[v + i] = s[i];
}

INLINE void short_drive_part(const int n, int v, void *layer)
{
    const struct relu_layer *a = layer, *below = a - 1;
    const int64_t width = width_of(a);
    vec even[16], odd[16];
    EACH(i, n) even[i] = odd[i] = splat(0);
    for (int q = 0; q < below->n_active; q++) {
        const shorts *row = (const shorts *)a->w + below->active[q] * width + v;
        const vec value = splat(below->value[q]);
        const shorts first = in_order(value, splat(0)), second = in_order(splat(0), value);
        EACH(i, n) even[i] += pair_products(row[i], first);
        EACH(i, n) odd[i] += pair_products(row[i], second);
    }
    EACH(i, n) write_in_order(even[i], odd[i], (num *)(a->drive + 2 * (v + i)));
}

static void find_inputs(const struct relu *net, const uint8_t *x)
{
    struct relu_layer *a = net->layer;
    int n_active = 0;
    int64_t sum = 0;
    num top = 0;
    for (int i = 0; i < a->n; i += LANES) {
        uint8_t rest[LANES] = {0};
        const int is_whole = i + LANES <= a->n;
        if (!is_whole)
            memcpy(rest, x + i, (size_t)(a->n - i));
        n_active += list_nonzero(widened(is_whole ? x + i : rest), i, a->active + n_active);
    }
    for (int q = 0; q < n_active; q++) {
        num value = a->value[q] = net->of_pixel[x[a->active[q]]];
        sum += value;
        top = value > top ? value : top;
    }
    a->n_active = n_active, a->sum = (double)sum, a->top = top;
}

static void rectify(struct relu_layer *a, int bits)
{
    vec sum = {0}, top = {0};
    int n_active = 0;
    for (int v = 0; v < n_vectors(a->n); v++) {
        vec activation = rectified(a->drive[v] >> bits);
        int n = list_nonzero(activation, v * LANES, a->active + n_active);
        write_nonzero(activation, n, a->value + n_active);
        n_active += n;
        sum += activation;
        top = most(top, activation);
    }
    a->n_active = n_active, a->top = largest_of(top);
    const double at_most = n_active * a->top;
    a->sum = at_most < PROVEN ? folded(sum) : at_most;
}

/* Show a sample; 0 if it may be out of range. */
static int show_one(struct relu *net, const uint8_t *x)
{
    find_inputs(net, x);
    for (int l = 1; l <= net->n_layers; l++) {
        struct relu_layer *a = &net->layer[l], *below = a - 1;
        if (l > 1)
            rectify(below, net->bits);
        if ((net->is_short && below->top >= 0x1p15)
            || !is_in_range(net, a, below->sum, 0, is_drive_in_range))
            return 0;
        if (net->is_short)
            in_parts(width_of(a), PAIRS_IN_REGISTERS, short_drive_part, a);
        else
            in_parts(width_of(a), IN_REGISTERS, drive_part, a);
        net->forward += (int64_t)below->n_active * a->n;
    }
    return 1;
}

/* --- Backward */

/* Set the errors of the output. */
static void compare(const struct relu *net, const num *y)
{
    const struct relu_layer *a = &net->layer[net->n_layers];
    const int64_t half = 1 << (net->error_bits - 1);
    for (int j = 0; j < a->n; j++) {
        int64_t over = (int64_t)((const num *)a->drive)[j] - y[j];
        ((num *)a->error)[j] = (num)((over + half) >> net->error_bits);
    }
}

static void shorten(const vec *error, struct short_errors *to)
{
    for (int i = 0; i < 2 * LANES; i++)
        to->all[i] = (int16_t)((const num *)error)[i];
    vec even = {0}, odd = {0};
    for (int i = 0; i < LANES; i++)
        even[i] = to->all[2 * i], odd[i] = to->all[2 * i + 1];
    to->even = in_order(even, splat(1)), to->odd = in_order(odd, splat(1));
}

/* List the errors of layer l, and the vectors of weights that these change; 0 if something may be
 * out of range. */
static int find_errors(struct relu *net, struct relu_layer *a)
{
    const int apart = net->is_short ? 2 : 1;
    vec top = {0};
    net->n_errors = net->n_touched = 0;
    for (int v = 0; v < width_of(a); v++) {
        const vec *error = a->error + v * apart;
        const int before = net->n_errors;
        for (int i = 0; i < apart; i++) {
            int32_t *to = net->erring + net->n_errors;
            net->n_errors += list_nonzero(error[i], (v * apart + i) * LANES, to);
            top = most(top, magnitude(error[i]));
        }
        if (net->n_errors == before)
            continue;
        if (net->is_short)
            shorten(error, &net->short_errors[net->n_touched]);
        net->touched[net->n_touched++] = v;
    }
    const double most_error = largest_of(top), product = a[-1].top * most_error;
    const double change = product / (1 << net->update_bits) + 1;
    return !(net->is_short && most_error >= 0x1p15) && product < PROVEN
        && is_in_range(net, a, net->n_errors * most_error, change, are_errors_in_range);
}

/* Change the weights from a unit below; return the error that passes back to it. */
INLINE num change_row(const struct relu *net, const struct relu_layer *a, int unit, num value)
{
    vec *row = (vec *)a->w + (int64_t)unit * width_of(a), total = {0};
    const num half = 1 << (net->update_bits - 1);
    for (int i = 0; i < net->n_touched; i++) {
        const int v = net->touched[i];
        const vec error = a->error[v];
        total += error * row[v];
        row[v] -= shifted(error * value + half, net->update_bits);
    }
    return folded(total);
}

INLINE num change_short_row(const struct relu *net, const struct relu_layer *a, int unit, num value)
{
    shorts *row = (shorts *)a->w + (int64_t)unit * width_of(a);
    const shorts value_and_half = in_order(splat(value), splat(1 << (net->update_bits - 1)));
    vec total = {0};
    for (int i = 0; i < net->n_touched; i++) {
        const int v = net->touched[i];
        const struct short_errors error = net->short_errors[i];
        total += pair_products(row[v], error.all);
        vec even = shifted(pair_products(error.even, value_and_half), net->update_bits);
        vec odd = shifted(pair_products(error.odd, value_and_half), net->update_bits);
        row[v] -= in_order(even, odd);
    }
    return folded(total);
}

/* Learn from a sample; 0 if it may be out of range. */
static int learn_one(struct relu *net, const num *y)
{
    const num half = 1 << (net->bits - 1);
    compare(net, y);
    for (int l = net->n_layers; l >= 1; l--) {
        struct relu_layer *a = &net->layer[l], *below = a - 1;
        if (!find_errors(net, a))
            return 0;
        if (net->n_errors == 0)
            break;
        const int64_t n_products = (int64_t)below->n_active * net->n_errors;
        net->updates += n_products;
        if (l > 1) {
            net->backward += n_products;
            memset(below->error, 0, (size_t)n_vectors(below->n) * BYTES);
        }
        for (int q = 0; q < below->n_active; q++) {
            const int unit = below->active[q];
            const num value = below->value[q];
            num error = net->is_short ? change_short_row(net, a, unit, value)
                                      : change_row(net, a, unit, value);
            if (l > 1)
                ((num *)below->error)[unit] = (error + half) >> net->bits;
        }
    }
    return 1;
}

/* Show samples, and learn from those that have targets; return how many came before one that may be
 * out of range. */
int64_t NAMED(show_relu, BUILD)(struct relu *net)
{
    const struct relu_layer *last = &net->layer[net->n_layers];
    for (int64_t i = 0; i < net->n_samples; i++) {
        if (!show_one(net, net->x + i * net->layer->n))
            return i;
        memcpy(net->scores + i * last->n, last->drive, (size_t)last->n * sizeof(num));
        if (i < net->n_learned && !learn_one(net, net->y + i * last->n))
            return i;
    }
    return net->n_samples;
}

#endif
