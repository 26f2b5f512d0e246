"""A checkpoint with another chat template."""

import dataclasses
import shutil
from pathlib import Path

from jaxkd.models import Pretrained

FILE = "chat_template.jinja"
"""File of a checkpoint's folder that goes before the template in its tokenizer_config.json."""


def with_chat_template(checkpoint: Pretrained, template: Path, folder: Path) -> Pretrained:
    """Return a checkpoint whose folder links to the files of another one and holds a chat template of its own.

    Args:
        checkpoint: checkpoint whose weights and tokenizer are used.
        template: Jinja file, which is copied.
        folder: folder of the new checkpoint, made if missing.

    Raises:
        FileNotFoundError: the template does not exist.
    """
    if not template.is_file():
        raise FileNotFoundError(
            f'template must be "chat", "plain" or a Jinja file, got {template}, which does not exist.'
        )
    folder.mkdir(parents=True, exist_ok=True)
    for file in checkpoint.folder().absolute().iterdir():
        link = folder / file.name
        if file.name != FILE and not link.exists():
            link.symlink_to(file)
    shutil.copyfile(template, folder / FILE)
    return dataclasses.replace(checkpoint, path=str(folder))
