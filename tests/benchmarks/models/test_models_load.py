from benchmarks.models import models_load
from jaxkd.models.checkpoints import huggingface
from tests.models import tiny


def test_each_case_is_measured_in_a_process_of_its_own(monkeypatch):
    def write(folder):
        huggingface.save(folder, tiny.LLAMA, tiny.random_params(tiny.LLAMA), max_shard_bytes=4096)
        return 12_345

    monkeypatch.setattr(models_load, "_write_checkpoint", write)
    monkeypatch.setattr(models_load, "CASES", (models_load.CASES[1], models_load.CASES[3]))
    rows = {row.figure: row for row in models_load.measure(False).rows}
    written, *_ = rows.values()
    assert (written.figure.startswith("checkpoint in bfloat16, "), written.value) == (True, 12_345 / 1e9)
    judged = rows["peak host memory over the loaded arrays, to float32, 8 devices"]
    assert (judged.bar, judged.value > 0) == (models_load.PEAK, True)
    assert rows["peak host memory over the loaded arrays, to float32 over host arrays, 8 devices"].bar is None
    assert len(rows) == 5
