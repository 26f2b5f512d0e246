"""Architectures of published models, for configs that plan a run without the models' files.

`Pretrained` compares them with the files when it loads them.  `tokens` is given if the tokenizer has fewer tokens than
the head has rows.
"""

import dataclasses

from jaxkd.models.transformer.architecture import DecoderConfig, Llama3Scaling

GPT2 = DecoderConfig(
    vocab_size=50_257,
    width=768,
    depth=12,
    heads=12,
    kv_heads=12,
    head_dim=64,
    mlp_width=3072,
    max_positions=1024,
    norm="layer",
    activation="gelu_tanh",
    gated=False,
    position="learned",
    query_key_value_bias=True,
    output_bias=True,
    mlp_bias=True,
    tied=True,
    dropout=0.1,
)
"""GPT-2: 124,439,808 parameters."""

GPT2_XL = dataclasses.replace(GPT2, width=1600, depth=48, heads=25, kv_heads=25, mlp_width=6400)
"""GPT-2 XL: 1,557,611,200 parameters."""

LLAMA2_7B = DecoderConfig(
    vocab_size=32_000,
    width=4096,
    depth=32,
    heads=32,
    kv_heads=32,
    head_dim=128,
    mlp_width=11_008,
    max_positions=4096,
)
"""Llama 2 7B: 6,738,415,616 parameters."""

TINYLLAMA_1_1B = dataclasses.replace(
    LLAMA2_7B, width=2048, depth=22, kv_heads=4, head_dim=64, mlp_width=5632, max_positions=2048
)
"""TinyLlama 1.1B: 1,100,048,384 parameters."""

MISTRAL_7B = dataclasses.replace(
    LLAMA2_7B, kv_heads=8, mlp_width=14_336, max_positions=32_768, windows=(4096,) * LLAMA2_7B.depth
)
"""Mistral 7B v0.1: 7,241,732,096 parameters."""

LLAMA3_2_1B = DecoderConfig(
    vocab_size=128_256,
    width=2048,
    depth=16,
    heads=32,
    kv_heads=8,
    head_dim=64,
    mlp_width=8192,
    max_positions=131_072,
    rope_theta=500_000.0,
    rope_scaling=Llama3Scaling(
        factor=32.0, low_frequency_factor=1.0, high_frequency_factor=4.0, original_positions=8192
    ),
    tied=True,
)
"""Llama 3.2 1B: 1,235,814,400 parameters."""

QWEN1_5_1_8B = DecoderConfig(
    vocab_size=151_936,
    width=2048,
    depth=24,
    heads=16,
    kv_heads=16,
    head_dim=128,
    mlp_width=5504,
    max_positions=32_768,
    norm_eps=1e-6,
    rope_theta=1_000_000.0,
    query_key_value_bias=True,
    tokens=151_646,
)
"""Qwen1.5 1.8B: 1,836,828,672 parameters."""

QWEN2_5_1_5B = dataclasses.replace(
    QWEN1_5_1_8B,
    width=1536,
    depth=28,
    heads=12,
    kv_heads=2,
    mlp_width=8960,
    max_positions=131_072,
    tied=True,
    tokens=151_665,
)
"""Qwen2.5 1.5B: 1,543,714,304 parameters."""

QWEN2_5_7B = dataclasses.replace(
    QWEN2_5_1_5B, vocab_size=152_064, width=3584, heads=28, kv_heads=4, mlp_width=18_944, tied=False
)
"""Qwen2.5 7B: 7,615,616,512 parameters."""

QWEN2_5_7B_INSTRUCT = dataclasses.replace(QWEN2_5_7B, max_positions=32_768)
"""Qwen2.5 7B Instruct: as Qwen2.5 7B, for shorter texts."""

QWEN2_5_MATH_7B = dataclasses.replace(QWEN2_5_7B, max_positions=4096, rope_theta=10_000.0)
"""Qwen2.5 Math 7B, with or without Instruct: as Qwen2.5 7B, with another rotation."""
