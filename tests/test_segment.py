"""segment: from a folder of images and masks to a config, a run, an export and figures on other images."""

import shlex

import numpy as np
import pytest
from PIL import Image

from jaxkd import evaluate, export, segment, train
from jaxkd.data.images import BrainTissue, ImageFolder, Lesions, Nuclei
from jaxkd.recipes.segmentation_kd import SegmentationKD
from jaxkd.study.described import run as study_run
from jaxkd.training.stage_folder import read_evaluations
from jaxkd.vision import exported
from jaxkd.vision.segmentation import EGEUNet, MISSFormer, UNet, VFFMUNet
from tests.vision.tiny_images import Discs


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Discs in the layout of EGE-UNet."""
    folder = tmp_path_factory.mktemp("images")
    for split, name in (("train", "train"), ("validation", "val"), ("test", "test")):
        for number, one in enumerate(Discs(side=32, count=6).examples(split)):
            for kind, array, ending in (("images", one.image, ""), ("masks", 255 * one.target, "_segmentation")):
                (folder / name / kind).mkdir(parents=True, exist_ok=True)
                Image.fromarray(array).save(folder / name / kind / f"{split}{number}{ending}.png")
    return folder


def parsed(*arguments):
    import tyro

    return tyro.cli(segment.Command, args=arguments)


def described(folder, *more):
    network = ["--network", "unet", "--widths", "2", "4"]
    return ["--data", str(folder), *network, "--size", "16", "--steps", "3", "--rows", "8", *more]


@pytest.fixture(scope="module")
def study(folder, tmp_path_factory):
    """Three steps of a tiny network."""
    workdir = tmp_path_factory.mktemp("study")
    segment.main(described(folder, "--workdir", str(workdir)))
    return workdir


def test_the_config_is_the_study(folder, tmp_path, capsys, monkeypatch):
    config, ran = tmp_path / "configs/mine.py", []
    monkeypatch.setattr(study_run, "run_and_report", lambda study, workdir, command: ran.append((study, command)))
    arguments = described(folder, "--write-config", str(config), "--seeds", "0", "1")
    segment.main(arguments)
    assert capsys.readouterr().out == f"{config.read_text()}\n"
    ((made, command),) = ran
    assert made == train.load_study(config)("full")
    assert command == shlex.join(["python", "-m", "jaxkd.segment", *arguments])
    assert made.seeds == (0, 1)
    (stage,) = made.stages
    assert (stage.keep_best, stage.better) == ("dice", "higher")
    assert (stage.recipe.network, stage.recipe.data.path) == (UNet(widths=(2, 4)), str(folder))


def test_a_folder_becomes_a_model_that_is_exported_and_scores_the_same(folder, study, tmp_path, capsys):
    run = study / "supervised/0"
    expected = read_evaluations(run)["segmentation"].metrics["dice"]
    export.main(["--run", str(run), "--to", str(tmp_path / "model")])
    assert "for images of 16 x 16, read back equal" in capsys.readouterr().out
    for model in (run, tmp_path / "model"):
        evaluate.main(["--model", str(model), "--images", str(folder), "--size", "16"])
        assert f"segmentation/dice  {expected:.6g}\n" in capsys.readouterr().out
    evaluate.main(["--run", str(run)])
    assert f"segmentation/dice  {expected:.6g}\n" in capsys.readouterr().out
    assert (study / "report.html").is_file()
    with pytest.raises(SystemExit):
        export.main(["--run", str(run), "--to", str(tmp_path / "model")])
    assert exported.load_network(tmp_path / "model") == UNet(widths=(2, 4))


def test_a_teacher_adds_a_stage(folder, study):
    made = segment.study(parsed(*described(folder, "--teacher", str(study / "supervised/0"))))
    assert [stage.label for stage in made.stages] == ["supervised", "distilled"]
    assert made.comparisons == (("distilled", "supervised"),)
    recipe = made.stages[1].recipe
    assert isinstance(recipe, SegmentationKD)
    assert recipe.teachers[0].network == UNet(widths=(2, 4))
    recipe.validate()


def test_names_and_networks():
    for name, source in {
        "lesions": Lesions(side=64),
        "grey-matter": BrainTissue(tissue="grey", side=64),
        "white-matter": BrainTissue(tissue="white", side=64),
        "nuclei": Nuclei(side=64),
    }.items():
        assert segment.images(parsed("--data", name, "--size", "64")) == source
    for name, network in {
        "vffm-unet": VFFMUNet(),
        "unet": UNet(),
        "ege-unet": EGEUNet(),
        "missformer": MISSFormer(classes=1),
    }.items():
        assert segment.architecture(parsed("--data", "lesions", "--network", name)) == network
    with pytest.raises(ValueError, match="--widths must be left out for missformer"):
        segment.architecture(parsed("--data", "lesions", "--network", "missformer", "--widths", "8"))
    with pytest.raises(ValueError, match="images must be a folder or one of lesions, grey-matter, white-matter,"):
        segment.images(parsed("--data", "nothing"))


def test_a_folder_and_its_size(folder):
    assert segment.images(parsed("--data", str(folder), "--mask-threshold", "9", "--group-pattern", "(t)")) == (
        ImageFolder(path=str(folder), mask_threshold=9, group_pattern="(t)")
    )
    assert np.prod(segment.images(parsed(*described(folder))).size) == 256


def test_images_are_given_to_a_network(folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        evaluate.main(["--run", str(tmp_path), "--images", str(folder)])
    assert "--model must name the network that --images are given to, got --run" in capsys.readouterr().err
