"""What may be done to the folder of an honest submission of one task: each function returns one that does it."""

import hashlib
import json
import os

import pyarrow as pa
import pyarrow.parquet as pq
from tests.board import parquet_lies as lies

from oddpair.eval.scoring.records import SCHEMAS
from oddpair.eval.submission.submission import SUBMISSION_FILE

TASK = "miniature.sketch"
PREDICTION = f"predictions/{TASK}@1.parquet"


def told(path, value):
    """Another value in submission.json."""

    def change(folder):
        def put(whole):
            inner = whole
            for part in path[:-1]:
                inner = inner[part]
            inner[path[-1]] = value(inner[path[-1]]) if callable(value) else value

        rewrite(folder, put)

    return change


def without(path):
    """A key less in submission.json."""

    def change(folder):
        def take(whole):
            inner = whole
            for part in path[:-1]:
                inner = inner[part]
            del inner[path[-1]]

        rewrite(folder, take)

    return change


def rewrite(folder, change):
    path = folder / SUBMISSION_FILE
    whole = json.loads(path.read_text())
    change(whole)
    path.write_text(json.dumps(whole, sort_keys=True, indent=1) + "\n")


def text(change):
    """Other bytes of submission.json."""

    def apply(folder):
        path = folder / SUBMISSION_FILE
        path.write_bytes(change(path.read_bytes()))

    return apply


def data(change):
    """Other bytes of the predictions, whose hash is claimed."""

    def apply(folder):
        path = folder / PREDICTION
        path.write_bytes(change(path.read_bytes()))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        rewrite(folder, lambda whole: whole["tasks"][0].update(records=digest))

    return apply


def table(change):
    """Other predictions, whose hash is claimed."""
    return data(lambda before: lies.as_parquet(change(pq.read_table(pa.BufferReader(before)))))


def value(name, row, new):
    """Another value in one row of the predictions."""

    def change(before):
        field, values = before.schema.field(name), before[name].to_pylist()
        values[row] = new(values[row]) if callable(new) else new
        return before.set_column(before.schema.get_field_index(name), field, pa.array(values, field.type))

    return table(change)


def bomb(change):
    """The predictions as a file that lies."""
    return data(lambda before: change(pq.read_table(pa.BufferReader(before))))


def add(path, content=b"x"):
    """A file more."""

    def apply(folder):
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)

    return apply


def better(before):
    """Every answer right, and as sure as it was."""
    columns = before.to_pydict()
    columns["n_greater"], columns["n_tied"] = [0] * before.num_rows, [0] * before.num_rows
    return pa.table(columns, schema=SCHEMAS["classification"])


def right_first(before):
    """Every answer right, with the lists to go with it."""
    columns = better(before).to_pydict()
    for row, target in enumerate(columns["target"]):
        listed = columns["top_classes"][row]
        columns["top_classes"][row] = [target, *(one for one in listed if one != target)][:5]
        columns["target_score"][row] = columns["top_scores"][row][0]
    return pa.table(columns, schema=SCHEMAS["classification"])


def louder(before):
    """Every score nine times as high."""
    columns = before.to_pydict()
    columns["top_scores"] = [[9 * score for score in listed] for listed in columns["top_scores"]]
    columns["target_score"] = [9 * score for score in columns["target_score"]]
    return pa.table(columns, schema=SCHEMAS["classification"])


def billions(header):
    header[lies.DATA_PAGE][1][1][1] = 2**31 - 1


def gigabytes(header):
    header[lies.PAGE_UNPACKED][1] = 2**31 - 1


def rows(n, *, values=False):
    def change(footer):
        footer[lies.ROWS][1] = footer[lies.GROUPS][1][1][0][lies.GROUP_ROWS][1] = n
        if values:
            for said in lies.columns_of(footer):
                said[lies.VALUES][1] = n

    return change


def repeated(before):
    columns = before.to_pydict()
    columns["top_classes"][-1] = [0] * 3_000_000
    return lies.as_parquet(pa.table(columns, schema=SCHEMAS["classification"]))


def link(path):
    def apply(folder):
        (folder / path).rename(folder.parent / "elsewhere")
        (folder / path).symlink_to(folder.parent / "elsewhere")

    return apply


def twin(folder):
    os.link(folder / PREDICTION, folder.parent / "twin")


def pipe(folder):
    (folder / SUBMISSION_FILE).unlink()
    os.mkfifo(folder / SUBMISSION_FILE)


def rename(name):
    def apply(folder):
        folder.rename(folder.with_name(name))

    return apply


def deep(levels):
    return lambda before: before.replace(
        b'"format"', b'"x": ' + b"[" * levels + b"]" * levels + b', "format"', 1
    )
