"""The functions that the step rules use in Brian2, in Python and in C, against the core."""

import ctypes
import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("brian2", reason="Brian2 is not installed")

from spikebp_brian2 import functions
from spikebp_plugins.rules.quantization import rectified, signed


def values():
    random = np.random.RandomState(0)
    magnitudes = 2.0 ** random.uniform(-12, 45, 2000)
    dyadic = np.rint(random.uniform(-1, 1, 2000) * magnitudes * 256) / 256
    return np.concatenate([dyadic, np.arange(-8, 9) / 2, [0.0, -0.0, 2.0**50 + 0.5]])


@pytest.fixture(scope="module")
def compiled(tmp_path_factory):
    """The C functions as a library, compiled with the flags that Brian2 uses."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("needs a C compiler")
    folder = tmp_path_factory.mktemp("functions")
    codes = dict.fromkeys(
        function.implementations["cpp"].get_code(None) for function in functions.FUNCTIONS.values()
    )
    names = [function.implementations["cpp"].name for function in functions.FUNCTIONS.values()]
    counts = [len(function._arg_units) for function in functions.FUNCTIONS.values()]
    exported = [
        f"double exported_{name}({', '.join(f'double a{k}' for k in range(n))}) "
        f"{{ return {name}({', '.join(f'a{k}' for k in range(n))}); }}"
        for name, n in zip(names, counts, strict=True)
    ]
    source = folder / "functions.c"
    source.write_text("\n".join(["#include <math.h>", *codes, *exported]))
    flags = ["-O3", "-ffast-math", "-fno-finite-math-only", "-march=native", "-fPIC", "-c"]
    compilation, library = folder / "functions.o", folder / "functions.so"
    subprocess.run([compiler, *flags, str(source), "-o", str(compilation)], check=True)
    # Linked without -ffast-math, which would switch off subnormal numbers in this process.
    link = [compiler, "-shared", str(compilation), "-o", str(library), "-lm"]
    subprocess.run(link, check=True)
    loaded = ctypes.CDLL(str(library))
    found = {}
    for key, name, n in zip(functions.FUNCTIONS, names, counts, strict=True):
        function = getattr(loaded, f"exported_{name}")
        function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * n
        found[key] = function
    return found


def python(name):
    return functions.FUNCTIONS[name].pyfunc


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize(
    ("name", "rule"), [("signed_spikes", signed), ("rectified_spikes", rectified)]
)
def test_quantizers_are_those_of_the_core(compiled, name, rule, binary):
    expected = rule(values(), binary)[0]
    assert np.array_equal(python(name)(values(), float(binary)), expected)
    assert [compiled[name](v, float(binary)) for v in values()] == list(expected)


def test_rounding_is_to_the_nearest_even_number(compiled):
    x = np.concatenate([values() / 7, (np.arange(-8, 9) + 0.5) / 4096])
    expected = np.rint(x * 4096) / 4096
    assert np.array_equal(python("rounded")(x, 4096.0), expected)
    assert [compiled["rounded"](v, 4096.0) for v in x] == list(expected)


@pytest.mark.parametrize("v", [-4.0, 4.0, np.inf, -np.inf, np.nan, 1e300])
def test_what_is_outside(compiled, v):
    assert python("outside")(v, 4.0) == compiled["outside"](v, 4.0) == 1.0


@pytest.mark.parametrize("v", [0.0, -3.999, 3.999])
def test_what_is_inside(compiled, v):
    assert python("outside")(v, 4.0) == compiled["outside"](v, 4.0) == 0.0


def test_larger_returns_the_larger_of_two(compiled):
    assert python("larger")(1.0, 2.0) == compiled["larger"](1.0, 2.0) == 2.0
    assert python("larger")(2.0, 1.0) == compiled["larger"](2.0, 1.0) == 2.0
