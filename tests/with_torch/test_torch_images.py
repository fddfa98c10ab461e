"""PyTorch: convolutions and pools of a Sequential are those of a SpikingNetwork, to and fro."""

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

from torch import nn

import spikebp_plugins
from spikebp_plugins import (
    AveragePool2D,
    Conv2D,
    Dense,
    Simulator,
    Sparse,
    SpikingNetwork,
    load_dataset,
    to_relu,
    to_torch,
    with_bias_input,
)
from spikebp_plugins.common.approximation import ApproximationWarning
from spikebp_plugins.conversion.relu import relu_scores
from spikebp_plugins.data.images import error_percent
from tests.core.one_for_one import from_relu
from tests.core.small_nets import assert_all_equal, lively_simulator
from tests.documentation import sections
from tests.with_torch.test_torch import normalized, scores_of

# Three channels, no square, so that no two dimensions can be taken for each other.
SHAPE = (9, 7, 3)
LAYOUTS = pytest.mark.parametrize("layout", ["channels_first", "channels_last"])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)
    torch.set_num_threads(1)


def model():
    """Return a network whose units would fire more than once a step."""
    source = nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 5, 2, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(10, 6, bias=False),
        nn.ReLU(),
        nn.Linear(6, 3, bias=False),
    )
    with torch.no_grad():
        for parameter in source.parameters():
            parameter *= 3
    return source


def images(n=4, dtype=np.float64):
    """Return images as PyTorch has them: channels first."""
    height, width, channels = SHAPE
    return np.random.RandomState(3).uniform(-1, 2, (n, channels, height, width)).astype(dtype)


def shown(x, layout):
    """Return images in the layout of a network's input."""
    return x if layout == "channels_first" else x.transpose(0, 2, 3, 1)


def flat(x):
    return x.reshape(len(x), -1)


def refusal(error, *modules, shape=SHAPE):
    with pytest.raises(ValueError, match=error):
        from_relu(nn.Sequential(*modules), input_shape=shape)


@LAYOUTS
def test_a_sequential_of_images_is_the_same_network(layout):
    source, x = model().double(), images()
    checkpoint = from_relu(source, input_shape=SHAPE, input_layout=layout, fraction_bits=40)
    layers = [Conv2D(4, 3, stride=2, padding=1), Conv2D(5, 2), AveragePool2D(2), Dense(6), Dense(3)]
    fields = {"input_layout": layout, "fraction_bits": 40, "n_steps": 10, "spikes_per_unit": 1}
    expected = SpikingNetwork(SHAPE, layers, **fields)
    assert checkpoint.net == expected
    rows = flat(shown(x, layout))
    np.testing.assert_allclose(
        relu_scores(to_relu(checkpoint), rows), scores_of(source, x), atol=1e-9
    )
    np.testing.assert_allclose(scores_of(to_torch(checkpoint), x), scores_of(source, x), atol=1e-9)


def test_without_a_layout_it_is_shown_what_the_sequential_is_shown():
    checkpoint = from_relu(model(), input_shape=SHAPE)
    assert checkpoint.net.input_layout == "channels_first"
    with checkpoint.simulate("reference") as sim:
        sim.predict(images())
    gray = nn.Sequential(nn.Conv2d(1, 2, 3, bias=False), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten())
    gray.append(nn.Linear(2 * 3 * 2, 2, bias=False))
    assert from_relu(gray, input_shape=(9, 7)).net.layer_shapes[0] == (9, 7)


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(3, 2, 3, padding="same", bias=False),
        nn.Conv2d(3, 2, (2, 2), padding="valid", stride=(2, 2), bias=False),
        nn.Conv2d(3, 2, 1, padding=(2, 2), bias=False),
        nn.Conv2d(3, 2, 5, padding=4, stride=3, bias=False),
        nn.Sequential(nn.AvgPool2d((3, 3), stride=3, count_include_pad=False)),
        nn.Sequential(nn.AvgPool2d(2), nn.ReLU(), nn.Conv2d(3, 2, 2, stride=3, bias=False)),
    ],
    ids=str,
)
def test_strides_and_paddings_of_any_size_are_converted(module):
    x = images()
    n = int(np.prod(scores_of(module.double(), x).shape[1:]))
    source = nn.Sequential(module, nn.ReLU(), nn.Flatten(), nn.Linear(n, 3, bias=False)).double()
    found = from_relu(source, input_shape=SHAPE, fraction_bits=40)
    np.testing.assert_allclose(
        relu_scores(to_relu(found), x.reshape(len(x), -1)), scores_of(source, x), atol=1e-9
    )


def test_rows_behind_an_image_have_its_order():
    x = images()
    source = nn.Sequential(nn.Flatten(), normalized(189, 0), nn.Linear(189, 3, bias=False)).double()
    source[1].running_mean.zero_()
    nn.init.zeros_(source[1].bias)
    for layout in ("channels_first", "channels_last"):
        found = from_relu(source, input_shape=SHAPE, input_layout=layout, fraction_bits=40)
        rows = flat(shown(x, layout))
        np.testing.assert_allclose(
            relu_scores(to_relu(found), rows), scores_of(source, x), atol=1e-9
        )
        np.testing.assert_allclose(scores_of(to_torch(found), x), scores_of(source, x), atol=1e-9)


def test_scores_of_a_last_pool_are_scaled_by_the_weights_below():
    source = nn.Sequential(
        nn.Conv2d(3, 4, 2, bias=False),
        nn.ReLU(),
        nn.Conv2d(4, 3, 3, bias=False),
        nn.ReLU(),
        nn.AvgPool2d(4),
        nn.Flatten(),
    ).double()
    x = images()
    settings = {"input_shape": SHAPE, "fraction_bits": 40, "balance": x, "percentile": 100}
    found = from_relu(source, output_scale=0.5, peak=3.0, **settings)
    rows = flat(x)
    expected = scores_of(source, x)
    np.testing.assert_allclose(relu_scores(to_relu(found), rows), 0.5 * expected, atol=1e-9)
    hidden = np.maximum(relu_scores(to_relu(found)[:1], rows), 0)
    assert hidden.max() == pytest.approx(3.0)
    won = from_relu(source, output_scale="winner", **settings)
    scores = relu_scores(to_relu(won), rows)
    assert np.median(scores.max(axis=1)) == pytest.approx(won.net.label_targets[1])


def normalized_channels(n, seed):
    """Return a BatchNorm2d that has seen data, in evaluation mode."""
    module = nn.BatchNorm2d(n)
    module.load_state_dict(normalized(n, seed).state_dict())
    return module.eval()


def model_with_biases():
    return nn.Sequential(
        nn.Conv2d(3, 4, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(4, 5, 3, padding=1, bias=False),
        normalized_channels(5, 0),
        nn.ReLU(),
        nn.Dropout2d().eval(),
        nn.AvgPool2d(2),
        nn.Flatten(),
        nn.Linear(20, 6),
        nn.ReLU(),
        nn.Linear(6, 3),
    ).double()


@LAYOUTS
@pytest.mark.parametrize("scale", [1.0, 1 / 255])
def test_biases_of_images_are_weights_of_a_channel_that_is_always_on(layout, scale):
    source, x = model_with_biases(), images()
    settings = {"input_shape": SHAPE, "input_layout": layout, "fraction_bits": 24}
    checkpoint = from_relu(source, input_scale=scale, **settings)
    net = checkpoint.net
    assert net.layer_sizes == (9 * 7 * 4, 5 * 4 * 5, 5 * 4 * 6, 2 * 2 * 6, 7, 3)
    inputs = with_bias_input(shown(x, layout) / scale, net=net)
    expected = scores_of(source, x)
    np.testing.assert_allclose(
        relu_scores(to_relu(checkpoint), flat(inputs) * scale), expected, atol=1e-5
    )
    with checkpoint.simulate("reference") as sim:
        trace = sim.predict(inputs[:2], n_steps=200, record=True)
    assert np.abs(trace.scores - expected[:2]).max() < 0.05
    for sent, channels in zip(trace.spikes[:4], (4, 5, 6, 6), strict=True):
        pixels = sent.reshape(2, 200, channels, -1)[:, :, -1]
        if sent is not trace.spikes[0] or layout == "channels_last":
            pixels = sent.reshape(2, 200, -1, channels)[..., -1]
        np.testing.assert_array_equal(pixels, 1)


def test_a_channel_for_biases_ends_where_the_biases_do():
    source = nn.Sequential(
        nn.Conv2d(3, 4, 2),
        nn.ReLU(),
        nn.Conv2d(4, 2, 2, padding=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(2 * 11 * 9, 3, bias=False),
    ).double()
    checkpoint = from_relu(source, input_shape=SHAPE, fraction_bits=30)
    assert checkpoint.net.layer_sizes == (9 * 7 * 4, 8 * 6 * 4, 11 * 9 * 2, 3)
    x = images()
    found = relu_scores(to_relu(checkpoint), flat(with_bias_input(x, net=checkpoint.net)))
    np.testing.assert_allclose(found, scores_of(source, x), atol=1e-6)


@LAYOUTS
def test_layers_with_biases_are_balanced(layout):
    source, x = model_with_biases(), images(9)
    settings = {"input_shape": SHAPE, "input_layout": layout, "fraction_bits": 30}
    checkpoint = from_relu(source, balance=shown(x, layout), output_scale=0.5, **settings)
    inputs = with_bias_input(shown(x, layout), net=checkpoint.net)
    found = relu_scores(to_relu(checkpoint), flat(inputs))
    np.testing.assert_allclose(found, 0.5 * scores_of(source, x), atol=1e-5)
    plain = model()
    expected = from_relu(plain, input_shape=SHAPE, bias="refuse").state.weights
    assert_all_equal(from_relu(plain, input_shape=SHAPE).state.weights, expected)
    with pytest.raises(ValueError, match="bias must be 'input' where a bias is not zero"):
        from_relu(source, input_shape=SHAPE, bias="refuse")


@pytest.mark.parametrize(
    "module",
    [nn.Conv2d(3, 2, 2, padding=2), nn.Conv2d(3, 2, 3, padding=2)],
    ids=["beyond the kernel", "on no pixel at the end"],
)
def test_a_bias_needs_a_weight_that_lies_on_a_pixel_everywhere(module):
    refusal("padding of layer 1 must be one for which some weight .*; got 2", module)


def conv(**changes):
    return nn.Conv2d(**({"in_channels": 3, "out_channels": 2, "kernel_size": 3} | changes))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"dilation": 2}, r"dilation of module 0 of source must be \(1, 1\); got \(2, 2\)"),
        ({"groups": 3, "out_channels": 3}, "groups of module 0 of source must be 1; got 3"),
        ({"padding_mode": "circular"}, "padding_mode of module 0 .* be 'zeros'; got circular"),
        ({"kernel_size": (3, 2)}, r"kernel_size of .* the same for rows and columns; got \(3, 2\)"),
        ({"stride": (1, 2)}, r"stride of .* the same for rows and columns; got \(1, 2\)"),
        ({"padding": (1, 2)}, r"padding of .* the same for rows and columns; got \(1, 2\)"),
        (
            {"padding": "same", "kernel_size": 2},
            "padding of .* a number, or 'same' with an odd kernel_size, .*; got same",
        ),
        ({"in_channels": 9}, r"module 0 of source must be a Conv2d from 3 channels .*; got 9"),
        ({"kernel_size": 8}, "module 0 of source must be one that fits the layer before; got"),
    ],
)
def test_other_convolutions_are_refused(changes, error):
    refusal(error, conv(bias=False, **changes), nn.ReLU(), nn.Flatten(), nn.Linear(2, 2))


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"ceil_mode": True}, "ceil_mode of module 2 of source must be False; got True"),
        ({"divisor_override": 3}, "divisor_override of module 2 of source must be None; got 3"),
        ({"stride": 1}, "stride of module 2 .* must be 2, the kernel_size, .* overlap .*; got 1"),
        ({"stride": (2, 1)}, r"stride of module 2 .* must be 2, .*; got \(2, 1\)"),
        ({"padding": 1}, "padding of module 2 of source must be 0, for a mean of .*; got 1"),
        ({"kernel_size": (2, 1)}, "kernel_size of module 2 .* the same for rows and columns"),
    ],
)
def test_other_pools_are_refused(changes, error):
    pool = nn.AvgPool2d(**({"kernel_size": 2} | changes))
    refusal(error, conv(bias=False), nn.ReLU(), pool, nn.Flatten(), nn.Linear(2, 2, bias=False))


@pytest.mark.parametrize(
    ("modules", "error"),
    [
        ([conv(), conv(in_channels=2)], "module 1 of source must be a ReLU after a Conv2d"),
        ([conv(), nn.AvgPool2d(2)], "module 1 of source must be a ReLU after a Conv2d"),
        ([nn.AvgPool2d(2), conv()], "module 1 of .* a ReLU after an AvgPool2d of the input"),
        ([conv(), nn.ReLU(), nn.Linear(5, 2)], "module 2 of source must be a Flatten before"),
        ([nn.Flatten(), conv()], "module 1 of source must be one for plain vectors; got Conv2d"),
        ([nn.Flatten(), nn.AvgPool2d(1)], "module 1 of .* for plain vectors; got AvgPool2d"),
        ([nn.Flatten(), nn.Linear(188, 2)], "module 1 of source must be a Linear of 189 features"),
        (
            [conv(), nn.BatchNorm1d(2)],
            "BatchNorm1d 1 of source must be next to a Linear behind a Flatten",
        ),
        (
            [conv(), nn.Flatten(), normalized(70, 0)],
            "BatchNorm1d 2 of source must be next to a Linear",
        ),
        ([conv(), nn.Softmax(1)], "Softmax 1 of source must be behind a Flatten"),
        ([conv(), nn.Flatten()], r"a last Flatten of source must be left out, .* \(7, 5, 2\)"),
        ([nn.MaxPool2d(2)], "module 0 of source must be Linear, .*; got MaxPool2d"),
        ([nn.BatchNorm2d(3).eval()], "BatchNorm2d 0 of source must be behind a Conv2d without"),
        ([conv(), nn.ReLU(), nn.BatchNorm2d(2).eval()], "BatchNorm2d 2 of .* behind a Conv2d"),
        ([nn.AvgPool2d(2), nn.BatchNorm2d(3).eval()], "BatchNorm2d 1 of .* behind a Conv2d"),
        ([conv(), nn.BatchNorm2d(2)], "BatchNorm2d 1 of source must be in evaluation mode"),
        ([conv(), nn.BatchNorm2d(3).eval()], "module 1 of source must be of 2 channels, .* got 3"),
        ([conv(), nn.Dropout2d()], "Dropout2d 1 of source must be in evaluation mode"),
        ([], "source must be a network of at least one layer"),
    ],
)
def test_other_orders_of_modules_are_refused(modules, error):
    refusal(error, *modules)


@pytest.mark.parametrize("module", [nn.Conv2d(3, 2, 3), nn.AvgPool2d(2)], ids=["conv", "pool"])
def test_images_need_their_shape(module):
    with pytest.raises(ValueError, match=r"input_shape must be .* for module 0 of source"):
        from_relu(nn.Sequential(module))


@pytest.mark.parametrize("shape", [(9,), (9, 7, 3, 1), "97", 9, (9, 0), (9.0, 7)])
def test_a_shape_has_two_or_three_sizes(shape):
    refusal(r"input_shape must be None, \(height, width\) or \(height", *model(), shape=shape)


def test_other_arguments_are_refused():
    source = model()
    with pytest.raises(ValueError, match="input_layout must be None without an input_shape"):
        from_relu(source, input_layout="channels_last")
    with pytest.raises(ValueError, match=r"input_layout must be one of .*; got 'rows'"):
        from_relu(source, input_shape=SHAPE, input_layout="rows")
    with pytest.raises(ValueError, match="layers must be left to the source"):
        from_relu(source, input_shape=SHAPE, layers=[Dense(2)])
    with pytest.raises(ValueError, match="a field of SpikingNetwork must be one of"):
        from_relu(source, input_shape=SHAPE, momentum=0.9)
    with pytest.raises(ValueError, match="bias must be None for a network whose connections are"):
        to_torch(from_relu(source, input_shape=SHAPE), "input")


def test_the_code_of_the_guide_runs():
    names = {}
    code = sections("docs/conversion.md")
    exec("from spikebp_plugins import with_bias_input\n" + code["PyTorch"] + code["Images"], names)
    found, expected = names["scores"], scores_of(names["convolutional"], names["images"])
    assert np.abs(found - expected).max() < 0.1
    inputs = with_bias_input(names["images"].numpy(), net=names["spiking"].net)
    shaped = inputs.reshape(-1, 2, 8, 8).astype(np.float64)
    np.testing.assert_allclose(scores_of(names["module"], shaped), expected, atol=1e-3)


@LAYOUTS
def test_a_network_of_all_kinds_goes_to_pytorch_and_back(layout):
    layers = [
        *(AveragePool2D(1), Conv2D(4, 2, padding=1), AveragePool2D(2)),
        *(Sparse(7, density=0.3), Dense(5), Dense(2)),
    ]
    net = SpikingNetwork.paper(SHAPE, layers, input_layout=layout, seed=3)
    sim = lively_simulator(net)
    module, x = to_torch(sim), images()
    kinds = [type(part).__name__ for part in module if type(part) is not nn.ReLU]
    assert kinds == ["AvgPool2d", "Conv2d", "AvgPool2d", "Flatten", *["Linear"] * 3]
    rows = flat(shown(x, layout))
    np.testing.assert_allclose(scores_of(module, x), relu_scores(to_relu(sim), rows), atol=1e-9)
    again = from_relu(module, input_shape=SHAPE, input_layout=layout)
    assert_all_equal(to_relu(again), to_relu(sim))
    assert [type(layer) for layer in again.net.layers[3:]] == [Dense] * 3


def test_pools_whose_weight_is_rounded_are_warned_of():
    sim = Simulator(SpikingNetwork.paper(SHAPE, [AveragePool2D(3), Dense(2)]), "reference")
    with pytest.warns(ApproximationWarning, match="pools of layer 1 weighs 0.111115 in") as caught:
        to_torch(sim)
    assert caught[0].filename == __file__


@pytest.mark.parametrize("seed", range(12))
def test_any_chain_of_images_is_the_same_network(seed):
    random = np.random.RandomState(seed)
    height, width, channels = shape = tuple(random.randint([5, 5, 1], [9, 9, 4]).tolist())
    modules, n = [], channels
    x = random.uniform(-1, 2, (3, channels, height, width))
    for _ in range(random.randint(1, 4)):
        size = random.randint(1, 4)
        if min(scores_of(nn.Sequential(*modules), x).shape[2:]) < size:
            break
        if random.randint(3):
            padding, stride = random.randint((size + 1) // 2), random.randint(1, 3)
            conv = nn.Conv2d(n, 3, size, stride, padding, bias=bool(random.randint(2)))
            modules += [conv.double(), nn.ReLU()]
            n = 3
        else:
            modules += [nn.AvgPool2d(size), nn.ReLU()]
    n_units = scores_of(nn.Sequential(*modules), x)[0].size
    source = nn.Sequential(*modules, nn.Flatten(), nn.Linear(n_units, 2, bias=seed % 2)).double()
    for layout in ("channels_first", "channels_last"):
        found = from_relu(source, input_shape=shape, input_layout=layout, fraction_bits=36)
        given = shown(x, layout).reshape(3, -1)
        if found.net.n_inputs > given.shape[1]:
            given = with_bias_input(given, net=found.net)
        np.testing.assert_allclose(
            relu_scores(to_relu(found), given), scores_of(source, x), atol=1e-7
        )


@LAYOUTS
def test_what_a_converted_network_is_shown_the_module_made_of_it_takes_too(layout):
    source, x = model_with_biases(), images()
    settings = {"input_shape": SHAPE, "input_layout": layout, "fraction_bits": 30}
    checkpoint = from_relu(source, **settings)
    inputs = with_bias_input(shown(x, layout), net=checkpoint.net)
    assert inputs.shape == (len(x), *checkpoint.net.layer_shapes[0])
    turned = inputs if layout == "channels_first" else inputs.transpose(0, 3, 1, 2)
    found = to_torch(checkpoint)(torch.from_numpy(turned)).detach().numpy()
    np.testing.assert_allclose(found, scores_of(source, x), atol=1e-6)


def test_samples_to_balance_on_are_those_that_the_module_takes():
    gray = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)).double()
    dense = nn.Sequential(nn.Flatten(), nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3)).double()
    x = np.random.RandomState(0).rand(7, 1, 8, 8)
    for source, shape in ((gray, (8, 8)), (gray, (8, 8, 1)), (dense, None)):
        settings = {"input_shape": shape, "output_scale": "winner"}
        one, other = (from_relu(source, balance=given, **settings) for given in (x, flat(x)))
        assert_all_equal(one.state.weights, other.state.weights)
        with one.simulate("reference") as sim:
            scores = sim.predict(with_bias_input(x, net=one.net))
            assert np.array_equal(scores.argmax(axis=1), scores_of(source, x).argmax(axis=1))
    with pytest.raises(ValueError, match=r"balance must be .* of shape \(n_samples, 64\)"):
        from_relu(nn.Sequential(*dense[1:]), balance=x)


def test_a_converted_network_goes_on_learning_in_a_changed_world():
    data = load_dataset("digits")
    x, y = (data.input_scale * data.x_train[:600]).reshape(-1, 1, 8, 8), data.y_train[:600]
    torch.manual_seed(0)
    source = nn.Sequential(
        nn.Conv2d(1, 8, 3), nn.ReLU(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(72, 10)
    ).double()
    optimizer = torch.optim.Adam(source.parameters(), 1e-2)
    for _ in range(60):
        optimizer.zero_grad()
        nn.functional.cross_entropy(source(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimizer.step()
    checkpoint = spikebp_plugins.from_relu(source, input_shape=(8, 8))
    inverted = with_bias_input(1 - x, net=checkpoint.net)
    with checkpoint.simulate() as sim:
        assert error_percent(sim.predict(inverted), y) > 60
        for _ in range(6):
            sim.train(inverted, y)
        assert error_percent(sim.predict(inverted), y) < 12
