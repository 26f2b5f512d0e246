"""`python -m benchmarks.methods.tokenizer_folders`: packaged tokenizers as folders, for `jaxkd.cut --tokenizer`."""

import argparse
import sys
from pathlib import Path

from benchmarks.methods.packaged_tokenizers import claude, deepseek, gpt2, j2, llama3, mistral_v1, mistral_v3, qwen

FAMILIES = {made.__name__: made for made in (gpt2, qwen, llama3, deepseek, claude, mistral_v1, mistral_v3, j2)}


def main(arguments: list[str] | None = None) -> None:
    """Download, build and save."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.methods.tokenizer_folders", description=__doc__)
    parser.add_argument("families", nargs="+", choices=FAMILIES, help="which tokenizers")
    parser.add_argument("--to", type=Path, default=Path("runs/tokenizers"), help="folder of the folders")
    options = parser.parse_args(arguments)
    for family in options.families:
        folder = options.to / family
        FAMILIES[family]().tokenizer.save_pretrained(folder)
        sys.stdout.write(f"{folder}\n")


if __name__ == "__main__":
    main()
