"""evaluate, generate and export on a finished run and on a plain folder; show_alignment on two tokenizers."""

import json

import numpy as np
import pytest

from jaxkd import evaluate, export, generate, sampling, show_alignment
from jaxkd.models import Pretrained
from jaxkd.training.stage_folder import read_evaluations


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
    assert f"bits_per_byte/bits_per_byte  {expected['bits_per_byte']:.6g}" in capsys.readouterr().out


def test_a_model_is_evaluated_on_your_own_rows(tiny_folder, tiny_text, capsys):
    evaluate.main(["--model", str(tiny_folder), "--data", tiny_text.source.test, "--limit", "3"])
    assert "bits_per_byte/answers  3\n" in capsys.readouterr().out


def test_text_is_generated_for_each_prompt(finished, capsys):
    generate.main(["--run", str(finished), "--prompt", "the 1", "the 2", "--max-new-tokens", "3"])
    printed = capsys.readouterr().out
    assert printed.startswith("--- the 1\n")
    assert "--- the 2\n" in printed


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
    with pytest.raises(SystemExit):
        show_alignment.main([*command, "--output", str(tmp_path / "a.doc")])
    assert "error: output must end with one of " in capsys.readouterr().err
    with pytest.raises(SystemExit):
        show_alignment.main([*command[2:], "--text", ""])
    assert "error: text must hold at least one token on both sides" in capsys.readouterr().err
