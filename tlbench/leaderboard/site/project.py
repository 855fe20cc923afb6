"""Addresses of the project, from the metadata of the installed package: ``[project.urls]`` of pyproject.toml."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, metadata


def project_address(label: str) -> str:
    """The address with this label, such as ``Repository``; "" if there is none."""
    try:
        addresses = metadata("tlbench").get_all("Project-URL") or []
    except PackageNotFoundError:
        return ""
    return next((one.partition(", ")[2] for one in addresses if one.startswith(f"{label}, ")), "")
