"""`python -m tests.kubectl_plugin`: write the pictures of docs/plugin.md from a run of the demo's parts."""

from __future__ import annotations

import os
import sys
from functools import partial
from pathlib import Path

from tests.controlplane.plane import KUBECTL
from tests.demo.screen import Screen
from tests.demo.stage import stage
from tests.kubectl_plugin.scene import prepare
from tests.kubectl_plugin.terminal import picture, run_plugin

DOCS = Path(__file__).parents[2] / "docs"

PICTURES = {
    "list": ("list",),
    "describe": ("describe", "vision-spot"),
    "timeline": ("timeline", "churn-completed", "vision-spot"),
    "why": ("why", "reviews-failed", "forecast-deleted"),
    "logs": ("logs", "forecast-deleted", "--tail", "6"),
    "metrics": ("metrics", "churn-completed"),
}
"""Commands by the name of their picture."""


def main() -> int:
    with stage(Screen(sys.stderr), scale=1.0) as parts:
        os.environ.update(parts.sagemaker.environment())
        os.environ.update(KUBECONFIG=str(parts.cluster.kubeconfig), KUBECTL=KUBECTL)
        kubectl = partial(parts.cluster.kubectl, "--namespace", "default")
        prepare(kubectl, parts.sagemaker, pace=1.0)
        for name, arguments in PICTURES.items():
            (DOCS / f"plugin-{name}.svg").write_text(picture(*arguments))
        drawn = run_plugin("timeline", "churn-completed", "vision-spot", "-o", "svg").out
        (DOCS / "plugin-timeline-drawn.svg").write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main())
