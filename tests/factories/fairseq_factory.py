"""Checkpoint files as fairseq's trainer writes them, made without fairseq.

Empty classes replace those that such a file names. They are in ``sys.modules`` only while the file is written, so that
a reader that needs to import them fails its tests.
"""

from __future__ import annotations

import io
import sys
from argparse import Namespace
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor

from tlbench.observers.avhubert.dims import Dims

SPECIAL = ["<s>", "<pad>", "</s>", "<unk>"]
CLASSES = (
    "fairseq.data.dictionary.Dictionary",
    "fairseq.data.encoders.sentencepiece_bpe.SentencepieceBPE",
    "sentencepiece.SentencePieceProcessor",
    "omegaconf.base.ContainerMetadata",
    "omegaconf.dictconfig.DictConfig",
    "omegaconf.listconfig.ListConfig",
    "omegaconf.nodes.AnyNode",
)
ENCODER = {
    "encoder_layers": 2,
    "encoder_embed_dim": 16,
    "encoder_ffn_embed_dim": 24,
    "encoder_attention_heads": 4,
    "layer_norm_first": True,
    "audio_feat_dim": 104,
    "modality_fuse": "concat",
    "conv_pos": 8,
    "conv_pos_groups": 4,
    "activation_fn": "gelu",
    "labels": ["km"],
}
DECODER = {
    "decoder_layers": 1,
    "decoder_embed_dim": 16,
    "decoder_ffn_embed_dim": 20,
    "decoder_attention_heads": 2,
    "decoder_normalize_before": True,
    "share_decoder_input_output_embed": True,
    "no_scale_embedding": True,
    "max_target_positions": 512,
}
# The sizes that these two configurations state; the vocabulary is the tokenizer's.
DIMS = Dims(
    encoder_layers=2,
    encoder_width=16,
    encoder_ffn=24,
    encoder_heads=4,
    positional_kernel=8,
    positional_groups=4,
    decoder_layers=1,
    decoder_width=16,
    decoder_ffn=20,
    decoder_heads=2,
    embedding_scale=False,
    max_target_positions=512,
    mask_embedding=104,
)
LETTERS = [*SPECIAL, "|", *"etaoin"]
Kind = Literal["dict", "dictconfig", "args"]


def fine_tuned_config() -> dict[str, Any]:
    """Of a network with a decoder; ``ENCODER`` is where fairseq stores the configuration of the pre-training."""
    task = {"normalize": True, "labels": ["wrd"]}
    return {"model": {**DECODER, "w2v_args": {"model": dict(ENCODER), "task": dict(task)}}, "task": task}


def ctc_config() -> dict[str, Any]:
    return {"model": {"w2v_args": {"model": dict(ENCODER), "task": {}}}, "task": {"normalize": True}}


def pretrained_config() -> dict[str, Any]:
    return {"model": dict(ENCODER), "task": {"normalize": True}}


def encoder_state(prefix: str = "") -> dict[str, Tensor]:
    """The tensors by which sizes are checked, not a whole network."""
    shapes: dict[str, tuple[int, ...]] = {
        "mask_emb": (104,),
        "feature_extractor_audio.proj.weight": (16, 104),
        "feature_extractor_video.proj.weight": (16, 512),
        "encoder.pos_conv.0.weight_g": (1, 1, 8),
        "encoder.pos_conv.0.weight_v": (16, 4, 8),
        "encoder.layers.0.fc1.weight": (24, 16),
        "encoder.layers.1.fc1.weight": (24, 16),
    }
    return _numbers({prefix + name: shape for name, shape in shapes.items()})


def fine_tuned_state(vocabulary: int) -> dict[str, Tensor]:
    decoder = {"decoder.embed_tokens.weight": (vocabulary, 16), "decoder.layers.0.fc1.weight": (20, 16)}
    return {**encoder_state("encoder.w2v_model."), **_numbers(decoder)}


def ctc_state(vocabulary: int) -> dict[str, Tensor]:
    return {**encoder_state("w2v_encoder.w2v_model."), **_numbers({"w2v_encoder.proj.weight": (vocabulary, 16)})}


def pretrained_state() -> dict[str, Tensor]:
    return {**encoder_state(), **_numbers({"final_proj.weight": (8, 16), "label_embs_concat": (20, 8)})}


def _numbers(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return {name: torch.randn(shape, generator=generator) for name, shape in shapes.items()}


def train_tokenizer() -> tuple[bytes, list[str]]:
    """A small sentencepiece model with fairseq's special symbols, and its pieces in order."""
    from sentencepiece import SentencePieceProcessor, SentencePieceTrainer

    model = io.BytesIO()
    SentencePieceTrainer.train(
        sentence_iterator=iter(["the cat sat on the mat", "a bat ate the hat", "that is the tale of a cat"] * 4),
        model_writer=model,
        vocab_size=30,
        bos_id=0,
        pad_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        hard_vocab_limit=False,
        minloglevel=2,
    )
    processor = SentencePieceProcessor()
    processor.LoadFromSerializedProto(model.getvalue())
    return model.getvalue(), [processor.id_to_piece(number) for number in range(len(processor))]


def write_checkpoint(
    path: Path,
    state: Mapping[str, Tensor],
    config: Mapping[str, Any],
    symbols: list[str] | None,
    tokenizer: bytes | None,
    *,
    kind: Kind = "dict",
    zipped: bool = True,
    proto_alone: bool = False,
) -> None:
    """Write what ``Trainer.save_checkpoint`` writes.

    Parameters
    ----------
    symbols, tokenizer : list of str, bytes or None
        Of the task's state; with no symbols it is left empty.
    kind : {"dict", "dictconfig", "args"}
        How the configuration is kept.
    zipped : bool
        In torch's zip format, or the older one.
    proto_alone : bool
        Pickle the tokenizer as older releases of sentencepiece do.
    """
    with _importable() as classes:
        task_state = _task_state(classes, symbols, tokenizer, proto_alone)
        optimizer = {"state": {0: {"step": 3, "exp_avg": torch.zeros(5), "exp_avg_sq": torch.zeros(5)}}}
        content = {
            "args": _namespace(config) if kind == "args" else None,
            "cfg": {"dict": config, "dictconfig": _config_node(classes, config, None), "args": None}[kind],
            "model": OrderedDict(state),
            "criterion": None,
            "optimizer_history": [{"optimizer_name": "FairseqAdam", "num_updates": 0}],
            "task_state": task_state,
            "extra_state": {"train_iterator": {"epoch": 1}, "val_loss": 1.5},
            "last_optimizer_state": optimizer,
        }
        torch.save(content, path, _use_new_zipfile_serialization=zipped)


def write_task_state(path: Path, symbols: list[str], tokenizer: bytes | None) -> None:
    """The file TalkLip keeps beside its lip-reading expert."""
    with _importable() as classes:
        torch.save(_task_state(classes, symbols, tokenizer, proto_alone=True), path)


def _task_state(
    classes: Mapping[str, type], symbols: list[str] | None, tokenizer: bytes | None, proto_alone: bool
) -> dict[str, Any]:
    if symbols is None:
        return {}
    dictionary = classes["Dictionary"]()
    vars(dictionary).update(symbols=symbols, indices={s: n for n, s in enumerate(symbols)}, bos_word="<s>")
    state: dict[str, Any] = {"dictionaries": [dictionary], "target_dictionary": dictionary}
    if tokenizer is not None:
        bpe, processor = classes["SentencepieceBPE"](), classes["SentencePieceProcessor"]()
        if proto_alone:
            processor.proto = tokenizer
        else:
            vars(processor).update(_return_type=int, _alpha=0.1, model_proto=tokenizer)
        bpe.sp = processor
        state["s2s_tokenizer"] = bpe
    return state


def _namespace(config: Mapping[str, Any]) -> Namespace:
    """Before hydra: one flat list of arguments, and another one inside for the pre-trained network."""
    flat = {**config["task"], **config["model"]}
    if "w2v_args" in flat:
        flat["w2v_args"] = _namespace(flat["w2v_args"])
    return Namespace(**flat)


def _config_node(classes: Mapping[str, type], value: Any, parent: Any) -> Any:
    """As omegaconf nests its nodes, each knowing its parent."""
    kind = "DictConfig" if isinstance(value, dict) else "ListConfig" if isinstance(value, list) else "AnyNode"
    node = classes[kind]()
    metadata = classes["ContainerMetadata"]()
    vars(metadata).update(ref_type=Any, object_type=dict, key_type=Any, flags={})
    vars(node).update(_metadata=metadata, _parent=parent)
    if isinstance(value, dict):
        node._content = {key: _config_node(classes, inner, node) for key, inner in value.items()}
    elif isinstance(value, list):
        node._content = [_config_node(classes, inner, node) for inner in value]
    else:
        node._val = value
    return node


def _get_state(self: Any) -> Any:
    return vars(self).get("proto") or dict(vars(self))


@contextmanager
def _importable() -> Iterator[dict[str, type]]:
    """Empty classes under the names that the file is to hold, for as long as pickle looks them up."""
    before = dict(sys.modules)
    classes = {}
    for qualified in CLASSES:
        module, name = qualified.rsplit(".", 1)
        parts = module.split(".")
        for depth in range(1, len(parts) + 1):
            parent = ".".join(parts[:depth])
            if parent not in sys.modules or sys.modules[parent] is before.get(parent):
                sys.modules[parent] = ModuleType(parent)
        classes[name] = type(name, (), {"__module__": module, "__getstate__": _get_state})
        setattr(sys.modules[module], name, classes[name])
    try:
        yield classes
    finally:
        for qualified in CLASSES:
            parts = qualified.split(".")[:-1]
            for depth in range(1, len(parts) + 1):
                sys.modules.pop(".".join(parts[:depth]), None)
        sys.modules.update({name: module for name, module in before.items() if name not in sys.modules})
