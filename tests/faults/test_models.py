"""Cases 57 and 58: models that would run code, are not what they say, or are no models; each ends in one line."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.retrieval import tiny_models

from oddpair.errors import Refusal
from oddpair.eval.models_file import read_models
from oddpair.retrieval.encoder import load_encoder
from oddpair.retrieval.model_checks import check_model

SAFE = "open_clip_model.safetensors"


class Attack:
    """What makes a file when its pickle is run."""

    def __init__(self, ran: Path) -> None:
        self.ran = ran

    def __reduce__(self) -> tuple[Any, ...]:
        return exec, (f"open({str(self.ran)!r}, 'w').close()",)


@pytest.fixture
def ran(tmp_path: Path) -> Path:
    return tmp_path / "ran"


def attack_plain(path: Path, ran: Path) -> None:
    path.write_bytes(pickle.dumps(Attack(ran), protocol=2))


def attack_archive(path: Path, ran: Path) -> None:
    torch.save({"state_dict": tiny_models.random_state(), "more": Attack(ran)}, path)


def attack_legacy(path: Path, ran: Path) -> None:
    torch.save({"more": Attack(ran)}, path, _use_new_zipfile_serialization=False)


def attack_after_a_type_error(path: Path, ran: Path) -> None:
    """Fail the weights-only reader with a TypeError, on which open_clip reads a file again, without that word."""
    torch.save({"more": Attack(ran)}, path)
    # An object without a state: nothing to pickle, and a TypeError to the reader of weights.
    data = b"\x80\x02ccollections\nOrderedDict\n)RNb" + pickle.dumps(Attack(ran), protocol=2)[2:]
    with zipfile.ZipFile(path) as archive:
        kept = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, old in kept.items():
            archive.writestr(name, data if name.endswith("data.pkl") else old)


ATTACKS = [attack_plain, attack_archive, attack_legacy, attack_after_a_type_error]


@pytest.mark.parametrize("unsafe", [False, True], ids=["", "torch-told-to-trust"])
@pytest.mark.parametrize("place", ["file.pt", "file.pth", "file.bin", "folder.bin", "folder.pt", "hub.bin"])
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"57-{attack.__name__}")
@pytest.mark.usefixtures("no_network")
def test_no_pickle_is_run_wherever_it_lies(
    attack: Callable[[Path, Path], None],
    place: str,
    unsafe: bool,
    ran: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    tiny_models.register(monkeypatch)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    if unsafe:
        monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    kind, ending = place.split(".")
    state = tiny_models.random_state()
    if kind == "file":
        path = tmp_path / f"weights.{ending}"
        model, pretrained = "tiny", str(path)
    else:
        name = "open_clip_pytorch_model.bin" if ending == "bin" else "own.pt"
        folder = tmp_path / "model"
        if kind == "hub":
            folder = tiny_models.save_in_hub(state, tmp_path / "hub", "org/evil", name)
        else:
            tiny_models.save_folder(state, folder, name)
        path = folder / name
        model, pretrained = ("hf-hub:org/evil" if kind == "hub" else str(folder)), None
    attack(path, ran)
    with pytest.raises(Refusal, match=rf"{path.name} (holds more than weights|cannot be loaded)") as refusal:
        load_encoder(model, pretrained)
    assert "\n" not in str(refusal.value)
    assert "weights_only" not in str(refusal.value)
    assert not ran.exists()


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: f"57-{attack.__name__}")
def test_the_attacks_work_where_they_are_let(
    attack: Callable[[Path, Path], None], ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without this, the test above would pass on files that harm nobody."""
    attack(tmp_path / "weights.pt", ran)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    with (
        suppress(TypeError, RuntimeError, pickle.UnpicklingError),
        pytest.warns(UserWarning, match="NO_WEIGHTS_ONLY_LOAD"),
    ):
        torch.load(tmp_path / "weights.pt")
    assert ran.exists()


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_a_program_of_torchscript_is_refused_and_not_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.register(monkeypatch)
    path = tmp_path / "weights.pt"
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("data.pkl", "constants.pkl", "version", "code/__torch__.py"):
            archive.writestr(f"weights/{name}", b"3")
    with pytest.raises(
        Refusal, match="is a TorchScript program, and code that comes with a model is never run"
    ):
        load_encoder("tiny", str(path))


def settings_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "open_clip_config.json").read_text())
    return found


@pytest.mark.parametrize(
    ("changes", "file", "line"),
    [
        ({"tokenizer_kwargs": {"trust_remote_code": True}}, {}, "sets trust_remote_code in tokenizer_kwargs"),
        ({"tokenizer_kwargs": {"reduction_mask": "syntax"}}, {}, "sets reduction_mask in tokenizer_kwargs"),
        ({"tokenizer_kwargs": [1]}, {}, "sets no object in tokenizer_kwargs"),
        (
            {"hf_tokenizer_name": "org/evil"},
            {"tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}}},
            "tokenizer_config.json has an 'auto_map', and code that comes with a model is never run",
        ),
        (
            {"hf_model_name": "org/evil"},
            {"config.json": {"auto_map": {"AutoConfig": "evil.Evil"}}},
            "config.json has an 'auto_map'",
        ),
    ],
    ids=["57-trust", "57-mask", "57-no-object", "57-tokenizer-code", "57-text-tower-code"],
)
@pytest.mark.parametrize("place", ["folder", "hub"])
def test_a_configuration_that_names_code_is_refused_before_any_is_imported(
    changes: dict[str, Any],
    file: dict[str, Any],
    line: str,
    place: str,
    ran: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    config = {**tiny_models.TINY, "text_cfg": {**tiny_models.TINY["text_cfg"], **changes}}
    folder = tiny_models.save_folder(tiny_models.random_state(), tmp_path / "model", SAFE, config)
    # Its own folder, or the repository in the hub's cache that it names.
    beside = folder
    if place == "hub":
        beside = tiny_models.save_in_hub(tiny_models.random_state(), tmp_path / "hub", "org/evil", SAFE)
    (beside / "evil.py").write_text(f"open({str(ran)!r}, 'w').close()")
    for name, text in file.items():
        (beside / name).write_text(json.dumps(text))
    with pytest.raises(Refusal, match=line) as refusal:
        load_encoder(str(folder))
    assert "\n" not in str(refusal.value)
    assert not ran.exists()


@pytest.mark.parametrize("ending", ["safetensors", "pt", "bin"])
@pytest.mark.parametrize("keep", [0, 1, 7, 8, 100, 0.5, -1], ids=lambda keep: f"57-cut-to-{keep}")
def test_truncated_weights_are_refused(
    ending: str, keep: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.register(monkeypatch)
    path = tiny_models.save(tiny_models.random_state(), tmp_path / f"weights.{ending}")
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * keep) if 0 < keep < 1 else int(keep)])
    with pytest.raises(
        Refusal, match=r"weights\.\w+ (cannot be loaded|holds more than weights|are damaged)"
    ) as refusal:
        load_encoder("tiny", str(path))
    assert "\n" not in str(refusal.value)


def saved(value: object) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(
    "value",
    [
        {},
        [],
        3,
        None,
        {"state_dict": {}},
        {"state_dict": 3},
        {1: 2},
        {"a": "b"},
        {"a": torch.zeros(2)},
        torch.zeros(2),
    ],
    ids=lambda value: f"57-{str(value)[:20]}",
)
def test_a_file_that_holds_something_else_than_weights_is_refused(
    value: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tiny_models.register(monkeypatch)
    path = tmp_path / "weights.pt"
    path.write_bytes(saved(value))
    with pytest.raises(Refusal, match=r"weights.pt (cannot be loaded|holds more than weights)"):
        load_encoder("tiny", str(path))


@pytest.mark.parametrize("seed", range(40))
def test_weights_with_bytes_turned_are_refused_or_load(
    seed: int, ran: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import numpy as np

    tiny_models.register(monkeypatch)
    rng = np.random.default_rng(seed)
    path = tiny_models.save(
        tiny_models.random_state(), tmp_path / f"weights.{('safetensors', 'pt')[seed % 2]}"
    )
    data = bytearray(path.read_bytes())
    ends = np.concatenate([np.arange(3000), len(data) - 1 - np.arange(3000)])
    for place in rng.choice(ends, 5):
        data[place] = int(rng.integers(256))
    path.write_bytes(data)
    # What no format notices gives other numbers, and is for the hash to find.
    with suppress(Refusal):
        load_encoder("tiny", str(path))


def test_weights_of_another_hash_than_the_file_of_models_tells_are_refused(tmp_path: Path) -> None:
    folder = tiny_models.save_folder(tiny_models.random_state(), tmp_path / "model", SAFE)
    (tmp_path / "models.txt").write_text(f"{folder},,{'0' * 64}\n")
    (choice,) = read_models([], [], tmp_path / "models.txt")
    with pytest.raises(
        Refusal, match=r"have SHA-256 [0-9a-f]{64}, needed 0{64}: they are damaged or of another model"
    ):
        check_model(choice.model, choice.pretrained, load_encoder(choice.model), sha256=choice.sha256)


@pytest.mark.parametrize(
    ("part", "changes"),
    [
        ("vision_cfg", {"width": 48}),
        ("vision_cfg", {"layers": 2}),
        ("vision_cfg", {"layers": -1}),
        ("vision_cfg", {"width": "wide"}),
        ("vision_cfg", {"patch_size": 0}),
        ("vision_cfg", {"no_such": 1}),
        ("vision_cfg", {"timm_model_name": "no-such"}),
        ("text_cfg", {"width": 24}),
        ("text_cfg", {"heads": 0}),
        ("text_cfg", {"hf_model_name": "no/such"}),
    ],
    ids=lambda value: f"57-{value}" if isinstance(value, dict) else value,
)
@pytest.mark.usefixtures("no_network")
def test_the_configuration_of_another_model_is_refused(
    part: str, changes: dict[str, Any], tmp_path: Path
) -> None:
    config = {**tiny_models.TINY, part: {**tiny_models.TINY[part], **changes}}
    folder = tiny_models.save_folder(tiny_models.random_state(), tmp_path, SAFE, config)
    with pytest.raises(Refusal, match=r"cannot be loaded|open_clip_config\.json") as refusal:
        load_encoder(str(folder))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"mean": "dark"},
        {"mean": [0.5] * 2},
        {"std": [0, 1, 1]},
        {"std": float("nan")},
        {"resize_mode": "melt"},
        3,
    ],
    ids=lambda changes: f"57-{changes}",
)
def test_preprocessing_that_is_none_is_refused(changes: object, tmp_path: Path) -> None:
    folder = tiny_models.save_folder(tiny_models.random_state(), tmp_path, SAFE, preprocess_cfg=changes)
    with pytest.raises(Refusal, match=r"open_clip_config\.json (has|describes|is not valid JSON)"):
        load_encoder(str(folder))


DEGENERATE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "58-nan": lambda state: [value.fill_(float("nan")) for value in state.values()],
    "58-infinite": lambda state: state["visual.proj"].fill_(float("inf")),
    "58-zero": lambda state: [value.zero_() for value in state.values()],
    "58-constant-images": lambda state: state["visual.conv1.weight"].zero_(),
    "58-constant-texts": lambda state: state["token_embedding.weight"].zero_(),
}


@pytest.mark.parametrize("case", DEGENERATE)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_degenerate_model_is_refused_in_a_line_before_it_scores(
    case: str, precision: Any, tmp_path: Path
) -> None:
    state = tiny_models.random_state()
    DEGENERATE[case](state)
    folder = tiny_models.save_folder(state, tmp_path, SAFE)
    with pytest.raises(Refusal, match=r"degenerate|logit scale") as refusal:
        check_model(str(folder), None, load_encoder(str(folder), precision=precision))
    assert "\n" not in str(refusal.value)
    assert os.environ.get("TORCH_FORCE_WEIGHTS_ONLY_LOAD") is None
