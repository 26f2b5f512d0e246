"""HTML pages that load nothing else, rendered from the templates of this package."""

from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from jaxkd.runtime.storage.files import write_text

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
    write_text(path, page)
