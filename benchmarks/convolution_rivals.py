"""Conventional convolutional networks that learn on line, each as fast as its tools allow.

Kernels without padding, rectified units, no biases, a dense output, plain gradient descent on half
the squared error, one sample at a time, single precision, one thread, the same initial weights.
Layers are images with channels last, flat, as they are in the spiking network.
"""

from functools import partial

import numpy as np
from rivals import InNumba, PyTorch, Rival, linear_modules


def convolution_modules(torch, weights, net):
    """The modules of PyTorch for a network of convolutions below a dense output."""
    modules = []
    for layer, kernel in zip(net.layers[:-1], weights[:-1], strict=True):
        conv = torch.nn.Conv2d(*kernel.shape[2:], kernel.shape[0], layer.stride, bias=False)
        with torch.no_grad():
            conv.weight.copy_(torch.from_numpy(kernel.transpose(3, 2, 0, 1).copy()))
        modules += [conv, torch.nn.ReLU()]
    # The rows of the last matrix, whose pixels lie channel by channel there.
    rows = net.shapes[-2].pixels("Conv2D").transpose(2, 0, 1).reshape(-1)
    return [*modules, torch.nn.Flatten(), *linear_modules(torch, [weights[-1][rows]])]


class PyTorchConvolution(PyTorch):
    """Channels first, as PyTorch prefers them."""

    def __init__(self, net, weights, learning_rate):
        super().__init__(weights, learning_rate, partial(convolution_modules, net=net))
        self.shape = (*net.input_shape, 1)[:3]

    def prepare(self, x):
        images = Rival.prepare(self, x).reshape(-1, *self.shape).transpose(0, 3, 1, 2)
        return self.torch.from_numpy(np.ascontiguousarray(images))


class NumbaConvolution(InNumba):
    """Patches as the rows of a matrix, and products by the matrix library."""

    name = "Numba, dense (im2col and BLAS)"

    def __init__(self, net, weights, learning_rate):
        super().__init__(weights, learning_rate)
        self.weights = tuple(w.reshape(-1, w.shape[-1]) for w in self.weights)
        shapes = tuple((*shape, 1)[:3] for shape in net.layer_shapes[:-1])
        layers = net.layers[:-1]
        patches = tuple(
            np.zeros((int(np.prod(above[:2])), len(w)), np.float32)
            for above, w in zip(shapes[1:], self.weights[:-1], strict=True)
        )
        values = tuple(np.zeros(n, np.float32) for n in net.layer_sizes[:-1])
        kernels, strides = ([getattr(layer, name) for layer in layers] for name in FIELDS)
        self.rest = (shapes, tuple(kernels), tuple(strides), patches, values)

    def train(self, x, y):
        self.compiled.train_convolution(self.weights, *self.rest, self.rate, x, self.one_hot[y])

    def predict(self, x):
        return self.compiled.predict_convolution(self.weights, *self.rest, x)


FIELDS = ("kernel_size", "stride")
RIVALS = (PyTorchConvolution, NumbaConvolution)
