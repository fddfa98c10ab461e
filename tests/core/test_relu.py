"""The conventional network: the rules it states, by hand and by numerical differentiation."""

from itertools import pairwise

import numpy as np
import pytest

from spikebp_plugins.conversion.relu import relu_scores, train_relu


def weights(*sizes, seed=0):
    random = np.random.RandomState(seed)
    return [random.standard_normal(shape) for shape in pairwise(sizes)]


def squared_error(W, x, y):
    return 0.5 * np.sum((np.maximum(relu_scores(W, [x])[0], 0) - y) ** 2)


def numerical_gradient(W, x, y, h=1e-6):
    gradient = [np.empty_like(matrix) for matrix in W]
    for l, matrix in enumerate(W):
        for place in np.ndindex(matrix.shape):
            ends = []
            for change in (h, -h):
                moved = [m.copy() for m in W]
                moved[l][place] += change
                ends.append(squared_error(moved, x, y))
            gradient[l][place] = (ends[0] - ends[1]) / (2 * h)
    return gradient


def test_scores_are_the_drive_before_rectification():
    W = [np.array([[1.0, -1.0]]), np.array([[1.0, -2.0], [5.0, 5.0]])]
    np.testing.assert_array_equal(relu_scores(W, [[3.0], [-2.0]]), [[3.0, -6.0], [10.0, 10.0]])


@pytest.mark.parametrize("seed", range(5))
def test_a_sample_descends_the_gradient_of_half_the_squared_error(seed):
    W = weights(4, 6, 5, 3, seed=seed)
    random = np.random.RandomState(seed)
    x, y = random.standard_normal(4), random.standard_normal(3)
    learned = train_relu(W, [x], [y], 0.1)
    for before, after, gradient in zip(W, learned, numerical_gradient(W, x, y), strict=True):
        # Central differences are good to about h**2 and the rounding error divided by h.
        np.testing.assert_allclose(after, before - 0.1 * gradient, rtol=1e-7, atol=1e-7)


def test_one_step_equals_that_by_hand():
    W = [np.array([[2.0]]), np.array([[3.0]])]
    # a = 1, 2, 6; e_2 = 6 - 5 = 1; e_1 = 3 * 1, through the weight before the sample
    learned = train_relu(W, [[1.0]], [[5.0]], 0.5)
    assert [float(matrix[0, 0]) for matrix in learned] == [2 - 0.5 * 3, 3 - 0.5 * 2]


def test_negative_drive_closes_the_gate_and_zero_does_not():
    # Drive -1, 0 and 1; all are to become 1.
    learned = train_relu([np.array([[-1.0, 0.0, 1.0]])], [[1.0]], [[1.0, 1.0, 1.0]], 0.25)
    np.testing.assert_array_equal(learned[0], [[-1.0, 0.25, 1.0]])


def test_labels_stand_for_one_hot_targets():
    W, x = weights(3, 4, 2), np.random.RandomState(1).standard_normal((6, 3))
    labels = [0, 1, 1, 0, 1, 0]
    for a, b in zip(
        train_relu(W, x, labels, 0.1), train_relu(W, x, np.eye(2)[labels], 0.1), strict=True
    ):
        np.testing.assert_array_equal(a, b)


def test_samples_are_learned_in_order_and_given_weights_stay():
    W, x, y = weights(3, 4, 2), np.random.RandomState(1).standard_normal((6, 3)), [0, 1, 1, 0, 1, 0]
    kept = [matrix.copy() for matrix in W]
    at_once, one_by_one = train_relu(W, x, y, 0.1), W
    for i in range(6):
        one_by_one = train_relu(one_by_one, x[i : i + 1], y[i : i + 1], 0.1)
    for before, given, a, b in zip(kept, W, at_once, one_by_one, strict=True):
        np.testing.assert_array_equal(before, given)
        np.testing.assert_array_equal(a, b)
        assert np.any(a != before)


def test_it_learns():
    x = np.repeat(np.eye(4), 50, axis=0)[np.random.RandomState(0).permutation(200)]
    y = x.argmax(axis=1) % 2
    learned = train_relu([0.5 + 0.1 * matrix for matrix in weights(4, 10, 2)], x, y, 0.05)
    np.testing.assert_array_equal(relu_scores(learned, x).argmax(axis=1), y)


@pytest.mark.parametrize("y", [[2], [-1], [0.0], [0, 1], [[0.0, 1.0, 0.0]]])
def test_wrong_targets_are_refused(y):
    with pytest.raises(ValueError, match="y must be labels from 0 to 1 of shape"):
        train_relu(weights(3, 2), [[1.0, 2.0, 3.0]], y, 0.1)
