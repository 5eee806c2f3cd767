"""A release key that is rotated away releases nothing new, whatever it signed for before; the present one may again."""

from pathlib import Path

import msgspec

from podium.crypto.release import seal_release
from podium.crypto.sign import public_key
from podium.server.identity import read_release_key, release_key_path
from podium.wire.asks import PromoteAsk, ReleaseAsk, RotateAsk
from podium.wire.canonical import b64
from podium.wire.problems import Problem
from tests.e2e.test_plane_round import ended, offer_to, train
from tests.support.plane_cases import enrolled, plane, task

NEW_SEED = b"1" * 32


def test_what_a_retired_key_released_needs_the_present_one_for_production(tmp_path: Path) -> None:
    with plane(tmp_path / "data") as (server, operator):
        (device,) = enrolled(operator, 1)
        run = operator.submit(task())
        assert train(device, offer_to(device), 0).word == "stored"
        version = ended(operator, run).base
        assert server.plane is not None
        identity, digest = server.plane.parts.identity, server.plane.loop.state.versions[version].task
        (retired,) = identity.document.roles["release"].key_ids

        def release(seed: bytes) -> None:
            statement = seal_release(identity.document, seed, version, digest)
            ask = ReleaseAsk(statement=msgspec.Raw(statement))
            assert operator.ask("POST", f"/api/v1/versions/{version}/release", ask).status == 200

        release(read_release_key(release_key_path(server.data)))
        rotated = RotateAsk(role="release", public_key=b64(public_key(NEW_SEED)))
        assert operator.ask("POST", "/api/v1/keys/rotate", rotated).status == 200
        promoted = operator.ask("POST", "/api/v1/aliases/one-hot@production", PromoteAsk(version=version))
        problem = msgspec.json.decode(promoted.data, type=Problem)
        assert (promoted.status, problem.code) == (409, "not-released")
        assert problem.why.startswith(f"the release key that signed for it, {retired}, is retired")
        release(NEW_SEED)
        promoted = operator.ask("POST", "/api/v1/aliases/one-hot@production", PromoteAsk(version=version))
        assert promoted.status == 200, promoted.data
