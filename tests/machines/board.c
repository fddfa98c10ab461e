/* A board that learns samples: what a network in C computes on any machine.
 *
 * Usage: board BEFORE AFTER < SAMPLES. It goes on from the state in the file BEFORE, if there is one,
 * and leaves its own in AFTER. Samples are a line each: the label, and then the input, all integers.
 * For each it prints what the network says of it before and after it is learned. */
#include "net.h"

#include <inttypes.h>
#include <stdio.h>

#if KIND == 0
enum { ROW = NET_INPUTS };
static uint8_t x[ROW];
static int learn(int32_t label) { return net_learn_pixels(x, label); }
static int predict(void) { return net_predict_pixels(x); }
#elif KIND == 1
enum { ROW = NET_INPUTS };
static net_state_t x[ROW];
static int learn(int32_t label) { return net_learn_values(x, label); }
static int predict(void) { return net_predict_values(x); }
#else
enum { ROW = NET_INPUTS * NET_STEPS };
static net_count_t x[ROW];
static int learn(int32_t label) { return net_learn_spikes(x, label); }
static int predict(void) { return net_predict_spikes(x); }
#endif

static uint8_t state[NET_STATE_SIZE];

static void say(int result)
{
    printf("%d %" PRId32 " %" PRId32, result, net_class(), net_steps());
    for (int i = 0; i < NET_OUTPUTS; i++)
        printf(" %" PRId64, (int64_t)net_summed_drive()[i]);
    printf(" %" PRIu64 "\n", net_samples_seen());
}

int main(int count, char **paths)
{
    int32_t label;
    FILE *before = count == 3 ? fopen(paths[1], "rb") : NULL;
    if (before && (fread(state, 1, sizeof state, before) != sizeof state
                   || net_read_state(0, state, sizeof state) != NET_OK))
        return 2;
    while (scanf("%" SCNd32, &label) == 1) {
        for (int i = 0; i < ROW; i++) {
            int64_t number;
            if (scanf("%" SCNd64, &number) != 1)
                return 3;
            x[i] = number;
        }
        say(predict());
        say(learn(label));
    }
    FILE *after = count == 3 ? fopen(paths[2], "wb") : NULL;
    if (!after || net_write_state(0, state, sizeof state) != NET_OK
        || fwrite(state, 1, sizeof state, after) != sizeof state)
        return 4;
    return fclose(after);
}
