import threading

import numpy as np
import pytest

from oddpair.retrieval.decoding import prepare_in_order


@pytest.fixture(scope="module")
def files(noise, as_bytes):
    return [b"<html>" if seed % 7 == 3 else as_bytes(noise(seed, 10 + seed)) for seed in range(40)]


@pytest.mark.parametrize("threads", [0, 1, 3])
def test_files_come_in_their_order_pictures_as_prepared_and_others_as_reasons(files, threads):
    found = list(prepare_in_order(files, lambda pixels: pixels.shape[1], threads=threads, ahead=8))
    assert found == ["not a picture" if seed % 7 == 3 else 10 + seed for seed in range(40)]


@pytest.mark.parametrize("threads", [0, 2])
def test_each_position_is_told_before_its_file_is_decoded(files, threads):
    lock, told, done = threading.Lock(), [], []

    def before(position):
        with lock:
            told.append(position)

    def after(position):
        with lock:
            done.append(position)

    def prepare(pixels):
        with lock:
            assert pixels.shape[1] - 10 in told
            assert pixels.shape[1] - 10 not in done
        return pixels.shape

    shapes = list(prepare_in_order(files, prepare, threads=threads, ahead=4, before=before, after=after))
    assert len(shapes) == 40
    assert sorted(told) == sorted(done) == list(range(40))
    if not threads:
        assert told == done == list(range(40))


def test_no_file_is_being_decoded_while_its_reader_or_the_model_works(files):
    told: list[object] = []

    def stream():
        for data in files:
            told.append("read")
            yield data

    found = prepare_in_order(
        stream(), np.shape, threads=0, ahead=1, before=told.append, after=lambda _: told.append("done")
    )
    for _ in found:
        told.append("use")
    assert told == [word for position in range(40) for word in ("read", position, "done", "use")]


@pytest.mark.parametrize(("threads", "most"), [(0, 1), (2, 5)])
def test_threads_take_no_more_files_than_told_before_their_turn(files, threads, most):
    taken = 0

    def stream():
        nonlocal taken
        for data in files:
            taken += 1
            yield data

    for used, _ in enumerate(prepare_in_order(stream(), np.shape, threads=threads, ahead=5), start=1):
        assert used <= taken <= used - 1 + most


@pytest.mark.parametrize("threads", [0, 2])
def test_a_fault_that_is_not_the_pictures_is_not_swallowed(files, threads):
    def prepare(pixels):
        raise MemoryError(f"of {pixels.shape[1]}")

    with pytest.raises(MemoryError, match="of 10"):
        list(prepare_in_order(files, prepare, threads=threads, ahead=8))


def test_leaving_early_ends_the_threads(files):
    found = prepare_in_order(files, np.shape, threads=2, ahead=8)
    next(found)
    found.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("decode")]
