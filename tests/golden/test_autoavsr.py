"""auto_avsr equals the original code on formula weights: layers, losses, padded batches, searches, tokens."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from tests.golden.autoavsr_inputs import lively, video
from tests.golden.formula import fill
from tlbench.metrics.catalogue import find_metric
from tlbench.observers.autoavsr.checkpoint import _today
from tlbench.observers.autoavsr.decode import Hypothesis, beam_search
from tlbench.observers.autoavsr.dims import PUBLISHED, Dims
from tlbench.observers.autoavsr.fast_model import ClipEncoder, decoder_parts, fused_frontend
from tlbench.observers.autoavsr.model import AutoAVSRModel
from tlbench.observers.autoavsr.tokens import Tokens, published_tokens
from tlbench.observing.evidence import Evidence
from tlbench.observing.incremental_decoder import SteppingDecoder
from tlbench.observing.pack_layers import pack_layers
from tlbench.observing.packed_linear import can_pack

GOLDEN = Path(__file__).with_name("autoavsr")
TINY = Dims(width=64, heads=4, hidden=128, encoder_blocks=2, decoder_blocks=2, vocabulary=100)
CPU = torch.device("cpu")
TOLERANCE = 1e-4  # of the largest value; float32 sums in another order move it by 1e-6
SEARCHES: dict[str, dict[str, Any]] = json.loads((GOLDEN / "beam_tiny.json").read_text())


def network(dims: Dims, changes: Mapping[str, float] | None = None) -> AutoAVSRModel:
    model = AutoAVSRModel(dims)
    state = model.state_dict()
    fill(state)
    if changes is not None:
        lively(state, **changes)
    return model.eval().requires_grad_(False)


@pytest.fixture(scope="module")
def tiny() -> AutoAVSRModel:
    return network(TINY)


@pytest.fixture(scope="module")
def forward() -> dict[str, np.ndarray]:
    return dict(np.load(GOLDEN / "forward_tiny.npz"))


def error(ours: Tensor, theirs: np.ndarray) -> float:
    """The largest difference, of the largest value."""
    assert tuple(ours.shape) == theirs.shape
    expected = torch.from_numpy(theirs)
    return float((ours - expected).abs().max() / expected.abs().max())


def clips(seed: int, lengths: list[int]) -> tuple[Tensor, Tensor]:
    return torch.from_numpy(video(seed, len(lengths), max(lengths), lengths)), torch.tensor(lengths)


@pytest.mark.parametrize(("dims", "file"), [(PUBLISHED, "state_dict.json"), (TINY, "state_dict_tiny.json")])
def test_names_and_shapes_are_the_originals(dims: Dims, file: str) -> None:
    expected = json.loads((GOLDEN / file).read_text())
    with torch.device("meta"):
        model = AutoAVSRModel(dims)
    ours = {name: [list(tensor.shape), str(tensor.dtype)] for name, tensor in model.state_dict().items()}
    assert ours == expected
    if dims is PUBLISHED:
        assert sum(parameter.numel() for parameter in model.parameters()) == 250_383_410


@pytest.mark.parametrize(("case", "seed", "lengths"), [("one", 21, [20]), ("batch", 22, [20, 13])])
def test_every_layer_is_the_originals(
    tiny: AutoAVSRModel, forward: dict[str, np.ndarray], case: str, seed: int, lengths: list[int]
) -> None:
    crops, frames = clips(seed, lengths)
    features = tiny.frontend(crops)
    assert error(features, forward[f"{case}_frontend"]) < TOLERANCE
    assert error(tiny.proj_encoder(features), forward[f"{case}_proj"]) < TOLERANCE
    encoded, mask = tiny.encode(crops, frames, apart=False)
    assert error(encoded, forward[f"{case}_encoder"]) < TOLERANCE
    assert error(tiny.ctc(encoded).log_softmax(-1), forward[f"{case}_ctc_logp"]) < TOLERANCE
    targets = torch.from_numpy(forward[f"{case}_target"]).reshape(len(lengths), -1)
    start = torch.full((len(targets), 1), tiny.end)
    before = torch.cat([start, torch.where(targets < 0, tiny.end, targets)], dim=1)
    logits = tiny.decoder(before, encoded, mask)
    assert error(logits, forward[f"{case}_decoder_logits"]) < TOLERANCE


def test_the_losses_are_the_originals(tiny: AutoAVSRModel, forward: dict[str, np.ndarray]) -> None:
    """CTC by clip from our log-probabilities; a clip with more tokens than frames adds nothing."""
    cases = json.loads((GOLDEN / "forward_tiny.json").read_text())["cases"]
    crops, frames = clips(22, [20, 13])
    encoded, _ = tiny.encode(crops, frames, apart=False)
    logs = tiny.ctc(encoded).log_softmax(-1).transpose(0, 1)
    for case in ("batch", "infeasible"):
        targets = torch.from_numpy(forward[f"{case}_target"]).reshape(2, -1)
        lengths = torch.tensor(cases[case]["target_lengths"])
        ours = F.ctc_loss(logs, targets.clamp(min=0), frames, lengths, reduction="none", zero_infinity=True)
        assert ours.tolist() == pytest.approx(cases[case]["loss_ctc_per_clip"], rel=TOLERANCE)


def test_the_epsilon_of_layer_normalisation_is_the_originals(forward: dict[str, np.ndarray]) -> None:
    model = network(TINY)
    for tensor in model.proj_encoder.parameters():
        tensor *= 1e-4
    crops, frames = clips(21, [20])
    assert error(model.encode(crops, frames, apart=False)[0], forward["faint_encoder"]) < TOLERANCE


def test_a_clip_of_a_batch_is_read_as_the_original_reads_it_alone(
    tiny: AutoAVSRModel, forward: dict[str, np.ndarray]
) -> None:
    """The original's own padded batch differs by 0.26: its convolutions see the padding."""
    crops, frames = clips(22, [20, 13])
    together, _ = tiny.encode(crops, frames, apart=True)
    assert error(together[1:, :13], forward["alone13_encoder"]) < TOLERANCE
    padded_batch, _ = tiny.encode(crops, frames, apart=False)
    assert float((padded_batch[1, :13] - together[1, :13]).abs().max()) > 0.2


@pytest.mark.parametrize("packed", [False, True])
def test_the_fast_encoder_is_the_originals(tiny: AutoAVSRModel, forward: dict[str, np.ndarray], packed: bool) -> None:
    if packed and not can_pack():
        pytest.skip("this torch can't pack weights")
    encoder = ClipEncoder(network(TINY) if packed else tiny).eval()
    if packed:
        pack_layers(encoder)
    one, _ = clips(21, [20])
    assert error(encoder(one[0, :, 0])[None], forward["one_encoder"]) < TOLERANCE
    two, _ = clips(22, [20, 13])
    assert error(encoder(two[1, :13, 0])[None], forward["alone13_encoder"]) < TOLERANCE
    truth, other = video(23, 1, 20), video(24, 1, 20)
    generated = (0.6 * truth + 0.4 * other).astype(np.float32)
    real, made = (encoder(torch.from_numpy(crops[0, :, 0])) for crops in (truth, generated))
    assert error(F.cosine_similarity(made, real, dim=1), forward["pair_cosine"]) < TOLERANCE


class Searches:
    """Searches of one size; what their networks have in common is made once."""

    def __init__(self, dims: Dims, packed: bool = False, device: torch.device = CPU) -> None:
        self.dims = dims
        self.packed = packed
        self.device = device
        self._plain: dict[int, AutoAVSRModel] = {}
        self._features: dict[tuple[int, int], Tensor] = {}

    def run(self, cases: Mapping[str, dict[str, Any]]) -> dict[str, list[Hypothesis]]:
        """The hypotheses of each case; cases with the same network and settings are searched in one batch."""
        found: dict[str, list[Hypothesis]] = {}
        groups: dict[str, list[str]] = {}
        for name, case in cases.items():
            settings = [case["lively"], case["odim"], case["beam"], case["ctc_weight"]]
            groups.setdefault(json.dumps(settings), []).append(name)
        for names in groups.values():
            found |= dict(zip(names, self._together([cases[name] for name in names]), strict=True))
        return found

    def _together(self, cases: Sequence[dict[str, Any]]) -> list[list[Hypothesis]]:
        case = cases[0]
        plain = self._network(case["odim"])
        features = [self._frontend(plain, one["video_seed"], one["T"]) for one in cases]
        kept = {name: tensor for name, tensor in plain.state_dict().items() if not name.startswith("frontend.")}
        before = {name: tensor.clone() for name, tensor in kept.items()}
        lively(kept, **case["lively"])
        encoder = ClipEncoder(plain).eval()
        encoded = [encoder.after_projection(encoder.proj_encoder(own)) for own in features]
        logs = [plain.ctc(own).log_softmax(-1) for own in encoded]
        stepper = SteppingDecoder(decoder_parts(plain.decoder), packed=self.packed)
        found = beam_search(stepper, encoded, logs, case["beam"], case["ctc_weight"])
        for name, tensor in kept.items():
            tensor.copy_(before[name])
        return found

    def _network(self, tokens: int) -> AutoAVSRModel:
        if tokens not in self._plain:
            self._plain[tokens] = network(Dims.from_json({**self.dims.to_json(), "vocabulary": tokens})).to(self.device)
        return self._plain[tokens]

    def _frontend(self, plain: AutoAVSRModel, seed: int, frames: int) -> Tensor:
        if (seed, frames) not in self._features:
            crops = torch.from_numpy(video(seed, 1, frames))[0, :, 0].to(self.device)
            self._features[seed, frames] = fused_frontend(plain.frontend)(crops)
        return self._features[seed, frames]


def comparable(name: str, case: dict[str, Any], arrays: Mapping[str, np.ndarray]) -> list[list[int]]:
    """The original's best hypotheses of a search, as many as rounding does not change."""
    rows = [[token for token in row if token != -1] for row in arrays[f"{name}.tokens"].tolist()]
    # Else noise of 2e-6 on the original's own features changes its other hypotheses.
    return rows if case["under_rounding_noise"]["five_best_same_in_order"] else rows[:1]


def check_searches(
    found: Mapping[str, list[Hypothesis]], cases: Mapping[str, dict[str, Any]], arrays: Mapping[str, np.ndarray]
) -> None:
    for name, hypotheses in found.items():
        rows = comparable(name, cases[name], arrays)
        assert len(hypotheses) == cases[name]["ended"], name
        shown = hypotheses[: len(rows)]
        assert [one.tokens.tolist() for one in shown] == rows, name
        for part, ours in (("scores", "score"), ("decoder", "decoder"), ("ctc", "ctc")):
            if f"{name}.{part}" not in arrays:
                continue  # without weight CTC is not computed there
            expected = arrays[f"{name}.{part}"][: len(rows)]
            assert [getattr(one, ours) for one in shown] == pytest.approx(expected, rel=TOLERANCE, abs=1e-4)


def test_all_searches_of_the_small_network_find_the_originals_hypotheses_in_order() -> None:
    found = Searches(TINY).run(SEARCHES)
    assert len(found) == 35
    check_searches(found, SEARCHES, np.load(GOLDEN / "beam_tiny.npz"))


@pytest.mark.skipif(not can_pack(), reason="this torch can't pack weights")
@pytest.mark.slow
def test_so_do_searches_with_packed_weights() -> None:
    cases = {name: case for name, case in SEARCHES.items() if case["beam"] == 5}
    check_searches(Searches(TINY, packed=True).run(cases), cases, np.load(GOLDEN / "beam_tiny.npz"))


@pytest.mark.slow
def test_the_network_of_the_published_size_is_the_originals(shared: Path) -> None:
    folder = shared / "golden" / "autoavsr"
    forward = np.load(folder / "forward_pub.npz")
    model = network(PUBLISHED)
    crops, frames = clips(22, [20, 13])
    assert error(model.encode(crops, frames, apart=False)[0], forward["batch_encoder"]) < TOLERANCE
    encoder = ClipEncoder(model).eval()
    assert error(encoder(crops[1, :13, 0])[None], forward["alone13_encoder"]) < TOLERANCE
    del model, encoder
    cases = json.loads((folder / "beam_pub.json").read_text())
    check_searches(Searches(PUBLISHED).run(cases), cases, np.load(folder / "beam_pub.npz"))


@pytest.fixture(scope="module")
def tokens() -> Tokens:
    return published_tokens()


@pytest.fixture(scope="module")
def spelled() -> dict[str, Any]:
    recorded: dict[str, Any] = json.loads((GOLDEN / "tokens.json").read_text("utf-8"))
    return recorded


def test_the_tokens_are_the_originals(tokens: Tokens, spelled: dict[str, Any]) -> None:
    assert len(tokens) == spelled["size"]
    assert list(tokens.symbols[:10]) == spelled["first"]
    assert list(tokens.symbols[-5:]) == spelled["last"]
    assert tokens.end == spelled["eos"]
    for row in spelled["encode"]:
        assert tokens.encode(row["text"]) == row["ids"]
        assert tokens.text(row["ids"]) == row["back"]
    for row in spelled["decode"]:
        assert tokens.text(row["ids"]) == row["predicted"]


def test_word_errors_are_counted_as_by_the_original(spelled: dict[str, Any]) -> None:
    paper = find_metric("wer3/paper")
    edits = words = 0
    for row in spelled["edit_distance"]:
        if not row["words"]:
            continue  # a rate over no words: the clip is left out
        values = {"reference": row["actual"], "reference_spelled": row["actual"], "hypothesis": row["predicted"]}
        tally = paper.tally(Evidence("autoavsr", values))
        assert paper.value(tally) == pytest.approx(100 * row["distance"] / row["words"])
        edits, words = edits + row["distance"], words + row["words"]
    assert words


def test_files_with_the_names_of_keysync_are_read(tmp_path: Path) -> None:
    renamed = {today: older for older, today in json.loads((GOLDEN / "names_keysync.json").read_text())["map"].items()}
    with torch.device("meta"):
        names = list(AutoAVSRModel(PUBLISHED).state_dict())
    assert set(renamed) <= set(names)
    assert [_today(renamed.get(name, name)) for name in names] == names
