"""A spiking network that learns by backpropagation, defined once and the same on every back end.

The algorithm is that of "Deep Spiking Networks" (P. O'Connor and M. Welling, 2016,
arXiv:1602.08323).

The public names stand in ``__init__.pyi``. Each is imported when it is first asked for, so that the
command line can say something of Ctrl-C before it has imported anything.
"""

from lazy_loader import attach_stub

__getattr__, __dir__, __all__ = attach_stub(__name__, __file__)
