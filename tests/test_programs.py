"""evaluate, generate and export on a finished run and on a plain folder; show_alignment on two tokenizers."""

import dataclasses
import json

import numpy as np
import pytest

from jaxkd import evaluate, export, generate, sampling, show_alignment
from jaxkd.models import LoRA, Pretrained
from jaxkd.study import runs
from jaxkd.training.stage_folder import read_evaluations
from tests.evals.suites import folders


@pytest.fixture(scope="module")
def finished(tiny_folder, tiny_text, tmp_path_factory):
    from tests.tiny_runs import Tiny

    folder = tmp_path_factory.mktemp("run")
    made = Tiny(tiny_folder, tiny_text)
    train = made.train(steps=2, ema_decay=0.5, validation=(), evaluators=(made.bits_per_byte(),))
    train.run(folder, seed=0, stages={})
    return folder


def test_evaluating_again_gives_the_same_figures(finished, tmp_path, capsys):
    evaluate.main(["--run", str(finished), "--output", str(tmp_path / "again.json")])
    again = json.loads((tmp_path / "again.json").read_text())
    expected = read_evaluations(finished)["bits_per_byte"].metrics
    assert again["bits_per_byte"]["metrics"] == pytest.approx(expected)
    printed = capsys.readouterr().out.splitlines()
    assert f"bits_per_byte  {expected['bits_per_byte']:.6g}" in printed
    assert f"bits_per_byte/nats_per_token  {expected['nats_per_token']:.6g}" in printed


def test_evaluating_a_run_in_bfloat16_gives_the_figures_of_its_report(tiny, tmp_path, capsys):
    """The checkpoint under adapters was rounded: in float32 it has other figures."""
    recipe = dataclasses.replace(tiny.sft(), lora=LoRA(rank=2))
    train = tiny.train(recipe, steps=2, precision="bfloat16", validation=(), evaluators=(tiny.bits_per_byte(),))
    train.run(tmp_path / "run", seed=0, stages={})
    evaluate.main(["--run", str(tmp_path / "run"), "--output", str(tmp_path / "again.json")])
    again = json.loads((tmp_path / "again.json").read_text())["bits_per_byte"]["metrics"]
    expected = read_evaluations(tmp_path / "run")["bits_per_byte"].metrics
    assert again["bits_per_byte"] == expected["bits_per_byte"]
    # An export merges the adapters into the checkpoint as it is stored.
    stored = runs.language_model(tmp_path / "run", precision="float32").params["embedding"]
    assert stored.dtype == np.float32
    with pytest.raises(AssertionError):
        np.testing.assert_array_equal(stored, stored.astype("bfloat16"))


def test_a_model_is_evaluated_on_your_own_rows(tiny_folder, tiny_text, capsys):
    evaluate.main(["--model", str(tiny_folder), "--data", tiny_text.source.test, "--limit", "3"])
    printed = capsys.readouterr().out
    assert "bits_per_byte/answers  3\n" in printed
    assert printed.startswith("kept 3 of 20 rows (chat), left out: 17 beyond the 3 of --limit\n")


def test_rows_that_are_left_out_of_an_evaluation_are_counted_by_reason(tiny_folder, tmp_path, capsys):
    responses = ["he", "the " * 30, "", "the", "he " * 20]
    rows = [{"prompt": "the 1", "response": response} for response in responses]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    options = ["--length", "80", "--targets", "40", "--template", "plain", "--limit", "None"]
    evaluate.main(["--model", str(tiny_folder), "--data", str(tmp_path / "rows.jsonl"), *options])
    assert capsys.readouterr().out.startswith(
        "kept 2 of 5 rows (plain), left out: 2 longer than 80 tokens (--length) or 40 of the answer (--targets); "
        "1 without an answer\n"
    )


def test_text_is_generated_for_each_prompt(finished, capsys):
    generate.main(["--run", str(finished), "--prompt", "the 1", "the 2", "--max-new-tokens", "3"])
    printed = capsys.readouterr().out
    assert printed.startswith("--- the 1\n")
    assert "--- the 2\n" in printed


@pytest.mark.parametrize(
    ("more", "style"),
    [
        ((), "prompts: chat template, no system message but its own, if it has one"),
        (("--system", "Be brief."), "prompts: chat template, system message 'Be brief.'"),
    ],
)
def test_the_system_message_is_that_of_the_training_rows_or_the_one_given(finished, caplog, more, style):
    caplog.set_level("INFO", logger="jaxkd")
    generate.main(["--run", str(finished), "--prompt", "the 1", "--max-new-tokens", "1", *more])
    assert style in caplog.messages


def test_a_plain_prompt_needs_no_chat_template(tiny_folder, capsys):
    generate.main(["--model", str(tiny_folder), "--prompt", "the", "--template", "plain", "--max-new-tokens", "2"])
    assert capsys.readouterr().out.count("\n") >= 1


def test_a_prompt_closes_its_turn_if_that_is_allowed(tiny_folder, monkeypatch, capsys):
    asked = []

    def generated(model, prompts, **options):
        asked.append(prompts[0].count(2))
        return generate_texts(model, prompts, **options)

    generate_texts = sampling.generate
    monkeypatch.setattr(sampling, "generate", generated)
    command = ["--model", str(tiny_folder), "--prompt", "the<|im_end|>", "--template", "plain", "--max-new-tokens", "2"]
    for options in ([], ["--control-tokens", "allow"]):
        generate.main([*command, *options])
    assert asked == [0, 1]
    assert capsys.readouterr().out.count("\n") >= 2


def test_an_export_is_read_back_equal_and_holds_the_average(finished, tmp_path, capsys):
    from jaxkd.study import runs

    for dtype in ("float32", "bfloat16"):
        export.main(["--run", str(finished), "--to", str(tmp_path / dtype), "--dtype", dtype])
        assert "read back equal" in capsys.readouterr().out
    sizes = [(tmp_path / dtype / "model.safetensors").stat().st_size for dtype in ("float32", "bfloat16")]
    assert 1.8 < sizes[0] / sizes[1] < 2.2
    exported = Pretrained(path=str(tmp_path / "float32"))
    trained = runs.language_model(finished)
    assert exported.config().depth == 1
    for name in ("embedding", "final_norm"):
        np.testing.assert_array_equal(
            np.asarray(next(iter(_leaves(exported.load()[name])))),
            np.asarray(next(iter(_leaves(trained.params[name])))),
        )
    assert exported.tokenizer()("the")["input_ids"] == trained.tokenizer("the")["input_ids"]


def _leaves(tree):
    import jax

    return jax.tree.leaves(tree)


@pytest.mark.slow
def test_transformers_loads_the_export_with_equal_logits(finished, tmp_path):
    torch = pytest.importorskip("torch")
    import jax.numpy as jnp
    from transformers import AutoModelForCausalLM

    from jaxkd.kernels import head_logits
    from jaxkd.models.transformer import decoder
    from jaxkd.records import Hiddens
    from jaxkd.study import runs

    export.main(["--run", str(finished), "--to", str(tmp_path / "out")])
    model = runs.language_model(finished)
    tokens = np.array([[5, 9, 30, 41, 7, 200, 3]])
    ours = decoder.hidden_states(
        model.config,
        model.params,
        jnp.asarray(tokens),
        positions=jnp.arange(7)[None],
        segment_ids=jnp.ones((1, 7), jnp.int32),
    )
    logits = head_logits(Hiddens(values=ours, head=decoder.head(model.config, model.params)))
    theirs = AutoModelForCausalLM.from_pretrained(tmp_path / "out", dtype=torch.float32)
    np.testing.assert_allclose(logits, theirs(torch.tensor(tokens)).logits.detach().numpy(), atol=1e-4)


@pytest.mark.parametrize("program", [evaluate, generate])
@pytest.mark.parametrize("given", [[], ["--run", "a", "--model", "b"]])
def test_run_or_model_must_be_given(program, given, capsys):
    prompt = ["--prompt", "x"] if program is generate else []
    with pytest.raises(SystemExit):
        program.main([*given, *prompt])
    assert "error: one of --run and --model must be given, got both or none." in capsys.readouterr().err


def test_an_export_overwrites_nothing(finished, tiny_folder, capsys):
    with pytest.raises(SystemExit):
        export.main(["--run", str(finished), "--to", str(tiny_folder)])
    assert "error: to must be a folder without a model" in capsys.readouterr().err


def test_an_alignment_is_printed_and_drawn(tiny_folder, tmp_path, capsys):
    from tests.tokenizers.tokenizer_families import made

    made("byte-level BPE").save_pretrained(tmp_path / "other")
    command = ["--text", "the 1½\n", "--a", str(tiny_folder), "--b", str(tmp_path / "other")]
    show_alignment.main([*command, "--output", str(tmp_path / "a.svg")])
    printed = capsys.readouterr().out
    assert f"{tiny_folder.name}  " in printed
    assert "the|" in printed
    assert "⏎|" in printed
    assert "have a partner with the same bytes" in printed
    drawing = (tmp_path / "a.svg").read_text()
    assert ">⏎<" in drawing
    show_alignment.main([*command, "--output", str(tmp_path / "b.svg")])
    assert (tmp_path / "b.svg").read_text() == drawing
    (tmp_path / "[").mkdir()
    show_alignment.main([*command, "--output", str(tmp_path / "[/b].svg")])
    assert "[/b].svg written" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        show_alignment.main([*command, "--output", str(tmp_path / "a.doc")])
    assert "error: output must end with one of " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        show_alignment.main([*command[2:], "--text", ""])
    assert "error: text must hold at least one token on both sides" in capsys.readouterr().err


def test_a_run_answers_a_suite_beside_another_model(finished, tiny_folder, tmp_path, capsys):
    yaml = folders.YAML.partition("  - id: programs")[0]
    suite = str(folders.write(tmp_path / "small", yaml=yaml))
    options = ["--suite", suite, "--template", "plain", "--rows-per-task", "1", "--max-new-tokens", "2"]
    evaluate.main(["--model", str(tiny_folder), *options, "--output", str(tmp_path / "folder")])
    assert capsys.readouterr().out.startswith(
        f"small 1: {Pretrained(path=str(tiny_folder)).provenance()}, plain template\n"
    )
    output = tmp_path / "run"
    evaluate.main(["--model", str(finished), *options, "--output", str(output), "--beside", str(tmp_path / "folder")])
    printed = capsys.readouterr().out
    assert printed.endswith(f"{output / 'suite.html'}\n")
    assert f"trained by {finished}, plain template" in printed.splitlines()[0]
    assert f"{finished.name} \N{MINUS SIGN} folder" in printed
    page = (output / "suite.html").read_text()
    assert f"--model {finished} --suite {suite}" in page
    assert len((output / "samples.jsonl").read_text().splitlines()) == 3 + 4


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--suite", "x"], "one of --run and --model must be given"),
        (["--suite", "x", "--model", "m"], "suite must be a folder with suite.yaml, or one of transport, got 'x'"),
        (["--suite", "{suite}", "--run", "r"], "--model must name the model that answers --suite, got --run"),
        (["--suite", "{suite}", "--write-suite", "w"], "suite must be one of transport to be written, got"),
        (["--suite", "{suite}", "--model", "m", "--judge-url", "http://x/v1"], "--judge must name the model at"),
        (["--model", "{run}", "--layers", "0"], "layers must be left out for a run, whose model has them all"),
        (["--suite", "{suite}", "--model", "{model}", "--beside", "{suite}"], "a finished evaluation must hold result"),
    ],
)
def test_mistakes_of_a_suites_evaluation(finished, tiny_folder, tmp_path, capsys, options, text):
    names = {"suite": folders.write(tmp_path / "small"), "run": finished, "model": tiny_folder}
    with pytest.raises(SystemExit):
        evaluate.main([option.format(**names) for option in options])
    assert text in capsys.readouterr().err


def test_an_evaluation_beside_must_be_of_the_same_suite(tiny_folder, tmp_path, capsys):
    suite = folders.write(tmp_path / "small", yaml=folders.YAML.partition("  - id: facts")[0])
    options = ["--model", str(tiny_folder), "--template", "plain"]
    evaluate.main([*options, "--suite", str(suite), "--output", str(tmp_path / "out")])
    yaml = (suite / "suite.yaml").read_text().replace("name: small", "name: other")
    (suite / "suite.yaml").write_text(yaml)
    with pytest.raises(SystemExit):
        evaluate.main([*options, "--suite", str(suite), "--beside", str(tmp_path / "out")])
    assert "--beside must be evaluations on other, got one on small in" in capsys.readouterr().err
    (suite / "suite.yaml").write_text(yaml.replace("name: other", "name: small").replace("id: capitals", "id: towns"))
    with pytest.raises(SystemExit):
        evaluate.main([*options, "--suite", str(suite), "--beside", str(tmp_path / "out")])
    assert "--beside must be evaluations with the tasks of" in capsys.readouterr().err
