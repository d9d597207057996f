"""Read, resample and write audio: wav, flac, ogg and mp3 of any rate and number of channels."""

from __future__ import annotations

import io
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import soundfile
from numpy.typing import NDArray

from asr_kd.data.audio_container import check_whole
from asr_kd.data.manifest import Utterance
from asr_kd.errors import AudioError

_MAX_KERNEL_VALUES = 50_000_000
_UNKNOWN_LENGTH = 1 << 60
_LARGEST_VORBIS_PAGE = 255 * 4096
"""Samples: a page ends at most 255 packets, each of half the longest block."""
_FORMATS = "wav, flac, ogg or mp3"


@dataclass(frozen=True)
class Audio:
    """Samples of one recording or of a segment of it.

    Attributes:
        samples: float32 [N], mono, full scale is 1.
        sampling_rate: In Hz.
    """

    samples: NDArray[np.float32]
    sampling_rate: int

    @property
    def num_samples(self) -> int:
        """Length in samples."""
        return len(self.samples)

    @property
    def duration(self) -> float:
        """Duration in seconds."""
        return self.num_samples / self.sampling_rate


class AudioInfo(NamedTuple):
    """What an audio file's header says."""

    num_samples: int
    sampling_rate: int
    channels: int


def load_audio(
    source: str | Path | bytes,
    start_sample: int = 0,
    num_samples: int | None = None,
    *,
    utt_id: str | None = None,
) -> Audio:
    """Read audio as mono float32; several channels become their mean.

    Args:
        source: Path of a file, or the bytes of one.
        start_sample: First sample to read, at the file's own rate.
        num_samples: How many samples to read; to the end of the file when None.
        utt_id: Named in errors.

    Raises:
        AudioError: For audio that is missing, unreadable, truncated, empty or not finite.
    """
    where = _where(source, utt_id)
    with _open(source, where) as sound:
        stated = int(sound.frames)
        wanted = stated - start_sample if num_samples is None else num_samples
        if wanted <= 0 or start_sample < 0 or start_sample + wanted > stated:
            raise _range_error(where, stated, start_sample, num_samples)
        try:
            samples = _read(sound, start_sample, wanted)
        except soundfile.LibsndfileError as error:
            what = f"audio is damaged ({error.error_string})"
            raise AudioError(what, where=where, hint="restore the file") from None
        sampling_rate = int(sound.samplerate)
    if len(samples) < wanted:
        raise AudioError(
            "audio is truncated",
            where=where,
            expected=f"{wanted} samples from sample {start_sample}, as the header says",
            got=len(samples),
            hint="copy or download the file again",
        )
    mono = samples[:, 0] if samples.shape[1] == 1 else samples.mean(axis=1, dtype=np.float32)
    if not np.isfinite(mono).all():
        raise AudioError(
            "audio has samples that are NaN or infinite",
            where=where,
            got=f"the first at sample {start_sample + int(np.argmin(np.isfinite(mono)))}",
            hint="write the file again, or leave the utterance out",
        )
    return Audio(np.ascontiguousarray(mono), sampling_rate)


def load_utterance(utterance: Utterance) -> Audio:
    """Read the audio of one manifest row and check it against the row.

    Raises:
        AudioError: As :func:`load_audio`, and for another rate or fewer samples than the manifest says.
    """
    where = _where(utterance.audio, utterance.utt_id)
    info = audio_info(utterance.audio, utt_id=utterance.utt_id)
    if info.sampling_rate != utterance.sampling_rate:
        raise AudioError(
            "sampling rate is not the manifest's",
            where=where,
            expected=f"{utterance.sampling_rate} Hz",
            got=f"{info.sampling_rate} Hz",
            hint="make the manifest again or restore the file",
        )
    end = utterance.start_sample + utterance.num_samples
    if info.num_samples < end:
        raise AudioError(
            "audio is shorter than the manifest says",
            where=where,
            expected=f"{end} samples",
            got=info.num_samples,
            hint="restore the file or make the manifest again",
        )
    return load_audio(utterance.audio, utterance.start_sample, utterance.num_samples, utt_id=utterance.utt_id)


def audio_info(path: str | Path, *, utt_id: str | None = None) -> AudioInfo:
    """Return number of samples, sampling rate and number of channels from a file's header."""
    with _open(path, _where(path, utt_id)) as sound:
        return AudioInfo(int(sound.frames), int(sound.samplerate), int(sound.channels))


def resample(samples: NDArray[np.float32], from_rate: int, to_rate: int) -> NDArray[np.float32]:
    """Resample mono audio by band-limited interpolation.

    Args:
        samples: float32 [N] at ``from_rate``.
        from_rate: In Hz.
        to_rate: In Hz.

    Returns:
        float32 [ceil(N * to_rate / from_rate)].
    """
    if from_rate <= 0 or to_rate <= 0:
        raise AudioError("sampling rates must be above 0", got=f"{from_rate} and {to_rate}")
    if from_rate == to_rate:
        return np.asarray(samples, dtype=np.float32)
    divisor = math.gcd(from_rate, to_rate)
    if (from_rate // divisor) * (to_rate // divisor) > _MAX_KERNEL_VALUES:
        raise AudioError(
            f"cannot resample from {from_rate} Hz to {to_rate} Hz",
            expected="rates with a common divisor",
            hint="convert the audio to a usual rate first",
        )
    import torch

    with torch.inference_mode():
        waveform = torch.from_numpy(np.array(samples, dtype=np.float32))
        resampled: NDArray[np.float32] = _resampler(from_rate, to_rate)(waveform).numpy()
    return resampled


@lru_cache(maxsize=8)
def _resampler(from_rate: int, to_rate: int) -> Any:
    """Return torchaudio's resampler, which keeps its filter."""
    from asr_kd.torchaudio_compat import import_torchaudio

    return import_torchaudio().transforms.Resample(from_rate, to_rate)


def write_audio(path: Path, samples: NDArray[np.floating[Any]], rate: int) -> None:
    """Write mono audio as 16-bit FLAC; the same samples give the same bytes.

    Raises:
        AudioError: For samples that are empty, not finite or beyond full scale (they would clip).
    """
    if samples.ndim != 1 or len(samples) == 0 or not np.isfinite(samples).all():
        raise AudioError("no mono finite samples to write", where=path, got=f"shape {samples.shape}")
    peak = float(np.abs(samples).max())
    if peak > 1.0:
        raise AudioError("audio would clip", where=path, expected="samples from -1 to 1", got=f"{peak:.3f}")
    pcm = np.clip(np.rint(samples * 32768.0), -32768, 32767).astype(np.int16)
    buffer = io.BytesIO()
    soundfile.write(buffer, pcm, rate, format="FLAC", subtype="PCM_16")
    path.write_bytes(buffer.getvalue())


def _where(source: str | Path | bytes, utt_id: str | None) -> str:
    name = "audio bytes" if isinstance(source, bytes) else str(source)
    return name if utt_id is None else f'{name} (utterance "{utt_id}")'


@contextmanager
def _open(source: str | Path | bytes, where: str) -> Iterator[soundfile.SoundFile]:
    with _byte_stream(source, where) as stream:
        check_whole(stream, where)
        try:
            sound = soundfile.SoundFile(stream)
        except soundfile.LibsndfileError as error:
            raise AudioError(
                f"not readable as audio ({error.error_string})", where=where, expected=f"a file of {_FORMATS}"
            ) from None
        with sound:
            if sound.frames <= 0:
                raise AudioError("audio has no samples", where=where, hint="leave the utterance out")
            if sound.frames >= _UNKNOWN_LENGTH:
                raise AudioError(
                    "the header does not state the audio's length",
                    where=where,
                    hint="it was written to a pipe; convert it to a WAV or FLAC file",
                )
            yield sound


def _byte_stream(source: str | Path | bytes, where: str) -> BinaryIO:
    if isinstance(source, bytes):
        if not source:
            raise AudioError("audio is zero bytes long", where=where)
        return io.BytesIO(source)
    if "://" in str(source):
        raise AudioError("audio is not a local file", where=where, hint="download it first")
    path = Path(source)
    if not path.is_file():
        what = "is a folder, not an audio file" if path.is_dir() else "no such audio file"
        raise AudioError(what, where=where, hint="check the path or restore the file")
    if path.stat().st_size == 0:
        raise AudioError("audio file is zero bytes long", where=where, hint="restore the file")
    try:
        return path.open("rb")
    except OSError as error:
        raise AudioError(f"cannot be opened ({error.strerror})", where=where) from None


def _read(sound: soundfile.SoundFile, start: int, num_samples: int) -> NDArray[np.float32]:
    """Return float32 [num_samples or fewer, channels] from sample ``start``."""
    first = _place_to_seek(sound, start)
    if first:
        sound.seek(first)
    num_dropped = start - first
    samples: NDArray[np.float32] = sound.read(num_dropped + num_samples, dtype="float32", always_2d=True)
    return samples[num_dropped:]


def _place_to_seek(sound: soundfile.SoundFile, start: int) -> int:
    """Return the last sample up to ``start`` that libsndfile's seek is sure to meet."""
    # It refuses to seek in some codings of WAV: ADPCM of NMS and G.721 says so, GSM 6.10 does not.
    if sound.format in ("MP3", "MPEG") or sound.subtype == "GSM610" or not sound.seekable():
        return 0
    if sound.format == "OGG" and sound.subtype == "VORBIS":
        # In the last page, whose last block the audio does not fill, it lands some milliseconds late.
        return max(0, min(start, int(sound.frames) - _LARGEST_VORBIS_PAGE))
    return start


def _range_error(where: str, stated: int, start: int, wanted: int | None) -> AudioError:
    span = f"samples from {start}" if wanted is None else f"samples {start} to {start + wanted}"
    return AudioError(
        "audio is shorter than the span to read",
        where=where,
        expected=span,
        got=f"{stated} samples",
        hint="restore the file, or mend the manifest or segments",
    )
