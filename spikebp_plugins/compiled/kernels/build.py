"""How kernels are compiled: small ones become parts of those that Python calls.

A kernel is written as many small functions. Numba makes a library of each, optimizes it, turns it
into machine code, and copies it into the libraries of its callers, where all of it is optimized
again: with functions that contain functions, most of the time goes into code that is thrown away.
Here the small ones stay as they are written until the last caller, an `entry`, contains them all,
and is optimized once.
"""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any

from numba import njit
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.compiler_machinery import register_pass
from numba.core.cpu import _dynfunc  # type: ignore[attr-defined]
from numba.core.typed_passes import NativeLowering

from spikebp_plugins.compiled.kernels.cache import KernelCache


class PartLibrary(JITCodeLibrary):
    """The code of a function that is only ever a part of others, neither optimized nor run."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout

    def finalize(self):
        """Take in the functions that this one calls, and leave it at that."""
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True


@register_pass(mutates_CFG=True, analysis_only=False)
class PartLowering(NativeLowering):
    """Lowering to a library that no machine code is made of."""

    _name = "spikebp_part_lowering"

    def run_pass(self, state):
        """Lower the function, and register it for its callers."""
        state.library = PartLibrary(state.targetctx.codegen(), state.func_id.func_qualname)
        state.flags.no_compile = True
        super().run_pass(state)
        lowered = state["cr"]
        # Numba knows functions by what Python would call; this has no code, and nobody calls it.
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
    """Numba's passes, with the last one replaced."""

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


#: Kernels allocate nothing, and hold slices only while the arrays are held by their caller. Numba
#: would still count references to every slice, with atomic operations that take more time than
#: the arithmetic; its own sorting and string routines turn that off in the same way.
#: Without that count a kernel may not return a slice, unless ``inline="always"`` copies it into its
#: callers before types are known, which takes long.
#: Only other kernels call them, and inline them by force: a call with some forty arrays would push
#: hundreds of numbers.
kernel: Any = partial(
    njit,
    _nrt=False,
    no_cpython_wrapper=True,
    no_cfunc_wrapper=True,
    forceinline=True,
    pipeline_class=PartCompiler,
)


def entry(function: Any) -> Any:
    """Return a kernel that Python calls, kept between processes where there is a place for it.

    It has no wrapper for calls from C, which would take a tenth of the time to compile.
    """
    compiled: Any = partial(njit, _nrt=False, nogil=True, no_cfunc_wrapper=True)
    dispatcher = compiled(function)
    with suppress(OSError):  # without a place it is compiled for this process alone
        dispatcher._cache = KernelCache(function)
    return dispatcher
