"""The synapses of each kind of connection, spelled out one by one.

A synapse is (i, j, w, b): the unit below, the unit above, and the places of its weight in the flat
lists of W and of B. Nothing here is shared with the package.
"""

from itertools import pairwise

from numpy.random import Philox


def synapses_of(net):
    """Return, for layers 1 to L, the synapses that lead to the layer."""
    if not hasattr(net, "layers"):
        sizes = net.layer_sizes
        return [dense(n, m) for n, m in pairwise(sizes)]
    found, shape = [], net.input_shape
    is_channels_first = net.input_layout == "channels_first"
    for l, layer in enumerate(net.layers, 1):
        n = 1
        for size in shape:
            n *= size
        kind = type(layer).__name__
        if kind == "Dense":
            found.append(dense(n, layer.n))
            shape = (layer.n,)
        elif kind == "Sparse":
            found.append(sparse(n, layer, net.seed, l))
            shape = (layer.n,)
        else:
            unit, *image = unit_numbers(shape, is_channels_first and l == 1)
            synapses, shape = (convolution if kind == "Conv2D" else pool)(unit, *image, layer)
            found.append(sorted(synapses))
    return found


def unit_numbers(shape, is_channels_first):
    height, width, channels = (*shape, 1)[:3]

    def unit(y, x, a):
        if is_channels_first:
            return (a * height + y) * width + x
        return (y * width + x) * channels + a

    return unit, height, width, channels


def dense(n, m):
    return [(i, j, i * m + j, j * n + i) for i in range(n) for j in range(m)]


def sparse(n, layer, seed, l):
    if layer.pairs is not None:
        pairs = sorted(tuple(pair) for pair in layer.pairs)
    else:
        pairs = []
        for j in range(layer.n):
            drawn = Philox(key=seed, counter=[0, 0, j, l]).random_raw(n).tolist()
            order = sorted(range(n), key=lambda i: (drawn[i], i))
            pairs += [(i, j) for i in order[: max(1, round(layer.density * n))]]
        pairs.sort()
    return [(i, j, w, w) for w, (i, j) in enumerate(pairs)]


def convolution(unit, height, width, channels, layer):
    k, s, p, c = layer.kernel_size, layer.stride, layer.padding, layer.channels
    rows, columns = ((n + 2 * p - k) // s + 1 for n in (height, width))
    synapses = []
    for y in range(rows):
        for x in range(columns):
            for q in range(k):
                for r in range(k):
                    above, left = y * s + q - p, x * s + r - p
                    if 0 <= above < height and 0 <= left < width:
                        for a in range(channels):
                            for b in range(c):
                                w = ((q * k + r) * channels + a) * c + b
                                j = (y * columns + x) * c + b
                                synapses.append((unit(above, left, a), j, w, w))
    return synapses, (rows, columns, c)


def pool(unit, height, width, channels, layer):
    m = layer.size
    rows, columns = height // m, width // m
    synapses = [
        (unit(y * m + q, x * m + r, a), (y * columns + x) * channels + a, 0, 0)
        for y in range(rows)
        for x in range(columns)
        for a in range(channels)
        for q in range(m)
        for r in range(m)
    ]
    return synapses, (rows, columns, channels)
