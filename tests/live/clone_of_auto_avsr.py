"""auto_avsr's own classes from a clone against ours: ``python -m tests.live.clone_of_auto_avsr FOLDER`` prints JSON.

A process of its own, because the clone's package is called ``espnet``, as the one that other tests import.
"""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch

from tests.golden.autoavsr_inputs import video
from tests.golden.formula import fill
from tests.live.packages import relative
from tlbench.observers.autoavsr.decode import beam_search
from tlbench.observers.autoavsr.dims import PUBLISHED, Dims
from tlbench.observers.autoavsr.fast_model import ClipEncoder, decoder_parts
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.autoavsr.original import REPOSITORY, encoded_by, original_search
from tlbench.observing.incremental_decoder import SteppingDecoder
from tlbench.observing.originals import clone_module, loaded

SMALL = Dims(width=32, heads=4, hidden=40, kernel=7, encoder_blocks=2, decoder_blocks=2, vocabulary=60)
FRAMES, BEAM = 8, 40
LAYERS = "espnet.nets.pytorch_backend"


@torch.inference_mode()
def compared(code: Path) -> dict[str, object]:
    """Whether all names and shapes are equal, the difference of an encoding, and how many hypotheses are equal."""
    modules = partial(clone_module, code, repository=REPOSITORY)
    with torch.device("meta"):
        theirs = modules(f"{LAYERS}.e2e_asr_conformer").E2E(PUBLISHED.vocabulary, "video")
        ours = AutoAVSRModel(PUBLISHED)
    shapes = [{name: tensor.shape for name, tensor in one.state_dict().items()} for one in (theirs, ours)]
    model = AutoAVSRModel(SMALL).eval().requires_grad_(False)
    fill(model.state_dict())
    of_encoder = {"attention_dim": SMALL.width, "attention_heads": SMALL.heads, "linear_units": SMALL.hidden}
    encoder = modules(f"{LAYERS}.encoder.conformer_encoder").ConformerEncoder(
        **of_encoder, num_blocks=SMALL.encoder_blocks, cnn_module_kernel=SMALL.kernel
    )
    decoder = modules(f"{LAYERS}.decoder.transformer_decoder").TransformerDecoder(
        odim=SMALL.vocabulary, **of_encoder, num_blocks=SMALL.decoder_blocks
    )
    ctc = modules(f"{LAYERS}.ctc").CTC(SMALL.vocabulary, SMALL.width, 0.0)
    frontend = modules(f"{LAYERS}.frontend.resnet").video_resnet()
    parts = {"encoder.": encoder, "decoder.": decoder, "ctc.": ctc, "frontend.": frontend}
    for prefix, module in parts.items():
        loaded(module, model.state_dict(), prefix, REPOSITORY)
    crops = torch.from_numpy(video(31, 1, FRAMES))[0, :, 0]
    expected = encoded_by(frontend, model.proj_encoder, encoder, crops)
    found = ClipEncoder(model)(crops)
    wanted = original_search(decoder, ctc, SMALL.vocabulary, BEAM, modules=modules)(expected)
    logs = model.ctc(found).log_softmax(-1)
    read = beam_search(SteppingDecoder(decoder_parts(model.decoder)), [found], [logs], BEAM)[0]
    return {
        "names_and_shapes": shapes[0] == shapes[1],
        "encoding": relative(found, expected),
        "hypotheses": len(wanted),
        "equal": sum(a.tokens.tolist() == b.tokens.tolist() for a, b in zip(read, wanted, strict=True)),
    }


if __name__ == "__main__":
    torch.set_num_threads(1)  # the network is small
    print(json.dumps(compared(Path(sys.argv[1]))))
