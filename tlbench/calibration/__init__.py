"""Does each metric see what it claims to see?

In: real clips and faults of growing size. Out: a curve, a rank correlation and a verdict for each metric and fault.
Begin with ``calibrate.py``, then ``verdicts.py``.
"""
