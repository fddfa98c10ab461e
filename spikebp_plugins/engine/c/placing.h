/* The layout of a network in memory: a header of `struct network` and its layers, and then the
 * arrays that `lay_out` places. What includes it says what these are. */
#ifndef SPIKEBP_PLACING_H
#define SPIKEBP_PLACING_H

#include <stddef.h>

#define JOINED(a, b) a##_##b
#define NAMED(name, build) JOINED(name, build)

/* Bytes of the header, in which counts and bounds are. */
static size_t header_of(const struct definition *is)
{
    return sizeof(struct network) + (size_t)(is->n_layers + 1) * sizeof(struct layer);
}

/* Return the bytes of a network, and write the bytes of its weights. */
static int64_t size_of(const struct definition *is, int64_t *learned_size)
{
    const size_t header = header_of(is);
    char space[header] __attribute__((aligned(LINE)));
    struct network *net = (struct network *)space;
    struct arena learned = {0}, sample = {0};
    memset(space, 0, header);
    net->is = *is;
    taken(&sample, 1, header);
    lay_out(net, &learned, &sample);
    *learned_size = (int64_t)learned.at;
    return (int64_t)sample.at;
}

/* Make a network in memory that holds zeros, on weights that others may share. */
static struct network *placed(const struct definition *is, char *learned_at, char *at)
{
    struct arena learned = {(uintptr_t)learned_at, 1}, sample = {(uintptr_t)at, 1};
    struct network *net = taken(&sample, 1, header_of(is));
    net->is = *is;
    lay_out(net, &learned, &sample);
    return net;
}

#endif
