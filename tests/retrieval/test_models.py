import json
import logging
import shutil

import pytest

from oddpair.errors import Refusal
from oddpair.retrieval.models import identify_model, load_model


@pytest.fixture
def copied(transformer, tmp_path):
    return shutil.copytree(transformer, tmp_path / "model")


def test_what_embeddings_depend_on_is_told_by_every_file_of_the_model(copied):
    before = identify_model(str(copied))
    assert identify_model(f"local-dir:{copied}") == before
    for name in ("open_clip_config.json", "open_clip_model.safetensors", "bpe.txt.gz"):
        data = (copied / name).read_bytes()
        (copied / name).write_bytes(data + b" ")
        assert identify_model(str(copied)) != before, name
        (copied / name).write_bytes(data)
    assert identify_model(str(copied)) == before


@pytest.mark.parametrize(
    ("model", "pretrained", "line"),
    [
        ("no-such", None, "no model 'no-such': give a folder with open_clip_config.json"),
        ("ViT-B-23", None, r"an architecture of open_clip; did you mean 'ViT-B-\d+'\?"),
        ("ViT-B-32", None, "model 'ViT-B-32' needs weights: add --pretrained FILE"),
        (
            "ViT-B-32",
            "none.safetensors",
            "none.safetensors is neither a file nor a pretrained tag of ViT-B-32",
        ),
        ("local-dir:/no/such", None, "/no/such/open_clip_config.json is missing: a model folder holds"),
    ],
)
def test_an_unusable_name_is_refused_with_the_remedy(model, pretrained, line):
    with pytest.raises(Refusal, match=line) as refusal:
        load_model(model, pretrained)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("model", ["reference", "local-dir:/no/such"])
def test_weights_beside_a_model_that_has_its_own_are_refused(model):
    for call in (load_model, identify_model):
        with pytest.raises(
            Refusal, match=f"model '{model}' has its own weights, and --pretrained openai would go unused"
        ):
            call(model, "openai")


@pytest.mark.usefixtures("no_network")
@pytest.mark.parametrize("tag", ["yfcc15m", "openai"])
def test_a_tag_whose_weights_are_not_on_disk_is_refused_in_silence_and_not_fetched(
    tag, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    with pytest.raises(
        Refusal,
        match=rf"missing, and nothing is fetched|weights of tag {tag} of RN50 are not on this machine",
    ):
        load_model("RN50", tag)
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []
    logging.getLogger("after").error("heard")
    assert caplog.messages[-1] == "heard"


@pytest.mark.parametrize("name", ["open_clip_config.json", "open_clip_model.safetensors"])
def test_a_folder_without_a_part_is_refused_by_its_name(copied, name):
    (copied / name).unlink()
    with pytest.raises(Refusal, match=f"{name} is missing: a model folder holds"):
        load_model(str(copied))


def test_truncated_weights_are_refused(copied):
    path = copied / "open_clip_model.safetensors"
    for size in (0, 5, 1000, path.stat().st_size - 1):
        path.write_bytes((copied / path.name).read_bytes()[:size])
        with pytest.raises(
            Refusal, match=r"open_clip_model.safetensors cannot be loaded \(.+\): fetch or train"
        ):
            load_model(str(copied))


def test_weights_of_another_architecture_are_refused(copied):
    settings = json.loads((copied / "open_clip_config.json").read_text())
    settings["model_cfg"]["vision_cfg"]["width"] = 48
    (copied / "open_clip_config.json").write_text(json.dumps(settings))
    with pytest.raises(Refusal, match=r"open_clip_model.safetensors cannot be loaded"):
        load_model(str(copied))


@pytest.mark.parametrize("text", ["[]", "{}", '{"model_cfg": 3}', "{", '{"model_cfg": {"embed_dim": 8}}'])
def test_a_config_that_is_none_is_refused_by_its_name(copied, text):
    (copied / "open_clip_config.json").write_text(text)
    with pytest.raises(Refusal, match=r"open_clip_config.json|open_clip_model.safetensors cannot be loaded"):
        load_model(str(copied))


def test_a_damaged_vocabulary_is_refused(copied):
    (copied / "bpe.txt.gz").write_bytes(b"no gzip")
    with pytest.raises(
        Refusal, match=r"model has no usable tokenizer \(.+\): put the model's tokenizer files there"
    ):
        load_model(str(copied))


def test_a_pickle_as_weights_runs_no_code(tmp_path):
    import pickle

    class Attack:
        def __reduce__(self):
            return (exec, (f"open({str(tmp_path / 'ran')!r}, 'w').close()",))

    (tmp_path / "weights.pt").write_bytes(pickle.dumps(Attack(), protocol=2))
    with pytest.raises(Refusal, match=r"weights .*weights.pt cannot be loaded into RN50"):
        load_model("RN50", str(tmp_path / "weights.pt"))
    assert not (tmp_path / "ran").exists()


def test_the_hub_is_shut_for_as_long_as_a_model_is_loaded_and_open_to_a_corpus_after(monkeypatch):
    import open_clip
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    offline = []
    create = open_clip.create_model

    def watched(*arguments, **options):
        offline.append(constants.is_offline_mode())
        return create(*arguments, **options)

    monkeypatch.setattr(open_clip, "create_model", watched)
    load_model("reference")
    assert offline == [True]
    assert not constants.is_offline_mode()
