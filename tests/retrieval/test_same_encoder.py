import numpy as np
import pytest
from tests.retrieval.stored_folder import write_manifest, write_stored

from oddpair import files
from oddpair.errors import Refusal
from oddpair.retrieval.models import reference_folder
from oddpair.retrieval.same_encoder import describe_model, refuse_same_encoder, require_one_encoder
from oddpair.retrieval.stored import open_stored

REFERENCE = {"kind": "zero-shot", "encoder": describe_model("reference")}


def test_a_model_is_described_by_its_name_and_weights(transformer, tmp_path):
    weights = transformer / "open_clip_model.safetensors"
    assert describe_model(str(transformer)) == {"name": transformer.name, "weights": files.sha256(weights)}
    assert describe_model("ViT-B-32", str(weights))["weights"] == files.sha256(weights)
    assert describe_model("ViT-B-32", "laion400m_e32") == {
        "name": "ViT-B-32",
        "weights": "timm/vit_base_patch32_clip_224.laion400m_e32",
    }


@pytest.mark.parametrize("model", ["refrence", "ViT-B-32"])
def test_a_name_without_weights_is_refused_rather_than_taken_for_another_model(model):
    with pytest.raises(Refusal, match=f"^{model} is no folder of a model, and an architecture needs weights"):
        refuse_same_encoder(REFERENCE, model)


def test_the_tagger_may_not_be_evaluated_unless_it_is_asked_for():
    line = r"^reference is the model that tagged the pictures \(weights [0-9a-f]{16}…\).*--allow-same-encoder"
    with pytest.raises(Refusal, match=line):
        refuse_same_encoder(REFERENCE, "reference")
    assert refuse_same_encoder(REFERENCE, "reference", allow=True)
    with pytest.raises(Refusal, match=r"^reference is the model"):
        refuse_same_encoder(REFERENCE, str(reference_folder()))


def test_another_model_and_tags_of_no_model_are_let_pass(transformer, capsys):
    assert not refuse_same_encoder(REFERENCE, str(transformer))
    assert not refuse_same_encoder(None, "reference")
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("tagger", "evaluated"),
    [
        (("ViT-B-32", "openai"), ("ViT-B-32-quickgelu", "openai")),
        (("ViT-B-32", "openai"), ("ViT-B/32", "openai")),
        (("ViT-B-32", "laion2b-s34b-b79k"), ("ViT-B-32", "laion2b_s34b_b79k")),
        (("ViT-B-32", "laion2b_s34b_b79k"), ("ViT-B-32", "LAION2B_s34b_b79k")),
    ],
    ids=["one-file-of-two-architectures", "slash", "hyphens", "upper-case"],
)
def test_names_that_open_clip_takes_for_one_file_are_one_model(tagger, evaluated):
    for one, other in ((tagger, evaluated), (evaluated, tagger)):
        with pytest.raises(
            Refusal, match=r"is the model that tagged the pictures \(weights \w+/[\w.-]+\), and"
        ):
            refuse_same_encoder({"encoder": describe_model(*one)}, *other)
    assert describe_model("ViT-B/32", "openai")["name"] == "ViT-B-32"


@pytest.mark.parametrize(
    ("model", "pretrained", "line"),
    [
        ("typo", "x", "^typo is neither a folder of a model nor an architecture of open_clip"),
        ("ViT-B-32", None, "^ViT-B-32 is no folder of a model, and an architecture needs weights"),
        ("ViT-B-32", "", "^model 'ViT-B-32' is given empty weights"),
        (
            "ViT-B-32",
            "/nonexistent.pt",
            "^/nonexistent.pt is neither a file nor pretrained weights .* of ViT-B-32",
        ),
        ("ViT-B-32", "laion400m_e33", "^laion400m_e33 is neither a file nor pretrained weights"),
    ],
)
def test_a_model_that_is_not_there_is_refused(model, pretrained, line):
    with pytest.raises(Refusal, match=line):
        describe_model(model, pretrained)


@pytest.mark.parametrize("architecture", ["typo", "ViT-B-33"])
def test_a_file_of_weights_needs_an_architecture_of_open_clip(transformer, architecture):
    with pytest.raises(Refusal, match=f"^{architecture} is neither a folder"):
        describe_model(architecture, str(transformer / "open_clip_model.safetensors"))


@pytest.mark.parametrize(
    "tagger", [{}, {"encoder": {}}, {"encoder": "x"}, {"encoder": {"name": "x", "weights": None}}, "x", []]
)
def test_a_tagger_that_is_not_named_is_refused_rather_than_taken_for_another(tagger):
    with pytest.raises(Refusal, match=r"^meta\.json does not tell who tagged the pictures"):
        refuse_same_encoder(tagger, "reference")


def test_weights_of_tags_are_compared_by_architecture_and_tag(capsys):
    tagger = {"encoder": describe_model("ViT-B-32", "laion400m_e32")}
    with pytest.raises(Refusal, match="ViT-B-32 is the model that tagged"):
        refuse_same_encoder(tagger, "ViT-B-32", "laion400m_e32")
    assert not refuse_same_encoder(tagger, "ViT-B-32", "laion400m_e31")
    assert not refuse_same_encoder(tagger, "ViT-B-16", "laion400m_e32")
    assert capsys.readouterr().err == ""


def test_that_a_file_and_a_tag_cannot_be_compared_is_said(capsys):
    assert not refuse_same_encoder(REFERENCE, "ViT-B-32", "laion400m_e32")
    assert "reference tagged the pictures and ViT-B-32 is evaluated" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("width", "encoder", "line"),
    [
        (3, "ab" * 32, "one has embeddings of dimension 4, two of 3"),
        (
            4,
            "cd" * 32,
            "one was embedded by a model with weights abababababab…, two by one with cdcdcdcdcdcd…",
        ),
    ],
    ids=["47-dimension", "47-model"],
)
def test_rows_of_different_models_are_not_compared(tmp_path, capsys, width, encoder, line):
    one = open_stored(write_stored(tmp_path / "one", np.eye(4), list("abcd"), [4]))
    write_stored(tmp_path / "two", np.eye(width), list("abcd")[:width], [width])
    write_manifest(tmp_path / "two", encoder_sha256=encoder)
    two = open_stored(tmp_path / "two")
    with pytest.raises(Refusal, match=line):
        require_one_encoder(one, two, ("one", "two"))
    require_one_encoder(one, one, ("one", "two"))
    write_manifest(tmp_path / "one", encoder_sha256="")
    if width == 4:
        require_one_encoder(two, open_stored(tmp_path / "one"), ("two", "one"))
        assert capsys.readouterr().err.startswith("one: nothing tells which model made these embeddings")
