"""``login``, ``logout`` and ``whoami``: ways in, what is kept, and what the other commands find."""

from __future__ import annotations

import errno
import os
import queue
import re
import stat
import sys
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import click
import keyring
import keyring.backends.fail
import keyring.errors
import pytest

from puter import PuterAI, PuterAuthError, PuterConfigError
from puter.cli import main, saved
from puter.profiles import saved_tables
from puter.secret import Secret
from puter.testing import LocalPuter, faults
from tests.cli.conftest import Cli
from tests.consenting import allow
from tests.terminal import CTRL_C, Terminal
from tests.test_profiles import Ring

ROOT = Path(__file__).parents[2]


class Removing(Ring):
    def delete_password(self, service: str, username: str) -> None:
        if (service, username) not in self.entries:
            raise keyring.errors.PasswordDeleteError("there is none")
        del self.entries[service, username]


@pytest.fixture(autouse=True)
def no_ring() -> Iterator[None]:
    """No keyring of the machine's is touched."""
    before = keyring.get_keyring()
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]
    yield
    keyring.set_keyring(before)


@pytest.fixture
def ring(no_ring: None) -> Ring:
    found = Removing()
    keyring.set_keyring(found)
    return found


@pytest.fixture
def server(local_puter: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> LocalPuter:
    """The environment names the server, and a browser whose user presses "Allow"."""
    monkeypatch.setenv("PUTER_API_BASE", local_puter.api_base)
    monkeypatch.setenv("PUTER_LOGIN_URL", local_puter.login_url)
    monkeypatch.setenv("PUTER_PROXY", "")
    monkeypatch.setattr(webbrowser, "open", allow)
    return local_puter


@pytest.fixture
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Any:
    """What a later shell is like: nothing in the environment tells of the server."""

    def forget() -> None:
        for name in list(os.environ):
            if name.startswith("PUTER_"):
                monkeypatch.delenv(name)
        monkeypatch.setenv("PUTER_PROXY", "")

    return forget


def file() -> Path:
    return Path(os.environ["XDG_CONFIG_HOME"], "puter", "credentials.toml")


def config() -> Path:
    return file().with_name("config.toml")


# ------------------------------------------------------------ ways in


def test_the_browser(cli: Cli, server: LocalPuter) -> None:
    done = cli("login", "--browser")
    assert (done.code, done.out) == (0, "")
    assert f"Signed in as alice at {server.api_base}." in done.err
    assert "The token is not saved: --save does that" in done.err
    assert not file().exists()


def test_a_token_on_standard_input(cli: Cli, server: LocalPuter) -> None:
    done = cli("login", "--with-token", stdin=f"{server.token}\nmore\n")
    assert (done.code, done.out) == (0, "")
    assert "Signed in as alice" in done.err
    assert server.token not in done.err


@pytest.mark.parametrize("token", ["good", "misspelt"])
def test_a_token_that_is_typed_as_a_word_is_not_shown(
    cli: Cli, server: LocalPuter, token: str
) -> None:
    if token == "good":
        token = server.token
    for words in (("login", token), ("login", "--with-token", token), ("login", "--save", token)):
        done = cli(*words, stdin=server.token)
        assert (done.code, done.out) == (2, "")
        assert "A token comes on standard input: login --with-token < file." in done.err
        assert token not in done.err
    assert cli("--profile", server.token, "login", "--with-token", stdin=server.token).code == 2


@pytest.mark.parametrize("data", [b"", b"\n", b"  \nx", b"\xff\xfe", b"two words"])
def test_no_token_on_standard_input(cli: Cli, server: LocalPuter, data: bytes) -> None:
    done = cli("login", "--with-token", "--save", stdin=data)
    assert done.code in (1, 2)
    assert "token" in done.err
    assert "Traceback" not in done.err
    assert server.requests == []


@pytest.mark.parametrize("words", [(), ("--with-token",), ("--password",)])
def test_no_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """As of a program without a console."""
    monkeypatch.setattr(sys, "stdin", None)
    assert main(["login", *words]) == 2


@pytest.mark.parametrize("quoted", [True, False])
def test_a_token_that_is_refused_is_not_saved(cli: Cli, server: LocalPuter, quoted: bool) -> None:
    token = f'"{server.token}"' if quoted else "not-a-token"
    done = cli("login", "--with-token", "--save", stdin=token)
    assert (done.code, done.out) == (1, "")
    assert re.search(r"[^.]\. Copy the token again\.\n$", done.err)
    assert token not in done.err
    assert not file().exists()


def test_name_and_password_of_the_environment(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_USERNAME", "alice")
    monkeypatch.setenv("PUTER_PASSWORD", "correct horse")
    for words, kept in (((), False), (("--save",), True), (("--print-token",), True)):
        assert "Signed in as alice" in cli("login", "--password", *words).err
        assert (server.requests[-1].path != "/logout") == kept  # or nobody could end the session
    monkeypatch.setenv("PUTER_PASSWORD", "wrong horse")
    done = cli("login", "--password", "--save")
    assert done.code == 1
    assert "Incorrect password" in done.err
    assert "wrong horse" not in done.err


@pytest.mark.parametrize("words", [("login",), ("login", "--save"), ("login", "--password")])
def test_without_a_terminal_nobody_is_asked(
    cli: Cli, server: LocalPuter, words: tuple[str, ...]
) -> None:
    done = cli(*words)
    assert done.code == 2
    assert server.requests == []


def test_without_a_terminal_nobody_is_asked_for_a_code(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.add_user("two", "long password", otp="123456")
    monkeypatch.setenv("PUTER_USERNAME", "two")
    monkeypatch.setenv("PUTER_PASSWORD", "long password")
    done = cli("login", "--password")
    assert done.code == 1
    assert "second factor" in done.err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf", "soon"])
def test_a_timeout_that_is_none(cli: Cli, seconds: str) -> None:
    assert cli("login", "--browser", "--timeout", seconds).code == 2


def test_nobody_comes(cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", bool)
    done = cli("login", "--browser", "--save", "--timeout", "0.05")
    assert (done.code, done.out) == (1, "")
    assert "Nobody signed in in the browser within 0.05 s" in done.err


def test_the_address_where_no_browser_shall_open(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(webbrowser, "open")
    done = cli("login", "--browser", "--no-open", "--timeout", "0.05")
    assert f"{server.gui_url}/?action=authme&redirectURL=http%3A%2F%2Flocalhost%3A" in done.err
    assert "ssh -L" in done.err


# ------------------------------------------------------------ somebody at a terminal


class Typing:
    """What is typed at the prompts; hidden ones too."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.asked: list[str] = []
        self._hidden: list[str] = []
        monkeypatch.setattr(click.termui, "hidden_prompt_func", self._answer)

    def hidden(self, *lines: str) -> None:
        self._hidden += lines

    def _answer(self, question: str) -> str:
        self.asked.append(question)
        return self._hidden.pop(0)


@pytest.fixture
def typing(monkeypatch: pytest.MonkeyPatch) -> Typing:
    return Typing(monkeypatch)


def test_the_browser_is_offered_first(cli: Cli, server: LocalPuter, elsewhere: Any) -> None:
    done = cli("login", stdin="\ny\n", terminal=True)
    assert done.code == 0
    assert done.err.index("1  in the browser") < done.err.index("2  with user name")
    assert "Save the token on this machine?" in done.err
    elsewhere()
    assert cli("whoami").out == "alice\n"


def test_saving_is_not_the_default_answer(cli: Cli, server: LocalPuter) -> None:
    assert cli("login", stdin="1\n\n", terminal=True).code == 0
    assert not file().exists()


def test_name_password_and_code(cli: Cli, server: LocalPuter, typing: Typing) -> None:
    server.add_user("two", "long password", otp="123456")
    typing.hidden("long password", "123456")
    done = cli("login", "--no-save", stdin="2\ntwo\n", terminal=True)
    assert done.code == 0
    assert "Signed in as two" in done.err
    assert typing.asked == ["Password of two: ", "Code of the second factor: "]
    assert "long password" not in done.err + done.out


def test_a_token_is_typed_unseen(cli: Cli, server: LocalPuter, typing: Typing) -> None:
    typing.hidden(server.token)
    done = cli("login", stdin="3\nn\n", terminal=True)
    assert done.code == 0
    assert server.token not in done.err + done.out


def test_a_wrong_number_is_asked_again(cli: Cli, server: LocalPuter) -> None:
    for way in ("1", "browser"):
        done = cli("login", "--no-save", stdin=f"7\n{way}\n", terminal=True)
        assert done.code == 0
        assert done.err.count("Which") == 2


def test_the_end_of_the_input_ends_it(cli: Cli, server: LocalPuter) -> None:
    done = cli("login", stdin="", terminal=True)
    assert done.code == 1
    assert done.err.endswith("puter-ai: The input ended before all was answered.\n")


def test_a_real_terminal(server: LocalPuter) -> None:
    """The password is not shown."""
    command = [sys.executable, "-m", "puter", "login"]
    with Terminal(command, environment={"PYTHONPATH": str(ROOT)}) as terminal:
        for question, answer in (
            ("Which", "2"),
            ("address", "alice"),
            ("Password of alice", "correct horse"),
        ):
            terminal.child.expect(f"{question}.*: ")
            terminal.child.send(f"{answer}\r")
        terminal.child.expect("Save .*: ")
        assert terminal.leave("n\r") == 0
        assert "Signed in as alice" in terminal.log.getvalue()
        assert "correct horse" not in terminal.log.getvalue()
    assert not file().exists()


def test_ctrl_c_leaves(server: LocalPuter) -> None:
    command = [sys.executable, "-m", "puter", "login"]
    with Terminal(command, environment={"PYTHONPATH": str(ROOT)}) as terminal:
        terminal.child.expect("Which.*: ")
        assert terminal.leave(CTRL_C) == 130


# ------------------------------------------------------------ what is kept


def test_without_a_keyring_it_is_a_file_that_nobody_else_reads(
    cli: Cli, server: LocalPuter, elsewhere: Any
) -> None:
    before = os.umask(0)
    try:
        done = cli("login", "--browser", "--save")
    finally:
        os.umask(before)
    assert f"The token is in {file()}." in done.err
    assert stat.S_IMODE(file().stat().st_mode) == 0o600
    assert stat.S_IMODE(file().parent.stat().st_mode) == 0o700
    assert {one.name for one in file().parent.iterdir()} == {file().name, f"{file().name}.lock"}
    elsewhere()
    assert cli("whoami").out == "alice\n"
    with PuterAI(profile="") as ai:
        assert ai.whoami().username == "alice"


def test_the_keyring_has_it_where_there_is_one(
    cli: Cli, server: LocalPuter, elsewhere: Any, ring: Ring
) -> None:
    assert "The token is in the keyring." in cli("login", "--browser", "--save").err
    [(entry, token)] = ring.entries.items()
    assert entry == ("puter-default", "token")
    assert token not in file().read_text()
    elsewhere()
    assert cli("whoami").out == "alice\n"
    assert cli("logout").code == 0
    assert ring.entries == {}


@pytest.mark.parametrize("rings", [True, False], ids=["keyring", "file"])
@pytest.mark.parametrize("named", ["option", "environment"])
def test_a_profile(
    cli: Cli,
    server: LocalPuter,
    elsewhere: Any,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    rings: bool,
    named: str,
) -> None:
    if rings:
        request.getfixturevalue("ring")
    words = ["--profile", 'at "work"']
    if named == "environment":
        monkeypatch.setenv("PUTER_PROFILE", words.pop())
        words.clear()
    config().parent.mkdir(parents=True)
    config().write_text("# mine\ntimeout = 50 # seconds\n")
    assert cli("login", "--browser", "--save", *words).code == 0
    elsewhere()
    with PuterAI(profile='at "work"') as ai:
        assert (ai.whoami().username, ai.config.timeout) == ("alice", 50)
    assert cli("--profile", 'at "work"', "whoami").out == "alice\n"
    assert cli("whoami").code == 1
    assert config().read_text() == "# mine\ntimeout = 50 # seconds\n"


def test_profiles_do_not_mix(
    cli: Cli, server: LocalPuter, elsewhere: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A profile's own token, in whichever file, comes before one at the top."""
    tokens = {}
    for name in ("ada", "bob", "cy"):
        server.add_user(name, "long password")
        tokens[name] = server.issue_token(name)
    config().parent.mkdir(parents=True)
    config().write_text(f'[profile.bob]\ntoken = "{tokens["bob"]}"\n')
    config().chmod(0o600)
    cli("login", "--with-token", "--save", stdin=tokens["ada"])
    cli("login", "--with-token", "--save", "--profile", "cy", stdin=tokens["cy"])
    elsewhere()
    for profile, name in (("", "ada"), ("bob", "bob"), ("cy", "cy")):
        found = (
            cli("--profile", profile, "whoami", "--json") if profile else cli("whoami", "--json")
        )
        if profile == "bob":  # its host is that of the top level, which was saved
            assert found.code == 0, found.err
        assert found.json["username"] == name
    assert cli("--profile", "cy", "logout").code == 0
    assert cli("whoami").out == "ada\n"


@pytest.mark.parametrize("profile", ["wrok", "cheap"])
def test_logout_of_a_profile_without_a_saved_token_ends_no_other_session(
    cli: Cli, server: LocalPuter, elsewhere: Any, monkeypatch: pytest.MonkeyPatch, profile: str
) -> None:
    cli("login", "--with-token", "--save", stdin=server.token)
    config().write_text('[profile.cheap]\ndefault_model = "gpt-5-nano"\n')
    elsewhere()
    done = cli("--profile", profile, "logout")
    told = "No token is saved for the profile cheap." if profile == "cheap" else "no profile 'wrok'"
    assert (done.code, told in done.err) == (int(profile == "wrok"), True)
    assert cli("whoami").out == "alice\n"
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.issue_token("alice"))
    monkeypatch.setenv("PUTER_API_BASE", server.api_base)
    monkeypatch.setenv("PUTER_LOGIN_URL", server.login_url)
    done = cli("--profile", profile, "logout")  # of the environment, where the profile is there
    assert ("the token is revoked" in done.err) is (profile == "cheap")
    elsewhere()
    assert cli("whoami").out == "alice\n"


def test_logout_lets_a_token_go_on_that_it_cannot_remove(cli: Cli, server: LocalPuter) -> None:
    config().parent.mkdir(parents=True)
    config().write_text(f'token = "{server.token}"\n')
    config().chmod(0o600)
    done = cli("logout")
    assert (done.code, done.err) == (0, "puter-ai: No token is saved.\n")
    assert cli("whoami").out == "alice\n"


def test_it_replaces_the_token_before(cli: Cli, server: LocalPuter, elsewhere: Any) -> None:
    server.add_user("two", "long password")
    cli("login", "--browser", "--save")
    cli("login", "--with-token", "--save", stdin=server.issue_token("two"))
    elsewhere()
    assert cli("whoami").out == "two\n"
    assert file().read_text().count("token =") == 1


def test_a_keyring_that_lost_it_does_not_stand_in_the_way(
    cli: Cli, server: LocalPuter, ring: Ring
) -> None:
    cli("login", "--browser", "--save")
    ring.entries.clear()
    done = cli("whoami")
    assert done.code == 1
    assert "the keyring has no token" in done.err
    assert cli("login", "--browser", "--save").code == 0
    assert cli("whoami").out == "alice\n"
    ring.entries.clear()
    assert "The saved token is removed." in cli("logout").err
    assert not file().exists()


class Forgetful(Ring):
    """One that cuts what is long, as some do."""

    def set_password(self, service: str, username: str, password: str) -> None:
        super().set_password(service, username, password[:100])


def test_a_keyring_that_does_not_give_it_back_is_none(cli: Cli, server: LocalPuter) -> None:
    keyring.set_keyring(Forgetful())
    assert f"The token is in {file()}." in cli("login", "--browser", "--save").err


def test_the_environment_that_comes_before_is_told(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_TOKEN", server.token)
    assert "PUTER_TOKEN is set, and counts before it." in cli("login", "--browser", "--save").err


def test_a_folder_that_cannot_be_written_to(cli: Cli, server: LocalPuter) -> None:
    file().parent.parent.mkdir(parents=True, exist_ok=True)
    file().parent.write_text("a file in its place")
    done = cli("login", "--browser", "--save")
    assert done.code == 1
    assert "Traceback" not in done.err


def test_a_crash_leaves_the_old_file(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("login", "--browser", "--save")
    before = file().read_text()

    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    done = cli("login", "--with-token", "--save", stdin=server.issue_token("alice"))
    assert done.code == 1
    assert "No space left" in done.err
    assert file().read_text() == before
    assert {one.name for one in file().parent.iterdir()} == {file().name, f"{file().name}.lock"}


def test_what_somebody_else_wrote_into_the_file_stays() -> None:
    file().parent.mkdir(parents=True)
    file().write_text("timeout = 5\n[profile.work]\ndefault_model = 'x'\ntoken = 'old'\n")
    file().chmod(0o600)
    saved.save("work", Secret("new"), {})
    saved.save("", Secret("top"), {})
    assert saved_tables() == {
        "": {"timeout": 5, "token": "top"},
        "work": {"default_model": "x", "token": "new"},
    }
    assert saved.remove("work", Secret("new"))
    assert saved.remove("", Secret("top"))
    assert saved_tables() == {"": {"timeout": 5}, "work": {"default_model": "x"}}


def test_logins_and_logouts_at_once_lose_nothing() -> None:
    def change(number: int) -> None:
        saved.save(f"p{number}", Secret(f"token {number}"), {})
        if number % 2:
            saved.remove(f"p{number}", Secret(f"token {number}"))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change, range(8)))
    assert saved_tables() == {
        "": {},
        **{f"p{number}": {"token": f"token {number}"} for number in range(0, 8, 2)},
    }


def test_a_token_is_in_the_keyring_before_anybody_else_changes_what_is_saved(
    ring: Ring, monkeypatch: pytest.MonkeyPatch
) -> None:
    saved.save("", Secret("old"), {})
    put, refused = ring.set_password, list[str]()

    def set_password(*entry: str) -> None:
        put(*entry)
        try:
            saved.remove("", Secret("new"))
        except PuterConfigError as error:
            refused.append(error.message)

    monkeypatch.setattr(saved, "_LONGEST", 0.0)
    monkeypatch.setattr(ring, "set_password", set_password)
    saved.save("", Secret("new"), {})
    assert [one.partition(" changes")[0] for one in refused] == ["Another program"]
    assert saved.token("") == Secret("new")


def test_a_file_that_another_program_does_not_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saved, "_LONGEST", 0.0)
    with saved._alone(), pytest.raises(PuterConfigError, match="Another program"):
        saved.save("", Secret("t"), {})
    saved.save("", Secret("t"), {})
    assert saved.token("") == Secret("t")


def test_what_cannot_be_written_again_is_not_lost() -> None:
    file().parent.mkdir(parents=True)
    file().write_text("headers = {A = 'b'}")
    with pytest.raises(PuterConfigError, match=r"Move it into config\.toml"):
        saved.save("", Secret("t"), {})
    assert file().read_text() == "headers = {A = 'b'}"


@pytest.mark.parametrize("name", ["a\nb", "\x7f", "a\x1b[31m"])
def test_a_name_that_no_file_could_hold(cli: Cli, server: LocalPuter, name: str) -> None:
    assert cli("login", "--browser", "--save", "--profile", name).code == 2


@pytest.mark.parametrize("name", ["work", "a b", 'q"uo\\te', "a.b", "a/b", "ä", "default", "'"])
def test_any_other_name(name: str) -> None:
    saved.save(name, Secret("tok"), {"api_base": "http://127.0.0.1:1"})
    saved.save("other", Secret("tok2"), {})
    assert saved_tables()[name] == {"api_base": "http://127.0.0.1:1", "token": "tok"}
    assert saved.token(name) == Secret("tok")
    assert saved.is_saved(name)
    saved.remove(name, Secret("tok"))
    assert not saved.is_saved(name)
    assert saved.token("other") == Secret("tok2")


# ------------------------------------------------------------ where secrets go


def test_a_token_belongs_to_the_host_that_gave_it(
    cli: Cli, server: LocalPuter, elsewhere: Any
) -> None:
    cli("login", "--browser", "--save")
    elsewhere()
    with PuterAI(profile="") as ai:
        assert (ai.config.api_base, ai.config.login_url) == (server.api_base, server.login_url)


def test_what_config_toml_says_is_not_written_again(
    cli: Cli, server: LocalPuter, elsewhere: Any
) -> None:
    elsewhere()
    config().parent.mkdir(parents=True)
    config().write_text(f'api_base = "{server.api_base}"\nlogin_url = "{server.login_url}"\n')
    assert cli("login", "--browser", "--save").code == 0
    assert "api_base" not in file().read_text()
    assert cli("whoami").out == "alice\n"


@pytest.mark.parametrize(
    "words",
    [
        ("login", "--with-token"),
        ("login", "--password"),
        ("login", "--browser", "--timeout", "0.05"),
        ("logout",),
        ("whoami",),
        ("models",),
    ],
    ids=" ".join,
)
@pytest.mark.parametrize("source", ["environment", "saved"])
def test_a_strangers_folder_does_not_say_where_secrets_go(
    cli: Cli,
    server: LocalPuter,
    elsewhere: Any,
    monkeypatch: pytest.MonkeyPatch,
    words: tuple[str, ...],
    source: str,
) -> None:
    cli("login", "--browser", "--save")
    elsewhere()
    with LocalPuter() as stranger:
        Path("puter.toml").write_text(
            f'api_base = "{stranger.api_base}"\nlogin_url = "{stranger.login_url}"\n'
        )
        opened: queue.Queue[str] = queue.Queue()
        monkeypatch.setattr(webbrowser, "open", opened.put)
        if source == "environment":
            monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
        monkeypatch.setenv("PUTER_USERNAME", "alice")
        monkeypatch.setenv("PUTER_PASSWORD", "correct horse")
        cli(*words, stdin=server.token)
        assert stranger.requests == []
        if "--browser" in words:
            assert opened.get(timeout=30).startswith(server.gui_url)


# ------------------------------------------------------------ the token itself


def test_the_line_for_the_shell(cli: Cli, server: LocalPuter, monkeypatch: Any) -> None:
    done = cli("login", "--browser", "--print-token", stdin="", terminal=True)
    line = re.fullmatch(r"export PUTER_AUTH_TOKEN=(\S+)\n", done.out)
    assert line
    assert "Save the token" not in done.err
    monkeypatch.setenv("PUTER_AUTH_TOKEN", line[1])
    assert cli("whoami").out == "alice\n"


def test_it_is_not_on_the_screen_unasked(cli: Cli, server: LocalPuter) -> None:
    for words in (
        ("login", "--browser", "--save"),
        ("whoami",),
        ("--debug", "whoami"),
        ("logout",),
    ):
        done = cli(*words)
        token = saved.token("")
        assert "eyJ" not in done.out + done.err
        assert token is None or token.reveal() not in done.out + done.err


# ------------------------------------------------------------ out


def test_a_session_is_revoked(cli: Cli, server: LocalPuter, elsewhere: Any) -> None:
    cli("login", "--with-token", "--save", stdin=server.token)
    done = cli("logout")
    assert done.code == 0
    assert "The saved token is removed." in done.err
    assert "Signed out: the token is revoked." in done.err
    assert not file().exists()
    assert cli("login", "--with-token", stdin=server.token).code == 1
    elsewhere()
    assert "Not signed in" in cli("whoami").err


def test_an_api_token_cannot_revoke_itself(cli: Cli, server: LocalPuter) -> None:
    cli("login", "--browser", "--save")
    done = cli("logout")
    assert done.code == 0
    assert "an API token is revoked in Puter's dashboard" in done.err
    assert not file().exists()


def test_who_is_not_signed_in_is_told_the_command(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "Not signed in. Run: puter-ai login (without an account: puter-ai --local)"
    assert cli("whoami").err == f"puter-ai: {told}\n"
    assert cli("login", "--with-token", "--save", stdin=server.token).code == 0
    assert cli("config", "--json").json["token"] == {"value": "***", "from": str(file())}
    server.revoke(server.token)
    assert cli("whoami").err.endswith(" Run: puter-ai login\n")
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
    told = " Put another token into PUTER_AUTH_TOKEN, or unset it and run: puter-ai login\n"
    assert cli("whoami").err.endswith(told)


def test_the_help_keeps_its_examples_apart(cli: Cli) -> None:
    assert "\n  puter-ai login --browser --save\n" in cli("login", "--help").out


def test_nobody_is_signed_in(cli: Cli, server: LocalPuter) -> None:
    done = cli("logout")
    assert (done.code, done.out) == (0, "")
    assert "No token is saved." in done.err


def test_the_token_of_the_environment_is_revoked_and_told(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
    done = cli("logout")
    assert "the token is revoked" in done.err
    assert "unset PUTER_AUTH_TOKEN" in done.err


def test_the_saved_one_goes_first(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    cli("login", "--with-token", "--save", stdin=server.issue_token("alice"))
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
    assert "revoked" in cli("logout").err
    assert cli("whoami").out == "alice\n"


@pytest.mark.parametrize("where", ["keyring", "file"])
def test_a_login_at_the_same_time_keeps_its_token(
    cli: Cli, server: LocalPuter, request: pytest.FixtureRequest, where: str, monkeypatch: Any
) -> None:
    if where == "keyring":
        request.getfixturevalue("ring")
    cli("login", "--with-token", "--save", stdin=server.token)
    newer = Secret(server.issue_token("alice"))
    end = PuterAI.logout

    def logout(ai: PuterAI) -> None:
        end(ai)
        saved.save("", newer, {})

    monkeypatch.setattr(PuterAI, "logout", logout)
    done = cli("logout")
    assert done.code == 0
    assert "Signed out: the token is revoked." in done.err
    assert "A newer token is saved, and stays." in done.err
    assert "removed" not in done.err
    assert saved.token("") == newer
    assert cli("whoami").out == "alice\n"


@pytest.mark.parametrize("status", [None, 429, 500])
def test_a_token_that_could_not_be_revoked_is_kept(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch, status: int | None
) -> None:
    """Nobody could revoke it later otherwise."""
    cli("login", "--with-token", "--save", stdin=server.token)
    monkeypatch.setenv("PUTER_MAX_RETRIES", "0")
    if status is None:
        server.stop()
    else:
        server.inject(faults.status(status), times=2)
    done = cli("logout")
    assert done.code == 1
    assert "The saved token is kept. Try again, or: logout --force" in done.err
    assert "removed" not in done.err
    assert saved.token("") == Secret(server.token)
    if status == 429:
        server.clear_faults()
        assert "the token is revoked" in cli("logout").err
    else:
        done = cli("logout", "--force")
        assert done.code == 0
        assert "The token may still be used: end it in Puter's settings." in done.err
        assert "The saved token is removed." in done.err
    assert not file().exists()
    assert "No token is saved." in cli("logout", "--force").err


class Locking(Removing):
    """A keyring that refuses some of what it is asked."""

    refused: tuple[str, ...] = ()

    def _ask(self, what: str) -> None:
        if what in self.refused:
            raise ValueError("locked")  # backends raise what they like

    def get_password(self, service: str, username: str) -> str | None:
        self._ask("get")
        return super().get_password(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        self._ask("set")
        super().set_password(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        self._ask("delete")
        super().delete_password(service, username)


@pytest.mark.parametrize(
    ("refused", "told"),
    [
        (("get", "set", "delete"), "does not open (ValueError)"),
        (("delete",), "does not remove the saved token"),
    ],
)
def test_what_the_keyring_keeps_is_not_said_to_be_removed(
    cli: Cli, server: LocalPuter, refused: tuple[str, ...], told: str
) -> None:
    ring = Locking()
    keyring.set_keyring(ring)
    cli("login", "--browser", "--save")
    token, ring.refused = saved.token(""), refused
    done = cli("logout")
    assert done.code == 1
    assert told in done.err
    assert "removed" not in done.err
    assert saved.is_saved("")
    ring.refused = ()
    assert saved.token("") == token
    ring.refused = refused
    done = cli("logout", "--force")
    assert done.code == 0
    assert f"{told}: this program forgets it all the same." in done.err
    assert "removed" not in done.err
    assert not file().exists()


def test_a_token_in_a_file_leaves_none_in_the_keyring(cli: Cli, server: LocalPuter) -> None:
    ring = Locking()
    keyring.set_keyring(ring)
    cli("login", "--browser", "--save")
    before, ring.refused = saved.token(""), ("get", "set", "delete")
    done = cli("login", "--with-token", "--save", stdin=server.token)
    assert done.code == 1
    assert "Unlock it" in done.err
    ring.refused = ("set",)
    assert saved.token("") == before
    done = cli("login", "--with-token", "--save", stdin=server.token)
    assert f"The token is in {file()}." in done.err
    assert "The token before may still be used" in done.err
    assert ring.entries == {}


def test_local_keeps_nothing(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webbrowser, "open", allow)
    assert cli("--local", "login", "--browser", "--save").code == 2
    assert "Signed in as alice" in cli("--local", "login", "--browser").err
    assert cli("--local", "whoami").out == "alice\n"
    assert "revoked" in cli("--local", "logout").err


def test_whoami_as_json(cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PUTER_AUTH_TOKEN", server.token)
    assert cli("whoami", "--json").json["email"] == "alice@example.com"


def open_sessions(server: LocalPuter) -> list[str]:
    """The users whose sessions were begun here and go on."""
    tokens = {
        value.removeprefix("Bearer ")
        for one in server.requests
        for name, value in one.headers.items()
        if name.lower() == "authorization"
    }
    found = []
    for token in tokens:
        with server.client(token=token) as ai, suppress(PuterAuthError):
            found.append(ai.whoami().username)
    return found


@pytest.mark.parametrize(
    "how", ["no-save", "no folder", "disk full", "no whoami", "saved", "shown"]
)
def test_a_session_whose_token_nobody_has_is_ended(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    monkeypatch.setenv("PUTER_USERNAME", "alice")
    monkeypatch.setenv("PUTER_PASSWORD", "correct horse")
    monkeypatch.setenv("PUTER_MAX_RETRIES", "0")
    words = {"no-save": "--no-save", "no whoami": "--no-save", "shown": "--print-token"}
    if how == "no folder":
        file().parent.parent.mkdir(parents=True, exist_ok=True)
        file().parent.write_text("a file in its place")
    elif how == "disk full":
        monkeypatch.setattr(saved, "write_whole", _full)
    elif how == "no whoami":
        server.inject(faults.status(500), times=1, path="/whoami")
    done = cli("login", "--password", words.get(how, "--save"))
    kept = how in ("saved", "shown")
    assert done.code == (0 if kept or how == "no-save" else 1)
    assert ("The session is ended" in done.err) is not (kept or how == "no folder")
    if how == "no folder":
        assert server.requests == []
    assert open_sessions(server) == (["alice"] if kept else [])


def _full(*_: Any, **__: Any) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def test_without_platformdirs_nothing_can_be_saved(
    cli: Cli, server: LocalPuter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.setattr("puter.cli.session.find_spec", {}.get)
    assert cli("login", "--browser").code == 0
    done = cli("login", "--browser", "--save")
    assert done.code == 1
    assert "pip install platformdirs" in done.err
    assert cli("logout").code == 0
