"""No network makes a tensor on another device than its own: each runs on torch's meta device, which has no data.

A tensor that is made on the CPU within a network would be refused here, as it would be on a GPU. What depends on
values (a beam search) can't be run without data; its single step can.
"""

from __future__ import annotations

import pytest
import torch

from tests.factories.observer_weights import TINY
from tlbench.observers.avhubert.fast_frontend import FusedFrontend as AVHubertFrontend
from tlbench.observers.avhubert.model import AVHubert
from tlbench.observers.conformer.fast_model import JoinedDecoder, JoinedEncoder
from tlbench.observers.conformer.model import ConformerModel
from tlbench.observers.mvm.model import MVMModel
from tlbench.observers.syncnet.model import SyncNetModel

META = torch.device("meta")


def made(shape: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(shape, device=META)


@torch.inference_mode()
def test_avhubert() -> None:
    with META:
        model = AVHubert(TINY).eval()
    hidden = torch.zeros(2, 7, dtype=torch.bool, device=META)
    encoded = model.encode(made((2, 1, 7, 88, 88)), made((2, 104, 7)), hidden)
    assert (encoded.device, encoded.shape) == (META, (2, 7, TINY.encoder_width))
    logits = model.logits(torch.zeros(2, 3, dtype=torch.long, device=META), encoded, hidden)
    assert (logits.device, logits.shape) == (META, (2, 3, TINY.vocabulary))


@torch.inference_mode()
def test_avhuberts_fused_front_end() -> None:
    with META:
        model = AVHubert(TINY).eval()
        frontend = AVHubertFrontend(model.encoder.w2v_model.feature_extractor_video)
    assert frontend(made((1, 1, 7, 88, 88))).device == META


@torch.inference_mode()
def test_the_conformer() -> None:
    with META:
        model = ConformerModel().eval()
        encoder, decoder = JoinedEncoder(model.encoder), JoinedDecoder(model.decoder)
    encoded = encoder([made((7, 512)), made((9, 512))])
    assert [(rows.device, len(rows)) for rows in encoded] == [(META, 7), (META, 9)]
    prefixes = [torch.zeros(3, dtype=torch.long, device=META), torch.zeros(4, dtype=torch.long, device=META)]
    logits = decoder.teacher_forced(prefixes, decoder.memory(encoded))
    assert [(rows.device, len(rows)) for rows in logits] == [(META, 3), (META, 4)]


@torch.inference_mode()
def test_mvm() -> None:
    with META:
        model = MVMModel().eval()
    seen = model.mem(model.v_front(made((2, 1, 29, 112, 112))))
    logits = model.tcn(seen)
    assert (logits.device, logits.shape) == (META, (2, 500))


@torch.inference_mode()
def test_syncnet() -> None:
    with META:
        model = SyncNetModel().eval()
    assert model.forward_lip(made((2, 3, 5, 224, 224))).device == META
    assert model.forward_aud(made((2, 1, 13, 20))).device == META


def test_the_meta_device_refuses_a_tensor_of_another_device() -> None:
    """So the tests above can fail."""
    with pytest.raises((RuntimeError, NotImplementedError)):
        made((2, 3)).cpu().numpy()
    with pytest.raises(RuntimeError):
        torch.nn.Linear(3, 2, device=META)(torch.zeros(2, 3))
