"""A search for the best parameters of a spiking network, on a Dask cluster.

Every candidate learns handwritten digits on three splits of the training images; the best one
learns all of them and is tested on unseen ones. scikit-learn's search hands its work to Dask
through joblib. The cluster here has its workers on this machine; give ``Client`` the address of
any other scheduler to use more. Takes half a minute or less::

    pip install "spikebp-plugins[dask]"
    python examples/sklearn_dask_search.py
"""

import argparse

from dask.distributed import Client, LocalCluster
from joblib import parallel_config
from sklearn.datasets import load_digits
from sklearn.model_selection import GridSearchCV, train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import SpikingMLPClassifier

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--samples", type=int, default=1797, help="digits to use, at most 1797")
parser.add_argument("--epochs", type=int, default=20, help="epochs that each network learns")
parser.add_argument("--workers", type=int, default=2, help="processes of the cluster")


def main():
    options = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    X, y = X[: options.samples], y[: options.samples]
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)

    # One thread each: the cluster already has a process for every core that it is to use.
    network = SpikingMLPClassifier(
        max_iter=options.epochs, random_state=0, backend="compiled:n_jobs=1"
    )
    grid = {
        "spikingmlpclassifier__hidden_layer_sizes": [(50,), (100,)],
        "spikingmlpclassifier__learning_rate": [0.5, 1.0],
    }
    search = GridSearchCV(make_pipeline(StandardScaler(), network), grid, cv=3)

    cluster = LocalCluster(n_workers=options.workers, threads_per_worker=1, dashboard_address=None)
    with cluster, Client(cluster), parallel_config(backend="dask"):
        search.fit(X_train, y_train)

    results = search.cv_results_
    for candidate, score in zip(results["params"], results["mean_test_score"], strict=True):
        hidden, rate = candidate.values()
        print(f"hidden layers {hidden}, learning rate {rate}: {100 * score:.2f} %")
    hidden, rate = search.best_params_.values()
    accuracy = search.score(X_test, y_test)
    print(f"best: hidden layers {hidden}, learning rate {rate}")
    print(f"recognized of {len(y_test)} unseen digits: {100 * accuracy:.2f} %")


# Workers are processes that import this script.
if __name__ == "__main__":
    main()
