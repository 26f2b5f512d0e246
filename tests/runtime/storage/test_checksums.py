import os
import zlib

import pytest

from jaxkd.runtime.storage import checksums


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "part").mkdir()
    contents = {"a": os.urandom(3 << 20), "part/b": b"12", "part/empty": b""}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    checksums.write(tmp_path, {name: tmp_path / name for name in contents})
    return tmp_path


def test_it_is_the_crc_of_the_whole_file(folder):
    assert checksums.of_file(folder / "a") == zlib.crc32((folder / "a").read_bytes())
    assert checksums.damaged(folder) is None


def flipped(content):
    changed = bytearray(content)
    changed[len(changed) // 2] ^= 1
    return bytes(changed)


@pytest.mark.parametrize("name", ["a", "part/b"])
@pytest.mark.parametrize("fault", [flipped, lambda content: content[:-1], lambda content: content + b"\0"])
def test_a_file_that_differs_is_found(folder, name, fault):
    path = folder / name
    path.write_bytes(fault(path.read_bytes()))
    assert checksums.damaged(folder) == path
    assert checksums.damaged(folder, under="part/") == (path if name == "part/b" else None)


def test_a_missing_file_and_damaged_checksums_are_found(folder):
    (folder / "part/empty").unlink()
    assert checksums.damaged(folder) == folder / "part/empty"
    for content in (b"", b"[]"):
        (folder / checksums.FILE).write_bytes(content)
        assert checksums.damaged(folder) == folder / checksums.FILE


def test_without_checksums_nothing_is_known(tmp_path):
    assert checksums.damaged(tmp_path) is None
