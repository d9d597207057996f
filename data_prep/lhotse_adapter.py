"""From lhotse's recordings and supervisions to utterances: one adapter for every corpus that lhotse knows."""

from __future__ import annotations

import contextlib
import importlib
import io
import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from asr_kd.data.audio import AudioInfo, audio_info
from asr_kd.data.kaldi_dir import segment_span
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError, CorpusError, ManifestError

_SUFFIXES = (".jsonl", ".jsonl.gz", ".json", ".json.gz")


def import_lhotse(module: str = "lhotse") -> Any:
    """Return lhotse or a module of it.

    Raises:
        ConfigError: When it is not installed.
    """
    try:
        # What importing it prints belongs to it, not to this program.
        with contextlib.redirect_stderr(io.StringIO()):
            return importlib.import_module(module)
    except ImportError as error:
        raise ConfigError(
            f"this corpus is read by lhotse, which cannot be imported ({error})",
            hint="pip install 'asr-kd[corpora]'",
        ) from None


def prepared_by_lhotse(prepare: Callable[..., Any], corpus: Path, **options: Any) -> Any:
    """Return what one of lhotse's ``prepare_*`` functions makes of a corpus folder.

    Raises:
        CorpusError: When it fails, or warns that it left something out.
    """
    warnings = _Warnings()
    logging.getLogger().addHandler(warnings)
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            manifests = prepare(corpus_dir=corpus, **options)
    except Exception as error:  # lhotse, its audio backends and processes fail in many ways
        raise CorpusError(
            f"lhotse's {prepare.__name__} cannot read the corpus ({type(error).__name__}: {error})",
            where=corpus,
            hint="check that the folder is the corpus as its archive unpacks it",
        ) from error
    finally:
        logging.getLogger().removeHandler(warnings)
    if warnings.messages:
        raise CorpusError(
            f"lhotse's {prepare.__name__} left out {len(warnings.messages):,} items",
            where=corpus,
            got=warnings.messages[0],
            hint="restore what is missing",
        )
    return manifests


class _Warnings(logging.Handler):
    """Keeps what is logged as a warning: lhotse says so what it leaves out."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a message."""
        self.messages.append(record.getMessage())


def read_lhotse_manifests(recordings: Path, supervisions: Path) -> tuple[Any, Any]:
    """Read a file of recordings and one of supervisions (.jsonl or .json, perhaps .gz).

    Raises:
        ManifestError: For a missing file, another kind of file or a malformed one.
    """
    lhotse = import_lhotse()
    return (
        _read(recordings, lhotse.RecordingSet, "recordings"),
        _read(supervisions, lhotse.SupervisionSet, "supervisions"),
    )


def _read(path: Path, manifest_class: Any, what: str) -> Any:
    if not path.is_file() or not path.name.endswith(_SUFFIXES):
        raise ManifestError(
            f"no file of {what}", where=path, expected=f"lhotse's {what} as {', '.join(_SUFFIXES)}"
        )
    try:
        manifest = manifest_class.from_file(path)
        if len(manifest) > 0:
            return manifest
    except Exception as error:  # whatever a malformed line does inside lhotse
        raise ManifestError(
            f"not lhotse's {what} ({type(error).__name__}: {error})", where=path, hint="write it with lhotse"
        ) from error
    raise ManifestError(f"there are no {what}", where=path)


def utterances_of(
    recordings: Iterable[Any], supervisions: Iterable[Any], *, roots: Sequence[Path], where: str
) -> list[Utterance]:
    """Return one utterance a supervision, sorted by utt_id, with absolute audio paths.

    Args:
        recordings: lhotse's recordings; each must be one local audio file, not transformed.
        supervisions: lhotse's supervisions; a supervision of some channels only is refused.
        roots: What relative audio paths may start from, tried in turn.
        where: Named in errors.

    Returns:
        The utterances; those without words have no text.

    Raises:
        ManifestError: For a recording that is missing, is no local file or is to be transformed (commands
            are never run), a supervision outside its recording, or a doubled id.
        AudioError: For audio that cannot be read.
    """
    sources = {recording.id: recording for recording in recordings}
    files: dict[str, tuple[Path, AudioInfo]] = {}
    utterances: dict[str, Utterance] = {}
    for supervision in supervisions:
        place = f'{where}: supervision "{supervision.id}"'
        if supervision.recording_id not in sources:
            raise ManifestError(
                f'recording "{supervision.recording_id}" is not in the recordings', where=place
            )
        if supervision.id in utterances:
            raise ManifestError("the supervision is there twice", where=place)
        recording = sources[supervision.recording_id]
        if recording.id not in files:
            files[recording.id] = _audio_file(recording, roots, where)
        path, info = files[recording.id]
        _check_channels(recording, supervision, place)
        is_whole = supervision.start == 0 and supervision.duration >= recording.duration
        end = -1.0 if is_whole else supervision.start + supervision.duration
        start_sample, num_samples = segment_span(float(supervision.start), end, info, place)
        utterances[supervision.id] = Utterance(
            utt_id=supervision.id,
            speaker=supervision.speaker or supervision.recording_id,
            audio=str(path),
            num_samples=num_samples,
            sampling_rate=info.sampling_rate,
            text=" ".join((supervision.text or "").split()) or None,
            start_sample=start_sample,
        )
    return [utterances[utt_id] for utt_id in sorted(utterances)]


def _audio_file(recording: Any, roots: Sequence[Path], where: str) -> tuple[Path, AudioInfo]:
    place = f'{where}: recording "{recording.id}"'
    kinds = [source.type for source in recording.sources]
    if kinds != ["file"]:
        raise ManifestError(
            "the recording is not one local file",
            where=place,
            expected="one source of type file",
            got=" and ".join(kinds) or "no source",
            hint="commands are never run and nothing is downloaded: write the audio to a file first",
        )
    if recording.transforms:
        raise ManifestError(
            "the recording is to be transformed (speed, rate, volume)",
            where=place,
            hint="write the audio with lhotse (CutSet.save_audios) and take those recordings",
        )
    given = recording.sources[0].source
    candidates = [(root / given).absolute() for root in roots]
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        raise ManifestError(
            "the audio file is missing",
            where=place,
            expected=" or ".join(str(candidate) for candidate in dict.fromkeys(candidates)),
            hint="give the folder that its path starts from with --corpus DIR",
        )
    info = audio_info(path, utt_id=recording.id)
    if info.sampling_rate != recording.sampling_rate:
        raise ManifestError(
            "the audio has another rate than the recording says",
            where=place,
            expected=f"{recording.sampling_rate} Hz",
            got=f"{info.sampling_rate} Hz",
        )
    return path, info


def _check_channels(recording: Any, supervision: Any, place: str) -> None:
    wanted = supervision.channel if isinstance(supervision.channel, list) else [supervision.channel]
    if set(wanted) != set(recording.channel_ids):
        raise ManifestError(
            "the supervision is of one of several channels",
            where=place,
            expected=f"channels {recording.channel_ids}",
            got=wanted,
            hint="write each channel to a file of its own",
        )


def require_text(splits: dict[str, list[Utterance]], where: str) -> None:
    """Refuse utterances without words in train, dev and test.

    Raises:
        CorpusError: With their number and the first of them.
    """
    for split in ("train", "dev", "test"):
        silent = [row.utt_id for row in splits[split] if row.text is None]
        if silent:
            raise CorpusError(
                f"{len(silent):,} of {len(splits[split]):,} utterances of {split} have no transcript",
                where=where,
                got=", ".join(silent[:3]),
                hint="transcribe them, leave them out, or make them the transfer split",
            )
