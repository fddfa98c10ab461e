/* A board that learns a stream of samples, each after the one before, and then predicts it:
 *
 *     stream samples after
 *
 * Its files are those of `learn.c` in examples/board, with these very names. The ticks of both are
 * reported apart: a sample that is predicted just before it is learned has brought its changes. */

#include <stdint.h>

#include "net.h"
#include "report.h"
#include "semihosting.h"
#include "timer.h"

enum { PART = 256 };

static uint8_t part[PART];
static struct {
    uint8_t label;
    uint8_t pixels[NET_INPUTS];
} sample;

/* Learn all samples of a file, or predict them, and return the ticks that it took. */
static uint64_t show(const char *name, int is_taught, uint32_t *failed)
{
    int file = semihosting_open_to_read(name);
    uint64_t ticks = 0;
    uint32_t n;
    if (file < 0 || semihosting_read(file, part, 4) != 0)
        semihosting_exit(1);
    n = part[0] | (uint32_t)part[1] << 8 | (uint32_t)part[2] << 16 | (uint32_t)part[3] << 24;
    for (; n > 0; n--) {
        uint32_t begin;
        enum net_result result;
        if (semihosting_read(file, &sample, sizeof sample) != 0)
            semihosting_exit(1);
        begin = timer_ticks();
        if (is_taught)
            result = net_learn_pixels(sample.pixels, sample.label);
        else
            result = net_predict_pixels(sample.pixels);
        ticks += timer_ticks() - begin;
        *failed += result != NET_OK;
    }
    (void)semihosting_close(file);
    return ticks;
}

static void write_state(const char *name)
{
    int file = semihosting_open_to_write(name);
    uint32_t offset, n;
    for (offset = 0; offset < NET_STATE_SIZE; offset += n) {
        n = NET_STATE_SIZE - offset < PART ? NET_STATE_SIZE - offset : PART;
        if (net_write_state(offset, part, n) != NET_OK || semihosting_write(file, part, n) != 0)
            semihosting_exit(1);
    }
    (void)semihosting_close(file);
}

int main(void)
{
    uint32_t failed = 0;
    timer_start();
    report("ticks to learn", show("samples", 1, &failed));
    report("ticks to predict", show("samples", 0, &failed));
    report("failed", failed);
    write_state("after");
    return 0;
}
