"""Conventional convolutional networks that learn on line, each as fast as its tools allow.

Kernels without padding, rectified units, no biases, a dense output, plain gradient descent on half
the squared error, one sample at a time, single precision, one thread, the same initial weights.
Layers are images with channels last, flat, as they are in the spiking network.
"""

from functools import partial

import numpy as np
from numba import njit
from rivals import PyTorch, Rival, linear_modules


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


@njit(fastmath=True, cache=True)
def gather(image, shape, kernel, stride, patches):
    """Write the patches of an image of shape (height, width, channels), one to a row."""
    _, width, channels = shape
    rows, columns = (shape[0] - kernel) // stride + 1, (width - kernel) // stride + 1
    length = kernel * channels
    for y in range(rows):
        for x in range(columns):
            patch = patches[y * columns + x]
            for q in range(kernel):
                start = ((y * stride + q) * width + x * stride) * channels
                for a in range(length):
                    patch[q * length + a] = image[start + a]


@njit(fastmath=True, cache=True)
def scatter(patches, shape, kernel, stride, image):
    """Add up patches in an image."""
    _, width, channels = shape
    rows, columns = (shape[0] - kernel) // stride + 1, (width - kernel) // stride + 1
    length = kernel * channels
    image[:] = 0
    for y in range(rows):
        for x in range(columns):
            patch = patches[y * columns + x]
            for q in range(kernel):
                start = ((y * stride + q) * width + x * stride) * channels
                for a in range(length):
                    image[start + a] += patch[q * length + a]


@njit(fastmath=True, cache=True)
def show(weights, shapes, kernels, strides, patches, values):
    """The forward pass; the drive of the output."""
    L = len(weights)
    for l in range(L - 1):
        gather(values[l], shapes[l], kernels[l], strides[l], patches[l])
        drive = np.dot(patches[l], weights[l]).reshape(-1)
        above = values[l + 1]
        for j in range(drive.size):
            above[j] = max(drive[j], 0)
    return np.dot(values[L - 1], weights[L - 1])


@njit(fastmath=True, cache=True)
def train_convolution(weights, shapes, kernels, strides, patches, values, rate, x, targets):
    """Learn from samples, one after the other."""
    L = len(weights)
    for n in range(x.shape[0]):
        values[0][:] = x[n]
        s = show(weights, shapes, kernels, strides, patches, values)
        e = np.where(s >= 0, np.maximum(s, 0) - targets[n], 0 * s)
        below = np.dot(weights[L - 1], e)
        for i in range(below.size):
            if values[L - 1][i] > 0:
                for j in range(e.size):
                    weights[L - 1][i, j] -= rate * values[L - 1][i] * e[j]
            else:
                below[i] = 0
        for l in range(L - 2, -1, -1):
            errors = below.reshape(patches[l].shape[0], -1)
            change = np.dot(patches[l].T, errors)
            if l > 0:
                wanted = np.dot(errors, weights[l].T)
                below = np.empty(values[l].size, values[l].dtype)
                scatter(wanted, shapes[l], kernels[l], strides[l], below)
                for i in range(below.size):
                    if values[l][i] <= 0:
                        below[i] = 0
            W = weights[l]
            for i in range(W.shape[0]):
                for j in range(W.shape[1]):
                    W[i, j] -= rate * change[i, j]


@njit(fastmath=True, cache=True)
def predict_convolution(weights, shapes, kernels, strides, patches, values, x):
    """The scores of samples."""
    scores = np.empty((x.shape[0], weights[-1].shape[1]), x.dtype)
    for n in range(x.shape[0]):
        values[0][:] = x[n]
        scores[n] = show(weights, shapes, kernels, strides, patches, values)
    return scores


class NumbaConvolution(Rival):
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
        train_convolution(self.weights, *self.rest, self.rate, x, self.one_hot[y])

    def predict(self, x):
        return predict_convolution(self.weights, *self.rest, x)


FIELDS = ("kernel_size", "stride")
RIVALS = (PyTorchConvolution, NumbaConvolution)
