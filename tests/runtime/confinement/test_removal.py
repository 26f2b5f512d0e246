import os

from jaxkd.runtime.confinement.removal import remove


def test_a_folder_that_is_too_deep_for_a_path_goes(tmp_path, monkeypatch):
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    for _ in range(30):
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
        open("file", "w").close()
    monkeypatch.chdir(tmp_path)
    remove(str(folder))
    assert list(tmp_path.iterdir()) == []


def test_links_go_and_what_they_point_to_stays(tmp_path):
    outside, folder = tmp_path / "outside", tmp_path / "folder"
    outside.mkdir()
    (outside / "file").write_text("x")
    (folder / "closed").mkdir(parents=True)
    (folder / "link").symlink_to(outside)
    (folder / "closed" / "link").symlink_to(outside / "file")
    (folder / "closed").chmod(0)
    remove(str(folder))
    assert not folder.exists()
    assert (outside / "file").read_text() == "x"
