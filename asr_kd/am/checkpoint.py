"""Model directories: weights as safetensors, everything else as JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from asr_kd.am.dnn import num_parameters
from asr_kd.am.registry import ArchitectureConfig, build_net
from asr_kd.atomic import atomic_dir, plain_errors, usual_mode, write_json
from asr_kd.data.windows import ContextWindow, utterance_windows
from asr_kd.errors import ModelError
from asr_kd.fingerprint import file_sha256

WEIGHTS_FILE = "model.safetensors"
CARD_FILE = "model.json"
FORMAT_VERSION = 1

_FRAMES_AT_ONCE = 4096


class FrontendCard(BaseModel):
    """What features a model was trained on: how to build the frontend, and how to know it again."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    options: dict[str, Any] = {}
    cmvn: str
    dim: int
    frame_shift: float
    sampling_rate: int
    fingerprint: str


class ModelCard(BaseModel):
    """Everything about a model but its weights (``model.json``).

    Attributes:
        architecture: Which net.
        frontend: Which features.
        window_left: Frames of context before the classified one.
        window_right: Frames of context after it.
        num_senones: Number of outputs S.
        tree_fingerprint: Of the senone inventory whose pdf_ids the outputs are.
        log_prior: ``[S]`` natural logarithms of the state priors.
        provenance: How it was trained: seed, settings, data, scores on dev.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: int = FORMAT_VERSION
    architecture: ArchitectureConfig
    frontend: FrontendCard
    window_left: int
    window_right: int
    num_senones: int
    tree_fingerprint: str
    log_prior: list[float]
    provenance: dict[str, Any] = {}

    @property
    def window(self) -> ContextWindow:
        """The context window."""
        return ContextWindow(self.window_left, self.window_right)

    def build_net(self) -> nn.Module:
        """Build the untrained net."""
        return build_net(self.architecture, self.frontend.dim, self.window.width, self.num_senones)


@dataclass(frozen=True)
class AcousticModel:
    """A trained net with what it takes to use it.

    Attributes:
        net: In evaluation mode.
        card: What ``model.json`` says.
        fingerprint: SHA-256 of the weights' file.
    """

    net: nn.Module
    card: ModelCard
    fingerprint: str

    @property
    def prior(self) -> NDArray[np.float32]:
        """Log state priors ``[S]``."""
        return np.asarray(self.card.log_prior, dtype=np.float32)

    @property
    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return num_parameters(self.net)

    @torch.inference_mode()
    def logits(self, features: NDArray[np.float32], rows: slice = slice(None)) -> Tensor:
        """Return the logits ``[T, S]`` of an utterance's features ``[T, D]``, on the net's device.

        Args:
            features: float32 ``[T, D]``.
            rows: Which of the frames to classify; the others are context alone.
        """
        if features.ndim != 2 or features.shape[1] != self.card.frontend.dim:
            raise ModelError(
                "features of another frontend",
                expected=f"[T, {self.card.frontend.dim}]",
                got=list(features.shape),
                hint="use the frontend named in model.json",
            )
        device = next(self.net.parameters()).device
        # A copy: features come from read-only memory maps, which torch does not accept.
        frames = torch.from_numpy(np.array(features, dtype=np.float32))
        windows = utterance_windows(frames, self.card.window)[rows]
        parts = [self.net(part.to(device)).float() for part in torch.split(windows, _FRAMES_AT_ONCE)]
        return torch.cat(parts)


def save_model(folder: Path, net: nn.Module, card: ModelCard) -> None:
    """Write a model directory atomically."""
    weights = {name: value.detach().cpu().contiguous() for name, value in net.state_dict().items()}
    with atomic_dir(folder) as temporary:
        path = temporary / WEIGHTS_FILE
        with usual_mode(path), plain_errors(path):
            save_file(weights, str(path))
        write_json(temporary / CARD_FILE, card.model_dump())


def read_card(folder: Path) -> ModelCard:
    """Read ``model.json``.

    Raises:
        ModelError: When the folder is no model directory or the card is malformed.
    """
    path = folder / CARD_FILE
    if not path.is_file() or not (folder / WEIGHTS_FILE).is_file():
        raise ModelError(
            "not a model directory", where=folder, expected=f"{CARD_FILE} and {WEIGHTS_FILE}", got="neither"
        )
    try:
        card = ModelCard.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ModelError(f"malformed: {error}", where=path) from None
    if card.format_version != FORMAT_VERSION:
        raise ModelError(
            "model of another format", where=path, expected=FORMAT_VERSION, got=card.format_version
        )
    return card


def load_model(folder: Path, device: str = "cpu") -> AcousticModel:
    """Load a model directory; nothing in it can run code.

    Raises:
        ModelError: When the weights are damaged, or do not fit the card.
    """
    card, path = read_card(folder), folder / WEIGHTS_FILE
    net = card.build_net()
    try:
        net.load_state_dict(load_file(str(path)))
    except SafetensorError as error:
        raise ModelError(
            f"the weights are damaged: {error}",
            where=path,
            hint="copy the model directory again, or remove it and run what trained it again",
        ) from None
    except RuntimeError as error:
        raise ModelError(f"weights do not fit model.json: {error}", where=path) from None
    net.to(device).eval()
    return AcousticModel(net, card, file_sha256(path))
