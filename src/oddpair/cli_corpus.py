"""The verbs on a user's own corpus, in the order that they are used in."""

from __future__ import annotations

import typer

from oddpair.cli_audit import audit
from oddpair.cli_compare import compare
from oddpair.cli_count import count
from oddpair.cli_coverage import coverage
from oddpair.cli_dedup import dedup
from oddpair.cli_doctor import doctor
from oddpair.cli_embed import embed
from oddpair.cli_eval import evaluate, score
from oddpair.cli_export import export
from oddpair.cli_graph import graph
from oddpair.cli_index import index
from oddpair.cli_label import label
from oddpair.cli_leaderboard import leaderboard
from oddpair.cli_ls import ls
from oddpair.cli_neighbours import neighbours
from oddpair.cli_paste import paste
from oddpair.cli_power import power
from oddpair.cli_predict import predict
from oddpair.cli_reproduce import reproduce
from oddpair.cli_results import results
from oddpair.cli_robustness import baseline, robustness
from oddpair.cli_samples import samples
from oddpair.cli_search import search
from oddpair.cli_split import split, verify
from oddpair.cli_submit import submit
from oddpair.cli_tag import tag
from oddpair.cli_train import train
from oddpair.cli_validate import validate


def add_corpus_verbs(app: typer.Typer) -> None:
    """Add the verbs to the command line."""
    for name, verb in (
        ("embed", embed),
        ("tag", tag),
        ("count", count),
        ("samples", samples),
        ("graph", graph),
        ("search", search),
        ("index", index),
        ("neighbours", neighbours),
        ("dedup", dedup),
        ("label", label),
        ("split", split),
        ("verify", verify),
        ("audit", audit),
        ("paste", paste),
        ("export", export),
        ("coverage", coverage),
        ("train", train),
        ("ls", ls),
        ("eval", evaluate),
        ("score", score),
        ("results", results),
        ("submit", submit),
        ("validate", validate),
        ("reproduce", reproduce),
        ("leaderboard", leaderboard),
        ("compare", compare),
        ("power", power),
        ("robustness", robustness),
        ("baseline", baseline),
        ("predict", predict),
        ("doctor", doctor),
    ):
        app.command(name)(verb)
