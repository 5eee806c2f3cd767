"""The keys of the root document: which there are, and letting another one sign.

Decides: the steps of a rotation, in the order that server/rotation.py gives the reasons of. Never: who may rotate
(core/access), nor what a device does about it (device/trust.py). One that was told, but could not be finished for want
of a disk, is finished before the next one. Limits: a root document names at most `KEYS_MAX` keys (crypto/root.py), the
retired ones among them: each signed heads, manifests, provenance or releases that must verify for as long as the
journal is kept, so none is ever left out, and a plane that has named so many rotates no more.
"""

import asyncio

import msgspec

from podium.core.events import KeyRotated
from podium.crypto.release import ROLE as RELEASE
from podium.crypto.root import RETIRED, active_keys, open_root
from podium.crypto.sign import check_public_key, key_id, public_key
from podium.ports.plane import Pages
from podium.server.devices.device_words import checked
from podium.server.devices.uploads import BlobRoom
from podium.server.identity import ONLINE, SECRET_BYTES, online_name
from podium.server.journal.audit import META_ROOT
from podium.server.loop.loop import Loop
from podium.server.operators.route_table import AnyRoute, Route
from podium.server.plane_data import Parts
from podium.server.rotation import META_NEXT, is_told
from podium.wire.asks import Ask, RotateAsk
from podium.wire.canonical import unb64
from podium.wire.messages import RootDocument, SignedRoot
from podium.wire.operator import KeyView, Page
from podium.wire.problems import DeviceFault, OperatorFault

ROTATED = (ONLINE, RELEASE)


class KeyRoom:
    """Reads and rotates the plane's keys. Every method may also raise as `Loop.ask` does."""

    def __init__(self, parts: Parts, loop: Loop, room: BlobRoom, listed: Pages) -> None:
        """`listed`: the durable entries of the journal."""
        self._parts = parts
        self._loop = loop
        self._room = room
        self._listed = listed
        self._one = asyncio.Lock()
        self._staged: SignedRoot | None = None
        """Of a rotation that is under way, or failed on its way."""

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
            identity = self._parts.identity
            staged = self._staged
            if staged is not None and await self._room.run(self._is_told, staged):
                await self._finish(staged)
            seed = self._parts.entropy.token(SECRET_BYTES) if ask.role == ONLINE else b""
            public = public_key(seed) if seed else _given(ask)
            root = await self._room.run(identity.next_root, ask.role, public)  # refused before anything is kept
            if seed:
                await self._room.run(self._parts.keys.put, online_name(key_id(public)), seed)
            name, number = key_id(public), identity.document.version + 1
            await self._room.run(self._stage, root)
            checked(
                await self._loop.ask(
                    lambda at, ticket: KeyRotated(
                        at_ms=at, ticket=ticket, actor=actor, role=ask.role, key_id=name, version=number
                    )
                )
            )
            await self._finish(root)
        return next(view for view in key_views(identity.document) if view.id == name)

    def _stage(self, root: SignedRoot) -> None:
        self._parts.store.set_meta(META_NEXT, msgspec.json.encode(root).decode())
        self._staged = root

    def _is_told(self, root: SignedRoot) -> bool:
        return is_told(self._listed, open_root(root, None), self._parts.identity.document)

    async def _finish(self, root: SignedRoot) -> None:
        await self._room.run(self._keep, root)
        self._parts.identity.adopt(root)
        self._staged = None
        await self._room.run(self._parts.identity.erase_retired)

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
        check_public_key(public)
    except DeviceFault as error:
        raise OperatorFault("usage", what=what, why=error.why) from error
    except ValueError as error:
        raise OperatorFault("usage", what=what, why=str(error)) from error
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
            watched=True,
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
