/* What Python says alike of steps and of single spikes: where samples start, and where rows lie. */
#ifndef SPIKEBP_ROWS_H
#define SPIKEBP_ROWS_H

#include <stdint.h>

enum start { CARRY, ZERO, DRAWN }; /* of psi, when a sample learns */

/* What kind of numbers a row of input or of targets has. */
enum kind { NONE, LEVELS, REALS, COUNTS, LABELS };

/* Rows of input or of targets: of one sample after the other, and of one step after the other. */
struct rows {
    const void *at;
    int64_t sample_apart, step_apart; /* bytes from row to row; 0 if all steps have the same */
    int32_t kind;
};

static const void *row_of(const struct rows *rows, int64_t sample, int step)
{
    return (const char *)rows->at + sample * rows->sample_apart + step * rows->step_apart;
}

#endif
