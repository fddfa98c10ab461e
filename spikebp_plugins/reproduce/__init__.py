"""The experiments of the paper and others, each with one command: ``spikebp reproduce NAME``.

An experiment is a module with a function ``run(study)`` that returns a `Report`. One that is not of
images has a function ``load(folder)`` that returns the data which it takes instead. Networks are
trained by `Study.learned`, which saves each network in a folder after every epoch, so that an
interrupted experiment goes on and two experiments share their networks.
"""

from spikebp_plugins.reproduce import (
    ablations,
    best_dense,
    chip_costs,
    convergence,
    convolution,
    early_guess,
    efficiency,
    forgetting,
    integer_only,
    mnist,
    speech,
    spikes,
)
from spikebp_plugins.reproduce.study import Report, Study, TrainedNetwork

#: The experiments by the names that the command line takes.
EXPERIMENTS = {
    "mnist": mnist,
    "ablations": ablations,
    "convergence": convergence,
    "early-guess": early_guess,
    "spikes": spikes,
    "hardware": chip_costs,
    "convolution": convolution,
    "efficiency": efficiency,
    "speech": speech,
    "best-dense": best_dense,
    "integer-only": integer_only,
    "forgetting": forgetting,
}

__all__ = ["EXPERIMENTS", "Report", "Study", "TrainedNetwork"]
