/* A network of FANN, with the calls of an exported one that the board's program uses. */

#ifndef NET_H
#define NET_H

#include <stdint.h>

/* Defines INPUTS, HIDDEN_1, HIDDEN_2 and OUTPUTS, and the PIXEL_SCALE that brings pixels to 0..1. */
#include "sizes.h"

/* The last weight of a unit is its bias, which comes from a unit more in the layer below. */
#define UNITS (INPUTS + HIDDEN_1 + HIDDEN_2 + OUTPUTS + 4)
#define CONNECTIONS \
    ((INPUTS + 1) * HIDDEN_1 + (HIDDEN_1 + 1) * HIDDEN_2 + (HIDDEN_2 + 1) * OUTPUTS)

#define NET_INPUTS INPUTS
#define NET_OUTPUTS OUTPUTS
#define NET_TAKES_PIXELS 1
#define NET_STATE_SIZE (4u * CONNECTIONS)

enum net_result { NET_OK = 0, NET_FAILED };

enum net_result net_predict_pixels(const uint8_t *x);
enum net_result net_learn_pixels(const uint8_t *x, int32_t label);
int32_t net_class(void);
enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n);
enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n);

#endif
