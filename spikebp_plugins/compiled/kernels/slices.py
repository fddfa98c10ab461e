"""Slices of flat arrays that belong to a layer, made without checks of their ends.

Numba's own slices check whether an end is negative or outside of the array, in hundreds of
instructions; kernels take hundreds of slices, whose ends are right. Besides, a kernel is compiled
without counting references. To return one of Numba's slices, a kernel would have to be copied into
its callers before types are known, which takes many times as long to compile.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .structs import read_field


def slices_between(bounds: str, field: str | None = None) -> Any:
    """Return a function for kernels that slices a flat array by layer.

    ``slice(array, net, layer)`` is ``array[net.<bounds>[layer] : net.<bounds>[layer + 1]]``.

    Parameters
    ----------
    bounds : str
        The field of the struct `net` with the bounds, an array of integers of 64 bits of shape
        (n_layers + 2,).
    field : str, optional
        The field that has the array, of shape (bounds[-1],), if the first argument is a struct;
        None if it is the array itself.
    """

    @intrinsic
    def of_layer(typing_context, holder, net, layer):
        array = holder if field is None else holder.fields[field]

        def generate(context, builder, signature, arguments):
            held, definition, index = arguments
            if field is not None:
                held = read_field(context, builder, holder, held, field)
            whole = context.make_array(array)(context, builder, held)
            ends = context.make_array(net.fields[bounds])
            place = ends(context, builder, read_field(context, builder, net, definition, bounds))
            place = builder.gep(place.data, [index])
            start = builder.load(place)
            stop = builder.load(builder.gep(place, [ir.Constant(index.type, 1)]))
            part = context.make_array(array)(context, builder)
            populate_array(
                part,
                data=builder.gep(whole.data, [start]),
                shape=[builder.sub(stop, start)],
                strides=[whole.itemsize],
                itemsize=whole.itemsize,
                meminfo=None,
            )
            return part._getvalue()

        return array(holder, net, types.intp), generate

    return of_layer


#: ``units_of(array, net, layer)``: the units of a layer.
units_of = slices_between("unit")
#: ``matrix_of(array, net, layer)`` and ``back_of(array, net, layer)``: the weights W_l and B_l.
matrix_of, back_of = slices_between("edge"), slices_between("back")
#: ``weights_of(learning, net, layer)``: W_l as a flat array.
weights_of = slices_between("edge", "weight")
#: ``backward_of(learning, net, layer)``: B_l as a flat array.
backward_of = slices_between("back", "backward")
