"""What ``login`` saves and ``logout`` removes: a profile's token, in the keyring or in a file."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from puter.atomic import write_whole
from puter.exceptions import PuterConfigError
from puter.process import loading
from puter.profiles import KEYRING, SAVED, saved_tables, users_file
from puter.secret import Secret

OURS = ("token", "api_base", "login_url", "allow_http")
"""What ``save()`` writes."""

_HEAD = """\
# Written by `puter-ai login --save`, and by `puter-ai logout`, which takes a profile out.
# Settings belong into config.toml beside it.
"""


def save(profile: str, token: Secret, hosts: Mapping[str, str]) -> str:
    """Save the token of a profile, in the keyring where there is one; returns where it is.

    Args:
        profile: Its name; ``""`` is the top level.
        token: The token.
        hosts: Settings of the profile that say where the token goes.

    Raises:
        PuterConfigError: The file holds what is not ours.
        OSError: It cannot be written.
    """
    tables = saved_tables()
    reference = f"{KEYRING}puter/{profile}" if profile else f"{KEYRING}puter-default/token"
    in_keyring = _put_into_keyring(reference, token)
    text = reference if in_keyring else token.reveal()
    _write({**tables, profile: {**_others(tables, profile), **hosts, "token": text}})
    return "the keyring" if in_keyring else users_file(SAVED)


def token(profile: str) -> Secret | None:
    """The token that was saved for a profile, None when it is not there.

    Raises:
        PuterConfigError: The file cannot be read.
    """
    text = str(saved_tables().get(profile, {}).get("token", ""))
    found = _in_keyring(text) if text.startswith(KEYRING) else text
    return Secret(found) if found else None


def remove(profile: str) -> bool:
    """Remove what was saved for a profile; whether there was anything.

    Raises:
        PuterConfigError: The file cannot be read.
        OSError: It cannot be written.
    """
    tables = saved_tables()
    token = str(tables.get(profile, {}).get("token", ""))
    if not token:
        return False
    tables[profile] = _others(tables, profile)
    if token.startswith(KEYRING):
        _take_out_of_keyring(token)
    if any(tables.values()):
        _write(tables)
    else:
        with suppress(FileNotFoundError):
            os.unlink(users_file(SAVED))
    return True


def _others(tables: Mapping[str, Mapping[str, Any]], profile: str) -> dict[str, Any]:
    """What somebody else wrote into the table of a profile."""
    return {name: value for name, value in tables.get(profile, {}).items() if name not in OURS}


def _write(tables: Mapping[str, Mapping[str, Any]]) -> None:
    path = users_file(SAVED)
    lines = [_HEAD]
    for profile, table in sorted(tables.items()):
        if profile and table:
            lines.append(f"\n[profile.{_value(profile)}]\n")
        lines += [f"{name} = {_value(value)}\n" for name, value in table.items()]
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    write_whole(path, "".join(lines).encode(), private=True)


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
        return bool(keyring.get_password(service, name) == token.reveal())
    return False


def _in_keyring(reference: str) -> str | None:
    with suppress(Exception):
        keyring, service, name = _place(reference)
        return str(keyring.get_password(service, name) or "")
    return None


def _take_out_of_keyring(reference: str) -> None:
    with suppress(Exception):  # it is gone, or the keyring is
        keyring, service, name = _place(reference)
        keyring.delete_password(service, name)


def _place(reference: str) -> tuple[Any, str, str]:
    """The library, the service and the name. Raises ImportError."""
    with loading():
        import keyring
    service, _, name = reference.removeprefix(KEYRING).rpartition("/")
    return keyring, service, name
