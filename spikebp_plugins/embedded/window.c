/*@about@*/

#include "window.h"

#include <string.h>

/* The number of a channel has level k if it is above k of the thresholds of the channel. A level
 * becomes CODE_BYTES bytes. The window is the bytes of the last WINDOW_LENGTH readings, the oldest
 * first, and moves by those of one reading whenever one comes. */
#define CODE_BYTES /*@code_bytes@*/
#define READING_BYTES (WINDOW_CHANNELS * CODE_BYTES)

static const int32_t THRESHOLDS[WINDOW_CHANNELS][WINDOW_LEVELS] = {
    /*@thresholds@*/
};

#if DEAD_BAND
/* A level stays while the number is above the threshold below it less the dead band, FALLS, and not
 * above the threshold over it and the dead band, RISES. */
static const int32_t FALLS[WINDOW_CHANNELS][WINDOW_LEVELS] = {
    /*@falls@*/
};
static const int32_t RISES[WINDOW_CHANNELS][WINDOW_LEVELS] = {
    /*@rises@*/
};

#endif
static uint8_t window[WINDOW_INPUTS];
static uint8_t levels[WINDOW_CHANNELS];
static int has_levels = 0;
static int32_t readings_missing = WINDOW_LENGTH;

static uint8_t level_of(const int32_t *thresholds, int32_t number)
{
    uint8_t level = 0;
    while (level < WINDOW_LEVELS && number > thresholds[level])
        level++;
    return level;
}

/* Whether a channel keeps the level that it had. */
static int keeps_level(int channel, int32_t number)
{
    if (number == WINDOW_MISSING)
        return 1;
#if DEAD_BAND
    const uint8_t level = levels[channel];
    return has_levels && (level == 0 || number > FALLS[channel][level - 1])
           && (level == WINDOW_LEVELS || number <= RISES[channel][level]);
#else
    (void)channel;
    return 0;
#endif
}

static void write_code(uint8_t *code, uint8_t level)
{
#if CODING == 0
    /* As many ones as the level says. */
    memset(code, 1, level);
    memset(code + level, 0, (size_t)(WINDOW_LEVELS - level));
#endif
#if CODING == 1
    code[0] = level;
#endif
#if CODING == 2
    /* What is above the middle, and what is below it. */
    const uint8_t middle = WINDOW_LEVELS / 2;
    code[0] = (uint8_t)(level > middle ? level - middle : 0);
    code[1] = (uint8_t)(level < middle ? middle - level : 0);
#endif
}

const uint8_t *window_push(const int32_t *reading)
{
    uint8_t *newest = window + WINDOW_INPUTS - READING_BYTES;
    memmove(window, window + READING_BYTES, WINDOW_INPUTS - READING_BYTES);
    for (int channel = 0; channel < WINDOW_CHANNELS; channel++) {
        if (!keeps_level(channel, reading[channel]))
            levels[channel] = level_of(THRESHOLDS[channel], reading[channel]);
        write_code(newest + channel * CODE_BYTES, levels[channel]);
    }
    has_levels = 1;
    readings_missing--;
    if (readings_missing > 0)
        return NULL;
    readings_missing = WINDOW_HOP;
    return window;
}

void window_reset(void)
{
    memset(levels, 0, sizeof levels);
    has_levels = 0;
    readings_missing = WINDOW_LENGTH;
}
