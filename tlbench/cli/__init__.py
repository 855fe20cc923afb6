"""The command line: one file a command.

In: words. Out: a call of the function that a Python user calls, its tables on stdout and its progress on stderr. Begin
with ``main.py``; ``options.py`` holds the options that commands share.
"""
