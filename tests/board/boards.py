"""Boards of any size whose numbers look like those of real entries, for tests of the pages."""

import hashlib
import itertools
import math
from collections import defaultdict
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from oddpair.eval.board.board import (
    Board,
    BoardEntry,
    BoardTask,
    ConceptPoint,
    Concurrence,
    Flag,
    Line,
    Pairwise,
    Rank,
    Robustness,
    Score,
    Stability,
)

# Everything that a page could take for more than text; without a slash in the part that names files.
UNSAFE_NAME = "\"'><img src=x onerror=alert(1)>&amp;\u202egnp.exe\u202c"
UNSAFE = f"</script><script>alert(1)</script>{UNSAFE_NAME}javascript:alert(1)\u2028=1+1{{{{7*7}}}}"
UNSAFE_ADDRESS = "javascript:alert(document.title)//</script><b onmouseover=alert(1)>"
LONG = 10_000

# Name, family, kind, metric, required, questions, chance, and how much harder than natural pictures (probit).
TASKS = (
    ("miniature.natural", "natural", "classification", "top1", True, 2175, 1 / 87, 0.0),
    ("miniature.rendition", "rendition", "classification", "top1", True, 3480, 1 / 87, -0.7),
    ("miniature.pairs-unseen", "unseen pairs", "pairs", "top1", True, 3856, 1 / 86, -0.9),
    ("miniature.pairs-seen", "composition", "pairs", "top1", True, 5088, 1 / 86, -0.4),
    ("miniature.sketch", "styles", "classification", "top1", False, 870, 1 / 87, -0.6),
    ("coco.full", "retrieval", "retrieval", "text_to_image_recall@1", False, 5000, 1 / 5000, -1.0),
)
STYLES = {"photo": 0.0, "cartoon": -0.5, "painting": -0.4, "silhouette": -1.3, "sketch": -0.6}
CORPORA = ("DataComp-1B", "LAION-400M", "CC12M", "miniature-corpus")
ARCHITECTURES = ("ViT-B-32", "ViT-L-14", "RN50", "ResNet of width 16", "ConvNeXt-B")
LABS = ("north-lab", "oddpair", "quay", "tuebingen", "open-clip")
FLAGS = ("variants", "copy", "outlier", "degenerate", "above-prediction", "in-training")


def make_board(n_entries, *, seed=0, hostile=False):
    """Return a board of so many entries, a tenth of which (from five on) lack a required task.

    Args:
        n_entries: Entries, 0 or more.
        seed: Of what is drawn.
        hostile: Whether every text is one that a page must not take for anything else; that of the first entry's model
            has 10,000 letters.
    """
    make = _Maker(n_entries, np.random.default_rng([seed, n_entries]), hostile)
    entries = sorted(
        (make.entry(number) for number in range(n_entries)),
        key=lambda entry: (entry.rank.place if entry.rank else math.inf, entry.id),
    )
    return Board(
        benchmarks={make.text("miniature"): 1, make.text("coco"): 2},
        families=make.families,
        tasks=make.tasks,
        entries=tuple(entries),
        lines=(make.line(entries),),
        pairs=tuple(make.pairs([entry for entry in entries if entry.rank])),
        concurrence=tuple(make.concurrence(n_entries)),
        stability=Stability(share=0.894, by_chance=1 / make.n_ranked, halvings=1000)
        if make.n_ranked > 1
        else None,
        draws=2000,
    )


class _Maker:
    def __init__(self, n_entries, rng, hostile):
        self.hostile, self.rng, self.n_entries = hostile, rng, n_entries
        self.tasks = tuple(
            BoardTask(
                name=self.text(name),
                version=1 + name.startswith("coco"),
                family=self.text(family),
                kind=self.text(kind),
                metric=self.text(metric),
                required=required,
            )
            for name, family, kind, metric, required, *_ in TASKS
        )
        self.families = tuple(task.family for task in self.tasks if task.required)
        self.size = 10 ** rng.uniform(5, 9.5, n_entries)
        self.skill = -0.8 + 0.12 * (np.log10(self.size) - 5) + rng.normal(0, 0.05, n_entries)
        self.drawn = (
            self.skill[:, None] + [row[-1] for row in TASKS] + rng.normal(0, 0.06, (n_entries, len(TASKS)))
        )
        self.accuracy = ndtr(self.drawn)
        # Every tenth entry lacks a required task, every second has the optional one of the last row.
        self.unranked = [n_entries > 4 and number % 10 == 4 for number in range(n_entries)]
        self.n_ranked = n_entries - sum(self.unranked)
        self.score = self.accuracy[:, : len(self.families)].mean(axis=1)
        self.ranks = self._rank()
        # Many entries have fewer concepts each, so that a board of 500 is made in a moment.
        self.concepts = 87 if n_entries <= 40 else 9

    def text(self, plain):
        return f"{plain} {UNSAFE}" if self.hostile else plain

    def _rank(self):
        order = sorted(
            (number for number in range(self.n_entries) if not self.unranked[number]),
            key=lambda row: -self.score[row],
        )
        scores = self.score[order]
        ranks, band, leader = {}, 0, math.inf
        for place, number in enumerate(order, start=1):
            mine = self.score[number]
            if mine < leader - 0.012:
                band, leader = band + 1, mine
            ranks[number] = Rank(
                place=place,
                low=1 + int((scores > mine + 0.012).sum()),
                high=len(order) - int((scores < mine - 0.012).sum()),
                band=band,
            )
        return ranks

    def entry(self, number):
        rng = self.rng
        handle, model = LABS[number % len(LABS)], f"clip-{number:03}"
        weights = hashlib.sha256(model.encode()).hexdigest()
        name = f"{handle}__{model}__{weights[:8]}"
        rank = self.ranks.get(number)
        held = [column for column in range(len(TASKS)) if self._holds(number, column)]
        scores = {
            self.tasks[column].name: make_score(
                self.accuracy[number, column], TASKS[column][5], TASKS[column][6]
            )
            for column in held
        }
        training = tuple(self.text(CORPORA[place % 4]) for place in range(number % 3 and 1 + number % 2))
        counted = len(training) == 1 and number % 4 != 0
        points = tuple(self._points(number, held)) if counted else ()
        kinds = [kind for place, kind in enumerate(FLAGS) if (number + place) % 9 == 1]
        return BoardEntry(
            id=f"{name}{UNSAFE_NAME}" if self.hostile else name,
            handle=self.text(handle),
            model=self.text(model) + ("A" * LONG if self.hostile and number == 0 else ""),
            architecture=self.text(ARCHITECTURES[number % len(ARCHITECTURES)]),
            parameters=int(self.size[number]),
            weights=self.text(weights) if self.hostile else weights,
            open_weights=number % 3 != 2,
            training=training,
            samples_seen=None if number % 5 == 3 else int(rng.integers(1, 340)) * 10**8,
            variants_tried=1 + 7 * (number % 9 == 1),
            level="reproduced" if number % 6 == 0 else "recomputed",
            rank=rank,
            missing=tuple(task.name for task in self.tasks if task.required and task.name not in scores),
            score=None if rank is None else make_score(self.score[number], 14_599, None),
            families={
                task.family: scores[task.name] for task in self.tasks if task.required and task.name in scores
            },
            tasks=scores,
            metrics={
                task.name: {
                    task.metric: scores[task.name],
                    self.text("top5"): make_score(
                        scores[task.name].value ** 0.4, scores[task.name].n, 5 / 87
                    ),
                    self.text("calibration_error"): make_score(0.08, scores[task.name].n, None),
                }
                for task in self.tasks
                if task.name in scores
            },
            styles={
                self.text(style): make_score(ndtr(self.skill[number] + harder), 870, None)
                for style, harder in STYLES.items()
            },
            robustness=(self._robustness(number, scores),) if len(held) > 1 and held[:2] == [0, 1] else (),
            residual={
                task: Score(
                    value=0.01 * (place - 1),
                    low=0.01 * place - 0.04,
                    high=0.01 * place + 0.02,
                    n=scores[task].n,
                )
                for place, task in enumerate(dict.fromkeys(point.task for point in points))
            },
            points=points,
            flags=tuple(
                Flag(kind=self.text(kind), text=self.text(f"A sentence about {kind}.")) for kind in kinds
            ),
            links={
                self.text(kind): UNSAFE_ADDRESS if self.hostile else f"https://github.com/{handle}/{kind}"
                for kind in ("code", "paper", "weights")[: number % 4]
            },
            precision=self.text("fp32"),
            commit=self.text(weights[10:50]) if number % 2 or self.hostile else "",
            residual_bands={
                task: Score(value=0.4, low=0.2, high=0.61, n=7)
                for task in dict.fromkeys(point.task for point in points)
            },
            residual_note="" if points else self.text("The counts of the declared corpus are not known."),
        )

    def _holds(self, number, column):
        if self.unranked[number]:
            return column not in (1 + number // 10 % 3, 5)
        return column != 5 or number % 2 == 0

    def _robustness(self, number, scores):
        x, y = (scores[task.name].value for task in self.tasks[:2])
        above = y - float(ndtr(ndtri(x) + TASKS[1][-1]))
        wide = Score(value=above, low=above - 0.07, high=above + 0.08, n=self.n_entries - 1)
        return Robustness(
            axes=self.text("miniature.rendition"), x=x, y=y, above=wide if self.n_entries > 4 else None
        )

    def _points(self, number, held):
        for column in held[:4]:
            count = np.sort(10 ** self.rng.uniform(0, 5, self.concepts)).astype(int).tolist()
            middle = ndtr(self.drawn[number, column] - 0.8 + 0.3 * np.log10(np.add(count, 1)))
            right = (self.rng.binomial(25, middle) / 25).tolist()
            pmi = self.rng.normal(0, 2, self.concepts).tolist()
            paired = TASKS[column][2] == "pairs"
            for row, (mean, accuracy) in enumerate(zip(middle.tolist(), right, strict=True)):
                yield ConceptPoint(
                    task=self.tasks[column].name,
                    concept=self.text(f"thing {row} + thing {row + 1}" if paired else f"thing {row}"),
                    count=count[row] - 1,
                    pmi=pmi[row] if paired and row % 7 else None,
                    accuracy=accuracy,
                    n=25,
                    predicted=Score(value=mean, low=max(mean - 0.2, 0.0), high=min(mean + 0.2, 1.0), n=7),
                )

    def line(self, entries):
        places = [one for entry in entries for one in entry.robustness]
        slope, intercept = 1.0, TASKS[1][-1]
        if len(places) > 2:
            slope, intercept = np.polyfit(
                ndtri([one.x for one in places]), ndtri([one.y for one in places]), 1
            ).tolist()
            x = np.linspace(min(one.x for one in places), max(one.x for one in places), 21)
            points = zip(x.tolist(), ndtr(slope * ndtri(x) + intercept).tolist(), strict=True)
        return Line(
            axes=self.text("miniature.rendition"),
            x=(self.text("natural"),),
            y=(self.text("rendition"),),
            slope=slope,
            intercept=intercept,
            n=len(places),
            points=tuple(points) if len(places) > 2 else (),
        )

    def pairs(self, ranked):
        required = [(task.name, row[5]) for task, row in zip(self.tasks, TASKS, strict=True) if task.required]
        # Differences that agree to a thousandth are one object: there are many pairs.
        made: dict[Any, dict[Any, Any]] = defaultdict(dict)

        def differ(task, n, reach, value):
            near = round(value, 3)
            if near not in made[task]:
                made[task][near] = Score(value=near, low=near - reach, high=near + reach, n=n)
            return made[task][near]

        values = {entry.id: [entry.tasks[task].value for task, _ in required] for entry in ranked}
        for first, second in itertools.combinations(ranked, 2):
            away = first.score.value - second.score.value
            yield Pairwise(
                first=first.id,
                second=second.id,
                difference=differ("", 14_599, 0.009, away),
                p_adjusted=0.0005 if away > 0.012 else min(1.0, 0.05 + 80 * abs(0.012 - away)),
                significant=away > 0.012,
                tasks={
                    task: differ(task, n, 0.02, one - other)
                    for (task, n), one, other in zip(
                        required, values[first.id], values[second.id], strict=True
                    )
                },
            )

    def concurrence(self, n_entries):
        names = [task.name for task in self.tasks if task.required]
        for place, (first, second) in enumerate(itertools.combinations(names, 2)):
            tau = Score(value=0.9 - place / 10, low=0.6 - place / 10, high=0.96 - place / 20, n=n_entries)
            yield Concurrence(first=first, second=second, tau=tau if n_entries > 3 else None)


def make_score(value, n, chance):
    """Return a score with the normal interval of so many independent answers."""
    reach = 1.96 * math.sqrt(value * (1 - value) / n)
    value = float(value)
    return Score(value=value, low=max(value - reach, 0.0), high=min(value + reach, 1.0), n=n, chance=chance)
