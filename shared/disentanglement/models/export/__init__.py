"""A model for use without this package: programs, weights with a loader of their own, and a card that explains them.

from disentanglement.models.export import export_model
export_model(model, "out", ["safetensors", "onnx"], card={"step_key": ...})
"""

from __future__ import annotations

from disentanglement.models.export.card import CARD
from disentanglement.models.export.event_files import EventFiles
from disentanglement.models.export.writing import FORMATS, export_model

__all__ = ["CARD", "FORMATS", "EventFiles", "export_model"]
