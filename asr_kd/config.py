"""Reads recipes: one YAML file, profiles over it, overrides from the command line, validated in one place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import ValidationError
from pydantic.fields import FieldInfo
from yaml.constructor import ConstructorError

from asr_kd.errors import ConfigError, ModelError, did_you_mean
from asr_kd.stages.base import Settings
from asr_kd.stages.images.recipe import ImageRecipe
from asr_kd.stages.overrides import ChangesTo, merged
from asr_kd.stages.recipe import Recipe

RECIPE_FILE = "recipe.yaml"

_KINDS: dict[str, type[Recipe] | type[ImageRecipe]] = {"speech": Recipe, "images": ImageRecipe}


def find_recipe(name: str) -> Path:
    """Return a recipe's folder from its path or the name of one that comes with asr_kd.

    Raises:
        ConfigError: When there is none, listing the known ones.
    """
    given = Path(name)
    if given.is_file():
        if given.name == RECIPE_FILE:
            return given.parent
        raise ConfigError(
            "not a recipe", where=given, expected=f"a file named {RECIPE_FILE}, or a folder that holds one"
        )
    if (given / RECIPE_FILE).is_file():
        return given
    for folder in known_recipes():
        if folder.name == name:
            return folder
    known = [folder.name for folder in known_recipes()]
    raise ConfigError(
        f'no recipe "{name}"',
        expected=f"a folder with {RECIPE_FILE}, or one of {', '.join(known)}",
        hint=did_you_mean(name, known),
    )


def known_recipes() -> list[Path]:
    """Return the folders of the recipes that come with asr_kd, by name."""
    found = [path.parent for folder in _recipe_folders() for path in folder.glob(f"*/{RECIPE_FILE}")]
    return sorted(found, key=lambda folder: folder.name)


def _recipe_folders() -> list[Path]:
    package = Path(__file__).resolve().parent
    # An installed wheel carries the recipes inside the package; a checkout has them beside it.
    return [folder for folder in (package / "_recipes", package.parent / "recipes") if folder.is_dir()]


def load_recipe(folder: Path, profile: str = "default", overrides: Sequence[str] = ()) -> Recipe:
    """Read the ``recipe.yaml`` of a speech experiment; see :func:`load_any_recipe`.

    Raises:
        ConfigError: As there, and for a recipe of another kind.
    """
    recipe = load_any_recipe(folder, profile, overrides)
    if not isinstance(recipe, Recipe):
        raise ConfigError(
            "a recipe of another kind", where=folder / RECIPE_FILE, expected="kind speech", got=recipe.kind
        )
    return recipe


def load_any_recipe(
    folder: Path, profile: str = "default", overrides: Sequence[str] = ()
) -> Recipe | ImageRecipe:
    """Read ``recipe.yaml``, lay a profile and overrides over it, and validate the result by its ``kind``.

    Args:
        folder: The recipe's folder.
        profile: Name below ``profiles``; ``default`` need not be there.
        overrides: ``a.b=value`` each, the value in YAML.

    Raises:
        ConfigError: For malformed YAML (with its line), an unknown key, profile or a wrong value.
    """
    path = folder / RECIPE_FILE
    content = _read_yaml(path)
    profiles = _profiles(content.pop("profiles", None) or {}, path)
    if profile not in profiles and profile != "default":
        known = sorted({"default", *profiles})
        raise ConfigError(
            f'unknown profile "{profile}"',
            where=path,
            expected=f"one of {', '.join(known)}",
            hint=did_you_mean(profile, known),
        )
    content = merged(content, profiles.get(profile) or {})
    for override in overrides:
        content = merged(content, parse_override(override))
    kind = content.get("kind", "speech")
    if not isinstance(kind, str) or kind not in _KINDS:
        raise ConfigError(f'unknown kind "{kind}"', where=path, expected=f"one of {', '.join(_KINDS)}")
    recipe_class = _KINDS[kind]
    try:
        return recipe_class.model_validate(content)
    except ValidationError as error:
        raise _first_error(error, recipe_class, path, profile, overrides) from None


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), Loader=_OneValueEach)  # noqa: S506  # a SafeLoader
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"malformed YAML: {error.problem}", where=f"{path}:{line}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"not a text in UTF-8: {' '.join(str(error).split())}", where=path) from None
    if not isinstance(content, dict):
        raise ConfigError("a recipe is a mapping of settings", where=path, got=type(content).__name__)
    return content


def _profiles(profiles: Any, path: Path) -> dict[str, dict[str, Any]]:
    of_each = profiles if isinstance(profiles, dict) else {"profiles": profiles}
    for name, changes in of_each.items():
        if not isinstance(changes, dict | None):
            where, got = f"{path}: {name}", type(changes).__name__
            raise ConfigError("a profile is a mapping of settings", where=where, got=got)
    return of_each


class _OneValueEach(yaml.SafeLoader):
    """Refuses a setting that stands twice, of which YAML's reader would keep the last without a word."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[str] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(problem=f'"{key.value}" stands twice', problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)


def parse_override(text: str, option: str = "--set") -> dict[str, Any]:
    """Turn ``a.b=value`` into nested mappings; the value is read as YAML.

    Args:
        text: As it was typed.
        option: Of the command line that it was typed for, named in errors.

    Raises:
        ConfigError: When it has another form.
    """
    key, equals, value = text.partition("=")
    if not equals or not all(key.split(".")):
        raise ConfigError("malformed override", where=f"{option} {text}", expected="a.b=value")
    try:
        nested: Any = yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise ConfigError(f"malformed value: {error}", where=f"{option} {text}") from None
    for part in reversed(key.split(".")):
        nested = {part: nested}
    assert isinstance(nested, dict)
    return nested


def _first_error(
    error: ValidationError,
    recipe_class: type[Settings],
    path: Path,
    profile: str,
    overrides: Sequence[str],
) -> ConfigError:
    first = error.errors()[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, ModelError):  # an option of a net, which knows its setting
        where = _origin(path, profile, overrides, (cause.where or "").split("."))
        return ConfigError(cause.what, where=where, expected=cause.expected, got=cause.got, hint=cause.hint)
    is_unknown = first["type"] == "extra_forbidden"
    location = [str(part) for part in first["loc"]]
    # Without pydantic's own words for a kind of a union, or for the key of a mapping: an unknown setting's
    # name, the last part, may look like them.
    keys = [part for part in location if "[" not in part or (is_unknown and part == location[-1])]
    key = ".".join(keys)
    setting = f'setting "{key}"' if key else "settings that do not go together"
    message = first["msg"].removeprefix("Value error, ")
    where = _origin(path, profile, overrides, keys)
    if is_unknown:
        known = _known_settings(recipe_class, first["loc"])
        return ConfigError(
            f'unknown setting "{key}"',
            where=where,
            expected=f"one of {', '.join(known)}" if known else "a known setting",
            hint=did_you_mean(keys[-1], known),
        )
    got = repr(first.get("input"))[:60] if key else None
    return ConfigError(f"{setting}: {message}", where=where, got=got)


def _known_settings(recipe_class: type[Settings], location: tuple[int | str, ...]) -> list[str]:
    """Return the settings that are known where an unknown one stands; none where that cannot be told."""
    model: Any = recipe_class
    for part in location[:-1]:
        field = getattr(model, "model_fields", {}).get(part)
        model = _settings_class(field) if field else None
    return list(getattr(model, "model_fields", {}))


def _settings_class(field: FieldInfo) -> Any:
    """Return the class of the settings that a field holds, or that it has changes to."""
    annotations = [field.annotation, *get_args(field.annotation)]
    for each in annotations:
        if hasattr(each, "model_fields"):
            return each
    # Of "changes or None" the changes bear the check, else the field does.
    checks = [
        *field.metadata,
        *(check for each in annotations for check in getattr(each, "__metadata__", ())),
    ]
    functions = (getattr(check, "func", None) for check in checks)
    return next((function.settings for function in functions if isinstance(function, ChangesTo)), None)


def _origin(path: Path, profile: str, overrides: Sequence[str], keys: Sequence[str]) -> str:
    """Return what gave a setting its value: the last override of it, else a line of profile or recipe."""
    for override in reversed(overrides):
        given = override.partition("=")[0].split(".")
        # One of the whole that the value is in, of the value itself, or of a part of it.
        if keys and all(key == own for key, own in zip(keys, given, strict=False)):
            return f"--set {override}"
    content = yaml.compose(path.read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
    lines = _lines_to(content, keys)
    of_profile = _lines_to(content, ["profiles", profile, *keys])[2:]
    if of_profile and len(of_profile) >= len(lines):
        lines = of_profile
    return f"{path}:{lines[-1]}" if lines else str(path)


def _lines_to(content: yaml.Node | None, keys: Sequence[str]) -> list[int]:
    """Return the lines of the keys that lead to a setting, as far as they stand in the content."""
    node: Any = content
    lines: list[int] = []
    for part in keys:
        pairs = node.value if isinstance(node, yaml.MappingNode) else []
        found = [(key, value) for key, value in pairs if key.value == part]
        if not found:
            break
        key, node = found[0]
        lines.append(key.start_mark.line + 1)
    return lines
