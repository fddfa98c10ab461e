"""NeuroBench itself: its package counts on modules of PyTorch what the core counts.

The modules are the network: their weights, and quantizers that fire what the reference has fired.
Only connection sparsity is rounded there, to four digits.
"""

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
pytest.importorskip("neurobench", reason="NeuroBench is not installed")

from neurobench.metrics.static import ConnectionSparsity, Footprint
from neurobench.metrics.workload import ActivationSparsity, SynapticOperations
from neurobench.models import TorchModel
from torch import nn

from spikebp_plugins import Simulator, SpikingMLP, load_dataset, to_torch
from spikebp_plugins.network.channels_first import image_size, units_in_order
from spikebp_plugins.simulation.neurobench import neurobench_metrics
from tests.core.small_nets import samples
from tests.core.test_neurobench import CASES, NETS, checkpoint_of


class Quantizer(nn.Module):
    """Rectified units, of which `potential` holds what has not fired yet."""

    def __init__(self, net):
        super().__init__()
        of_message = 127 if net.arithmetic == "loihi2" else math.inf
        self.most = 1 if net.spikes == "binary" else of_message
        self.potential = 0

    def forward(self, drive):
        self.potential = self.potential + drive
        spikes = torch.ceil(self.potential - 0.5).clamp(0, self.most)
        self.potential = self.potential - spikes
        return spikes


def spiking_modules(checkpoint):
    """Return the modules of a network, each ReLU a quantizer."""
    net, layers = checkpoint.net, list(to_torch(checkpoint))
    layers = [Quantizer(net) if isinstance(layer, nn.ReLU) else layer for layer in layers]
    return nn.Sequential(*layers, Quantizer(net))


def stored(checkpoint, weight_type, state_type):
    """Return modules that hold what a prediction needs, in the types of integers."""
    model, net = spiking_modules(checkpoint), checkpoint.net
    for module in model:
        if hasattr(module, "weight"):
            exponent = net.weight_exponent or -net.fraction_bits
            units = torch.ldexp(module.weight.detach(), torch.tensor(-exponent))
            typed = units.to(weight_type)
            assert torch.equal(typed.double(), units)
            module.weight = nn.Parameter(typed, requires_grad=False)
    for l, n in enumerate((*net.layer_sizes, net.n_outputs)):
        model.register_buffer(f"state_{l}", torch.zeros(n, dtype=state_type))
    return TorchModel(model)


def workloads(checkpoint, x, batch_size, n_steps=None, margin=None):
    """Return what NeuroBench counts, of modules that are shown batches step by step."""
    below = checkpoint.net.shapes[0]
    with checkpoint.simulate("reference") as sim:
        spikes = sim.predict(x, n_steps=n_steps, record=True).spikes
        n_shown = np.full(len(x), spikes[0].shape[1])
        if margin is not None:
            n_shown = sim.predict(x, n_steps=n_steps, margin=margin).n_steps
    given = torch.from_numpy(spikes[0][:, :, units_in_order(below)]).double()
    given = given.reshape(*given.shape[:2], *image_size(below))
    model = TorchModel(spiking_modules(checkpoint))
    model.add_activation_module(Quantizer)
    model.register_hooks()
    quantizers = [module for module in model.__net__() if isinstance(module, Quantizer)]
    for first in range(0, len(x), batch_size):
        running = np.arange(len(x))[first : first + batch_size]
        for t in range(n_shown[running].max()):
            goes_on = n_shown[running] > t
            for quantizer in quantizers:
                quantizer.potential = quantizer.potential[goes_on] if t else 0
            running = running[goes_on]
            with torch.no_grad():
                sent = model(given[running, t])
            assert np.array_equal(sent, spikes[-1][running, t])
    operations = SynapticOperations()(model, None, (given, None))
    sparsity = ActivationSparsity()(model, None, (given, None))
    return operations | {"Activation_Sparsity": sparsity}


def counted_alike(checkpoint, x, batch_size, **options):
    """Return the work of samples, after NeuroBench has counted the same."""
    found = neurobench_metrics(checkpoint, x, batch_size=batch_size, **options)
    assert workloads(checkpoint, x, batch_size, **options) == {
        "Effective_MACs": found.effective_macs,
        "Effective_ACs": found.effective_acs,
        "Dense": found.dense,
        "Activation_Sparsity": found.activation_sparsity,
    }
    assert found.effective_acs > 0 or batch_size > 1
    return found


def of_equal_size(checkpoint, x, *types):
    """Return the figures of a network, after NeuroBench has found it as large and as sparse."""
    found = neurobench_metrics(checkpoint, x)
    model = stored(checkpoint, *types)
    assert Footprint()(model) == found.footprint
    assert ConnectionSparsity()(model) == round(found.connection_sparsity, 4)
    return found


@pytest.mark.parametrize("batch_size", [1, 3, 7])
@pytest.mark.parametrize(("kind", "options"), CASES, ids=str)
def test_work_is_what_neurobench_counts(kind, options, batch_size):
    x, _ = samples(NETS[kind], 7)
    counted_alike(checkpoint_of(NETS[kind]), x, batch_size, **options)


@pytest.mark.parametrize("kind", NETS)
def test_sizes_are_what_neurobench_finds(kind):
    x, _ = samples(NETS[kind], 1)
    weight_type = torch.int8 if kind == "numbers of a chip" else torch.int16
    found = of_equal_size(checkpoint_of(NETS[kind]), x, weight_type, torch.int32)
    assert found.connection_sparsity > 0


def test_a_network_that_has_learned_is_counted_alike():
    data = load_dataset("digits", raw=True)
    fields = {"input_scale": data.input_scale, "fraction_bits": 20, "weight_init": "he"}
    with Simulator(SpikingMLP.paper((64, 40, 30, 10), **fields)) as sim:
        sim.train(data.x_train, data.y_train)
        checkpoint = sim.checkpoint()
    found = counted_alike(checkpoint, data.x_test, 100)
    assert found.effective_macs > 0
    of_equal_size(checkpoint, data.x_test, torch.int32, torch.int64)
