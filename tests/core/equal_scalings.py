"""Scalings of estimators are compared."""

import numpy as np

from spikebp_plugins.estimators.feature_counts import FeatureCounts
from spikebp_plugins.network.sparse_rows import SparseRows

#: More samples than any test has.
AT_LAST = 1 << 62


def with_joined_rows(scaling):
    """Return a scaling in which those samples that wait are an array."""
    if not getattr(scaling, "waiting", ()):
        return scaling
    rows = [x.dense() if isinstance(x, SparseRows) else x for x in scaling.waiting]
    return scaling._replace(waiting=np.concatenate(rows))


def assert_same_scalings(one, other):
    """Compare scalings, which are tuples of arrays, numbers and such tuples."""
    one, other = map(with_joined_rows, (one, other))
    assert type(one) is type(other)
    if isinstance(one, tuple):
        for parts in zip(one, other, strict=True):
            assert_same_scalings(*parts)
    elif isinstance(one, FeatureCounts):
        np.testing.assert_array_equal(one.at(AT_LAST), other.at(AT_LAST))
    else:
        np.testing.assert_array_equal(one, other)
