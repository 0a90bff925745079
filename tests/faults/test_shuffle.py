"""Case 56: what may not matter does not."""

from __future__ import annotations

from typing import Any


def test_one_worker_another_locale_and_another_place_make_the_same_bytes(demo: Any) -> None:
    place = demo.folder / "another place"
    place.mkdir()
    environment = {
        "LC_ALL": "C",
        "LANG": "tr_TR.UTF-8",
        "PYTHONHASHSEED": "1",
        "TZ": "Asia/Kathmandu",
        "COLUMNS": "40",
        "OMP_NUM_THREADS": "1",
    }
    fault = {"shuffle": 1}
    ended = demo.run("some demo", fault, workers=1, fresh=True, environment=environment, folder=place)
    assert ended.status == 0
    demo.expect_same(place / "some demo")


def test_three_workers_and_a_shuffled_folder_order_make_the_same_bytes(demo: Any) -> None:
    environment = {"LC_ALL": "C.UTF-8", "PYTHONHASHSEED": "4242"}
    folder = demo.folder / "three workers"
    ended = demo.run(folder, {"shuffle": 2}, workers=3, fresh=True, environment=environment)
    assert ended.status == 0
    demo.expect_same(folder)
