"""What a run's first session chose stays for the run, and is told from what is settled."""

from pathlib import Path

from reelfit.errors import OutOfMemoryError
from reelfit.files import read_json, read_json_lines, write_json
from reelfit.memory.profile import Profile, TechniqueProfile, TracedPass, profile_values
from reelfit.runs import Run
from reelfit.stages.plans import PROFILES, RUNGS, given_up_by, plans_of, settle_rungs, shrink
from reelfit.stages.stage import Unit
from reelfit.stages.variants import MODELS
from reelfit.study import Study

MIB = 2**20
STUDY = Study.model_validate(
    {
        "videos": {"table": "videos.csv"},
        "models": ["naive_cnn"],
        "train": {"effective_batch": 2},
        "allow": ["fewer_frames"],
    }
)


def profile_of(activations_mib: int) -> Profile:
    traced = TracedPass(1, activations_mib * MIB, activations_mib * MIB)
    sizes = dict.fromkeys(
        ("weights", "gradients", "optimizer", "buffers", "libraries", "reserved", "sample"), 0
    )
    return Profile(
        device="cpu",
        device_bytes=2**35,
        frames=8,
        size=(64, 64),
        host_bytes=100 * MIB,
        base_bytes=100 * MIB,
        **{f"{name}_bytes": size for name, size in sizes.items()},
        techniques=(TechniqueProfile("plain", (traced,), ()),),
    )


def run_of(folder: Path) -> Run:
    """One network in three variants, of which a sample takes 900, 400 and 150 MiB in all."""
    folder.mkdir()
    variants = [
        {"frames": frames, "options": {}, "given_up": [f"{frames} of 8 frames"]}
        for frames in (8, 4, 2)
    ]
    write_json(folder / MODELS, {"naive_cnn": {"parameters": 1, "variants": variants}})
    profiles = [profile_values(profile_of(size)) for size in (800, 300, 50)]
    write_json(folder / PROFILES, {"naive_cnn": profiles})
    return Run(folder)


def settle(run: Run, host_mib: int) -> dict[str, int]:
    planned = plans_of(run, STUDY, host_bytes=host_mib * MIB, most_workers=1)
    settle_rungs(run, STUDY, planned)
    return planned.variants


def test_the_first_variant_that_fits_is_settled_and_told_once(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    assert settle(run, 500) == {"naive_cnn": 1}
    assert settle(run, 500) == {"naive_cnn": 1}
    assert given_up_by(run) == {"naive_cnn": ("4 of 8 frames",)}
    (told,) = read_json_lines(run.file("events.jsonl"))
    assert told["event"] == "shrunk"
    assert told["why"] == "one sample needs about 900.0 MiB of a budget of 500.0 MiB"


def test_neither_more_nor_less_memory_on_resuming_makes_it_another_model(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    settle(run, 500)
    assert settle(run, 5000) == {"naive_cnn": 1}
    planned = plans_of(run, STUDY, host_bytes=200 * MIB, most_workers=1)
    assert planned.variants == {"naive_cnn": 1}
    assert isinstance(planned.plans["naive_cnn"], OutOfMemoryError)
    assert read_json(run.file(RUNGS))["naive_cnn"]["variant"] == 1


def unit_of(variant: int) -> Unit:
    return Unit("train", "naive_cnn/fold_1", 1, {"model": "naive_cnn", "variant": variant})


def test_two_folds_that_fail_take_one_step_and_the_last_variant_is_the_end(tmp_path: Path) -> None:
    run = run_of(tmp_path / "run")
    settle(run, 5000)
    assert shrink(run, STUDY, unit_of(0), host_bytes=500 * MIB)
    assert shrink(run, STUDY, unit_of(0), host_bytes=500 * MIB)
    assert read_json(run.file(RUNGS))["naive_cnn"]["variant"] == 1
    assert shrink(run, STUDY, unit_of(1), host_bytes=500 * MIB)
    assert not shrink(run, STUDY, unit_of(2), host_bytes=500 * MIB)
    assert given_up_by(run) == {"naive_cnn": ("2 of 8 frames",)}
