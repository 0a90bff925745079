"""``oddpair doctor`` finds what makes a machine slow, names the remedy and ends well unless nothing can run."""

import json
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from oddpair import cli
from oddpair.commands import doctor as examiner
from oddpair.commands.check import Check
from oddpair.commands.doctor import check_first_pass, check_gpu, check_package, check_rates
from oddpair.commands.doctor_blas import check_environment, check_kernels, check_threads
from oddpair.commands.machine import Room, find_memory_limit, find_quota, look_around, name_processor
from oddpair.commands.rates import Rates, measure_rates
from oddpair.errors import Refusal
from oddpair.retrieval.faiss_import import TOO_LATE, BlasReport


def room(usable=4, quota=None):
    return Room(cores=8, allowed=usable, quota=quota, memory_free=1, memory=2, disk_free=3)


def report(faiss_kernel="SkylakeX", numpy_kernel="SkylakeX", **fields):
    default = {"fitting": "SkylakeX", "set_by_user": None, "asked": "", "reason": ""}
    return BlasReport(**{**default, "faiss_kernel": faiss_kernel, "numpy_kernel": numpy_kernel, **fields})


def judge(checks):
    return {check.name: (check.verdict, check.remedy) for check in checks}


def write(folder, **texts):
    """Write files of /proc and /sys, named by their paths."""
    for name, text in texts.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


@pytest.fixture(scope="module")
def real():
    """The verb in a process of its own, as a user with a wrong variable in the shell runs it."""
    clean = {
        name: value for name, value in os.environ.items() if not name.startswith(("OPENBLAS", "OMP", "MKL"))
    }
    return subprocess.run(
        [sys.executable, "-m", "oddpair.cli", "doctor", "--json"],
        env={**clean, "OPENBLAS_CORETYPE": "NoSuchProcessor"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def test_on_this_machine_everything_can_be_used_and_a_wrong_variable_is_told_as_the_cause(real):
    assert real.returncode == 0, real.stderr
    checks = json.loads(real.stdout)["checks"]
    assert {check["topic"] for check in checks} == {
        "software", "machine", "environment", "matrix kernels", "threads", "first pass of exact search", "GPU",
        "files", "what ships",
        "measured now on one core, while others may use the machine",
    }  # fmt: skip
    found = {(check["topic"], check["name"]): check for check in checks}
    assert all(check["verdict"] != "unusable" for check in checks)
    kernel = found["matrix kernels", "faiss"]
    assert "nothing was done: OPENBLAS_CORETYPE was set already" in kernel["found"]
    assert (
        kernel["verdict"] == "ok" or kernel["remedy"] == "unset OPENBLAS_CORETYPE, which is 'NoSuchProcessor'"
    )
    assert found["environment", "OPENBLAS_CORETYPE"]["found"] == "NoSuchProcessor"
    passes = [check["found"] for check in checks if check["topic"] == "first pass of exact search"]
    assert passes.count("chosen") == 1
    assert found["machine", "cores"]["value"] == look_around().usable


@pytest.mark.parametrize(
    ("given", "name", "remedy"),
    [
        (report(), "faiss", ""),
        (report("Haswell", "Zen", fitting="Haswell"), "faiss", ""),
        (report("Zen", "Zen", fitting="Haswell"), "numpy", ""),
        (report("", "", fitting=""), "faiss", ""),
        (report("Barcelona", "Barcelona", fitting=""), "faiss", ""),
        (
            report("Barcelona", reason=TOO_LATE),
            "faiss",
            "import faiss through oddpair.retrieval.faiss_import.load_faiss",
        ),
        (report("Prescott", asked="SkylakeX"), "faiss", "install a newer faiss"),
        (report("Prescott", set_by_user=""), "faiss", "unset OPENBLAS_CORETYPE, which is ''"),
        (report("Haswell", set_by_user="Haswell"), "faiss", "unset OPENBLAS_CORETYPE, which is 'Haswell'"),
        (report(numpy_kernel="Nehalem"), "numpy", "install a newer numpy"),
    ],
)
def test_a_kernel_of_narrower_registers_than_the_processors_is_slow(given, name, remedy):
    assert judge(check_kernels(given, "", ""))[name] == ("slow" if remedy else "ok", remedy)


def test_the_line_of_faiss_says_what_was_done():
    def tell(*given):
        return list(check_kernels(*given))[-1].found

    assert tell(report(asked="SkylakeX"), "", "Barcelona") == (
        "SkylakeX, asked for while it loaded; by itself it takes Barcelona"
    )
    assert (
        tell(report("Prescott", asked="SkylakeX"), "", "Prescott")
        == "Prescott, though SkylakeX was asked for"
    )
    assert tell(report("", reason="why"), "", "") == "no OpenBLAS of its own, nothing was done: why"


@pytest.mark.parametrize(
    ("name", "value", "remedy"),
    [
        ("OMP_NUM_THREADS", "1", "unset OMP_NUM_THREADS: there are 4 cores to use"),
        ("OMP_NUM_THREADS", "4,2", ""),
        ("MKL_NUM_THREADS", "16", "unset MKL_NUM_THREADS, or set it to 4: threads wait for one another"),
        ("OPENBLAS_NUM_THREADS", "many", ""),
        ("OMP_PROC_BIND", "1", ""),
    ],
)
def test_a_variable_that_idles_or_crowds_cores_is_slow(name, value, remedy):
    assert judge(check_environment({name: value, "HOME": "/root"}, room())) == {
        name: ("slow" if remedy else "ok", remedy)
    }


def test_an_environment_without_such_variables_is_told_as_one():
    assert judge(check_environment({"HOME": "/root", "COMP_WORDS": "1"}, room())) == {"variables": ("ok", "")}


def test_more_threads_than_a_control_group_grants_are_slow():
    found = judge(check_threads({"numpy": 8, "torch": 2}, room(usable=8, quota=1.5)))
    assert found == {
        "numpy": ("slow", "export OMP_NUM_THREADS=2: threads wait for one another"),
        "torch": ("ok", ""),
    }


def test_a_pass_that_only_torch_keeps_from_being_chosen_is_slow_and_one_the_processor_lacks_is_missing():
    verdicts = {"int8": "this torch has none", "bfloat16": "no such instructions", "float32": "ok"}
    assert judge(check_first_pass(verdicts, "float32")) == {
        "int8": ("slow", "install a newer torch"),
        "bfloat16": ("missing", ""),
        "float32": ("ok", ""),
    }


@pytest.mark.parametrize(("search", "verdict"), [(30, "slow"), (90, "ok")])
def test_flat_search_at_less_than_half_the_rate_of_its_product_is_slow(search, verdict):
    product, found = check_rates(Rates(search=search, product=100))
    assert (product.verdict, found.verdict, found.value) == ("ok", verdict, search)
    assert found.name == "faiss flat search"
    assert f"{search} GFLOP/s, {search}% of the product" in found.found


def test_a_gpu_is_told_with_its_memory_and_a_machine_without_one_as_missing(monkeypatch):
    import torch

    gpu = SimpleNamespace(name="Some GPU", total_memory=80_000_000_000)
    monkeypatch.setattr(torch.version, "cuda", "13.2")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda number: gpu)
    found = list(check_gpu())
    assert [check.name for check in found] == ["cuda:0", "cuda:1"]
    assert (found[1].found, found[1].value) == ("Some GPU, 80 GB, CUDA 13.2", 80e9)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    (none,) = check_gpu()
    assert (none.verdict, none.found) == ("missing", f"none; torch {torch.__version__} has CUDA")


def test_rates_are_measured():
    found = measure_rates(seconds=0.05)
    assert 0 < found.search < 1e6
    assert 0 < found.product < 1e6


def test_a_package_that_is_not_there_is_missing_if_it_is_optional_and_else_unusable():
    assert check_package("no_such", "no-such-thing-here", True).verdict == "missing"
    found = check_package("no_such", "no-such-thing-here", False)
    assert (found.verdict, found.found) == ("unusable", "No module named 'no_such'")
    assert found.remedy == "pip install --force-reinstall no-such-thing-here"


@pytest.mark.parametrize(
    ("files", "quota", "memory"),
    [
        ({}, None, None),
        (
            {
                "proc/self/cgroup": "0::/user/job\n",
                "sys/fs/cgroup/user/job/cpu.max": "max 100000\n",
                "sys/fs/cgroup/user/cpu.max": "150000 100000\n",
                "sys/fs/cgroup/user/job/memory.max": "max\n",
                "sys/fs/cgroup/memory.max": "4096\n",
            },
            1.5,
            4096,
        ),
        (
            {
                "proc/self/cgroup": "4:memory:/far\n2:cpu,cpuacct:/far\n0::/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "1024\n",
            },
            2.0,
            1024,
        ),
        (
            {
                "proc/self/cgroup": "2:cpu:/\n4:memory:/\n",
                "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "-1\n",
                "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
                "sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
            },
            None,
            None,
        ),
    ],
    ids=["none", "version-2", "version-1", "version-1-unlimited"],
)
def test_control_groups_of_either_version_limit_cores_and_memory(tmp_path, files, quota, memory):
    write(tmp_path, **files)
    assert (find_quota(tmp_path), find_memory_limit(tmp_path)) == (quota, memory)


def test_memory_is_the_machines_or_the_groups_whichever_is_less(tmp_path):
    meminfo = "MemTotal:    16 kB\nMemAvailable:    8 kB\nHugePages_Total:  0\n"
    write(tmp_path, **{"proc/meminfo": meminfo})
    found = look_around(tmp_path)
    assert (found.memory_free, found.memory) == (8192, 16384)
    write(tmp_path, **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/memory.max": "4096"})
    found = look_around(tmp_path)
    assert (found.memory_free, found.memory) == (4096, 4096)


@pytest.mark.parametrize(
    ("files", "free"),
    [
        ({"memory.max": "9000", "memory.current": "7000"}, 2000),
        (
            {"memory.max": "9000", "memory.current": "7000", "memory.stat": "anon 1\ninactive_file 500\n"},
            2500,
        ),
        ({"memory.max": "9000", "memory.current": "9500"}, 0),
        ({"memory.max": "90000", "memory.current": "7000"}, 8192),
        ({"memory.max": "max", "memory.current": "7000"}, 8192),
        (
            {
                "memory/memory.limit_in_bytes": "9000",
                "memory/memory.usage_in_bytes": "7000",
                "memory/memory.stat": "inactive_file 400\ntotal_inactive_file 500\n",
            },
            2500,
        ),
    ],
)
def test_free_memory_is_what_the_group_has_not_used(tmp_path, files, free):
    group = "4:memory:/\n" if any("/" in name for name in files) else "0::/\n"
    write(tmp_path, **{"proc/self/cgroup": group, "proc/meminfo": "MemTotal: 16 kB\nMemAvailable: 8 kB\n"})
    write(tmp_path, **{f"sys/fs/cgroup/{name}": text for name, text in files.items()})
    assert look_around(tmp_path).memory_free == free


def test_a_working_folder_that_was_deleted_is_refused(tmp_path, monkeypatch):
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    with pytest.raises(Refusal, match="the working folder was deleted: cd to one that is there"):
        next(examiner.examine())


@pytest.mark.parametrize(("allowed", "quota", "usable"), [(8, None, 8), (8, 2.5, 3), (2, 64, 2), (8, 0.1, 1)])
def test_usable_cores_are_those_allowed_and_granted(allowed, quota, usable):
    assert room(allowed, quota).usable == usable


def test_the_processor_is_named_by_the_kernel_or_by_its_architecture(tmp_path):
    assert name_processor(tmp_path)
    write(tmp_path, **{"proc/cpuinfo": "processor : 0\nmodel name : Some CPU\nmodel name : Other\n"})
    assert name_processor(tmp_path) == "Some CPU"


def invoke(monkeypatch, *checks):
    monkeypatch.setattr(examiner, "examine", lambda: iter(checks))
    return CliRunner().invoke(cli.app, ["doctor"])


def test_a_slow_thing_is_told_with_its_remedy_and_does_not_fail(monkeypatch):
    found = invoke(
        monkeypatch,
        Check(topic="a", name="one", found="is\x1b[2J there"),
        Check(topic="a", name="two", found="crawls", verdict="slow", remedy="push it"),
    )
    assert found.exit_code == 0
    assert found.output.splitlines() == [
        "ok        a: one: is\\x1b[2J there",
        "slow      a: two: crawls",
        "          do: push it",
        "oddpair runs here, slower than it could: two",
    ]


def test_a_library_that_cannot_be_used_gives_exit_2_and_nothing_more_is_measured(monkeypatch):
    broken = [("no_such", "no-such-thing-here", False)]
    monkeypatch.setattr(examiner, "_PACKAGES", broken)
    found = CliRunner().invoke(cli.app, ["doctor"])
    assert found.exit_code == 2
    assert "do: pip install --force-reinstall no-such-thing-here" in found.output
    assert found.output.splitlines()[-1] == "oddpair cannot run here: no_such"
    assert "matrix kernels" not in found.output


def test_on_a_terminal_topics_are_headings_and_nothing_is_lost(monkeypatch, capsys):
    from oddpair import cli_doctor

    remedy = "a remedy as long as three lines of a narrow terminal, " * 3
    monkeypatch.setenv("COLUMNS", "60")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    checks = [Check(topic="heading", name="[red]name", found="found", verdict="slow", remedy=remedy)]
    monkeypatch.setattr(examiner, "examine", lambda: iter(checks))
    cli_doctor.doctor(as_json=False)
    printed = re.sub(r"\x1b\[[\d;]*m", "", capsys.readouterr().out)
    assert "\nheading\n" in printed
    assert "[red]name" in printed
    assert "".join(remedy.split()) in "".join(printed.split())
