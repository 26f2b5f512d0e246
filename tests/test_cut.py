"""Cutting a model by the command: what is written, what is refused, and that importance is worth measuring."""

import json

import jax
import numpy as np
import pytest

from jaxkd import cut
from jaxkd.evals.language.reference_kl import reference_kl
from jaxkd.models import LanguageModel, Pretrained, surgery
from jaxkd.models.transformer import decoder
from jaxkd.sharding import MeshShape
from jaxkd.sharding.mesh import make


def test_a_shallower_and_narrower_model_is_written(tiny_folder, tiny_text, tmp_path, capsys):
    sizes = ["--layers", "1", "--mlp-width", "40", "--width", "32", "--limit", "4"]
    cut.main(["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--data", tiny_text.source.train, *sizes])
    whole, student = Pretrained(path=str(tiny_folder)), Pretrained(path=str(tmp_path / "out"))
    config = student.config()
    assert (config.depth, config.heads, config.mlp_width, config.width) == (1, 2, 40, 32)
    before, after = (decoder.parameter_count(one.config()) / 1e6 for one in (whole, student))
    assert f"{tmp_path / 'out'}: {after:,.1f} M parameters of {before:,.1f} M\n" in capsys.readouterr().out
    up, whole_up = (one.load()["blocks"]["mlp"]["up"]["kernel"] for one in (student, whole))
    assert up.shape == (1, 32, 40)
    assert np.isin(up, whole_up[1]).all()
    assert student.tokenizer()("the")["input_ids"] == whole.tokenizer()("the")["input_ids"]
    record = json.loads((tmp_path / "out" / "cut.json").read_text())
    assert record["source"] == whole.provenance()
    assert (record["layers"], record["width"], record["statistic"]) == ([1], 32, "root_mean_square")


def test_layers_alone_are_those_of_pretrained(tiny_folder, tmp_path):
    cut.main(["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--depth", "1"])
    expected = Pretrained(path=str(tiny_folder), layers=(0,))
    assert Pretrained(path=str(tmp_path / "out")).config() == expected.config()
    jax.tree.map(np.testing.assert_array_equal, Pretrained(path=str(tmp_path / "out")).load(), expected.load())


def test_another_tokenizer_brings_its_rows(tiny_folder, tmp_path, capsys):
    from transformers import PreTrainedTokenizerFast

    old = Pretrained(path=str(tiny_folder)).tokenizer()
    state = json.loads(old.backend_tokenizer.to_str())
    # The same tokens, the last merge first: all ids but the special ones move.
    vocabulary = state["model"]["vocab"]
    special = {token["content"] for token in state["added_tokens"]}
    names = [name for name in sorted(vocabulary, key=vocabulary.get) if name not in special]
    moved = {name: 3 + place for place, name in enumerate(reversed(names))}
    state["model"]["vocab"] = {name: index for name, index in vocabulary.items() if index < 3} | moved
    state["added_tokens"] = state["added_tokens"][:3]
    (tmp_path / "tokenizer.json").write_text(json.dumps(state))
    new = PreTrainedTokenizerFast(tokenizer_file=str(tmp_path / "tokenizer.json"), eos_token=old.eos_token)
    new.save_pretrained(tmp_path / "new")
    command = ["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--tokenizer", str(tmp_path / "new")]
    cut.main([*command, "--rows", "288"])
    assert "are tokens of the old vocabulary" in capsys.readouterr().out
    student, whole = Pretrained(path=str(tmp_path / "out")), Pretrained(path=str(tiny_folder))
    assert student.config().vocab_size == 288
    assert student.config().tokens == len(new)
    assert student.tokenizer().decode(student.tokenizer()("the he")["input_ids"]) == "the he"
    rows, whole_rows = student.load()["embedding"], whole.load()["embedding"]
    for name, index in moved.items():
        np.testing.assert_array_equal(rows[index], whole_rows[vocabulary[name]])


def test_tokens_that_the_text_does_without_go(tiny_folder, tmp_path, capsys):
    (tmp_path / "text.jsonl").write_text('{"prompt": "he", "response": "the he"}\n')
    command = ["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--data", str(tmp_path / "text.jsonl")]
    cut.main([*command, "--tokens", "used", "--rows", "288", "--depth", "1"])
    student, whole = Pretrained(path=str(tmp_path / "out")), Pretrained(path=str(tiny_folder))
    kept, before = student.tokenizer(), whole.tokenizer()
    assert len(kept) < len(before)
    assert f"Of {len(before)} tokens, {len(kept)} are kept: " in capsys.readouterr().out
    assert (student.config().vocab_size, student.config().tokens, student.config().depth) == (288, len(kept), 1)
    texts = ["the he", "hello"]
    assert [kept.decode(kept(text)["input_ids"]) for text in texts] == texts
    assert kept.tokenize("the he") == before.tokenize("the he")
    rows, whole_rows = student.load()["embedding"], whole.load()["embedding"]
    for piece, index in kept.get_vocab().items():
        np.testing.assert_array_equal(rows[index], whole_rows[before.convert_tokens_to_ids(piece)])
    assert json.loads((tmp_path / "out" / "cut.json").read_text())["tokens"] == "used"


@pytest.mark.parametrize("kind", ["byte_level", "sentencepiece"])
def test_a_tokenizer_is_trained_on_the_text(kind, tiny_folder, tmp_path, capsys):
    (tmp_path / "text.jsonl").write_text('{"prompt": "he, he", "response": "the the he"}\n')
    command = ["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--data", str(tmp_path / "text.jsonl")]
    cut.main([*command, "--tokens", kind, "--vocabulary-size", "264"])
    student = Pretrained(path=str(tmp_path / "out"))
    tokenizer = student.tokenizer()
    assert f"Of {len(tokenizer)} rows, " in capsys.readouterr().out
    assert student.config().vocab_size == len(tokenizer) <= 264
    assert tokenizer.decode(tokenizer("the he, hey")["input_ids"]) == "the he, hey"
    assert student.load()["embedding"].shape[0] == len(tokenizer)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--layers", "0", "--depth", "1"], "at most one of --layers and --depth must be given, got both."),
        (
            ["--tokens", "used", "--tokenizer", "other"],
            "at most one of --tokens used and --tokenizer must be given, got both.",
        ),
        (
            ["--tokens", "byte_level"],
            "vocabulary_size must be given with a tokenizer that is trained, and only then, got None with --tokens "
            "byte_level.",
        ),
        (["--vocabulary-size", "300"], "vocabulary_size must be given with a tokenizer that is trained, and only then"),
        (["--depth", "3"], "keep must be between 1 and depth, got 3 of 2 layers."),
        (["--layers", "2"], "layers must be between 0 and 1, got [2]: the model has 2."),
        (["--heads", "1"], "heads must be a multiple of 2, the query heads that read one key/value head, got 1."),
        (["--width", "65"], "width must be between 1 and the model's 64, got 65."),
    ],
)
def test_sizes_that_cannot_be_are_refused_before_anything_is_read(options, message, tiny_folder, tmp_path, capsys):
    with pytest.raises(SystemExit):
        cut.main(["--model", str(tiny_folder), "--to", str(tmp_path / "out"), *options])
    assert f"error: {message}" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_folder_with_contents_is_left_alone(tiny_folder, capsys):
    with pytest.raises(SystemExit):
        cut.main(["--model", str(tiny_folder), "--to", str(tiny_folder)])
    assert "error: to must be a new or an empty folder" in capsys.readouterr().err


@pytest.mark.slow
def test_transformers_loads_a_cut_model_with_equal_ids_and_logits(tiny_folder, tiny_text, tmp_path):
    torch = pytest.importorskip("torch")
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from tests.models import tiny as decoders

    sizes = ["--depth", "1", "--mlp-width", "40", "--width", "32", "--limit", "4", "--tokens", "used"]
    cut.main(["--model", str(tiny_folder), "--to", str(tmp_path / "out"), "--data", tiny_text.source.train, *sizes])
    student = Pretrained(path=str(tmp_path / "out"))
    ids = student.tokenizer()("the he, hello")["input_ids"]
    assert AutoTokenizer.from_pretrained(tmp_path / "out")("the he, hello")["input_ids"] == ids
    tokens = np.array([ids], np.int32)
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    expected = theirs(torch.tensor(tokens, dtype=torch.int64)).logits.detach().numpy()
    np.testing.assert_allclose(decoders.logits(student.config(), student.load(), tokens), expected, atol=1e-4)


@pytest.mark.slow
def test_what_matters_most_is_worth_more_than_what_comes_first(smollm2_folder):
    """SmolLM2 with three quarters of its units, chosen by importance, is nearer to the whole than a random choice."""
    from jaxkd.data import PackedText, StandardLibrary

    model = Pretrained(path=str(smollm2_folder))
    config, params, tokenizer = model.config(), model.load(), model.tokenizer()
    text = PackedText(source=StandardLibrary(), rows=1, length=256, targets=192, limit=3, overlong="truncate")
    random = np.random.default_rng(0)
    with jax.set_mesh(make(MeshShape(data=1), jax.devices()[:1])):
        whole = LanguageModel(config=config, params=params, tokenizer=tokenizer)
        measured = surgery.activation_importance(config, params, text.each_once("train", tokenizer))
        drawn = surgery.Importance(
            heads=random.random(measured.heads.shape),
            neurons=random.random(measured.neurons.shape),
            channels=random.random(measured.channels.shape),
        )
        held_out = text.each_once("test", tokenizer)
        nats = {}
        for name, importance in (("measured", measured), ("drawn", drawn)):
            kept = surgery.most_important(config, importance, mlp_width=1152)
            smaller, cut_params = surgery.prune_width(config, params, kept)
            student = LanguageModel(config=smaller, params=cut_params, tokenizer=tokenizer)
            nats[name] = float(reference_kl(whole, student, held_out)["cross_entropy"].value())
    assert nats["measured"] < nats["drawn"] - 0.5
