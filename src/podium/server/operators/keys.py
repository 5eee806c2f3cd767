"""The keys of the root document: which there are, and letting another one sign.

Decides: the order of a rotation, so that a crash anywhere leaves a plane that signs under a root document it shows,
with a key it holds. Never: who may rotate (core/access), nor what a device does about it (device/trust.py).
The order: the new private key is durable; the record of the rotation is; then the root document, in its file and in
the database; only then is anything signed under it. A crash after the record leaves a rotation that was told and did
not happen: it is asked for again. Limits: a retired private key stays in the Keys port, so that an older backup can be
served with the keys of today.
"""

import asyncio

import msgspec

from podium.core.events import KeyRotated
from podium.crypto.release import ROLE as RELEASE
from podium.crypto.root import RETIRED, active_keys
from podium.crypto.sign import KEY_BYTES, key_id, public_key
from podium.server.devices.device_words import checked
from podium.server.devices.uploads import BlobRoom
from podium.server.identity import ONLINE, SECRET_BYTES, online_name
from podium.server.journal.audit import META_ROOT
from podium.server.loop.loop import Loop
from podium.server.operators.route_table import AnyRoute, Route
from podium.server.plane_data import Parts
from podium.wire.asks import Ask, RotateAsk
from podium.wire.canonical import unb64
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import KeyView, Page
from podium.wire.problems import DeviceFault, OperatorFault

ROTATED = (ONLINE, RELEASE)


class KeyRoom:
    """Reads and rotates the plane's keys. Every method may also raise as `Loop.ask` does."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom) -> None:
        self._parts = parts
        self._loop = loop
        self._room = room
        self._one = asyncio.Lock()

    async def keys(self) -> Page:
        """Every key of the newest root document, by role, those that sign today first."""
        return Page(items=[msgspec.Raw(msgspec.json.encode(view)) for view in key_views(self._parts.identity.document)])

    async def rotate(self, actor: str, ask: RotateAsk) -> KeyView:
        """Let another key sign for a role from now on. `OperatorFault(usage)`, `StoreFault(key-erased)`."""
        what = f"rotate the key of role {ask.role[:32]!r}"
        if ask.role not in ROTATED:
            raise OperatorFault("usage", what=what, why=f"it is one of {', '.join(ROTATED)}")
        if ask.role == ONLINE and ask.public_key:
            raise OperatorFault("usage", what=what, why="a public key was given, but the plane makes that key itself")
        async with self._one:
            public = await self._room.run(self._new_online) if ask.role == ONLINE else _given(ask)
            identity = self._parts.identity
            root = await self._room.run(identity.next_root, ask.role, public)
            name, number = key_id(public), identity.document.version + 1
            checked(
                await self._loop.ask(
                    lambda at, ticket: KeyRotated(
                        at_ms=at, ticket=ticket, actor=actor, role=ask.role, key_id=name, version=number
                    )
                )
            )
            await self._room.run(self._keep, root)
            identity.adopt(root)
        return next(view for view in key_views(identity.document) if view.id == name)

    def _new_online(self) -> bytes:
        """The public key of a new online key, which is durable."""
        seed = self._parts.entropy.token(SECRET_BYTES)
        public = public_key(seed)
        self._parts.keys.put(online_name(key_id(public)), seed)
        return public

    def _keep(self, root: SignedRoot) -> None:
        self._parts.identity.keep(root)
        # a copy of the database alone must verify what is signed from now on
        self._parts.store.set_meta(META_ROOT, msgspec.json.encode(root).decode())


def key_views(document: RootDocument) -> list[KeyView]:
    """The keys of `document` by role, in its order: the newest first."""
    return [
        KeyView(
            id=name,
            role=role,
            state="active" if name in active_keys(document, role) else "retired",
            root_version=document.version,
        )
        for role, told in document.roles.items()
        if role != RETIRED
        for name in told.key_ids
    ]


def _given(ask: RotateAsk) -> bytes:
    what = "the public key of the new release key"
    try:
        public = unb64(ask.public_key)
    except DeviceFault as error:
        raise OperatorFault("usage", what=what, why=error.why) from error
    if len(public) != KEY_BYTES:
        raise OperatorFault("usage", what=what, why=f"it has {len(public)} bytes, one of Ed25519 has {KEY_BYTES}")
    return public


def key_routes(keys: KeyRoom) -> list[AnyRoute]:
    """The rows of the operator API's table."""
    return [
        Route(
            method="GET",
            path="/api/v1/keys",
            verb="keys.read",
            summary="The keys of the root document: who may sign for the plane",
            ask=Ask,
            answer=Page,
            items=KeyView,
            call=lambda call: keys.keys(),
        ),
        Route(
            method="POST",
            path="/api/v1/keys/rotate",
            verb="keys.rotate",
            summary="Let another key sign for a role; the one before still verifies what it signed",
            ask=RotateAsk,
            answer=KeyView,
            call=lambda call: keys.rotate(call.actor, call.ask),
            codes=("usage",),
        ),
    ]
