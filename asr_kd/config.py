"""Recipes: one YAML file, profiles over it, overrides from the command line, validated in one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import yaml
from pydantic import Field, ValidationError, field_validator, model_validator

from asr_kd.am.registry import ArchitectureConfig
from asr_kd.errors import ConfigError
from asr_kd.extraction import FeatureConfig, ViewConfig
from asr_kd.stages.align import AlignConfig
from asr_kd.stages.base import Settings
from asr_kd.stages.decode import DecodingConfig
from asr_kd.stages.ensemble import EnsembleConfig
from asr_kd.stages.language_model import LanguageModelConfig
from asr_kd.stages.nets import NetConfig, WindowConfig
from asr_kd.stages.prepare import CorpusConfig
from asr_kd.stages.score import ScoreConfig
from asr_kd.stages.student import StudentConfig
from asr_kd.train.config import TrainConfig

RECIPE_FILE = "recipe.yaml"

Cmvn = Literal["none", "utterance", "speaker"]


class FrontendConfig(Settings):
    """A frontend: a short name or ``package.module:Class``, and its options.

    In a recipe it may also be written as the name alone.
    """

    name: str = "fbank"
    options: dict[str, Any] = {}


class TeacherVariant(Settings):
    """What a teacher does differently from the recipe; None keeps the recipe's setting.

    Attributes:
        model: Another net, or some of its options.
        frontend: Other features.
        window: Another context.
        train: Some other training settings.
        data_share: Share of the training utterances that it learns from.
    """

    model: dict[str, Any] | None = None
    frontend: FrontendConfig | None = None
    window: WindowConfig | None = None
    train: dict[str, Any] | None = None
    data_share: float = Field(1.0, gt=0, le=1)


class TeachersConfig(Settings):
    """The ensemble's members.

    Attributes:
        count: How many, N.
        seed: Of the first; the others count on from it.
        variants: Taken in turn by the teachers; none means that they differ in the seed alone.
    """

    count: int = Field(5, ge=1)
    seed: int = 1
    variants: tuple[TeacherVariant, ...] = ()


class BaselineConfig(Settings):
    """Single nets trained on hard labels, of the student's size.

    Attributes:
        count: How many seeds.
        seed: Of the first; one that a teacher has already trained with equal settings is not trained again.
        model: What the net has differently from the student's: the regularisation that hard labels need.
        train: What it trains with differently from the recipe.
    """

    count: int = Field(5, ge=1)
    seed: int = 1
    model: dict[str, Any] | None = None
    train: dict[str, Any] | None = None


class Recipe(Settings):
    """All settings of one experiment (``recipe.yaml``)."""

    name: str
    description: str = ""
    corpus: CorpusConfig
    frontend: FrontendConfig = FrontendConfig()
    cmvn: Cmvn = "speaker"
    window: WindowConfig = WindowConfig()
    align: AlignConfig = AlignConfig()
    model: ArchitectureConfig = ArchitectureConfig()
    train: TrainConfig = TrainConfig()
    teachers: TeachersConfig = TeachersConfig()
    baseline: BaselineConfig = BaselineConfig()
    views: ViewConfig = ViewConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    student: StudentConfig = StudentConfig()
    language_model: LanguageModelConfig = LanguageModelConfig()
    decode: DecodingConfig = DecodingConfig()
    score: ScoreConfig = ScoreConfig()

    @field_validator("frontend", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_teachers(self) -> Recipe:
        weights = self.ensemble.weights
        if weights is not None and len(weights) != self.teachers.count:
            raise ValueError(
                f"ensemble.weights has {len(weights)} weights for {self.teachers.count} teachers"
            )
        return self

    def features(self, frontend: FrontendConfig | None = None) -> FeatureConfig:
        """Return the settings of the models' features, or of another frontend's."""
        chosen = frontend or self.frontend
        return FeatureConfig(name=chosen.name, options=chosen.options, cmvn=self.cmvn)

    def teacher_nets(self) -> list[NetConfig]:
        """Return the settings of every teacher."""
        return [self._teacher(index) for index in range(self.teachers.count)]

    def _teacher(self, index: int) -> NetConfig:
        variants = self.teachers.variants or (TeacherVariant(),)
        variant = variants[index % len(variants)]
        return NetConfig(
            model=_updated(self.model, variant.model),
            window=variant.window or self.window,
            features=self.features(variant.frontend),
            train=_updated(self.train, variant.train),
            seed=self.teachers.seed + index,
            data_share=variant.data_share,
        )

    def baseline_nets(self) -> list[NetConfig]:
        """Return the settings of the baseline's seeds: the student's net, trained on hard labels."""
        return [
            NetConfig(
                model=_updated(self._student_model(), self.baseline.model),
                window=self.window,
                features=self.features(),
                train=_updated(self.train, self.baseline.train),
                seed=self.baseline.seed + index,
            )
            for index in range(self.baseline.count)
        ]

    def student_net(self) -> NetConfig:
        """Return the student's net and training; its seeds count on from ``student.seed``."""
        return NetConfig(
            model=self._student_model(),
            window=self.window,
            features=self.features(),
            train=_updated(self.train, self.student.train),
            seed=self.student.seed,
        )

    def _student_model(self) -> ArchitectureConfig:
        return _updated(self.model, self.student.model)


_Config = TypeVar("_Config", ArchitectureConfig, TrainConfig)


def _updated(config: _Config, changes: Mapping[str, Any] | None) -> _Config:
    """Return a validated copy with some settings changed; ``options`` are merged."""
    if not changes:
        return config
    # dict, not model_dump: some settings are left out of dumps, for they identify nothing.
    return type(config).model_validate(_merged(dict(config), changes))


def find_recipe(name: str) -> Path:
    """Return a recipe's folder from its path or the name of one that comes with asr_kd.

    Raises:
        ConfigError: When there is none, listing the known ones.
    """
    given = Path(name)
    if given.is_file():
        return given.parent
    if (given / RECIPE_FILE).is_file():
        return given
    for folder in known_recipes():
        if folder.name == name:
            return folder
    known = ", ".join(folder.name for folder in known_recipes())
    raise ConfigError(f'no recipe "{name}"', expected=f"a folder with {RECIPE_FILE}, or one of {known}")


def known_recipes() -> list[Path]:
    """Return the folders of the recipes that come with asr_kd, by name."""
    found = [path.parent for folder in _recipe_folders() for path in folder.glob(f"*/{RECIPE_FILE}")]
    return sorted(found, key=lambda folder: folder.name)


def _recipe_folders() -> list[Path]:
    package = Path(__file__).resolve().parent
    # An installed wheel carries the recipes inside the package; a checkout has them beside it.
    return [folder for folder in (package / "_recipes", package.parent / "recipes") if folder.is_dir()]


def load_recipe(folder: Path, profile: str = "default", overrides: Sequence[str] = ()) -> Recipe:
    """Read ``recipe.yaml``, lay a profile and overrides over it, and validate the result.

    Args:
        folder: The recipe's folder.
        profile: Name below ``profiles``; ``default`` need not be there.
        overrides: ``a.b=value`` each, the value in YAML.

    Raises:
        ConfigError: For malformed YAML (with its line), an unknown key, profile or a wrong value.
    """
    path = folder / RECIPE_FILE
    content = _read_yaml(path)
    profiles = content.pop("profiles", None) or {}
    if profile not in profiles and profile != "default":
        known = ", ".join(sorted({"default", *profiles}))
        raise ConfigError(f'unknown profile "{profile}"', where=path, expected=f"one of {known}")
    content = _merged(content, profiles.get(profile) or {})
    for override in overrides:
        content = _merged(content, parse_override(override))
    try:
        return Recipe.model_validate(content)
    except ValidationError as error:
        raise _first_error(error, path) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"malformed YAML: {error.problem}", where=f"{path}:{line}") from None
    if not isinstance(content, dict):
        raise ConfigError("a recipe is a mapping of settings", where=path, got=type(content).__name__)
    return content


def parse_override(text: str) -> dict[str, Any]:
    """Turn ``a.b=value`` into nested mappings; the value is read as YAML.

    Raises:
        ConfigError: When it has another form.
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError("malformed override", where=f"--set {text}", expected="a.b=value")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"malformed value: {error}", where=f"--set {text}") from None
    for part in reversed(key.split(".")):
        nested = {part: nested}
    assert isinstance(nested, dict)
    return nested


def _merged(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(base)
    for key, value in changes.items():
        old = result.get(key)
        result[key] = (
            _merged(old, value) if isinstance(old, Mapping) and isinstance(value, Mapping) else value
        )
    return result


def _first_error(error: ValidationError, path: Path) -> ConfigError:
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    where = f"{path}:{_line_of(path, first['loc'])}" if _line_of(path, first["loc"]) else str(path)
    if first["type"] == "extra_forbidden":
        return ConfigError(f'unknown setting "{key}"', where=where, expected=_known_settings(first["loc"]))
    return ConfigError(f'setting "{key}": {first["msg"]}', where=where, got=repr(first.get("input"))[:60])


def _known_settings(location: tuple[int | str, ...]) -> str:
    """Return the settings that are known where an unknown one stands."""
    model: Any = Recipe
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = _settings_class(field.annotation) if field else None
    fields = getattr(model, "model_fields", {})
    return f"one of {', '.join(fields)}" if fields else "a known setting"


def _settings_class(annotation: Any) -> Any:
    candidates = [annotation, *getattr(annotation, "__args__", ())]
    return next((each for each in candidates if hasattr(each, "model_fields")), None)


def _line_of(path: Path, location: tuple[int | str, ...]) -> int | None:
    """Return the line of a setting in the file; None when it comes from elsewhere."""
    node: Any = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    line = None
    for part in location:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(key, value) for key, value in pairs if key.value == str(part)]
        if not found:
            break
        key, node = found[0]
        line = key.start_mark.line + 1
    return line
