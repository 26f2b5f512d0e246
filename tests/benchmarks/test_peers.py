"""Where a peer's environment is kept, and what is said where it cannot be made.  Nothing is installed here."""

import sys

import pytest

from benchmarks.peers import environment


@pytest.fixture
def peer(tmp_path, monkeypatch):
    """Writes a peer's requirements and gives the folder in which its environment is kept."""
    monkeypatch.setattr(environment, "PEERS", tmp_path / "peers")
    monkeypatch.setattr(environment, "FOLDER", tmp_path / "cache")

    def write(requirements):
        (tmp_path / "peers" / "other").mkdir(parents=True)
        (tmp_path / "peers" / "other" / "requirements.txt").write_text(requirements)
        return tmp_path / "cache"

    return write


def test_a_finished_environment_is_used_again(peer, monkeypatch):
    folder = peer("other-package==1.2\ntorch==2\n") / "other-package-1.2"
    commands = []
    monkeypatch.setattr(
        environment,
        "_call",
        lambda command, name: (folder.mkdir(parents=True, exist_ok=True), commands.append(command)),
    )
    first = environment.interpreter("other")
    assert [command[:3][-1] for command in commands] == ["venv", "pip"]
    assert environment.interpreter("other") == first == folder / "bin" / "python"
    assert len(commands) == 2
    (folder / "requirements.txt").write_text("other-package==1.2\ntorch==1\n")
    environment.interpreter("other")
    assert len(commands) == 4


def test_a_peer_has_one_version(peer):
    peer("other-package>=1\n")
    with pytest.raises(ValueError, match=r"must begin with a pinned requirement, got 'other-package>=1'"):
        environment.interpreter("other")


def test_a_peer_that_cannot_be_installed_is_named():
    command = [sys.executable, "-c", "import sys; print('no network', file=sys.stderr); sys.exit(2)"]
    with pytest.raises(
        ChildProcessError,
        match=r"other must be installable to compare with it, got exit code 2(.|\n)*no network\nRun this where",
    ):
        environment._call(command, "other")


def test_the_shipped_peers_are_pinned():
    for requirements in environment.PEERS.glob("*/requirements.txt"):
        assert "==" in requirements.read_text().splitlines()[0]
