"""Texts at which tokenizers differ."""

STRESS = [
    "The quick brown fox, isn't it?",
    "  \t x \n\n  y   \r\n",
    "def f(x):\n    return {'a': [1, 2.50]}\n",
    "👩‍👩‍👧‍👦 🏳️‍🌈",
    "日本語と漢字、한국어",
    "مرحبا بالعالم ١٢٣",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "Привет, мир!",
    "e\u0301 a\u0300",
    "ﬁ ㎏ Ⅷ",
    "∑ x² ≤ ½ ∞",
    "a\u200bb\ufeffc",
    "https://example.org/a?b=1&c=%20#d",
    "  42   007 1234567890",
    r"\frac{1}{2} $\alpha_{3}$",
    "abc אבג 123 def",
]
