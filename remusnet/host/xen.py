"""What runs under Remus on this host, and what a killed xl has left."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from remusnet.errors import InvalidInput, RemusnetError, quoted, suggestion
from remusnet.host.netbuf.places import OWNER_SUFFIX, Places, forget_owner, read_owner
from remusnet.host.xenstore import Xenstore, domain_path
from remusnet.host.xl_processes import receivers, remus_domains
from remusnet.kernel.change.remove import remove
from remusnet.kernel.journal import because
from remusnet.kernel.own_folder import OwnFolder
from remusnet.kernel.state.status import status
from remusnet.results.protection import Status
from remusnet.results.xen import Recovered, RemusVif

_INCOMING = "--incoming"
"""What xl appends to the name of a domain as long as it is received."""


@dataclass(frozen=True, slots=True)
class _Named:
    """A buffer device by the call that it was made for, and whether xenstore still says so."""

    domid: int
    number: int
    buffer: str
    path: str
    ours: bool


def under_remus(
    places: Places, store: Xenstore, proc: Path = Path("/proc")
) -> tuple[tuple[RemusVif, ...], tuple[str, ...]]:
    """All vifs that a netbuf script was set up for, ours or not, and notes for the user.

    Raises MissingDependency without xenstore, KernelRefused, NotPermitted.
    """
    protections, notes = status(run_dir=Path(places.run_dir))
    by_buffer = {each.protected.buffer: each for each in protections}
    running = remus_domains(proc)
    found = tuple(_vif(named, store, by_buffer, running) for named in _named(places, store))
    return found, notes


def xl_process(
    domain: str, store: Xenstore, *, receiver: bool = False, proc: Path = Path("/proc")
) -> int:
    """The number of the process that is ``xl remus`` for ``domain`` here; ``receiver``: of the one
    that receives it, as ``xl migrate-receive``.

    ``domain``: its name, number or UUID, or the word that xl was given, if it is called otherwise
    by now or is gone. Raises InvalidInput where there is none, MissingDependency without xenstore.
    """
    if receiver:
        received = receivers(proc)
        for words in _words_of(store):
            number = received.get(int(words[0]))
            if number is not None and {domain, f"{domain}{_INCOMING}"} & set(words):
                return number
        raise InvalidInput(f"no xl migrate-receive runs for {quoted(domain)}")
    running = remus_domains(proc)
    if domain in running:
        return running[domain]
    for words in _words_of(store):
        if domain in words:
            for word in words:
                if word in running:
                    return running[word]
    close = suggestion(domain, running)
    raise InvalidInput(f"no xl remus runs for {quoted(domain)}{close}")


def _words_of(store: Xenstore) -> Iterator[tuple[str, str, str]]:
    """Number, name and UUID of each domain."""
    for domid in store.children("/local/domain"):
        if domid.isdecimal():
            found = store.read(domain_path(int(domid), "name"), domain_path(int(domid), "vm"))
            if found:
                yield domid, found[0], found[1].rpartition("/")[2]


def recover(
    domains: Sequence[str],
    places: Places,
    store: Xenstore,
    *,
    drop: bool = False,
    force: bool = False,
    dry_run: bool = False,
    proc: Path = Path("/proc"),
) -> tuple[Recovered, ...]:
    """Ends what a killed xl has left: releases held frames (``drop``: drops them), removes all.

    Of a domain that is gone it is dropped: destroying a domain under Remus lets the backup take
    over, which has not seen what the guest did in that epoch.

    ``domains``: names or numbers, empty for all. What an xl still drives is kept, and so is what
    something else drives, unless ``force``. Raises InvalidInput for a domain that has nothing, and
    as `under_remus` does.
    """
    found, _ = under_remus(places, store, proc)
    ours = [each for each in found if each.ours]
    known = {word for each in ours for word in (each.name, str(each.domid)) if word}
    for word in domains:
        if word not in known:
            raise InvalidInput(
                f"nothing of remusnet's is set up for {quoted(word)}{suggestion(word, known)}"
            )
    chosen = [each for each in ours if not domains or {each.name, str(each.domid)} & set(domains)]
    paths = {named.buffer: named.path for named in _named(places, store)}
    return tuple(
        _recover(each, paths[each.buffer], places, store, drop=drop, force=force, dry_run=dry_run)
        for each in chosen
    )


def _recover(
    vif: RemusVif,
    path: str,
    places: Places,
    store: Xenstore,
    *,
    drop: bool,
    force: bool,
    dry_run: bool,
) -> Recovered:
    vifs = vif.status.protected.vifs if vif.status else ()
    held = vif.status.waiting if vif.status else 0
    drop = drop or not vif.name
    who = vif.name or f"domain {vif.domid}"
    kept = "" if vif.left_over or force else f"xl remus still runs for {who}"
    if not kept and not dry_run:
        problems: tuple[str, ...] = ()
        try:
            if vifs:
                with because("recover"):
                    done = remove(
                        vifs,
                        run_dir=Path(places.run_dir),
                        drop=drop,
                        force=force,
                        together=True,
                    )
                problems = done.problems
            store.remove(path, tidy=True)
            forget_owner(places, vif.buffer)
        except RemusnetError as error:
            kept = str(error)  # the next one may still be ended
        return Recovered(vif.buffer, vifs, who, held, drop, kept, problems)
    return Recovered(vif.buffer, vifs, who, held, drop, kept)


def _vif(
    named: _Named, store: Xenstore, by_buffer: Mapping[str, Status], running: Mapping[str, int]
) -> RemusVif:
    found = store.read(domain_path(named.domid, "name"), domain_path(named.domid, "vm"))
    name, vm = found or ("", "")
    words = {name, str(named.domid), vm.rpartition("/")[2]}
    if not found:
        left_over = f"domain {named.domid} is gone"
    elif not words & set(running):
        left_over = f"no xl remus runs for {name}"
    else:
        left_over = ""
    return RemusVif(
        domid=named.domid,
        name=name,
        number=named.number,
        buffer=named.buffer,
        ours=named.ours,
        left_over=left_over,
        status=by_buffer.get(named.buffer),
    )


def _named(places: Places, store: Xenstore) -> Iterator[_Named]:
    """The buffer devices that xenstore names; those of our own files where xl's keys are gone."""
    owners = dict(_owners(Path(places.run_dir)))
    for domid in store.children("/libxl"):
        if not domid.isdecimal():
            continue
        for number in store.children(f"/libxl/{domid}/remus/netbuf"):
            path = f"/libxl/{domid}/remus/netbuf/{number}"
            found = store.read(f"{path}/ifb")
            if found and number.isdecimal():
                ours = owners.pop(found[0], None) is not None
                yield _Named(int(domid), int(number), found[0], path, ours)
    for buffer, path in owners.items():
        _, _, domid, _, _, number = path.split("/")
        yield _Named(int(domid), int(number), buffer, path, True)


def _owners(run_dir: Path) -> Iterator[tuple[str, str]]:
    try:
        with OwnFolder(str(run_dir)) as folder:
            buffers = [
                name.removesuffix(OWNER_SUFFIX)
                for name in folder.names()
                if name.endswith(OWNER_SUFFIX)
            ]
            paths = [read_owner(folder, buffer)[0] for buffer in buffers]
    except OSError:
        return  # status has said it
    for buffer, path in zip(buffers, paths, strict=True):
        match path.split("/"):
            case ["", "libxl", domid, "remus", "netbuf", number]:
                if domid.isdecimal() and number.isdecimal():
                    yield buffer, path
