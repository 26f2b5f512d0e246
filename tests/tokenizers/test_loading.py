import json
import types

import pytest
from tokenizers import Tokenizer, models

from jaxkd.tokenizers import loading
from tests.assets import tiny_tokenizer_fields
from tests.tokenizers.stress import STRESS


def build(**changes):
    return loading.from_gguf(tiny_tokenizer_fields(**changes))


def test_load_says_what_a_folder_lacks(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"must hold a tokenizer \(tokenizer.json or .*: empty\. Copy"):
        loading.load(tmp_path)
    (tmp_path / "config.json").touch()
    with pytest.raises(FileNotFoundError, match=r": config.json. Copy the tokenizer's files beside the weights"):
        loading.load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r": no such folder. Copy"):
        loading.load(tmp_path / "absent")


def test_a_tokenizer_is_read_once_while_its_files_stay(tmp_path):
    build().save_pretrained(tmp_path)
    first = loading.load(tmp_path)
    assert loading.load(str(tmp_path)) is first
    build(add_bos_token=True).save_pretrained(tmp_path)
    assert loading.load(tmp_path) is not first


def test_code_that_a_folder_brings_along_is_not_run_and_nobody_is_asked(tmp_path, monkeypatch):
    monkeypatch.setattr("builtins.input", lambda prompt: "y")
    build().save_pretrained(tmp_path)
    path = tmp_path / "tokenizer_config.json"
    named = {"tokenizer_class": "OwnTokenizer", "auto_map": {"AutoTokenizer": ["own.OwnTokenizer", None]}}
    path.write_text(json.dumps(json.loads(path.read_text()) | named))
    (tmp_path / "own.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w').close()\nclass OwnTokenizer: pass\n")
    with pytest.raises(ValueError, match="trust_remote_code"):
        loading.load(tmp_path)
    assert not (tmp_path / "ran").exists()


def test_a_config_that_transformers_rejects_is_named(tmp_path):
    build().save_pretrained(tmp_path)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "llama", "hidden_size": "wide"}))
    (tmp_path / "tokenizer_config.json").unlink()
    with pytest.raises(
        ValueError, match=r"config.json of .* must be one that transformers can read, got .*hidden_size"
    ):
        loading.load(tmp_path)


def test_the_highest_id_decides_how_many_rows_are_needed(tmp_path):
    assert loading.token_count(tmp_path) is None
    tokenizer = build()
    tokenizer.save_pretrained(tmp_path)
    assert loading.token_count(tmp_path) == len(tokenizer) == 265
    tokenizer.add_tokens(["<more>"])
    tokenizer.save_pretrained(tmp_path)
    assert loading.token_count(tmp_path) == 266
    # Gemma 3's token for an image, which its models of text alone have no row for.
    tokenizer.add_special_tokens({"additional_special_tokens": ["<image_soft_token>"]})
    tokenizer.save_pretrained(tmp_path)
    assert loading.token_count(tmp_path) == 266


def test_pieces_of_a_unigram_model_are_counted(tmp_path):
    Tokenizer(models.Unigram([("<unk>", 0.0), ("a", -1.0), ("b", -2.0)], unk_id=0)).save(
        str(tmp_path / "tokenizer.json")
    )
    assert loading.token_count(tmp_path) == 3


def test_a_tokenizer_without_a_tokenizer_json_is_counted_too(tmp_path):
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nword\n")
    (tmp_path / "tokenizer_config.json").write_text('{"tokenizer_class": "BertTokenizer"}')
    assert loading.token_count(tmp_path) == 6


def test_fingerprint_is_that_of_the_saved_copy(tmp_path):
    tokenizer = build()
    tokenizer.save_pretrained(tmp_path)
    assert loading.fingerprint(loading.load(tmp_path)) == loading.fingerprint(tokenizer)


def test_fingerprint_forgets_padding_and_truncation():
    tokenizer = build()
    before = loading.fingerprint(tokenizer)
    tokenizer(["h", "hhh"], padding=True, truncation=True, max_length=2)
    assert loading.fingerprint(tokenizer) == before


def test_fingerprint_sees_every_difference():
    variants = [build(), build(pre="qwen2"), build(add_bos_token=True), build(eos_token_id=0)]
    variants.append(build(merges=["Ġ Ġ", "Ġ Â", "Â ½", "t he", "h e"]))
    variants.append(build())
    variants[-1].chat_template = "{{ messages }}"
    assert len({loading.fingerprint(each) for each in variants}) == len(variants)


def test_fingerprint_needs_the_tokenizers_library():
    with pytest.raises(TypeError, match=r"must run on the tokenizers library .*got SimpleNamespace. Load it with Auto"):
        loading.fingerprint(types.SimpleNamespace())


@pytest.mark.slow
def test_smollm2_gives_the_known_ids(smollm2_folder):
    tokenizer = loading.load(smollm2_folder)
    text = "The capital of France is Paris, and the city lies on the river Seine.\n"
    ids = [504, 3575, 282, 4649, 314, 7042, 28, 284, 260, 2240, 5721, 335, 260, 4626, 1268, 462, 30, 198]
    assert tokenizer(text).input_ids == ids
    assert tokenizer.tokenize("  42") == ["ĠĠ", "4", "2"]
    assert tokenizer.tokenize(" ½") == ["Ġ", "Â½"]
    assert [tokenizer.decode(tokenizer(text).input_ids) for text in STRESS] == STRESS
    assert len(tokenizer) == 49_152
    assert tokenizer.convert_tokens_to_ids(["<|endoftext|>", "<|im_start|>", "<|im_end|>"]) == [0, 1, 2]
