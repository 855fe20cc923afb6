"""The grammar of the synthetic data sets, with three to seven words per sentence.

It has words that look alike on the lips (pat, bat and mat; fine and vine) on purpose, so that no lip reader is perfect.
"""

from __future__ import annotations

import hashlib
from functools import cache

from tlbench.datasets.synthetic.rng import StableRng

SPLITS = ("train", "val", "test")
_SHARES = {"train": 80, "val": 10, "test": 10}  # percent of all sentences


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


def _phrases(text: str) -> tuple[str, ...]:
    return tuple(" ".join(phrase.split()) for phrase in text.split("|"))


_SLOTS = {
    "PERSON": _words("""baker farmer doctor teacher driver sailor painter singer dancer writer lawyer waiter butcher
        plumber soldier pilot nurse judge priest king queen prince thief guard clerk coach student child woman man boy
        girl stranger neighbor visitor hunter fisher weaver miller barber gardener builder reporter captain"""),
    "NAME": _words("""mary peter david anna robert sophie thomas alice william emma george laura michael helen philip
        judith oliver martha simon ruth victor fiona walter joan bella patrick monica vincent"""),
    "FAMILY": _words("mother father brother sister uncle cousin grandma daughter husband wife nephew niece"),
    "DONE": _words("""buys sells paints washes breaks fixes carries finds loses hides moves opens closes cleans burns
        cuts lifts throws catches drops sees wants needs likes loves hates brings takes gives shows keeps leaves makes
        follows watches touches pulls pushes shakes steals borrows counts weighs wraps folds"""),
    "TODO": _words("""buy sell paint wash break fix carry find lose hide move open close clean burn cut lift throw catch
        drop see want need like love hate bring take give show keep leave make follow watch touch pull push shake steal
        borrow count weigh wrap fold"""),
    "THING": _words("""apple bread butter cheese cake fish meat soup rice honey bottle basket box bag bucket barrel
        blanket book paper letter picture map mirror lamp candle clock ring coat hat shirt shoe glove scarf table chair
        bed door window wall roof bridge boat ship wheel car van bus bike train plane horse cow sheep goat dog cat bird
        mouse frog flower tree leaf stone sword knife fork spoon plate cup pan pot broom brush hammer saw rope ladder
        shovel ball doll drum flute guitar vine bat pat mat"""),
    "COUNTED": _words("coins eggs shoes books letters pictures bottles flowers potatoes tickets"),
    "COLOR": _words("red blue green yellow white black brown purple orange pink grey golden silver"),
    "KIND": _words("""old new young big small heavy light long short thick thin warm cold wet dry dirty happy sad angry
        quiet loud clever foolish brave lazy busy famous rich poor pretty ugly strong weak sharp soft smooth rough empty
        full fine broken strange careful"""),
    "PLACE": _phrases("""at the market | in the kitchen | on the farm | by the river | under the bridge |
        behind the church | in the garden | at the station | on the beach | in the forest | in the village |
        on the mountain | by the lake | in the library | at the museum | near the castle | outside the shop |
        inside the house | over the fence | across the street | at school | at home | in the city | on the island |
        beside the road"""),
    "WHEN": _phrases("""today | tomorrow | tonight | now | again | soon | later | on monday | on tuesday |
        on wednesday | on thursday | on friday | on saturday | on sunday | in january | in february | in march |
        in april | in may | in june | in july | in august | in september | in october | in november | in december |
        in spring | in summer | in autumn | in winter | every morning | every evening | at midnight | at noon |
        before lunch | after dinner"""),
    "NUMBER": _words("two three four five six seven eight nine ten eleven twelve fifteen twenty thirty fifty"),
    "OFTEN": _words("always never often rarely quickly slowly quietly gladly finally suddenly secretly usually"),
    "ASKING": _words("will can should must may could would did"),
    "OPENER": _words("maybe perhaps because although if when"),
}
_SHAPES = tuple(
    _words(shape)
    for shape in (
        "the KIND PERSON DONE the THING",
        "NAME DONE the COLOR THING",
        "NAME OFTEN DONE the KIND THING",
        "ASKING NAME TODO the THING",
        "please TODO the KIND THING",
        "please TODO your COLOR THING WHEN",
        "my KIND FAMILY OFTEN DONE it",
        "your FAMILY DONE my KIND THING",
        "WHEN the PERSON DONE my THING",
        "PLACE the PERSON DONE it",
        "the PERSON DONE NUMBER COUNTED",
        "OPENER the PERSON will TODO it",
        "who DONE the THING PLACE",
        "TODO NUMBER COUNTED WHEN",
        "ASKING the KIND PERSON TODO it",
        "NAME DONE it PLACE",
        "ASKING NAME TODO it PLACE",
    )
)

# The words of the word part, spoken in the middle of clips. No two of them look alike on the lips.
MIDDLE_WORDS = _words("""baker farmer doctor teacher driver sailor painter singer dancer lawyer plumber soldier pilot
    nurse priest thief student woman girl visitor hunter fisher weaver barber gardener reporter captain mother father
    brother uncle daughter husband nephew apple butter cheese honey bottle basket bucket barrel blanket paper picture
    mirror candle flower bridge wheel window horse sheep mouse sword spoon guitar shovel hammer ladder yellow purple
    orange golden silver green three seven eleven twelve always never quickly slowly suddenly usually rarely happy
    angry quiet clever foolish famous pretty strong smooth broken careful january february september saturday wednesday
    thursday summer winter morning evening midnight lunch kitchen garden village mountain library museum castle""")


def split_of(sentence: str) -> str:
    """The split of a sentence, by a hash of its letters, so that it does not depend on the size of the corpus."""
    place = int.from_bytes(hashlib.sha256(sentence.encode()).digest()[:8], "big") % 100
    for split in SPLITS:
        if place < _SHARES[split]:
            return split
        place -= _SHARES[split]
    raise AssertionError("the shares make a hundred")


@cache
def vocabulary() -> tuple[str, ...]:
    """All words of the grammar, sorted."""
    fixed = {word for shape in _SHAPES for word in shape if word not in _SLOTS}
    return tuple(sorted(fixed | {word for slot in _SLOTS.values() for phrase in slot for word in phrase.split()}))


@cache
def focus_words() -> tuple[str, ...]:
    """The words that sentences are made for in turn, so that each word occurs often enough.

    Function words are left out; things come twice, because there are most of them.
    """
    around = [word for slot in (*_SLOTS.values(), _SLOTS["THING"]) for phrase in slot for word in phrase.split()]
    common = {"the", "at", "in", "on", "by", "near", "every"}
    return tuple(sorted(word for word in around if word not in common))


@cache
def _places(word: str) -> tuple[tuple[int, int, str], ...]:
    """The possible positions of a word: sentence shape, position in it, and the phrase at that position."""
    return tuple(
        (number, place, phrase)
        for number, shape in enumerate(_SHAPES)
        for place, slot in enumerate(shape)
        for phrase in _SLOTS.get(slot, (slot,))
        if word in phrase.split()
    )


def sentence_with(word: str, rng: StableRng, split: str, inside: bool = False) -> str:
    """A random sentence in lower case with ``word`` in it.

    Parameters
    ----------
    word : str
        Of :func:`vocabulary`.
    split : str
        The split the sentence has to belong to; see :func:`split_of`.
    inside : bool
        The word is neither the first nor the last.
    """
    while True:
        number, place, phrase = rng.pick(_places(word))
        said = [rng.pick(_SLOTS[slot]) if slot in _SLOTS else slot for slot in _SHAPES[number]]
        said[place] = phrase
        sentence = " ".join(said)
        spoken = sentence.split()
        if split_of(sentence) == split and not (inside and word in (spoken[0], spoken[-1])):
            return sentence
