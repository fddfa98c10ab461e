"""The paper's experiments, on digits and as short as they can be."""

import json
from dataclasses import replace

import numpy as np
import pytest

from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    ReplayBuffer,
    Simulator,
    SpikingMLP,
    SpikingNetwork,
    load_dataset,
)
from spikebp_plugins.cli.reproduce import NAMES
from spikebp_plugins.conversion.relu import train_relu
from spikebp_plugins.data.images import error_percent, shuffled
from spikebp_plugins.reproduce import (
    EXPERIMENTS,
    Study,
    ablations,
    best_dense,
    convergence,
    convolution,
    efficiency,
    forgetting,
    integer_only,
    mnist,
    study,
    variants,
)
from spikebp_plugins.reproduce.learners import SpikingLearner
from spikebp_plugins.reproduce.variants import Variant
from tests.core.test_cli import run, run_json

SAMPLES = 120

# Some of the paper's networks are still silent after so few images.
pytestmark = pytest.mark.filterwarnings("ignore:no output of the network has fired")


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(study, "QUICK_SAMPLES", SAMPLES)
    monkeypatch.setattr(study, "BLOCK", 50)
    for experiment in EXPERIMENTS.values():
        if experiment in (mnist, efficiency):
            monkeypatch.setattr(experiment, "HIDDEN_LAYERS", ((12,), (14,)))
        else:
            monkeypatch.setattr(experiment, "HIDDEN_LAYERS", (12, 12))
    return tmp_path


@pytest.fixture
def quick(folder):
    return Study(load_dataset("digits", raw=True), folder, quick=True, seed=3)


def reproduced(name, *options):
    return run_json("reproduce", name, "--dataset", "digits", "--quick", *options)


def test_a_network_learns_what_the_simulator_learns(quick):
    net = quick.net(12, 12, learning_rate=0.1)
    learned = quick.learned(net, epochs=5)
    data = quick.data
    x, y = data.x_train[:SAMPLES], data.y_train[:SAMPLES]
    with Simulator(net) as sim:
        errors = []
        for epoch in range(2):  # as quick has it
            order = shuffled(SAMPLES, 3, epoch)
            sim.train(x[order], y[order])
            errors.append(error_percent(sim.predict(data.x_test), data.y_test))
        assert learned.test_errors == errors
        assert learned.train_error == error_percent(sim.predict(x), y)
        assert all(map(np.array_equal, learned.weights, sim.weights))
    assert [epoch.samples for epoch in learned.operations] == [SAMPLES] * 2


def test_a_relu_network_learns_alike(quick):
    net = quick.net(12)
    learned = quick.learned(net, epochs=2, kind="ReLU")
    x, y = quick.data.x_train[:SAMPLES] * net.input_scale, quick.data.y_train[:SAMPLES]
    weights = net.init_weights()
    for epoch in range(2):
        order = shuffled(SAMPLES, 3, epoch)
        weights = train_relu(weights, x[order], y[order], net.learning_rate)
    assert all(map(np.array_equal, learned.weights, weights))


@pytest.mark.parametrize("kind", ["spiking", "ReLU"])
def test_an_interrupted_network_goes_on(quick, folder, monkeypatch, kind):
    net = quick.net(12, 12, backward_init="zero")
    whole = quick.learned(net, 2, kind)
    for file in folder.iterdir():
        file.unlink()
    training = study.Training.keep_epoch

    def interrupted(self):
        if self.done:
            raise KeyboardInterrupt
        training(self)

    with monkeypatch.context() as patch:
        patch.setattr(study.Training, "keep_epoch", interrupted)
        with pytest.raises(KeyboardInterrupt):
            quick.learned(net, 2, kind)
    assert len(list(folder.iterdir())) == 2
    resumed = quick.learned(net, 2, kind)
    assert resumed.test_errors == whole.test_errors
    assert resumed.train_error == whole.train_error
    assert resumed.operations == whole.operations
    assert all(map(np.array_equal, resumed.weights, whole.weights))
    assert len(list(folder.iterdir())) == 2  # the checkpoint before the last is gone


def test_what_is_kept_is_not_learned_again(monkeypatch):
    first = reproduced("spikes")
    monkeypatch.setattr(SpikingLearner, "learn", None)
    assert reproduced("spikes") == first


def test_mnist_runs_each_network_on_both_sides():
    rows = reproduced("mnist")["rows"]
    assert [row["layers"] for row in rows] == ["12"] * 8 + ["14"] * 8
    assert [row["network"] for row in rows[:8]] == [*mnist.NETWORKS, *mnist.CONVERTED]
    assert all(0 <= row["test error, %"] <= 100 for row in rows)
    assert {row["authors, test"] for row in rows} == {None}  # they have none for digits


def test_the_authors_figures_are_compared_on_mnist_alone(quick):
    row = mnist.row((200, 200), "spiking, outer", mnist.ErrorRates(3.0, 2.0), authors=True)
    assert (row["authors, test"], row["authors, training"]) == (2.68, 1.59)


def test_ablations_have_a_row_for_each_variant(folder):
    result = run(*("reproduce", "ablations", "--dataset", "digits", "--quick", "--output", "a.png"))
    for name in ("baseline", "T = 20", "random feedback"):
        assert name in result.stdout
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")
    kept = [json.loads(path.read_text()) for path in (folder / "spikebp-reproduce").glob("*.json")]
    assert len(kept) == len(ablations.VARIANTS) + len(ablations.EVENT_VARIANTS)


def test_the_reference_is_shown_fewer_images_beside_a_baseline_of_as_many(quick, monkeypatch):
    monkeypatch.setattr(ablations, "REFERENCE_IMAGES", 40)
    monkeypatch.setattr(ablations, "EPOCHS", 1)
    chosen = ("baseline", "T = 5", "smoothed gradients", "backward potentials drawn")
    variants = {name: ablations.VARIANTS[name] for name in chosen}
    monkeypatch.setattr(ablations, "VARIANTS", variants)
    monkeypatch.setattr(ablations, "EVENT_VARIANTS", {})
    whole = quick.of_images(100)
    report = ablations.run(replace(whole, quick=False))
    fewer = [name for name in chosen if name != "T = 5"]
    assert sorted(row["variant"] for row in report.rows) == sorted(
        [*chosen[:2], *(f"{name}, 40 images" for name in fewer)]
    )
    assert "--in-full" in report.notes[-1]
    in_full = ablations.run(replace(whole, quick=False, in_full=True))
    assert [row["variant"] for row in in_full.rows] == list(chosen)
    assert not any("--in-full" in note for note in in_full.notes)
    kept = [json.loads(path.read_text()) for path in whole.folder.glob("*.json")]
    assert sorted(about["samples"] for about in kept) == [40] * 3 + [100] * 4


def test_a_quick_experiment_has_no_images_to_leave_out(folder):
    refused = ("reproduce", "ablations", "--dataset", "digits", "--quick", "--in-full")
    assert "in_full must be left out with quick" in run(*refused, exit_code=2).stderr


def test_convergence_is_like_one_over_t(monkeypatch):
    # Long enough for spikes to reach the output.
    monkeypatch.setattr(study, "QUICK_SAMPLES", 1400)
    monkeypatch.setattr(study, "QUICK_EPOCHS", 4)
    monkeypatch.setattr(convergence, "HIDDEN_LAYERS", (60, 60))
    result = reproduced("convergence")
    means = [row["mean score difference"] for row in result["rows"]]
    assert means == sorted(means, reverse=True)
    assert means[-1] < means[0] / 4


def test_the_last_early_guess_is_the_prediction(quick):
    rows = {row["read after"]: row for row in reproduced("early-guess", "--seed", "3")["rows"]}
    learned = Study(quick.data, quick.folder / "spikebp-reproduce", quick=True, seed=3).learned(
        quick.net(12, 12), 20
    )
    with learned.checkpoint.simulate() as sim:
        for n_steps in (4, 10):
            before = sim.operations
            scores = sim.predict(quick.data.x_test, n_steps=n_steps)
            work = sim.operations - before
            row = rows[f"{n_steps} steps"]
            assert row["test error, %"] == error_percent(scores, quick.data.y_test)
            assert row["operations per sample"] == pytest.approx(work.forward / work.samples)
    assert rows["margin 0.5"]["mean steps"] <= rows["margin 6"]["mean steps"] <= 10


def test_a_halved_rate_is_that_of_another_definition(quick):
    net = quick.net(12, 12, learning_rate=0.1, fraction_bits=20, label_targets=(0.5, 2.0))
    learned = quick.learned(net, 2, halve_after=(1,))
    assert learned.test_errors == quick.test_errors(net, 2, halve_after=(1,))
    x, y = quick.data.x_train[:SAMPLES], quick.data.y_train[:SAMPLES]
    checkpoint = Simulator(net).checkpoint()
    for epoch, rate in enumerate((0.1, 0.05)):
        with checkpoint.at_rate(rate).simulate() as sim:
            order = shuffled(SAMPLES, 3, epoch)
            sim.train(x[order], np.where(np.eye(10)[y[order]] == 1, 2.0, 0.5))
            checkpoint = sim.checkpoint()
    assert learned.net == net.replace(fraction_bits=20, learning_rate=0.05)
    assert all(map(np.array_equal, learned.weights, checkpoint.state.weights))
    assert sum(epoch.samples for epoch in learned.operations) == 2 * SAMPLES


def test_weights_are_averaged_over_the_last_epochs(quick, folder, monkeypatch):
    monkeypatch.setattr(study, "QUICK_EPOCHS", 4)
    net = quick.net(12, 12, learning_rate=0.1)
    learned = quick.learned(net, 4, average=3)
    x, y = quick.data.x_train[:SAMPLES], quick.data.y_train[:SAMPLES]
    ends = []
    with Simulator(net) as sim:
        for epoch in range(4):
            order = shuffled(SAMPLES, 3, epoch)
            sim.train(x[order], y[order])
            ends.append([np.ldexp(w, net.fraction_bits).astype(int) for w in sim.weights])
    # np.rint goes to even numbers too.
    means = [np.rint(sum(matrices) / 3) for matrices in zip(*ends[1:], strict=True)]
    weights = [np.ldexp(mean, -net.fraction_bits) for mean in means]
    with Simulator(net, weights=weights) as sim:
        scores = sim.predict(quick.data.x_test)
    assert learned.averaged_error == error_percent(scores, quick.data.y_test)
    assert all(map(np.array_equal, learned.checkpoint.state.weights, sim_weights(ends[-1], net)))
    assert len(list(folder.iterdir())) == 2


def sim_weights(units, net):
    return [np.ldexp(matrix.astype(float), -net.fraction_bits) for matrix in units]


LAYERS = (Conv2D(4, 3, stride=2), AveragePool2D(2), Dense(10))


def test_variants_are_trained_from_several_seeds(monkeypatch, folder):
    chosen = {
        "dense": Variant(),
        "convolution": Variant((1,), {"learning_rate": 0.003}, 2, LAYERS),
    }
    monkeypatch.setattr(convolution, "VARIANTS", chosen)
    monkeypatch.setattr(variants, "SEEDS", 2)
    result = reproduced("convolution", "--output", "a.png")
    assert [row["variant"] for row in result["rows"]] == list(chosen)
    for row in result["rows"]:
        assert row["test error, %"] == pytest.approx(np.mean(row["each, %"]))
        assert len(row["each, %"]) == 2
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_a_convolution_learns_what_the_simulator_learns(quick):
    layers = (Conv2D(4, 3, stride=2), Dense(10))
    changes = {"learning_rate": 0.003, "label_targets": (1, 5)}
    variant = Variant(changes=changes, layers=layers, epochs=1)
    row = variants.compared(quick, {"one": variant}, (), notes=[]).rows[0]
    assert row["weights"] == 3 * 3 * 4 + 3 * 3 * 4 * 10
    x, y = quick.data.x_train[:SAMPLES], quick.data.y_train[:SAMPLES]
    for seed, error in zip(range(3, 3 + variants.SEEDS), row["each, %"], strict=True):
        net = SpikingNetwork.paper(
            (8, 8),
            layers,
            learning_rate=0.003,
            label_targets=(1, 5),
            input_scale=quick.data.input_scale,
            seed=seed,
        )
        order = shuffled(SAMPLES, seed, 0)
        with Simulator(net) as sim:
            sim.train(x[order], y[order])
            assert error == error_percent(sim.predict(quick.data.x_test), quick.data.y_test)


def test_efficiency_compares_networks_by_time_operations_and_memory(monkeypatch, folder):
    some = ("T = 1", "T = 4", "T = 4, until sure", efficiency.RELU)
    chosen = {name: efficiency.KINDS[name] for name in some}
    for name in ("T = 1", efficiency.RELU):
        chosen[name] = chosen[name]._replace(settings=chosen[name].settings[:2])
    chosen["T = 4"] = chosen["T = 4"]._replace(settings=chosen["T = 4"].settings[:1])
    monkeypatch.setattr(efficiency, "KINDS", chosen)
    monkeypatch.setattr(efficiency, "MARGINS", (0.0, 1e6))
    monkeypatch.setattr(efficiency, "HIDDEN_LAYERS", ((12, 12), (10, 5)))
    monkeypatch.setattr(efficiency, "TIMED", 40)
    monkeypatch.setattr(efficiency, "QUICK_SEEDS", 2)
    rows = reproduced("efficiency", "--output", "e.png")["rows"]
    assert [(row["hidden"], row["network"]) for row in rows] == [
        (hidden, name) for hidden in ("12-12", "10-5") for name in some
    ]
    for row in rows:
        assert len(row["each, %"]) == 2
        assert row["test error, %"] == pytest.approx(np.mean(row["each, %"]))
        assert min(row["us"]) > 0
        for name in ("additions", "multiply-adds", "messages", "kB"):
            assert row[name] is None or row[name][0] > row[name][1] > 0
    one, _, early, relu = rows[:4]
    assert relu["additions"] is relu["messages"] is None
    assert one["additions"][1] > one["multiply-adds"][1]
    assert early["chosen"].startswith("rate 2^-10, targets 2 and 20, margin ")
    # 16 bits take four bytes for large weights, 14 take two; layer 0 of spikes has states as well.
    n_weights, n_units = 64 * 12 + 12 * 12 + 12 * 10, 12 + 12 + 10
    assert one["kB"][1] * 1000 in [n * n_weights + 8 * (64 + n_units) for n in (2, 4)]
    assert relu["kB"][1] * 1000 == 2 * n_weights + 8 * n_units
    # Of what was only tried the errors are kept, and no network.
    assert len(list((folder / "spikebp-reproduce").glob("*.npz"))) == 2 * 2 * len(some)
    n_tried = 2 * 3 * 2  # settings of three kinds, seeds
    assert len(list((folder / "spikebp-reproduce").glob("*.json"))) == 2 * (2 * len(some) + n_tried)
    assert (folder / "e.png").read_bytes().startswith(b"\x89PNG")


def test_settings_are_chosen_on_training_images_held_out(quick, monkeypatch):
    asked = []

    def test_errors(self, net, *_, **how):
        asked.append((self.data, net.learning_rate, how["error_bits"]))
        if net.learning_rate == 2.0**-5 and how["error_bits"] == 8:
            return [9.0, 3.0]
        if net.learning_rate == 2.0**-6:  # best from the first seed alone
            return [0.0, 1.0 if net.seed == 3 else 9.0]
        if net.learning_rate == 2.0**-4:
            raise OverflowError
        return [2.0, 4.0]

    monkeypatch.setattr(Study, "test_errors", test_errors)
    monkeypatch.setattr(Study, "learned", lambda _, **how: how)
    monkeypatch.setattr(efficiency, "KINDS", {efficiency.RELU: efficiency.KINDS[efficiency.RELU]})
    (found,) = efficiency._trained(replace(quick, quick=False), (12,))
    assert (found.setting.fields["learning_rate"], found.setting.options) == (
        2.0**-5,
        {"error_bits": 8},
    )
    assert len(asked) == 3 * 18
    data, n = asked[0][0], len(quick.data.x_train) * 5 // 6 + 1
    assert np.array_equal(data.x_test, quick.data.x_train[n:])
    assert np.array_equal(data.y_test, quick.data.y_train[n:])
    assert np.array_equal(data.x_train, quick.data.x_train[:n])
    assert [how["net"].seed for how in found.networks] == [3, 4, 5]


def test_a_sample_ends_once_its_output_leads(quick):
    net = quick.net(12, learning_rate=0.1, fraction_bits=20, label_targets=(1.0, 5.0))
    x, y = (array[:SAMPLES] for array in (quick.data.x_train, quick.data.y_train))
    start = Simulator(net).checkpoint()
    whole, early, never = (SpikingLearner(start, margin=margin) for margin in (None, 8.0, 1e9))
    for learner in (whole, early, never):
        learner.learn(x, y)
    assert early.operations.forward < whole.operations.forward
    assert early.operations.samples == whole.operations.samples == SAMPLES
    assert never.operations == whole.operations
    learned = [learner.checkpoint().state.weights for learner in (never, whole)]
    assert all(map(np.array_equal, *learned))
    assert np.array_equal(never.scores(x), whole.scores(x))
    before = early.operations.forward
    assert not np.array_equal(early.scores(x), whole.scores(x))
    assert early.operations.forward - before < never.operations.forward


def test_the_networks_of_convolution_fit_mnist():
    for variant in convolution.VARIANTS.values():
        if variant.layers:
            assert SpikingNetwork.paper((28, 28), variant.layers).layer_sizes[-1] == 10


def test_nothing_is_trained_if_a_network_does_not_fit_the_images(quick):
    with pytest.raises(ValueError, match="layer 2: kernel_size must be at most 2"):
        convolution.run(quick)
    assert not list(quick.folder.iterdir())


def test_a_variant_has_layers_and_steps_of_its_own(quick):
    chosen = {"own": Variant(changes={"n_steps": 3}, hidden=(5,)), "the experiment's": Variant()}
    report = variants.compared(quick, chosen, (12, 12), notes=[])
    assert [row["weights"] for row in report.rows] == [74 * 5, 64 * 12 + 12 * 12 + 12 * 10]
    assert report.title == "digits, 12-12, T = 3 or 10, 2 epochs, 3 seeds"


def test_the_best_dense_network_is_chosen_on_images_held_out(quick, monkeypatch):
    small = {name: v._replace(hidden=(12,)) for name, v in best_dense.VARIANTS.items()}
    monkeypatch.setattr(best_dense, "VARIANTS", small)
    result = reproduced("best-dense", "--seed", "3", "--output", "b.png")
    assert (quick.folder / "b.png").read_bytes().startswith(b"\x89PNG")
    assert result["title"] == "digits, 12-12, T = 1 or 5, 2 epochs, 3 seeds"
    assert [row["variant"] for row in result["rows"]] == list(small)
    assert any("1.12 %" in note for note in result["notes"])
    kept = Study(quick.data, quick.folder / "spikebp-reproduce", quick=True, seed=3)
    for row, variant in zip(result["rows"], small.values(), strict=True):
        assert row["weights"] == 74 * 12
        nets = variants.nets_of(kept, variant, (), {})
        shown = [variants.learned_of(of, variant, nets) for of in (kept, kept.held_out())]
        errors, held_out = ([n.test_errors[-1] for n in networks] for networks in shown)
        assert row["each, %"] == errors
        assert row["held out, %"] == pytest.approx(np.mean(held_out))


def test_the_grid_of_the_best_dense_network_holds_its_last_rate():
    for variant in best_dense.VARIANTS.values():
        rate = variant.changes["learning_rate"] / 2 ** len(variant.halve_after)
        changes = variant.changes | {"learning_rate": rate}
        net = SpikingMLP.paper((784, 10), **changes)
        assert net.effective_learning_rate == pytest.approx(rate, rel=0.05)


def test_integers_alone_are_counted_in_memory_and_bits(monkeypatch, folder):
    monkeypatch.setattr(integer_only, "MEASURED", 5)
    result = reproduced("integer-only", "--output", "i.png")
    n_weights = 64 * 12 + 12 * 12 + 12 * 10
    made = integer_only.VARIANTS.values()  # the others' figures are those of MNIST
    for row, (variant, weight_bits) in zip(result["rows"], made, strict=True):
        fraction_bits = variant.changes["fraction_bits"]
        assert row["bytes of weights"] == weight_bits // 8 * n_weights
        # Backward potentials have twice the bits of weights.
        assert row["bytes of state"] > 2 * weight_bits // 8 * (12 + 12)
        assert row["fraction bits"] == fraction_bits
        assert 1 < row["bits of weights"] <= weight_bits
        # A potential at its threshold is half a spike.
        assert row["bits of potentials"] > fraction_bits
        assert row["test error, %"] == pytest.approx(np.mean(row["each, %"]))
    assert (folder / "i.png").read_bytes().startswith(b"\x89PNG")


def test_the_memory_of_methods_in_batches_is_counted():
    rows = {name: rival.row(name, 784) for name, rival in integer_only.RIVALS.items()}
    n_weights = 78_400 + 5_000 + 500
    # PocketNN has 160 biases and 1,500 fixed weights, NITRO-D 1,500 weights to local outputs.
    assert rows["PocketNN"]["bytes of weights"] == 4 * (n_weights + 160 + 1_500)
    assert rows["NITRO-D"]["bytes of weights"] == 4 * (n_weights + 1_500)
    of_sample = 784 + 4 * 3 * 180
    assert rows["NITRO-D"]["bytes of state"] == 4 * (n_weights + 1_500) + 64 * of_sample
    assert rows["NITRO-D"]["operations per sample"] == 2 * (n_weights + 1_500) + 1_500
    assert rows["PocketNN"]["test error, %"] == pytest.approx(3.02)


def test_forgetting_learns_what_the_simulator_learns(quick, monkeypatch):
    monkeypatch.setattr(forgetting, "BLOCK", 7)
    order = np.random.RandomState(3).permutation(10)
    tasks = forgetting.split_tasks(quick, 3)
    assert [sorted(set(task.y_train)) for task in tasks] == np.sort(order.reshape(5, 2)).tolist()
    assert sum(len(task.y_train) for task in tasks) == SAMPLES
    assert sum(len(task.y_test) for task in tasks) == len(quick.data.y_test)
    targets = forgetting.LABEL_TARGETS["split"][1]
    fields = forgetting.FIELDS | {"n_steps": forgetting.N_STEPS["split"][1]}
    net = quick.net(12, 12, **fields, label_targets=targets, learning_rate=0.1)
    buffer, accuracies = ReplayBuffer(20, seed=3), []
    with Simulator(net) as sim:
        for task in tasks:
            sim.train(task.x_train, task.y_train, replay=buffer)
            right = [sim.predict(other.x_test).argmax(1) == other.y_test for other in tasks]
            accuracies.append([100 * each.mean() for each in right])
    found = forgetting.matrix(quick, forgetting.SPIKING, "split", 20, 3)
    assert found == pytest.approx(np.array(accuracies))
    monkeypatch.setattr(Simulator, "train", None)  # what is kept is not learned again
    assert np.array_equal(forgetting.matrix(quick, forgetting.SPIKING, "split", 20, 3), found)
    assert forgetting.average(found) == pytest.approx(np.mean(accuracies[-1]))
    lost = [accuracies[i][i] - accuracies[-1][i] for i in range(4)]
    assert forgetting.forgetting(found) == pytest.approx(np.mean(lost))


def test_permuted_tasks_are_the_same_images_with_other_pixels(quick):
    tasks = forgetting.permuted_tasks(quick, 3)
    random = np.random.RandomState(3)
    for i, task in enumerate(tasks):
        pixels = random.permutation(64)
        rows = shuffled(SAMPLES, 3, i)[: SAMPLES // 5]
        assert np.array_equal(task.x_train, quick.train[0][rows][:, pixels])
        assert np.array_equal(task.x_test, quick.data.x_test[:, pixels])


def test_forgetting_has_a_row_for_each_buffer(monkeypatch, folder):
    monkeypatch.setattr(forgetting, "find_spec", lambda _: None)
    result = reproduced("forgetting", "--output", "f.png")
    rows = result["rows"]
    assert [(row["benchmark"], row["buffer"], row["bytes"]) for row in rows] == [
        (name, size, 72 * size) for name in ("split", "permuted") for size in (0, 200)
    ]
    assert all(0 <= row["spikebp, %"] <= 100 for row in rows)
    assert any("PyTorch is not installed" in note for note in result["notes"])
    assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("content", [{}, {"accuracies": [[1, 2]]}, {"accuracies": [[101] * 5] * 5}])
def test_accuracies_that_are_none_are_refused(tmp_path, content):
    path = tmp_path / "kept.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not a readable list of accuracies: "):
        forgetting._read(path)


def test_every_experiment_is_named_in_the_help():
    assert tuple(EXPERIMENTS) == NAMES


def test_all_experiments_run_one_after_the_other(monkeypatch):
    names = ("spikes", "early-guess")
    monkeypatch.setattr("spikebp_plugins.cli.reproduce.NAMES", names)
    found = reproduced("all")["experiments"]
    assert [experiment["experiment"] for experiment in found] == [*names]
    assert found == [reproduced(name) for name in names]
    printed = run("reproduce", "all", "--dataset", "digits", "--quick").stdout
    assert all(experiment["title"] in printed for experiment in found)
    refused = run("reproduce", "all", "--output", "a.png", exit_code=2).stderr
    assert refused.startswith("error: output must be left out for all experiments; got a.png")


def test_an_unknown_experiment_is_refused():
    message = "error: experiment must be one of 'mnist', 'ablations'"
    assert run("reproduce", "cifar", exit_code=2).stderr.startswith(message)


EPOCH = {
    "test_error": 3.5,
    "train_error": None,
    "operations": {"forward": 5},
    "averaged_error": None,
}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ({"done": {"0": EPOCH}}, "done must be a list; got dict"),
        ({"done": 5}, "done must be a list; got int"),
        ({"done": [5]}, "argument after ** must be a mapping"),
        ({"done": [{**EPOCH, "unknown": 1}]}, "unexpected keyword argument 'unknown'"),
        ({"done": [{"test_error": 3.5}]}, "missing 3 required positional arguments"),
        ({"done": [EPOCH | {"test_error": "low"}]}, "test_error must be a number from 0 to 100"),
        ({"done": [EPOCH | {"train_error": float("nan")}]}, "train_error must be a number from 0"),
        ({"done": [EPOCH | {"averaged_error": 101}]}, "averaged_error must be a number from 0"),
        ({"done": [EPOCH | {"operations": {"forward": -1}}]}, "forward must be an integer of at"),
        ({"done": [EPOCH | {"operations": [1]}]}, "argument after ** must be a mapping"),
        ({}, "'done'"),
    ],
)
def test_a_list_of_epochs_that_is_none_is_refused(tmp_path, content, reason):
    path = tmp_path / "epochs.json"
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="is not a readable list of epochs: ") as caught:
        study._epochs_in(path)
    assert str(caught.value).startswith(str(path))
    assert reason in str(caught.value)
    path.write_text(json.dumps({"done": [EPOCH, EPOCH | {"averaged_error": 2}]}))
    assert len(study._epochs_in(path)) == 2
