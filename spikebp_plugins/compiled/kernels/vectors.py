"""Vectors of numbers as values in compiled kernels.

The compiler turns a loop over an array into vector instructions only if it can prove that this is
sound and guesses that it pays. The sums of an outer loop stay in memory, since arrays may
overlap. A kernel that names its vectors keeps such sums in registers::

    total = zeros(matrix, 64)                     # 64 lanes of the matrix's type
    for a in range(n_active):
        total += load(matrix, active[a] * stride + j, 64)
    store(drive, j, total)

The compiler splits a vector into as many registers as the processor needs for it. Operators take
two vectors, or a vector and a number; integers wrap. Numbers of lanes are literals.
"""

from __future__ import annotations

import operator
from typing import Any, Final

from llvmlite import ir
from numba import types
from numba.core.typing.templates import AbstractTemplate, infer_global, signature
from numba.extending import intrinsic, lower_builtin, models, register_model

#: The length of an array that kernels read and write by vectors is a multiple of this.
LANES: Final = 16
#: The most lanes that :func:`nonzero` takes.
WORD: Final = 64


def whole_vectors(n: int, lanes: int = LANES) -> int:
    """Return n, rounded up to a multiple of `lanes`."""
    return -(-n // lanes) * lanes


#: The decorator of operations: each returns its signature and a function that writes its code.
operation: Any = intrinsic(prefer_literal=True)


class Vector(types.Type):
    """The type of vectors of `lanes` numbers.

    Compilers take powers of two alone, so a vector consists of parts of such sizes: 80 lanes are
    a part of 16 and one of 64.
    """

    def __init__(self, dtype: types.Number, lanes: int) -> None:
        self.dtype, self.lanes = dtype, lanes
        self.parts = [2**bit for bit in range(lanes.bit_length()) if lanes >> bit & 1]
        super().__init__(name=f"Vector({dtype}, {lanes})")


@register_model(Vector)
class VectorModel(models.PrimitiveModel):
    """A vector is a value of LLVM that consists of its parts."""

    def __init__(self, manager, vector):
        element = manager.lookup(vector.dtype).get_value_type()
        parts = [ir.VectorType(element, lanes) for lanes in vector.parts]
        super().__init__(manager, vector, ir.LiteralStructType(parts))


def _joined(builder, kind, parts):
    value = ir.Constant(kind, ir.Undefined)
    for index, part in enumerate(parts):
        value = builder.insert_value(value, part, index)
    return value


def _parts(builder, value):
    return [builder.extract_value(value, index) for index in range(len(value.type.elements))]


def _places(context, builder, array_type, arguments, vector):
    """Return pointers to the parts of a vector; an array and an index say where it begins."""
    array, start = arguments[:2]
    place = builder.gep(context.make_array(array_type)(context, builder, array).data, [start])
    places = []
    for kind in context.get_value_type(vector).elements:
        places.append(builder.bitcast(place, kind.as_pointer()))
        place = builder.gep(place, [ir.Constant(start.type, kind.count)])
    return places


@operation
def load(typing_context, array, start, lanes):
    """The vector of the numbers of a flat array from index `start` on."""
    vector = Vector(array.dtype, lanes.literal_value)

    def generate(context, builder, signature, arguments):
        places = _places(context, builder, array, arguments, vector)
        parts = [builder.load(place, align=array.dtype.bitwidth // 8) for place in places]
        return _joined(builder, context.get_value_type(vector), parts)

    return vector(array, types.intp, lanes), generate


@operation
def store(typing_context, array, start, vector):
    """Write a vector to a flat array, beginning at `start`."""

    def generate(context, builder, signature, arguments):
        places = _places(context, builder, array, arguments, vector)
        for part, place in zip(_parts(builder, arguments[2]), places, strict=True):
            builder.store(part, place, align=array.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.intp, vector), generate


@operation
def zeros(typing_context, array, lanes):
    """A vector of zeros of the type of an array."""
    vector = Vector(array.dtype, lanes.literal_value)

    def generate(context, builder, signature, arguments):
        return context.get_constant_null(vector)

    return vector(array, lanes), generate


def _spread(builder, kind, number):
    """Return a number in all lanes."""
    index = ir.IntType(32)
    parts = []
    for part in kind.elements:
        undefined, lanes = ir.Constant(part, ir.Undefined), ir.VectorType(index, part.count)
        first = builder.insert_element(undefined, number, ir.Constant(index, 0))
        parts.append(builder.shuffle_vector(first, undefined, ir.Constant(lanes, None)))
    return _joined(builder, kind, parts)


def _by_parts(context, builder, signature, arguments, function):
    """Return the vector whose parts a function makes of the parts of two arguments."""
    kind = context.get_value_type(signature.return_type)
    pair = [value if value.type == kind else _spread(builder, kind, value) for value in arguments]
    parts = zip(*(_parts(builder, value) for value in pair), strict=True)
    return _joined(builder, kind, [function(*part) for part in parts])


def _typed_pair(args):
    """Return the signature for two vectors, or a vector and a number of its type."""
    vectors = [kind for kind in args if isinstance(kind, Vector)]
    if not vectors or not all(
        kind == vectors[0] or isinstance(kind, types.Number) for kind in args
    ):
        return None
    vector = vectors[0]
    return signature(vector, *(k if k == vector else vector.dtype for k in args))


def _define(function, instruction):
    @infer_global(function)
    class Operation(AbstractTemplate):
        def generic(self, args, kws):
            return _typed_pair(args) if len(args) == 2 else None

    def generate(context, builder, signature, arguments):
        function = getattr(builder, instruction)
        return _by_parts(context, builder, signature, arguments, function)

    for kinds in ((Vector, Vector), (Vector, types.Number), (types.Number, Vector)):
        lower_builtin(function, *kinds)(generate)


for _function, _instruction in (
    (operator.add, "add"),
    (operator.iadd, "add"),
    (operator.sub, "sub"),
    (operator.isub, "sub"),
    (operator.mul, "mul"),
    (operator.rshift, "ashr"),
    (operator.lshift, "shl"),
):
    _define(_function, _instruction)


def _extreme(relation):
    @intrinsic
    def extreme(typing_context, vector, other):
        def generate(context, builder, signature, arguments):
            def choose(a, b):
                return builder.select(builder.icmp_signed(relation, a, b), a, b)

            return _by_parts(context, builder, signature, arguments, choose)

        return _typed_pair((vector, other)), generate

    return extreme


#: The larger and the smaller of two vectors, or of a vector and a number, lane by lane.
larger, smaller = _extreme(">"), _extreme("<")


@operation
def nonzero(typing_context, vector):
    """An integer whose bits, from the lowest on, say which of up to 64 lanes are not zero."""

    def generate(context, builder, signature, arguments):
        word, offset = ir.IntType(64), 0
        all_bits = ir.Constant(word, 0)
        compare = (
            builder.fcmp_unordered if isinstance(vector.dtype, types.Float) else builder.icmp_signed
        )
        for part in _parts(builder, arguments[0]):
            found = compare("!=", part, ir.Constant(part.type, None))
            bits = builder.bitcast(found, ir.IntType(part.type.count))
            bits = builder.zext(bits, word) if part.type.count < word.width else bits
            all_bits = builder.or_(all_bits, builder.shl(bits, ir.Constant(word, offset)))
            offset += part.type.count
        return all_bits

    return types.int64(vector), generate


@operation
def lowest(typing_context, bits):
    """The place of the lowest bit that is set in `bits`; 64 if none is."""

    def generate(context, builder, signature, arguments):
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 0))

    return types.int64(types.int64), generate


@operation
def number_of_bits(typing_context, bits):
    """How many bits are set in `bits`."""

    def generate(context, builder, signature, arguments):
        return builder.ctpop(arguments[0])

    return types.int64(types.int64), generate


@operation
def shifted_right(typing_context, value, bits):
    """An integer >> bits in its own type, which Numba's operator widens to 64 bits."""

    def generate(context, builder, signature, arguments):
        number, places = arguments
        return builder.ashr(number, context.cast(builder, places, bits, value))

    return value(value, bits), generate


@operation
def in_type_of(typing_context, array, vector):
    """A vector of integers as numbers of the type of an array; what does not fit wraps."""
    converted = Vector(array.dtype, vector.lanes)
    is_wider = array.dtype.bitwidth > vector.dtype.bitwidth

    def generate(context, builder, signature, arguments):
        kind = context.get_value_type(converted)
        parts = _parts(builder, arguments[1])
        if array.dtype.bitwidth != vector.dtype.bitwidth:
            convert = builder.sext if is_wider else builder.trunc
            parts = [convert(*part) for part in zip(parts, kind.elements, strict=True)]
        return _joined(builder, kind, parts)

    return converted(array, vector), generate


@operation
def sum_of_lanes(typing_context, vector):
    """The sum of a vector of integers, in its own type."""

    def generate(context, builder, signature, arguments):
        total = context.get_constant(vector.dtype, 0)
        for part in _parts(builder, arguments[0]):
            suffix = f"v{part.type.count}i{vector.dtype.bitwidth}"
            takes = ir.FunctionType(part.type.element, [part.type])
            reduce = builder.module.declare_intrinsic(f"llvm.vector.reduce.add.{suffix}", (), takes)
            total = builder.add(total, builder.call(reduce, [part]))
        return total

    return vector.dtype(vector), generate
