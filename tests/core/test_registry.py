"""Back ends: found by entry points alone, loaded only when one is asked for."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from types import ModuleType

import pytest

from spikebp_plugins import Simulator, SpikingMLP, UnsupportedError, available_backends
from spikebp_plugins.backends import Backend, get_backend, parse_backend
from spikebp_plugins.backends.reference import ReferenceBackend
from spikebp_plugins.backends.registry import GROUP
from spikebp_plugins.engine.backend import EngineBackend

NET = SpikingMLP.paper((3, 2))


class Pretender(ReferenceBackend):
    """A back end with options, as another distribution might offer it."""

    options = {"target": ("fast", "slow"), "level": (1, 2)}  # noqa: RUF012
    main_option = "target"
    choices = Backend.choices
    made_with = None
    closed = 0

    def __init__(self, net, state, **options):
        super().__init__(net, state)
        type(self).made_with = options

    @classmethod
    def unsupported(cls, net, **options):
        if net.spikes == "binary" and options["target"] == "slow":
            return "slow has no binary spikes"
        return None

    def close(self):
        type(self).closed += 1


@pytest.fixture
def plugins(monkeypatch):
    """Install entry points of another distribution in addition to those of the core."""
    module = ModuleType("spikebp_pretender")
    module.Pretender = Pretender
    module.function = print
    monkeypatch.setitem(sys.modules, module.__name__, module)
    points = [
        *available_backends().values(),
        EntryPoint("pretender", "spikebp_pretender:Pretender", GROUP),
        EntryPoint("function", "spikebp_pretender:function", GROUP),
        EntryPoint("integer", "builtins:int", GROUP),
        EntryPoint("missing", "a_package_that_nobody_has:Backend", GROUP),
    ]

    def entry_points(*, group):
        assert group == GROUP
        return list(points)

    monkeypatch.setattr("spikebp_plugins.backends.registry.entry_points", entry_points)
    monkeypatch.setattr(Pretender, "made_with", None)
    monkeypatch.setattr(Pretender, "closed", 0)


def test_the_core_offers_two_back_ends():
    assert {"reference", "compiled"} <= set(available_backends())
    assert list(available_backends()) == sorted(available_backends())
    assert get_backend("reference") is ReferenceBackend
    assert get_backend("compiled") is EngineBackend


@pytest.mark.parametrize("name", ["brain2", "", "Reference", "reference "])
def test_an_unknown_back_end_names_those_that_are_installed(name):
    with pytest.raises(ValueError, match=r"^backend must be one of .*; got ") as caught:
        get_backend(name)
    message = str(caught.value)
    assert "'compiled'" in message
    assert "'reference'" in message
    assert message.endswith(f"got {name!r}")
    with pytest.raises(ValueError, match=r"^backend must be one of .*; got "):
        Simulator(NET, backend=name)


def test_another_distribution_can_add_a_back_end(plugins):
    assert "pretender" in available_backends()
    assert get_backend("pretender") is Pretender
    assert issubclass(Pretender, Backend)
    with Simulator(NET, backend="pretender") as sim:
        assert sim.backend == "pretender"
        assert sim.predict([[1, 2, 3]]).shape == (1, 2)
    assert Pretender.closed == 1


def test_a_package_that_is_not_installed_is_an_import_error(plugins):
    with pytest.raises(ImportError, match="a_package_that_nobody_has"):
        get_backend("missing")
    with pytest.raises(ImportError, match="a_package_that_nobody_has"):
        Simulator(NET, backend="missing")


def test_a_broken_back_end_hides_no_other(plugins):
    assert {"missing", "integer", "reference", "pretender"} <= set(available_backends())
    assert get_backend("reference") is ReferenceBackend


@pytest.mark.parametrize("name", ["function", "integer"])
def test_an_entry_point_that_is_no_back_end_is_refused(plugins, name):
    message = f"back end '{name}' must be a subclass of Backend; got <"
    with pytest.raises(TypeError, match=message):
        get_backend(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("compiled", ("compiled", {})),
        ("no such name", ("no such name", {})),
        ("pretender:slow", ("pretender", {"target": "slow"})),
        ("pretender:target=slow", ("pretender", {"target": "slow"})),
        ("pretender:target=slow,level=2", ("pretender", {"target": "slow", "level": "2"})),
        ("pretender:slow,level=2", ("pretender", {"target": "slow", "level": "2"})),
        ("unknown:option=a=b", ("unknown", {"option": "a=b"})),
        ("unknown:option=", ("unknown", {"option": ""})),
    ],
)
def test_the_forms_of_a_back_end_in_one_word(plugins, text, expected):
    assert parse_backend(text) == expected


@pytest.mark.parametrize("text", [5, b"compiled", ReferenceBackend], ids=repr)
def test_a_back_end_is_a_name(text):
    with pytest.raises(ValueError, match=r"^backend must be a name; got "):
        parse_backend(text)
    with pytest.raises(ValueError, match=r"^backend must be a name; got "):
        Simulator(NET, backend=text)


@pytest.mark.parametrize("text", ["reference:fast", "compiled:", "compiled:,"])
def test_a_back_end_without_a_main_option_takes_no_bare_word(text):
    name = text.partition(":")[0]
    message = f"^backend must be '{name}' or '{name}:option=value'; got '{text}'"
    with pytest.raises(ValueError, match=message):
        parse_backend(text)


def test_a_bare_word_needs_a_back_end_that_is_installed():
    with pytest.raises(ValueError, match=r"^backend must be one of .*; got 'unknown'"):
        parse_backend("unknown:fast")


@pytest.mark.parametrize(
    ("backend", "options", "expected"),
    [
        ("pretender", {}, {"target": "fast", "level": 1}),
        ("pretender:slow", {}, {"target": "slow", "level": 1}),
        ("pretender", {"target": "slow", "level": 2}, {"target": "slow", "level": 2}),
        ("pretender:slow", {"level": 2}, {"target": "slow", "level": 2}),
        ("pretender:slow", {"target": "fast"}, {"target": "fast", "level": 1}),
    ],
)
def test_options_reach_the_back_end_with_their_defaults(plugins, backend, options, expected):
    Simulator(NET, backend=backend, **options).close()
    assert Pretender.made_with == expected


def test_a_checkpoint_goes_on_with_options(plugins):
    checkpoint = Simulator(NET, backend="reference").checkpoint()
    checkpoint.simulate("pretender:slow", level=2).close()
    assert Pretender.made_with == {"target": "slow", "level": 2}


def test_an_unknown_option_names_those_there_are(plugins):
    message = "an option of back end 'pretender' must be one of 'target', 'level'; got 'tag'"
    with pytest.raises(ValueError, match=message):
        Simulator(NET, backend="pretender", tag="fixed_pt")
    with pytest.raises(ValueError, match=message):
        Simulator(NET, backend="pretender:tag=fixed_pt")


def test_a_back_end_without_options_says_so():
    message = "an option of back end 'reference' must be .*none; got 'target'"
    with pytest.raises(ValueError, match=message):
        Simulator(NET, backend="reference", target="fast")


@pytest.mark.parametrize("value", ["quick", "", None, 1])
def test_a_wrong_value_of_an_option_names_those_allowed(plugins, value):
    message = f"target of back end 'pretender' must be one of 'fast', 'slow'; got {value!r}"
    with pytest.raises(ValueError, match=message):
        Simulator(NET, backend="pretender", target=value)
    assert Pretender.made_with is None


def test_what_a_back_end_cannot_run_is_refused_with_the_reason(plugins):
    net = NET.replace(spikes="binary")
    Simulator(net, backend="pretender").close()
    message = "back end 'pretender' cannot run this network: slow has no binary spikes"
    with pytest.raises(UnsupportedError, match=message) as caught:
        Simulator(net, backend="pretender:slow")
    assert isinstance(caught.value, NotImplementedError)


HEAVY = ("sklearn", "matplotlib", "brian2", "lava", "pooch", "typer")


@pytest.mark.parametrize(
    "use",
    [
        "",
        "s.available_backends()",
        "s.Simulator(s.SpikingMLP.paper((1, 1)), 'reference').predict([[1]])",
    ],
    ids=["import", "list", "reference"],
)
def test_nothing_heavy_is_loaded_before_it_is_needed(use):
    found = f"print(*(m for m in {HEAVY} if m in sys.modules))"
    code = f"import sys, spikebp_plugins as s\n{use}\n{found}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("", "")
