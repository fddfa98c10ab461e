"""An estimator that learns in one thread is asked and copied in others, at any moment."""

import copy
import pickle
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from threading import Thread

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_iris

from spikebp_plugins import SpikingMLPClassifier, SpikingMLPRegressor, from_relu

X, Y = load_iris(return_X_y=True)
SMALL = {"hidden_layer_sizes": (6,)}
COPIES = {
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "pickle": lambda model: pickle.loads(pickle.dumps(model)),
}


def state_of(model):
    checkpoint = model.checkpoint_ if hasattr(type(model), "checkpoint_") else model.checkpoint
    return checkpoint.state


def weights_of(model):
    return state_of(model).weights


def of_scikit_learn(model):
    """Return a model, what it learns from sample i, and all that may be asked of it."""
    is_classifier = isinstance(model, SpikingMLPClassifier)
    known = {"classes": [0, 1, 2]} if is_classifier else {}

    def learn(i):
        model.partial_fit(X[i : i + 1], Y[i : i + 1], **known)

    names = ["predict", "network_inputs"]
    if is_classifier:
        names += ["predict_proba", "predict_log_proba", "decision_function"]
    questions = {name: lambda m, name=name: getattr(m, name)(X[:3]) for name in names}
    questions["score"] = lambda m: m.score(X, Y)
    return model, learn, questions | {"clone": clone, "set_params": lambda m: m.set_params(tol=0.1)}


def of_river(name):
    """Return the same for a model of river, whose features grow more."""
    river = pytest.importorskip("spikebp_plugins.river", reason="river is not installed")
    pandas = pytest.importorskip("pandas", reason="pandas is not installed")
    model = getattr(river, name)(**SMALL)
    x = dict(zip("abcd", X[0].tolist(), strict=True))
    rows = pandas.DataFrame([x, x])

    def learn(i):
        sample = dict(zip("abcd", X[i].tolist(), strict=True))
        model.learn_one(sample | {i % 50: 1.0}, int(Y[i]))

    questions = {
        "predict_one": lambda m: m.predict_one(x),
        "predict_many": lambda m: m.predict_many(rows),
        "network_inputs": lambda m: m.network_inputs(x),
        "input_scaling": lambda m: m.input_scaling,
        "clone": lambda m: m.clone(include_attributes=True).predict_one(x),
        "memory": lambda m: m._raw_memory_usage,
    }
    if name == "SpikingMLPClassifier":
        questions["predict_proba_one"] = lambda m: m.predict_proba_one(x)
        questions["predict_proba_many"] = lambda m: m.predict_proba_many(rows)
    return model, learn, questions


MODELS = {
    "classifier": lambda: of_scikit_learn(SpikingMLPClassifier(**SMALL, random_state=0)),
    "regressor": lambda: of_scikit_learn(
        SpikingMLPRegressor(**SMALL, target_scale=1.0, replay_capacity=20, random_state=0)
    ),
    "classifier of river": lambda: of_river("SpikingMLPClassifier"),
    "regressor of river": lambda: of_river("SpikingMLPRegressor"),
}


def asked_while_learning(name, seconds):
    """Learn, and ask all the while in two threads; return how often each was done, and errors."""
    model, learn, questions = MODELS[name]()
    for i in range(150):
        learn(i)
    questions |= {
        **{kind: lambda m, copied=copied: state_of(copied(m)) for kind, copied in COPIES.items()},
        "checkpoint": state_of,
    }
    end = time.monotonic() + seconds
    done, errors = dict.fromkeys(("learn", *questions), 0), []

    def repeat(actions):
        for i in count():
            name, act = actions[i % len(actions)]
            try:
                act(i)
            except Exception as error:
                errors.append(f"{name}: {error!r}")
            done[name] += 1
            if time.monotonic() > end and i >= len(actions):
                return

    asked = [(name, lambda _, ask=ask: ask(model)) for name, ask in questions.items()]
    threads = [[("learn", lambda i: learn(i % 150))], asked[::2], asked[1::2]]
    with ThreadPoolExecutor(len(threads)) as pool:
        list(pool.map(repeat, threads))
    return done, errors


@pytest.mark.parametrize("name", MODELS)
def test_nothing_fails_while_another_thread_learns(name):
    done, errors = asked_while_learning(name, 0.25)
    assert not errors
    assert all(done.values())


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", COPIES)
def test_a_copy_is_of_one_moment_and_has_locks_of_its_own(name, kind):
    model, learn, _ = MODELS[name]()
    learn(0)
    copied = COPIES[kind](model)
    learn(75)
    assert state_of(copied).samples_seen == 1
    assert state_of(model).samples_seen > 1
    with model._lock, model._learning_lock, ThreadPoolExecutor(1) as pool:
        pool.submit(state_of, copied).result(10)


def test_the_state_that_a_copy_is_made_of_changes_no_more():
    model = SpikingMLPClassifier(**SMALL, random_state=0, replay_capacity=9).partial_fit(
        X, Y, [0, 1, 2]
    )
    state = model.__getstate__()
    before = pickle.dumps(state)
    model.partial_fit(X[:9], Y[:9])
    assert pickle.dumps(state) == before


# Iris comes in the order of its classes, so that scales follow them.
@pytest.mark.filterwarnings("ignore:feature 0 has a reading of")
@pytest.mark.filterwarnings("ignore:without the scalers, input")
def test_a_conversion_is_of_one_moment():
    class LearningMeanwhile(SpikingMLPClassifier):
        @property
        def checkpoint_(self):
            found = super().checkpoint_
            model.partial_fit(100 * X, Y)  # as another thread might at this moment
            return found

    model = LearningMeanwhile(**SMALL, random_state=0).partial_fit(X, Y, [0, 1, 2])
    alone = SpikingMLPClassifier(**SMALL, random_state=0).partial_fit(X, Y, [0, 1, 2])
    found, expected = (from_relu(m).state.weights for m in (model, alone))
    assert all(map(np.array_equal, found, expected))
    assert model.n_iter_ == 2


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_every_protocol_of_pickles_brings_a_model_that_goes_on(protocol):
    model = SpikingMLPClassifier(**SMALL, random_state=0).partial_fit(X, Y, [0, 1, 2])
    other = pickle.loads(pickle.dumps(model, protocol))
    ends = [weights_of(m.partial_fit(X, Y)) for m in (model, other)]
    assert all(map(np.array_equal, *ends))


def test_others_predict_between_the_epochs_of_a_fit_and_learn_after_it():
    """What a callback asks another thread for must come, or it would wait for ever."""
    asked, learning = [], []

    def observe(model):
        with ThreadPoolExecutor(1) as pool:
            asked.append(pool.submit(model.predict, X).result(60))
        assert np.array_equal(asked[-1], model.predict(X))
        if not learning:
            learning.append(Thread(target=model.partial_fit, args=(X, Y)))
            learning[0].start()

    model = SpikingMLPClassifier(**SMALL, max_iter=4, random_state=0, callback=observe).fit(X, Y)
    learning[0].join(60)
    alone = clone(model).set_params(callback=None).fit(X, Y)
    assert len(asked) == 4
    assert np.array_equal(asked[-1], alone.predict(X))
    assert model.n_iter_ == 5
    assert all(map(np.array_equal, weights_of(model), weights_of(alone.partial_fit(X, Y))))
