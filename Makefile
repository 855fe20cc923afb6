# `make demo` and `make test` do all the set-up: scripts/set_up.sh makes .venv with the newest supported Python that is
# there (PYTHON=... names another), and installs into it again only when pyproject.toml has changed.
.PHONY: demo test

demo: .venv/.installed
	.venv/bin/tlbench demo

test: .venv/.installed
	.venv/bin/python -m pytest -m "not slow" -n auto --maxprocesses 4 --dist worksteal

.venv/.installed: pyproject.toml
	@sh scripts/set_up.sh
