"""Caches notice that a file changed, and equal files in two splits are logged."""

import hashlib
import logging
import os

import pytest

from jaxkd.data.images.file_stamps import stamp, stamped_sha256, warn_of_equal_files

LOG = logging.getLogger("tests.file_stamps")


def test_a_changed_file_has_another_stamp_and_hash(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    before = stamp(path)
    assert before[0] == 3
    assert stamped_sha256(path, before) == hashlib.sha256(b"one").hexdigest()
    path.write_bytes(b"two")
    os.utime(path, ns=(0, before[1] + 1))
    assert stamp(path) != before
    assert stamped_sha256(path, stamp(path)) == hashlib.sha256(b"two").hexdigest()
    with pytest.raises(FileNotFoundError):
        stamp(tmp_path / "b")


def test_equal_files_in_two_splits_are_logged(tmp_path, caplog):
    contents = {"train": "abc", "validation": "dce", "test": "fb"}
    splits = {}
    for split, letters in contents.items():
        paths = [tmp_path / f"{split}-{letter}" for letter in letters]
        for path in paths:
            path.write_text(path.name[-1])
        splits[split] = [(path.name, path, stamp(path)) for path in paths]
    with caplog.at_level(logging.WARNING, logger=LOG.name):
        warn_of_equal_files(splits, LOG)
    assert [record.getMessage() for record in caplog.records] == [
        "train and validation share 1 images, for example train-c and validation-c",
        "train and test share 1 images, for example train-b and test-b",
    ]
