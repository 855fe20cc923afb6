"""Files of weights: cards, download, safe reading, packages."""
