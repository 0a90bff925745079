"""Planted corpora of three styles: rows of features, and folders of them with a corpus and hand labels."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from tests.retrieval.stored_folder import write_manifest, write_stored

from oddpair import files
from oddpair.retrieval.corpus import open_corpus
from oddpair.retrieval.embed_layout import part_path
from oddpair.retrieval.stored import open_stored
from oddpair.retrieval.unit_rows import HeldRows
from oddpair.splits.inputs import Inputs, Pictures
from oddpair.splits.styles.features import StyleFeatures

STYLES = ("photo", "sketch", "ambiguous")
SHARES = (0.5, 0.35, 0.15)


def draw_world(n, seed, distance=5.0, d=8, shares=SHARES):
    """Three Gaussian clouds with LAION-like shares; ambiguous lies between the other two."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, size=n, p=shares).astype(np.int8)
    x = rng.normal(size=(n, d))
    x[:, 0] += distance * np.select([codes == 0, codes == 1], [1.0, -1.0], 0.0)
    x[:, 1] += distance * (codes == 2)
    return (x * np.arange(1, d + 1) + 3).astype(np.float16), codes


def features_of(x, texture=None):
    """Features in memory."""
    uids = [f"{row:06d}" for row in range(len(x))]
    parts = None if texture is None else HeldRows(texture.astype(np.float16), uids)
    return StyleFeatures(image=HeldRows(x.astype(np.float16), uids), texture=parts)


def plant(n=900, seed=0, spread=0.35, shares=SHARES):
    """Unit rows whose styles are three overlapping clouds, their textures, the style and the uid of each."""
    rng = np.random.default_rng(seed)
    codes = rng.choice(3, n, p=shares)
    image = np.eye(12)[codes] + spread * rng.normal(size=(n, 12))
    texture = np.eye(5)[codes] + rng.normal(size=(n, 5))
    return (
        image / np.linalg.norm(image, axis=1, keepdims=True),
        texture,
        [STYLES[code] for code in codes],
        [f"{number:032x}" for number in rng.permutation(n) + 1000 * seed],
    )


def write_pictures(folder, planted, *, sizes=None, textured=True, name="corpus", order=None, **columns):
    """Write planted rows as a corpus with columns and as embeddings beside it; return both, opened."""
    image, texture, styles, uids = planted
    order = np.arange(len(uids)) if order is None else order
    image, texture = image[order], texture[order]
    styles, uids = [styles[row] for row in order], [uids[row] for row in order]
    columns = {key: [values[row] for row in order] for key, values in columns.items()}
    sizes = sizes or [len(uids)]
    embeddings = write_stored(folder / f"{name}-embeddings", image, uids, sizes)
    if textured:
        ends = np.cumsum(sizes)
        for shard, (start, end) in enumerate(zip(ends - sizes, ends, strict=True)):
            part = part_path(embeddings, "texture", shard, len(sizes))
            files.write_array(part, texture[start:end].astype(np.float16))
        write_manifest(embeddings, dimensions={"img_emb": image.shape[1], "texture": texture.shape[1]})
    place = folder / name
    for kind in ("img_emb", "metadata"):
        (place / kind).mkdir(parents=True)
    np.save(place / "img_emb" / "img_emb_0.npy", image.astype(np.float16))
    table = {
        "image_path": [f"{row:09d}" for row in range(len(uids))],
        "uid": uids,
        "caption": [f"picture {uid}" for uid in uids],
        "style": styles,
        **columns,
    }
    pq.write_table(pa.table(table), place / "metadata" / "metadata_0.parquet")
    return Pictures(name=name, corpus=open_corpus(place), stored=open_stored(embeddings))


def plant_tests(seed=7, n=200):
    """Test pictures: photos in one set and sketches in another, as ``plant`` gives them, with classes."""
    image, texture, styles, uids = plant(n, seed)
    found = {}
    for name, style in (("val", "photo"), ("sketches", "sketch")):
        rows = [row for row, each in enumerate(styles) if each == style]
        found[name] = (image[rows], texture[rows], ["" for _ in rows], [uids[row] for row in rows])
    return found


def write_inputs(folder, planted, *, tests=None, order=None, sizes=None, textured=True, **given):
    """Write a corpus, and test sets where asked for, and open all of it."""
    return Inputs(
        corpus=write_pictures(folder, planted, order=order, sizes=sizes, textured=textured),
        tests={
            name: write_pictures(
                folder,
                rows,
                name=name,
                textured=textured,
                **{"class": [f"class {i % 5}" for i in range(len(rows[3]))]},
            )
            for name, rows in (tests or {}).items()
        },
        **given,
    )
