"""Videos made from real clips: control rows (ceilings and floors) and faults for calibration.

In: clips with real videos. Out: folders of videos that are scored like a generator's. Begin with
:mod:`tlbench.generation.controls` for what they show, :mod:`tlbench.generation.write_controls` for how they are
written.
"""
