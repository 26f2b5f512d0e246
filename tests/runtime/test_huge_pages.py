"""Advice to take huge pages, only where they can be had and are not."""

import pytest

from jaxkd.runtime import huge_pages

LINUX = ("glibc", "2.36")


@pytest.mark.parametrize(
    ("choice", "library", "tunables", "advised"),
    [
        ("always [madvise] never\n", LINUX, None, True),
        ("always [madvise] never\n", LINUX, "glibc.malloc.arena_max=2", True),
        ("always [madvise] never\n", LINUX, "glibc.malloc.hugetlb=0", False),
        ("[always] madvise never\n", LINUX, None, False),
        ("always madvise [never]\n", LINUX, None, False),
        (None, LINUX, None, False),
        ("always [madvise] never\n", ("glibc", "2.31"), None, False),
        ("always [madvise] never\n", ("", ""), None, False),
    ],
    ids=["madvise", "another tunable", "declined", "always", "never", "no choice", "old library", "no glibc"],
)
def test_advice_where_it_helps(choice, library, tunables, advised, tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    if choice is not None:
        file.write_text(choice)
    monkeypatch.setattr(huge_pages, "_CHOICE", file)
    monkeypatch.setattr(huge_pages.platform, "libc_ver", lambda: library)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if tunables is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    advice = huge_pages.advice()
    assert (advice is not None) == advised
    if advice is not None:
        others = f"{tunables}:" if tunables else ""
        assert advice.startswith(f"GLIBC_TUNABLES={others}glibc.malloc.hugetlb=1 before the command")
