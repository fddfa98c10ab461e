"""What the guide says may be read and set before, between, in and after runs: its table."""

import numpy as np
import pytest

pytest.importorskip("lava", reason="Lava is not installed")

from lava.magma.core.run_conditions import RunContinuous, RunSteps
from lava.proc.monitor.process import Monitor

from tests.with_lava.graphs import NET, PIPELINED, Line, Loihi2SimCfg, Samples

READS = {
    "checkpoint": lambda line: line.mlp.checkpoint(),
    "weights": lambda line: line.mlp.weights,
    "operations": lambda line: line.mlp.operations,
    "scores": lambda line: line.sink.scores,
    "predict": lambda line: line.mlp.predict(line.source.proc_params["rows"].x),
    "accuracy": lambda line: line.mlp.accuracy(line.source.proc_params["rows"].x[:2], [0, 1]),
    "get weight": lambda line: line.mlp.weight_1.get(),
}
READS_OF_GRAPH = {
    "get potential": lambda line: line.mlp.potential_1.get(),
    "monitor": lambda line: line.monitor.get_data(),
}
SETS = {
    "set learning": lambda line: setattr(line.mlp, "learning", True),
    "set weight": lambda line: line.mlp.weight_1.set(np.zeros(line.mlp.net.weight_shapes[0])),
}
BETWEEN_SAMPLES = {
    "set learning_rate": lambda line: setattr(line.mlp, "learning_rate", 0.01),
}
ALWAYS = {
    "learning": lambda line: line.mlp.learning,
    "learning_rate": lambda line: line.mlp.learning_rate,
}
NEVER = {
    "set potential": lambda line: line.mlp.potential_1.set(np.zeros(len(line.mlp.weights[0][0]))),
    "set net": lambda line: setattr(line.mlp, "net", NET),
}


def refused(line, actions):
    """Return the names of the actions that raise an error."""
    found = set()
    for name, action in actions.items():
        try:
            action(line)
        except (RuntimeError, AttributeError):
            found.add(name)
    return found


@pytest.fixture(params=["leaf", "standard"])
def line(request, make_line):
    if request.param == "standard":
        line = make_line(PIPELINED.replace(update="outer"))
    else:
        line = Line(Samples())
    line.monitor = Monitor()
    line.monitor.probe(getattr(line.mlp, f"summed_drive_{line.mlp.net.n_layers}"), 4_000)
    yield line
    line.mlp.stop()


@pytest.mark.thorough
def test_what_may_be_done_when(line):
    mlp, period = line.mlp, line.sink.pace[0]
    whenever = ALWAYS | READS | SETS
    assert refused(line, whenever | BETWEEN_SAMPLES | NEVER) == set(NEVER)
    mlp.run(RunSteps(num_steps=2 * period), Loihi2SimCfg(select_tag="floating_pt"))
    between = whenever | READS_OF_GRAPH | BETWEEN_SAMPLES
    assert refused(line, between | NEVER) == set(NEVER)
    mlp.run(RunSteps(num_steps=2))
    assert refused(line, between | NEVER) == set(BETWEEN_SAMPLES | NEVER)

    mlp.run(RunContinuous())
    assert refused(line, between | NEVER) == {*between, *NEVER} - set(ALWAYS)
    mlp.pause()
    assert refused(line, whenever | READS_OF_GRAPH | NEVER) == set(NEVER)

    mlp.stop()
    of_standard_parts = {"set weight"} if hasattr(mlp, "tag") else set()
    assert refused(line, whenever | READS_OF_GRAPH) == set(READS_OF_GRAPH) | of_standard_parts
