"""Media files to arrays: frames, samples, face boxes, landmarks, crops and audio features.

In: video and sound files. Out: NumPy arrays, the same for every observer. Begin with
:mod:`tlbench.media.video_reader` for frames, :mod:`tlbench.media.audio` for samples, :mod:`tlbench.media.views` for
crops. Nothing in this room is about lip reading.
"""
