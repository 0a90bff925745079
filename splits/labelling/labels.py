"""Labels that people gave to pictures: as they were given, and merged to at most one a picture."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from oddpair.errors import Refusal
from oddpair.files import digest, parse_json, read_table, sha256
from oddpair.splits.labelling.origin import PLAN_FILE, Origin, read_labelled_corpus, read_origin

if TYPE_CHECKING:
    import pyarrow as pa

# A picture is looked at first by anybody, again by the same person, and in review where two did not agree.
Kind = Literal["first", "again", "review"]
# Drawn with equal chance from the whole corpus; in equal numbers from some groups; listed by the user.
Drawn = Literal["random", "enriched", "given"]

ROWS_FILE = "rows.parquet"
LABELS_FILE = "labels.jsonl"
ANNOTATORS = "annotators"

_FIELDS = ("annotator", "label", "look", "order", "uid")


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one person said of one picture.

    Attributes:
        uid: The picture.
        label: What it is.
        annotator: Who said so; ``""`` where a table does not tell.
        kind: On which occasion.
        order: Number of the step in which the person said it; 0 where a table does not tell.
    """

    uid: str
    label: str
    annotator: str = ""
    kind: Kind = "first"
    order: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labels:
    """All labels of some pictures.

    Attributes:
        looks: In the order given, one for each picture, person and occasion: what was said last.
        drawn: How pictures came to be labelled, by uid, without those of which it is not known; ``None`` if nothing
            tells of any.
        origin: The corpus, and the pictures that were looked at without a label.
    """

    looks: tuple[Look, ...]
    drawn: Mapping[str, str] | None = None
    origin: Origin = field(default_factory=Origin)

    def by_person(self, kind: Kind = "first") -> dict[str, dict[str, str]]:
        """Return the labels given on one kind of occasion, by person and then uid."""
        found: dict[str, dict[str, str]] = {}
        for look in self.looks:
            if look.kind == kind:
                found.setdefault(look.annotator, {})[look.uid] = look.label
        return dict(sorted(found.items()))

    def disputed(self) -> tuple[str, ...]:
        """Return the pictures of which people said different things at first, sorted by uid."""
        return tuple(sorted(uid for uid, said in self._said("first").items() if len(said) > 1))

    def unsettled(self) -> tuple[str, ...]:
        """Return the disputed pictures that no review has settled, sorted by uid."""
        merged = self.merge()
        return tuple(uid for uid in self.disputed() if uid not in merged)

    def merge(self) -> dict[str, str]:
        """Return one label for each picture on which all agree, or that a review settled, sorted by uid.

        A review overrules what was said before it, if those who reviewed the picture agree. Second looks of the same
        person measure how steady the labels are, and count for nothing here.
        """
        first, review = self._said("first"), self._said("review")
        last = first | review
        return {uid: next(iter(said)) for uid, said in sorted(last.items()) if len(said) == 1}

    def at_random(self) -> set[str]:
        """Return the uids that were drawn from the whole corpus with equal chance; none where nothing tells of it."""
        return {uid for uid, drawn in (self.drawn or {}).items() if drawn == "random"}

    def left_open(self) -> dict[str, str]:
        """Return the pictures that were looked at and have no label, with how they were drawn.

        People do not agree on them, or passed them over: what is left is no fair sample of what was drawn. How a picture
        was drawn is ``""`` where that is not known.
        """
        unsettled = {uid: (self.drawn or {}).get(uid, "") for uid in self.unsettled()}
        merged = self.merge()
        passed = {uid: way for uid, way in self.origin.unlabelled.items() if uid not in merged}
        return dict(sorted({**passed, **unsettled}.items()))

    def _said(self, kind: Kind) -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for look in self.looks:
            if look.kind == kind:
                found.setdefault(look.uid, set()).add(look.label)
        return found


def read_labels(path: Path) -> dict[str, str]:
    """Read one label for each picture; pictures on which people do not agree are left out.

    Args:
        path: As for ``read_labels_table``.

    Returns:
        Label by uid, sorted by uid.

    Raises:
        Refusal: As ``read_labels_table``.
    """
    return read_labels_table(path).merge()


def identify_labels(path: Path) -> str:
    """Return a hash of what labels say: of the file, or of all labels in a folder and how pictures were drawn.

    Raises:
        Refusal: As ``read_labels_table``.
    """
    if not path.is_dir():
        return sha256(path)
    found = read_labels_table(path)
    looks = sorted([look.uid, look.annotator, look.kind, look.label] for look in found.looks)
    return digest([looks, dict(found.drawn or {})])


def drawn_at_random(path: Path) -> set[str]:
    """Read which labelled pictures were drawn from the whole corpus with equal chance.

    Args:
        path: As for ``read_labels_table``.

    Returns:
        Their uids; none where the labels do not tell how pictures were drawn.

    Raises:
        Refusal: As ``read_labels_table``.
    """
    return read_labels_table(path).at_random()


def read_labels_table(path: Path) -> Labels:
    """Read labels with who gave them and how the pictures were drawn.

    Args:
        path: The folder of ``oddpair label``; or a table, ``.parquet`` or ``.csv``, of ``uid`` and ``label``, and where
            it has them ``annotator``, ``look`` (``first``, ``again`` or ``review``) and ``drawn`` (``random``, or how
            else); or a ``.jsonl`` file of one person.

    Returns:
        The labels, at least one.

    Raises:
        Refusal: If there is no such file, a row lacks its uid or label, or one person gave a picture two labels.
    """
    if path.is_dir():
        found = read_folder(path)
    elif path.suffix == ".jsonl":
        steps = read_steps(path)
        looks = tuple(_keep_last(steps))
        passed = sorted({step.uid for step in steps} - {look.uid for look in looks})
        found = Labels(looks=looks, origin=Origin(unlabelled=dict.fromkeys(passed, "")))
    elif path.suffix == ".csv":
        found = _read_rows(path, _read_csv(path), Origin())
    else:
        table = read_table(path)
        origin = read_origin(path, table.schema.metadata)
        found = _read_rows(path, _read_parquet(path, table), origin)
    if not found.looks:
        raise Refusal(f"{path} holds no label: label some pictures, or give another table")
    return found


def read_folder(folder: Path) -> Labels:
    """Read what has been said in a folder of ``oddpair label``, be it nothing yet.

    Raises:
        Refusal: If it is no such folder, or a file in it is damaged.
    """
    path = folder / ROWS_FILE
    if not path.is_file():
        raise Refusal(
            f"{folder} holds no {ROWS_FILE}: a folder that oddpair label wrote holds {ROWS_FILE}, {PLAN_FILE} and "
            f"{ANNOTATORS}/NAME/{LABELS_FILE}; give one, or a table of uid and label"
        )
    people = sorted((folder / ANNOTATORS).glob(f"*/{LABELS_FILE}"))
    steps = [read_steps(person) for person in people]
    looks = tuple(look for own in steps for look in _keep_last(own))
    said, seen = {look.uid for look in looks}, {step.uid for own in steps for step in own}
    table = read_table(path, ["uid", "drawn"])
    ways = dict(zip(table["uid"].to_pylist(), table["drawn"].to_pylist(), strict=True))
    return Labels(
        looks=looks,
        drawn={uid: way for uid, way in ways.items() if uid in said},
        origin=Origin(
            corpus=read_labelled_corpus(folder),
            unlabelled={uid: ways.get(uid) or "" for uid in sorted(seen - said)},
        ),
    )


def read_looks(path: Path) -> list[Look]:
    """Read what one person said, each picture and occasion once; what was taken back is not there.

    A last line without an end is one whose writing was cut, and nothing was promised of it.

    Args:
        path: A ``labels.jsonl``; if it is not there, nothing was said.

    Raises:
        Refusal: If a line is not what ``oddpair label`` writes.
    """
    return _keep_last(read_steps(path))


def _keep_last(steps: Iterable[Look]) -> list[Look]:
    last: dict[tuple[str, Kind], Look] = {}
    for look in steps:
        # What is said again stands in its new place, so that the last is what was said last.
        last.pop((look.uid, look.kind), None)
        if look.label:
            last[look.uid, look.kind] = look
    return list(last.values())


def read_steps(path: Path) -> list[Look]:
    """Read every line of what one person said; where a label was taken back, it is empty.

    Raises:
        Refusal: As ``read_looks``.
    """
    data = path.read_bytes() if path.is_file() else b""
    lines = enumerate(data.split(b"\n")[:-1], 1)
    return [_read_line(line, f"{path} line {number}") for number, line in lines]


def _read_line(line: bytes, where: str) -> Look:
    try:
        value = parse_json(line)
    except ValueError as error:
        raise Refusal(f"{where} is not valid JSON ({error}): mend it or remove the line") from error
    if not isinstance(value, dict) or set(value) != set(_FIELDS):
        raise Refusal(f"{where} needs {', '.join(_FIELDS)} and nothing else: mend it or remove the line")
    texts = (value["uid"], value["annotator"], value["label"] or "")
    if not all(isinstance(text, str) for text in texts) or not value["uid"]:
        raise Refusal(f"{where}: uid, annotator and label are texts: mend it or remove the line")
    if type(value["order"]) is not int:
        raise Refusal(
            f"{where}: order is {value['order']!r}, needed a whole number: mend it or remove the line"
        )
    kind = _as_kind(value["look"], where)
    return Look(uid=texts[0], annotator=texts[1], label=texts[2], kind=kind, order=value["order"])


def _as_kind(value: Any, where: str) -> Kind:
    for kind in get_args(Kind):
        if value == kind:
            found: Kind = kind
            return found
    raise Refusal(f"{where}: look is {value!r}, needed {', '.join(get_args(Kind))}: mend it")


def _read_rows(path: Path, rows: Iterable[tuple[int, Mapping[str, str | None]]], origin: Origin) -> Labels:
    looks: dict[tuple[str, str, Kind], tuple[int, Look]] = {}
    drawn: dict[str, str] = {}
    tells = False
    for number, row in rows:
        tells = tells or "drawn" in row
        where = f"{path} row {number}"
        for name in ("uid", "label"):
            if not row[name]:
                raise Refusal(f"{where} has no {name}: give it one, or remove the row")
        look = Look(
            uid=row["uid"] or "",
            label=row["label"] or "",
            annotator=row.get("annotator") or "",
            kind=_as_kind(row.get("look") or "first", where),
        )
        before, known = looks.setdefault((look.uid, look.annotator, look.kind), (number, look))
        if known.label != look.label:
            who = f" by {look.annotator!r}" if look.annotator else ""
            raise Refusal(
                f"{where} labels uid {look.uid!r} {look.label!r}{who}, row {before} labels it {known.label!r}: remove one, or "
                "name the people in a column 'annotator'"
            )
        way = row.get("drawn")
        if way and drawn.setdefault(look.uid, way) != way:
            raise Refusal(
                f"{where} says that uid {look.uid!r} was drawn {way!r}, a row above says {drawn[look.uid]!r}: mend one"
            )
    said = tuple(look for _, look in looks.values())
    return Labels(looks=said, drawn=drawn if tells else None, origin=origin)


def _read_parquet(path: Path, table: pa.Table) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    import pyarrow as pa

    _need_columns(path, table.column_names)
    for name in table.column_names:
        kind = table.schema.field(name).type
        if name in ("uid", "label") and not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise Refusal(f"{path} has {name} of type {kind}, needed text: write it as text")
    known = [name for name in ("uid", "label", "annotator", "look", "drawn") if name in table.column_names]
    columns = []
    for name in known:
        try:
            column = table[name].cast(pa.string())
            column.validate(full=True)
        except pa.ArrowException as error:
            raise Refusal(
                f"{path} has {name} of type {table[name].type}, needed text: write it as text"
            ) from error
        columns.append(column.to_pylist())
    for number, cells in enumerate(zip(*columns, strict=True)):
        yield number, dict(zip(known, cells, strict=True))


def _read_csv(path: Path) -> Iterator[tuple[int, Mapping[str, str | None]]]:
    if not path.is_file():
        raise Refusal(f"{path} does not exist: check the path")
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            _need_columns(path, rows.fieldnames or ())
            yield from enumerate(rows)
    except (UnicodeDecodeError, csv.Error) as error:
        raise Refusal(f"{path} is no csv in UTF-8 ({error}): write it anew") from error


def _need_columns(path: Path, names: Iterable[str]) -> None:
    there = list(names)
    for name in ("uid", "label"):
        if name not in there:
            raise Refusal(
                f"{path} has no column {name!r}, only {', '.join(map(repr, there)) or 'nothing'}: labels are a table of "
                "uid and label"
            )
