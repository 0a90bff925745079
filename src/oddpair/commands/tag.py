"""``oddpair tag``: zero-shot tags of a corpus's pictures, to count beside its captions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from oddpair import files, stages
from oddpair.commands.read import require_encoder
from oddpair.retrieval.concepts import Vocabulary
from oddpair.retrieval.corpus import Corpus, fingerprint
from oddpair.retrieval.counting.tagger import CONCEPTS, TagPlan, embed_concepts, tag_pictures, write_concepts
from oddpair.retrieval.counting.tags_file import ZERO_SHOT
from oddpair.retrieval.encoder import Encoder
from oddpair.retrieval.formats.parquet import read_footer
from oddpair.retrieval.models import identify_model
from oddpair.retrieval.same_encoder import describe_model, refuse_same_encoder
from oddpair.retrieval.stored import StoredRows
from oddpair.retrieval.vocabulary_file import save_vocabulary

MANIFEST = "manifest.json"


def find_evaluated(
    model: str, pretrained: str | None, evaluated: Sequence[str], *, allow: bool
) -> dict[str, Any]:
    """Say which models will be evaluated, and whether the tagger is one of them.

    Args:
        model: The tagger.
        pretrained: Its weights, for an architecture.
        evaluated: Models, each as for ``--model``, or an architecture, a comma and its weights.
        allow: Whether the tagger may be one of them.

    Returns:
        ``evaluated``, a description of each, and ``same_encoder``.

    Raises:
        Refusal: If it is one of them and may not be, a file of a model is missing, or open_clip does not know an
            architecture or its weights.
    """
    tagger = {"encoder": describe_model(model, pretrained)}
    named = [_split(text) for text in evaluated]
    same = [refuse_same_encoder(tagger, *each, allow=allow) for each in named]
    return {"evaluated": [describe_model(*each) for each in named], "same_encoder": any(same)}


def tag_corpus(
    corpus: Corpus,
    pictures: StoredRows,
    vocabulary: Vocabulary,
    encoder: Encoder,
    out: Path,
    plan: TagPlan,
    *,
    pretrained: str | None,
    judged: dict[str, Any],
    workers: int,
) -> dict[str, Any]:
    """Tag a corpus into a folder; a killed run goes on, a finished one is left as it is.

    Args:
        corpus: The corpus.
        pictures: Its embeddings.
        vocabulary: The concepts.
        encoder: The model of the embeddings.
        out: Folder for ``tags/``, ``concepts.parquet``, ``vocabulary.txt`` and ``manifest.json``.
        plan: Which concepts a picture is tagged with.
        pretrained: What the weights of the encoder were named with.
        judged: What ``find_evaluated`` said.
        workers: Processes; the bytes do not depend on them.

    Returns:
        The manifest.

    Raises:
        Refusal: If another model made the embeddings, a row is no unit row, or the folder is of another run.
    """
    require_encoder(corpus, pictures, encoder)
    how = {
        "templates": list(plan.templates),
        "per_image": plan.per_image,
        "threshold": plan.threshold,
        **judged,
    }
    origin = {
        "corpus": fingerprint(corpus),
        "embeddings": pictures.digest,
        "vocabulary_sha256": vocabulary.sha256,
    }
    if stages.begin(out, {**how, **origin, "model": identify_model(encoder.name, pretrained)}):
        with stages.make(out):
            if not (out / CONCEPTS).is_file():
                rows = embed_concepts(encoder, vocabulary.names, plan.templates)
                write_concepts(out / CONCEPTS, vocabulary.names, rows)
            tagger = {
                "kind": ZERO_SHOT,
                "encoder": {**describe_model(encoder.name, pretrained), "sha256": encoder.sha256},
                **how,
            }
            made = tag_pictures(pictures, out, plan, tagger=tagger, workers=workers)
            save_vocabulary(out / "vocabulary.txt", vocabulary)
            manifest = {
                **tagger,
                "about": "the opinion of a model, not the truth about the pictures",
                **origin,
                "concepts": len(vocabulary),
                "shards": list(corpus.shards),
                "files": [path.relative_to(out).as_posix() for path in made],
                "rows": list(pictures.sizes),
                "tags": [read_footer(path)[1] for path in made],
            }
            files.write_json(out / MANIFEST, manifest)
    return dict(files.read_json(out / MANIFEST))


def _split(text: str) -> tuple[str, str | None]:
    if Path(text).is_dir() or "," not in text:
        return text, None
    model, _, pretrained = text.partition(",")
    return model, pretrained
