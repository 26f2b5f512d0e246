"""Dry runs: what fits, what would fit, and what it costs."""

import dataclasses
import re

import jax
import pytest

from jaxkd.recipes.dskd_cross_attention import DSKDCrossAttention
from jaxkd.recipes.dskdv2_eta import DSKDv2ETA
from jaxkd.recipes.feature_kd import FeatureKD
from jaxkd.recipes.on_policy import OnPolicy
from jaxkd.report.cells import duration
from jaxkd.sharding import MeshShape, devices, targets
from jaxkd.sharding.targets import GIB, Target
from jaxkd.study import Study
from jaxkd.study.plans import UTILISATION, check_target, print_plans, summary, training_seconds
from jaxkd.training.planning.less_memory import advice, options
from jaxkd.training.stage import Plan


@dataclasses.dataclass(frozen=True, kw_only=True)
class Processors(Target):
    """Devices of this machine in the place of an accelerator."""

    def devices(self):
        return jax.devices()[: self.count]


@pytest.fixture
def target(monkeypatch):
    """A function that makes a target of two devices with the given memory; returns its name."""

    def make(memory):
        made = Processors(name="two", count=2, memory=memory, bfloat16=2e6, float32=1e6)
        monkeypatch.setitem(targets.TARGETS, "two", made)
        return "two"

    return make


def study(*stages, **changes):
    return Study(name="tiny", title="", description="", stages=stages, **changes)


@pytest.mark.parametrize("verbose", [False, True])
def test_a_dry_run_prints_plans_and_configs_if_asked(tiny, tmp_path, capsys, verbose):
    print_plans(study(tiny.evaluate()), tmp_path / "run", verbose=verbose)
    printed = capsys.readouterr().out
    assert printed.startswith("Planned for the devices at hand: 8 x cpu, ")
    assert re.search(r"^teacher +- +- +-$", printed, re.M)
    assert "=== teacher\nEvaluate\n" in printed
    assert ('"limit": null' in printed) == verbose
    assert not list(tmp_path.iterdir())


def test_a_summary_has_memory_time_and_disk_of_all_seeds(tiny, tmp_path):
    train, cache = tiny.train(tiny.sft()), tiny.cache()
    plans = {
        train.name: Plan(description="", memory=0.5 * GIB, flops=9e9, devices=2),
        cache.name: Plan(description=""),
    }
    two = Processors(name="two", count=2, memory=GIB, bfloat16=2e6, float32=1e6)
    with devices.planned(two.devices()):
        head, table, notes = summary(study(train, cache, seeds=(0, 1, 2)), tmp_path, [train, cache], plans, two).split(
            "\n\n"
        )
    assert head == "Planned for two: 2 x cpu, 1.0 GiB a device."
    time = duration(3 * 9e9 / (2 * 1e6 * UTILISATION))
    rows = {line.split()[0]: re.split(r" {2,}", line) for line in table.splitlines()}
    assert rows["kd"][1:3] == ["0.5 GiB, fits", time]
    assert rows["teacher_cache"][1:3] == ["-", "-"]
    assert rows["in"][1] == time
    assert "40% of the peak" in notes


def test_what_does_not_fit_is_answered_with_options_that_do(tiny, tmp_path, capsys, target):
    train = tiny.train(tiny.sft(), mesh=MeshShape())
    with devices.planned(jax.devices()[:2]):
        own = train.plan().memory
        flags, memory = next(
            (flags, memory) for flags, stage in options(train) if (memory := stage.plan().memory) < own
        )
    print_plans(study(train), tmp_path, target=target(memory))
    printed = capsys.readouterr().out
    assert ", does not fit" in printed
    assert f"\nkd fits with {flags}: {memory / GIB:.1f} GiB.\n" in printed


def test_what_fits_with_no_option_is_told_how_far_they_go(tiny):
    rows = tiny.text.rows
    last = tiny.train(tiny.sft(remat=True), mesh=MeshShape(data=1, fsdp=1), accumulation=rows)
    with devices.planned(jax.devices()[:1]):
        tried = advice(last, usable=1.0)
        assert re.fullmatch(
            r"kd does not fit: with --kd\.precision bfloat16 it needs [\d.]+ GiB\. Train adapters \(lora\), or take "
            r"more or larger devices\.",
            tried,
        )
        assert "no option that lowers" in advice(dataclasses.replace(last, precision="bfloat16"), usable=1.0)


def test_options_that_lower_memory_leave_the_result_as_it_is_before_they_change_it(tiny):
    found = list(options(tiny.train(mesh=MeshShape(data=2))))
    flags = ["--kd.mesh.data 1 --kd.mesh.fsdp -1"]
    flags.append(f"{flags[-1]} --kd.recipe.remat")
    assert [one for one, _ in found][:2] == flags
    assert all(re.fullmatch(rf"{flags[-1]} --kd\.accumulation \d+", one) for one, _ in found[2:-2])
    assert found[-1][0].endswith("--kd.precision bfloat16 --kd.recipe.teacher.quantization int8")
    for _, stage in found:
        stage.validate()
    assert found[-1][1].recipe.remat


def test_the_time_is_that_of_the_peak_of_the_precision():
    two = Processors(name="two", count=2, memory=1.0, bfloat16=4e12, float32=1e12)
    plan = Plan(description="", flops=8e15, devices=2)
    assert training_seconds(plan, two) == pytest.approx(8e15 / (2 * 1e12 * UTILISATION))
    assert training_seconds(dataclasses.replace(plan, bfloat16=True), two) == pytest.approx(1000 / UTILISATION)
    assert training_seconds(plan, None) == 0


def test_a_target_needs_a_dry_run():
    check_target(None, dry_run=False)
    check_target("v5e-8", dry_run=True)
    with pytest.raises(ValueError, match="target must come with --dry-run, got --target v5e-8 alone"):
        check_target("v5e-8", dry_run=False)
    with pytest.raises(ValueError, match="target must be one of"):
        check_target("v5e8", dry_run=True)


@pytest.mark.targets
@pytest.mark.parametrize(
    ("method", "name"),
    [
        *((method, "h100-80gb") for method in ("DSKD", "DSKDv2", "DSKDCrossAttention", "FeatureKD", "OnPolicy")),
        *((method, "v5e-4") for method in ("LogitKD", "DSKDv2ETA")),
    ],
)
def test_recipes_are_planned_for_accelerators(tiny, method, name):
    """Nothing that a plan traces is computed: the devices do not exist."""
    found = targets.find(name)
    recipe = {
        "LogitKD": tiny.logit_kd,
        "DSKD": tiny.dskd,
        "DSKDv2": tiny.dskdv2,
        "DSKDv2ETA": lambda: tiny.cross(DSKDv2ETA),
        "DSKDCrossAttention": lambda: tiny.cross(DSKDCrossAttention),
        "FeatureKD": lambda: FeatureKD(student=tiny.narrow, teacher=tiny.teacher, data=tiny.text),
        "OnPolicy": lambda: OnPolicy(recipe=tiny.logit_kd(), max_new_tokens=4),
    }[method]()
    with devices.planned(found.devices()):
        plan = tiny.train(recipe, mesh=MeshShape()).plan()
    assert plan.devices == found.count
    assert 0 < plan.memory < GIB
    assert plan.flops > 0
