"""Full-width forms."""

from jaxkd.metrics.half_width import half_width


def test_full_width_forms_become_ascii_and_other_characters_stay():
    assert half_width("Ａ．（ｂ）：１２％\u3000〜、。x") == "A.(b):12% 〜、。x"
    assert half_width("".join(map(chr, range(0xFF01, 0xFF5F))).replace("，", "")) == "".join(
        map(chr, range(0x21, 0x7F))
    ).replace(",", "")


def test_a_full_width_comma_groups_full_width_digits_only():
    assert half_width("１，２３４") == "1,234"
    assert half_width("100，200") == "100, 200"
    assert half_width("１，２") == "1, 2"
