"""The dimensions of a SyncNet: the published ones, or those of a network trained with tlbench."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from tlbench.checkpoints.dims import NetworkDims

LAYERS = 6  # convolutions of each tower
LONGEST = 1000.0  # length of an embedding; the networks trained here have 10


@dataclass(frozen=True)
class Dims(NetworkDims):
    """The defaults are the published network's (joonson/syncnet_python ``SyncNetModel.py``).

    Attributes
    ----------
    side : int
        Height and width of a picture, in pixels.
    colours : int
        3: blue, green and red from 0 to 255, as published. 1: grey, normalised by the view.
    lips, speech : tuple of 6 int
        Channels of the convolutions of the lip tower and of the speech tower.
    second_stride : int
        Stride of the lip tower's second convolution: 2 as published, 1 for small pictures.
    hidden : int
        Width of the layer before the embedding.
    embedding : int
        Width of the embedding.
    norm : float
        Every embedding is scaled to this length; 0 does not scale, as published. With a length, the expected distance
        of two unrelated embeddings is ``sqrt(2) * norm``.

    Raises
    ------
    ValueError
        If a dimension is not positive, a tower does not have six layers, or the pictures are too small for the layers.
    """

    side: int = 224
    colours: int = 3
    lips: tuple[int, ...] = (96, 256, 256, 256, 256, 512)
    speech: tuple[int, ...] = (64, 192, 384, 256, 256, 512)
    second_stride: int = 2
    hidden: int = 512
    embedding: int = 1024
    norm: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        sizes = (self.side, self.colours, self.second_stride, self.hidden, self.embedding, *self.lips, *self.speech)
        if not all(sizes) or not 0 <= self.norm <= LONGEST:
            raise ValueError(f"every dimension must be a whole number above 0; got {asdict(self)}")
        if self.colours not in (1, 3):
            raise ValueError(f"colours is 1 (grey) or 3 (coloured), got {self.colours}")
        if len(self.lips) != LAYERS or len(self.speech) != LAYERS:
            raise ValueError(f"a tower has {LAYERS} layers; got {len(self.lips)} and {len(self.speech)}")
        if self.rest < 1:
            raise ValueError(f"side {self.side} leaves no pixel for the last layer; use a larger one")

    @property
    def rest(self) -> int:
        """Kernel of the lip tower's last convolution, 6 as published: the height and width of its input."""
        side = (self.side - 7) // 2 + 1  # first convolution
        side = (side - 3) // 2 + 1  # pooling
        side = (side + 2 - 5) // self.second_stride + 1
        side = (side + 2 - 3) // 2 + 1
        return (side - 3) // 2 + 1


PUBLISHED = Dims()
