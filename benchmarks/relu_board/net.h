/* The rectified network, with the calls of an exported one that the board's program uses. */

#ifndef NET_H
#define NET_H

#include <stdint.h>

/* Defines INPUTS, HIDDEN_1, HIDDEN_2 and OUTPUTS, and how far a pixel is shifted to the left, so
 * that 256 stands for 1. */
#include "sizes.h"

#define NET_INPUTS INPUTS
#define NET_OUTPUTS OUTPUTS
#define NET_TAKES_PIXELS 1
#define NET_STATE_SIZE (2u * (INPUTS * HIDDEN_1 + HIDDEN_1 * HIDDEN_2 + HIDDEN_2 * OUTPUTS))

enum net_result { NET_OK = 0 };

enum net_result net_predict_pixels(const uint8_t *x);
enum net_result net_learn_pixels(const uint8_t *x, int32_t label);
int32_t net_class(void);
enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n);
enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n);

#endif
