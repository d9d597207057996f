"""Stage 3: flat start, then the pdf_id of every frame by forced alignment."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field, model_validator

from asr_kd.align.corpus import AlignmentCorpus, AlignmentReport
from asr_kd.align.flat_start import FlatStartConfig, TrainedMixtures, train_monophone
from asr_kd.align.forced import GmmScorer, Scorer, align_corpus
from asr_kd.align.imported import ImportConfig, import_alignments, imported_hmm
from asr_kd.align.imported_senones import senones_of_alignment
from asr_kd.align.segments import estimated_self_loops, pdf_counts
from asr_kd.align.senones import SenoneConfig, train_senones
from asr_kd.align.triphone_statistics import convert_alignment
from asr_kd.align.viterbi import AlignmentConfig, AlignmentFailure
from asr_kd.am.checkpoint import load_model
from asr_kd.am.prior import log_likelihoods
from asr_kd.atomic import atomic_dir, write_json, write_text
from asr_kd.data.frame_store import FRAMES_FILE, FrameStore, FrameStoreWriter
from asr_kd.extraction import FeatureConfig
from asr_kd.fingerprint import file_sha256, fingerprint
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.lexicon import Lexicon, read_lexicon
from asr_kd.lang.phones import PhoneSet
from asr_kd.progress import say
from asr_kd.stages.base import Settings, Stage, WorkDir
from asr_kd.stages.labels import (
    FACTS_FILE,
    FAILED_FILE,
    GMM_FOLDER,
    HMM_FILE,
    TRANSFORM_FILE,
    alignment_fingerprint,
)
from asr_kd.stages.nets import NetConfig, discard_models, train_hard

Array = np.ndarray[Any, Any]
Aligned = tuple[Iterator[tuple[str, Array]], AlignmentReport]
"""pdf_ids by utt_id, and the report that is whole when all of them were taken."""

ALIGNED_SPLITS = ("train", "dev", "test")


def _net_name(index: int) -> str:
    """Return the model directory of a round of realignment, counted from 0."""
    return "aligner" if index == 0 else f"aligner-{index + 1}"


class AlignConfig(Settings):
    """How labels are made.

    Attributes:
        imported: Alignments that were made elsewhere, taken instead: no flat start, no search.
        features: Of the aligner, its own so that a user's frontend cannot spoil the labels.
        num_states: HMM states of a phone.
        silence_num_states: HMM states of silence.
        flat_start: Training of the Gaussian mixtures.
        search: Beams, silence, and the share of utterances that may fail.
        senones: Tied states of triphones; None leaves a senone for each state of each phone.
        realign: Rounds in which a net with the recipe's settings learns the alignment so far and aligns anew.
        realign_acoustic_scale: Factor on those nets' log-likelihoods.
        num_processes: That align at a time.
    """

    imported: ImportConfig | None = None
    features: FeatureConfig = FeatureConfig(name="mfcc")
    num_states: int = Field(3, ge=1)
    silence_num_states: int = Field(3, ge=1)
    flat_start: FlatStartConfig = FlatStartConfig()
    search: AlignmentConfig = AlignmentConfig()
    senones: SenoneConfig | None = None
    realign: int = Field(0, ge=0)
    realign_acoustic_scale: float = Field(0.3, gt=0)
    num_processes: int = Field(2, ge=1)

    @model_validator(mode="after")
    def _check_imported(self) -> AlignConfig:
        if self.imported is not None and self.imported.hmm is not None and self.senones is not None:
            raise ValueError("imported.hmm brings its senones: leave out one of imported.hmm and senones")
        return self


class AlignStage(Stage):
    """Writes ``align/``: HMM, mixtures, and one pdf_id a frame for train, dev and test.

    Args:
        config: Settings.
        net: What realigns when the settings ask for it.
        search_path: The recipe's folder.
    """

    name = "align"
    needs = ("prepare", "features")

    def __init__(self, config: AlignConfig, net: NetConfig, search_path: Path | None) -> None:
        self.config = config
        self.net = net
        self.search_path = search_path

    def settings(self) -> dict[str, Any]:
        """Return the aligner's settings."""
        settings = {"align": self.config.model_dump(mode="json", exclude={"num_processes"})}
        if self.config.senones is None:
            # Work folders from before there were senones in context stay as they are.
            del settings["align"]["senones"]
        else:
            settings["align"]["senones"] = self.config.senones.identity()
        if self.config.realign:
            settings["net"] = self.net.model_dump(mode="json")
        return settings

    def content(self, work: WorkDir) -> str:
        """Return a fingerprint of the alignments: those from elsewhere change while the settings do not."""
        return fingerprint({split: alignment_fingerprint(work, split) for split in ALIGNED_SPLITS})

    def outputs(self, work: WorkDir) -> list[Path]:
        """Return HMM, facts and alignments."""
        files = [work.align / HMM_FILE, work.align / FACTS_FILE]
        return [*files, *(work.align / split for split in ALIGNED_SPLITS)]

    def discard(self, work: WorkDir) -> None:
        """Remove alignments and the nets that realigned."""
        discard_models(work, [_net_name(index) for index in range(self.config.realign)])
        super().discard(work)

    def run(self, work: WorkDir) -> dict[str, Any]:
        """Train the mixtures on train, then align every split; or take the alignments from elsewhere."""
        lexicon = read_lexicon(work.lexicon)
        if self.config.imported is not None:
            return self._import(work, lexicon, self.config.imported)
        trained, summary = self._train(work, lexicon)
        flat = self.config.flat_start
        scorer = GmmScorer(trained.gmm, flat.acoustic_scale, flat.delta_order, trained.transform)
        trained.hmm.save(work.align / HMM_FILE)
        trained.gmm.save(work.align / GMM_FOLDER)
        if trained.transform is None:
            (work.align / TRANSFORM_FILE).unlink(missing_ok=True)
        else:
            write_json(work.align / TRANSFORM_FILE, trained.transform.to_json())
        features = self.config.features.key
        num_processes = self.config.num_processes
        summary |= self._align_splits(work, lexicon, trained.hmm, features, scorer, num_processes)
        summary |= self._realign(work, lexicon, trained.hmm)
        summary["log-likelihood/frame"] = f"{trained.log_likelihoods[-1]:.2f}"
        return summary

    def _realign(self, work: WorkDir, lexicon: Lexicon, hmm: Hmm) -> dict[str, Any]:
        summary: dict[str, Any] = {}
        for index in range(self.config.realign):
            scorer = self._net_scorer(work, _net_name(index))
            # One process: the net uses all cores by itself.
            summary = self._align_splits(work, lexicon, hmm, self.net.features.key, scorer, 1)
        return summary

    def _import(self, work: WorkDir, lexicon: Lexicon, config: ImportConfig) -> dict[str, Any]:
        """Write alignments that were made elsewhere, and the self-loops that they tell."""
        topology = HmmTopology(self.config.num_states, self.config.silence_num_states)
        source = imported_hmm(config, PhoneSet.from_lexicon(lexicon), topology)
        frame_shift = self.config.features.load(self.search_path).spec.frame_shift

        def read(split: str) -> Aligned:
            store = work.feature_store(self.config.features.key, split)
            spans = {row.utt_id: store.span(row.utt_id) for row in work.utterances(split)}
            num_frames = {utt_id: last - first for utt_id, (first, last) in spans.items()}
            report = AlignmentReport()
            return import_alignments(config, split, num_frames, frame_shift, source, report), report

        hmm = source
        if self.config.senones is not None:
            self.config.senones.check(source)
            features = work.feature_store(self.config.features.key, "train")
            alignments, _ = read("train")
            hmm = senones_of_alignment(
                alignments, features, source, self.config.senones, self.config.flat_start
            )

        def in_senones(split: str) -> Aligned:
            alignments, report = read(split)
            if hmm is source:
                return alignments, report
            return ((utt_id, convert_alignment(ids, source, hmm)) for utt_id, ids in alignments), report

        summary = _write_splits(work, hmm, in_senones)
        labels = (pdf_ids for _, pdf_ids in work.alignment("train").items())
        trained = hmm.with_self_loops(estimated_self_loops(labels, hmm.num_pdfs))
        trained.save(work.align / HMM_FILE)
        return {**summary, "senones": hmm.num_pdfs, **self._realign(work, lexicon, trained)}

    def _train(self, work: WorkDir, lexicon: Lexicon) -> tuple[TrainedMixtures, dict[str, Any]]:
        """Train mixtures of monophones, then of triphones when the settings ask for them."""
        config = self.config
        topology = HmmTopology(config.num_states, config.silence_num_states)
        hmm = monophone_hmm(PhoneSet.from_lexicon(lexicon), topology)
        if config.senones is not None:
            config.senones.check(hmm)
        corpus, _ = _corpus(work, config.features.key, "train", lexicon)
        monophones = train_monophone(
            corpus, lexicon, hmm, config.flat_start, config.search, config.num_processes
        )
        if config.senones is None:
            return monophones, {}
        senones = train_senones(
            corpus,
            lexicon,
            monophones,
            config.senones,
            config.flat_start,
            config.search,
            config.num_processes,
        )
        trained = senones.trained
        counts = f"{trained.hmm.num_pdfs:,} of {senones.num_triphones:,} triphones"
        return trained, {"senones": counts, "gaussians": f"{trained.gmm.num_gaussians:,}"}

    def _net_scorer(self, work: WorkDir, name: str) -> Scorer:
        train_hard(work, self.net, name, self.search_path)
        model = load_model(work.models / name)

        def scores(utt_id: str, features: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
            log_posteriors = model.logits(features).log_softmax(1).cpu().numpy()
            return log_likelihoods(log_posteriors, model.prior) * np.float32(
                self.config.realign_acoustic_scale
            )

        return scores

    def _align_splits(
        self, work: WorkDir, lexicon: Lexicon, hmm: Hmm, features: str, scorer: Scorer, num_processes: int
    ) -> dict[str, Any]:
        def aligned(split: str) -> Aligned:
            corpus, report = _corpus(work, features, split, lexicon)
            search = self.config.search
            return align_corpus(corpus, scorer, lexicon, hmm, search, report, num_processes), report

        return _write_splits(work, hmm, aligned)


def _write_splits(
    work: WorkDir,
    hmm: Hmm,
    aligned: Callable[[str], Aligned],
) -> dict[str, Any]:
    """Write the alignments of every split, the facts about them and the list of what failed."""
    facts: dict[str, Any] = {}
    failed: list[str] = []
    for split in ALIGNED_SPLITS:
        alignments, report = aligned(split)
        with (
            atomic_dir(work.align / split) as folder,
            FrameStoreWriter(folder, "int32", (), {"tree": hmm.tree.fingerprint}) as writer,
        ):
            for utt_id, pdf_ids in alignments:
                writer.add(utt_id, pdf_ids)
        say(f"align {split}: {report.summary()}")
        failed += report.lines()
        facts[split] = {
            "utterances": report.num_utterances,
            "aligned": report.num_aligned,
            "failed": report.num_utterances - report.num_aligned,
            "frames": len(FrameStore(work.align / split).frames),
        }
    write_text(work.align / FAILED_FILE, "".join(f"{line}\n" for line in failed))
    _write_facts(work, hmm, facts)
    return {split: f"{facts[split]['aligned']:,} of {facts[split]['utterances']:,}" for split in facts}


def _corpus(
    work: WorkDir, features: str, split: str, lexicon: Lexicon
) -> tuple[AlignmentCorpus, AlignmentReport]:
    """Return a split's utterances to align; those with unknown words are counted already, and not tried.

    In train such words are an error: the lexicon is to be mended before anything is trained.
    """
    utterances = [utterance for utterance in work.utterances(split) if utterance.text is not None]
    if split == "train":
        lexicon.check_words(
            (word for utterance in utterances for word in utterance.words), work.manifest(split)
        )
    report = AlignmentReport()
    transcripts = {}
    for utterance in utterances:
        missing = lexicon.missing(utterance.words)
        if missing:
            reason = f"words without a pronunciation: {' '.join(missing)}"
            report.unknown_words.append(AlignmentFailure(utterance.utt_id, reason))
        else:
            transcripts[utterance.utt_id] = utterance.words
    return AlignmentCorpus(work.features(features, split), transcripts), report


def _write_facts(work: WorkDir, hmm: Hmm, splits: dict[str, Any]) -> None:
    alignments = (pdf_ids for _, pdf_ids in FrameStore(work.align / "train").items())
    facts = {
        "pdf_counts": pdf_counts(alignments, hmm.num_pdfs).tolist(),
        "fingerprint": file_sha256(work.align / "train" / FRAMES_FILE)[:16],
        "splits": splits,
    }
    write_json(work.align / FACTS_FILE, facts)
