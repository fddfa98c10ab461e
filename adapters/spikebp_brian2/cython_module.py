"""Compiling the code of a group's parts for Brian2's target `cython`, in one or two modules.

Brian2 compiles a module for each code object, and the names of its objects are part of the source.
A network of three layers takes some thirty modules and a minute or more, and a network of another
name takes all of that again. Here the code objects of a group are compiled together: names of
objects are replaced by numbered ones, equal sources are compiled once, and sources that need the
same declarations share a module. So any network of the same kind finds its modules in Brian2's
cache, whatever its name, its sizes and its depth.

Code that uses functions of the user's (a TimedArray, say) gets a module of its own, since such
functions may share a name without being the same.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from operator import methodcaller
from types import SimpleNamespace
from typing import Any, ClassVar, Final

from brian2.codegen.runtime.cython_rt import CythonCodeObject
from brian2.codegen.runtime.cython_rt.extension_manager import cython_extension_manager
from brian2.core.functions import Function
from brian2.core.variables import ArrayVariable
from brian2.utils.stringtools import deindent

from spikebp_brian2.functions import FUNCTIONS
from spikebp_brian2.presented_samples import TABLES
from spikebp_brian2.tables import TableFunction, cython_code
from spikebp_plugins.common.notice import announced

#: The lines at which Brian2's templates divide a source into parts.
SUPPORT: Final = "# support code"
TEMPLATE_SUPPORT: Final = "# template-specific support code"
MAIN: Final = "def main(_namespace):"

#: An array whose type Cython checks in each call. Brian2 has made it of that type.
CHECKED_ARRAY: Final = re.compile(r"_numpy\.ndarray\[[^\]]*\](?= _buf)")
WORD: Final = re.compile(r"\w+")
#: A line that takes a name from the namespace of a code object, whether it is used or not.
LOAD: Final = re.compile(r" *(?:cdef size_t )?(\w+) = (?:len\()?_namespace\[['\"]\w+['\"]\]\)?")

#: The methods that a pathway calls before a run and in each step, by block. Brian2 would compile
#: two modules for these calls.
CALLS: Final = {"before_run": methodcaller("initialise_queue"), "run": methodcaller("push_spikes")}

#: A function that takes the namespace of a code object.
Main = Callable[[dict[str, Any]], Any]


class CodeBlock:
    """A block of a code object; all blocks are compiled together when the first of them runs.

    Parameters
    ----------
    module : SharedModule
        The module that compiles the block.
    source : str
        The source of a Cython module with a function `main`.
    declarations : str or None
        The declarations of its template; None if the block has to be compiled alone.
    """

    def __init__(self, module: SharedModule, source: str, declarations: str | None) -> None:
        self._module = module
        self.source, self.declarations = source, declarations
        #: Called by Brian2 with the namespace; replaced by the compiled function.
        self.main: Main = self._compile_and_run

    def _compile_and_run(self, namespace: dict[str, Any]) -> Any:
        self._module.compile()
        return self.main(namespace)


class SharedModule:
    """Compiles the blocks of all code objects of its class.

    Attributes
    ----------
    code_object_class : type
        The class of the code objects that are compiled together.
    """

    def __init__(self) -> None:
        self._waiting: list[tuple[CodeBlock, dict[str, Any]]] = []
        self.code_object_class = type(
            "GroupCodeObject", (NamelessCodeObject,), {"module": self, "__module__": __name__}
        )

    def block(self, source: str, declarations: str | None, arguments: dict[str, Any]) -> CodeBlock:
        """Return a block to be compiled later, with `arguments` for the compiler."""
        block = CodeBlock(self, source, declarations)
        self._waiting.append((block, arguments))
        return block

    def compile(self) -> None:
        """Compile all waiting blocks, or find them in Brian2's cache."""
        waiting = self._waiting
        together: dict[str, dict[str, dict[str, Any]]] = {}
        with announced((__name__, "compile")):
            for block, arguments in waiting:
                if block.declarations is None:
                    block.main = _compiled(block.source, arguments).main
                else:
                    together.setdefault(block.declarations, {})[block.source] = arguments
            compiled = {}
            for declarations, found in together.items():
                sources = sorted(found)
                module = _compiled(_merged(declarations, sources), found[sources[0]])
                for number, source in enumerate(sources):
                    compiled[source] = getattr(module, f"main_{number}")
        for block, _ in waiting:
            if block.declarations is not None:
                block.main = compiled[block.source]
        # Cleared last: if an interrupt ends a compilation, the next call compiles all blocks again.
        self._waiting = []


class NamelessCodeObject(CythonCodeObject):  # type: ignore[misc]
    """A code object whose source does not depend on the names of its objects."""

    module: ClassVar[SharedModule]
    namespace: dict[str, Any]
    nonconstant_values: list[tuple[str, Callable[[], Any]]]

    def variables_to_namespace(self) -> None:
        """Collect the variables of the code, with array names that do not depend on the objects."""
        super().variables_to_namespace()
        arrays = [v for _, v in sorted(self.variables.items()) if isinstance(v, ArrayVariable)]
        names: dict[str, str] = {}
        for variable in arrays:
            # A monitor names the array of a variable that grows, and what it lies in.
            for access_data in (True, False):
                name = self.device.get_array_name(variable, access_data)
                names.setdefault(name, f"_array_{len(names)}")
        # Longest names first, since a name may begin with another. In the code a name may have a
        # prefix and, in newer releases of Brian2, a suffix.
        found = "|".join(map(re.escape, sorted(names, key=len, reverse=True)))
        pattern = (
            re.compile(rf"(?:{found})(?=_capsule\b|_ptr\b|\b)") if found else re.compile(r"(?!)")
        )

        def renamed(text: str) -> str:
            return pattern.sub(lambda match: names[match[0]], text)

        self._renamed = renamed
        self.namespace = {renamed(name): value for name, value in self.namespace.items()}
        self.nonconstant_values = [(renamed(name), get) for name, get in self.nonconstant_values]

    def compile_block(self, block: str) -> CodeBlock | SimpleNamespace | None:
        """Return a block that will be compiled with the others."""
        code = getattr(self.code, block, "").strip()
        if not code or "EMPTY_CODE_BLOCK" in code:
            return None
        if self.template_name == "synapses_push_spikes":
            call = CALLS[block]
            return SimpleNamespace(main=lambda namespace: call(namespace["_owner"]))
        arguments = {
            "define_macros": self.define_macros,
            "libraries": self.libraries,
            "extra_compile_args": self.extra_compile_args,
            "extra_link_args": self.extra_link_args,
            "include_dirs": self.include_dirs,
            "library_dirs": self.library_dirs,
            "runtime_library_dirs": self.runtime_library_dirs,
            "compiler": self.compiler,
            "sources": self.sources,
            "owner_name": f"{self.owner.name}_{self.template_name}",
        }
        source = _without_loads(self._renamed(deindent(code)))
        return self.module.block(source, self._declarations(source), arguments)

    def _declarations(self, source: str) -> str | None:
        functions = [v for v in self.variables.values() if isinstance(v, Function)]
        ours = FUNCTIONS.values()
        foreign = [f for f in functions if f not in ours and not isinstance(f, TableFunction)]
        if any(f.implementations[self].get_code(self.owner) is not None for f in foreign):
            return None
        if [source.count(mark) for mark in (SUPPORT, MAIN)] != [1, 1]:
            return None
        return source.partition(MAIN)[0].partition(TEMPLATE_SUPPORT)[2].strip()


def _without_loads(source: str) -> str:
    """Return a source that takes no name that it does not use, and checks no type of an array.

    Both are a quarter of the time of a compilation, and a tenth of that of a step.
    """
    lines = CHECKED_ARRAY.sub("_numpy.ndarray", source).splitlines()
    used = Counter(word for line in lines for word in set(WORD.findall(line)))
    loads = (LOAD.fullmatch(line) for line in lines)
    return "\n".join(
        line for line, load in zip(lines, loads, strict=True) if load is None or used[load[1]] > 1
    )


def _merged(declarations: str, sources: list[str]) -> str:
    """Merge sources with a `main` each into one with functions ``main_0``, ``main_1``, ..."""
    head = sources[0].partition(SUPPORT)[0]
    support = [
        deindent(function.implementations[CythonCodeObject].get_code(None))
        for function in FUNCTIONS.values()
    ]
    support += map(cython_code, TABLES)
    functions = [
        f"def main_{number}(_namespace):{source.partition(MAIN)[2]}"
        for number, source in enumerate(sources)
    ]
    return "\n".join([head, *support, declarations, *functions])


def _compiled(source: str, arguments: dict[str, Any]) -> Any:
    module = cython_extension_manager.create_extension(source, **arguments)
    if module is None:
        raise RuntimeError("Cython could not compile the step rules; it has printed why")
    return module
