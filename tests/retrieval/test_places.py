import pickle
import re
from pathlib import Path

import fsspec
import pytest
from braceexpand import braceexpand

from oddpair.errors import Refusal
from oddpair.retrieval.places import Place, find_gaps, locate, require_no_gaps
from oddpair.retrieval.stores import find_path, identify_file, list_folder


def fill(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(name.encode())
    return folder


@pytest.fixture
def store():
    """An fsspec folder with shards, hidden files and a subfolder; gone when the test ends."""
    system = fsspec.filesystem("memory")
    for name in ("a/00000.tar", "a/00001.tar", "a/.hidden", "a/x.tmp", "a/part_1/deep.tar", "b/00000.tar"):
        system.pipe(f"/places/{name}", name.encode())
    yield "memory://places"
    system.rm("/places", recursive=True)


def test_a_folder_gives_its_direct_files_and_folders_in_order(tmp_path):
    fill(tmp_path, "b.tar", "a.tar", ".hidden", "a.tar.tmp", "sub/c.tar", ".git/x")
    expected = Place(root=tmp_path, names=("a.tar", "b.tar"), folders=("sub",))
    assert locate(tmp_path) == locate(str(tmp_path)) == locate(f"{tmp_path}/") == expected


def test_one_file_is_listed_by_the_user_and_its_folder_is_the_root(tmp_path):
    fill(tmp_path, "a.csv", "b.csv")
    assert locate(tmp_path / "a.csv") == Place(root=tmp_path, names=("a.csv",), explicit=True)


def test_a_listing_asks_nothing_of_single_files(tmp_path, monkeypatch):
    fill(tmp_path, *(f"{number:03d}.jpg" for number in range(50)))

    def refuse(*arguments, **options):
        raise AssertionError("a file was asked")

    for name in ("is_file", "is_dir", "stat"):
        monkeypatch.setattr(Path, name, refuse)
    assert len(list_folder(tmp_path)[0]) == 50


@pytest.mark.parametrize(
    ("listed", "root", "names"),
    [
        ("a/{00000..00002}.tar", "a", ["00000.tar", "00001.tar", "00002.tar"]),
        ("a/{00002..00000..2}.tar", "a", ["00000.tar", "00002.tar"]),
        ("a/0000{0,2}.tar", "a", ["00000.tar", "00002.tar"]),
        (
            "a/{00000..00001}.tar::b/{000..001}.tar",
            "",
            ["a/00000.tar", "a/00001.tar", "b/000.tar", "b/001.tar"],
        ),
        ("b/000.tar::b/c/x.tar", "b", ["000.tar", "c/x.tar"]),
        ("b/c/../000.tar::a/00000.tar", "", ["a/00000.tar", "b/000.tar"]),
    ],
)
def test_lists_name_files_from_the_folder_that_they_share(tmp_path, listed, root, names):
    fill(tmp_path, *(f"a/0000{n}.tar" for n in range(3)), "b/000.tar", "b/001.tar", "b/c/x.tar")
    text = "::".join(f"{tmp_path}/{part}" for part in listed.split("::"))
    place = locate(text)
    assert place == Place(root=tmp_path / root, names=tuple(names), explicit=True)
    assert all((place.root / name).is_file() for name in place.names)
    written = [path for part in text.split("::") for path in braceexpand(part)]
    assert {(place.root / name).resolve() for name in place.names} == {
        Path(path).resolve() for path in written
    }


def test_lists_may_be_relative_to_where_one_is(tmp_path, monkeypatch):
    fill(tmp_path, "a/0.tar", "b/0.tar")
    monkeypatch.chdir(tmp_path)
    assert locate("{a,b}/0.tar") == Place(root=Path(), names=("a/0.tar", "b/0.tar"), explicit=True)
    mixed = locate(f"a/0.tar::{tmp_path}/b/0.tar")
    assert (mixed.root, mixed.names) == (tmp_path, ("a/0.tar", "b/0.tar"))


def test_a_local_name_that_looks_like_a_list_is_taken_as_it_is(tmp_path):
    fill(tmp_path, "{a,b}/x.jpg", "one::two/y.jpg")
    assert locate(tmp_path / "{a,b}").names == ("x.jpg",)
    assert locate(f"{tmp_path}/one::two").names == ("y.jpg",)


def test_a_relative_name_with_a_colon_is_local_as_a_path_or_behind_a_dot(tmp_path, monkeypatch):
    fill(tmp_path, "a:b/x.jpg")
    monkeypatch.chdir(tmp_path)
    assert locate(Path("a:b")).names == locate("./a:b").names == ("x.jpg",)
    with pytest.raises(Refusal, match="begins with 'a:', which is never followed"):
        locate("a:b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "pipe:cat /etc/hostname",
            r"'pipe:cat /etc/hostname' begins with 'pipe:', which is never followed: a corpus",
        ),
        ("PIPE:id", "begins with 'PIPE:', which is never followed"),
        ("file:///etc", "begins with 'file:', which is never followed"),
        ("http://localhost/a/", "begins with 'http:', which is never followed"),
        ("s3:bucket", "begins with 's3:', which is never followed"),
        ("pipe:id::pipe:id2", "begins with 'pipe:', which is never followed"),
        ("pipe:echo {a,b}", "begins with 'pipe:', which is never followed"),
        (
            "simplecache::memory://places/a",
            "the list names simplecache and memory://places/a, of different kinds",
        ),
        ("memory://places/a/00000.tar::pipe:id", "and pipe:id, of different kinds"),
        ("zip://x::memory://y", "of different kinds"),
        ("zip://{a,b}::zip://c", "begins with 'zip:', which is never followed"),
    ],
    ids=lambda text: f"17-{text}" if text.isascii() and " " not in text else "17",
)
def test_what_is_neither_local_nor_an_accepted_url_is_never_followed(text, message, monkeypatch):
    monkeypatch.setattr("subprocess.Popen", lambda *_, **__: pytest.fail("a program was started"))
    with pytest.raises(Refusal, match=message):
        locate(text)


@pytest.mark.parametrize("missing", [1, 7], ids=["18-one", "18-many"])
def test_listed_files_that_are_missing_are_refused_by_name(tmp_path, missing):
    fill(tmp_path, *(f"{number:05d}.tar" for number in range(13 - missing)))
    lost = [f"{number:05d}.tar" for number in range(13 - missing, 13)]
    shown = ", ".join(lost[:5]) + (" and 2 more" if missing == 7 else "")
    with pytest.raises(Refusal, match=re.escape(f"{tmp_path} lacks {shown}, of 13 files listed: fetch")):
        locate(f"{tmp_path}/{{00000..00012}}.tar")


@pytest.mark.parametrize(
    ("stems", "missing"),
    [
        (["00000"], []),
        (["00001", "00000"], []),
        (["00000", "00004", "00002"], ["00001", "00003"]),
        (["00000007", "00000009"], ["00000008"]),
        (["00000", "00000", "00002"], ["00001"]),
    ],
)
def test_gaps_are_the_numbers_between_the_first_and_the_last(stems, missing):
    assert list(find_gaps(stems)) == missing


def test_a_gap_between_shards_is_refused_unless_the_user_listed_them__18(tmp_path):
    stems = ["00000000", "00000003", "99999999"]
    with pytest.raises(
        Refusal,
        match=r"lacks 00000001, 00000002, 00000004, 00000005, 00000006 and 99,999,992 more between shards 00000000 and",
    ):
        require_no_gaps(Place(root=tmp_path, names=()), stems)
    require_no_gaps(Place(root=tmp_path, names=(), explicit=True), stems)
    require_no_gaps(Place(root=tmp_path, names=()), ["00004", "00005"])
    require_no_gaps(Place(root=tmp_path, names=()), [])


def test_names_that_differ_in_more_than_the_last_number_are_no_gap__18(tmp_path):
    folder = Place(root=tmp_path, names=())
    require_no_gaps(folder, ["train-0", "train-1", "val-1", "test", "a9b", "x5", "2020-1", "2021-9"])
    with pytest.raises(Refusal, match="lacks x-2, x-3, x-4, x-5, x-6 and 2 more between shards x-1 and x-09"):
        require_no_gaps(folder, ["x-1", "x-09", "train-0"])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{root}/{{a", "has a brace without its partner"),
        ("{root}/{{0..99999999999999}}.tar", "stands for more than 2,000 files"),
        ("{root}/{{0..9999}}{{0..9999}}.tar", "stands for more than 2,000 files"),
        ("{root}/a.tar::", "has an empty entry"),
        ("{root}/a.tar::{root}/a.tar", r"names .*a\.tar twice"),
        ("{root}/none", "none does not exist: check the path"),
        ("{root}/" + "x" * 5000, "cannot be read"),
        ("{root}/a\0b", "does not exist"),
    ],
)
def test_what_cannot_be_found_is_refused(tmp_path, monkeypatch, text, message):
    monkeypatch.setattr("oddpair.retrieval.places._MOST_FILES", 2000)
    fill(tmp_path, "a.tar")
    with pytest.raises(Refusal, match=message):
        locate(text.format(root=tmp_path))


def test_a_store_is_listed_as_a_folder_is(store):
    place = locate(f"{store}/a")
    assert (place.names, place.folders, place.explicit) == (("00000.tar", "00001.tar"), ("part_1",), False)
    assert (place.root / "00000.tar").read_bytes() == b"a/00000.tar"
    assert locate(f"{store}/a/").names == place.names
    assert locate("MEMORY" + store.removeprefix("memory") + "/a").names == place.names
    one = locate(f"{store}/a/00001.tar")
    assert (str(one.root), one.names, one.explicit) == (f"{store}/a", ("00001.tar",), True)


def test_lists_of_a_store_are_expanded_and_checked(store):
    place = locate(f"{store}/a/{{00000..00001}}.tar::{store}/b/00000.tar")
    assert (str(place.root), place.explicit) == (store, True)
    assert place.names == ("a/00000.tar", "a/00001.tar", "b/00000.tar")
    assert (place.root / "b/00000.tar").read_bytes() == b"b/00000.tar"
    with pytest.raises(Refusal, match=r"lacks a/00002\.tar, c/00000\.tar, of 5 files listed"):
        locate(f"{store}/a/{{00000..00002}}.tar::{store}/{{b,c}}/00000.tar")
    with pytest.raises(Refusal, match="files of several stores"):
        locate(f"{store}/a/00000.tar::memory://elsewhere/b")
    with pytest.raises(Refusal, match="memory://places/none does not exist"):
        locate(f"{store}/none")


def test_a_place_in_a_store_can_be_sent_to_another_process(store):
    place = locate(f"{store}/a")
    copy = pickle.loads(pickle.dumps(place))
    assert copy == place
    assert (copy.root / "00001.tar").read_bytes() == b"a/00001.tar"


def test_a_place_on_s3_can_be_sent_to_another_process_without_a_connection(monkeypatch, no_network):
    monkeypatch.setattr(fsspec, "get_filesystem_class", lambda protocol: None)
    place = Place(root=find_path("s3://bucket/folder"), names=())
    copy = pickle.loads(pickle.dumps(place))
    assert copy == place
    assert str(copy.root / "x") == "s3://bucket/folder/x"


@pytest.mark.parametrize(("scheme", "driver"), [("s3", "s3fs"), ("gs", "gcsfs"), ("abfs", "adlfs")])
def test_a_missing_driver_is_refused_with_how_to_install_it(scheme, driver, monkeypatch):
    def fail(protocol):
        raise ImportError(f"Install {driver}")

    monkeypatch.setattr(fsspec, "get_filesystem_class", fail)
    with pytest.raises(Refusal, match=f"{scheme}://bucket/a needs a driver .*: pip install {driver}$"):
        locate(f"{scheme}://bucket/a")


def test_an_error_of_the_store_is_one_line(store, monkeypatch):
    def fail(*arguments, **options):
        raise PermissionError("Access denied\nby the store")

    monkeypatch.setattr(fsspec.filesystem("memory"), "ls", fail, raising=False)
    with pytest.raises(
        Refusal, match=r"^memory://places/a cannot be read \(Access denied\): check .* credentials$"
    ):
        locate(f"{store}/a")


def test_a_file_is_identified_by_its_content_or_by_the_tag_of_its_store(tmp_path, store, monkeypatch):
    fill(tmp_path, "a/00000.tar")
    local = identify_file(tmp_path / "a/00000.tar")
    remote = find_path(f"{store}/a/00000.tar")
    assert identify_file(remote) == local
    assert len(local) == 64
    assert identify_file(find_path(f"{store}/a/00001.tar")) != local
    monkeypatch.setattr(
        fsspec.filesystem("memory"), "info", lambda *_, **__: {"ETag": '"abc"', "size": 11}, raising=False
    )
    assert identify_file(remote) == "abc 11"
    with pytest.raises(Refusal, match=r"none\.tar does not exist"):
        identify_file(tmp_path / "none.tar")
