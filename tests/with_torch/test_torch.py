"""PyTorch: a Sequential of Linear and ReLU is the same network, and other modules are named."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn

from spikebp_plugins import ReplayBuffer, SpikingMLP, to_relu, to_torch, with_bias_input
from spikebp_plugins.reproduce.forgetting import TorchLearner
from tests.core.one_for_one import from_relu
from tests.core.small_nets import assert_all_equal, lively_simulator
from tests.core.test_benchmarks import run
from tests.documentation import sections


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def model(bias=True):
    return nn.Sequential(
        nn.Linear(4, 6, bias=bias),
        nn.ReLU(),
        nn.Linear(6, 5, bias=bias),
        nn.ReLU(),
        nn.Linear(5, 3),
    )


def scores_of(module, x):
    with torch.inference_mode():
        return module(torch.from_numpy(np.asarray(x))).numpy()


def inputs():
    return np.random.RandomState(0).uniform(-1, 1, (5, 4)).astype(np.float32)


def refusal(error, source):
    with pytest.raises(ValueError, match=error):
        from_relu(source)


def test_a_sequential_is_a_list_of_layers():
    source = model()
    layers = [
        (linear.weight.detach().numpy().T, linear.bias.detach().numpy()) for linear in source[::2]
    ]
    assert_all_equal(from_relu(source).state.weights, from_relu(layers).state.weights)
    assert from_relu(source).net.layer_sizes == (5, 7, 6, 3)


def test_with_many_steps_it_is_the_same_network():
    source, x = model(), inputs()
    checkpoint = from_relu(source, balance=x)
    with checkpoint.simulate("reference") as sim:
        scores = sim.predict(with_bias_input(x), n_steps=2000)
    assert np.abs(scores - scores_of(source, x)).max() < 0.005


def test_what_does_nothing_is_left_out():
    source = model()
    longer = nn.Sequential(
        nn.Flatten(), nn.Sequential(*source[:2], nn.Dropout(0.5)), *source[2:], nn.ReLU()
    ).eval()
    assert_all_equal(from_relu(longer).state.weights, from_relu(source).state.weights)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float16, torch.bfloat16])
def test_parameters_may_have_any_precision(dtype):
    source = model().to(dtype)
    expected = [linear.weight.detach().double().numpy().T for linear in source[::2]]
    found = to_relu(from_relu(source, fraction_bits=40), "input")
    for (W, _), V in zip(found, expected, strict=True):
        np.testing.assert_array_equal(W, np.rint(V * 2.0**40) * 2.0**-40)


def normalized(n, seed):
    """Return a BatchNorm1d that has seen data, in evaluation mode."""
    random = np.random.RandomState(seed)
    module = nn.BatchNorm1d(n)
    with torch.no_grad():
        for values in (module.running_mean, module.weight, module.bias):
            values.copy_(torch.from_numpy(random.standard_normal(n)))
        module.running_var.copy_(torch.from_numpy(random.uniform(0.5, 2, n)))
    return module.eval()


def test_batch_norm_is_folded_into_the_linear_next_to_it():
    source = nn.Sequential(
        normalized(4, 0),
        nn.Identity(),
        nn.Linear(4, 6, bias=False),
        normalized(6, 1),
        nn.ReLU(),
        normalized(6, 2),
        nn.Linear(6, 5),
        nn.BatchNorm1d(5, affine=False),
        nn.ReLU(),
        nn.Linear(5, 3),
        normalized(3, 3),
        nn.LogSoftmax(dim=-1),
        nn.Identity(),
    ).eval()
    layers = to_relu(from_relu(source, fraction_bits=40), "input")
    x = inputs().astype(np.float64)
    a = x
    for W, b in layers:
        s = a @ W + b
        a = np.maximum(s, 0)
    expected = scores_of(source[:-2].double(), x)
    np.testing.assert_allclose(s, expected, atol=1e-6)
    logarithms = scores_of(source.double(), x)
    np.testing.assert_array_equal(s.argmax(axis=1), logarithms.argmax(axis=1))


class DerivedLinear(nn.Linear):
    pass


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (nn.Linear(2, 2), "source must be a list .*; got Linear"),
        (nn.ModuleList([nn.Linear(2, 2)]), "source must be a list .*; got ModuleList"),
        (torch.eye(2), "source must be a list .*; got Tensor"),
        (nn.Sequential(), "source must be a network of at least one layer"),
        (nn.Sequential(nn.Conv1d(1, 1, 2)), "module 0 of source must be Linear, .*; got Conv1d"),
        (nn.Sequential(nn.Linear(2, 2), nn.Tanh()), "module 1 of source must be .*; got Tanh"),
        (
            nn.Sequential(nn.Linear(2, 2), nn.Softmax(1), nn.Linear(2, 2)),
            "module 2 of source must be left out behind Softmax; got Linear",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.LogSoftmax(0)),
            "LogSoftmax 1 of source must be over dimension 1, behind the last Linear",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.ReLU(), nn.Softmax(1)),
            "Softmax 2 of source must be over dimension 1, behind the last Linear",
        ),
        (nn.Sequential(nn.Linear(2, 2), nn.LeakyReLU()), "module 1 of source .*; got LeakyReLU"),
        (nn.Sequential(DerivedLinear(2, 2)), "module 0 of source must be .*; got DerivedLinear"),
        (
            nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))),
            r"BatchNorm1d 0\.1 of source must be in evaluation mode, .*; got training mode",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2, track_running_stats=False).eval()),
            "BatchNorm1d 1 of source must be in evaluation mode, with .*; got none of them",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.ReLU(), normalized(2, 0)),
            "a BatchNorm1d of source must be before a Linear, .*; got one behind the last ReLU",
        ),
        (
            nn.Sequential(normalized(2, 0), normalized(2, 0), nn.Linear(2, 2)),
            "module 1 of source must be a Linear between two BatchNorm1d",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.ReLU(), normalized(2, 0), nn.ReLU()),
            "module 3 of source must be a Linear before a ReLU",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), normalized(3, 0)),
            "module 1 of source must be of 2 units",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.ReLU(), normalized(3, 0), nn.Linear(2, 2)),
            "module 3 of source must be of 2 units",
        ),
        (
            nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)),
            "module 1 of source must be a ReLU after",
        ),
        (nn.Sequential(nn.ReLU(), nn.Linear(2, 2)), "module 0 of source must be a Linear before"),
        (
            nn.Sequential(nn.Linear(2, 2), nn.Dropout()),
            r"Dropout 1 of source must be in evaluation mode: call source\.eval\(\)",
        ),
        (nn.Sequential(nn.Flatten(0), nn.Linear(2, 2)), "Flatten 0 of source must be over all"),
        (
            nn.Sequential(nn.Linear(2, 3), nn.ReLU(), nn.Linear(2, 2)),
            "weights of layer 2 must be a matrix of 3 rows",
        ),
    ],
)
def test_other_modules_are_refused_by_name(source, error):
    refusal(error, source)


def test_a_parameter_that_is_no_number_is_refused():
    source = model()
    with torch.no_grad():
        source[2].bias[1] = float("nan")
    refusal("bias of layer 2 must be finite real numbers; got nan", source)


@pytest.mark.parametrize("bias", [None, "input"])
def test_a_spiking_network_becomes_a_sequential(bias):
    checkpoint = from_relu(model(), fraction_bits=40)
    x = inputs().astype(np.float64)
    module = to_torch(checkpoint, bias)
    kinds = [type(part).__name__ for part in module]
    assert kinds == ["Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert [part.bias is None for part in module[::2]] == [bias is None] * 3
    shown = with_bias_input(x) if bias is None else x
    np.testing.assert_allclose(scores_of(module, shown), scores_of(model_of(checkpoint), x))
    again = from_relu(module, fraction_bits=40)
    assert_all_equal(again.state.weights, checkpoint.state.weights)


def model_of(checkpoint):
    """Return the ReLU network of a checkpoint, by hand."""

    def forward(x):
        layers = to_relu(checkpoint, "input")
        for l, (W, b) in enumerate(layers):
            s = x @ torch.from_numpy(W) + torch.from_numpy(b)
            x = torch.relu(s) if l < len(layers) - 1 else s
        return x

    return forward


def test_a_network_that_learns_goes_to_pytorch_and_back():
    with lively_simulator(SpikingMLP.paper((3, 5, 2))) as sim:
        sim.train([[1.0, 0.5, -0.5]] * 4, [0, 1, 1, 0])
        module = to_torch(sim)
        assert all(parameter.requires_grad for parameter in module.parameters())
        assert_all_equal(from_relu(module).state.weights, sim.checkpoint().state.weights)
        assert module[0].weight.dtype == torch.float64


def test_wrong_arguments_are_refused():
    sim = lively_simulator(SpikingMLP.paper((3, 5, 2)))
    with pytest.raises(ValueError, match="bias must be one of None, 'input'; got 'refuse'"):
        to_torch(sim, "refuse")
    with pytest.raises(ValueError, match="source must be a Checkpoint, a Simulator, or"):
        to_torch(model())


def test_the_code_of_the_guide_runs():
    names = {}
    exec(sections("docs/conversion.md")["PyTorch"], names)
    assert names["checkpoint"].net.layer_sizes == (65, 51, 10)
    x = np.random.RandomState(0).uniform(size=(5, 64))
    np.testing.assert_allclose(
        scores_of(names["module"], x), scores_of(names["model"][:-1].double(), x), atol=1e-3
    )


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_rival_of_forgetting_is_plain_gradient_descent(batch_size):
    net = SpikingMLP.paper((4, 6, 5, 3), input_scale=0.5, seed=0)
    x, y = inputs().repeat(6, axis=0), np.arange(30) % 3
    rival = TorchLearner(net, ReplayBuffer(4, seed=2), 0.1, batch_size)
    rival.learn(x, y)
    torch.manual_seed(0)
    module = model()
    descent = torch.optim.SGD(module.parameters(), lr=0.1)
    mixture = ReplayBuffer(4, seed=2).mix(x, y)
    size = 1 if batch_size == 1 else 2 * batch_size
    for start in range(0, len(mixture.y), size):
        rows = slice(start, start + size)
        descent.zero_grad()
        shown = module(torch.from_numpy(mixture.x[rows] * 0.5))
        nn.functional.cross_entropy(shown, torch.from_numpy(mixture.y[rows])).backward()
        descent.step()
    with torch.inference_mode():
        expected = module(torch.from_numpy(x * 0.5)).numpy()
    np.testing.assert_allclose(rival.scores(x), expected, rtol=1e-4, atol=1e-5)


def test_learning_in_changed_worlds_is_compared():
    rows = run("changed_worlds.py", "--seeds", "1", "--passes", "1")
    assert [row["world"] for row in rows[:3]] == ["mirrored", "permuted", "inverted"]
    assert {row["network"] for row in rows} == {"64-50-50-10", "two convolutions"}
    assert all(row["spikes"] > row["changed"] + 20 for row in rows)
