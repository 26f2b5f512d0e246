"""Freed memory goes back to the operating system, and huge pages are advised where they can be had and are not."""

import ctypes
from pathlib import Path

import pytest

from jaxkd.runtime import host_memory


def resident_kb():
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(line.split()[1])


def test_what_glibc_keeps_is_released():
    libc = ctypes.CDLL(None)
    libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
    # Below the threshold of mmap; the last one holds the heap's end, so that freeing the others returns nothing.
    blocks = [libc.malloc(64_000) for _ in range(2_000)]
    for block in blocks:
        ctypes.memset(block, 1, 64_000)
    *others, last = blocks
    for block in others:
        libc.free(block)
    held = resident_kb()
    host_memory.release()
    assert resident_kb() < held - 100_000
    libc.free(last)


@pytest.mark.parametrize(
    ("before", "now", "searched"),
    [
        (1000, 1000 + host_memory.GROWTH - 1, False),
        (1000, 1000 + host_memory.GROWTH, True),
        (None, 1000, True),
        (1000, None, True),
    ],
)
def test_memory_is_searched_only_after_growth(monkeypatch, before, now, searched):
    held, calls = iter((now, 500)), []
    monkeypatch.setattr(host_memory, "resident", lambda: next(held))
    monkeypatch.setattr(host_memory, "release", lambda: calls.append("search"))
    assert host_memory.release_growth(before) == (500 if searched else before)
    assert len(calls) == searched


def test_the_process_holds_what_the_system_says():
    assert host_memory.resident() == pytest.approx(1024 * (resident_kb() + shared_kb()), rel=0.05)


def shared_kb():
    names = ("RssFile", "RssShmem")
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(names))


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
def test_huge_pages_are_advised_where_they_help(choice, library, tunables, advised, tmp_path, monkeypatch):
    file = tmp_path / "enabled"
    if choice is not None:
        file.write_text(choice)
    monkeypatch.setattr(host_memory, "_HUGE_PAGES", file)
    monkeypatch.setattr(host_memory.platform, "libc_ver", lambda: library)
    monkeypatch.delenv("GLIBC_TUNABLES", raising=False)
    if tunables is not None:
        monkeypatch.setenv("GLIBC_TUNABLES", tunables)
    advice = host_memory.huge_pages_advice()
    assert (advice is not None) == advised
    if advice is not None:
        others = f"{tunables}:" if tunables else ""
        assert advice.startswith(f"GLIBC_TUNABLES={others}glibc.malloc.hugetlb=1 before the command")
