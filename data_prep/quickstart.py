"""The embedded corpus: synthesised digit strings and commands in many voices, with noise."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import Field

from asr_kd.atomic import write_text
from asr_kd.errors import ConfigError, CorpusError
from data_prep.common import CorpusOptions, PreparedCorpus, describe_audio, write_corpus
from data_prep.noise import NOISE_TYPES
from data_prep.pronunciations import Pronunciation
from data_prep.quickstart_sentences import draw_sentences, said_first, vocabulary
from data_prep.synthesis import PHONES_FILE, Prompt, SpokenPhones, SynthesisSpec, synthesise

# eSpeak's variants that sound like people: robots, whispers, strong echoes, voices that clip within the
# library and all but one of those that hardly differ are left out.
_FEMALE = (
    "Alicia", "Andrea", "Annie", "anika", "aunty", "belinda", "f1", "f2", "f3", "f4", "f5", "grandma",
    "linda", "shelby", "steph", "zac",
)  # fmt: skip
_MALE = (
    "Alex", "Andy", "Denis", "Gene", "Henrique", "Lee", "Mario", "Michael", "Mike", "Nguyen", "Reed",
    "boris", "david", "ed", "edward", "gustave", "ian", "iven3", "john", "kaukovalta", "m1", "m2", "m3",
    "m4", "m5", "m6", "m7", "m8", "marcelo", "max", "michel", "norbert", "pablo", "pedro", "quincy",
    "rob", "robert", "sandro", "travis", "victor",
)  # fmt: skip
_ACCENTS = ("gmw/en-US", "gmw/en", "gmw/en-US", "gmw/en-GB-x-rp", "gmw/en-GB-scotland")
_HELD_OUT = {"dev": (2, 4), "test": (3, 7)}  # female and male voices
_SPLITS = ("train", "dev", "test")
_NUM_TALKERS = 6
_MIN_TRAIN = 60


class Options(CorpusOptions):
    """Options of the quickstart corpus.

    Attributes:
        num_train: Utterances of train; enough to hold every word of the vocabulary.
        num_dev: Utterances of dev.
        num_test: Utterances of test.
        digit_share: Share of digit strings; the rest are commands.
        snr_db: Levels of the speech over the noise; each utterance has one of them.
        min_rate: Slowest speed in words a minute.
        max_rate: Fastest speed in words a minute.
        pitch_spread: The voices' own pitch is 50; each utterance's is within this of it.
        seed: Of sentences, speeds, pitches and noise; the voices of a split do not depend on it.
    """

    num_train: int = Field(default=1500, ge=_MIN_TRAIN)
    num_dev: int = Field(default=150, ge=1)
    num_test: int = Field(default=300, ge=1)
    digit_share: float = Field(default=0.5, ge=0.0, le=1.0)
    snr_db: tuple[float, ...] = Field(default=(30.0, 20.0, 15.0, 10.0), min_length=1)
    min_rate: int = Field(default=135, ge=80)
    max_rate: int = Field(default=200, le=450)
    pitch_spread: int = Field(default=15, ge=0, le=49)
    seed: int = 0


@dataclass(frozen=True)
class Voice:
    """A speaker: a variant of eSpeak that always has the same accent."""

    variant: str
    accent: str

    @property
    def name(self) -> str:
        """Return the speaker's name."""
        return f"{self.accent.removeprefix('gmw/')}+{self.variant}"


def prepare(corpus: Path | None, out: Path, options: Options) -> PreparedCorpus:
    """Synthesise the quickstart corpus into ``out``: audio, and the true phones in ``phones.jsonl``.

    The lexicon holds each word's pronunciations as the train voices speak them.

    Raises:
        CorpusError: When a corpus folder is given, or the synthesiser fails.
        ConfigError: For limits that contradict each other.
    """
    if corpus is not None:
        raise CorpusError("quickstart synthesises its own speech", where=corpus, hint="leave out --corpus")
    if options.min_rate > options.max_rate:
        raise ConfigError("min_rate is above max_rate", where="quickstart")
    voices = split_voices()
    splits, phones = {}, {}
    for split, count in zip(_SPLITS, (options.num_train, options.num_dev, options.num_test), strict=True):
        spec, speakers = make_spec(split, count, voices[split], options)
        folder = out / "audio" / split
        spoken = synthesise(spec, folder)
        _check_all_spoken(spec.prompts, spoken, folder)
        splits[split] = [
            describe_audio(
                folder / f"{prompt.utt_id}.flac",
                utt_id=prompt.utt_id,
                speaker=speaker,
                text=prompt.text.upper(),
                relative_to=out,
            )
            for prompt, speaker in zip(spec.prompts, speakers, strict=True)
        ]
        phones[split] = spoken
    _join_phone_files(out)
    return write_corpus(
        out,
        name="quickstart",
        splits=splits,
        lexicon=_lexicon(phones["train"]),
        source="synthesised with eSpeak NG",
        licence="made by this program",
        options=options,
        notes=[
            f"{sum(len(rows) for rows in voices.values())} voices, none in two splits; "
            f"rates {options.min_rate} to {options.max_rate} words a minute.",
            f"Noise ({', '.join(NOISE_TYPES)}) at {', '.join(f'{snr:g}' for snr in options.snr_db)} dB SNR.",
            "All splits draw sentences from one grammar, so a test sentence may occur in train.",
        ],
    )


def split_voices() -> dict[str, list[Voice]]:
    """Return the voices of each split: by a hash of the variants' names, with women and men in each."""
    splits: dict[str, list[Voice]] = {split: [] for split in _SPLITS}
    for gender, variants in enumerate((_FEMALE, _MALE)):
        ordered = sorted(variants, key=lambda variant: hashlib.sha256(variant.encode()).hexdigest())
        for split in ("test", "dev", "train"):
            taken = _HELD_OUT[split][gender] if split in _HELD_OUT else len(ordered)
            for variant in ordered[:taken]:
                accent = _ACCENTS[len(splits[split]) % len(_ACCENTS)]
                splits[split].append(Voice(variant, accent))
            ordered = ordered[taken:]
    return splits


def make_spec(
    split: str, num_utterances: int, voices: Sequence[Voice], options: Options
) -> tuple[SynthesisSpec, list[str]]:
    """Draw what a split says, who says it and how; also return the speaker of each prompt."""
    digest = hashlib.sha256(f"{options.seed} {split}".encode()).digest()
    rng = np.random.default_rng(int.from_bytes(digest[:8], "big"))
    sentences = said_first(
        draw_sentences(num_utterances + _NUM_TALKERS, rng, options.digit_share), num_utterances
    )
    turns = [voices[k % len(voices)] for k in range(num_utterances)]
    prompts = []
    for number, voice in enumerate(turns):
        prompts.append(
            _draw_prompt(f"{split}-{voice.variant}-{number:05}", sentences[number], voice, rng, options)
        )
    talkers = [
        Prompt(f"talker-{k}", sentence, voices[k % len(voices)].accent, voices[k % len(voices)].variant)
        for k, sentence in enumerate(sentences[num_utterances:])
    ]
    return SynthesisSpec(prompts, talkers), [voice.name for voice in turns]


def _draw_prompt(utt_id: str, text: str, voice: Voice, rng: np.random.Generator, options: Options) -> Prompt:
    return Prompt(
        utt_id=utt_id,
        text=text,
        accent=voice.accent,
        variant=voice.variant,
        rate=int(rng.integers(options.min_rate, options.max_rate + 1)),
        pitch=50 + int(rng.integers(-options.pitch_spread, options.pitch_spread + 1)),
        pitch_range=int(rng.integers(30, 71)),
        lead=round(float(rng.uniform(0.05, 0.3)), 3),
        tail=round(float(rng.uniform(0.0, 0.2)), 3),
        noise=str(rng.choice(NOISE_TYPES)),
        snr_db=float(rng.choice(options.snr_db)),
        level_db=round(float(rng.uniform(-30.0, -22.0)), 1),
        seed=int(rng.integers(2**31)),
    )


def _lexicon(spoken: Sequence[SpokenPhones]) -> list[Pronunciation]:
    lexicon = sorted({pronunciation for row in spoken for pronunciation in row.pronunciations()})
    missing = {word.upper() for word in vocabulary()} - {word for word, _ in lexicon}
    if missing:
        raise ConfigError(f"num_train is too small: train never says {', '.join(sorted(missing))}")
    return lexicon


def _check_all_spoken(prompts: Sequence[Prompt], spoken: Sequence[SpokenPhones], folder: Path) -> None:
    if [row.utt_id for row in spoken] != [prompt.utt_id for prompt in prompts]:
        raise CorpusError("the synthesiser left out utterances", where=folder, got=len(spoken))
    for prompt, row in zip(prompts, spoken, strict=True):
        said = " ".join(word.word for word in row.words)
        assert said == prompt.text.upper(), f"{prompt.utt_id}: {said}"


def _join_phone_files(out: Path) -> None:
    parts = [out / "audio" / split / PHONES_FILE for split in _SPLITS]
    write_text(out / PHONES_FILE, "".join(part.read_text(encoding="utf-8") for part in parts))
    for part in parts:
        part.unlink()
