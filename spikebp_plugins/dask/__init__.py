"""The network on a Dask cluster: shards that learn from the same weights, and whose mean goes on.

Needs Dask's distributed: ``pip install "spikebp-plugins[dask]"``.
"""

try:
    import distributed  # noqa: F401
except ImportError as error:
    raise ImportError(
        'shards on a cluster need distributed: pip install "spikebp-plugins[dask]"'
    ) from error

from spikebp_plugins.dask.predicting import predict
from spikebp_plugins.dask.shards import fit_shards

__all__ = ["fit_shards", "predict"]
