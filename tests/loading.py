"""Loading programs of ours that are no modules: roles' scripts, Ansible's plugins."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType


def load(path: Path) -> ModuleType:
    """A Python file as a module, whatever it is called and wherever it lies."""
    loader = SourceFileLoader(path.stem.replace("-", "_"), str(path))
    spec = spec_from_loader(loader.name, loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module
