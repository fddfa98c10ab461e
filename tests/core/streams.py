"""Random streams in which features and classes appear as they come, and models that learn them."""

from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

FEATURES = ("b", "a", 3, "d", "c", (1, 2))
LABELS = ("red", 7, 2.5, "blue")


class Chunk(NamedTuple):
    """Samples in turn that have the same features."""

    names: list
    rows: np.ndarray
    labels: list


@st.composite
def chunks(draw):
    """Streams of a few samples, with each feature and label in some of them, or in none."""
    random = np.random.RandomState(draw(st.integers(0, 2**31)))
    stream = []
    for _ in range(draw(st.integers(1, 6))):
        names = [name for name in FEATURES if random.randint(2)]
        n = random.randint(1, 4)
        rows = np.where(random.uniform(size=(n, len(names))) < 0.2, 0, 1) * random.uniform(
            -2, 3, (n, len(names))
        )
        newest = random.randint(1, 1 + min(len(LABELS), 1 + len(stream)))
        labels = [LABELS[i] for i in random.randint(0, newest, n)]
        stream.append(Chunk([names[i] for i in random.permutation(len(names))], rows, labels))
    return stream


@st.composite
def parameters(draw):
    """Parameters of estimators that may grow."""
    return {
        "hidden_layer_sizes": draw(st.sampled_from([(), (5,), (4, 3)])),
        "n_steps": draw(st.integers(1, 5)),
        "update": draw(st.sampled_from(["fractional", "outer", "normalized"])),
        "spikes": draw(st.sampled_from(["graded", "binary"])),
        "feedback": draw(st.sampled_from(["transpose", "random"])),
        "input_scale": draw(st.sampled_from(["auto", 1.0])),
        "seed": draw(st.integers(0, 2**20)),
    }


def samples(stream):
    """Yield the samples of a stream one by one, as river does."""
    for chunk in stream:
        for row, label in zip(chunk.rows.tolist(), chunk.labels, strict=True):
            yield dict(zip(chunk.names, row, strict=True)), label


def assert_equal_checkpoints(one, other):
    assert one.net == other.net
    assert one.state.samples_seen == other.state.samples_seen
    for name in ("weights", "backward_potentials", "feedback"):
        pairs = zip(getattr(one.state, name), getattr(other.state, name), strict=True)
        assert all(np.array_equal(a, b) for a, b in pairs)
