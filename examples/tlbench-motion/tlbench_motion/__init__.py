"""An example plug-in of tlbench: an observer that sees how much a mouth moves, and a metric of it."""
