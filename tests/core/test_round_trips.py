"""Files of other tools that hold a whole network of ours: what comes back goes on where it was."""

import importlib
import subprocess
import sys
from typing import NamedTuple

import pytest

from tests.core.small_nets import (
    assert_restored,
    checkpoint_bytes,
    lively_simulator,
    samples,
    small_net,
    trained,
)


class Format(NamedTuple):
    """The package that a format needs, our module and functions, and what messages say of it."""

    needed: str
    module: str
    write: str
    read: str
    thing: str
    missing: str


FORMATS = {
    "nir": Format(
        "nir",
        "spikebp_plugins.nir",
        "save_nir",
        "load_nir",
        "graph of NIR",
        'graphs of NIR need the package nir: pip install "spikebp-plugins[nir]"',
    ),
    "netx": Format(
        "h5py",
        "spikebp_plugins.lava_dl",
        "save_netx",
        "load_netx",
        "network of netx",
        'files of netx need the package h5py: pip install "spikebp-plugins[lava-dl]"',
    ),
}
NETS = {
    "fixed": small_net(),
    "random feedback": small_net(feedback="random"),
    "one layer": small_net((3, 2)),
    "spike counts as input": small_net(input_coding="spikes", spikes="binary"),
    "40 fraction bits": small_net(fraction_bits=40),
    "numbers of a chip": small_net(arithmetic="loihi2"),
}

pytestmark = pytest.mark.filterwarnings(
    "ignore::spikebp_plugins.common.approximation.ApproximationWarning"
)


@pytest.fixture(params=FORMATS)
def form(request):
    pytest.importorskip(FORMATS[request.param].needed)
    return FORMATS[request.param]


@pytest.fixture
def functions(form):
    """The functions that write and read a format."""
    return [getattr(importlib.import_module(form.module), name) for name in (form.write, form.read)]


@pytest.mark.parametrize("net", NETS.values(), ids=NETS)
def test_a_file_gives_back_the_network(functions, net, tmp_path):
    write, read = functions
    checkpoint = trained(net)
    for path in (tmp_path / "net", str(tmp_path / "other")):
        write(path, checkpoint)
        assert checkpoint_bytes(read(path)) == checkpoint_bytes(checkpoint)
    assert_restored(read(tmp_path / "net", net), checkpoint)


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


def test_a_definition_can_be_required(functions, tmp_path):
    write, read = functions
    write(tmp_path / "net", trained(NETS["random feedback"]))
    with pytest.raises(ValueError, match=r"as in the (graph|file); got"):
        read(tmp_path / "net", NETS["fixed"])


def test_files_that_are_none_are_refused(functions, form, tmp_path):
    write, read = functions
    file = tmp_path / "net"
    with pytest.raises(FileNotFoundError, match="net"):
        read(file)
    with pytest.raises(FileNotFoundError, match="folder"):
        write(tmp_path / "folder" / "net", trained(NETS["fixed"]))
    write(file, trained(NETS["fixed"]))
    data = file.read_bytes()
    for content in (b"", b"version https://git-lfs", data[:100], data[: len(data) // 2], data[:-1]):
        file.write_bytes(content)
        with pytest.raises(ValueError, match=f"net is not a readable {form.thing}: "):
            read(file)


def test_a_missing_package_is_named_with_the_command_that_installs_it(form):
    code = f"import sys; sys.modules['{form.needed}'] = None; import {form.module}"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stderr.splitlines()[-1] == f"ImportError: {form.missing}"
