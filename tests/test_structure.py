"""The rules of the house: data flows one way, and no module imports from a floor above its own."""

from graphlib import TopologicalSorter

from tests.structure import FLOORS, ROOT, arrows, imports, modules, reached, room

RUN_SIDE = ("settings", "registry", "plan", "records", "preflight", "execute", "training",
            "evaluation", "networks", "profiling", "foreign", "data", "figures")  # fmt: skip


def test_no_module_imports_in_a_circle():
    """Imports inside functions and for types count."""
    graph = {module: imports(module) & modules().keys() for module in modules()}
    assert list(TopologicalSorter(graph).static_order())  # raises CycleError with the circle


def test_no_arrow_runs_up():
    place = {name: floor for floor, names in enumerate(FLOORS) for name in names}
    assert {room(module) for module in modules()} == set(place), "a room without a floor"
    wrong = [
        f"{module} imports {other}"
        for module, other in arrows()
        if room(module) != room(other) and place[room(module)] >= place[room(other)]
    ]
    assert not wrong


def test_the_run_side_never_imports_the_report():
    for name in RUN_SIDE:
        assert not [m for m in reached(f"benchmark.{name}") if room(m) == "benchmark.report"], name


def test_the_report_never_imports_torch():
    assert not {"torch", "timm", "torchvision"} & reached("benchmark.report")
    assert not {"detectors", "losses", "benchmark.execute"} & set(
        map(room, reached("benchmark.report"))
    )


def test_few_modules_lie_loose():
    assert len(list((ROOT / "benchmark").glob("*.py"))) <= 8
