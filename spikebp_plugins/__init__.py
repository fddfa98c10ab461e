"""A spiking network that learns by backpropagation, defined once and the same on every back end.

The algorithm is that of "Deep Spiking Networks" (P. O'Connor and M. Welling, 2016,
arXiv:1602.08323).

================ ==================================================================
networks         SpikingMLP, SpikingNetwork; Dense, Conv2D, AveragePool2D, Sparse
running them     Simulator, available_backends, UnsupportedError, Operations
what they did    Checkpoint, Trace, ReplayBuffer
streams          Stream, EventEncoder, EVENT_DTYPE, WindowEncoder
scikit-learn     SpikingMLPClassifier, SpikingMLPRegressor
data             load_dataset
ReLU networks    from_relu, to_relu, to_torch, with_bias_input
boards           to_c
================ ==================================================================

What fewer need is imported from its module: ``spikebp_plugins.river`` and ``.dask``; ``.nir`` and
``.lava_dl``; ``.data.aer`` and ``.data.speech`` for recordings; ``.conversion.quantized`` for
weights of few bits; ``.embedded`` for what a board has learned; ``.simulation.hardware_report``
and ``.simulation.core_limits`` for chips; ``.simulation.neurobench`` for what predictions cost;
``.rules.quantization`` for the paper's quantizers; ``.backends`` and ``.conformance`` for back
ends; ``.event_order`` for the paper's own order of spikes. docs/api.md describes all of it.

Each name is imported when it is first asked for, so that the command line can say something of
Ctrl-C before it has imported anything; ``__init__.pyi`` says where each comes from.
"""

import lazy_loader as _lazy_loader

__getattr__, __dir__, __all__ = _lazy_loader.attach_stub(__name__, __file__)
