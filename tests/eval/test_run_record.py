import json
import shutil
import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

import oddpair
from oddpair.eval import run_record as module
from oddpair.eval.models_file import ModelChoice
from oddpair.eval.run_record import describe_package, name_device, run_record
from oddpair.retrieval.embed_shard import Tower
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.model_checks import check_model

HAS_GIT = shutil.which("git") is not None
needs_git = pytest.mark.skipif(not HAS_GIT, reason="git is not installed")


@pytest.fixture
def record():
    def make():
        encoder = load_encoder("reference", exact=True)
        report = check_model("reference", None, encoder)
        tower = Tower(model="reference", exact=True)
        return run_record(ModelChoice(model="reference"), report, encoder, tower=tower)

    return make


def test_the_same_run_gives_the_same_strict_json_without_a_time(record):
    first, second = (json.dumps(record(), allow_nan=False) for _ in range(2))
    assert first == second
    found = json.loads(first)
    assert found["format"] == 1
    assert found["model"]["model"] == "reference"
    assert found["model"]["pretrained"] is None
    assert len(found["model"]["sha256"]) == 64
    assert found["model"]["preprocessing"].startswith("shortest bicubic to 48 x 48 by Pillow")
    assert found["model"]["context_length"] == 16
    assert (found["precision"], found["dtype"]) == ("fp32", "float32")
    assert found["libraries"]["torch"] == version("torch")
    assert found["machine"]["device"]
    assert found["package"]["version"] == oddpair_version()
    assert "time" not in first.lower()


def oddpair_version():
    return version("oddpair")


def repository(folder: Path) -> str:
    """Make a repository with one commit of what the folder holds; return the commit."""
    run = ["git", "-C", str(folder), "-c", "user.name=a", "-c", "user.email=a@b"]
    for arguments in (["init", "-q"], ["add", "-A"], ["commit", "-q", "-m", "one", "--allow-empty"]):
        subprocess.run([*run, *arguments], check=True, capture_output=True)
    done = subprocess.run([*run, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    return done.stdout.strip()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A source tree of oddpair, which the package seems to lie in."""
    package = tmp_path / "tree" / "src" / "oddpair"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    monkeypatch.setattr(oddpair, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(module, "_installed_commit", lambda: None)
    return tmp_path / "tree"


@needs_git
def test_the_commit_is_that_of_the_packages_own_tree_and_a_change_makes_it_dirty(tree, tmp_path, monkeypatch):
    commit = repository(tree)
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("of another repository")
    assert repository(other) != commit
    monkeypatch.chdir(other)
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    assert describe_package() == {"version": oddpair_version(), "commit": commit, "dirty": False}
    (tree / "src" / "oddpair" / "new.py").write_text("")
    assert describe_package()["dirty"] is True


@needs_git
def test_a_package_in_the_environment_of_another_repository_has_no_commit(tmp_path, monkeypatch):
    package = tmp_path / "lib" / "site-packages" / "oddpair"
    package.mkdir(parents=True)
    repository(tmp_path)
    repository(tmp_path / "lib")
    monkeypatch.setattr(oddpair, "__file__", str(package / "__init__.py"))
    monkeypatch.setattr(module, "_installed_commit", lambda: None)
    assert describe_package() == {"version": oddpair_version(), "commit": None, "dirty": None}


def test_without_git_the_commit_is_unknown(tree, monkeypatch):
    (tree / ".git").mkdir()
    monkeypatch.setenv("PATH", "")
    assert describe_package() == {"version": oddpair_version(), "commit": None, "dirty": None}


@pytest.mark.parametrize(
    ("text", "commit"),
    [
        ('{"url": "https://x", "vcs_info": {"vcs": "git", "commit_id": "abc"}}', "abc"),
        ('{"url": "file:///x", "dir_info": {"editable": true}}', None),
        (None, None),
    ],
    ids=["from git", "editable", "from an index"],
)
def test_what_pip_wrote_down_of_a_repository_is_the_commit(tmp_path, monkeypatch, text, commit):
    class Installed:
        def read_text(self, name):
            assert name == "direct_url.json"
            return text

    monkeypatch.setattr(module, "distribution", lambda name: Installed())
    monkeypatch.setattr(oddpair, "__file__", str(tmp_path / "a" / "b" / "__init__.py"))
    found = describe_package()
    assert found["commit"] == commit
    assert found["dirty"] is (None if commit is None else False)


def test_a_device_that_is_no_processor_is_named_as_it_is():
    assert name_device("mps") == "mps"
    assert name_device("cpu")
