"""Training steps of disent's beta-VAE on Lightning, one for each line that comes in; runs in an environment of its own.

`bench_training.py --disent-python PYTHON` starts it: `python3.12 -m venv disent; disent/bin/pip install disent==0.9.3`.
Each line out is the processor time of a step in seconds, from the batch's gathering to the optimiser's update.
"""

from __future__ import annotations

import logging
import sys
import time
import warnings
from collections.abc import Iterator
from typing import Any

BATCH_SIZE, NUM_LATENT, BETA = 64, 10, 4.0


def main() -> None:
    """Serves steps until its input ends."""
    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    import lightning.pytorch as lightning
    import torch
    from disent.frameworks.vae import BetaVae
    from disent.model import AutoEncoder
    from disent.model.ae import DecoderConv64, EncoderConv64

    torch.set_num_threads(1)
    shape = (int(sys.argv[1]), 64, 64)

    class Images(torch.utils.data.IterableDataset[dict[str, Any]]):
        def __iter__(self) -> Iterator[dict[str, Any]]:
            images = torch.randint(0, 2, (2000, *shape)).float()
            while True:
                yield {"x_targ": (images[torch.randint(len(images), (BATCH_SIZE,))],)}

    class OneForEachLine(lightning.Callback):  # type: ignore[misc] # known in its own environment
        begun = 0.0

        def on_train_batch_end(self, *_: object) -> None:
            print(time.process_time() - self.begun, flush=True)
            if not sys.stdin.readline():
                sys.exit()
            self.begun = time.process_time()

    model = AutoEncoder(
        encoder=EncoderConv64(x_shape=shape, z_size=NUM_LATENT, z_multiplier=2),
        decoder=DecoderConv64(x_shape=shape, z_size=NUM_LATENT),
    )
    cfg = BetaVae.cfg(optimizer="adam", optimizer_kwargs={"lr": 1e-4}, loss_reduction="mean_sum", beta=BETA)
    quiet = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = lightning.Trainer(max_steps=-1, max_epochs=1, accelerator="cpu", callbacks=[OneForEachLine()], **quiet)
    trainer.fit(BetaVae(model=model, cfg=cfg), torch.utils.data.DataLoader(Images(), batch_size=None))


if __name__ == "__main__":
    main()
