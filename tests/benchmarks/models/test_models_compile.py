from benchmarks.models import models_compile


def test_each_depth_is_compiled_from_nothing_and_the_ratio_is_judged(monkeypatch):
    compiled = []

    def seconds(program, depth):
        compiled.append((program, depth))
        return float(depth)

    monkeypatch.setattr(models_compile, "_seconds", seconds)
    shallow, deep, ratio = models_compile._rows("forward", models_compile._forward)
    assert (shallow.value, deep.value, ratio.value) == (2, 28, 14)
    assert (shallow.figure, deep.figure) == ("forward, 2 layers", "forward, 28 layers")
    assert (str(ratio.bar), ratio.holds) == ("<= 1.3", False)
    assert compiled[-2:] == [(models_compile._forward, 2), (models_compile._forward, 28)]
