"""A posterior code, frontend or net of another name got the settings of the one that it took the place of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from asr_kd.config import load_recipe
from asr_kd.distill.kept_code import Nucleus, Threshold, TopK
from asr_kd.stages.overrides import merged
from asr_kd.stages.recipe import Recipe
from tests.support.tones import tones_recipe

THRESHOLD = {"name": "threshold", "least": 0.01, "k": 40}


def _recipe(folder: Path, *overrides: str, **settings: Any) -> Recipe:
    path = tones_recipe(folder) / "recipe.yaml"
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), **settings}))
    return load_recipe(folder, overrides=overrides)


@pytest.mark.parametrize(
    ("override", "code"),
    [
        ("ensemble.code={name: topk, k: 20}", TopK(k=20)),
        ("ensemble.code={name: nucleus}", Nucleus()),
        ("ensemble.code.name=topk", TopK()),
        ("ensemble.code={name: threshold, k: 20}", Threshold(least=0.01, k=20)),
        ("ensemble.code.least=0.1", Threshold(least=0.1, k=40)),
    ],
)
def test_a_code_is_replaced_by_another(tmp_path: Path, override: str, code: object) -> None:
    assert _recipe(tmp_path, override, ensemble={"code": THRESHOLD}).ensemble.code == code


def test_a_code_of_a_profile_and_of_a_further_set(tmp_path: Path) -> None:
    settings = {"code": THRESHOLD, "further": {"other": {"code": THRESHOLD, "temperature": 3}}}
    overrides = ["ensemble.further.other.code={name: topk, k: 5}"]
    recipe = _recipe(tmp_path, *overrides, ensemble=settings)
    assert recipe.ensemble.further["other"].code == TopK(k=5)
    assert recipe.ensemble.further["other"].temperature == 3
    profiles = {"other": {"ensemble": {"code": {"name": "topk"}}}}
    _recipe(tmp_path, ensemble={"code": THRESHOLD}, profiles=profiles)
    assert load_recipe(tmp_path, "other").ensemble.code == TopK()


def test_options_of_another_frontend_are_its_own(tmp_path: Path) -> None:
    fbank = {"name": "fbank", "options": {"sampling_rate": 8000, "num_mel_bins": 23}}
    other = _recipe(tmp_path, "frontend={name: mfcc, options: {sampling_rate: 8000}}", frontend=fbank)
    assert other.frontend.options == {"sampling_rate": 8000}
    # The name alone: options that both take are kept, as sweeps over frontends want them.
    assert _recipe(tmp_path, "frontend.name=mfcc", frontend=fbank).frontend.options == fbank["options"]
    named = _recipe(tmp_path, "frontend.options.sampling_rate=8000", frontend="mfcc").frontend
    assert (named.name, named.options) == ("mfcc", {"sampling_rate": 8000})
    same = _recipe(tmp_path, "frontend={name: fbank, options: {num_mel_bins: 40}}", frontend=fbank)
    assert same.frontend.options == {"sampling_rate": 8000, "num_mel_bins": 40}


def test_normalisation_belongs_to_no_frontend(tmp_path: Path) -> None:
    features = {"name": "mfcc", "options": {"sampling_rate": 8000}, "cmvn": "utterance"}
    override = "align.features={name: fbank, options: {num_mel_bins: 23}}"
    found = _recipe(tmp_path, override, align={"features": features}).align.features
    assert (found.name, found.options, found.cmvn) == ("fbank", {"num_mel_bins": 23}, "utterance")


def test_options_of_another_net_are_its_own(tmp_path: Path) -> None:
    student = {"model": {"name": "package.module:Net", "options": {"width": 3}}}
    recipe = _recipe(tmp_path, student=student, baseline={"model": {"options": {"drop": 0.5}}})
    assert recipe.student_net().model.options == {"width": 3}
    assert recipe.baseline_nets()[0].model.options == {"width": 3, "drop": 0.5}
    assert recipe.teacher_nets()[0].model.options["units"] == 48


def test_options_may_have_names_of_their_own() -> None:
    base = {"name": "a", "corpus": {"module": "m", "options": {"name": "x", "size": 3}}}
    changes = {"name": "b", "corpus": {"options": {"name": "y"}}}
    assert merged(base, changes) == {
        "name": "b",
        "corpus": {"module": "m", "options": {"name": "y", "size": 3}},
    }
