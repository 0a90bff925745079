# oddpair, driven from here. `make demo` and `make test` each do all their own set-up.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INTEROP := .venv-interop
BROWSER := .venv-browser
PARITY := .venv-parity
WORKERS ?= $(shell nproc 2>/dev/null || echo 2)
WORK ?= work
CORPUS ?= $(WORK)/demo/world/corpus
MODEL ?=
PRETRAINED ?=
CHOICE = $(if $(MODEL),--model $(MODEL)) $(if $(PRETRAINED),--pretrained $(PRETRAINED))
QUERY ?= a red apple
TESTS ?= $(WORK)/demo/world/natural
THRESHOLD ?= 0.95
# What a few hundred labels can certify; ask for 0.98 where thousands are labelled.
PRECISION ?= 0.7

.DEFAULT_GOAL := help
.PHONY: help setup demo study encoder embed tag count samples graph search index neighbours dedup label splits audit eval baseline robustness predict submit validate leaderboard entries doctor test lint perf faults interop browser parity dist clean

help: ## what can be made
	@awk -F ':.*## ' '/^[a-z]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

# The stamp is newer than pyproject.toml once everything is installed, so a second run does nothing.
$(VENV)/ready: pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("oddpair needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	touch $@

setup: $(VENV)/ready ## install everything into .venv/

demo: $(VENV)/ready ## the whole path on a world the suite draws: about five minutes on two cores
	$(BIN)/oddpair demo --out $(WORK)/demo --workers $(WORKERS)

study: $(VENV)/ready ## the same on five larger worlds: about an hour on two cores
	$(BIN)/oddpair study --out $(WORK)/study --workers $(WORKERS)

encoder: $(VENV)/ready ## train the shipped reference encoder again, into work/reference
	$(BIN)/python -m oddpair.benchmarks.miniature.reference_world --out $(WORK)/reference --workers $(WORKERS)

embed: OUT ?= $(WORK)/embeddings
embed: $(VENV)/ready ## embed a corpus of any format: make embed CORPUS=... MODEL=... PRETRAINED=... OUT=...
	$(BIN)/oddpair embed '$(CORPUS)' --out $(OUT) $(CHOICE) --workers $(WORKERS)

count: OUT ?= $(WORK)/counts
count: $(VENV)/ready ## count concepts and pairs in its captions: make count CORPUS=... VOCABULARY=... OUT=...
	$(BIN)/oddpair count '$(CORPUS)' $(if $(VOCABULARY),--vocabulary '$(VOCABULARY)') --postings --out $(OUT) --workers $(WORKERS)

samples: COUNTS ?= $(WORK)/counts
samples: OUT ?= $(WORK)/samples.html
samples: $(VENV)/ready ## the samples that hold some concepts: make samples CORPUS=... COUNTS=... CONCEPTS='cat dog' OUT=page.html
	$(BIN)/oddpair samples $(COUNTS) $(CONCEPTS) --corpus '$(CORPUS)' --out $(OUT)

graph: COUNTS ?= $(WORK)/counts
graph: OUT ?= $(WORK)/graph
graph: $(VENV)/ready ## what the seen pairs say of a test set's pairs: make graph COUNTS=... PAIRS=pairs.txt OUT=...
	$(BIN)/oddpair graph $(COUNTS) --pairs '$(PAIRS)' --out $(OUT)

tag: OUT ?= $(WORK)/tags
tag: $(VENV)/ready ## zero-shot image tags: make tag CORPUS=... VOCABULARY=... MODEL=... PRETRAINED=... OUT=...
	$(BIN)/oddpair tag '$(CORPUS)' --vocabulary '$(VOCABULARY)' --out $(OUT) $(CHOICE) --workers $(WORKERS)

search: OUT ?= $(WORK)/search.html
search: $(VENV)/ready ## find the pictures nearest to a text or a picture: make search CORPUS=... QUERY=... OUT=page.html
	$(BIN)/oddpair search '$(CORPUS)' '$(QUERY)' --out $(OUT) $(CHOICE) --workers $(WORKERS)

index: OUT ?= $(WORK)/index
index: $(VENV)/ready ## an index for searches asked again and again: make index CORPUS=... OUT=...
	$(BIN)/oddpair index '$(CORPUS)' --out $(OUT) $(CHOICE) --workers $(WORKERS)

neighbours: OUT ?= $(WORK)/neighbours
neighbours: $(VENV)/ready ## how near a corpus and a test set are, row by row: make neighbours CORPUS=... TESTS=... OUT=...
	$(BIN)/oddpair neighbours '$(CORPUS)' --tests '$(TESTS)' --out $(OUT) $(CHOICE) --workers $(WORKERS)

dedup: OUT ?= $(WORK)/dedup
dedup: $(VENV)/ready ## near-duplicates in a corpus: make dedup CORPUS=... THRESHOLD=0.95 OUT=...
	$(BIN)/oddpair dedup '$(CORPUS)' --threshold $(THRESHOLD) --out $(OUT) $(CHOICE) --workers $(WORKERS)

label: OUT ?= $(WORK)/labels
label: ANNOTATOR ?= $(shell id -un)
label: $(VENV)/ready ## label a sample of a corpus by hand, on a local page: make label CORPUS=... OUT=... ANNOTATOR=...
	$(BIN)/oddpair label '$(CORPUS)' --out $(OUT) --annotator '$(ANNOTATOR)'

splits: RECIPE ?= style-strict
splits: INPUTS ?= $(if $(filter style-strict,$(RECIPE)),--set precision=$(PRECISION))
splits: OUT ?= $(WORK)/splits/$(basename $(notdir $(RECIPE)))
splits: $(VENV)/ready ## splits by a recipe: make splits RECIPE=similarity CORPUS=... INPUTS='--tests val=... --reference ...'
	$(BIN)/oddpair split '$(RECIPE)' $(if $(CORPUS),--corpus '$(CORPUS)') $(INPUTS) --out $(OUT) $(CHOICE) --workers $(WORKERS)

audit: OUT ?= $(WORK)/audit
audit: AGAINST ?= $(CORPUS)
audit: REFERENCE ?=
audit: $(VENV)/ready ## is a test set out-of-distribution for a corpus: make audit TESTS=... AGAINST=... REFERENCE=... INPUTS='--vocabulary ...'
	$(BIN)/oddpair audit '$(TESTS)' --against '$(AGAINST)' $(if $(REFERENCE),--reference '$(REFERENCE)') $(INPUTS) --out $(OUT) $(CHOICE) --workers $(WORKERS)

eval: SUITE ?= miniature
eval: DATA ?= $(if $(filter miniature,$(SUITE)),miniature=$(WORK)/demo/world)
eval: SPLITS ?= $(if $(filter miniature,$(SUITE)),$(WORK)/demo/splits)
eval: OUT ?= $(WORK)/scores
eval: $(VENV)/ready ## zero-shot scores of a checkpoint: make eval MODEL=... PRETRAINED=... SUITE=imagenet DATA=imagenet=... OUT=...
	$(BIN)/oddpair eval --model '$(or $(MODEL),reference)' $(if $(PRETRAINED),--pretrained '$(PRETRAINED)') --suite '$(SUITE)' $(addprefix --data ,$(DATA)) $(addprefix --split ,$(SPLITS)) --out $(OUT) --workers $(WORKERS)

baseline: $(VENV)/ready ## natural-only models of four sizes on the demo's world, the baseline of its robustness: about four minutes
	$(BIN)/oddpair baseline $(WORK)/demo --out $(WORK)/baseline --workers $(WORKERS)

robustness: SCORES ?= $(WORK)/scores
robustness: BASELINE ?= $(WORK)/baseline/results
robustness: $(VENV)/ready ## accuracy out of distribution beside a baseline's line: make robustness SCORES=... BASELINE=...
	$(BIN)/oddpair robustness $(SCORES) --baseline $(BASELINE)

predict: TABLE ?= $(WORK)/table.parquet
predict: OUT ?= $(WORK)/prediction
predict: $(VENV)/ready ## accuracy predicted from counts: make predict TABLE=... OUT=... (PUBLISHED=... makes the table of published ones)
	$(if $(PUBLISHED),$(BIN)/oddpair predict --import frequency '$(PUBLISHED)' --out '$(TABLE)')
	$(BIN)/oddpair predict '$(TABLE)' --out $(OUT) --workers $(WORKERS)

submit: SCORES ?= $(WORK)/scores
submit: $(VENV)/ready ## bundle scores for the leaderboard: make submit SCORES=... DECLARE=me.yaml (without it, a template; DRY=1 only tells)
	$(BIN)/oddpair submit $(SCORES) $(if $(MODEL),--model '$(MODEL)') $(if $(DECLARE),--declare '$(DECLARE)') $(if $(DRY),--dry-run)

validate: SUBMISSION ?= $(wildcard benchmarks/submissions/*)
validate: $(VENV)/ready ## compute every number of a submission again: make validate SUBMISSION=benchmarks/submissions/...
	$(BIN)/oddpair validate $(SUBMISSION)

leaderboard: OUT ?= site
leaderboard: $(VENV)/ready ## the leaderboard's page of all submissions, into site/
	$(BIN)/oddpair leaderboard --out $(OUT)

entries: $(VENV)/ready ## train the leaderboard's own tiny models on the demo's world, score and submit them: about half an hour
	$(BIN)/python -m oddpair.demo.entries --demo $(WORK)/demo --out $(WORK)/entries --workers $(WORKERS)

doctor: $(VENV)/ready ## is this machine set up to run fast, and what would help
	$(BIN)/oddpair doctor

test: $(VENV)/ready ## every test but the faults
	$(BIN)/python -m pytest -q -n 2 --dist loadfile

lint: $(VENV)/ready ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# A variable of the shell must not choose what is timed.
perf: $(VENV)/ready ## ratios to other ways of doing the same, into work/perf.md: about forty minutes on two cores
	rm -rf work/perf
	for part in preprocess tower embed read memory search search_limits count count_command split eval audit; do \
	  env -u OPENBLAS_CORETYPE $(BIN)/python -m tests.perf.perf_$$part || exit 1; \
	done
	$(BIN)/python -m tests.perf.figures

faults: $(VENV)/ready ## kill, fill, signal and shuffle a small run of the whole path; KILLS=20 for the full matrix
	$(BIN)/python -m pytest -q -x tests/faults

# Tools that other people wrote, in an environment of their own: they ask for older versions than oddpair does.
# s3fs is read by oddpair itself, as a user would install it, and lies apart so that no other test finds it; so does the
# webdataset that open_clip's trainer asks for.
$(INTEROP)/ready: tests/interop/requirements.txt tests/interop/requirements-training.txt $(VENV)/ready
	$(PYTHON) -m venv $(INTEROP)
	$(INTEROP)/bin/python -m pip install --quiet --requirement tests/interop/requirements.txt
	$(INTEROP)/bin/python -m pip install --quiet --no-deps clip-retrieval==2.45.0
	$(BIN)/python -m pip install --quiet --upgrade --target $(INTEROP)/s3 s3fs
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(INTEROP)/training --requirement tests/interop/requirements-training.txt
	touch $@

interop: $(VENV)/ready $(INTEROP)/ready ## the real img2dataset, clip-retrieval's writer, webdataset, open_clip's trainer and an S3 server, both ways
	$(BIN)/python -m pytest -q -x tests/interop

# Playwright drives the chromium of the system, and lies apart so that no other test finds it.
$(BROWSER)/ready: $(VENV)/ready
	$(BIN)/python -m pip install --quiet --upgrade --target $(BROWSER)/site playwright
	$(BIN)/python -m pip install --quiet --upgrade --no-deps --target $(BROWSER)/site axe-playwright-python
	touch $@

browser: $(VENV)/ready $(BROWSER)/ready ## the labelling page, the leaderboard and the audit in a real chromium, which must be installed
	PYTHONPATH=$(BROWSER)/site $(BIN)/python -m pytest -q -x tests/browser

# The peer needs an older numpy; all else it takes from the main environment, behind its own.
$(PARITY)/ready: tests/parity/requirements.txt tests/parity/requirements-alone.txt $(VENV)/ready
	$(BIN)/python -m venv $(PARITY)
	$(PARITY)/bin/python -m pip install --quiet --requirement tests/parity/requirements.txt
	$(PARITY)/bin/python -m pip install --quiet --no-deps --requirement tests/parity/requirements-alone.txt
	$(BIN)/python -c "import sysconfig; print(sysconfig.get_path('purelib'))" > $$($(PARITY)/bin/python -c "import sysconfig; print(sysconfig.get_path('purelib'))")/main-environment.pth
	touch $@

parity: $(VENV)/ready $(PARITY)/ready ## the real clip_benchmark on the same weights and pictures: equal to the last digit
	$(BIN)/python -m pytest -q -x tests/parity

dist: $(VENV)/ready ## wheel and source archive, checked to hold only oddpair
	rm -rf dist build
	$(BIN)/python -m build --quiet
	$(BIN)/python tests/check_wheel.py dist/*.whl

clean: ## remove what demo, study and dist made
	rm -rf $(WORK) dist build
