"""Settings of a speech experiment (``recipe.yaml``), and the nets that they describe."""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from asr_kd.am.registry import ArchitectureConfig, check_options
from asr_kd.data.folds import Folds
from asr_kd.distill.ensemble import mean_weights
from asr_kd.errors import AsrKdError, ConfigError
from asr_kd.extraction import FeatureConfig, ViewConfig
from asr_kd.fingerprint import unless
from asr_kd.stages.align import AlignConfig
from asr_kd.stages.base import Settings
from asr_kd.stages.decode import DecodingConfig
from asr_kd.stages.ensemble import DATA_SHARE_SEED, EnsembleConfig
from asr_kd.stages.language_model import LanguageModelConfig
from asr_kd.stages.nets import LeftOut, NetConfig, WindowConfig
from asr_kd.stages.overrides import ModelChanges, TrainChanges, updated
from asr_kd.stages.prepare import CorpusConfig
from asr_kd.stages.score import ScoreConfig
from asr_kd.stages.sequence import SequenceConfig
from asr_kd.stages.student_loss import StudentConfig
from asr_kd.stages.unknown_words import LexiconConfig
from asr_kd.train.config import TrainConfig

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

    model: ModelChanges | None = None
    frontend: FrontendConfig | None = None
    window: WindowConfig | None = None
    train: TrainChanges | None = None
    data_share: float = Field(1.0, gt=0, le=1)


class TeachersConfig(Settings):
    """The ensemble's members.

    Attributes:
        count: How many, N.
        seed: Of the first; the others count on from it.
        variants: Taken in turn by the teachers; none means that they differ in the seed alone.
        folds: Cross-labelling: teachers leave out folds of the training utterances, in turn, and each
            utterance is labelled by those alone that left it out. None: all learn and label all.
    """

    count: int = Field(5, ge=1)
    seed: int = Field(1, ge=0)
    variants: tuple[TeacherVariant, ...] = ()
    folds: Folds | None = None

    @model_validator(mode="after")
    def _check_folds(self) -> TeachersConfig:
        if self.folds is not None and self.folds.count > self.count:
            raise ValueError(
                f"no one of {self.count} teachers would leave out the last of {self.folds.count} folds"
            )
        return self


class BaselineConfig(Settings):
    """Single nets trained on hard labels, of the student's size.

    Attributes:
        count: How many seeds.
        seed: Of the first; one that a teacher has already trained with equal settings is not trained again.
        model: What the net has differently from the student's: the regularisation that hard labels need.
        data_share: Share of the training utterances that it learns from: those that ``ensemble.data_share``
            would take, so that hard and soft labels of the same frames can be compared.
        train: What it trains with differently from the recipe.
    """

    count: int = Field(5, ge=1)
    seed: int = Field(1, ge=0)
    model: ModelChanges | None = None
    train: TrainChanges | None = None
    data_share: float = Field(1.0, gt=0, le=1)


class ControlConfig(Settings):
    """Single nets on hard labels with at least the student's updates: what patience alone would give.

    They train like the baseline, but in batches of the student's size, and until they have seen as many
    frames as the student, whose views count, and audio without text.

    Attributes:
        count: How many seeds; none leaves the row out.
        seed: Of the first.
        epochs: None: as many as that takes. Untranscribed audio that the corpus itself brings is not known
            beforehand, as that of ``corpus.transfer_share`` is: give the number for a student that learns it.
    """

    count: int = Field(1, ge=0)
    seed: int = Field(51, ge=0)
    epochs: Annotated[int, Field(ge=1)] | None = unless(None)


class Recipe(Settings):
    """All settings of one speech experiment (``recipe.yaml``)."""

    kind: Literal["speech"] = "speech"
    name: str
    description: str = ""
    corpus: CorpusConfig
    lexicon: LexiconConfig = LexiconConfig()
    frontend: FrontendConfig = FrontendConfig()
    cmvn: Cmvn = "speaker"
    window: WindowConfig = WindowConfig()
    align: AlignConfig = AlignConfig()
    model: ArchitectureConfig = ArchitectureConfig()
    train: TrainConfig = TrainConfig()
    teachers: TeachersConfig = TeachersConfig()
    baseline: BaselineConfig = BaselineConfig()
    control: ControlConfig = ControlConfig()
    views: ViewConfig = ViewConfig()
    ensemble: EnsembleConfig = EnsembleConfig()
    student: StudentConfig = StudentConfig()
    sequence: SequenceConfig | None = None
    language_model: LanguageModelConfig = LanguageModelConfig()
    decode: DecodingConfig = DecodingConfig()
    score: ScoreConfig = ScoreConfig()

    @field_validator("frontend", mode="before")
    @classmethod
    def _name_alone(cls, value: Any) -> Any:
        return {"name": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _check_nets(self) -> Recipe:
        check_options(self.model, "model")
        for index, variant in enumerate(self.teachers.variants):
            check_options(updated(self.model, variant.model), f"teachers.variants.{index}.model")
        student = self._student_model()
        for where, changes in (("student", None), ("baseline", self.baseline.model)):
            check_options(updated(student, changes), f"{where}.model")
        if self.sequence is not None:
            check_options(updated(student, self.sequence.model), "sequence.model")
        return self

    @model_validator(mode="after")
    def _check_teachers(self) -> Recipe:
        weights = self.ensemble.weights
        if isinstance(weights, tuple) and len(weights) != self.teachers.count:
            raise ValueError(
                f"ensemble.weights has {len(weights)} weights for {self.teachers.count} teachers"
            )
        if isinstance(weights, tuple):
            self._check_weights(weights)
        return self

    @model_validator(mode="after")
    def _check_folds(self) -> Recipe:
        if self.teachers.folds is None:
            return self
        if self.ensemble.keep_apart:
            raise ValueError("ensemble.keep_apart needs labels of all teachers: leave out teachers.folds")
        if self.sequence is not None and self.sequence.criterion == "teacher":
            raise ValueError(
                "sequence.criterion teacher needs the scores of all teachers, also of those that learnt the "
                "utterance: leave out teachers.folds, or take criterion smbr or mmi"
            )
        return self

    def _check_weights(self, weights: tuple[float, ...]) -> None:
        """Refuse weights that are none, or leave a fold without a teacher that labels it."""
        folds, count = self.teachers.folds, self.teachers.count
        labellers = [tuple(range(count))]
        if folds is not None:
            labellers += [folds.labellers(fold, count) for fold in range(folds.count)]
        for members in labellers:
            try:
                mean_weights(len(members), "weighted", [weights[number] for number in members])
            except AsrKdError as error:
                names = ", ".join(str(number + 1) for number in members)
                raise ValueError(
                    f"ensemble.weights of teachers that label together ({names}): {error}"
                ) from None

    @model_validator(mode="after")
    def _check_start(self) -> Recipe:
        if self.student.start == "teacher" and not self.student_starts():
            raise ValueError("student.start is teacher, and no teacher has its net, features and window")
        return self

    @model_validator(mode="after")
    def _check_masks(self) -> Recipe:
        if self.cmvn != "none":
            return self
        nets = {
            "teachers": self.teacher_nets(),
            "baseline": self.baseline_nets(),
            "control": self.control_nets(),
            "student": [self.student_net()],
        }
        trainings = {name: [net.train for net in group] for name, group in nets.items()}
        if self.sequence is not None:
            trainings["sequence"] = [self.sequence.training(self.train)]
        masked = [
            name for name, group in trainings.items() if any(train.masks is not None for train in group)
        ]
        if masked:
            raise ValueError(
                f"train.masks of {', '.join(masked)} set features to 0, which is not their mean where "
                "cmvn is none: leave the masks out, or set cmvn to speaker or utterance"
            )
        return self

    @model_validator(mode="after")
    def _check_mixtures(self) -> Recipe:
        if self.decode.mixtures and self.align.imported is not None:
            raise ValueError("decode.mixtures needs mixtures that are trained here: leave out align.imported")
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
        folds = self.teachers.folds
        return NetConfig(
            model=updated(self.model, variant.model),
            window=variant.window or self.window,
            features=self.features(variant.frontend),
            train=updated(self.train, variant.train),
            seed=self.teachers.seed + index,
            data_share=variant.data_share,
            views=self._hard_views(),
            left_out=LeftOut(fold=folds.left_out_by(index), folds=folds) if folds else None,
        )

    def _hard_views(self) -> ViewConfig | None:
        """Return the views that nets on hard labels learn."""
        views = self.views
        return ViewConfig(count=views.hard, augment=views.augment) if views.hard else None

    def baseline_nets(self) -> list[NetConfig]:
        """Return the settings of the baseline's seeds: the student's net, trained on hard labels."""
        train = updated(self.train, self.baseline.train)
        return [self._hard_net(train, self.baseline.seed + index) for index in range(self.baseline.count)]

    def control_nets(self) -> list[NetConfig]:
        """Return the settings of the control's seeds: the baseline's net with the student's updates.

        Raises:
            ConfigError: When these cannot be told and ``control.epochs`` is not given.
        """
        if not self.control.count:
            return []
        student = self.student_net().train
        updates = {"epochs": self.control.epochs or self._control_epochs(), "batch_size": student.batch_size}
        train = updated(updated(self.train, self.baseline.train), updates)
        return [self._hard_net(train, self.control.seed + index) for index in range(self.control.count)]

    def _control_epochs(self) -> int:
        """Return in how many epochs the control sees as many frames as the student has seen."""
        epochs = self.student_net().train.epochs * (self.views.count + 1) / (self.views.hard + 1)
        # Audio without text, for each frame with text.
        more = self.corpus.transfer_share / (1 - self.corpus.transfer_share)
        passes = self.student.passes
        frames = passes.get("train", 1) * self.ensemble.data_share + passes.get("transfer", 1) * more
        if not frames:
            raise ConfigError(
                "the student learns no audio of which it is known beforehand how much there is, and so the "
                "control's epochs cannot be told",
                where="student.passes",
                got=passes,
                hint="give control.epochs, or leave the control out with control.count=0",
            )
        epochs *= frames / self.baseline.data_share
        # Those that made the teacher that the student begins with are the student's too.
        starts = [self._teacher(index).train.epochs for index in self.student_starts()]
        return max(1, math.ceil(round(epochs, 6))) + max(starts, default=0)

    def _hard_net(self, train: TrainConfig, seed: int) -> NetConfig:
        share = self.baseline.data_share
        return NetConfig(
            model=updated(self._student_model(), self.baseline.model),
            window=self.window,
            features=self.features(),
            train=train,
            seed=seed,
            data_share=share,
            data_seed=None if share == 1 else DATA_SHARE_SEED,
            views=self._hard_views(),
        )

    def student_net(self) -> NetConfig:
        """Return the student's net and training; its seeds count on from ``student.seed``."""
        return NetConfig(
            model=self._student_model(),
            window=self.window,
            features=self.features(),
            train=updated(self.train, self.student.train),
            seed=self.student.seed,
        )

    def student_starts(self) -> list[int]:
        """Return the teachers, counted from 0, whose weights the student's seeds begin with, in turn."""
        if self.student.start == "random":
            return []
        student = self.student_net()
        return [index for index, net in enumerate(self.teacher_nets()) if net.has_shape_of(student)]

    def _student_model(self) -> ArchitectureConfig:
        return updated(self.model, self.student.model)
