/* Numbers, and vectors of them: in double precision with BITS64, otherwise in single.
 *
 * Each sum has one order. A vector holds units, whose sums do not depend on each other, so the
 * width of vectors changes no result. Compile without -ffast-math, with -ffp-contract=off.
 */
#ifndef SPIKEBP_EVENT_REALS_H
#define SPIKEBP_EVENT_REALS_H

#include <stdint.h>
#include <string.h>
#if defined __SSE2__
#include <immintrin.h>
#endif

#if defined BITS64
typedef double real;
typedef int64_t bits; /* of a real */
#define ABOVE_HALF (0.5 + 0x1p-25) /* x > ABOVE_HALF is (float)x > 0.5: a tie goes to the even 0.5 */
#else
typedef float real;
typedef int32_t bits;
#define ABOVE_HALF 0.5f
#endif

#if defined __AVX512F__
#define BYTES 64
#elif defined __AVX2__
#define BYTES 32
#else
#define BYTES 16
#endif

typedef real vec __attribute__((vector_size(BYTES), may_alias));
typedef bits lanes __attribute__((vector_size(BYTES), may_alias));

enum {
    LANES = BYTES / sizeof(real),
    PADDING = 16, /* rows are multiples of so many numbers, whatever the processor */
};

#define INLINE static inline __attribute__((always_inline))
#define EACH(i, n) _Pragma("GCC unroll 8") for (int i = 0; i < n; i++)

INLINE int n_vectors(int n) { return (n + PADDING - 1) / PADDING * (PADDING / LANES); }

INLINE vec splat(real x) { return (vec){0} + x; }

INLINE vec magnitude(vec x)
{
    const bits sign = (bits)1 << (8 * sizeof(real) - 1);
    return (vec)((lanes)x & ~sign);
}

/* Single precision of each number. */
INLINE vec rounded(vec x)
{
#if defined BITS64
    typedef float singles __attribute__((vector_size(LANES * sizeof(float))));
    return __builtin_convertvector(__builtin_convertvector(x, singles), vec);
#else
    return x;
#endif
}

/* The set of lanes whose sign bit is set: each a bit. */
INLINE unsigned signs(lanes x)
{
#if defined __AVX512F__
    return sizeof(real) == 4 ? _mm512_movepi32_mask((__m512i)x) : _mm512_movepi64_mask((__m512i)x);
#elif defined __AVX2__
    return (unsigned)(sizeof(real) == 4 ? _mm256_movemask_ps((__m256)x)
                                        : _mm256_movemask_pd((__m256d)x));
#elif defined __SSE2__
    return (unsigned)(sizeof(real) == 4 ? _mm_movemask_ps((__m128)x) : _mm_movemask_pd((__m128d)x));
#else
    unsigned set = 0;
    for (int i = 0; i < LANES; i++)
        set |= (unsigned)(x[i] < 0) << i;
    return set;
#endif
}

/* The sign bits of most - x are set where x is above. (There is no NaN.) */
INLINE lanes above(vec x, real most) { return (lanes)(splat(most) - x); }

#endif
