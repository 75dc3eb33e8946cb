"""Marks that nobody closed. Django takes them for text, and every recipient would read them."""

from dataclasses import dataclass

from django.template import NodeList
from django.template.base import TextNode

PAIRS = (("{{", "}}"), ("{%", "%}"))


@dataclass(frozen=True)
class Unclosed:
    mark: str
    closing: str
    line: int

    @property
    def words(self) -> str:
        return without(self.mark, self.closing)


def unclosed(nodes: NodeList) -> Unclosed | None:
    """The first mark; what stands in ``{% verbatim %}`` is meant to be read."""
    for node in nodes.get_nodes_by_type(TextNode):
        for mark, closing in PAIRS:
            before, found, _ = node.s.partition(mark)  # type: ignore[attr-defined]
            if found:
                first = getattr(node.token, "lineno", None) or 1
                return Unclosed(mark, closing, first + before.count("\n"))
    return None


def without(mark: str, closing: str) -> str:
    return f"{mark} without {closing} on the same line"
