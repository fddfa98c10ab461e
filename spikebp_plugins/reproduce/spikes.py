"""The costs of learning: spikes and synaptic operations, epoch by epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from spikebp_plugins.reproduce.study import Report, Study

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EPOCHS: Final = 20
HIDDEN_LAYERS: Final = (200, 200)
PHASES: Final = ("forward", "backward", "update")


def run(study: Study) -> Report:
    """Train a network, and count spikes and synaptic operations in each epoch."""
    learned = study.learned(study.net(*HIDDEN_LAYERS), EPOCHS)
    epochs = zip(learned.operations, learned.test_errors, strict=True)
    rows = [
        {
            "epoch": epoch,
            "test error, %": error,
            "spikes": done.spikes / done.samples,
            "error spikes": done.errors / done.samples,
            **{phase: getattr(done, phase) / done.samples for phase in PHASES},
            "total / dense": done.total / done.dense,
            "messages": done.messages / done.samples,
            "multiply-adds / dense": done.multiply_adds / done.dense,
        }
        for epoch, (done, error) in enumerate(epochs, 1)
    ]
    dense = learned.operations[0].dense / learned.operations[0].samples

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        for phase in PHASES:
            axes.semilogy([row["epoch"] for row in rows], [row[phase] for row in rows], label=phase)
        axes.axhline(dense, color="black", lw=1, ls=":", label="multiply-adds of a dense network")
        axes.set_xlabel("epoch")
        axes.set_ylabel("synaptic operations per training sample")
        axes.legend()

    title = study.title(HIDDEN_LAYERS, ": work per training sample")
    notes = [f"A dense network of this shape does {dense:,.0f} multiply-adds for each."]
    return Report(title, rows, notes, draw)
