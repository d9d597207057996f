"""``evaluate``: a recogniser on held-out audio; and what it shares with ``transcribe``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from asr_kd.cli.show import print_word_errors
from asr_kd.data.audio_folder import read_audio_source
from asr_kd.data.manifest import Utterance, transcripts
from asr_kd.errors import ManifestError, ModelError
from asr_kd.progress import say, track
from asr_kd.recogniser import CARD_FILE, Recogniser
from asr_kd.score.significance import Bootstrap
from asr_kd.score.text_files import check_utt_ids, check_writable_name, write_text_file
from asr_kd.score.wer import score
from asr_kd.score.word_classes import SCORE_WORDS_FILE, WordClasses, read_word_classes
from asr_kd.score.words import unknown_words
from asr_kd.stages.base import WorkDir
from asr_kd.stages.decode import STUDENT
from asr_kd.stages.unscored import left_out, scored_utterances

ModelArgument = Annotated[
    Path, typer.Argument(metavar="MODEL_OR_WORKDIR", help="A recogniser folder, or a work folder.")
]
SystemOption = Annotated[
    str | None,
    typer.Option("--system", help="Of a work folder: student (when nothing is said), ensemble or baseline."),
]
FrontendPathOption = Annotated[
    Path | None,
    typer.Option(
        "--frontend-path",
        metavar="DIR",
        help="Where a frontend of your own lies (default: a work folder's recipe, else here).",
    ),
]
JobsOption = Annotated[int, typer.Option("--jobs", min=1, help="Decoding processes.")]


def register(app: typer.Typer) -> None:
    """Add this command to the command line."""
    app.command()(evaluate)


def evaluate(
    model: ModelArgument,
    audio: Annotated[
        Path,
        typer.Argument(
            help="A manifest, a Kaldi data directory, or a folder of audio with .txt or .trn beside."
        ),
    ],
    system: SystemOption = None,
    frontend_path: FrontendPathOption = None,
    jobs: JobsOption = 2,
    out: Annotated[Path | None, typer.Option("--out", help="Write hypotheses here (.txt or .trn).")] = None,
    worst: Annotated[int, typer.Option("--worst", help="How many utterances to list, worst first.")] = 20,
) -> None:
    """Recognise audio that has transcripts and score it: WER with interval, and the worst utterances.

    Words that the corpus scores as others, such as TIMIT's phones, are scored so here too; utterances without
    a scored word are left out.
    """
    if out is not None:
        check_writable_name(out)
    folder = recogniser_folder(model, system)
    recogniser = Recogniser.load(folder)
    classes = read_word_classes(score_words(model, folder))
    utterances = read_audio_source(audio)
    said = transcripts(utterances, audio, "use asr-kd transcribe for audio without text")
    utterances = _scored_utterances(utterances, classes, audio)
    if out is not None:
        check_utt_ids(out, (utterance.utt_id for utterance in utterances))
    references = classes.fold({utterance.utt_id: said[utterance.utt_id] for utterance in utterances})
    vocabulary = classes.fold({word: word for word in recogniser.vocabulary()})
    unknown = unknown_words(references.values(), set(vocabulary.values()))
    if unknown is not None:
        say(f"{audio}: {unknown}")
    found = recogniser.recognise(utterances, frontend_path or recipe_folder(model), jobs)
    tracked = track(found, "recognise", len(utterances), "utterances")
    texts = {utt_id: hypothesis.text for utt_id, hypothesis in tracked}
    if out is not None:
        write_text_file(out, texts)
    result = score(references, classes.fold(texts))
    speakers = {utterance.utt_id: utterance.speaker for utterance in utterances}
    print_word_errors(result, f"{folder.resolve().name} {audio.name}", Bootstrap(speakers=speakers), worst)


def _scored_utterances(utterances: Sequence[Utterance], classes: WordClasses, audio: Path) -> list[Utterance]:
    """Return the utterances that have a word that is scored; the others are left out and counted.

    Raises:
        ManifestError: When none is left.
    """
    scored = scored_utterances(utterances, classes)
    if not scored:
        raise ManifestError(
            "no utterance has a word that is scored",
            where=audio,
            expected="a transcript with at least one",
            got=f"{len(utterances):,} utterances without",
            hint=f"check the transcripts and {SCORE_WORDS_FILE}",
        )
    if len(scored) < len(utterances):
        say(f"{audio}: {left_out(utterances, scored)}: no word that is scored")
    return scored


def recogniser_folder(given: Path, system: str | None) -> Path:
    """Return the recogniser folder that a user means: the folder itself, or one of a work folder.

    Args:
        given: Either of them.
        system: Of a work folder: the student's when None. Beside a recogniser folder its own name or None.

    Raises:
        ModelError: When there is none, naming what was looked for, or the folder is another system's.
    """
    if (given / CARD_FILE).is_file():
        name = given.resolve().name
        if system not in (None, name):
            raise ModelError(
                "a recogniser folder is one system's",
                where=given,
                expected=f"no --system, or --system {name}",
                got=f"--system {system}",
                hint="leave out --system, or give the work folder that has this system",
            )
        return given
    name = system or STUDENT
    inside = given / "recognisers" / name
    if (inside / CARD_FILE).is_file():
        return inside
    known = sorted(path.parent.name for path in given.glob(f"recognisers/*/{CARD_FILE}"))
    raise ModelError(
        f'no recogniser "{name}" here' if known else "neither a recogniser nor a work folder with one",
        where=given,
        expected=f"one of {', '.join(known)}" if known else f"{CARD_FILE} or recognisers/{name}/{CARD_FILE}",
        hint=None if known else "run the recipe up to its decode stage",
    )


def score_words(given: Path, recogniser: Path) -> Path:
    """Return the file of the words as which others are scored, which need not exist.

    Args:
        given: A recogniser folder, or a work folder, whose corpus knows them where its recognisers do not.
        recogniser: The recogniser folder that was meant.
    """
    of_corpus = WorkDir(given).score_words
    return of_corpus if of_corpus.is_file() else recogniser / SCORE_WORDS_FILE


def recipe_folder(given: Path) -> Path:
    """Return the folder of the recipe that a work folder was run with, else the current one."""
    facts = WorkDir(given).run_facts
    if not facts.is_file():
        return Path()
    return Path(json.loads(facts.read_text(encoding="utf-8"))["folder"])
