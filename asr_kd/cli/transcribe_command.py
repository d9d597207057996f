"""``transcribe``: what is said in audio, with alternatives, times and confidences, or as it comes in."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from asr_kd.atomic import write_text
from asr_kd.cli.recognise_commands import (
    FrontendPathOption,
    JobsOption,
    ModelArgument,
    SystemOption,
    recipe_folder,
    recogniser_folder,
)
from asr_kd.data.audio import audio_info, load_audio
from asr_kd.data.manifest import Utterance
from asr_kd.errors import ConfigError
from asr_kd.lattice_recogniser import LatticeRecogniser, TimedWord, Transcription
from asr_kd.progress import say, track
from asr_kd.recogniser import Recogniser
from asr_kd.streaming import StreamingRecogniser, StreamResult


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(transcribe)


def transcribe(
    model: ModelArgument,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Audio: wav, flac, ogg or mp3.")],
    system: SystemOption = None,
    frontend_path: FrontendPathOption = None,
    jobs: JobsOption = 1,
    nbest: Annotated[
        int | None, typer.Option("--nbest", min=1, help="Print so many alternatives: rank, cost, words.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a line of JSON an alternative, with confidences.")
    ] = False,
    ctm: Annotated[
        Path | None, typer.Option("--ctm", metavar="FILE", help="Write word times and confidences here.")
    ] = None,
    rescore: Annotated[
        Path | None,
        typer.Option("--rescore", metavar="ARPA", help="Exchange the graph's language model for this one."),
    ] = None,
    stream: Annotated[
        bool, typer.Option("--stream", help="Recognise as the audio comes in; print partial results.")
    ] = False,
    chunk: Annotated[float, typer.Option("--chunk", help="Seconds of audio at a time.")] = 0.1,
) -> None:
    """Print what is said in audio files, one line a file, each as soon as it is known."""
    needs_lattice = nbest is not None or as_json or ctm is not None or rescore is not None
    if stream and needs_lattice:
        raise ConfigError("--stream goes with none of --nbest, --json, --ctm and --rescore")
    if jobs > 1 and (stream or needs_lattice):
        raise ConfigError("lattices and streams are decoded in one process", got=f"--jobs {jobs}")
    names = _names(files) if ctm is not None else []
    recogniser = Recogniser.load(recogniser_folder(model, system))
    search_path = frontend_path or recipe_folder(model)
    if stream:
        _stream(StreamingRecogniser(recogniser, search_path), files, chunk)
        return
    utterances = [_utterance(path, number) for number, path in enumerate(files)]
    if not needs_lattice:
        hypotheses = recogniser.recognise(utterances, search_path, jobs, in_turn=True)
        for number, (_, hyp) in enumerate(track(hypotheses, "recognise", len(files), "utterances")):
            print(f"{files[number]}: {hyp.text}" if len(files) > 1 else hyp.text, flush=True)
        return
    alternatives = LatticeRecogniser(recogniser, rescore)
    transcriptions = alternatives.transcribe(
        utterances, nbest or 1, ctm is not None, search_path, with_confidences=as_json
    )
    timed: dict[str, list[TimedWord] | None] = {}
    try:
        for number, (_, found) in enumerate(track(transcriptions, "recognise", len(files), "utterances")):
            _print_alternatives(files[number], found, as_json, nbest is not None, len(files) > 1)
            if ctm is not None:
                timed[names[number]] = found.timed_words
    finally:  # what was recognised before a damaged file, or Ctrl-C, is kept
        if ctm is not None and timed:
            _write_ctm(ctm, timed, len(files))


def _write_ctm(path: Path, timed: Mapping[str, list[TimedWord] | None], num_files: int) -> None:
    """Write the words of each recording that was recognised, and say which have no times or were not."""
    lines = [line for name, words in timed.items() for line in _ctm_lines(name, words or [])]
    write_text(path, "".join(lines))
    failed = [name for name, words in timed.items() if words is None]
    if failed:
        say(f"{path}: no word times for {len(failed)} of {num_files} files: {', '.join(failed)}")
    if len(timed) < num_files:
        say(f"{path}: the first {len(timed)} of {num_files} files alone")


def _print_alternatives(
    path: Path, found: Transcription, as_json: bool, with_cost: bool, with_path: bool
) -> None:
    if as_json:
        for line in _json_lines(path, found):
            print(json.dumps(line, ensure_ascii=False, allow_nan=False), flush=True)
        return
    start = f"{path}: " if with_path else ""
    if not with_cost:
        print(start + (found.alternatives[0].text if found.alternatives else ""), flush=True)
        return
    for rank, each in enumerate(found.alternatives, start=1):
        print(f"{start}{rank}\t{each.cost:.3f}\t{each.text}", flush=True)
    if not found.alternatives:
        print(f"{start}1\t-\t", flush=True)


def _json_lines(path: Path, found: Transcription) -> list[dict[str, Any]]:
    """Return one object an alternative; of a file without a frame one with no words and no costs."""
    lines: list[dict[str, Any]] = [
        {
            "audio": str(path),
            "rank": rank,
            "text": each.text,
            "cost": round(each.cost, 4),
            "lm_cost": round(each.lm_cost, 4),
        }
        for rank, each in enumerate(found.alternatives, start=1)
    ] or [{"audio": str(path), "rank": 1, "text": "", "cost": None, "lm_cost": None}]
    lines[0]["confidences"] = [round(share, 4) for share in found.confidences]
    return lines


def _ctm_lines(name: str, words: list[TimedWord]) -> list[str]:
    """Return lines of NIST's CTM: recording, channel, start, duration, word, confidence."""
    return [
        f"{name} 1 {each.start:.2f} {each.duration:.2f} {each.word} {each.confidence:.4f}\n" for each in words
    ]


def _names(files: list[Path]) -> list[str]:
    """Return the names of recordings in a CTM file.

    Raises:
        ConfigError: For a name with blanks, or two of the same.
    """
    names = [path.stem for path in files]
    for name, count in Counter(names).items():
        if count > 1 or name.split() != [name]:
            raise ConfigError(
                "not a name of a recording in a CTM file",
                expected="different file names without blanks",
                got=f'"{name}"' + (f" {count} times" if count > 1 else ""),
            )
    return names


def _stream(recogniser: StreamingRecogniser, files: list[Path], chunk: float) -> None:
    for path in files:
        audio = load_audio(path)
        if len(files) > 1:
            print(f"{path}:")
        result = recogniser.transcribe(
            str(path),
            audio,
            chunk,
            lambda heard, words: print(f"{heard:8.2f} s  {' '.join(words)}", flush=True),
        )
        print(result.hypothesis.text)
        say(_speed(result))


def _speed(result: StreamResult) -> str:
    text = f"real-time factor {result.real_time_factor:.3f}"
    if not result.latencies:
        return text
    mean, largest = np.mean(result.latencies), max(result.latencies)
    return f"latency of words {mean:.2f} s on average, {largest:.2f} s at most; {text}"


def _utterance(path: Path, number: int) -> Utterance:
    info = audio_info(path)
    # Nobody says who speaks in a file, so each is normalised by itself.
    name = f"{number:06}"
    return Utterance(name, name, str(path), info.num_samples, info.sampling_rate)
