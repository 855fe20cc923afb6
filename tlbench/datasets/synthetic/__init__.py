"""The synthetic talker: speech from espeak-ng, a drawn face that speaks it, and two data sets made from them.

In: a seed and a size. Out: a folder with a corpus (``tlbench data synth``), which the data sets ``synthetic`` and
``synthetic-words`` read. Begin with :func:`tlbench.datasets.synthetic.corpus.render_corpus`, then
:mod:`tlbench.datasets.synthetic.clips`.
"""
