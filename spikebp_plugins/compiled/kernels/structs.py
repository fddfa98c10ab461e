"""Structs: what kernels read through one pointer.

A kernel needs some fifty arrays and numbers. Handed over one by one they cost more time in each
call than a small network does, and make every function that passes them on long to compile. A
`Struct` writes down once where its arrays lie. Python hands over its address, and a kernel reads
the fields that it uses; a field may be another struct.

Numba's own ``structref`` counts references, which kernels do not: they hold nothing longer than
their caller does.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from hashlib import sha256
from threading import Lock
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np
from llvmlite import ir
from numba import types
from numba.core.imputils import lower_getattr_generic
from numba.core.typing.templates import AttributeTemplate, infer_getattr
from numba.extending import NativeValue, models, register_model, unbox
from numba.np.arrayobj import populate_array
from numba.np.numpy_support import from_dtype
from numpy.typing import NDArray

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:  # of typing from Python 3.11 on

    def dataclass_transform(**_):
        """Return a decorator that only tells type checkers what a base class does."""
        return lambda cls: cls


_WORD: Final = ir.IntType(64)


class StructType(types.Type):
    """The type of structs of one class whose fields have the same types.

    Parameters
    ----------
    name : str
        The name of the class.
    fields : tuple of (str, Type)
        The name and the type of each field.
    """

    def __init__(self, name: str, fields: tuple[tuple[str, Any], ...]) -> None:
        self.fields = dict(fields)
        self.places, words = {}, 0
        for field, kind in fields:
            self.places[field] = words
            words += 1 + kind.ndim if isinstance(kind, types.Array) else 1
        # A hash keeps the name short: Numba repeats it in the name of each function that takes it.
        super().__init__(f"{name}_{sha256(repr(fields).encode()).hexdigest()[:12]}")


#: The types met so far, and their places in this list by class and by what each field holds.
_types: list[StructType] = []
_places: dict[Any, int] = {}
_lock: Final = Lock()


@dataclass_transform(frozen_default=True, eq_default=False)
class Struct:
    """The base of structs: a subclass is a dataclass of arrays, numbers and structs.

    Arrays are contiguous, in the order of C. A struct keeps its arrays alive. Its fields never
    change; the contents of its arrays may.
    """

    #: The address of the words that describe the fields; the fields that are arrays, in order.
    address: ClassVar[int]
    arrays: ClassVar[tuple[NDArray[Any], ...]]
    _type: ClassVar[int]
    _names: ClassVar[tuple[str, ...]]

    def __init_subclass__(cls) -> None:
        made: Any = dataclass(frozen=True, eq=False)(cls)
        cls._names = tuple(field.name for field in fields(made))

    def __post_init__(self) -> None:
        words: list[int] = []
        kinds: list[Any] = []
        arrays: list[NDArray[Any]] = []
        for name in self._names:
            value = getattr(self, name)
            if isinstance(value, np.ndarray):
                if not value.flags.c_contiguous:
                    raise ValueError(f"{name} of a {type(self).__name__} must be contiguous")
                words += (value.__array_interface__["data"][0], *value.shape)
                kinds.append((value.dtype, value.ndim))
                arrays.append(value)
            elif isinstance(value, Struct):
                words.append(value.address)
                kinds.append(value._type)
            else:
                # What Python calls an integer, NumPy takes for one of 32 bits on some machines.
                number = np.asarray(value, np.int64 if type(value) is int else None)
                padded = number.tobytes().ljust(8, b"\0")
                words.append(int.from_bytes(padded, "little", signed=True))
                kinds.append((number.dtype, None))
        key, room = (type(self), *kinds), np.array(words, np.int64)
        place = _places.get(key)
        if place is None:
            named = zip(self._names, map(_type_of, kinds), strict=True)
            with _lock:
                place = _places.setdefault(key, len(_types))
                if place == len(_types):
                    _types.append(StructType(type(self).__name__, tuple(named)))
        # Written past the dataclass, which is frozen and has no fields for them.
        address = room.__array_interface__["data"][0]
        self.__dict__.update(_room=room, address=address, arrays=tuple(arrays), _type=place)

    @property
    def _numba_type_(self) -> StructType:
        # No struct holds its type, which holds much of Numba: river and others count the memory of
        # a model by following what its objects hold.
        return _types[self._type]

    def __reduce__(self) -> Any:
        # A copy would have arrays of its own but the address of the original, and its views would
        # be separate arrays.
        raise TypeError(f"a {type(self).__name__} cannot be copied or pickled")


def _type_of(kind: Any) -> Any:
    if isinstance(kind, int):
        return _types[kind]
    dtype, ndim = kind
    return from_dtype(dtype) if ndim is None else types.Array(from_dtype(dtype), ndim, "C")


@register_model(StructType)
class StructModel(models.OpaqueModel):
    """A struct is a pointer to words of 64 bits; those of an array are its address and shape."""


@unbox(StructType)
def unbox_struct(kind, struct, c):
    """Take the address of a struct."""
    # A name that is not interned would be a new string in each call, which Python's cache of
    # attributes does not know.
    text = c.context.insert_const_string(c.builder.module, "address")
    kind = ir.FunctionType(c.pyapi.pyobj, [c.pyapi.cstring])
    intern = c.pyapi._get_function(kind, "PyUnicode_InternFromString")
    name = c.builder.call(intern, [text])
    number = c.pyapi.object_getattr(struct, name)
    address = c.pyapi.long_as_voidptr(number)
    c.pyapi.decref(number)
    c.pyapi.decref(name)
    return NativeValue(address)


@infer_getattr
class StructAttributes(AttributeTemplate):
    """The types of the fields of structs."""

    key = StructType

    def generic_resolve(self, struct, name):  # type: ignore[override]
        """Return the type of a field."""
        return struct.fields.get(name)


@lower_getattr_generic(StructType)
def read_field(context, builder, struct, pointer, name):
    """Return a field of a struct."""
    kind, first = struct.fields[name], struct.places[name]
    place = builder.bitcast(pointer, _WORD.as_pointer())

    def word(index):
        read = builder.load(builder.gep(place, [ir.Constant(_WORD, first + index)]))
        # A struct does not change while a kernel runs, whatever is written through its arrays: a
        # loop reads a field once.
        read.set_metadata("invariant.load", builder.module.add_metadata([]))
        return read

    value = context.get_value_type(kind)
    if isinstance(kind, types.Array):
        array = context.make_array(kind)(context, builder)
        itemsize = ir.Constant(_WORD, context.get_abi_sizeof(context.get_data_type(kind.dtype)))
        shape, strides = [word(1 + axis) for axis in range(kind.ndim)], [itemsize]
        for length in reversed(shape[1:]):
            strides.insert(0, builder.mul(strides[0], length))
        data = builder.inttoptr(word(0), array.data.type)
        populate_array(array, data, shape, strides, itemsize, meminfo=None)
        return array._getvalue()
    if isinstance(kind, StructType):
        return builder.inttoptr(word(0), value)
    if isinstance(kind, types.Boolean):
        return builder.icmp_unsigned("!=", word(0), ir.Constant(_WORD, 0))
    bits = ir.IntType(kind.bitwidth)
    number = word(0) if bits == _WORD else builder.trunc(word(0), bits)
    return builder.bitcast(number, value)
