"""What ``oddpair doctor`` says of libraries, of the place where runs write, and of what ships."""

import resource
import shutil
import sys
import time
from importlib.metadata import PackageNotFoundError, requires, version
from types import SimpleNamespace

import pytest

from oddpair import files
from oddpair.commands.doctor_place import check_files, check_libraries, check_shipped
from oddpair.errors import Refusal


def by_name(checks):
    return {check.name: check for check in checks}


def test_all_declared_libraries_are_here_and_those_told_elsewhere_are_not_counted():
    declared = [line for line in requires("oddpair") or () if "extra ==" not in line]
    every = by_name(check_libraries([]))
    assert set(every) == {"others"}
    assert every["others"].value == len(declared)
    assert by_name(check_libraries(["numpy", "pandas"]))["others"].value == len(declared) - 2


def test_a_library_that_is_missing_or_too_old_is_named_with_what_mends_it():
    def find(name):
        if name == "pandas":
            raise PackageNotFoundError(name)
        return "0.1" if name == "pillow" else version(name)

    found = by_name(check_libraries([], find))
    assert (found["pandas"].verdict, found["pandas"].found) == ("unusable", "not installed")
    assert found["pandas"].remedy.startswith("pip install --upgrade 'pandas>=")
    assert found["pillow"].found.startswith("0.1, >=")
    assert found["pillow"].verdict == "unusable"


def test_a_place_to_write_is_tried_and_left_as_it_was(tmp_path):
    found = by_name(check_files(tmp_path))
    assert found["writing"].verdict == "ok"
    assert list(tmp_path.iterdir()) == []


def test_a_place_where_nothing_can_be_written_or_renamed_is_told(tmp_path, monkeypatch):
    assert by_name(check_files(tmp_path / "gone"))["writing"].verdict == "unusable"

    def refuse(path, data):
        raise Refusal(f"{path} cannot be written (no rename here)")

    monkeypatch.setattr(files, "write_bytes", refuse)
    told = by_name(check_files(tmp_path))["writing"]
    assert "no rename here" in told.found
    assert told.remedy == "go to a folder on a disk of this machine"


def test_a_slow_disk_few_open_files_and_a_full_temporary_folder_are_slow(tmp_path, monkeypatch):
    times = iter([0.0, 0.9])
    monkeypatch.setattr(time, "perf_counter", lambda: next(times))
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=10))
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "ascii")
    found = by_name(check_files(tmp_path))
    assert {name: check.verdict for name, check in found.items()} == dict.fromkeys(
        ("writing", "open files", "temporary folder", "names"), "slow"
    )
    assert all(check.remedy for check in found.values())


def test_what_ships_is_opened_and_what_is_damaged_is_named(tmp_path, monkeypatch):
    from oddpair.retrieval import model_places

    found = by_name(check_shipped())
    assert [check.verdict for check in found.values()] == ["ok", "ok"]
    (tmp_path / "open_clip_model.safetensors").write_bytes(b"no tensors")
    monkeypatch.setattr(model_places, "reference_folder", lambda: tmp_path)
    assert by_name(check_shipped())["reference encoder"].verdict == "unusable"


def test_a_benchmark_whose_lock_does_not_fit_is_told(monkeypatch):
    from oddpair.benchmarks import benchmark_file

    def refuse(name):
        raise Refusal(f"{name}: its lock says something else")

    monkeypatch.setattr(benchmark_file, "load_benchmark", refuse)
    told = by_name(check_shipped())["benchmarks"]
    assert told.verdict == "unusable"
    assert "its lock says something else" in told.found


@pytest.mark.parametrize("limit", [-1, 1024])
def test_enough_open_files_are_enough(tmp_path, monkeypatch, limit):
    monkeypatch.setattr(resource, "getrlimit", lambda _: (limit, limit))
    assert by_name(check_files(tmp_path))["open files"].verdict == "ok"
