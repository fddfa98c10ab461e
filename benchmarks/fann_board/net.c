/* A network of FANN 2.2.0, which learns one sample at a time in single precision: what the spiking
 * network is held against.
 *
 * It is what fann_create_standard() makes and fann_train() trains, but for the rate and the steepness
 * of its sigmoids: these were chosen on MNIST. */

#define _DEFAULT_SOURCE /* FANN asks for the time of day. */
#include "fann_source.h"

#include "net.h"

#define RATE 0.05f
#define STEEPNESS 1.0f

static fann_type input[INPUTS];
static const fann_type *output;

/* The network, which is made when it is first asked for. */
static struct fann *network(void)
{
    static const unsigned int sizes[] = { INPUTS, HIDDEN_1, HIDDEN_2, OUTPUTS };
    static struct fann *made;
    if (made == NULL) {
        made = fann_create_standard_array(4, sizes);
        fann_set_training_algorithm(made, FANN_TRAIN_INCREMENTAL);
        fann_set_learning_rate(made, RATE);
        fann_set_activation_steepness_hidden(made, STEEPNESS);
        fann_set_activation_steepness_output(made, STEEPNESS);
    }
    return made;
}

/* FANN goes on without what it has not found memory for. */
static enum net_result result(void)
{
    return fann_get_errno((struct fann_error *)network()) == FANN_E_NO_ERROR ? NET_OK : NET_FAILED;
}

static void take(const uint8_t *x)
{
    int32_t i;
    for (i = 0; i < INPUTS; i++)
        input[i] = (fann_type)x[i] * PIXEL_SCALE;
}

enum net_result net_predict_pixels(const uint8_t *x)
{
    take(x);
    output = fann_run(network(), input);
    return result();
}

enum net_result net_learn_pixels(const uint8_t *x, int32_t label)
{
    fann_type target[OUTPUTS] = { 0 };
    target[label] = 1;
    take(x);
    fann_train(network(), input, target);
    return result();
}

int32_t net_class(void)
{
    int32_t best = 0, j;
    for (j = 1; j < OUTPUTS; j++)
        if (output[j] > output[best])
            best = j;
    return best;
}

enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n)
{
    memcpy(bytes, (const uint8_t *)network()->weights + offset, n);
    return NET_OK;
}

enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n)
{
    memcpy((uint8_t *)network()->weights + offset, bytes, n);
    return NET_OK;
}
