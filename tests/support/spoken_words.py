"""Six words of five phones, one with two pronunciations."""

from __future__ import annotations

from asr_kd.lang.lexicon import Lexicon

LEXICON = Lexicon(
    {
        "tea": (("T", "I"),),
        "eat": (("I", "T"),),
        "to": (("T", "U"), ("T", "A")),
        "sat": (("S", "A", "T"),),
        "sue": (("S", "U"),),
        "as": (("A", "S"),),
    }
)
