import pytest

from jaxkd.data.text.chat import end_of_turn
from jaxkd.two_models.template import with_chat_template

TEMPLATE = "{% for m in messages %}[{{ m['role'] }}] {{ m['content'] }}<|endoftext|>{% endfor %}"


def test_a_checkpoint_gets_another_template_and_keeps_the_rest(tiny, tmp_path):
    (tmp_path / "own.jinja").write_text(TEMPLATE)
    for _ in range(2):  # the same command again
        made = with_chat_template(tiny.teacher, tmp_path / "own.jinja", tmp_path / "model")
    assert made.tokenizer().chat_template == TEMPLATE
    assert end_of_turn(made.tokenizer()) == 0
    assert made.config() == tiny.teacher.config()
    assert tiny.teacher.tokenizer().chat_template != TEMPLATE
    assert (tmp_path / "model/model.safetensors").is_symlink()


def test_a_template_that_does_not_exist_is_refused(tiny, tmp_path):
    with pytest.raises(FileNotFoundError, match='template must be "chat", "plain" or a Jinja file, got .*none.jinja'):
        with_chat_template(tiny.teacher, tmp_path / "none.jinja", tmp_path / "model")
