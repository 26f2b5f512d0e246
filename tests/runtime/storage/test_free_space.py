import os
import shutil
import types

import pytest

from jaxkd.runtime.storage import free_space


def test_check_writable_makes_the_folder_and_leaves_nothing_in_it(tmp_path):
    free_space.check_writable(tmp_path / "new" / "folder", bytes_needed=1)
    assert list((tmp_path / "new" / "folder").iterdir()) == []
    free_space.check_writable("gs://bucket/run", bytes_needed=1 << 60)
    assert not os.path.exists("gs:")


def test_check_writable_refuses_a_full_disk_and_a_file_in_the_way(tmp_path):
    with pytest.raises(OSError, match=r"must have 1\.15e\+09 GB free for the checkpoints and caches, got .* GB"):
        free_space.check_writable(tmp_path, bytes_needed=1 << 60)
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="the folder must be one that can be written"):
        free_space.check_writable(tmp_path / "file" / "run")


def test_allocated_is_not_sparse_and_keeps_what_is_there(tmp_path):
    path = tmp_path / "rows"
    path.write_bytes(b"header")
    free_space.allocate(path, 1 << 20)
    assert path.stat().st_size == 1 << 20
    assert path.stat().st_blocks * 512 >= 1 << 20
    assert path.read_bytes().rstrip(b"\0") == b"header"


def test_allocating_more_than_is_free_is_refused(tmp_path, monkeypatch):
    (tmp_path / "rows").touch()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: types.SimpleNamespace(free=100))
    with pytest.raises(OSError, match=r"the disk must have 0\.00105 GB free .* got 1e-07 GB"):
        free_space.allocate(tmp_path / "rows", 1 << 20)
