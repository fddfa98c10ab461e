/* A board that goes on learning.
 *
 * The host starts it with the names of two or three of its files:
 *
 *     learn SAMPLES STATE-AFTER [STATE-BEFORE]
 *
 * SAMPLES has their number in 4 bytes, and then each: its label, and its features or its pixels, all
 * of the type that the network takes. Compiled with SAMPLES_ARE_VALUES or SAMPLES_ARE_LISTS, the
 * program takes values, or lists behind their label and their length, in 4 bytes each. All numbers
 * have their lowest byte first. The network begins with what it was compiled with, or with
 * STATE-BEFORE. Each sample is predicted first and learned then. At last the state is written, and
 * a report is printed. */

#include <stdint.h>

#include "net.h"
#include "report.h"
#include "semihosting.h"
#include "stack.h"
#include "timer.h"

#if !defined SAMPLES_ARE_LISTS && !defined SAMPLES_ARE_VALUES && !NET_TAKES_FEATURES \
    && !NET_TAKES_PIXELS
#error "samples are pixels, which this network does not take"
#endif

/* What the program ends with. */
enum { EXIT_OK = 0, EXIT_USAGE, EXIT_SAMPLES, EXIT_STATE, EXIT_STACK };

enum { MOST_NAMES = 4, PART = 256 };

/* These are too large for the stack. */
static char command_line[PART];
static uint8_t part[PART];

/* A sample: how it is read, predicted and learned. */
#ifdef SAMPLES_ARE_LISTS
static struct {
    int32_t label, n;
    struct net_entry x[NET_INPUTS];
} sample;

static int read_sample(int file)
{
    if (semihosting_read(file, &sample, sizeof sample.label + sizeof sample.n) != 0)
        return -1;
    if (sample.n < 0 || sample.n > NET_INPUTS)
        return -1;
    return semihosting_read(file, sample.x, (uint32_t)sample.n * sizeof *sample.x);
}

static enum net_result predict_sample(void)
{
    return net_predict_list(sample.x, sample.n);
}

static enum net_result learn_sample(void)
{
    return net_learn_list(sample.x, sample.n, sample.label);
}
#else
#if NET_TAKES_FEATURES
static struct {
    net_feature_t label, x[NET_FEATURES];
} sample;
#define PREDICT net_predict_features
#define LEARN net_learn_features
#elif defined SAMPLES_ARE_VALUES
static struct {
    net_state_t label, x[NET_INPUTS];
} sample;
#define PREDICT net_predict_values
#define LEARN net_learn_values
#else
static struct {
    uint8_t label, x[NET_INPUTS];
} sample;
#define PREDICT net_predict_pixels
#define LEARN net_learn_pixels
#endif

static int read_sample(int file)
{
    return semihosting_read(file, &sample, sizeof sample);
}

static enum net_result predict_sample(void)
{
    return PREDICT(sample.x);
}

static enum net_result learn_sample(void)
{
    return LEARN(sample.x, (int32_t)sample.label);
}
#endif

/* What is reported. */
static uint32_t n_samples, n_wrong, n_undone;
static uint64_t ticks_to_predict, ticks_to_learn;

/* Part a line into words where its spaces are, and return how many there are. */
static int part_into_words(char *line, const char *words[MOST_NAMES])
{
    int n = 0;
    for (; *line != '\0'; line++) {
        if (*line == ' ')
            *line = '\0';
        else if (n < MOST_NAMES && (line == command_line || line[-1] == '\0'))
            words[n++] = line;
    }
    return n;
}

/* The sizes of both directions of a state are the same: at most PART bytes at a time. */
static uint32_t next_part(uint32_t offset)
{
    return NET_STATE_SIZE - offset < PART ? NET_STATE_SIZE - offset : PART;
}

static int read_state(const char *name)
{
    int file = semihosting_open_to_read(name);
    uint32_t offset, n;
    if (file < 0)
        return -1;
    for (offset = 0; offset < NET_STATE_SIZE; offset += n) {
        n = next_part(offset);
        if (semihosting_read(file, part, n) != 0 || net_read_state(offset, part, n) != NET_OK)
            return -1;
    }
    return semihosting_close(file);
}

static int write_state(const char *name)
{
    int file = semihosting_open_to_write(name);
    uint32_t offset, n;
    if (file < 0)
        return -1;
    for (offset = 0; offset < NET_STATE_SIZE; offset += n) {
        n = next_part(offset);
        if (net_write_state(offset, part, n) != NET_OK || semihosting_write(file, part, n) != 0)
            return -1;
    }
    return semihosting_close(file);
}

/* Predict a sample, and learn from it. */
static void show_sample(void)
{
    uint32_t begin = timer_ticks(), middle;
    enum net_result predicted = predict_sample(), learned;
    int is_right = predicted == NET_OK && net_class() == sample.label;
    middle = timer_ticks();
    learned = learn_sample();
    ticks_to_learn += timer_ticks() - middle;
    ticks_to_predict += middle - begin;
    n_samples++;
    n_wrong += is_right ? 0u : 1u;
    n_undone += learned == NET_OK ? 0u : 1u;
}

static int show_samples(const char *name)
{
    int file = semihosting_open_to_read(name);
    uint32_t n;
    if (file < 0 || semihosting_read(file, part, 4) != 0)
        return -1;
    n = part[0] | (uint32_t)part[1] << 8 | (uint32_t)part[2] << 16 | (uint32_t)part[3] << 24;
    for (; n > 0; n--) {
        if (read_sample(file) != 0)
            return -1;
        show_sample();
    }
    return semihosting_close(file);
}

int main(void)
{
    const char *names[MOST_NAMES];
    int n_names;
    if (semihosting_command_line(command_line, sizeof command_line) != 0)
        return EXIT_USAGE;
    n_names = part_into_words(command_line, names);
    if (n_names < 3)
        return EXIT_USAGE;
    timer_start();
    if (n_names > 3 && read_state(names[3]) != 0)
        return EXIT_STATE;
    if (show_samples(names[1]) != 0)
        return EXIT_SAMPLES;
    if (write_state(names[2]) != 0)
        return EXIT_STATE;
    report("samples", n_samples);
    report("wrong before learning", n_wrong);
    report("not learned", n_undone);
    report("ticks to predict", ticks_to_predict);
    report("ticks to learn", ticks_to_learn);
    report("bytes of stack used", stack_used());
    return stack_used() < stack_reserved() ? EXIT_OK : EXIT_STACK;
}
