"""Config files: which there are, what a profile of them says, and where its secrets come from.

They are read when they are asked for, never behind the user's back. What a setting may be is for
``config`` to know, which hands its checks in.
"""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Callable, Collection, Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from puter.atomic import open_ordinary
from puter.checks import did_you_mean, is_loopback, near_misses
from puter.exceptions import PuterConfigError, PuterInputError, repr_of
from puter.process import library
from puter.records import dataclass
from puter.secret import Secret

VARIABLE = "PUTER_PROFILE"
"""Names the profile where no argument does."""

PROJECT = os.path.join(os.curdir, "puter.toml")
"""The file of the folder that the program runs in."""

SAVED = "credentials.toml"
"""The file beside the user's own in which ``puter-ai login`` saves tokens."""

KEYRING = "keyring:"
"""Begins a token or password that is in the keyring: ``keyring:service/name``."""

MOST_BYTES = 1024 * 1024
"""Bytes of a config file at most."""

SECRETS = ("token", "password")
"""Keys whose values are never shown."""

OUR_SERVICES = re.compile(r"puter\b")
"""Services in the keyring that a file of a project may name: ``puter``, ``puter-work``."""

WHERE_SECRETS_GO = ("api_base", "login_url", "proxy", "verify")
"""Settings that decide who sees a token or password."""


@dataclass(frozen=True, slots=True)
class Profile:
    """What the files say."""

    files: Sequence[tuple[str, Mapping[str, Any]]]
    """Each path, and what it says by key; the first that has a key counts."""
    own: str
    """The path of the user's own; any other may be a stranger's."""
    saved: Collection[str] = ()
    """What the user's own says as part of it: what ``puter-ai login`` saved in a file beside it."""

    def values(self, names: Iterable[str]) -> dict[str, Any]:
        """What there is of these; a ``Secret`` for a token or a password."""
        found = {name: self.find(name) for name in names}
        return {name: one[1] for name, one in found.items() if one is not None}

    def find(self, name: str) -> tuple[str, Any] | None:
        """The file that says something of a setting, and what; None when none does."""
        return next(((path, said[name]) for path, said in self.files if name in said), None)

    def place_of(self, name: str) -> str | None:
        """The file in which a setting stands; None when none says it."""
        found = self.find(name)
        if found is None:
            return None
        return users_file(SAVED) if name in self.saved and found[0] == self.own else found[0]

    def secret(self, name: str, settings_of: Callable[[Profile], Any]) -> str | None:
        """The token or the password; the keyring is asked for it now, and not before.

        Args:
            name: ``"token"`` or ``"password"``.
            settings_of: The client's settings with a profile. The secret goes where its own file
                alone would have it go: another may be a stranger's. What is in the keyring is the
                user's, whichever file names it.

        Raises:
            PuterConfigError: The keyring is missing, has none, or keeps it for another program; or
                another file than the secret's says where it would go.
        """
        found = self.find(name)
        if found is None:
            return None
        path, secret = found
        in_keyring = secret.reveal().startswith(KEYRING)
        owner = self.own if in_keyring else path
        alone = settings_of(Profile([one for one in self.files if one[0] == owner], self.own))
        together = settings_of(self)
        for setting in WHERE_SECRETS_GO:
            value = getattr(together, setting)
            if value != getattr(alone, setting) and _leads_elsewhere(setting, value):
                whose = "in the keyring" if in_keyring else f"of {path}"
                where = f"{setting} into {owner}" if in_keyring else "both into one file"
                raise PuterConfigError(
                    f"The {name} {whose} does not go where another file says: {setting}",
                    hint=f"Write {where}, or set PUTER_{setting.upper()}.",
                )
        text = secret.reveal()
        return _from_keyring(name, path, text, own=path == self.own) if in_keyring else text


def _leads_elsewhere(setting: str, value: Any) -> bool:
    """Whether it names a CA bundle, or a host other than this machine."""
    if setting == "verify" or not isinstance(value, str):
        return isinstance(value, str)  # a path may look like an address of this machine
    return value != "" and not is_loopback(urlsplit(value).hostname or "")


def read(
    path: str | os.PathLike[str] | None,
    profile: str | None,
    *,
    project: bool = True,
    may_be_new: bool = False,
    check_key: Callable[[str], None],
    check: Callable[[str, Any], Any],
    is_secret: Callable[[str, Any], bool],
) -> Profile:
    """What a profile of the config files says.

    Args:
        path: The file. Default: ``./puter.toml``, and that of the user for what it does not say.
        profile: Its name, ``""`` for the top level alone. Default: ``PUTER_PROFILE``, or ``""``.
        project: Whether ``./puter.toml`` counts; it may be a stranger's.
        may_be_new: Whether a profile that no file has is what stands at the top.
        check_key: Refuses what is no setting or credential.
        check: Checks and tidies the value of a key.
        is_secret: Whether the value of a setting holds one.

    Raises:
        PuterConfigError: A file cannot be read or is no TOML; a key is unknown or its value not
            valid; a secret is in a file that others may read; no file has the profile.
    """
    name = chosen() if profile is None else profile
    if not isinstance(name, str):
        raise PuterConfigError(f"profile must be a str, not {repr_of(name)}")
    own = users_file() if path is None else os.fspath(path)
    places = [PROJECT, own] if path is None and project else [own]
    files = [one for place in places if (one := _load(place, missing_ok=path is None))]
    saved = _load(users_file(SAVED), missing_ok=True) if path is None else None
    for file in [*files, *([saved] if saved else [])]:
        file.check(check_key, is_secret)
    keys: set[str] = set()
    if saved:
        theirs = next((file.tables for file in files if file.path == own), {})
        for table in ("", name):
            keys = (keys - {*theirs.get(table, ())}) | {*saved.tables.get(table, ())}
        saved.said(name, check)  # what is wrong is told of this file, not of the one it is put into
        files = _with(files, own, saved.tables)
    if name and not may_be_new and not any(name in file.tables for file in files):
        raise _no_profile(name, files, places)
    return Profile([(file.path, file.said(name, check)) for file in files], own, keys)


def chosen() -> str:
    """The profile that the environment names, ``""`` where it names none."""
    return os.environ.get(VARIABLE, "")


def users_file(name: str = "config.toml") -> str:
    """The path of a file of the user's own.

    Raises:
        PuterConfigError: The package platformdirs is missing.
    """
    with library("platformdirs", "config"):
        import platformdirs
    return os.path.join(platformdirs.user_config_dir("puter", appauthor=False), name)


def saved_tables() -> dict[str, dict[str, Any]]:
    """What ``puter-ai login`` saved, by profile.

    Raises:
        PuterConfigError: The file cannot be read.
    """
    file = _load(users_file(SAVED), missing_ok=True)
    return {} if file is None else {name: dict(table) for name, table in file.tables.items()}


def _with(files: Sequence[_File], own: str, saved: Mapping[str, Mapping[str, Any]]) -> list[_File]:
    """The files, where what was saved stands in the tables of the user's own.

    So a profile's own token comes before one at the top, in whichever of the two files it is.
    """
    others = [file for file in files if file.path != own]
    tables = next((file.tables for file in files if file.path == own), {})
    names = {*tables, *saved}
    merged = {name: {**tables.get(name, {}), **saved.get(name, {})} for name in names}
    return [*others, _File(own, merged, others_may_read=False)]  # both are checked


def _no_profile(name: str, files: Sequence[_File], places: Sequence[str]) -> PuterConfigError:
    told = f"There is no profile {repr_of(name)}"
    if not files:
        return PuterConfigError(
            f"{told}: there is no file {' or '.join(places)}",
            hint="Write one with a table [profile.NAME].",
        )
    names = sorted({one for file in files for one in file.tables if one})
    near = did_you_mean(near_misses(name, names))
    there_are = f"There are {', '.join(map(repr, names))}." if names else "There are none."
    where = " or ".join(file.path for file in files)
    return PuterConfigError(f"{told} in {where}", hint=f"{near} {there_are}".lstrip())


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    tables: Mapping[str, Mapping[str, Any]]
    """Those of the profiles by name, and the top level as ``""``."""
    others_may_read: bool

    def check(
        self, check_key: Callable[[str], None], is_secret: Callable[[str, Any], bool]
    ) -> None:
        """Check all profiles, as far as that does not depend on the machine."""
        for profile, table in self.tables.items():
            for key, value in table.items():
                with self._placed(profile):
                    if isinstance(value, dict) and key != "headers":
                        raise PuterConfigError(
                            f"There is no table [{key}]", hint=f"Did you mean [profile.{key}]?"
                        )
                    check_key(key)
                    self._check_private(key, value, is_secret)

    def _check_private(self, key: str, value: Any, is_secret: Callable[[str, Any], bool]) -> None:
        literal = key in SECRETS and not (isinstance(value, str) and value.startswith(KEYRING))
        if self.others_may_read and (literal or is_secret(key, value)):
            raise PuterConfigError(
                f"{key} holds a secret, and others may read this file",
                hint=f"chmod 600 {shlex.quote(self.path)}"
                + (f', or {key} = "{KEYRING}service/name".' if literal else "."),
            )

    def said(self, profile: str, check: Callable[[str, Any], Any]) -> dict[str, Any]:
        """What it says in a profile: that has what stands at the top as well."""
        found: dict[str, Any] = {}
        for name in dict.fromkeys(("", profile)):
            for key, value in self.tables.get(name, {}).items():
                with self._placed(name):
                    checked = check(key, value)
                    found[key] = Secret(checked) if key in SECRETS else checked
        return found

    @contextmanager
    def _placed(self, profile: str) -> Generator[None, None, None]:
        """Errors say in what file and profile they are."""
        try:
            yield
        except PuterConfigError as error:
            where = f"{self.path}, [profile.{profile}]" if profile else self.path
            raise PuterConfigError(f"{where}: {error.message}", hint=error.hint) from None


def _load(path: str, *, missing_ok: bool) -> _File | None:
    """Read one file, None when it is not there and need not be."""
    hint = "A config file is an ordinary one in TOML, such as puter.toml."
    try:
        with open_ordinary(path, hint) as file:
            mode = os.fstat(file.fileno()).st_mode
            data = file.read(MOST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError):
        if missing_ok:
            return None
        raise PuterConfigError(f"There is no config file {path}", hint=hint) from None
    except PuterInputError as error:
        raise PuterConfigError(error.message, hint=hint) from None
    except (OSError, ValueError) as error:
        told = getattr(error, "strerror", None) or error
        raise PuterConfigError(f"{path} cannot be read: {told}", hint=hint) from None
    if len(data) > MOST_BYTES:
        raise PuterConfigError(f"{path} has more than {MOST_BYTES} bytes", hint=hint)
    top = _parse(path, data)
    profiles = top.pop("profile", {})
    are_tables = isinstance(profiles, dict) and all(
        isinstance(one, dict) for one in profiles.values()
    )
    if not are_tables:
        raise PuterConfigError(
            f"{path}: profile must be made of tables", hint="Begin each with [profile.name]."
        )
    return _File(path, {**profiles, "": top}, os.name == "posix" and bool(mode & 0o077))


def _parse(path: str, data: bytes) -> dict[str, Any]:
    with library("tomli", "config"):
        if sys.version_info >= (3, 11):
            import tomllib
        else:
            import tomli as tomllib
    try:
        text = data.decode("utf-8-sig")
        return tomllib.loads(text)
    except UnicodeDecodeError as error:
        line, told = data[: error.start].count(b"\n") + 1, "It is not in UTF-8"
    except (ValueError, RecursionError) as error:
        told, _, place = str(error).partition(" (at ")
        number = re.match(r"line (\d+)", place)
        line = int(number[1]) if number else data.count(b"\n") + 1
    raise PuterConfigError(
        f"{path}, line {line}: this is no TOML. {told}",
        hint='A line is like timeout = 60, or default_model = "gpt-5-nano".',
    )


def _from_keyring(key: str, path: str, reference: str, *, own: bool) -> str:
    """What the keyring has under ``keyring:service/name``."""
    service, _, name = reference.removeprefix(KEYRING).rpartition("/")
    if not (service and name):
        raise PuterConfigError(
            f"{path}: {key} names nothing in the keyring",
            hint=f'Write {key} = "{KEYRING}service/name".',
        )
    if not (own or OUR_SERVICES.match(service)):
        raise PuterConfigError(
            f"{path}: {key} names {service!r} in the keyring, which may be another program's",
            hint="A file of a project may name services such as puter and puter-work; the user's "
            "own file may name any.",
        )
    with library("keyring", "keyring"):
        import keyring
        from keyring.errors import KeyringError
    try:
        found = keyring.get_password(service, name)
    except KeyringError as error:
        told = f"{path}: the keyring does not give the {key}: {type(error).__name__}: {error}"
        raise PuterConfigError(told, hint=f"Try: keyring get {service} {name}") from None
    if not found:
        raise PuterConfigError(
            f"{path}: the keyring has no {key} for {reference.removeprefix(KEYRING)!r}",
            hint=f"Put it there: keyring set {shlex.quote(service)} {shlex.quote(name)}",
        )
    return found
