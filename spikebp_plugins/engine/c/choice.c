/* The choice of the best build in this library that this processor runs.
 *
 * It asks the processor itself: not every compiler has a __builtin_cpu_supports that works. */
#include <stdint.h>

#if defined __x86_64__
#include <cpuid.h>

/* Return whether all bits are set. */
static int has(unsigned value, unsigned bits) { return (value & bits) == bits; }

/* Return which registers the system keeps for a process. */
static unsigned kept(void)
{
    unsigned low, high;
    __asm__("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

/* Return 4 for x86-64-v4, 3 for x86-64-v3, or 1: all that compilers use at these levels is
 * there. */
int32_t best_level(void)
{
#if defined __x86_64__
    const unsigned avx_registers = 0x6, avx512_registers = 0xE6;
    unsigned a, b, c, d;
    if (!__get_cpuid(1, &a, &b, &c, &d)
        || !has(c, bit_SSE3 | bit_SSSE3 | bit_SSE4_1 | bit_SSE4_2 | bit_POPCNT | bit_CMPXCHG16B
                       | bit_OSXSAVE | bit_AVX | bit_F16C | bit_FMA | bit_MOVBE)
        || !has(kept(), avx_registers))
        return 1;
    if (!__get_cpuid(0x80000001, &a, &b, &c, &d) || !has(c, bit_LZCNT))
        return 1;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !has(b, bit_AVX2 | bit_BMI | bit_BMI2))
        return 1;
    if (has(kept(), avx512_registers)
        && has(b, bit_AVX512F | bit_AVX512BW | bit_AVX512CD | bit_AVX512DQ | bit_AVX512VL))
        return 4;
    return 3;
#else
    return 1;
#endif
}

const char *sources(void) { return SOURCES; }
