/* The arguments of a call from Python: the samples to show, and where to write the results. */
#ifndef SPIKEBP_BLOCK_H
#define SPIKEBP_BLOCK_H

#include "numbers.h"

/* What kind of numbers a row of input or of targets has. */
enum kind { NONE, LEVELS, REALS, COUNTS, LABELS };

/* Rows of input or of targets: of one sample after the other, and of one step after the other. */
struct rows {
    const void *at;
    int64_t sample_apart, step_apart; /* bytes from row to row; 0 if all steps have the same */
    /* Of samples that list their units, else null: where each begins, and the end; and the units
     * of its numbers. If it has input of several steps, they rise: those of a step begin with
     * `step_apart` times its number. */
    const int64_t *begin;
    const int32_t *unit;
    int32_t kind;
};

/* Samples to show. */
struct block {
    struct network *network;
    struct rows x, y;
    double label_targets[2]; /* of wrong outputs, and of the right one */
    int64_t n_samples;
    int32_t n_steps;
    int32_t until_lead; /* whether a sample ends once the output leads by `margin` */
    double margin;
    int64_t n_learned;        /* samples learned before those that the network has counted */
    double *scores;           /* [n_samples][n_L] */
    int64_t *steps_shown;     /* [n_samples] if until_lead */
    int64_t *operations;      /* [n_samples][2] if until_lead: see write_count */
    num *spikes, *errors;     /* [n_samples][n_steps][sum of n_l], or null */
    double *step_scores;      /* [n_samples][n_steps][n_L], or null */
    num *y_row;               /* a row of targets, padded by zeros */
    /* Of single steps, of which x and y are one row each: */
    int32_t opens, starts_learning; /* whether the first of them opens the sample, or is taught */
    int64_t n_shown;                /* how many were shown */
    int64_t step, n_inputs; /* the first of them, from 0; the steps of input of the sample */
};

static const void *row_of(const struct rows *rows, int64_t sample, int step)
{
    return (const char *)rows->at + sample * rows->sample_apart + step * rows->step_apart;
}

#endif
