"""Load AV-HuBERT and its dictionary from fairseq's checkpoints or from a package.

A published file holds the training configuration, the tensors, the task's state (dictionary and tokenizer as pickled
objects) and the optimizer. It is read with :mod:`tlbench.checkpoints.unpickle`: objects of the fairseq, omegaconf and
sentencepiece classes listed here become plain records, and any other name ends the reading.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tlbench.checkpoints.build_network import build_network
from tlbench.checkpoints.package import Package, check_observer, open_package, read_dims
from tlbench.checkpoints.pickle_records import Thing, printable
from tlbench.checkpoints.state_dict import open_checkpoint, published, read_state, renamed
from tlbench.checkpoints.torch_archive import Archive
from tlbench.errors import TlbenchError

from .dictionary import Dictionary
from .dims import Dims

if TYPE_CHECKING:
    from torch import Tensor

    from .model import AVHubert

OBSERVER = "avhubert"
TOKENIZER_FILE = "sentencepiece.model"
TASK_STATE_FILE = "task_state.pt"  # of TalkLip's repository: dictionary and tokenizer in a file of their own

# Classes in fairseq's files: of Trainer.save_checkpoint with a plain or an omegaconf configuration, and of argparse in
# files from before hydra.
_DICTIONARY = "fairseq.data.dictionary.Dictionary"
_BPE = "fairseq.data.encoders.sentencepiece_bpe.SentencepieceBPE"
_PROCESSOR = "sentencepiece.SentencePieceProcessor"
_MAPPING = "omegaconf.dictconfig.DictConfig"
_SEQUENCE = "omegaconf.listconfig.ListConfig"
_NODE = "omegaconf.nodes.AnyNode"
_NAMESPACE = "argparse.Namespace"
INERT = {
    _DICTIONARY,
    _BPE,
    _PROCESSOR,
    _MAPPING,
    _SEQUENCE,
    _NODE,
    _NAMESPACE,
    "omegaconf.base.ContainerMetadata",
    "omegaconf.base.Metadata",
}
MENTIONED = {"__builtin__.long", "__builtin__.dict", "__builtin__.list", "typing.Any"}

_PRETRAINING_ONLY = ("final_proj.", "target_glu.")  # dropped by hubert.py remove_pretraining_modules
_NEW_WEIGHT_NORM = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}


def load(path: Path) -> tuple[AVHubert, Dictionary]:
    """The network, ready for inference in float32, and its dictionary.

    Parameters
    ----------
    path : Path
        The published file, or the folder of a package.

    Raises
    ------
    TlbenchError
        If the file can't be read, is another model's, or its tensors do not fit.
    """
    model, dictionary = network_of(open_package(path, _read), path)
    return model.eval().requires_grad_(False), dictionary


def network_of(package: Package, path: Path) -> tuple[AVHubert, Dictionary]:
    """The network of a package, and its dictionary. Raises TlbenchError, naming ``path``, if it does not fit."""
    check_observer(package, OBSERVER, path)
    dims = read_dims(Dims, package.config.get("dims"), path)
    symbols = package.config.get("dictionary")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise TlbenchError(f"package {path}: its dictionary is no list of texts; import the published file again")
    if len(symbols) != dims.vocabulary:
        raise TlbenchError(
            f"package {path}: its dictionary has {len(symbols):,} symbols, its network {dims.vocabulary:,}; import the "
            "published file again"
        )
    from .model import AVHubert

    model = build_network(lambda: AVHubert(dims), package.tensors, f"{OBSERVER}, {path}")
    return model, Dictionary(symbols, package.files.get(TOKENIZER_FILE))


def read_published(path: Path) -> Package:
    """Read a checkpoint of fairseq's trainer as a package.

    The network is fine-tuned with a decoder, fine-tuned with CTC, or only pre-trained. Tensors keep their precision
    (float16 in some files; the network computes in float32, as the original) and get the names of the fine-tuned
    network: a pre-trained network's names get a prefix, and newer torch's names of weight normalisation become the old
    ones. If the file has no dictionary, ``task_state.pt`` in the same folder is read.

    Raises
    ------
    TlbenchError
        If the file is damaged, of another model, or holds anything that could run code.
    """
    return published(_read(path), path)


def _read(path: Path) -> Package:
    archive = open_checkpoint(path, INERT, MENTIONED)
    tree = archive.tree
    if not isinstance(tree, dict) or not isinstance(tree.get("model"), dict):
        raise TlbenchError(
            f"weights {path}: holds no fairseq checkpoint (a part called 'model'); is it another model's file?"
        )
    tensors = _named_as_fine_tuned(_read_model(archive, path), path)
    config = _model_and_task(tree.get("cfg")) or _model_and_task(tree.get("args"))
    if config is None:
        raise TlbenchError(f"weights {path}: holds no configuration ('cfg' or 'args'), so no sizes are known")
    try:
        dims = _Sizes(path, tensors, *config).dims()
    except ValueError as error:
        raise TlbenchError(f"weights {path}: not a network that tlbench can build ({error})") from error
    symbols, tokenizer, task_state_file = _texts(path, tree.get("task_state"), dims)
    return Package(
        observer=OBSERVER,
        tensors=tensors,
        config={"dims": dims.to_json(), "dictionary": symbols, "dictionary_file": task_state_file},
        files={} if tokenizer is None else {TOKENIZER_FILE: tokenizer},
    )


def _read_model(archive: Archive, path: Path) -> dict[str, Tensor]:
    wanted = {
        name: described
        for name, described in archive.tree["model"].items()
        if not (isinstance(name, str) and name.startswith(_PRETRAINING_ONLY))
    }
    return read_state(archive, wanted, path)


def _named_as_fine_tuned(state: Mapping[str, Tensor], path: Path) -> dict[str, Tensor]:
    """Rename tensors as in hubert_asr.py's AVHubertSeq2Seq; its ``encoder.w2v_model`` is the pre-trained network."""
    named = renamed(state, _older, path)
    if any(name.startswith("encoder.w2v_model.") for name in named):
        return named
    if any(name.startswith("feature_extractor_video.") for name in named):
        return {f"encoder.w2v_model.{name}": tensor for name, tensor in named.items()}
    raise TlbenchError(
        f"weights {path}: a fairseq checkpoint, but not of AV-HuBERT (no tensor of its video front end; "
        f"the first is {printable(next(iter(named)))})"
    )


def _older(name: str) -> str:
    for new, old in _NEW_WEIGHT_NORM.items():
        name = name.replace(new, old)
    return name.removeprefix("w2v_") if name.startswith("w2v_encoder.") else name  # AVHubertCtc


def _section(node: Any) -> dict[Any, Any] | None:
    """One level of the configuration as a dict, from any of the three kinds of object that files use.

    Nested sections are opened only when they are needed, so that a file with a cycle does no harm.
    """
    if isinstance(node, Thing) and isinstance(node.state, dict):
        node = node.state.get("_content") if node.name == _MAPPING else node.state if node.name == _NAMESPACE else None
    return {key: _leaf(inner) for key, inner in node.items()} if isinstance(node, dict) else None


def _leaf(node: Any) -> Any:
    is_wrapped = isinstance(node, Thing) and node.name == _NODE and isinstance(node.state, dict)
    return node.state.get("_val") if is_wrapped else node


def _model_and_task(config: Any) -> tuple[dict[Any, Any], dict[Any, Any]] | None:
    """The sections for model and task; in files from before hydra, both are one list of arguments. None if missing."""
    whole = _section(config)
    if whole is None or "model" not in whole:
        return None if whole is None else (whole, whole)
    model, task = _section(whole["model"]), _section(whole.get("task"))
    return None if model is None else (model, task or {})


class _Sizes:
    """The network's sizes from the configuration, checked against the tensors.

    The defaults of options that a file lacks are those of av_hubert hubert.py (``AVHubertConfig``), hubert_asr.py
    (``AVHubertSeq2SeqConfig``) and hubert_pretraining.py (``AVHubertPretrainingConfig``).
    """

    def __init__(
        self, path: Path, tensors: Mapping[str, Tensor], model: Mapping[Any, Any], task: Mapping[Any, Any]
    ) -> None:
        self._path = path
        self._tensors = tensors
        self._task = task
        self._model = model
        self._encoder = model
        self._ctc = "encoder.proj.weight" in tensors
        self._decodes = any(name.startswith("decoder.") for name in tensors)
        if self._ctc or self._decodes:
            pretrained = _model_and_task(model.get("w2v_args"))
            if pretrained is None:
                raise TlbenchError(f"weights {path}: its configuration lacks w2v_args, the sizes of the encoder")
            self._encoder = pretrained[0]

    def dims(self) -> Dims:
        encoder = self._encoder
        self._only(encoder, "activation_fn", "gelu")
        self._only(encoder, "resnet_relu_type", "prelu")
        self._only(encoder, "sub_encoder_layers", 0)
        fuse = encoder.get("modality_fuse", "concat")
        if fuse not in ("concat", "add"):
            raise self._unknown("modality_fuse", fuse)
        layers = "encoder.w2v_model.encoder.layers"
        width = self._measured(encoder, "encoder_embed_dim", 768, f"{layers}.0.fc1.weight", 1)
        sizes = Dims(
            encoder_layers=self._layers(encoder, "encoder_layers", 12, layers),
            encoder_width=width,
            encoder_ffn=self._measured(encoder, "encoder_ffn_embed_dim", 3072, f"{layers}.0.fc1.weight", 0),
            encoder_heads=self._divisor(encoder, "encoder_attention_heads", 12, width),
            encoder_prenorm=self._switch(encoder, "layer_norm_first", False),
            modality_fuse=fuse,
            positional_kernel=self._measured(
                encoder, "conv_pos", 128, "encoder.w2v_model.encoder.pos_conv.0.weight_v", 2
            ),
            positional_groups=self._divisor(encoder, "conv_pos_groups", 16, width),
            audio_features=self._size("encoder.w2v_model.feature_extractor_audio.proj.weight", 1),
            vocabulary=self._size("encoder.proj.weight", 0) if self._ctc else 0,
            ctc=self._ctc,
            normalise_audio=self._switch(self._task, "normalize", False),
            mask_embedding=self._left_over("mask_emb", 0),
            label_embeddings=self._left_over("label_embs_concat", 0),
            label_width=self._left_over("label_embs_concat", 1),
        )
        return self._with_decoder(sizes) if self._decodes else sizes

    def _with_decoder(self, sizes: Dims) -> Dims:
        model = self._model
        self._only(model, "no_token_positional_embeddings", False)
        width = self._measured(model, "decoder_embed_dim", 768, "decoder.layers.0.fc1.weight", 1)
        return Dims(
            **{
                **sizes.to_json(),
                "decoder_layers": self._layers(model, "decoder_layers", 6, "decoder.layers"),
                "decoder_width": width,
                "decoder_ffn": self._measured(model, "decoder_ffn_embed_dim", 3072, "decoder.layers.0.fc1.weight", 0),
                "decoder_heads": self._divisor(model, "decoder_attention_heads", 4, width),
                "decoder_prenorm": self._switch(model, "decoder_normalize_before", False),
                "vocabulary": self._size("decoder.embed_tokens.weight", 0),
                "embedding_scale": not self._switch(model, "no_scale_embedding", True),
                "shared_output": self._switch(model, "share_decoder_input_output_embed", False),
                "learned_positions": self._switch(model, "decoder_learned_pos", False),
                "max_target_positions": self._count(model, "max_target_positions", 2048),
            }
        )

    def _count(self, config: Mapping[Any, Any], name: str, default: int) -> int:
        value = config.get(name, default)
        if type(value) is not int or not 0 < value < 2**20:
            raise self._unknown(name, value if not isinstance(value, int) or abs(value) < 2**64 else "beyond all sizes")
        return value

    def _divisor(self, config: Mapping[Any, Any], name: str, default: int, of: int) -> int:
        value = self._count(config, name, default)
        if of % value:
            raise self._unknown(name, value)
        return value

    def _switch(self, config: Mapping[Any, Any], name: str, default: bool) -> bool:
        value = config.get(name, default)
        if not isinstance(value, bool):
            raise self._unknown(name, value)  # such as an omegaconf reference to another option
        return value

    def _size(self, tensor: str, axis: int) -> int:
        shape = self._tensors[tensor].shape if tensor in self._tensors else ()
        if len(shape) <= axis:
            raise TlbenchError(f"weights {self._path}: another model's file, or changed; it lacks the tensor {tensor}")
        return int(shape[axis])

    def _left_over(self, name: str, axis: int) -> int:
        """The size of a tensor of pre-training; 0 if the file does not have it."""
        tensor = f"encoder.w2v_model.{name}"
        return self._size(tensor, axis) if tensor in self._tensors else 0

    def _measured(self, config: Mapping[Any, Any], name: str, default: int, tensor: str, axis: int) -> int:
        return self._agreed(name, self._count(config, name, default), self._size(tensor, axis))

    def _layers(self, config: Mapping[Any, Any], name: str, default: int, prefix: str) -> int:
        pattern = re.compile(re.escape(prefix) + r"\.(\d+)\.")
        found = {match[1] for tensor in self._tensors if (match := pattern.match(tensor))}
        return self._agreed(name, self._count(config, name, default), len(found))

    def _agreed(self, name: str, stated: int, found: int) -> int:
        if stated != found:
            raise TlbenchError(f"weights {self._path}: its configuration says {name} {stated}, its tensors say {found}")
        return stated

    def _only(self, config: Mapping[Any, Any], name: str, value: object) -> None:
        if config.get(name, value) != value:
            raise self._unknown(name, config[name])

    def _unknown(self, name: str, value: object) -> TlbenchError:
        shown = str(value)[:40] if isinstance(value, (str, bool, int, float)) else f"of type {type(value).__name__}"
        return TlbenchError(f"weights {self._path}: {name} {shown!r} is not a network that tlbench can build")


def _texts(path: Path, task_state: Any, dims: Dims) -> tuple[list[str], bytes | None, str]:
    """The symbols, the tokenizer's model and the file they are from; empty for a network without an output layer."""
    if not dims.vocabulary:
        return [], None, ""
    where = path
    if not _has_dictionary(task_state):
        where = path.with_name(TASK_STATE_FILE)
        if not where.is_file():
            raise TlbenchError(
                f"weights {path}: holds no target dictionary, so its tokens can't be read as text; put the "
                f"publisher's {TASK_STATE_FILE} into the same folder"
            )
        task_state = open_checkpoint(where, INERT, MENTIONED).tree
        if not _has_dictionary(task_state):
            raise TlbenchError(f"weights {where}: holds no target dictionary either")
    symbols = task_state["target_dictionary"].state.get("symbols")
    if not isinstance(symbols, list) or not all(isinstance(symbol, str) for symbol in symbols):
        raise TlbenchError(f"weights {where}: its target dictionary has no symbols")
    if len(symbols) != dims.vocabulary:
        raise TlbenchError(
            f"weights {where}: its target dictionary has {len(symbols)} symbols, "
            f"the network of {path} {dims.vocabulary}"
        )
    return symbols, _tokenizer(task_state.get("s2s_tokenizer"), where), where.name


def _has_dictionary(task_state: Any) -> bool:
    found = task_state.get("target_dictionary") if isinstance(task_state, dict) else None
    return isinstance(found, Thing) and found.name == _DICTIONARY and isinstance(found.state, dict)


def _tokenizer(wrapped: Any, where: Path) -> bytes | None:
    """The sentencepiece model in fairseq's wrapper; None if the checkpoint has none (CTC with letters).

    Older releases of sentencepiece pickle the model's bytes, newer ones a dict with ``model_proto``.
    """
    if wrapped is None:
        return None
    processor = wrapped.state.get("sp") if isinstance(wrapped, Thing) and isinstance(wrapped.state, dict) else None
    state = processor.state if isinstance(processor, Thing) else None
    model = state.get("model_proto") if isinstance(state, dict) else state
    if not isinstance(model, bytes):
        raise TlbenchError(f"weights {where}: its tokenizer is not a sentencepiece model")
    return model
