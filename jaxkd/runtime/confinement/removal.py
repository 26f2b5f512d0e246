"""Removal of a folder that a program may have filled with anything."""

import contextlib
import os


def remove(folder: str) -> None:
    """Delete a folder however deep it is: `shutil.rmtree` recurses, and long paths cannot be opened.

    Folders move up to the top until none holds another.

    Args:
        folder: path; it may be missing.
    """
    if not os.path.exists(folder):
        return
    while below := _without_files(folder):
        for path in below:
            for deeper in _without_files(path):
                os.rename(deeper, os.path.join(folder, os.urandom(16).hex()))
            os.rmdir(path)
    os.rmdir(folder)


def _without_files(folder: str) -> list[str]:
    """Delete the files and links of a folder, and return its folders."""
    os.chmod(folder, 0o700)
    folders = []
    with os.scandir(folder) as entries:
        for entry in list(entries):
            if entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(PermissionError):
                    os.chmod(entry.path, 0o700)  # to be moved it must be writable
                folders.append(entry.path)
            else:
                os.unlink(entry.path)
    return folders
