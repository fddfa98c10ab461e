"""A search on a Dask cluster finds what it finds without one."""

import re

import numpy as np
import pytest
from joblib import parallel_backend
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale

from spikebp_plugins import SpikingMLPClassifier
from tests.documentation import ROOT
from tests.scripts import printed_by

distributed = pytest.importorskip("distributed", reason="Dask's distributed is not installed")


def test_a_search_on_a_cluster_finds_the_same(tmp_path):
    X, y = load_iris(return_X_y=True)
    model = SpikingMLPClassifier((6,), max_iter=4, random_state=0)
    search = GridSearchCV(model, {"learning_rate": [0.01, 0.05, 0.1]}, cv=2)
    alone = search.fit(scale(X), y)
    found = GridSearchCV(model, search.param_grid, cv=2)
    # Threads of this process; the example has workers in processes of their own.
    cluster = distributed.LocalCluster(
        n_workers=1,
        threads_per_worker=2,
        processes=False,
        dashboard_address=None,
        local_directory=str(tmp_path),
    )
    with cluster, distributed.Client(cluster), parallel_backend("dask"):
        found.fit(scale(X), y)
    scores = [s.cv_results_["mean_test_score"] for s in (alone, found)]
    np.testing.assert_array_equal(*scores)
    weights = [s.best_estimator_.checkpoint_.state.weights for s in (alone, found)]
    assert all(map(np.array_equal, *weights))


def test_the_example_searches(tmp_path):
    output = printed_by(
        ROOT / "examples" / "sklearn_dask_search.py",
        tmp_path,
        *("--samples", "300", "--epochs", "4", "--workers", "1"),
    )
    scores = re.findall(r"^hidden layers \(\d+,\), learning rate [\d.]+: ([\d.]+) %", output, re.M)
    assert len(scores) == 4
    assert re.search(r"^best: hidden layers \(\d+,\), learning rate [\d.]+$", output, re.M)
    accuracy = re.search(r"recognized of 75 unseen digits: ([\d.]+) %", output)
    assert float(accuracy[1]) > 70
