"""An example plug-in of tlbench: a generator whose mouth opens with the loudness of the speech."""
