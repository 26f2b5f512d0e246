import dataclasses
import hashlib
import io
import os
import shutil
import stat
import tarfile

import pytest

from jaxkd.runtime.packages import cache_folder, file_sha256
from jaxkd.runtime.registries import npm
from jaxkd.runtime.registries.npm import NpmFile, fetch_npm

CONTENT = bytes(range(256)) * 40
NAME = "scope-tiny-hands-1.0.0.tgz"

CLIENT = """#!/bin/sh
# Stands in for npm: saves the archive of the test's registry where it is told to.
while [ "$#" -gt 1 ]; do
  case "$1" in
    --pack-destination) destination=$2; shift ;;
    --cache) mkdir -p "$2" && echo copy >"$2/blob"; shift ;;
    --ignore-scripts) safe=yes ;;
  esac
  shift
done
[ "$safe" = yes ] && [ "$1" = "@scope/tiny-hands@1.0.0" ] || { echo "npm error code E404 for $1" >&2; exit 1; }
echo downloaded >>'REGISTRY/log'
exec /bin/cp 'REGISTRY/NAME' "$destination/NAME"
"""


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder with the archive of one package, a client that knows no other, and an empty cache."""
    folder = tmp_path / "registry"
    folder.mkdir()
    with tarfile.open(folder / NAME, "w:gz") as tar:
        for name, content in {
            "package/package.json": b"{}",
            "package/dist/left.glb": CONTENT,
            "package/b": b"b",
        }.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    client = tmp_path / "bin" / "npm"
    client.parent.mkdir()
    client.write_text(CLIENT.replace("REGISTRY", str(folder)).replace("NAME", NAME))
    client.chmod(client.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", os.pathsep.join([str(client.parent), "/usr/bin", "/bin"]))
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path / "cache"))
    return folder


@pytest.fixture
def file(registry):
    return NpmFile(
        package="@scope/tiny-hands",
        version="1.0.0",
        archive_sha256=file_sha256(registry / NAME),
        archive_size=(registry / NAME).stat().st_size,
        member="dist/left.glb",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


def files_in_cache():
    return sorted(str(path.relative_to(cache_folder())) for path in cache_folder().rglob("*") if path.is_file())


def given(content):
    path = cache_folder() / "archives" / NAME
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def test_files_of_a_package_are_downloaded_once_and_the_archive_is_deleted(file, registry):
    other = dataclasses.replace(file, member="b", sha256=hashlib.sha256(b"b").hexdigest())
    for _ in range(2):
        left, b = fetch_npm([file, other])
        assert (left.read_bytes(), b.read_bytes()) == (CONTENT, b"b")
    assert (registry / "log").read_text() == "downloaded\n"
    # Neither the archive nor the client's copy of it stays behind.
    assert files_in_cache() == ["packages/npm-scope-tiny-hands-1.0.0/b", "packages/npm-scope-tiny-hands-1.0.0/left.glb"]


def test_a_damaged_file_is_repaired(file):
    (path,) = fetch_npm([file])
    path.write_bytes(CONTENT[:-1])
    assert fetch_npm([file])[0].read_bytes() == CONTENT


def test_an_archive_given_by_hand_needs_no_client(file, registry, monkeypatch):
    provided = given((registry / NAME).read_bytes())
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    assert fetch_npm([file])[0].read_bytes() == CONTENT
    assert provided.exists()


def test_no_client_says_how_to_have_one(file, monkeypatch):
    monkeypatch.setattr(npm.shutil, "which", lambda name: None)
    with pytest.raises(ConnectionError) as error:
        fetch_npm([dataclasses.replace(file, archive_size=93_577_565)])
    text = str(error.value)
    assert text.startswith(
        "@scope/tiny-hands@1.0.0 (94 MB) is needed once, for dist/left.glb, and npm is not installed"
    )
    assert "Or run `npm pack --ignore-scripts @scope/tiny-hands@1.0.0` on a machine that has a network and put" in text
    assert str(cache_folder() / "archives") in text


def test_a_failed_download_says_what_the_client_said(file):
    with pytest.raises(
        ConnectionError,
        match=r"from the registry that npm is configured for; it said\n  npm error code E404 for @scope/t",
    ):
        fetch_npm([dataclasses.replace(file, version="2.0.0")])
    assert files_in_cache() == []


def test_another_archive_is_refused(file, registry):
    with pytest.raises(
        ValueError, match="It is another file of that name. Run again; if it stays so, the registry that"
    ):
        fetch_npm([dataclasses.replace(file, archive_sha256="0" * 64)])
    assert files_in_cache() == []
    provided = given((registry / NAME).read_bytes()[:100])
    message = (
        f"the archive of @scope/tiny-hands@1.0.0 must have sha256 {file.archive_sha256} and {file.archive_size} bytes, "
        f"got .* and 100 bytes in {provided}. It was cut short. Delete it and run again"
    )
    with pytest.raises(ValueError, match=message):
        fetch_npm([file])


def test_another_member_is_refused(file):
    with pytest.raises(ValueError, match=rf"must have sha256 {'0' * 64}, got {file.sha256}.*correct sha256"):
        fetch_npm([dataclasses.replace(file, sha256="0" * 64)])
    with pytest.raises(
        ValueError,
        match=r"member must be a file in the archive of .*, got 'absent'. .* holds: b, dist/left.glb, package",
    ):
        fetch_npm([dataclasses.replace(file, member="absent")])
    assert files_in_cache() == []


def test_files_of_several_packages_are_refused(file):
    with pytest.raises(
        ValueError, match=r"files must be of one npm package, got @scope/tiny-hands@1\.0\.0, @scope/tin"
    ):
        fetch_npm([file, dataclasses.replace(file, version="2.0.0")])
    with pytest.raises(ValueError, match=r"files must be of one npm package, got none\."):
        fetch_npm([])


def test_the_client_keeps_no_copy_and_runs_no_script(file, tmp_path):
    command = npm._command(file, tmp_path)
    assert command is not None
    assert command[:3] == [shutil.which("npm"), "pack", "--ignore-scripts"]
    assert command[command.index("--cache") + 1].startswith(str(tmp_path))
    assert command[-1] == "@scope/tiny-hands@1.0.0"
