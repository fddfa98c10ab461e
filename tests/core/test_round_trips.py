"""Files of other tools that hold a whole network of ours: what comes back goes on where it was."""

import importlib

import pytest

from tests.core.small_nets import (
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
    trained,
)

#: For each format the package that it needs, our module, and the functions that write and read it.
FORMATS = {
    "nir": ("nir", "spikebp_plugins.nir", "save_nir", "load_nir"),
    "netx": ("h5py", "spikebp_plugins.lava_dl", "save_netx", "load_netx"),
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::spikebp_plugins.common.approximation.ApproximationWarning"
)


@pytest.fixture(params=FORMATS)
def functions(request):
    """The functions that write and read a format."""
    needed, module, *names = FORMATS[request.param]
    pytest.importorskip(needed, reason=f"{needed} is not installed")
    return [getattr(importlib.import_module(module), name) for name in names]


def test_a_network_goes_on_learning_as_if_never_written(functions, tmp_path):
    write, read = functions
    net = small_net(feedback="random")
    x, y = samples(net, 8)
    whole = lively_simulator(net)
    whole.train(x, y)
    first = lively_simulator(net)
    first.train(x[:3], y[:3])
    write(tmp_path / "net", first.checkpoint())
    second = read(tmp_path / "net").simulate("reference")
    second.train(x[3:], y[3:])
    assert checkpoint_bytes(second) == checkpoint_bytes(whole)


def test_a_file_is_the_same_for_the_same_state(functions, tmp_path):
    write, _ = functions
    for name in ("first", "second"):
        write(tmp_path / name, trained(small_net()))
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
