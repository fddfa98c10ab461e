/* Numbers and vectors of them.
 *
 * Everything is an integer in units of 2^-f: of 64 bits with BITS64, otherwise of 32. On the grid a
 * sum does not depend on the order of its terms. A sum that wraps on the way is right in the end if
 * its result is in range. So code that proves the range of its results may compute modulo 2^32 or
 * 2^64: compile with -fwrapv.
 */
#ifndef SPIKEBP_NUMBERS_H
#define SPIKEBP_NUMBERS_H

#include <stdint.h>
#include <string.h>
#if defined __AVX2__
#include <immintrin.h>
#elif defined __ARM_NEON
#include <arm_neon.h>
#endif

#if defined BITS64
typedef int64_t num;
#define PROVEN 0x1p52     /* a bound below this proves that a result is in range */
#define MOST_COUNTED 0x1p53 /* and below this, that a count is */
#else
typedef int32_t num;
#define PROVEN (0x1p31 - 0x1p24)
#define MOST_COUNTED 0x1p31
#endif

#if defined __AVX512F__
#define BYTES 64
#define IN_REGISTERS 16 /* vectors of sums that stay in registers */
#define PAIRS_IN_REGISTERS 13
#elif defined __AVX2__
#define BYTES 32
#define IN_REGISTERS 13
#define PAIRS_IN_REGISTERS 6
#else
#define BYTES 16
#define IN_REGISTERS 13
#define PAIRS_IN_REGISTERS 6
#endif

typedef num vec __attribute__((vector_size(BYTES), may_alias));
typedef num vec_anywhere __attribute__((vector_size(BYTES), aligned(sizeof(num)), may_alias));

typedef __int128 big; /* holds any sum of products of numbers, and any count */

enum {
    LANES = BYTES / sizeof(num),
    SIGN = 8 * sizeof(num) - 1,
    PADDING = 16, /* rows are multiples of so many numbers, whatever the processor */
};

/* As many of 64 bits as a register holds, and as many numbers: compilers split wider vectors. */
enum { FEW = BYTES / 8 };
typedef int64_t few_longs __attribute__((vector_size(BYTES), aligned(8), may_alias));
typedef double few_doubles __attribute__((vector_size(BYTES), aligned(8), may_alias));
typedef num few_nums
    __attribute__((vector_size(FEW * sizeof(num)), aligned(sizeof(num)), may_alias));

#define INLINE static inline __attribute__((always_inline))

INLINE vec splat(num x) { return (vec){0} + x; }

INLINE void clear(vec *values, int width) { memset(values, 0, (size_t)width * sizeof(vec)); }

INLINE void add(vec *to, const vec *values, int width)
{
    for (int v = 0; v < width; v++)
        to[v] += values[v];
}

INLINE vec lanes_from(num first)
{
    vec lanes = {0};
    for (int i = 0; i < LANES; i++)
        lanes[i] = first + i;
    return lanes;
}

INLINE vec rectified(vec x) { return x & ~(x >> SIGN); }

/* The larger of each pair, if no difference wraps. */
INLINE vec most(vec a, vec b) { return b + rectified(a - b); }

INLINE vec least(vec a, vec b) { return a - rectified(a - b); }

INLINE vec magnitude(vec x)
{
    vec sign = x >> SIGN;
    return (x ^ sign) - sign;
}

INLINE num sum_of(vec x)
{
    typedef num part_of_vec __attribute__((vector_size(16)));
    part_of_vec parts = {0};
    num total = 0;
    for (int i = 0; i < BYTES / 16; i++) /* as no compiler does for the lanes of a vector */
        parts += ((const part_of_vec *)&x)[i];
    for (int i = 0; i < LANES * 16 / BYTES; i++)
        total += parts[i];
    return total;
}

INLINE num largest_of(vec x)
{
    num top = x[0];
    for (int i = 1; i < LANES; i++)
        top = x[i] > top ? x[i] : top;
    return top;
}

INLINE int n_vectors(int64_t n)
{
    return (int)((n + PADDING - 1) / PADDING * (PADDING / LANES));
}

INLINE vec where(vec is, vec a, vec b) { return (is & a) | (~is & b); }

INLINE num lesser(num a, num b) { return a < b ? a : b; }

/* Numbers limited to a magnitude. */
INLINE vec within(vec x, num most)
{
    return where(x > most, splat(most), where(x < -most, splat(-most), x));
}

/* The first numbers of a vector, and zeros behind them. */
INLINE vec first_of(const num *from, int n)
{
    vec all = *(const vec_anywhere *)from;
    if (n < LANES)
        all &= lanes_from(0) < n;
    return all;
}

/* The largest magnitude among any numbers: the difference of two may wrap. */
static double largest(const vec *x, int64_t n)
{
    vec low = {0}, high = {0};
    for (int64_t v = 0; v < n; v++) {
        low = where(x[v] < low, x[v], low);
        high = where(x[v] > high, x[v], high);
    }
    double below = (double)largest_of(-low), above = (double)largest_of(high);
    return below > above ? below : above;
}

/* Lists of nonzero lanes: `list_nonzero` writes their indices, counted from `first`, and returns
 * how many there are. It always writes LANES numbers, of which those behind the list mean nothing.
 * So the list of a row ends within the row: the memory behind it may be in use. `write_nonzero`
 * writes the nonzero numbers themselves, likewise. */
#if defined __AVX512F__

INLINE unsigned nonzero(vec x)
{
    __m512i v = (__m512i)x;
    return sizeof(num) == 4 ? _mm512_test_epi32_mask(v, v) : _mm512_test_epi64_mask(v, v);
}

INLINE int list_nonzero(vec x, int first, int32_t *to)
{
    const __m512i lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    __m512i units = _mm512_add_epi32(lanes, _mm512_set1_epi32(first));
    unsigned found = nonzero(x);
    __m512i listed = _mm512_maskz_compress_epi32((__mmask16)found, units);
    memcpy(to, &listed, LANES * sizeof *to);
    return __builtin_popcount(found);
}

INLINE void write_nonzero(vec x, int n, num *to)
{
    (void)n;
    unsigned found = nonzero(x);
    __m512i v = (__m512i)x;
    *(vec_anywhere *)to = (vec)(sizeof(num) == 4 ? _mm512_maskz_compress_epi32((__mmask16)found, v)
                                                 : _mm512_maskz_compress_epi64((__mmask8)found, v));
}

#elif defined __AVX2__

/* For each set of eight lanes, its members in order, each in a byte. */
static uint64_t members_of[256];

__attribute__((constructor)) static void make_members(void)
{
    for (unsigned set = 0; set < 256; set++)
        for (unsigned i = 0, n = 0; i < 8; i++)
            if (set >> i & 1)
                members_of[set] |= (uint64_t)i << 8 * n++;
}

INLINE unsigned nonzero(vec x)
{
    __m256i zero = _mm256_setzero_si256(), v = (__m256i)x;
    if (sizeof(num) == 4)
        return 255u ^ (unsigned)_mm256_movemask_ps((__m256)_mm256_cmpeq_epi32(v, zero));
    return 15u ^ (unsigned)_mm256_movemask_pd((__m256d)_mm256_cmpeq_epi64(v, zero));
}

INLINE int list_nonzero(vec x, int first, int32_t *to)
{
    unsigned found = nonzero(x);
    __m256i units = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)members_of[found]));
    __m256i listed = _mm256_add_epi32(units, _mm256_set1_epi32(first));
    memcpy(to, &listed, LANES * sizeof *to);
    return __builtin_popcount(found);
}

INLINE void write_nonzero(vec x, int n, num *to)
{
    if (sizeof(num) == 4) {
        __m256i lanes = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128((long long)members_of[nonzero(x)]));
        *(vec_anywhere *)to = (vec)_mm256_permutevar8x32_epi32((__m256i)x, lanes);
        return;
    }
    for (int i = 0, found = 0; found < n; i++)
        if (x[i] != 0)
            to[found++] = x[i];
}

#else

INLINE int list_nonzero(vec x, int first, int32_t *to)
{
    int n = 0;
    for (int i = 0; i < LANES; i++) {
        to[n] = first + i;
        n += x[i] != 0;
    }
    return n;
}

INLINE void write_nonzero(vec x, int n, num *to)
{
    for (int i = 0, found = 0; found < n; i++)
        if (x[i] != 0)
            to[found++] = x[i];
}

#endif

/* Whether any number is not zero. */
INLINE int is_any(vec x)
{
#if defined __AVX2__
    return nonzero(x) != 0;
#else
    num all = 0;
    for (int i = 0; i < LANES; i++)
        all |= x[i];
    return all != 0;
#endif
}

/* Work on the vectors of a row in parts that stay in registers. A `part` does so for `n` vectors
 * from vector `v` on; `n` is known where it is compiled, so that loops up to it are unrolled. */
#define EACH(i, n) _Pragma("GCC unroll 16") for (int i = 0; i < n; i++)

typedef void part(const int n, int v, void *work);

INLINE void in_parts(int n_vectors, int most_vectors, part *do_part, void *work)
{
    int n_parts = (n_vectors + most_vectors - 1) / most_vectors, n = 0;
    for (int v = 0; v < n_vectors; v += n, n_parts--) {
        n = (n_vectors - v + n_parts - 1) / n_parts;
        switch (n) {
        case 1: do_part(1, v, work); break;
        case 2: do_part(2, v, work); break;
        case 3: do_part(3, v, work); break;
        case 4: do_part(4, v, work); break;
        case 5: do_part(5, v, work); break;
        case 6: do_part(6, v, work); break;
        case 7: do_part(7, v, work); break;
        case 8: do_part(8, v, work); break;
        case 9: do_part(9, v, work); break;
        case 10: do_part(10, v, work); break;
        case 11: do_part(11, v, work); break;
        case 12: do_part(12, v, work); break;
        case 13: do_part(13, v, work); break;
        case 14: do_part(14, v, work); break;
        case 15: do_part(15, v, work); break;
        default: do_part(16, v, work); break;
        }
    }
}

/* The same in parts of at most four vectors, which take a quarter of the time to compile. */
INLINE void in_small_parts(int n_vectors, part *do_part, void *work)
{
    int v = 0;
    for (; v + 4 <= n_vectors; v += 4)
        do_part(4, v, work);
    switch (n_vectors - v) {
    case 3: do_part(3, v, work); break;
    case 2: do_part(2, v, work); break;
    case 1: do_part(1, v, work); break;
    }
}

INLINE void in_single_vectors(int n_vectors, part *do_part, void *work)
{
    for (int v = 0; v < n_vectors; v++)
        do_part(1, v, work);
}

#endif
