#!/bin/sh
# Makes .venv with the newest supported Python that is there, or with $PYTHON, and installs tlbench and its tests into
# it. make runs this when .venv/.installed is missing or older than pyproject.toml. That file is written last, so a
# run that was interrupted is continued by the next one.
set -eu
cd "$(dirname "$0")/.."
versions="3.13 3.12 3.11 3.10" # newest first; requires-python in pyproject.toml, which a test compares
named="3.10, 3.11, 3.12 or 3.13"
cannot="can't make environments; install its venv module (Debian, Ubuntu: apt install python3-venv)"

stop() {
    echo "tlbench: $1" >&2
    exit 1
}

# "3.12" for a CPython 3.12 that runs; a free-threaded or debugging build gives "3.13t" and the like, which is not
# supported because many packages have no wheels for it. A launcher (pyenv's, Windows') may be there and still not run.
version_of() {
    "$1" -c '
import sys
if sys.implementation.name == "cpython":
    print("%d.%d%s" % (sys.version_info[0], sys.version_info[1], sys.abiflags))
' 2>/dev/null </dev/null || true
}

supported() {
    case " $versions " in *" $1 "*) [ -n "$1" ] ;; *) false ;; esac
}

# Paths that may be a Python, one a line.
candidates() {
    printf '%s\n' "$PATH" | tr ':' '\n' | while IFS= read -r folder; do
        for name in $versions; do echo "$folder/python$name"; done
        printf '%s\n' "$folder/python3" "$folder/python"
    done
    root=$(pyenv root 2>/dev/null) || root=${PYENV_ROOT:-${HOME:-}/.pyenv}
    printf '%s\n' "$root"/versions/3.*/bin/python
}

# "VERSION PATH" of each supported Python, one a line, in no order.
found() {
    candidates | while IFS= read -r path; do
        if [ -f "$path" ] && [ -x "$path" ]; then
            version=$(version_of "$path")
            if supported "$version"; then echo "$version $path"; fi
        fi
    done
}

# Debian keeps ensurepip in a package of its own; where there is a pip, it can install one into the environment.
without_ensurepip() {
    "$1" -m venv --clear --without-pip .venv && "$1" -m pip --python .venv/bin/python install pip
}

make_environment() {
    rm -rf .venv
    { "$1" -m venv .venv || without_ensurepip "$1"; } >/dev/null 2>&1 || return 1
    .venv/bin/python -m pip --version >/dev/null 2>&1
}

make_newest() {
    pythons=$(found)
    for version in $versions; do
        while IFS= read -r line; do
            if [ "${line%% *}" = "$version" ] && make_environment "${line#* }"; then return; fi
        done <<END
$pythons
END
    done
    rm -rf .venv
    first=$(printf '%s\n' "$pythons" | head -n 1)
    [ -z "$first" ] || stop "${first#* } $cannot"
    stop "needs Python $named; none is on PATH or under pyenv: install one, or name it: make test PYTHON=/path/to/python"
}

if .venv/bin/python -c 'import sys' >/dev/null 2>&1; then # made before, perhaps by hand
    version=$(version_of .venv/bin/python)
    supported "$version" ||
        stop ".venv is of Python ${version:-another kind}, $named is needed; remove the folder .venv and run this again"
    .venv/bin/python -m pip --version >/dev/null 2>&1 || .venv/bin/python -m ensurepip >/dev/null 2>&1 ||
        stop ".venv has no pip and can't get one; remove the folder .venv and run this again"
elif [ -n "${PYTHON:-}" ]; then
    version=$(version_of "$PYTHON")
    supported "$version" || stop "PYTHON=$PYTHON is ${version:-no Python that runs}, and $named is needed"
    make_environment "$PYTHON" || { rm -rf .venv; stop "PYTHON=$PYTHON $cannot"; }
else
    make_newest
fi

echo "tlbench: installing into .venv (Python $version); some minutes and up to 6 GB, once" >&2
touch .venv/.installing # as old as the pyproject.toml that is read now
PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 .venv/bin/python -m pip install --quiet --editable ".[dev]"
mv .venv/.installing .venv/.installed
