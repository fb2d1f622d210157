"""Config files and profiles: what counts, what is refused, and where secrets may stand."""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keyring
import keyring.backend
import keyring.backends.fail
import keyring.errors
import platformdirs
import pytest

from puter import PuterAI, PuterAuthError, PuterConfig, PuterConfigError
from puter.frames import chain
from puter.testing import LocalPuter
from tests.door import Door
from tests.test_config import ENVIRONMENT, WRONG

TOKEN = "tok-0123456789-hush"
on_posix = pytest.mark.skipif(os.name != "posix", reason="modes are POSIX's")


class Folder:
    """A program's folder, and the user's config file."""

    def __init__(self, user: Path) -> None:
        self.user = user

    def project(self, text: str, mode: int = 0o644) -> Path:
        return self.write("puter.toml", text, mode)

    def users(self, text: str, mode: int = 0o644) -> Path:
        self.user.parent.mkdir(parents=True, exist_ok=True)
        return self.write(self.user, text, mode)

    def write(self, path: str | Path, text: str, mode: int) -> Path:
        Path(path).write_text(text, encoding="utf-8")
        Path(path).chmod(mode)
        return Path(path)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    user = Path(platformdirs.user_config_dir("puter", appauthor=False), "config.toml")
    if os.name == "nt":
        user = tmp_path / "config.toml"
        monkeypatch.setattr(platformdirs, "user_config_dir", lambda *_, **__: str(tmp_path))
    assert user.is_relative_to(tmp_path)
    return Folder(user)


class Ring(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.entries: dict[tuple[str, str], str] = {}
        self.asked: list[tuple[str, str]] = []

    def get_password(self, service: str, username: str) -> str | None:
        self.asked.append((service, username))
        return self.entries.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.entries[service, username] = password


@pytest.fixture
def ring() -> Iterator[Ring]:
    before, ring = keyring.get_keyring(), Ring()
    keyring.set_keyring(ring)
    yield ring
    keyring.set_keyring(before)


def raised(attempt: Callable[[], Any]) -> str:
    """The sentence of a refusal, which shows the secret nowhere."""
    with pytest.raises(PuterConfigError) as caught:
        attempt()
    for one in chain(caught.value):
        place = one.__traceback__
        while place is not None:
            ours = place.tb_frame.f_globals["__name__"].startswith("puter")
            assert not ours or TOKEN not in repr(place.tb_frame.f_locals)
            place = place.tb_next
        assert TOKEN not in f"{one} {one!r} {vars(one)}"
    return str(caught.value)


# ------------------------------------------------------------ what counts


LAYERS = ["default", "user", "project", "environment", "argument"]


@pytest.mark.parametrize("count", range(1, len(LAYERS) + 1), ids=LAYERS)
@pytest.mark.parametrize("profile", ["", "work"])
def test_each_source_beats_those_before_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, profile: str, count: int
) -> None:
    used = LAYERS[:count]
    folder.users("[profile.work]\nmax_retries = 11\n" if profile else "max_retries = 11\n")
    if "user" not in used:
        folder.users("[profile.work]")
    if "project" in used:
        folder.project("max_retries = 12\n[profile.work]\nmax_retries = 12")
    if "environment" in used:
        monkeypatch.setenv("PUTER_MAX_RETRIES", "13")
    arguments: Any = {"max_retries": 14} if "argument" in used else {}
    wanted = {"default": 5, "user": 11, "project": 12, "environment": 13, "argument": 14}[used[-1]]
    assert PuterConfig.from_file(profile=profile, **arguments).max_retries == wanted
    assert PuterAI(profile=profile, **arguments).config.max_retries == wanted


def test_a_profile_has_what_stands_at_the_top_of_its_file(folder: Folder) -> None:
    folder.project(
        'timeout = 20\ndeadline = 90\n[profile.quick]\ntimeout = 5\n[headers]\nX-A = "1"'
    )
    quick = PuterConfig.from_file(profile="quick")
    assert (quick.timeout, quick.deadline, quick.headers) == (5, 90, {"X-A": "1"})
    assert PuterConfig.from_file().timeout == 20


def test_the_top_of_the_projects_file_beats_a_profile_of_the_user(folder: Folder) -> None:
    folder.users("[profile.work]\ntimeout = 60\nmax_retries = 1")
    folder.project("timeout = 20")
    work = PuterConfig.from_file(profile="work")
    assert (work.timeout, work.max_retries) == (20, 1)


def test_a_client_that_names_no_profile_reads_no_file(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.project("this is no TOML")
    folder.users("nor is this")
    monkeypatch.setenv("PUTER_PROFILE", "")  # as good as not set
    assert PuterAI().config == PuterConfig() == PuterConfig.from_env()


def test_a_profile_is_named_by_argument_or_variable(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.project("timeout = 1\n[profile.a]\ntimeout = 2\n[profile.b]\ntimeout = 3")
    assert PuterAI(profile="").config.timeout == 1
    assert PuterAI(profile="a").config.timeout == 2
    monkeypatch.setenv("PUTER_PROFILE", "b")
    assert PuterAI().config.timeout == 3
    assert PuterConfig.from_file("puter.toml").timeout == 3
    assert PuterAI(profile="a").config.timeout == 2
    assert PuterAI(profile="").config.timeout == 1
    assert PuterConfig.from_file(profile="").timeout == 1


def test_a_file_that_is_named_is_the_only_one(folder: Folder) -> None:
    folder.project("max_retries = 1")
    other = folder.write("other.toml", "timeout = 7", 0o644)
    for path in (other, str(other)):
        config = PuterConfig.from_file(path)
        assert (config.timeout, config.max_retries) == (7, 5)


def test_files_are_read_when_asked_for(folder: Folder) -> None:
    path = folder.project("timeout = 1")
    first = PuterConfig.from_file(path)
    folder.project("timeout = 2")
    assert (first.timeout, PuterConfig.from_file(path).timeout) == (1, 2)


def test_without_any_file_the_defaults_remain(folder: Folder) -> None:
    assert PuterConfig.from_file() == PuterConfig()
    assert PuterAI(profile="").config == PuterConfig()


def toml(name: str, value: Any) -> str:
    match value:
        case None:
            return f'{name} = "none"'
        case bool():
            return f"{name} = {str(value).lower()}"
        case str():
            return f"{name} = '{value}'"
        case dict():
            return "".join([f"[{name}]\n", *(f"{key} = '{one}'\n" for key, one in value.items())])
        case _:
            return f"{name} = {value}"


@pytest.mark.parametrize("name", ENVIRONMENT)
def test_each_setting_may_stand_in_a_file(folder: Folder, name: str) -> None:
    value = ENVIRONMENT[name][1]
    config = PuterConfig.from_file(folder.project(toml(name, value)))
    assert getattr(config, name) == value
    assert type(getattr(config, name)) is type(getattr(PuterConfig(**{name: value}), name))


def test_a_config_that_is_given_is_left_alone(folder: Folder) -> None:
    folder.project(f'timeout = 1\ntoken = "{TOKEN}"', 0o600)
    ai = PuterAI(config=PuterConfig(timeout=9), profile="")
    assert ai.config.timeout == 9
    assert "signed in" in repr(ai)


def test_a_byte_order_mark_is_no_part_of_the_text(folder: Folder) -> None:
    assert PuterConfig.from_file(folder.project("\ufefftimeout = 8")).timeout == 8


# ------------------------------------------------------------ what is refused


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("timeot", "Did you mean 'timeout'?"),
        ("base_url", "Did you mean 'api_base'?"),
        ("api_key", "Did you mean 'token'?"),
        ("usrname", "Did you mean 'username'?"),
        ("http_client", "There are username, password, token, api_base"),
        ("zzz", "There are username, password, token, api_base"),
    ],
)
@pytest.mark.parametrize("where", ["", "[profile.work]\n", "[profile.other]\n"])
def test_an_unknown_key_is_refused_with_the_nearest(
    folder: Folder, where: str, key: str, hint: str
) -> None:
    path = folder.project(f'{where}{key} = "{TOKEN}"\n[profile.x]')
    told = raised(lambda: PuterConfig.from_file(path))
    place = f"puter.toml, {where.strip()}: " if where else "puter.toml: "
    assert told.startswith(f"{place}There is no setting '{key}'. {hint}")
    assert "puter.toml" in raised(lambda: PuterAI(profile="x"))


def test_a_table_that_is_no_profile_is_told_how_to_be_one(folder: Folder) -> None:
    folder.project("[work]\ntimeout = 1")
    assert "There is no table [work]. Did you mean [profile.work]?" in raised(
        lambda: PuterAI(profile="work")
    )
    folder.project("profile = 'work'")
    assert "Begin each with [profile.name]" in raised(lambda: PuterAI(profile="work"))
    folder.project("profile.work = 5")
    assert "Begin each with [profile.name]" in raised(lambda: PuterAI(profile="work"))


WRONG_HERE = [
    (name, value)
    for name, values in WRONG.items()
    for value in values
    if isinstance(value, (bool, int, float)) and abs(value) < 2**60
]


@pytest.mark.parametrize(("name", "value"), WRONG_HERE)
def test_a_wrong_value_is_refused_with_its_place(folder: Folder, name: str, value: Any) -> None:
    path = folder.project(f"[profile.work]\n{toml(name, value)}")
    told = raised(lambda: PuterConfig.from_file(path, "work"))
    assert told.startswith("puter.toml, [profile.work]: ")
    assert name in told


def test_a_wrong_value_is_refused_where_the_environment_beats_it(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_TIMEOUT", "5")
    path = folder.project('timeout = "60"')
    assert "puter.toml: timeout='60' is not valid" in raised(lambda: PuterConfig.from_file(path))


@pytest.mark.parametrize("key", ["token", "password", "username"])
@pytest.mark.parametrize("value", ["5", "''", "' '", "['a']", "1979-05-27"])
def test_sign_in_data_must_be_text(folder: Folder, key: str, value: str) -> None:
    folder.project(f"{key} = {value}", 0o600)
    told = raised(lambda: PuterAI(profile=""))
    assert told == f"./puter.toml: {key} must be a text with something in it"


def test_a_profile_that_is_nowhere_is_refused_with_those_there_are(folder: Folder) -> None:
    assert "no file ./puter.toml or " in raised(lambda: PuterAI(profile="work"))
    folder.project("timeout = 1")
    assert "There is no profile 'work' in ./puter.toml. There are none." in raised(
        lambda: PuterAI(profile="work")
    )
    folder.project("[profile.home]\n[profile.word]")
    folder.users("[profile.team]")
    told = raised(lambda: PuterAI(profile="work"))
    assert f"There is no profile 'work' in ./puter.toml or {folder.user}" in told
    assert told.endswith("Did you mean 'word'? There are 'home', 'team', 'word'.")
    assert PuterAI(profile="team").config == PuterConfig()
    wrong: Any = 5
    assert "profile must be a str" in raised(lambda: PuterAI(profile=wrong))


def test_a_profile_belongs_to_the_client_alone() -> None:
    wrong: Any = {"profile": "work"}
    assert "PuterAI(profile=...)" in raised(lambda: PuterConfig.from_env(**wrong))
    assert "PuterAI(profile=...)" in raised(lambda: PuterAI().with_options(**wrong))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (f"token = {TOKEN}", 1),
        (f"token = '{TOKEN}'\n\ntimeout 5", 3),
        (f"token = '{TOKEN}'\ntoken = '{TOKEN}'", 2),
        (f"token = '{TOKEN}'\n[profile.a\n", 2),
        (f"a = 1\nb = '''{TOKEN}\n", 3),
        (f"token = '{TOKEN}'\na = " + "[" * 5000, 2),
        (f"token = '{TOKEN}'\na = " + "9" * 5000, 2),
    ],
)
def test_what_is_no_toml_is_told_with_its_line(folder: Folder, text: str, line: int) -> None:
    folder.project(text, 0o600)
    assert raised(lambda: PuterAI(profile="")).startswith(
        f"./puter.toml, line {line}: this is no TOML. "
    )


def test_what_is_no_text_is_told_with_its_line(folder: Folder) -> None:
    Path("puter.toml").write_bytes(b"timeout = 1\nlogin_url = '\xff'")
    assert "line 2: this is no TOML. It is not in UTF-8" in raised(PuterConfig.from_file)


def test_what_is_no_file_is_refused(folder: Folder) -> None:
    assert "There is no config file missing.toml" in raised(
        lambda: PuterConfig.from_file("missing.toml")
    )
    assert "cannot be read" in raised(lambda: PuterConfig.from_file("."))
    assert "cannot be read" in raised(lambda: PuterConfig.from_file("a\0b"))
    folder.project("# much\n" * 200_000)
    assert "more than 1048576 bytes" in raised(PuterConfig.from_file)
    Path("puter.toml").unlink()
    Path("puter.toml").mkdir()
    assert "./puter.toml cannot be read" in raised(PuterConfig.from_file)


@on_posix
def test_a_pipe_is_not_waited_for(folder: Folder) -> None:
    os.mkfifo("puter.toml")
    assert "is a pipe" in raised(PuterConfig.from_file)


# ------------------------------------------------------------ secrets


async def test_the_token_of_a_profile_goes_out(folder: Folder, door: Door) -> None:
    folder.project(f'[profile.work]\ntoken = "{TOKEN}"', 0o600)
    ai = door.client(token=None, profile="work")
    await door(ai, "chat", "Hi")
    assert door.sent[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert TOKEN not in f"{ai!r} {ai.config!r} {vars(ai)}"
    assert TOKEN.encode() not in pickle.dumps(ai)


def test_a_profile_signs_in(folder: Folder) -> None:
    with LocalPuter(username="ada", password="correct horse") as server:
        folder.project(
            f"[profile.local]\napi_base = '{server.api_base}'\nlogin_url = '{server.login_url}'\n"
            "username = 'ada'\npassword = 'correct horse'",
            0o600,
        )
        with PuterAI(profile="local") as ai:
            assert ai.whoami().username == "ada"


def test_settings_from_a_file_bring_no_token(folder: Folder, ring: Ring) -> None:
    path = folder.project('token = "keyring:puter/ada"\ntimeout = 3')
    config = PuterConfig.from_file(path)
    assert "not signed in" in repr(PuterAI(config=config))
    assert ring.asked == []


SECRET_LINES = {
    "token": f"token = '{TOKEN}'",
    "password": f"password = '{TOKEN}'",
    "another profile": f"[profile.other]\ntoken = '{TOKEN}'",
    "proxy": f"proxy = 'http://ada:{TOKEN}@proxy.example.org'",
    "header": f"[headers]\nX-Team-Token = '{TOKEN}'",
}


@on_posix
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622])
@pytest.mark.parametrize("kind", SECRET_LINES)
def test_a_secret_in_a_file_that_others_may_read_is_refused(
    folder: Folder, kind: str, mode: int
) -> None:
    path = folder.project(SECRET_LINES[kind])
    path.chmod(mode)
    told = raised(lambda: PuterConfig.from_file(path))
    assert "others may read" in told
    assert "chmod 600 puter.toml" in told
    raised(lambda: PuterAI(profile=""))
    path.chmod(0o600)
    PuterConfig.from_file(path)
    PuterAI(profile="")


@on_posix
def test_the_users_file_and_what_a_link_leads_to_are_checked_alike(folder: Folder) -> None:
    folder.users(f"token = '{TOKEN}'", 0o644)
    assert f"chmod 600 {folder.user}" in raised(lambda: PuterAI(profile=""))
    folder.user.unlink()
    folder.user.symlink_to(folder.write("with space.toml", f"token = '{TOKEN}'", 0o644).resolve())
    assert "others may read" in raised(lambda: PuterAI(profile=""))
    assert "chmod 600 'with space.toml'" in raised(lambda: PuterConfig.from_file("with space.toml"))


def test_a_file_without_secrets_may_be_read_by_all(folder: Folder) -> None:
    folder.project(
        "username = 'ada'\ntoken = 'keyring:puter/ada'\nproxy = 'http://proxy.example.org'\n"
        "[headers]\nX-Team = 'blue'"
    )
    assert PuterConfig.from_file().headers == {"X-Team": "blue"}


async def test_a_token_comes_from_the_keyring(folder: Folder, ring: Ring, door: Door) -> None:
    ring.entries["https://puter.com/cli", "ada@example.org"] = TOKEN
    folder.users('token = "keyring:https://puter.com/cli/ada@example.org"')
    ai = door.client(token=None, profile="")
    await door(ai, "chat", "Hi")
    assert door.sent[0].headers["Authorization"] == f"Bearer {TOKEN}"
    assert ring.asked == [("https://puter.com/cli", "ada@example.org")]


def test_a_password_comes_from_the_keyring(folder: Folder, ring: Ring) -> None:
    ring.entries["puter", "ada"] = "correct horse"
    folder.users("username = 'ada'\npassword = 'keyring:puter/ada'")
    with LocalPuter(username="ada", password="correct horse") as server:
        ai = PuterAI(profile="", api_base=server.api_base, login_url=server.login_url)
        assert ai.whoami().username == "ada"


@pytest.mark.parametrize("reference", ["keyring:", "keyring:puter", "keyring:/ada", "keyring:a/"])
def test_a_reference_names_service_and_name(folder: Folder, ring: Ring, reference: str) -> None:
    folder.project(f"token = '{reference}'")
    assert 'Write token = "keyring:service/name"' in raised(lambda: PuterAI(profile=""))


def test_a_keyring_without_the_entry_says_how_to_make_it(folder: Folder, ring: Ring) -> None:
    folder.users("token = 'keyring:my puter/ada'")
    told = raised(lambda: PuterAI(profile=""))
    assert f"{folder.user}: the keyring has no token for 'my puter/ada'" in told
    assert "keyring set 'my puter' ada" in told


def test_a_keyring_that_does_not_work_is_told(
    folder: Folder, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.project("token = 'keyring:puter/ada'")
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    assert "NoKeyringError: No recommended backend" in raised(lambda: PuterAI(profile=""))


@pytest.mark.parametrize(
    ("library", "extra", "attempt"),
    [
        ("keyring", "keyring", lambda: PuterAI(profile="")),
        ("platformdirs", "config", PuterConfig.from_file),
        pytest.param(
            "tomli",
            "config",
            lambda: PuterConfig.from_file("puter.toml"),
            marks=pytest.mark.skipif(sys.version_info >= (3, 11), reason="the library has it"),
        ),
    ],
)
def test_a_library_that_is_missing_is_named_with_its_extra(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, library: str, extra: str, attempt: Any
) -> None:
    folder.project("token = 'keyring:puter/ada'")
    monkeypatch.setitem(sys.modules, library, None)
    told = raised(attempt)
    wanted = f"pip install {library} (the extra puter-python-sdk[{extra}])"
    assert told == f"This needs the package {library}. {wanted}"


# ------------------------------------------------------------ whose sign-in data


@pytest.mark.parametrize(
    ("arguments", "variables", "file", "wanted"),
    [
        ({}, {}, {"token": "f"}, (None, None, "f")),
        ({"token": "a"}, {}, {"token": "f", "password": "p"}, (None, None, "a")),
        ({}, {"AUTH_TOKEN": "e"}, {"token": "f", "password": "p"}, (None, None, "e")),
        ({}, {"AUTH_TOKEN": "e"}, {"username": "ada"}, ("ada", None, "e")),
        ({"username": "bob", "password": "q"}, {}, {"token": "f"}, ("bob", "q", None)),
        ({}, {"USERNAME": "bob", "PASSWORD": "q"}, {"token": "f"}, ("bob", "q", None)),
        ({}, {"PASSWORD": "q"}, {"username": "ada"}, ("ada", "q", None)),
        ({}, {}, {"username": "ada", "password": "p"}, ("ada", "p", None)),
        ({"password": "q"}, {}, {"username": "ada", "password": "p"}, ("ada", "q", None)),
    ],
)
def test_arguments_then_environment_then_file(
    folder: Folder,
    monkeypatch: pytest.MonkeyPatch,
    ring: Ring,
    arguments: Any,
    variables: dict[str, str],
    file: dict[str, str],
    wanted: tuple[str | None, ...],
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(f"PUTER_{name}", value)
    folder.project("\n".join(f"{key} = '{value}'" for key, value in file.items()), 0o600)
    found = PuterAI(**arguments, profile="")._shared.credentials
    secrets = (one and one.reveal() for one in (found.password, found.token))
    assert (found.username, *secrets) == wanted


def test_the_keyring_is_asked_for_nothing_that_is_known(
    folder: Folder, ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.project("token = 'keyring:puter/t'\npassword = 'keyring:puter/p'")
    PuterAI(token=TOKEN, profile="")
    monkeypatch.setenv("PUTER_AUTH_TOKEN", TOKEN)
    PuterAI(profile="")
    assert ring.asked == []


def test_a_worker_takes_the_token_from_the_profile_of_its_environment(
    folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder.project(f'timeout = 1\n[profile.work]\ntoken = "{TOKEN}"', 0o600)
    data = pickle.dumps(PuterAI(token=TOKEN, timeout=9))
    monkeypatch.setenv("PUTER_PROFILE", "work")
    worker: PuterAI = pickle.loads(data)
    assert worker.config.timeout == 9
    assert ", signed in" in repr(worker)


# A stranger's folder may hold a puter.toml: it gets no secret of the user's own file.

LEADING_AWAY = {
    "api_base": "https://api.example.org",
    "login_url": "https://example.org/login",
    "proxy": "http://proxy.example.org",
    "verify": "ca.pem",
}


@pytest.mark.parametrize("key", ["token", "password"])
@pytest.mark.parametrize("setting", LEADING_AWAY)
def test_a_secret_of_the_user_does_not_go_where_the_project_says(
    folder: Folder, monkeypatch: pytest.MonkeyPatch, setting: str, key: str
) -> None:
    Path("ca.pem").touch()
    line = toml(setting, LEADING_AWAY[setting])
    folder.project(line)
    folder.users(f"{key} = '{TOKEN}'", 0o600)
    told = raised(lambda: PuterAI(profile=""))
    assert f"The {key} of {folder.user} does not go where another file says: {setting}" in told
    PuterAI(token="another", profile="")  # which comes before
    folder.users(f"{line}\n{key} = '{TOKEN}'", 0o600)
    PuterAI(profile="")  # as the user says as well
    folder.users(f"{key} = '{TOKEN}'", 0o600)
    given: dict[str, Any] = {setting: LEADING_AWAY[setting]}
    PuterAI(profile="", **given)  # as the program says
    monkeypatch.setenv(f"PUTER_{setting.upper()}", LEADING_AWAY[setting])
    PuterAI(profile="")  # as the environment says
    monkeypatch.delenv(f"PUTER_{setting.upper()}")
    folder.project(f"{line}\n{key} = '{TOKEN}'", 0o600)
    PuterAI(profile="")  # both of one file


@pytest.mark.parametrize("key", ["token", "password"])
@pytest.mark.parametrize("setting", LEADING_AWAY)
def test_what_is_in_the_keyring_does_not_go_where_the_project_says(
    folder: Folder, ring: Ring, monkeypatch: pytest.MonkeyPatch, setting: str, key: str
) -> None:
    Path("ca.pem").touch()
    ring.entries["puter", "ada"] = TOKEN
    line, reference = toml(setting, LEADING_AWAY[setting]), f"{key} = 'keyring:puter/ada'"
    folder.project(f"{line}\n{reference}")
    told = raised(lambda: PuterAI(profile=""))
    assert f"The {key} in the keyring does not go where another file says: {setting}" in told
    assert f"Write {setting} into {folder.user}, or set PUTER_{setting.upper()}." in told
    folder.project(f"[profile.work]\n{line}\n{reference}")
    raised(lambda: PuterAI(profile="work"))
    folder.project(line)
    folder.users(reference)
    raised(lambda: PuterAI(profile=""))
    assert ring.asked == []
    folder.project(f"{line}\n{reference}")
    folder.users(line)
    PuterAI(profile="")  # as the user says as well
    folder.users("")
    given: dict[str, Any] = {setting: LEADING_AWAY[setting]}
    PuterAI(profile="", **given)  # as the program says
    monkeypatch.setenv(f"PUTER_{setting.upper()}", LEADING_AWAY[setting])
    PuterAI(profile="")  # as the environment says
    assert ring.asked == [("puter", "ada")] * 3


@pytest.mark.parametrize("service", ["aws", "puterish", "my puter", "Puter", "ssh/puter", " puter"])
@pytest.mark.parametrize("key", ["token", "password"])
def test_a_project_names_no_other_programs_entry_in_the_keyring(
    folder: Folder, ring: Ring, key: str, service: str
) -> None:
    ring.entries[service, "production"] = TOKEN
    line = f"{key} = 'keyring:{service}/production'"
    folder.project(line)
    told = raised(lambda: PuterAI(profile=""))
    assert f"./puter.toml: {key} names {service!r} in the keyring" in told
    assert ring.asked == []
    Path("puter.toml").unlink()
    folder.users(line)
    PuterAI(profile="")  # the user may
    assert ring.asked == [(service, "production")]


@pytest.mark.parametrize("service", ["puter", "puter-work", "puter.com", "puter/team"])
def test_a_project_may_name_an_entry_of_ours(folder: Folder, ring: Ring, service: str) -> None:
    ring.entries[service, "ada"] = TOKEN
    folder.project(f"api_base = 'http://127.0.0.1:4100'\ntoken = 'keyring:{service}/ada'")
    assert ", signed in" in repr(PuterAI(profile=""))


def test_a_path_that_looks_like_an_address_of_this_machine_is_a_ca_bundle(
    folder: Folder, ring: Ring
) -> None:
    Path("http:/localhost").mkdir(parents=True)
    Path("http:/localhost/ca.pem").touch()
    ring.entries["puter", "ada"] = TOKEN
    folder.project("verify = 'http://localhost/ca.pem'")
    for users in (f"token = '{TOKEN}'", "token = 'keyring:puter/ada'"):
        folder.users(users, 0o600)
        assert "does not go where another file says: verify" in raised(lambda: PuterAI(profile=""))
    assert ring.asked == []


def test_a_proxy_is_not_taken_for_another_host_than_it_is(folder: Folder) -> None:
    folder.project("proxy = 'http://proxy.example.org\\@127.0.0.1:8080'", 0o600)
    folder.users(f"token = '{TOKEN}'", 0o600)
    assert "./puter.toml: proxy: the value given is not valid" in raised(
        lambda: PuterAI(profile="")
    )


@pytest.mark.parametrize(
    "harmless",
    ["api_base = 'http://127.0.0.1:4100'", "login_url = 'https://puter.com/login'", "proxy = ''",
     "verify = true", "timeout = 5", "api_base = 'https://api.puter.com'"],
)  # fmt: skip
def test_a_project_may_say_what_leads_nowhere_else(folder: Folder, harmless: str) -> None:
    folder.project(harmless)
    folder.users(f"token = '{TOKEN}'", 0o600)
    assert ", signed in" in repr(PuterAI(profile=""))


def test_what_is_wrong_with_a_saved_token_is_told_of_its_file(folder: Folder) -> None:
    folder.users("")
    saved = folder.write(folder.user.with_name("credentials.toml"), "token = 5", 0o600)
    with pytest.raises(PuterConfigError, match="token must be") as caught:
        PuterAI(profile="")
    assert str(caught.value).startswith(str(saved))


@pytest.mark.parametrize(
    ("saved", "profile", "told"), [(True, None, True), (True, "", False), (False, None, False)]
)
async def test_who_is_not_signed_in_is_told_where_a_token_is_saved(
    door: Door, folder: Folder, saved: bool, profile: str | None, told: bool
) -> None:
    if saved:
        folder.users("")
        folder.write(folder.user.with_name("credentials.toml"), "", 0o600)
    ai = door.client(token=None, profile=profile)
    with pytest.raises(PuterAuthError, match="Not signed in") as caught:
        await door(ai, "chat", "Hi")
    assert ('PuterAI(profile="")' in str(caught.value)) is told
    assert door.sent == []
