"""Alignments made elsewhere become pdf_ids of this project's HMM."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from asr_kd.align.alignment_files import (
    FileAlignment,
    read_ctm,
    read_kaldi_pdf_ids,
    read_kaldi_phone_lengths,
    read_kaldi_phones,
    read_phone_symbols,
    read_textgrids,
)
from asr_kd.align.corpus import AlignmentReport
from asr_kd.align.phone_runs import (
    MAX_FRAME_DIFFERENCE,
    fitted_runs,
    frames_differ,
    runs_of_times,
    states_of_runs,
)
from asr_kd.align.viterbi import AlignmentFailure
from asr_kd.errors import AlignmentError, LexiconError, ModelError
from asr_kd.lang.hmm import Hmm, HmmTopology, monophone_hmm
from asr_kd.lang.phones import PhoneSet

Array = np.ndarray[Any, Any]

_POSITION = re.compile(r"_[BIES]$")
_STRESS = re.compile(r"(?<=.)[0-9]+$")


class ImportConfig(BaseModel):
    """Where alignments come from instead of being made.

    Attributes:
        format: ``ctm`` and ``textgrid`` hold phones with times; ``kaldi_phones``, ``kaldi_phone_lengths``
            and ``kaldi_pdf_ids`` are archives of ``ali-to-phones --per-frame=true``, ``ali-to-phones
            --write-lengths=true`` and ``ali-to-pdf``.
        path: A file, for ``textgrid`` a folder, for archives also a pattern (``ali.*.gz``); ``{split}``
            stands for train, dev and test.
        phones: Kaldi's ``phones.txt``, where phones are numbers.
        tier: Of the TextGrid files.
        phone_map: Other names of phones.
        silence: Names of phones that are silence; so is what no phone covers.
        strip_stress: Take the digits off the ends of phones.
        hmm: An ``align/hmm.json`` whose senones are taken; ``kaldi_pdf_ids`` must number just those. Without
            it and without ``align.senones`` every state of every phone is a senone.
        max_failed_share: Share of the utterances that may be missing or do not fit.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal["ctm", "textgrid", "kaldi_phones", "kaldi_phone_lengths", "kaldi_pdf_ids"]
    path: str
    phones: Path | None = None
    tier: str = "phones"
    phone_map: dict[str, str] = {}
    silence: tuple[str, ...] = ("SIL", "sil", "sp", "<eps>")
    strip_stress: bool = False
    hmm: Path | None = None
    max_failed_share: float = Field(default=0.02, ge=0, le=1)

    @model_validator(mode="after")
    def _check(self) -> ImportConfig:
        if self.format == "kaldi_pdf_ids" and self.hmm is None:
            raise ValueError("kaldi_pdf_ids needs hmm, the model whose senones they number")
        if self.format.startswith("kaldi_phone") and self.phones is None:
            raise ValueError(f"{self.format} needs phones, the table of the phones' numbers")
        return self

    def read(self, split: str, wanted: Collection[str]) -> Iterator[FileAlignment]:
        """Yield what the files of a split say of some utterances.

        Raises:
            AlignmentError: For a missing or malformed file.
            ConfigError: When the library that reads the format is not installed.
        """
        path = Path(self.path.replace("{split}", split))
        names: Callable[[str], str] = str if self.phones is None else read_phone_symbols(self.phones)
        match self.format:
            case "ctm":
                return read_ctm(path, wanted, names)
            case "textgrid":
                return read_textgrids(path, wanted, self.tier)
            case "kaldi_phones":
                return read_kaldi_phones(_matching(path), wanted, names)
            case "kaldi_phone_lengths":
                return read_kaldi_phone_lengths(_matching(path), wanted, names)
            case "kaldi_pdf_ids":
                return read_kaldi_pdf_ids(_matching(path), wanted)


def _matching(path: Path) -> list[Path]:
    found = [path] if path.is_file() else sorted(path.parent.glob(path.name))
    if not found:
        raise AlignmentError("no such archive", where=path, hint="mend align.imported.path")
    return found


def imported_hmm(config: ImportConfig, phone_set: PhoneSet, topology: HmmTopology) -> Hmm:
    """Return the model whose senones an imported alignment gets: a given one or that of monophones.

    Raises:
        ModelError: When the given one is no stored HMM, or was made for other phones.
    """
    if config.hmm is None:
        return monophone_hmm(phone_set, topology)
    hmm = Hmm.load(config.hmm)
    if hmm.phone_set != phone_set:
        ours, theirs = set(phone_set.phones), set(hmm.phone_set.phones)
        raise ModelError(
            "the HMM was made for another phone set",
            where=config.hmm,
            expected=f"the {len(ours)} phones of the lexicon",
            got=f"{len(theirs)}; the difference: {' '.join(sorted(ours ^ theirs)[:8]) or 'another order'}",
            hint="take the HMM of a work folder with this lexicon",
        )
    return hmm


def import_alignments(
    config: ImportConfig,
    split: str,
    num_frames: Mapping[str, int],
    frame_shift: float,
    hmm: Hmm,
    report: AlignmentReport,
) -> Iterator[tuple[str, Array]]:
    """Yield utt_id and pdf_ids int32 ``[T]`` of each utterance that the files have and that fits.

    Each phone's frames are shared out equally among its states, in order; a phone with fewer frames than
    states passes some over, one that covers the middle of no frame gets none.

    Args:
        config: The files.
        split: Whose.
        num_frames: T by utt_id.
        frame_shift: In seconds.
        hmm: Gives the states and their senones.
        report: Counts what is taken, and what is missing or does not fit.

    Raises:
        AlignmentError: For malformed files and pdf_ids that the model lacks, and, after the last utterance,
            when more than ``config.max_failed_share`` failed.
        LexiconError: For a phone without a model.
    """
    phone_ids = PhoneIds(config, hmm.phone_set)
    seen: set[str] = set()
    for item in config.read(split, num_frames.keys()):
        if item.utt_id in seen:
            raise AlignmentError(
                f'utterance "{item.utt_id}" is there twice',
                where=item.where,
                hint="keep one alignment, and sort a CTM by utterance",
            )
        seen.add(item.utt_id)
        result = _pdf_ids(item, num_frames[item.utt_id], frame_shift, hmm, phone_ids)
        if isinstance(result, AlignmentFailure):
            report.failures.append(result)
        else:
            report.num_aligned += 1
            yield item.utt_id, result
    place = config.path.replace("{split}", split)
    report.failures += [
        AlignmentFailure(utt_id, f"not in {place}") for utt_id in num_frames if utt_id not in seen
    ]
    report.check(
        config.max_failed_share,
        hint="check that the files are of this corpus and split, or raise align.imported.max_failed_share",
    )


class PhoneIds:
    """Phone ids of the names that other toolkits use.

    Args:
        config: Names of silence, other names, stress.
        phone_set: The phones that have a model.
    """

    def __init__(self, config: ImportConfig, phone_set: PhoneSet) -> None:
        self._config = config
        self._phone_set = phone_set
        self._known: dict[str, int] = {}

    def __call__(self, name: str, where: str) -> int:
        """Return the id of a phone.

        Raises:
            LexiconError: When it has no model.
        """
        if name not in self._known:
            self._known[name] = self._find(name, where)
        return self._known[name]

    def _find(self, name: str, where: str) -> int:
        mapped = self._config.phone_map.get(name, name)
        # Kaldi marks a phone's position in its word.
        for candidate in (mapped, _POSITION.sub("", mapped)):
            plain = _STRESS.sub("", candidate) if self._config.strip_stress else candidate
            if not plain or plain in self._config.silence:
                return self._phone_set.silence_id
            if plain in self._phone_set:
                return self._phone_set.phone_id(plain)
        raise LexiconError(
            f'phone "{name}" has no model',
            where=where,
            expected=f"one of {' '.join(self._phone_set.phones[:60])}",
            hint=f"name the phone that it is: --set align.imported.phone_map.{name}=PHONE, "
            "add it to align.imported.silence, or set align.imported.strip_stress",
        )


def _pdf_ids(
    item: FileAlignment, num_frames: int, frame_shift: float, hmm: Hmm, phone_ids: PhoneIds
) -> Array | AlignmentFailure:
    if num_frames == 0:
        return AlignmentFailure(item.utt_id, f"audio shorter than a frame ({item.where})")
    if item.pdf_ids is not None:
        return _fitting_pdf_ids(item, num_frames, hmm)
    if item.times is not None:
        runs = runs_of_times(item.times, num_frames, frame_shift)
    else:
        assert item.runs is not None, "a file says one of three things"
        runs = fitted_runs(item.runs, num_frames)
    if isinstance(runs, str):
        return AlignmentFailure(item.utt_id, f"{runs} ({item.where})")
    return states_of_runs([(phone_ids(run.phone, item.where), run.num_frames) for run in runs], hmm)


def _fitting_pdf_ids(item: FileAlignment, num_frames: int, hmm: Hmm) -> Array | AlignmentFailure:
    pdf_ids = item.pdf_ids
    assert pdf_ids is not None, "checked by the caller"
    missing = num_frames - len(pdf_ids)
    if abs(missing) > MAX_FRAME_DIFFERENCE or len(pdf_ids) == 0:
        return AlignmentFailure(item.utt_id, frames_differ(len(pdf_ids), num_frames, item.where))
    if int(pdf_ids.min()) < 0 or int(pdf_ids.max()) >= hmm.num_pdfs:
        raise AlignmentError(
            "a pdf_id is not one of the model's",
            where=item.where,
            expected=f"0 to {hmm.num_pdfs - 1}",
            got=f"{pdf_ids.min()} to {pdf_ids.max()}",
            hint="align.imported.hmm must be the model that the archive was made with; "
            "ali.*.gz holds transition-ids: turn them into pdf_ids with ali-to-pdf",
        )
    front = missing // 2 if missing > 0 else 0
    padded = np.pad(pdf_ids, (front, max(missing - front, 0)), mode="edge")
    return padded[:num_frames].astype(np.int32)
