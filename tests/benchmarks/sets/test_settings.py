import pytest

from oddpair.benchmarks.sets.settings import require_known
from oddpair.errors import Refusal


def test_known_settings_pass():
    require_known({"split": "test"}, ("split", "images"), name="a", layout="captions")


def test_a_setting_without_a_near_one_is_refused_with_all_that_there_are():
    with pytest.raises(Refusal, match="set a: layout captions has no setting 'colour'; use split, images"):
        require_known({"colour": "red"}, ("split", "images"), name="a", layout="captions")


def test_an_empty_setting_is_refused():
    with pytest.raises(
        Refusal, match="set a: its setting 'split' is empty: give it a value, or leave it out"
    ):
        require_known({"split": ""}, ("split",), name="a", layout="captions")
