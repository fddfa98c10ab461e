"""The functions of the rivals that Numba compiles: dense networks, and convolutions.

Numba is in the dependency group ``rivals`` of `pyproject.toml`, no dependency of the package.
"""

import numpy as np
from numba import njit

# --- Dense networks ----------------------------------------------------------------------------


@njit(fastmath=True, cache=True)
def dense_drive(a, W, skip):
    """S = a W, by the matrix library or, with `skip`, row by row without rows of zero input."""
    if not skip:
        return a @ W
    s = np.zeros(W.shape[1], W.dtype)
    for i in range(a.size):
        if a[i] != 0:
            for j in range(s.size):
                s[j] += a[i] * W[i, j]
    return s


@njit(fastmath=True, cache=True)
def back(e, W, s, skip):
    """The errors below, (W e) gated by s >= 0."""
    below = np.zeros(W.shape[0], W.dtype)
    if not skip:
        below[:] = W @ e
        for i in range(below.size):
            if s[i] < 0:
                below[i] = 0
        return below
    for i in range(below.size):
        if s[i] >= 0:
            for j in range(e.size):
                below[i] += W[i, j] * e[j]
    return below


@njit(fastmath=True, cache=True)
def update(W, rate, a, e):
    """W -= rate * outer(a, e), rows of zero input skipped."""
    for i in range(a.size):
        if a[i] != 0:
            change = rate * a[i]
            for j in range(e.size):
                W[i, j] -= change * e[j]


@njit(cache=True)
def rectified(s):
    return np.where(s > 0, s, s * 0)


@njit(cache=True)
def train_dense(weights, rate, x, targets, skip):
    """Works for any number of layers: the matrices come as a list."""
    L = len(weights)
    for n in range(x.shape[0]):
        a, s = [x[n]], [x[n]]
        for l in range(L):
            s.append(dense_drive(a[l], weights[l], skip))
            a.append(rectified(s[l + 1]))
        e = a[L] - targets[n]
        for j in range(e.size):
            if s[L][j] < 0:
                e[j] = 0
        for l in range(L - 1, -1, -1):
            below = e
            if l > 0:
                below = back(e, weights[l], s[l], skip)
            update(weights[l], rate, a[l], e)
            e = below


@njit(cache=True)
def predict_dense(weights, x, skip):
    scores = np.empty((x.shape[0], weights[-1].shape[1]), x.dtype)
    for n in range(x.shape[0]):
        a = x[n]
        for l in range(len(weights) - 1):
            a = rectified(dense_drive(a, weights[l], skip))
        scores[n] = dense_drive(a, weights[-1], skip)
    return scores


# --- Convolutions ------------------------------------------------------------------------------


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
