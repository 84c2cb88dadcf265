"""All faults in a quick run: a sample of the passages, the same in every run. `make chaos` runs all of them."""

from __future__ import annotations

import asyncio
import dataclasses
from typing import TYPE_CHECKING

import pytest

from tests.chaos.ledger import Ledger
from tests.chaos.scenarios import choose_all
from tests.chaos.world import World, run
from tests.crds.installation import install_crd
from tests.e2e.zygote import Zygote
from tests.sagemaker.stand_in import stand_in_process

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.chaos.scenarios import Scenario
    from tests.controlplane.plane import ControlPlane

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
SEED = 5
ROOM_SECONDS = 60.0


@pytest.fixture(scope="module")
def home(own_control_plane: ControlPlane, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    install_crd(own_control_plane)
    folder = tmp_path_factory.mktemp("chaos")
    with stand_in_process("--fast") as sagemaker, Zygote() as zygote:
        yield World(
            own_control_plane, sagemaker, zygote, folder, Ledger(), SEED, quick=True, lanes=4, room=ROOM_SECONDS
        )


@pytest.fixture
def world(home: World) -> World:
    """A world with its own ledger."""
    return dataclasses.replace(home, ledger=Ledger())


@pytest.mark.parametrize("scenario", [pytest.param(one, id=name) for name, one in choose_all().items()])
def test_every_invariant_holds(world: World, scenario: Scenario) -> None:
    asyncio.run(run(world, scenario))
    assert world.ledger.rows
    assert not world.ledger.problems, "\n".join([f"seed {SEED}", *world.ledger.problems])
