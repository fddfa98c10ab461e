/*@about@*/

/* @program_sizes@ */

#ifndef NET_H
#define NET_H

#include <stdint.h>

/*@constants@*/

#define NET_NO_LABEL (-1)     /* in place of a label: learn nothing */
#define NET_GIVEN_TARGET (-2) /* in place of a label: learn what net_set_target() was given */

/* The result of every call. After any but NET_OK all that was learned is unchanged. Only after
 * net_read_state() has failed may the network need another state first. */
enum net_result {
    NET_OK = 0,
    NET_OUTSIDE,        /* a number would leave its type: the sample was undone, and is closed */
    NET_TOO_LONG,       /* the sample has learned for as many steps as it can be undone */
    NET_MIXED,          /* with pipelined timing all steps of a sample have a target, or none has */
    NET_WRONG_LABEL,    /* neither a class nor one of the two numbers above */
    NET_WRONG_INPUT,    /* more than one spike of a unit, where spikes are binary; a wrong list */
    NET_SAMPLE_IS_OPEN, /* close or drop it first */
    NET_NO_SAMPLE,      /* there is none to close or to drop */
    NET_WRONG_STATE     /* bytes of another network, or damaged; or none that is whole yet */
};

#if NET_TAKES_FEATURES
/* Features as they come, each an integer in units of @unit@: of any size, which may change.
 * They are scaled, and learned from at a rate that follows errors, as the estimator does of which this
 * program was made, with the same numbers in every bit. What is learned from a sample is its class,
 * `label`, from 0 on. To predict changes nothing. */
typedef int@feature_bits@_t net_feature_t;
enum net_result net_learn_features(const net_feature_t *x, int32_t label);
enum net_result net_predict_features(const net_feature_t *x);

/* The name of a class. */
const char *net_name(int32_t class_number);
#else
/* Show a sample: it is shown for NET_STEPS steps, in each of which the network learns to name it
 * `label`, a class from 0 on. To predict learns nothing. */
#if NET_INPUT_IS_SPIKES
/* Input is how many spikes of its sign each input sends, in each of NET_STEPS steps in turn. */
enum net_result net_learn_spikes(const net_count_t *x, int32_t label);
enum net_result net_predict_spikes(const net_count_t *x);
#else
/* Input is values in units of 1 / (1 << NET_FRACTION_BITS) spikes a step. */
enum net_result net_learn_values(const net_state_t *x, int32_t label);
enum net_result net_predict_values(const net_state_t *x);
#endif
#if NET_TAKES_PIXELS
/* The same for pixels of 8 bits. */
enum net_result net_learn_pixels(const uint8_t *x, int32_t label);
enum net_result net_predict_pixels(const uint8_t *x);
#endif

/* An input that is not zero: its number, from 0 on, and its value or its spikes as above. */
struct net_entry {
    int32_t unit;
    net_state_t number;
};

#if !NET_INPUT_IS_SPIKES
/* The same for a list of n such inputs, in ascending order; all others are zero, and cost nothing. */
enum net_result net_learn_list(const struct net_entry *list, int32_t n, int32_t label);
enum net_result net_predict_list(const struct net_entry *list, int32_t n);
#endif

/* Show one step of a sample, which opens with the first step, and stays open until it is closed or
 * dropped. With NET_NO_LABEL nothing is learned in this step. */
#if NET_INPUT_IS_SPIKES
enum net_result net_show_spikes(const net_count_t *x, int32_t label);
#else
enum net_result net_show_values(const net_state_t *x, int32_t label);
#endif
#if NET_TAKES_PIXELS
enum net_result net_show_pixels(const uint8_t *x, int32_t label);
#endif
enum net_result net_show_list(const struct net_entry *list, int32_t n, int32_t label);

/* End a sample that was shown step by step: keep what was learned from it, or forget it. */
enum net_result net_close(void);
enum net_result net_drop(void);

/* The target of the steps that are shown with NET_GIVEN_TARGET: spikes a step of each output, in
 * units of 1 / (1 << NET_FRACTION_BITS). */
void net_set_target(const net_state_t *values);
#endif

/* Of the open sample or, if none is open, of the last one: the predicted class; and the summed drive
 * of the outputs, whose scores are net_summed_drive()[i] / net_steps(), in units of
 * 1 / (1 << NET_FRACTION_BITS). With pipelined timing a sample that learns has them when it is
 * closed. */
int32_t net_class(void);
const net_state_t *net_summed_drive(void);
int32_t net_steps(void);

/* How many samples the network has learned from. */
uint64_t net_samples_seen(void);

/* What was learned, as NET_STATE_SIZE bytes, all at once or in parts: n bytes from an offset on.
 * Parts are read in order from offset 0 on. The state is whole when the last byte has been read; until
 * then the network shows nothing. */
enum net_result net_write_state(uint32_t offset, uint8_t *bytes, uint32_t n);
enum net_result net_read_state(uint32_t offset, const uint8_t *bytes, uint32_t n);

#endif
