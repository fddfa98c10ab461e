"""One spiking network that learns in shards from samples that lie on a Dask cluster.

Images of handwritten digits are cut into blocks, as data that no machine could hold would be. Four
shards learn them in rounds, after each of which their mean goes on. The cluster here has its
workers on this machine; give ``Client`` the address of any other scheduler to use more. The result
has the same integers on any number of workers. Takes half a minute or less::

    pip install "spikebp-plugins[dask]"
    python examples/dask_shards.py
    python examples/dask_shards.py --workers 1
"""

import argparse

import dask.array as da
from dask.distributed import Client, LocalCluster
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from spikebp_plugins import SpikingMLPClassifier
from spikebp_plugins.dask import fit_shards, predict

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--epochs", type=int, default=10, help="epochs that the shards learn")
parser.add_argument("--shards", type=int, default=4, help="parts that learn at the same time")
parser.add_argument("--workers", type=int, default=2, help="processes of the cluster")


def main():
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    blocks = {"X": da.from_array(X_train, chunks=(200, 64)), "y": da.from_array(y_train, 200)}

    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster):
        model = fit_shards(
            SpikingMLPClassifier(random_state=0, verbose=True),
            **blocks,
            n_shards=options.shards,
            samples_per_round=100,
            epochs=options.epochs,
        )
        predicted = predict(model, da.from_array(X_test, chunks=(200, 64))).compute()
    print(f"recognized of {len(y_test)} unseen digits: {100 * (predicted == y_test).mean():.2f} %")


# Workers are processes that import this script.
if __name__ == "__main__":
    main()
