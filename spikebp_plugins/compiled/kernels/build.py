"""How kernels are compiled: small functions become parts of the kernels that Python calls.

A kernel is written as many small functions. Numba makes a library of each, optimizes it, turns it
into machine code, and copies it into the libraries of its callers, where all of it is optimized
again: with functions that contain functions, most of the time goes into code that is thrown away.
Here small functions are not optimized. Only the outermost caller, an `entry`, which contains them
all, is optimized, and only once.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import _dynfunc  # type: ignore[attr-defined]
from numba.core.typed_passes import NativeLowering
from numba.extending import overload

from .cache import KernelCache


class PartLibrary(JITCodeLibrary):
    """The code of a function that is only a part of others, and so is not optimized by itself."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        """Link the functions that this one calls, without optimizing the result."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lowers a function to a `PartLibrary`, of which no machine code is made."""

    _name = "spikebp_part_lowering"

    def run_pass(self, state):
        """Lower the function, and register it for its callers."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # Numba registers a function by an object that Python could call. This one is never called.
        nothing = _dynfunc.make_function(
            lowered.fndesc.lookup_module(),
            lowered.fndesc.qualname,
            "part of other kernels",
            0,
            lowered.env,
            (state.library,),
        )
        state.targetctx.insert_user_function(nothing, lowered.fndesc, [state.library])
        state["cr"] = lowered._replace(cfunc=nothing)
        return True


class PartCompiler(Compiler):
    """Numba's compiler, with `PartLowering` in place of its own lowering."""

    def define_pipelines(self):
        """Return the pipelines of passes."""
        managers = super().define_pipelines()
        for manager in managers:
            manager.passes = [
                (PartLowering if own is NativeLowering else own, text)
                for own, text in manager.passes
            ]
            manager._finalized = False
            manager.finalize()
        return managers


_OF_PARTS: Final[Any] = {
    "_nrt": False,
    "no_cpython_wrapper": True,
    "no_cfunc_wrapper": True,
    "forceinline": True,
    "pipeline_class": PartCompiler,
}

#: The decorator of kernels that only other kernels call.
#:
#: Numba's count of references is off (``_nrt=False``), as in Numba's own sorting and string
#: routines: kernels allocate nothing and use slices only while their caller holds the arrays, but
#: counting references to every slice would take more time than the arithmetic.
#: Without that count a kernel may not return a slice, unless ``inline="always"`` copies it into its
#: callers before types are known, which takes long to compile.
#: Calls are inlined by force: a call would push several numbers for each slice that it passes on.
kernel: Any = partial(njit, **_OF_PARTS)

#: The decorator of functions that choose a kernel by the types of its arguments. What they return
#: is compiled as a kernel. With ``inline="always"`` instead, Numba would search the callers for
#: dead code, and take for that any element that they write of an array of a struct.
chosen: Any = partial(overload, jit_options=_OF_PARTS)

#: The decorator of kernels that other kernels call now and then: they are called, not inlined, so
#: that an entry that calls one in several places is not compiled with as many copies of it.
rare: Any = partial(kernel, forceinline=False)


def entry(function: Any) -> Any:
    """Return a kernel that Python calls, cached between processes if there is a cache folder.

    It has no wrapper for calls from C: to compile one would take a tenth of the whole time.
    """
    compiled: Any = partial(njit, _nrt=False, nogil=True, no_cfunc_wrapper=True)
    dispatcher = compiled(function)
    with suppress(OSError):  # without a cache folder it is compiled for this process alone
        dispatcher._cache = KernelCache(function)
    return dispatcher


def entered(entry_point: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function that calls the entry point of a compiled kernel.

    Whoever counts the memory of a model by following what its objects hold, as river does, stops at
    functions. An entry point would lead him to all of Numba, and to objects of it that are gone.
    """

    def enter(*arguments: Any) -> Any:
        return entry_point(*arguments)

    return enter
