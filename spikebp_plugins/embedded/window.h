/*@about@*/

#ifndef WINDOW_H
#define WINDOW_H

#include <stdint.h>

/*@constants@*/

#define WINDOW_MISSING INT32_MIN /* in place of a number: the channel keeps its level */

/* Take a reading, a number of each channel, in the units of the readings that low and high were
 * learned from. Return the WINDOW_INPUTS bytes of the window that it completes, which stay what
 * they are until the next call, or NULL if it completes none. */
const uint8_t *window_push(const int32_t *reading);

/* Forget all readings, as another recording begins. */
void window_reset(void);

#endif
