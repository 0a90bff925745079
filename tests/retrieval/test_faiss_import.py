"""faiss runs the kernel that fits the processor, and nobody else sees the variable that makes it so."""

import json
import os
import platform
import subprocess
import sys

import pytest

from oddpair.retrieval.faiss_import import (
    KNOWN_KERNELS,
    TOO_LATE,
    BlasReport,
    find_fitting,
    find_kernel,
    read_instructions,
)

AVX512 = frozenset({"avx2", "fma", "avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"})

bundled = pytest.mark.skipif(
    sys.platform != "linux" or platform.machine() != "x86_64" or not find_fitting("", read_instructions()),
    reason="the trap is one of Linux on x86_64 with AVX2",
)

HEAD = """
import dataclasses, json, os, subprocess, sys, threading
from oddpair.retrieval import faiss_import
from oddpair.retrieval.faiss_import import find_kernel, load_faiss, report_blas
def say(**more):
    print(json.dumps({**dataclasses.asdict(report_blas()), "obeyed": report_blas().is_obeyed, **more}))
"""


def run(program, **variables):
    """Run a program in a fresh process, with these variables and no other that OpenBLAS reads; give what it says."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENBLAS")}
    done = subprocess.run(
        [sys.executable, "-c", HEAD + program],
        env={**clean, **variables},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@bundled
def test_without_a_variable_faiss_is_asked_for_the_kernel_that_fits_and_obeys():
    said = run("say()")
    assert said["asked"] == said["fitting"] == said["faiss_kernel"]
    assert said["asked"] == KNOWN_KERNELS[said["numpy_kernel"]]
    assert (said["set_by_user"], said["reason"], said["obeyed"]) == (None, "", True)


@bundled
@pytest.mark.parametrize("value", ["Haswell", "SapphireRapids", ""])
def test_a_value_of_the_users_is_left_as_it_is_and_the_kernel_that_comes_of_it_is_told(value):
    said = run("load_faiss(); say(left=os.environ['OPENBLAS_CORETYPE'])", OPENBLAS_CORETYPE=value)
    assert (said["set_by_user"], said["left"], said["asked"]) == (value, value, "")
    assert said["reason"] == "OPENBLAS_CORETYPE was set already"
    assert said["faiss_kernel"] == find_alone(value)
    # What the processor deserves does not follow the variable.
    assert said["fitting"] == run("say()")["fitting"]


def find_alone(value):
    """Ask a process that knows nothing of oddpair which kernel faiss takes."""
    program = (
        "import faiss, threadpoolctl as t\n"
        "print(*(i['architecture'] for i in t.threadpool_info() if '/faiss_cpu.libs/libopenblas' in i['filepath']))"
    )
    environment = {**os.environ, "OPENBLAS_CORETYPE": value}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    ).stdout.strip()


@bundled
def test_child_processes_and_scipy_see_no_variable():
    said = run("""
load_faiss()
import scipy.linalg
child = subprocess.run([sys.executable, "-c", "import os; print(os.environ.get('OPENBLAS_CORETYPE'))"],
                       capture_output=True, text=True)
say(child=child.stdout.strip(), scipy=find_kernel("scipy"), here=os.environ.get("OPENBLAS_CORETYPE"))
""")
    plain = run("import scipy.linalg; print(json.dumps(find_kernel('scipy'))); sys.exit()")
    assert (said["child"], said["here"], said["scipy"]) == ("None", None, plain)


@bundled
def test_two_threads_at_once_get_one_module_with_the_kernel_that_fits():
    said = run("""
found, gate = [], threading.Barrier(8)
def load():
    gate.wait()
    found.append(load_faiss())
threads = [threading.Thread(target=load) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
say(modules=len(set(map(id, found))), loads=len(found), here=os.environ.get("OPENBLAS_CORETYPE"))
""")
    assert (said["modules"], said["loads"], said["here"]) == (1, 8, None)
    assert said["faiss_kernel"] == said["fitting"]


@bundled
def test_a_faiss_that_others_imported_is_left_alone_and_its_kernel_told():
    said = run("import faiss; say(same=load_faiss() is faiss)")
    assert (said["reason"], said["asked"], said["same"]) == (TOO_LATE, "", True)
    assert said["faiss_kernel"]


@bundled
def test_an_import_that_fails_leaves_no_variable_and_the_next_one_may_succeed():
    said = run("""
class Broken:
    def find_spec(self, name, path=None, target=None):
        if name == "faiss":
            raise ImportError("libopenblas is gone, variable " + os.environ["OPENBLAS_CORETYPE"])
sys.meta_path.insert(0, Broken())
try:
    load_faiss()
except ImportError as error:
    failed = str(error)
here = os.environ.get("OPENBLAS_CORETYPE")
del sys.meta_path[0]
say(failed=failed, here=here)
""")
    assert said["failed"] == f"libopenblas is gone, variable {said['fitting']}"
    assert said["here"] is None
    assert said["asked"] == said["faiss_kernel"]


def test_another_kind_of_processor_gets_a_plain_import():
    said = run("import platform; platform.machine = lambda: 'aarch64'; say()")
    assert said["asked"] == ""
    assert said["reason"] == f"{sys.platform} on aarch64 needs none"


def test_a_processor_that_no_kernel_is_known_for_gets_a_plain_import():
    said = run("""
faiss_import.KNOWN_KERNELS.clear()
faiss_import.read_instructions = frozenset
say()
""")
    assert (said["asked"], said["fitting"]) == ("", "")


@pytest.mark.parametrize(
    ("kernel", "instructions", "fitting"),
    [
        ("Zen", AVX512, "Haswell"),
        ("Cooperlake", frozenset(), "SkylakeX"),
        ("Sandybridge", AVX512, ""),
        ("", AVX512, "SkylakeX"),
        ("", AVX512 - {"avx512bw"}, "Haswell"),
        ("", frozenset({"avx2"}), ""),
        ("", frozenset(), ""),
    ],
)
def test_numpys_kernel_decides_and_without_one_the_instructions(kernel, instructions, fitting):
    assert find_fitting(kernel, instructions) == fitting


def test_instructions_are_read_from_the_kernels_file_or_unknown(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: sse2 avx2 fma\n\nprocessor\t: 1\nflags\t\t: sse2\n")
    assert read_instructions(path) == {"sse2", "avx2", "fma"}
    path.write_text("processor : 0\nFeatures : neon\n")
    assert read_instructions(path) == read_instructions(tmp_path / "none") == frozenset()


def test_a_package_without_an_openblas_of_its_own_has_no_kernel():
    assert find_kernel("pytest") == find_kernel("not_imported") == ""


@pytest.mark.parametrize(
    ("asked", "faiss_kernel", "obeyed"),
    [
        ("SkylakeX", "SkylakeX", True),
        ("SkylakeX", "Prescott", False),
        ("SkylakeX", "", True),
        ("", "Barcelona", True),
    ],
)
def test_a_kernel_other_than_the_one_asked_for_is_noticed(asked, faiss_kernel, obeyed):
    report = BlasReport(
        fitting="SkylakeX",
        numpy_kernel="SkylakeX",
        set_by_user=None,
        asked=asked,
        faiss_kernel=faiss_kernel,
        reason="",
    )
    assert report.is_obeyed == obeyed
