"""The declaration to fill in asks for every field, and has what the weights tell."""

from typing import Any

import numpy as np
import pytest
import yaml
from safetensors.numpy import save_file

from oddpair import files
from oddpair.eval.submission.declaration import Declaration, read_declaration
from oddpair.eval.submission.template import count_parameters, write_template


@pytest.fixture
def weights(tmp_path):
    path = tmp_path / "weights.safetensors"
    arrays: dict[str, np.ndarray[Any, Any]] = {
        "visual.conv1.weight": np.zeros((4, 3, 2, 2), np.float16),
        "visual.bn1.running_mean": np.zeros(4, np.float32),
        "visual.bn1.num_batches_tracked": np.zeros((), np.int64),
        "logit_scale": np.zeros((), np.float32),
    }
    save_file(arrays, path)
    return path


def test_an_empty_template_asks_for_every_field_and_is_no_declaration(tmp_path):
    path = tmp_path / "me.yaml"
    path.write_text(write_template({}), encoding="utf-8")
    found, problems = read_declaration(path)
    assert found is None
    asked = [name for name in Declaration.__dataclass_fields__ if name != "links"]
    assert [problem.split(": ")[1] for problem in problems] == [f"{name} is not filled in" for name in asked]


def test_every_line_of_a_template_has_a_comment(tmp_path):
    assert all("#" in line for line in write_template({}).splitlines() if line)


def test_a_template_that_was_filled_in_is_a_declaration(tmp_path):
    answers = {
        "handle": "lab-a",
        "model": "tiny",
        "architecture": "RN",
        "parameters": "1_000",
        "open_weights": "true",
        "samples_seen": "unknown",
        "variants_tried": "1",
    }
    text = write_template({})
    for name, answer in answers.items():
        text = text.replace(f"{name}:", f"{name}: {answer}")
    text = text.replace("#  - name", "  - name").replace("#    manifest", "    manifest")
    (tmp_path / "me.yaml").write_text(text, encoding="utf-8")
    found, problems = read_declaration(tmp_path / "me.yaml")
    assert problems == ()
    assert found is not None
    assert found.parameters == 1000
    assert [one.name for one in found.training] == ["DataComp-1B"]


def test_what_the_run_and_the_weights_tell_is_filled_in(weights):
    model = {"model": "RN50", "pretrained": str(weights), "sha256": files.sha256(weights)}
    text = write_template({"model": model})
    assert model["sha256"] in text
    known = yaml.safe_load(text)
    assert (known["architecture"], known["parameters"]) == ("RN50", 4 * 3 * 2 * 2 + 1)


def test_parameters_of_other_weights_than_those_that_were_scored_are_not_filled_in(weights):
    model = {"model": "RN50", "pretrained": str(weights), "sha256": "0" * 64}
    assert yaml.safe_load(write_template({"model": model}))["parameters"] is None


def test_moving_averages_are_no_parameters_and_other_files_tell_nothing(weights, tmp_path):
    assert count_parameters(weights) == 49
    damaged = tmp_path / "damaged.safetensors"
    damaged.write_bytes(weights.read_bytes()[:20])
    assert count_parameters(damaged) is None
    assert count_parameters(tmp_path / "epoch_1.pt") is None


def test_the_reference_encoder_has_as_many_parameters_as_its_model():
    from oddpair.retrieval.models import load_model, reference_folder

    counted = count_parameters(reference_folder() / "open_clip_model.safetensors")
    assert counted == sum(one.numel() for one in load_model("reference").model.parameters())
