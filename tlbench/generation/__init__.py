"""Videos made from real clips: by generators, as control rows (ceilings and floors) and as faults for calibration.

In: clips with real videos, and a generator. Out: folders of videos that are scored like any others. Begin with
:mod:`tlbench.generation.generator` for what a generator is, with :mod:`tlbench.generation.generate_dataset` for how its
videos are written, and with :mod:`tlbench.generation.controls` for what controls show.
"""
