"""Header of a posterior shard set: all that a student and its decoder need to know beside the frames."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from asr_kd.data.folds import Folds
from asr_kd.distill.sparse import CodeConfig
from asr_kd.distill.stored import StoredPosteriors
from asr_kd.errors import ShardError
from asr_kd.fingerprint import unless

HEADER_FILE = "header.json"
FORMAT_VERSION: Literal[1] = 1

ShardName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+\.tar$")]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class ShardInfo(_Model):
    """One shard of a split.

    Attributes:
        name: File name beside the header.
        num_samples: Utterances times views in it.
        num_frames: Frames in it.
        num_bytes: Of the file.
        feature_bytes: Of the features in it.
        label_bytes: Of the pdf_ids in it.
        target_bytes: Of the coded posteriors in it, ids and tails included.
        sha256: Of the file.
        teacher_bytes: Of the coded posteriors of each teacher alone.
    """

    name: ShardName
    num_samples: int
    num_frames: int
    num_bytes: int
    feature_bytes: int
    label_bytes: int
    target_bytes: int
    sha256: str
    teacher_bytes: int = unless(0)


class ShardSetFacts(_Model):
    """What a shard set was made from and how; known before the first frame is written.

    Attributes:
        averaging: How the teachers' posteriors were averaged.
        weights: One a teacher, for ``weighted``.
        temperature: Of the teachers' softmax.
        code: Of the stored posteriors, with its parameters and its handling of the tail.
        teachers: Fingerprints of the teachers' models, in order.
        frontend: Spec of the stored features' frontend, with its fingerprint.
        cmvn: How the features were normalised.
        feature_dim: D of the stored features.
        frame_shift: Seconds between frames.
        alignment: Fingerprint of the alignment that the pdf_ids come from.
        tree: Fingerprint of the senone tree.
        num_senones: S.
        prior: ``[S]``, from the alignment of the training frames.
        window: ``{left, right}`` context of the acoustic models.
        views: Names of the augmented copies, the plain one among them.
        hmm: Topology as JSON, for decoding with the student.
        senones: The inventory or tree as JSON, for decoding with the student.
        augmentation: Fingerprint of what the views do to an utterance; empty without views.
        keep_apart: Whether each teacher's own posteriors are stored beside their mean.
        order_seed: Of the order in which a split's utterances were written; None for the corpus's order.
        precision: Of the teachers' matrix products.
        folds: Of train, each of which some teachers left out and labelled; None: all labelled everything.
        utterances: Fingerprint of which training utterances are labelled; empty when all are.
    """

    averaging: Literal["arithmetic", "geometric", "weighted"]
    weights: tuple[float, ...] | None = None
    temperature: float = Field(gt=0)
    code: CodeConfig
    teachers: tuple[str, ...]
    frontend: dict[str, Any]
    cmvn: str
    feature_dim: int = Field(ge=1)
    frame_shift: float = Field(gt=0)
    alignment: str
    tree: str
    num_senones: int = Field(ge=1)
    prior: tuple[float, ...]
    window: dict[str, int]
    views: tuple[str, ...] = ("",)
    hmm: dict[str, Any] = {}
    senones: dict[str, Any] = {}
    augmentation: str = unless("")
    keep_apart: bool = unless(False)
    order_seed: int | None = unless(None)
    precision: Literal["fp32", "bf16"] = unless("fp32")
    folds: Folds | None = unless(None)
    utterances: str = unless("")

    @property
    def stored(self) -> StoredPosteriors:
        """What decides which targets can be had."""
        return StoredPosteriors(
            self.averaging, self.weights, len(self.teachers), self.temperature, self.code, self.keep_apart
        )


class ShardSetHeader(ShardSetFacts):
    """The facts, and the shards of each split in the order that they were written.

    Attributes:
        format_version: Of this header and of the shards.
        splits: Shards by split.
    """

    format_version: Literal[1] = FORMAT_VERSION
    splits: dict[str, tuple[ShardInfo, ...]]

    def num_frames(self, splits: tuple[str, ...]) -> int:
        """Return the number of frames in some splits."""
        return sum(shard.num_frames for split in splits for shard in self.splits[split])

    def bytes_per_frame(self) -> dict[str, float]:
        """Return bytes a frame: ``features``, ``labels``, ``targets``, ``total`` with tar's.

        Teachers that are kept apart are counted as ``teachers``.
        """
        shards = [shard for split in self.splits.values() for shard in split]
        frames = max(1, sum(shard.num_frames for shard in shards))
        sums = {
            "features": sum(shard.feature_bytes for shard in shards),
            "labels": sum(shard.label_bytes for shard in shards),
            "targets": sum(shard.target_bytes for shard in shards),
            **({"teachers": sum(shard.teacher_bytes for shard in shards)} if self.keep_apart else {}),
            "total": sum(shard.num_bytes for shard in shards),
        }
        return {name: value / frames for name, value in sums.items()}


def parse_header(text: str | bytes, where: str | Path) -> ShardSetHeader:
    """Return a header from its JSON.

    Raises:
        ShardError: For another format version or a field that is missing or wrong, naming it.
    """
    try:
        fields = json.loads(text)
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ShardError(f"the header is no JSON: {error}", where=where) from None
    version = fields.get("format_version") if isinstance(fields, dict) else None
    if version != FORMAT_VERSION:
        raise ShardError(
            "a shard set in another format", where=where, expected=f"version {FORMAT_VERSION}", got=version
        )
    try:
        return ShardSetHeader.model_validate(fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise ShardError(
            f"header field {field}: {first['msg']}", where=where, got=first.get("input")
        ) from None


def require_fields(header: ShardSetHeader, expected: Mapping[str, object], where: str | Path) -> None:
    """Refuse a header whose fields are not what a student is about to be trained with.

    Args:
        header: Of the shard set.
        expected: Values by field; ``code.name`` names a field within a field.
        where: The shard set, for the message.

    Raises:
        ShardError: Naming the first field that differs, what was expected and what it got.
    """
    fields = header.model_dump(mode="json")
    for name, value in expected.items():
        got: Any = fields
        for part in name.split("."):
            if not isinstance(got, dict) or part not in got:
                raise ShardError(f"the header has no field {name}", where=where, expected=value)
            got = got[part]
        if got != json.loads(json.dumps(value)):
            raise ShardError(
                f"the shard set was made for something else: {name} differs",
                where=where,
                expected=_short(value),
                got=_short(got),
                hint="run the ensemble stage again, or name the shard set that fits",
            )


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 120 else f"{text[:117]}..."
