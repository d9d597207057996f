"""Stage 8: baseline, ensemble and student are tuned on dev and decode test, with one graph and one beam."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from asr_kd.atomic import atomic_dir, temporary_dir, write_json
from asr_kd.data.frame_store import FrameStore, FrameStoreWriter
from asr_kd.data.manifest import Utterance, spread_evenly
from asr_kd.decode.beam import DecodeConfig
from asr_kd.decode.graph import GraphConfig, stored_graph
from asr_kd.decode.parallel import decode_all
from asr_kd.decode.tune import TuningGrid, tune
from asr_kd.errors import ConfigError, StageError
from asr_kd.lang.arpa import write_arpa
from asr_kd.lang.lexicon import read_lexicon, write_lexicon
from asr_kd.progress import say, track
from asr_kd.recogniser import HMM_FILE, LEXICON_FILE, LM_FILE, SystemCard, save_recogniser
from asr_kd.score.text_files import write_text_file
from asr_kd.score.wer import num_errors, score
from asr_kd.score.word_classes import read_word_classes
from asr_kd.stages.acoustics import Acoustics, MixtureCard, load_acoustics
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.decoded import MADE_AS, decoded_as, tuned_as, was_made_as
from asr_kd.stages.frame_tally import FrameTally
from asr_kd.stages.labels import read_hmm
from asr_kd.stages.language_model import LanguageModelConfig, language_model
from asr_kd.stages.sequence import SequenceStage, sequence_models
from asr_kd.stages.student import student_name
from asr_kd.stages.teachers import control_name, read_baselines
from asr_kd.torch_threads import one_torch_thread
from asr_kd.train.parallel import run_in_turn

BASELINE, CONTROL, ENSEMBLE, STUDENT = "baseline", "control", "ensemble", "student"
MIXTURES = "gmm"

SYSTEM_FILE = "system.json"
"""Beside a system's hypotheses: its models, size and speed."""

_RTF_SECONDS = 60.0

Members = Mapping[str, SystemCard | MixtureCard]
"""Seeds of one system by their name; they share what is tuned."""


class DecodingConfig(Settings):
    """The search, and what is tuned on dev.

    Attributes:
        beam: Costs worse than the best by more than this are pruned.
        max_active: Largest number of states that are kept at a frame.
        acoustic_scales: Tried on dev, rising; the inverse is the LM scale.
        insertion_penalties: Tried on dev, rising.
        tune_utterances: Most dev utterances that tuning decodes, spread evenly over dev.
        tune_seeds: Most seeds of a system whose errors tuning adds up.
        silence_probability: Of silence between words.
        num_processes: Of the decoder.
        splits: What is decoded and scored; a sweep leaves test out.
        mixtures: Whether the aligner's mixtures are decoded too, as the system ``gmm``.
    """

    beam: float = Field(13.0, gt=0)
    max_active: int = Field(3000, gt=1)
    acoustic_scales: tuple[float, ...] = (0.05, 0.07, 0.1, 0.14, 0.2, 0.3, 0.45, 0.7, 1.0)
    insertion_penalties: tuple[float, ...] = (-4.0, -2.0, -1.0, 0.0, 1.0, 2.0, 4.0)
    tune_utterances: int = Field(200, ge=1)
    tune_seeds: int = Field(3, ge=1)
    silence_probability: float = Field(0.5, ge=0, lt=1)
    num_processes: int = Field(2, ge=1)
    splits: tuple[Literal["dev", "test"], ...] = Field(("dev", "test"), min_length=1)
    mixtures: bool = False

    @model_validator(mode="after")
    def _check_grid(self) -> DecodingConfig:
        try:
            self.grid()
        except ConfigError as error:
            raise ValueError(str(error)) from None
        return self

    def grid(self) -> TuningGrid:
        """Return the values to choose from."""
        return TuningGrid(self.acoustic_scales, self.insertion_penalties)

    def search(self) -> DecodeConfig:
        """Return the search's settings before tuning."""
        return DecodeConfig(beam=self.beam, max_active=self.max_active)


class DecodeStage(Stage):
    """Writes ``graph/``, ``decode/<system>/`` and ``recognisers/<system>/``.

    Args:
        config: The search.
        lm: The language model.
        ensemble: The teachers as a system.
        num_students: How many seeds of the student there are.
        num_controls: How many seeds of the control there are.
        mixtures: The aligner's mixtures as a system, decoded when the settings ask for it.
        has_sequence: Whether nets that learnt from whole sentences are decoded too.
    """

    name = "decode"
    needs: tuple[str, ...] = ("baseline", "ensemble", "student")

    def __init__(
        self,
        config: DecodingConfig,
        lm: LanguageModelConfig,
        ensemble: SystemCard,
        num_students: int,
        num_controls: int = 0,
        mixtures: MixtureCard | None = None,
        has_sequence: bool = False,
    ) -> None:
        self.config = config
        self.lm = lm
        self.ensemble = ensemble
        self.num_students = num_students
        self.num_controls = num_controls
        self.mixtures = mixtures if config.mixtures else None
        self.has_sequence = has_sequence
        if has_sequence:
            self.needs = (*self.needs, SequenceStage.name)

    def settings(self) -> dict[str, Any]:
        """Return search, language model and systems."""
        return {
            "decode": self.config.model_dump(mode="json", exclude={"num_processes"}),
            "language_model": self.lm.identity(),
            "ensemble": self.ensemble.model_dump(mode="json"),
            "num_students": self.num_students,
            "num_controls": self.num_controls,
        }

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return graph, hypotheses and recognisers."""
        systems = [work.recognisers / name for name in (BASELINE, ENSEMBLE, STUDENT)]
        return [work.graph, work.decode / "systems.json", *systems]

    def discard(self, work: WorkDir) -> None:
        """Remove the outputs, and with them the hypotheses that would be found again."""
        shutil.rmtree(work.decode, ignore_errors=True)
        super().discard(work)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Build the graph, then tune and decode the systems that have not been as they are now."""
        summary, graph = self._build_graph(work)
        groups = self._groups(work)
        work.decode.mkdir(exist_ok=True)
        arguments = [(work, graph, group, members) for group, members in groups.items()]
        chosen = run_in_turn(self._decode_group, arguments, self.config.num_processes)
        summary |= dict(zip(groups, chosen, strict=True))
        write_json(work.decode / "systems.json", {group: list(members) for group, members in groups.items()})
        return summary

    def _decode_group(self, work: WorkDir, graph: str, group: str, members: Members) -> str:
        """Tune a kind of system and decode all its seeds, which have not been as they are now."""
        search = self._tuned(work, graph, group, members)
        for name, card in members.items():
            made_as = decoded_as(work, graph, card, search, self.config.splits)
            if was_made_as(work.decode / name / SYSTEM_FILE, made_as):
                say(f"decode {name}: done before")
            else:
                self._decode_system(work, name, card, search, made_as)
        first = next(iter(members.values()))
        if isinstance(first, SystemCard):
            place = work.recognisers / group
            save_recogniser(place, first, work.models, work.graph, search, work.score_words)
        return f"scale {search.acoustic_scale:g}, penalty {search.insertion_penalty:g}"

    def _groups(self, work: WorkDir) -> dict[str, Members]:
        """Return every system by its name, seeds of one kind together; they share what is tuned."""
        baselines = read_baselines(work)
        students = [student_name(index) for index in range(self.num_students)]
        controls = [control_name(index) for index in range(self.num_controls)]
        groups: dict[str, Members] = {
            MIXTURES: {MIXTURES: self.mixtures} if self.mixtures else {},
            BASELINE: {
                f"{BASELINE}-{index:02}": SystemCard(models=(name,))
                for index, name in enumerate(baselines, start=1)
            },
            CONTROL: {name: SystemCard(models=(name,)) for name in controls},
            ENSEMBLE: {ENSEMBLE: self.ensemble},
            STUDENT: {name: SystemCard(models=(name,)) for name in students},
        }
        for group, names in sequence_models(work).items() if self.has_sequence else ():
            groups[group] = {name: SystemCard(models=(name,)) for name in names}
        return {group: members for group, members in groups.items() if members}

    def _build_graph(self, work: WorkDir) -> tuple[dict[str, Any], str]:
        """Return what to say about the graph, and its fingerprint."""
        lexicon = read_lexicon(work.lexicon)
        hmm = read_hmm(work)
        model = language_model(self.lm, work.lm_text, lexicon)
        config = GraphConfig(silence_probability=self.config.silence_probability)
        graph, was_there = stored_graph(work.graph, lexicon, hmm, model, config)
        if was_there:
            say(f"graph: {work.graph} is of this lexicon, model and language model")
        write_arpa(work.graph / LM_FILE, model)
        write_lexicon(work.graph / LEXICON_FILE, lexicon)
        hmm.save(work.graph / HMM_FILE)
        return {"graph": f"{graph.fst.num_states:,} states"}, graph.fingerprint

    def _tuned(self, work: WorkDir, graph: str, group: str, members: Members) -> DecodeConfig:
        """Return the search with the scale and penalty that were chosen on dev, now or before."""
        config = self.config
        tuned = dict(list(members.items())[: config.tune_seeds])
        made_as = tuned_as(
            work, graph, tuned.values(), config.grid(), config.search(), config.tune_utterances
        )
        path = work.decode / f"tuning-{group}.json"
        if was_made_as(path, made_as):
            say(f"{group}: tuned before")
        else:
            write_json(path, {**self._tune(work, group, tuned), MADE_AS: made_as})
        chosen = json.loads(path.read_text(encoding="utf-8"))["chosen"]
        return replace(
            config.search(),
            acoustic_scale=chosen["acoustic_scale"],
            insertion_penalty=chosen["insertion_penalty"],
        )

    def _tune(self, work: WorkDir, group: str, tuned: Members) -> dict[str, Any]:
        """Choose scale and penalty by the errors that the seeds make together; return all that was tried."""
        utterances = spread_evenly(work.utterances("dev"), self.config.tune_utterances)
        utt_ids = [utterance.utt_id for utterance in utterances]
        classes = read_word_classes(work.score_words)
        references = classes.fold(
            {f"{name} {utterance.utt_id}": utterance.text or "" for name in tuned for utterance in utterances}
        )
        with temporary_dir(work.decode / "dev-scores") as folder:
            for name in tuned:
                _write_scores(folder / name, work, load_acoustics(tuned[name], work), utt_ids)
            stores = {name: FrameStore(folder / name) for name in tuned}
            result = tune(
                work.graph,
                lambda: (
                    (f"{name} {utt_id}", scores)
                    for name, store in stores.items()
                    for utt_id, scores in store.items()
                ),
                lambda hypotheses: num_errors(score(references, classes.fold(hypotheses))),
                self.config.grid(),
                self.config.search(),
                self.config.num_processes,
            )
        best = result.best
        words = sum(len(text.split()) for text in references.values())
        say(
            f"{group}: acoustic scale {best.acoustic_scale:g}, penalty {best.insertion_penalty:g}: "
            f"{100 * best.num_errors / words:.2f} % WER on {len(utterances)} dev utterances"
            + (f", {len(tuned)} seeds" if len(tuned) > 1 else "")
            + (f" (at the edge of the grid: {', '.join(result.at_edge)})" if result.at_edge else "")
        )
        points = [
            {
                "acoustic_scale": point.acoustic_scale,
                "insertion_penalty": point.insertion_penalty,
                "wer": point.num_errors / words,
            }
            for point in result.points
        ]
        return {"points": points, "chosen": points[result.points.index(best)]}

    def _decode_system(
        self,
        work: WorkDir,
        name: str,
        card: SystemCard | MixtureCard,
        search: DecodeConfig,
        made_as: dict[str, str],
    ) -> None:
        acoustics = load_acoustics(card, work)
        hmm = read_hmm(work)
        with atomic_dir(work.decode / name) as folder:
            for split in self.config.splits:
                tally = FrameTally(hmm)
                utt_ids = [utterance.utt_id for utterance in work.utterances(split)]
                scores = _likelihoods(work, acoustics, split, utt_ids, tally)
                found = decode_all(work.graph, scores, search, self.config.num_processes)
                what = f"decode {name} {split}"
                texts = {utt_id: hyp.text for utt_id, hyp in track(found, what, len(utt_ids), "utterances")}
                write_text_file(folder / f"{split}.txt", texts)
                tally.write(folder, split)
            facts = {
                "models": list(card.models),
                "num_parameters": acoustics.num_parameters,
                "real_time_factor": _real_time_factor(work, acoustics, search),
                MADE_AS: made_as,
            }
            write_json(folder / SYSTEM_FILE, facts)


def _write_scores(folder: Path, work: WorkDir, acoustics: Acoustics, utt_ids: list[str]) -> None:
    """Keep dev's log-likelihoods on disk, since tuning reads them many times."""
    found = acoustics.stream(acoustics.stores(work, "dev"), utt_ids)
    folder.mkdir()
    with FrameStoreWriter(folder, "float32", (acoustics.num_senones,)) as writer:
        for utt_id, scores in track(found, f"scores dev {folder.name}", len(utt_ids), "utterances"):
            writer.add(utt_id, scores.log_likelihoods)


def _likelihoods(
    work: WorkDir, acoustics: Acoustics, split: str, utt_ids: list[str], tally: FrameTally
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """Yield log-likelihoods ``[T, S]``, and count the aligned frames on the way."""
    alignment = work.alignment(split)
    for utt_id, scores in acoustics.stream(acoustics.stores(work, split), utt_ids):
        if utt_id in alignment:
            tally.add(utt_id, scores.log_posteriors, alignment.get(utt_id), scores.votes)
        yield utt_id, scores.log_likelihoods


def _real_time_factor(work: WorkDir, acoustics: Acoustics, search: DecodeConfig) -> float:
    """Return seconds of one core for a second of test audio: scores and search, without features."""
    utterances = _first_seconds(work.utterances("test"), _RTF_SECONDS)
    utt_ids = [utterance.utt_id for utterance in utterances]
    with one_torch_thread():
        found_scores = acoustics.stream(acoustics.stores(work, "test"), utt_ids)
        scores = ((utt_id, frames.log_likelihoods) for utt_id, frames in found_scores)
        # The graph is loaded before the clock starts: the first hypothesis comes from an empty utterance.
        found = decode_all(work.graph, _after_empty(scores, acoustics.num_senones), search, 1)
        next(found)
        start = time.perf_counter()
        for _ in found:
            pass
        seconds = time.perf_counter() - start
    return seconds / sum(utterance.duration for utterance in utterances)


def _after_empty(
    scores: Iterator[tuple[str, NDArray[np.float32]]], num_senones: int
) -> Iterator[tuple[str, NDArray[np.float32]]]:
    yield "", np.zeros((0, num_senones), dtype=np.float32)
    yield from scores


def _first_seconds(utterances: list[Utterance], seconds: float) -> list[Utterance]:
    chosen: list[Utterance] = []
    while len(chosen) < len(utterances) and sum(utterance.duration for utterance in chosen) < seconds:
        chosen.append(utterances[len(chosen)])
    if not chosen:
        raise StageError("no test utterances")
    return chosen
