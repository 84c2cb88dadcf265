"""Families of series by namespace, bounded however many namespaces and values tenants choose.

metrics.py defines the metrics. A value beyond a bound counts in a series with the label OTHER: totals stay right, and
the series that exist keep their labels.
"""

from __future__ import annotations

from collections import Counter as Totals
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from prometheus_client import Counter, Gauge

if TYPE_CHECKING:
    from collections.abc import Mapping

OTHER: Final = "_other"
"""No namespace, instance type or reason has this name."""
NAMESPACES: Final = 500
"""Maximum number of namespaces of a family; the earliest ones keep their series."""
SERIES_OF_NAMESPACE: Final = 40
"""Maximum number of series of one namespace in a family."""

M = TypeVar("M", Counter, Gauge)


class NamespaceSeries(Generic[M]):
    """A metric whose first label is the namespace."""

    def __init__(self, metric: M) -> None:
        self._metric: M = metric
        self._labels: dict[str, set[tuple[str, ...]]] = {}
        """The other labels of each namespace with series."""

    def of(self, namespace: str, *labels: str) -> M:
        """Return the series of that namespace and these labels, or the one for all beyond the bounds."""
        return self._metric.labels(*self._bound(namespace, labels))

    def forget(self, namespace: str) -> None:
        """End the series of a namespace."""
        for labels in self._labels.pop(namespace, ()):
            self._metric.remove(namespace, *labels)

    def _bound(self, namespace: str, labels: tuple[str, ...]) -> tuple[str, ...]:
        if namespace not in self._labels and len(self._labels) >= NAMESPACES:
            namespace = OTHER
        known = self._labels.setdefault(namespace, set())
        if labels not in known and len(known) >= SERIES_OF_NAMESPACE:
            labels = (OTHER,) * len(labels)
        known.add(labels)
        return namespace, *labels


class NamespaceCounts(NamespaceSeries[Gauge]):
    """A gauge whose values replace all earlier ones."""

    def replace(self, counts: Mapping[tuple[str, str], int]) -> None:
        """Set the values by namespace and a second label; all other series end."""
        totals: Totals[tuple[str, ...]] = Totals()
        for namespace in set(self._labels) - {namespace for namespace, _ in counts}:
            self.forget(namespace)
        for (namespace, label), count in counts.items():
            totals[self._bound(namespace, (label,))] += count
        shown = [(namespace, *labels) for namespace, some in self._labels.items() for labels in some]
        for labels in shown:
            if labels not in totals:
                self._metric.remove(*labels)
                self._labels[labels[0]].discard(labels[1:])
        for labels, count in totals.items():
            self._metric.labels(*labels).set(count)
