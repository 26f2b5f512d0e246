"""HTML pages that load nothing else, rendered from the templates of this package."""

import os
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

_TEMPLATES = Environment(
    loader=PackageLoader("jaxkd.report"),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    undefined=StrictUndefined,
)


def write(path: Path, template: str, **data: object) -> None:
    """Render a page and write it atomically, replacing an existing file.

    Args:
        path: output file; its folder is created.
        template: file name in `templates/`.
        data: variables of the template; text is escaped.
    """
    page = _TEMPLATES.get_template(template).render(data)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".tmp")
    temporary.write_text(page, encoding="utf-8")
    os.replace(temporary, path)
