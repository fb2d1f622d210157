"""What ``login`` saves and ``logout`` removes: a profile's token, in the keyring or in a file."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from puter.atomic import check_writable, write_whole
from puter.exceptions import PuterConfigError
from puter.locks import lock
from puter.process import loading
from puter.profiles import KEYRING, SAVED, saved_tables, users_file
from puter.secret import Secret

OURS = ("token", "api_base", "login_url", "allow_http")
"""What ``save()`` writes."""

_LONGEST = 10.0
"""Seconds that another process may take to change the file."""
_LOCKED = "Unlock it and try again, or let go of the token: puter-ai logout --force"
_HEAD = """\
# Written by `puter-ai login --save`, and by `puter-ai logout`, which takes a profile out.
# Settings belong into config.toml beside it.
"""


def check_place() -> None:
    """Raise OSError unless the file of ``save()`` can be written."""
    check_writable(_file())


def save(profile: str, token: Secret, hosts: Mapping[str, str]) -> str:
    """Save the token of a profile, in the keyring where there is one; returns where it is.

    Args:
        profile: Its name; ``""`` is the top level.
        token: The token.
        hosts: Settings of the profile that say where the token goes.

    Raises:
        PuterConfigError: The file holds what is not ours, or the keyring keeps the token before.
        OSError: It cannot be written.
    """
    reference = f"{KEYRING}puter/{profile}" if profile else f"{KEYRING}puter-default/token"
    with _alone():
        tables = saved_tables()
        before = _text(tables, profile)
        in_keyring = _put_into_keyring(reference, token)
        if before.startswith(KEYRING) and not in_keyring:
            _take_out_of_keyring(before)
        text = reference if in_keyring else token.reveal()
        _replace(tables, profile, {**hosts, "token": text})
    return "the keyring" if in_keyring else users_file(SAVED)


def is_saved(profile: str) -> bool:
    """Whether a token was saved for a profile, though the keyring may not give it now."""
    return bool(_text(saved_tables(), profile))


def token(profile: str) -> Secret | None:
    """The token that was saved for a profile, None when it is not there.

    Raises:
        PuterConfigError: The file cannot be read, or the keyring does not open.
    """
    return _meant(_text(saved_tables(), profile))


def remove(profile: str, token: Secret | None) -> bool:
    """Remove the token of a profile; returns whether it was that one, and not a newer one.

    Args:
        profile: Its name.
        token: What ``token()`` gave.

    Raises:
        PuterConfigError: The file cannot be read, or the keyring keeps the token.
        OSError: It cannot be written.
    """
    with _alone():
        tables = saved_tables()
        text = _text(tables, profile)
        if text and _meant(text) != token:
            return False
        if text.startswith(KEYRING):
            _take_out_of_keyring(text)
        _replace(tables, profile, {})
    return True


def forget(profile: str) -> None:
    """Remove a profile from the file; what the keyring has of it stays.

    Raises:
        PuterConfigError: The file cannot be read.
        OSError: It cannot be written.
    """
    with _alone():
        _replace(saved_tables(), profile, {})


def _text(tables: Mapping[str, Mapping[str, Any]], profile: str) -> str:
    """The token of a profile as it stands in the file: it, or where the keyring has it."""
    return str(tables.get(profile, {}).get("token", ""))


def _meant(text: str) -> Secret | None:
    """The token that such a text means, None where the keyring has it no more."""
    found = _in_keyring(text) if text.startswith(KEYRING) else text
    return Secret(found) if found else None


def _replace(tables: dict[str, dict[str, Any]], profile: str, ours: Mapping[str, str]) -> None:
    """Replace what we wrote into the table of a profile; what somebody else wrote there stays."""
    others = {k: v for k, v in tables.get(profile, {}).items() if k not in OURS}
    tables[profile] = {**others, **ours}
    if any(tables.values()):
        _write(tables)
    else:
        with suppress(FileNotFoundError):
            os.unlink(users_file(SAVED))


@contextmanager
def _alone() -> Generator[None, None, None]:
    """While no other process changes the file, or what the keyring has for it.

    The file is read and written again as a whole.
    """
    with open(f"{_file()}.lock", "ab") as file:
        ends = time.monotonic() + _LONGEST
        with suppress(OSError):  # a file system without locks
            while not lock(file.fileno()):
                if time.monotonic() > ends:
                    raise PuterConfigError(
                        f"Another program changes {users_file(SAVED)}", hint="Try again."
                    )
                time.sleep(0.01)
        yield


def _write(tables: Mapping[str, Mapping[str, Any]]) -> None:
    lines = [_HEAD]
    for profile, table in sorted(tables.items()):
        if profile and table:
            lines.append(f"\n[profile.{_value(profile)}]\n")
        lines += [f"{name} = {_value(value)}\n" for name, value in table.items()]
    write_whole(_file(), "".join(lines).encode(), private=True)


def _file() -> str:
    """The path of the file, in a folder that is there."""
    path = users_file(SAVED)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    return path


def _value(value: Any) -> str:
    """A value in TOML, which is as in JSON for what ``login`` writes."""
    plain = isinstance(value, (bool, int)) or (isinstance(value, str) and value.isprintable())
    if not plain:
        raise PuterConfigError(
            f"{users_file(SAVED)} holds more than `puter-ai login` writes",
            hint="Move it into config.toml beside it.",
        )
    return json.dumps(value, ensure_ascii=False)


def _put_into_keyring(reference: str, token: Secret) -> bool:
    """Whether the keyring has it now."""
    with suppress(Exception):  # backends fail with what they like: none, locked, too long
        keyring, service, name = _place(reference)
        keyring.set_password(service, name, token.reveal())
        if keyring.get_password(service, name) == token.reveal():
            return True
        keyring.delete_password(service, name)  # what it made of the token
    return False


def _in_keyring(reference: str) -> str:
    """What it has, "" when it has nothing. Raises PuterConfigError when it does not say."""
    try:
        keyring, service, name = _place(reference)
        return str(keyring.get_password(service, name) or "")
    except Exception as error:  # noqa: BLE001 - as above; an error's text might tell the secret
        raise PuterConfigError(
            f"The keyring, which has the saved token, does not open ({type(error).__name__})",
            hint=_LOCKED,
        ) from None


def _take_out_of_keyring(reference: str) -> None:
    """Raises PuterConfigError unless it has it no more."""
    with suppress(Exception):  # there may be none; whether there is one is asked next
        keyring, service, name = _place(reference)
        keyring.delete_password(service, name)
    if _in_keyring(reference):
        raise PuterConfigError("The keyring does not remove the saved token", hint=_LOCKED)


def _place(reference: str) -> tuple[Any, str, str]:
    """The library, the service and the name. Raises ImportError."""
    with loading():
        import keyring
    service, _, name = reference.removeprefix(KEYRING).rpartition("/")
    return keyring, service, name
