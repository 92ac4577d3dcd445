"""Codes of a trained model: mean and log-variance of every stored image."""

from __future__ import annotations

import numpy as np

from disentanglement.errors import Interrupted
from disentanglement.models.data.images import TrainingData
from disentanglement.models.encoding import encode_all
from disentanglement.models.machine.computation import computation
from disentanglement.models.machine.devices import usable_device
from disentanglement.models.machine.precision import precision_switches
from disentanglement.models.machine.threads import contract_threads
from disentanglement.models.model import Model
from disentanglement.specs import TrainSpec, parse_spec
from disentanglement.specs.plugins import check_runnable
from disentanglement.steps.context import StepContext
from disentanglement.steps.progress import Progress
from disentanglement.steps.representations import ExtractedCodes
from disentanglement.steps.train import WEIGHTS
from disentanglement.storage.cache import Cache
from disentanglement.storage.codes import codes_digest, put_codes
from disentanglement.storage.data_sets import open_data_set
from disentanglement.storage.keys import CodesManifestKey
from disentanglement.storage.manifests import Manifest
from disentanglement.storage.store import get_checked

IMAGES_PER_REPORT = 4096
"""A multiple of the batch size."""


def extract_codes(key: CodesManifestKey, trained: Manifest, context: StepContext) -> ExtractedCodes:
    """Encodes the whole data set of a committed model and stores the codes, unless codes are stored.

    To compare (`context.recompute`), the digest is that of what was computed here, whatever is stored.

    Raises:
        Interrupted: asked to stop; nothing is kept.
        DeviceUnusable: PyTorch can't compute on the device.
        SpecError: a plugin that is missing, was edited since it was submitted, or may not run here.
    """
    spec = parse_spec(TrainSpec, trained.spec)
    check_runnable([spec.architecture, spec.reconstruction], context.trusted)
    device = usable_device(context.device)
    data_set = open_data_set(context.store, Cache(context.cache), spec.dataset.name, spec.dataset.digest)
    data = TrainingData.of(data_set, device)
    weights = get_checked(context.store, trained.file_key(WEIGHTS), trained.files[WEIGHTS].measured)
    model = Model.from_bytes(spec, weights, image_shape=data.image_shape, device=device)
    mean_PZ, logvar_PZ = (np.empty((len(data), spec.architecture.num_latent), np.float32) for _ in range(2))
    with contract_threads(), precision_switches("fp32"):  # codes are read in full, whatever a model was trained in
        circumstances = computation(device)
        for batch in encode_all(model.networks, data):
            stop = batch.start + len(batch.mean_BZ)
            mean_PZ[batch.start : stop], logvar_PZ[batch.start : stop] = batch.mean_BZ, batch.logvar_BZ
            if stop % IMAGES_PER_REPORT == 0:
                context.report(Progress(stop, len(data), "images"))
                if context.should_stop():
                    raise Interrupted("stopped while extracting codes: run it again")
    standing = put_codes(context.store, key, mean_PZ, logvar_PZ)
    digest = codes_digest(mean_PZ, logvar_PZ) if context.recompute else standing.content_digest
    return ExtractedCodes(digest, circumstances)
