"""The plan of the house: links, one-way imports, small files, public functions that say what they take and give."""

import ast
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("retrieval", "splits", "benchmarks", "eval")
LEAVES = {
    "errors",
    "files",
    "progress",
    "html",
    "html_style",
    "jobs",
    "supervision",
    "engines",
    "workers",
    "stages",
}
# A file that outgrows this has outgrown its one idea.
MOST_LINES = 430


def code(folder):
    return sorted(path for path in (ROOT / folder).rglob("*.py") if "__pycache__" not in path.parts)


def own_files():
    """Files of src/oddpair itself, without the linked rooms."""
    package = ROOT / "src" / "oddpair"
    return sorted(
        path
        for path in package.rglob("*.py")
        if path.relative_to(package).parts[0] not in ROOMS and "__pycache__" not in path.parts
    )


def all_files():
    return [path for room in ROOMS for path in code(room)] + own_files()


def named(path):
    return str(path.relative_to(ROOT))


def imports(path):
    """Every module that a file imports, wherever in the file it stands, with names taken from packages."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{named(path)} line {node.lineno}: import it by its full name"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_module(name):
    """Say whether a dotted name below oddpair is a module rather than something in one."""
    place = ROOT / "src" / Path(*name.split("."))
    return place.is_dir() or place.with_suffix(".py").is_file()


def modules(path):
    return {name for name in imports(path) if name.split(".")[0] == "oddpair" and is_module(name)}


@pytest.mark.parametrize("room", ROOMS)
def test_each_room_is_linked_into_the_package_by_a_relative_link(room):
    link = ROOT / "src" / "oddpair" / room
    assert link.is_symlink()
    assert str(link.readlink()) == f"../../{room}"
    assert link.resolve() == ROOT / room
    assert (ROOT / room / "__init__.py").is_file()


def test_the_package_holds_no_other_link():
    found = {path.name for path in (ROOT / "src" / "oddpair").iterdir() if path.is_symlink()}
    assert found == set(ROOMS)


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_imports_itself_rooms_to_its_left_and_leaves(room):
    allowed = {"oddpair", *(f"oddpair.{name}" for name in LEAVES)}
    rooms = ROOMS[: ROOMS.index(room) + 1]
    assert code(room)
    for path in code(room):
        for name in modules(path) - allowed:
            assert name.split(".")[1] in rooms, f"{named(path)} imports {name}"


@pytest.mark.parametrize("name", sorted(LEAVES))
def test_a_leaf_imports_leaves_alone(name):
    found = modules(ROOT / "src" / "oddpair" / f"{name}.py")
    assert found <= {"oddpair", *(f"oddpair.{leaf}" for leaf in LEAVES)}


def test_every_file_of_the_package_is_a_leaf_or_belongs_to_the_command_line():
    folders = {"commands", "demo"}
    for path in own_files():
        first, *rest = path.relative_to(ROOT / "src" / "oddpair").parts
        known = (
            first in folders if rest else path.stem in LEAVES | {"__init__"} or path.stem.startswith("cli")
        )
        assert known, f"{named(path)} is no leaf: name it in LEAVES, or move it into a room"


def test_no_room_imports_the_command_line_and_commands_do_not_import_the_demo():
    for path in all_files():
        inside = path.relative_to(ROOT).parts
        for name in modules(path):
            if inside[0] in ROOMS:
                assert name.split(".")[1:2] not in (["commands"], ["demo"], ["cli"]), f"{named(path)}: {name}"
            if "commands" in inside:
                assert not name.startswith("oddpair.demo"), f"{named(path)}: {name}"


def test_no_file_imports_a_room_by_its_bare_name():
    for path in [*all_files(), *code("tests")]:
        for name in imports(path):
            assert name.split(".")[0] not in ROOMS, f"{named(path)} imports {name}: import oddpair.{name}"


def test_torch_and_open_clip_are_imported_where_they_are_used_and_nowhere_at_start():
    heavy = {"torch", "open_clip", "faiss", "pandas", "matplotlib", "sklearn", "statsmodels", "torchvision"}
    for path in all_files():
        tree = ast.parse(path.read_text())
        for node in tree.body:
            found = set()
            if isinstance(node, ast.Import):
                found = {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                found = {node.module.split(".")[0]}
            assert not found & heavy, f"{named(path)} line {node.lineno} imports {found} at start"


@pytest.mark.parametrize("path", all_files(), ids=named)
def test_a_file_is_small_and_says_what_it_is(path):
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("path", [path for room in ROOMS for path in code(room)], ids=named)
def test_public_functions_say_what_they_do_and_what_they_take(path):
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or node.name == "main":
            continue
        if any(ast.unparse(decorator) == "overload" for decorator in node.decorator_list):
            continue
        text = ast.get_docstring(node) or ""
        where = f"{named(path)}: {node.name}"
        assert text, f"{where} has no docstring"
        arguments = [*node.args.args, *node.args.kwonlyargs]
        # One sentence is enough for what takes little, and for the strokes of the drawn world.
        if len(arguments) > 5 and "miniature" not in path.parts:
            assert "Args:" in text, f"{where} does not say what its arguments are"
        if "Args:" in text:
            listed = text.split("Args:")[1].split("\n\n")[0]
            missing = [argument.arg for argument in arguments if f"{argument.arg}:" not in listed]
            assert not missing, f"{where} leaves out {missing}"


@pytest.mark.parametrize("room", ["src", *ROOMS])
def test_no_code_swallows_every_error_or_reads_a_pickle(room):
    banned = {"pickle.load", "pickle.loads", "torch.load", "joblib.load"}
    for path in code(room):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ExceptHandler):
                caught = ast.unparse(node.type) if node.type else ""
                assert caught not in ("", "Exception"), f"{named(path)} line {node.lineno} catches everything"
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) not in banned, f"{named(path)} line {node.lineno}"
                for keyword in node.keywords:
                    if keyword.arg == "allow_pickle":
                        assert ast.unparse(keyword.value) == "False", f"{named(path)} line {node.lineno}"


def test_every_package_is_in_the_wheel():
    setup = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = {
        "oddpair",
        *(f"oddpair.{path.parent.relative_to(ROOT).as_posix().replace('/', '.')}"
          for room in ROOMS for path in code(room) if path.name == "__init__.py"),
        *(f"oddpair.{path.parent.name}" for path in own_files() if path.name == "__init__.py" and path.parent.name != "oddpair"),
    }  # fmt: skip
    # Folders of data are listed too, or the build warns that it may leave them out.
    assert set(setup["packages"]) == found | set(setup["package-data"])
    assert setup["package-dir"] == {
        "oddpair": "src/oddpair",
        **{f"oddpair.{room}": room for room in ROOMS},
    }


def test_the_repository_holds_no_large_file():
    listed = [path for path in ROOT.iterdir() if path.name not in {".git", ".venv", "work", "build", "dist"}]
    files = [file for path in listed for file in ([path] if path.is_file() else path.rglob("*"))]
    large = {
        named(path): path.stat().st_size
        for path in files
        if path.is_file()
        and path.stat().st_size > 4_000_000
        and not any(p.startswith(".") for p in path.parts)
    }
    assert not large
