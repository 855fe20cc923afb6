"""The reference generator, TalkLip: networks, losses, training on a data set, and generation of videos.

Training takes reference videos with transcripts and an expert (:mod:`tlbench.training.expert`), and writes a package;
generation takes that package and reference videos, or a video and a sound file, and writes videos to be scored.
Begin with :mod:`~tlbench.talklip.train` and :mod:`~tlbench.talklip.train_step`, or with
:mod:`~tlbench.talklip.generate_dataset`.
"""
