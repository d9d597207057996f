"""What every corpus module shares: options, checks, and the files of a prepared corpus."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from asr_kd.atomic import write_json, write_text
from asr_kd.data.audio import audio_info
from asr_kd.data.manifest import LEARNT_SPLITS, SPLITS, Utterance, write_manifest
from asr_kd.errors import CorpusError
from asr_kd.fingerprint import file_sha256
from asr_kd.score.word_classes import SCORE_WORDS_FILE, write_word_classes
from data_prep.pronunciations import Pronunciation, check_rows

_MAY_SHARE = (
    "leave the speaker out of one of them, or, where test may hold voices that were heard in training, "
    "--set corpus.options.speakers_disjoint=false"
)


class CorpusOptions(BaseModel):
    """Base of every corpus module's options: frozen, and unknown keys are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    def files_read(self, corpus: Path) -> list[Path]:
        """Return texts and tables of a corpus that people edit; those that are not there count for nothing.

        A work folder that was made from others is stale. Their audio is not looked at again.
        """
        return []

    def sources(self, corpus: Path | None) -> dict[str, Any]:
        """Return hashes of :meth:`files_read`, or where the corpus lies when there are none."""
        if corpus is None:
            return {}
        corpus = corpus.resolve()
        files = sorted({path for path in self.files_read(corpus) if path.is_file()})
        hashes = {os.path.relpath(path, corpus): file_sha256(path)[:16] for path in files}
        # A corpus may be moved, or mounted elsewhere, where it can be told that it is the same.
        return {"files": hashes} if hashes else {"corpus": str(corpus)}


@dataclass(frozen=True)
class PreparedCorpus:
    """A corpus as it stands in ``folder``.

    Attributes:
        name: Short name of the corpus.
        folder: Holds ``train.jsonl dev.jsonl test.jsonl``, perhaps ``transfer.jsonl``, and
            ``lexicon.txt lm_text.txt corpus.json``.
        splits: Utterances by split; audio paths are absolute or relative to ``folder``.
        lexicon: Words with their phones, several rows for several pronunciations.
        summary: What ``corpus.json`` says.
    """

    name: str
    folder: Path
    splits: Mapping[str, Sequence[Utterance]]
    lexicon: Sequence[Pronunciation]
    summary: Mapping[str, Any]


def write_corpus(
    folder: Path,
    *,
    name: str,
    splits: Mapping[str, Sequence[Utterance]],
    lexicon: Iterable[Pronunciation],
    source: str,
    licence: str,
    options: CorpusOptions,
    speakers_disjoint: bool = True,
    score_words: Mapping[str, str] | None = None,
    notes: Sequence[str] = (),
) -> PreparedCorpus:
    """Check a corpus and write its files; the LM text is the train split's alone.

    ``score_words`` are the words as which others are scored, or nothing for those that are not scored.
    Words of train that the lexicon lacks are the prepare stage's business.

    Raises:
        CorpusError: For an empty split, an utt_id or (where promised) a speaker in two splits, but for one of
            train that is heard in transfer too.
        LexiconError: For comments, probabilities and marks of variants that became words and phones.
    """
    _check_splits(name, splits)
    check_disjoint({split: [row.utt_id for row in rows] for split, rows in splits.items()}, "utt_id", name)
    if speakers_disjoint:
        speakers = {split: [row.speaker for row in rows] for split, rows in splits.items()}
        # Those of train may say more that nobody transcribed: a student that hears it has heard them anyway.
        hint = _MAY_SHARE if hasattr(options, "speakers_disjoint") else None
        check_disjoint(speakers, "speaker", name, may_share=LEARNT_SPLITS, hint=hint)
    pronunciations = list(dict.fromkeys(sorted(lexicon)))
    check_rows(pronunciations, {word for rows in splits.values() for row in rows for word in row.words}, name)
    summary: dict[str, Any] = {
        "name": name,
        "source": source,
        "licence": licence,
        "options": options.model_dump(mode="json"),
        "speakers_disjoint": speakers_disjoint,
        "splits": {split: split_counts(rows) for split, rows in splits.items()},
        "oov": {split: oov_counts(splits, split, pronunciations) for split in ("dev", "test")},
        "num_pronunciations": len(pronunciations),
        "num_lexicon_words": len({word for word, _ in pronunciations}),
        "notes": list(notes),
    }
    for split, rows in splits.items():
        write_manifest(folder / f"{split}.jsonl", rows)
    write_text(folder / "lexicon.txt", "".join(f"{word} {' '.join(ph)}\n" for word, ph in pronunciations))
    sentences = [row.text for row in sorted(splits["train"], key=lambda row: row.utt_id) if row.text]
    write_text(folder / "lm_text.txt", "".join(f"{sentence}\n" for sentence in sentences))
    if score_words is not None:
        write_word_classes(folder / SCORE_WORDS_FILE, score_words)
    write_json(folder / "corpus.json", summary)
    return PreparedCorpus(name, folder, splits, pronunciations, summary)


def describe_audio(
    path: Path, *, utt_id: str, speaker: str, text: str | None, relative_to: Path | None = None
) -> Utterance:
    """Return the manifest row of a whole audio file; its path is absolute unless ``relative_to`` is given."""
    info = audio_info(path, utt_id=utt_id)
    audio = path.absolute() if relative_to is None else path.relative_to(relative_to)
    return Utterance(
        utt_id=utt_id,
        speaker=speaker,
        audio=audio.as_posix(),
        num_samples=info.num_samples,
        sampling_rate=info.sampling_rate,
        text=text,
    )


def check_disjoint(
    groups: Mapping[str, Iterable[str]],
    what: str,
    where: str,
    *,
    may_share: Collection[str] = (),
    hint: str | None = None,
) -> None:
    """Refuse a value that stands in two splits.

    Args:
        groups: The values of each split.
        what: They are.
        where: Named in the error.
        may_share: Splits that may have values in common with one another.
        hint: For the error.

    Raises:
        CorpusError: Naming the value and both splits.
    """
    seen: dict[str, str] = {}
    for split, values in groups.items():
        for value in sorted(set(values)):
            if value in seen and not {seen[value], split} <= set(may_share):
                raise CorpusError(
                    f'{what} "{value}" is in two splits',
                    where=where,
                    expected=f"each {what} in one split",
                    got=f"{seen[value]} and {split}",
                    hint=hint,
                )
            seen[value] = split


def split_counts(utterances: Sequence[Utterance]) -> dict[str, float | int]:
    """Return utterances, hours, speakers and words of a split."""
    return {
        "utterances": len(utterances),
        "hours": round(sum(row.duration for row in utterances) / 3600, 4),
        "speakers": len({row.speaker for row in utterances}),
        "words": sum(len(row.words) for row in utterances),
    }


def oov_counts(
    splits: Mapping[str, Sequence[Utterance]], split: str, lexicon: Sequence[Pronunciation]
) -> dict[str, Any]:
    """Return the shares of a split's words that the train text and that the lexicon lack."""
    words = [word for row in splits[split] for word in row.words]
    train_words = {word for row in splits["train"] for word in row.words}
    known = {word for word, _ in lexicon}
    total = max(len(words), 1)
    return {
        "words": len(words),
        "share_not_in_train_text": round(sum(word not in train_words for word in words) / total, 5),
        "share_not_in_lexicon": round(sum(word not in known for word in words) / total, 5),
        "not_in_lexicon": sorted({word for word in words if word not in known}),
    }


def corpus_root(corpus: Path, needed: Sequence[str], name: str, sub_folders: Sequence[str] = ()) -> Path:
    """Return the folder that holds the corpus: ``corpus`` itself or one of its ``sub_folders``.

    Args:
        corpus: What the user gave.
        needed: Files or folders that the corpus has.
        name: Of the corpus, for the error.
        sub_folders: Where the original archive puts it.

    Raises:
        CorpusError: When it is no folder or lacks some of what is needed, which is named.
    """
    if not corpus.is_dir():
        what = "is a file, not a corpus folder" if corpus.exists() else "no such corpus folder"
        raise CorpusError(what, where=corpus, hint=f"unpack {name} and give its folder")
    candidates = [corpus, *(corpus / folder for folder in sub_folders)]
    for candidate in candidates:
        if all((candidate / item).exists() for item in needed):
            return candidate
    best = min(candidates, key=lambda folder: sum(not (folder / item).exists() for item in needed))
    missing = [item for item in needed if not (best / item).exists()]
    raise CorpusError(
        f"the folder is not {name}",
        where=corpus,
        expected=", ".join(needed),
        got=f"no {', '.join(missing)}",
        hint=f"give the folder of {name}, as its archive unpacks it",
    )


def _check_splits(name: str, splits: Mapping[str, Sequence[Utterance]]) -> None:
    unknown = set(splits) - set(SPLITS)
    assert not unknown, f"unknown splits {unknown}"
    for split in ("train", "dev", "test"):
        if not splits.get(split):
            raise CorpusError(
                f"the {split} split is empty", where=name, hint="check the corpus and its options"
            )
