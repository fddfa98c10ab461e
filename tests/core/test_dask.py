"""A search on a Dask cluster finds what it finds without one."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from spikebp_plugins import SpikingMLPClassifier
from tests.documentation import ROOT
from tests.scripts import completed, printed_by

# Both run in processes of their own: on Python 3.10 Dask loads a package that changes what the
# standard library says of installed ones, for the whole process.
pytestmark = [
    pytest.mark.skipif(
        find_spec("distributed") is None, reason="Dask's distributed is not installed"
    ),
    # Its dashboard has one port.
    pytest.mark.xdist_group("dask"),
]

ON_A_CLUSTER = """
import numpy as np
from distributed import Client, LocalCluster
from joblib import parallel_backend
from scipy.sparse import csr_matrix
from sklearn.datasets import load_iris
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import scale
from spikebp_plugins import SpikingMLPClassifier

X, y = load_iris(return_X_y=True)
X = np.maximum(scale(X) - 0.5, 0)  # of which many are zero
model = SpikingMLPClassifier((6,), max_iter=4, random_state=0)
alone, found = (GridSearchCV(model, {"learning_rate": [0.01, 0.05, 0.1]}, cv=2) for _ in range(2))
alone.fit(X, y)
# Threads of this process; the example has workers in processes of their own.
cluster = LocalCluster(
    n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None
)
with cluster, Client(cluster), parallel_backend("dask"):
    found.fit(csr_matrix(X), y)
scores = [search.cv_results_["mean_test_score"] for search in (alone, found)]
weights = [search.best_estimator_.checkpoint_.state.weights for search in (alone, found)]
print(np.array_equal(*scores), [np.array_equal(a, b) for a, b in zip(*weights)])
"""

# Dask takes data with equal tokens for the same data.
TOKENS = """
from copy import deepcopy
from dask.base import tokenize
from sklearn.datasets import load_iris
from spikebp_plugins import SpikingMLPClassifier

model = SpikingMLPClassifier((6,), max_iter=1).fit(*load_iris(return_X_y=True))
before, copied = tokenize(model), tokenize(deepcopy(model))
model.partial_fit(*load_iris(return_X_y=True))
print(before == copied, before == tokenize(model))
"""


def test_a_search_on_a_cluster_finds_the_same_in_lists(tmp_path):
    script = tmp_path / "search.py"
    script.write_text(ON_A_CLUSTER)
    assert printed_by(script, tmp_path).split("\n")[0] == "True [True, True]"


@pytest.mark.parametrize(
    "check",
    [
        "plan",
        "rule",
        "workers",
        "one_shard",
        "resumed",
        "going_on",
        "predictions",
        "refusals",
        pytest.param("memory", marks=pytest.mark.thorough),
    ],
)
def test_shards_on_a_cluster(tmp_path, check):
    pytest.importorskip("pyarrow", reason="Dask has no frames without pyarrow")
    script = ROOT / "tests" / "core" / "shards_on_a_cluster.py"
    assert completed(script, tmp_path, check).stdout.split() == ["passed"]


@pytest.mark.thorough
def test_the_example_of_shards_learns(tmp_path):
    script = ROOT / "examples" / "dask_shards.py"
    outputs = [printed_by(script, tmp_path, "--workers", n) for n in ("1", "2")]
    assert outputs[0] == outputs[1]
    assert float(re.search(r"unseen digits: ([\d.]+) %", outputs[0])[1]) > 95


@pytest.mark.thorough
def test_a_cluster_tells_apart_what_was_learned(tmp_path):
    script = tmp_path / "tokens.py"
    script.write_text(TOKENS)
    assert printed_by(script, tmp_path).split() == ["True", "False"]


@pytest.mark.thorough
def test_the_example_searches(tmp_path):
    output = printed_by(
        ROOT / "examples" / "sklearn_dask_search.py",
        tmp_path,
        *("--samples", "300", "--epochs", "4", "--workers", "1"),
    )
    candidate = r"hidden layers \((\d+),\), learning rate ([\d.]+)"
    assert len(re.findall(rf"^{candidate}: [\d.]+ %$", output, re.M)) == 4
    hidden, rate = re.search(rf"^best: {candidate}$", output, re.M).groups()
    # What the best network answers after the search, it answers without one.
    X, y = (values[:300] for values in load_digits(return_X_y=True))
    X_train, X_test, y_train, y_test = train_test_split(X, y, stratify=y, random_state=0)
    scaler = StandardScaler().fit(X_train)
    model = SpikingMLPClassifier(
        (int(hidden),), learning_rate=float(rate), max_iter=4, random_state=0
    ).fit(scaler.transform(X_train), y_train)
    accuracy = 100 * np.mean(model.predict(scaler.transform(X_test)) == y_test)
    assert f"recognized of 75 unseen digits: {accuracy:.2f} %" in output
