"""The eSpeak NG library through ctypes, in synchronous mode, with the times of its phonemes."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from asr_kd.errors import CorpusError

_OUTPUT_SYNCHRONOUS = 2
_PHONEME_EVENTS = 1
_CHARS_UTF8 = 1
_POSITION_CHARACTER = 1
_RATE, _VOLUME, _PITCH, _RANGE = 1, 2, 3, 4
_EVENT_END, _EVENT_WORD, _EVENT_PHONEME = 0, 1, 7
# Some voices clip within the library at its default volume of 100.
_QUIET_VOLUME = 50


@dataclass(frozen=True)
class PhonemeEvent:
    """The start of a phoneme, by eSpeak's own name; names that begin with "_" are pauses."""

    name: str
    start_sample: int


@dataclass(frozen=True)
class WordEvent:
    """The start of a word: its place in the text and the phonemes that are spoken for it.

    Attributes:
        start_character: Of the word in the text, counted from 0.
        first_phoneme: Index of its first phoneme.
    """

    start_character: int
    first_phoneme: int


@dataclass(frozen=True)
class Speech:
    """What the library says for a text.

    Attributes:
        samples: float32 [N], full scale is 1.
        sampling_rate: In Hz.
        phonemes: In order of time.
        words: In order of time; eSpeak may speak two words as one and then names the first alone.
    """

    samples: NDArray[np.float32]
    sampling_rate: int
    phonemes: list[PhonemeEvent]
    words: list[WordEvent]


class _EventId(ctypes.Union):
    _fields_ = (("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8))


class _Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    )


_CALLBACK = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event)
)


class Synthesiser:
    """Speaks texts in any of eSpeak's voices; one in a process.

    The library keeps state between calls: the same samples come back only in a fresh process with the
    same calls, seeds among them, in the same order.

    Source: eSpeak NG, speak_lib.h.
    """

    def __init__(self) -> None:
        try:
            import espeakng_loader

            self._library: Any = ctypes.CDLL(espeakng_loader.get_library_path())
            data = espeakng_loader.get_data_path()
        except (ImportError, OSError) as error:
            raise CorpusError(
                f"the speech synthesiser cannot be loaded ({error})",
                hint="install espeakng-loader for this machine, or use a recipe with recorded speech",
            ) from None
        self._chunks: list[NDArray[np.int16]] = []
        self._phonemes: list[PhonemeEvent] = []
        self._words: list[WordEvent] = []
        rate = self._library.espeak_Initialize(_OUTPUT_SYNCHRONOUS, 0, str(data).encode(), _PHONEME_EVENTS)
        if rate <= 0:
            raise CorpusError("the speech synthesiser does not start", where=data, got=rate)
        self.sampling_rate = int(rate)
        # The library keeps the pointer alone, so the object must live as long as this one.
        self._callback = _CALLBACK(self._receive)
        self._library.espeak_SetSynthCallback(self._callback)

    def speak(self, text: str, voice: str, *, rate: int, pitch: int, pitch_range: int, seed: int) -> Speech:
        """Synthesise a text.

        Args:
            text: In ASCII letters and blanks.
            voice: Language file and variant, as ``gmw/en-US+f3``.
            rate: Speed in words a minute, 80 to 450.
            pitch: 0 to 99, 50 is the voice's own.
            pitch_range: Liveliness of the intonation, 0 to 99.
            seed: Of the breath in some voices, which the library seeds with the time of day.

        Raises:
            CorpusError: For a voice that the library does not have.
        """
        if self._library.espeak_SetVoiceByName(voice.encode()) != 0:
            raise CorpusError(f'the speech synthesiser has no voice "{voice}"')
        self._chunks, self._phonemes, self._words = [], [], []
        settings = ((_RATE, rate), (_PITCH, pitch), (_RANGE, pitch_range), (_VOLUME, _QUIET_VOLUME))
        for parameter, value in settings:
            self._library.espeak_SetParameter(parameter, value, 0)
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        encoded = text.encode()
        self._library.espeak_Synth(
            encoded, len(encoded) + 1, 0, _POSITION_CHARACTER, 0, _CHARS_UTF8, None, None
        )
        self._library.espeak_Synchronize()
        samples = np.concatenate(self._chunks).astype(np.float32) / 32768.0
        return Speech(samples, self.sampling_rate, self._phonemes, self._words)

    def _receive(self, wave: Any, num_samples: int, events: Any) -> int:
        if wave and num_samples > 0:
            self._chunks.append(np.ctypeslib.as_array(wave, (num_samples,)).copy())
        index = 0
        while (event := events[index]).type != _EVENT_END:
            if event.type == _EVENT_PHONEME:
                self._phonemes.append(PhonemeEvent(event.id.string.decode(), int(event.sample)))
            elif event.type == _EVENT_WORD:
                self._words.append(WordEvent(event.text_position - 1, len(self._phonemes)))
            index += 1
        return 0
