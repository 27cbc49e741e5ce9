"""A network's own source as one file that needs PyTorch alone."""

import ast
import importlib
import inspect
from collections.abc import Iterable
from types import ModuleType

from ulens.export import graph
from ulens.nets.build import describe_architecture
from ulens.nets.network import Network

_PACKAGE = "ulens."
MAKE = "make_graph"
_MAKE = '''

def {make}(*, zoom, softmax, **architecture):
    """Return the graph of one network; its weights are those of the state dict."""
    return ImageGraph({kind}(**architecture), zoom=zoom, softmax=softmax).eval()
'''


def write_source(net: Network) -> str:
    """Return a Python file whose `make_graph` makes an `ImageGraph` with such a network.

    The modules that define them stand one after the other, without what they import from each
    other. Arguments of `make_graph`: those of `ImageGraph`, and `list_arguments`.
    """
    modules: list[ModuleType] = []
    for module in (inspect.getmodule(type(net)), graph):
        assert module is not None
        _collect(module, modules)
    parts = [_without_own_imports(inspect.getsource(module)) for module in modules]
    head = '"""The network of a ulens model, from the sources of ulens (BSD-3-Clause)."""\n'
    return "\n\n".join([head, *parts]) + _MAKE.format(make=MAKE, kind=type(net).__name__)


def list_arguments(net: Network) -> dict[str, object]:
    """Return the arguments that make a network like this one."""
    return {key: value for key, value in describe_architecture(net).items() if key != "name"}


def _collect(module: ModuleType, found: list[ModuleType]) -> None:
    """Add a module of ulens after those that it imports."""
    for name in _own_imports(ast.parse(inspect.getsource(module))):
        if (needed := importlib.import_module(name)) not in found:
            _collect(needed, found)
    if module not in found:
        found.append(module)


def _own_imports(tree: ast.Module) -> Iterable[str]:
    for node in tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            yield node.module or ""


def _without_own_imports(source: str) -> str:
    lines = source.splitlines()
    for node in ast.parse(source).body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            for number in range(node.lineno - 1, node.end_lineno or node.lineno):
                lines[number] = ""
    return "\n".join(lines)
