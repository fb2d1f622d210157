"""PuterConfig: every field, where it comes from, and what it refuses."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import json
import math
import pickle
from collections.abc import Mapping
from typing import Any, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

import puter
from puter.config import PuterConfig
from puter.engine.client import WINDOW_MARGIN, limits_of
from puter.settings import ConfigOptions
from puter.wire.http import driver_call
from tests.door import Door, calls_body, chat_body

FIELDS = [one.name for one in dataclasses.fields(PuterConfig)]

DEFAULTS: dict[str, Any] = {
    "api_base": "https://api.puter.com",
    "login_url": "https://puter.com/login",
    "timeout": 300.0,
    "connect_timeout": 10.0,
    "chunk_timeout": None,
    "deadline": None,
    "max_response_bytes": 2**28,
    "max_retries": 5,
    "retry_delay": 0.5,
    "backoff_factor": 2.0,
    "max_retry_delay": 60.0,
    "retry_on_timeout": False,
    "rate_limit_requests": 30,
    "rate_limit_period": 10.0,
    "max_concurrency": "auto",
    "headers": {},
    "default_model": "gpt-5-nano",
    "auto_login": True,
    "proxy": None,
    "verify": None,
    "allow_http": False,
}

# field: (text of the variable, value)
ENVIRONMENT: dict[str, tuple[str, Any]] = {
    "api_base": ("https://api.example.org/", "https://api.example.org"),
    "login_url": ("https://example.org", "https://example.org/login"),
    "timeout": ("1.5", 1.5),
    "connect_timeout": ("none", None),
    "chunk_timeout": ("20", 20),
    "deadline": ("90", 90),
    "max_response_bytes": ("1000", 1000),
    "max_retries": ("0", 0),
    "retry_delay": ("0.25", 0.25),
    "backoff_factor": ("3", 3),
    "max_retry_delay": ("7", 7),
    "retry_on_timeout": ("yes", True),
    "rate_limit_requests": ("None", None),
    "rate_limit_period": ("60", 60),
    "max_concurrency": ("Auto", "auto"),
    "headers": ('{"X-Team": "blue"}', {"X-Team": "blue"}),
    "default_model": ("gpt-4.1", "gpt-4.1"),
    "auto_login": ("off", False),
    "proxy": ("http://proxy.example.org:3128", "http://proxy.example.org:3128"),
    "verify": ("true", True),
    "allow_http": ("1", True),
}

WRONG: dict[str, list[Any]] = {
    "api_base": [None, 5, "api.puter.com"],
    "login_url": [5, "", "puter.com/login"],
    "timeout": [0, -1, "60", float("nan"), float("inf"), 10**400, True, [60]],
    "connect_timeout": [0, "10", False],
    "chunk_timeout": [0, "20", True],
    "deadline": [0, -0.1, "soon"],
    "max_response_bytes": [0, -1, 1.5, None, "1000", True],
    "max_retries": [-1, 1.5, "3", True, None],
    "retry_delay": [-0.1, "1", None, 10**400],
    "backoff_factor": [0.5, 0, "2", None],
    "max_retry_delay": [-1, None, float("inf")],
    "retry_on_timeout": [1, "yes", None],
    "rate_limit_requests": [0, 1.5, "30", True],
    "rate_limit_period": [0, None, "10"],
    "max_concurrency": [0, -3, 2.0, "20", "automatic", True],
    "headers": [
        None,
        "X: y",
        [("X", "y")],
        {"X": 5},
        {5: "x"},
        {"": "x"},
        {"a b": "x"},
        {"X": "a\r\nEvil: b"},
        {"X": "grün"},
        {"X": " y"},
        {"Authorization": "Bearer x"},
        {"ORIGIN": "https://puter.com"},
        {"Cookie": "a=b"},
        {"Host": "example.org"},
    ],
    "default_model": ["", "  ", 5, None],
    "auto_login": [0, "no", None],
    "proxy": [5, "proxy:3128", "socks5://proxy", "http://", "http://[bad", "http://proxy:x"],
    "verify": [False, 5, "", "/no/such/bundle.pem", b"/tmp"],
    "allow_http": [1, "true", None],
}

BAD_URLS: list[Any] = [
    5,
    b"https://api.puter.com",
    "",
    "api.puter.com",
    "//api.puter.com",
    "/drivers/call",
    "ftp://api.puter.com",
    "https://",
    "https:///path",
    "https://:443",
    "https://api.puter.com?x=y",
    "https://api.puter.com#top",
    "https://alice:secret@api.puter.com",
    "https://alice@api.puter.com",
    "https://api.puter.com:port",
    "https://api.puter.com:99999",
    "https://[::1",
    "https://api..puter.com",
    "https://" + "a" * 64 + ".com",
    "https://api.puter.com/a b",
    "https://api.puter.com/\nevil",
    "https://api.puter.com\\@evil.example",
    "javascript:alert(1)",
]


def test_the_tables_here_know_every_field() -> None:
    assert set(DEFAULTS) == set(ENVIRONMENT) == set(WRONG) == set(FIELDS)


def test_the_keyword_arguments_are_the_fields() -> None:
    fields, options = get_type_hints(PuterConfig), get_type_hints(ConfigOptions)
    assert fields.pop("login_url") | None == options.pop("login_url")  # derived when None is given
    assert (fields.pop("headers"), options.pop("headers")) == (dict[str, str], Mapping[str, str])
    assert options == fields


@pytest.mark.parametrize("name", FIELDS)
def test_defaults(name: str) -> None:
    assert getattr(PuterConfig(), name) == DEFAULTS[name]
    assert getattr(puter.PuterAI().config, name) == DEFAULTS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_each_field_has_an_environment_variable(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, value = ENVIRONMENT[name]
    monkeypatch.setenv(f"PUTER_{name.upper()}", text)
    assert getattr(PuterConfig.from_env(), name) == value
    assert getattr(puter.PuterAI().config, name) == value
    assert getattr(PuterConfig(), name) == DEFAULTS[name]  # only from_env looks


@pytest.mark.parametrize("name", FIELDS)
def test_an_override_beats_the_environment(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PUTER_{name.upper()}", "\x01 no good")
    assert getattr(PuterConfig.from_env(**{name: DEFAULTS[name]}), name) == DEFAULTS[name]


@pytest.mark.parametrize("name", FIELDS)
def test_an_empty_variable_counts_as_not_set(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PUTER_{name.upper()}", "")
    expected = "" if name == "proxy" else DEFAULTS[name]  # no proxy, whatever the environment says
    assert getattr(PuterConfig.from_env(), name) == expected


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("timeout", "soon"),
        ("timeout", "nan"),
        ("timeout", "1e999"),
        ("max_retries", "1.5"),
        ("max_retries", "none"),
        ("auto_login", "maybe"),
        ("headers", "X: y"),
        ("headers", "[]"),
        ("headers", "none"),
        ("headers", "[" * 100_000),
        ("api_base", "api.puter.com"),
        ("verify", "false"),
        ("verify", "/no/such/bundle.pem"),
        ("proxy", "socks5://proxy"),
    ],
)
def test_a_bad_variable_is_named(name: str, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"PUTER_{name.upper()}", text)
    with pytest.raises(puter.PuterConfigError, match=f"PUTER_{name.upper()}") as caught:
        PuterConfig.from_env()
    assert caught.value.hint


@pytest.mark.parametrize(
    ("variable", "text", "told"),
    [
        ("PUTER_TIMEOUT", "abc", ("'abc'", "a number of seconds above 0, or None")),
        ("PUTER_MAX_RETRIES", "two", ("'two'", "a whole number, 0 or more")),
        ("PUTER_HEADERS", "X-Team: s3cret", ("PUTER_HEADERS", '{"X-Team": "blue"}')),
        ("PUTER_PROXY", "s3cret", ("PUTER_PROXY", "http://")),
    ],
)
def test_a_bad_variable_is_shown_with_what_it_must_be(
    variable: str, text: str, told: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, text)
    with pytest.raises(puter.PuterConfigError) as caught:
        puter.PuterAI()
    assert all(one in str(caught.value) for one in told)
    assert "s3cret" not in str(caught.value)


def test_none_stands_for_none_in_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("proxy", "verify", "login_url", "deadline"):
        monkeypatch.setenv(f"PUTER_{name.upper()}", "none")
    assert PuterConfig.from_env() == PuterConfig()


@pytest.mark.parametrize(
    ("name", "value"),
    [(name, value) for name, values in WRONG.items() for value in values],
    ids=lambda one: repr(one)[:40],
)
def test_a_wrong_value_is_refused_everywhere_with_the_field_named(name: str, value: Any) -> None:
    config = PuterConfig(timeout=7)
    before = config.to_dict()
    for attempt in (
        lambda: PuterConfig(**{name: value}),
        lambda: puter.PuterAI(**{name: value}),
        lambda: setattr(config, name, value),
        lambda: config.update(**{name: value}),
        lambda: config.replace(**{name: value}),
    ):
        with pytest.raises(puter.PuterConfigError, match=name):
            attempt()
    assert config.to_dict() == before


@pytest.mark.parametrize("name", ["api_base", "login_url"])
@pytest.mark.parametrize("url", BAD_URLS, ids=lambda one: repr(one)[:40])
def test_bad_urls_are_refused(name: str, url: Any) -> None:
    setting = {name: url}
    with pytest.raises(puter.PuterConfigError, match=name) as caught:
        PuterConfig(**setting)
    assert isinstance(caught.value, ValueError)
    assert "secret" not in str(caught.value)


def test_a_refused_value_is_told_without_its_secrets() -> None:
    for setting in (
        {"proxy": "socks5://me:hush-hush@proxy"},
        {"headers": "hush-hush"},
        {"api_base": "https://api.puter.com?auth_token=hush-hush"},
        {"api_base": "https://me:hush-hush@puter.com"},
    ):
        with pytest.raises(puter.PuterConfigError) as caught:
            PuterConfig(**setting)  # type: ignore[arg-type]  # wrong on purpose
        assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("https://API.Puter.com/", "https://api.puter.com"),
        (" https://api.puter.com ", "https://api.puter.com"),
        ("HTTPS://api.puter.com:443", "https://api.puter.com:443"),
        ("https://example.org/puter/", "https://example.org/puter"),
        ("https://[2001:db8::1]:8443", "https://[2001:db8::1]:8443"),
    ],
)
def test_good_urls_are_tidied(given: str, kept: str) -> None:
    assert PuterConfig(api_base=given).api_base == kept


def test_login_url_follows_api_base_until_it_is_given() -> None:
    config = PuterConfig(api_base="https://api.one.example:8443")
    assert config.login_url == "https://one.example:8443/login"
    config.api_base = "https://two.example/base"
    assert config.login_url == "https://two.example/login"
    config.update(api_base="https://api.three.example")
    assert config.login_url == "https://three.example/login"
    config.login_url = "https://gui.example"
    config.api_base = "https://api.four.example"
    assert config.login_url == "https://gui.example/login"
    config.update(login_url=None)
    assert config.login_url == "https://four.example/login"


def test_a_refused_login_url_leaves_the_derived_one_derived() -> None:
    config = PuterConfig()
    with pytest.raises(puter.PuterConfigError):
        config.login_url = "nonsense"
    config.api_base = "https://api.example.org"
    assert config.login_url == "https://example.org/login"


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1:4100",
        "127.9.9.9",
        "[::1]:4100",
        "localhost",
        "api.localhost:4100",
        "a.b.localhost",
    ],
)
def test_plain_http_is_fine_on_loopback(host: str) -> None:
    assert PuterConfig(api_base=f"http://{host}").api_base == f"http://{host}"


@pytest.mark.parametrize(
    "host",
    [
        "api.puter.com",
        "10.0.0.1",
        "0.0.0.0",
        "128.0.0.1",
        "127.0.0.1.example.org",
        "localhost.example.org",
        "notlocalhost",
        "[2001:db8::1]",
    ],
)
def test_plain_http_to_others_is_refused_unless_allowed(host: str) -> None:
    for setting in ({"api_base": f"http://{host}"}, {"login_url": f"http://{host}/login"}):
        with pytest.raises(puter.PuterConfigError, match="allow_http"):
            PuterConfig(**setting)  # type: ignore[arg-type]  # mypy takes the dict for any field
    config = PuterConfig(api_base=f"http://{host}", allow_http=True)
    with pytest.raises(puter.PuterConfigError, match="allow_http"):
        config.allow_http = False
    assert config.allow_http is True


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("time_out", "timeout"),
        ("retries", "max_retries"),
        ("zzzzz", "PuterAI takes username, password, token, profile, api_base"),
    ],
)
def test_an_unknown_name_is_refused_with_a_suggestion(name: str, near: str) -> None:
    config, ai = PuterConfig(), puter.PuterAI()
    setting: dict[str, Any] = {name: 1}
    for attempt in (
        lambda: puter.PuterAI(**setting),
        lambda: puter.PuterAI(config=config, **setting),
        lambda: ai.with_options(**setting),
        lambda: config.update(**setting),
        lambda: config.replace(**setting),
        lambda: PuterConfig.from_env(**setting),
        lambda: setattr(config, name, 1),
    ):
        with pytest.raises(puter.PuterConfigError, match=near):
            attempt()


MEANT = {
    **dict.fromkeys(("api_key", "auth_token", "access_token", "key", "tokn"), r"PuterAI\(token="),
    **dict.fromkeys(("email", "user", "user_name"), r"PuterAI\(username="),
    "passwort": r"PuterAI\(password=",
    "base_url": "'api_base'",
    "model": "'default_model'",
    "default_headers": "'headers'",
    "http_client": r"PuterAI\(transport=",
}


@pytest.mark.parametrize("name", MEANT)
def test_names_of_other_sdks_are_understood(name: str) -> None:
    wrong: dict[str, Any] = {name: "x"}
    for attempt in (
        lambda: puter.PuterAI(**wrong),
        lambda: puter.PuterAI().with_options(**wrong),
        lambda: PuterConfig().update(**wrong),
        lambda: PuterConfig.from_env(**wrong),
    ):
        with pytest.raises(puter.PuterConfigError, match=f"Did you mean {MEANT[name]}"):
            attempt()


@pytest.mark.parametrize("name", ["token", "username", "password"])
def test_what_is_no_setting_belongs_to_the_client(name: str) -> None:
    with pytest.raises(puter.PuterConfigError, match=rf"belongs to the client: PuterAI\({name}="):
        puter.PuterAI().with_options(**{name: "x"})  # type: ignore[arg-type]  # wrong on purpose


def test_there_is_no_global_config() -> None:
    config: Any = importlib.import_module("puter.config")
    for attempt in (
        lambda: config.update,
        lambda: config.timeout,
        lambda: setattr(config, "timeout", 60),
        lambda: config.from_env,
    ):
        with pytest.raises(AttributeError, match=r"each client has its own.*ai\.config\.update"):
            attempt()
    with pytest.raises(AttributeError, match=r"no attribute 'nonsense'$"):
        _ = config.nonsense


def test_update_is_all_or_nothing() -> None:
    config = PuterConfig()
    with pytest.raises(puter.PuterConfigError, match="max_retries"):
        config.update(timeout=60, max_retries=-1)
    with pytest.raises(puter.PuterConfigError, match="allow_http"):
        config.update(timeout=60, api_base="http://example.org")
    assert config == PuterConfig()
    config.update(timeout=60, max_retries=1)
    assert (config.timeout, config.max_retries) == (60, 1)


def test_replace_leaves_the_original_alone() -> None:
    config = PuterConfig(timeout=1)
    other = config.replace(timeout=2, api_base="https://api.example.org")
    assert (config.timeout, other.timeout) == (1, 2)
    assert other.login_url == "https://example.org/login"
    assert config == PuterConfig(timeout=1)


SETTINGS = st.fixed_dictionaries(
    {},
    optional={
        "api_base": st.sampled_from(["https://api.example.org", "http://localhost:1"]),
        "login_url": st.sampled_from([None, "https://example.org/sign/in", "http://127.0.0.1"]),
        "timeout": st.none() | st.floats(0.001, 1e6),
        "connect_timeout": st.none() | st.integers(1, 100),
        "chunk_timeout": st.none() | st.floats(0.001, 1e6),
        "deadline": st.none() | st.floats(0.001, 1e6),
        "max_response_bytes": st.integers(1, 2**40),
        "max_retries": st.integers(0, 100),
        "retry_delay": st.floats(0, 100),
        "backoff_factor": st.floats(1, 10),
        "max_retry_delay": st.floats(0, 1000),
        "retry_on_timeout": st.booleans(),
        "rate_limit_requests": st.none() | st.integers(1, 1000),
        "rate_limit_period": st.floats(0.001, 100),
        "max_concurrency": st.sampled_from([None, "auto"]) | st.integers(1, 1000),
        "headers": st.dictionaries(st.sampled_from(["X-A", "X-B"]), st.sampled_from(["", "y"])),
        "default_model": st.sampled_from(["gpt-4.1", "brand-new"]),
        "auto_login": st.booleans(),
        "proxy": st.sampled_from([None, "", "http://proxy:1"]),
        "verify": st.sampled_from([None, True]),
        "allow_http": st.booleans(),
    },
)


@given(SETTINGS)
def test_settings_survive_every_way_of_copying(settings: dict[str, Any]) -> None:
    config = PuterConfig(**settings)
    values = config.to_dict()
    assert all(values[name] == getattr(config, name) for name in settings if name != "login_url")
    for twin in (
        PuterConfig(**values),
        config.replace(),
        copy.copy(config),
        copy.deepcopy(config),
        pickle.loads(pickle.dumps(config)),
    ):
        assert twin == config
        assert twin is not config
        assert twin.to_dict() == values  # so a derived login_url stays derived
    json.dumps(values)


def test_two_clients_never_share_settings() -> None:
    config = PuterConfig(timeout=1)
    one, two = puter.PuterAI(config=config), puter.PuterAI(config=config, timeout=2)
    three = one.with_options(timeout=3)
    one.config.timeout = 4
    config.timeout = 5
    assert [one.config.timeout, two.config.timeout, three.config.timeout] == [4, 2, 3]


def test_the_caller_keeps_no_hand_on_the_headers() -> None:
    headers = {"X-Team": "blue"}
    config = PuterConfig(headers=headers)
    headers["X-Team"] = "red"
    config.to_dict()["headers"]["X-Team"] = "red"
    copy.copy(config).headers["X-Team"] = "red"
    config.replace().headers["X-Team"] = "red"
    puter.PuterAI(config=config).config.headers["X-Team"] = "red"
    assert config.headers == {"X-Team": "blue"}


async def test_a_header_set_by_name_counts_from_the_next_call(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi")
    headers = ai.config.headers
    headers["X-A"] = "1"
    headers.update({"X-B": "2"})
    ai.config.headers |= {"X-C": "3"}
    ai.config.headers.setdefault("X-D", "4")
    del ai.config.headers["X-B"]
    await door(ai, "chat", "Hi")
    first, second = door.sent
    assert not [name for name in first.headers if name.startswith("X-")]
    own = {name: value for name, value in second.headers.items() if name.startswith("X-")}
    assert own == {"X-A": "1", "X-C": "3", "X-D": "4"} == ai.config.headers
    assert dict(ai.config.headers) == own
    assert len(ai.config.headers) == 3


@pytest.mark.parametrize("wrong", [one for one in WRONG["headers"] if type(one) is dict])
def test_a_header_set_by_name_is_checked(wrong: Any) -> None:
    config = PuterConfig(headers={"X-A": "1"})
    ((name, value),) = wrong.items()
    for attempt in (
        lambda: config.headers.__setitem__(name, value),
        lambda: config.headers.update(wrong),
        lambda: config.headers.setdefault(name, value),
        lambda: setattr(config, "headers", config.headers | wrong),
    ):
        with pytest.raises(puter.PuterConfigError, match="headers"):
            attempt()
    assert config.headers == {"X-A": "1"}


async def test_a_call_under_way_keeps_its_headers(door: Door) -> None:
    ai = door.client(headers={"X-A": "1"})

    def rename() -> str:
        """Change the headers while the call runs."""
        ai.config.headers["X-A"] = "2"
        return "done"

    door.answers(calls_body(("rename", {})), chat_body())
    await door(ai, "chat", "Hi", tools=[rename])
    await door(ai, "chat", "Hi")
    assert [sent.headers["X-A"] for sent in door.sent] == ["1", "1", "2"]


def test_config_must_be_a_config() -> None:
    with pytest.raises(puter.PuterConfigError, match="PuterAI\\(timeout=60\\)"):
        puter.PuterAI(config={"timeout": 60})  # type: ignore[arg-type]  # wrong on purpose


SECRETIVE: dict[str, Any] = {
    "proxy": "http://me:hush-hush@proxy.example.org:3128",
    "headers": {"X-Secret": "hush-hush", "X-Api-Token": "hush-hush", "X-Team": "blue"},
}


def test_repr_shows_settings_but_no_secret() -> None:
    shown = repr(PuterConfig(timeout=7, **SECRETIVE))
    assert "hush" not in shown
    for told in (
        "timeout=7",
        "proxy.example.org:3128",
        "X-Team",
        "X-Secret",
        "https://puter.com/login",
    ):
        assert told in shown
    assert all(f"{name}=" in shown for name in FIELDS)


def test_variables_of_a_config_show_no_secret() -> None:
    shown = str(vars(PuterConfig(timeout=7, **SECRETIVE)))
    assert "hush" not in shown
    assert "http://***@proxy.example.org:3128" in shown


def test_pickles_carry_settings_but_no_secret() -> None:
    config = PuterConfig(timeout=7, **SECRETIVE)
    data = pickle.dumps(config)
    assert b"hush" not in data
    twin = pickle.loads(data)
    assert (twin.timeout, twin.proxy) == (7, "http://proxy.example.org:3128")
    assert twin.headers == {"X-Team": "blue"}
    assert b"hush" not in pickle.dumps(puter.PuterAI(config=config))


def test_copies_in_the_same_process_keep_the_secrets() -> None:
    config = PuterConfig(**SECRETIVE)
    assert copy.deepcopy(config).proxy == config.replace(timeout=1).proxy == SECRETIVE["proxy"]


@dataclasses.dataclass
class App:
    """What a user's program may hold a client in."""

    ai: puter.PuterAI
    config: PuterConfig
    talks: list[puter.Conversation]


def test_what_holds_a_client_can_be_copied_and_pickled(door: Door) -> None:
    ai = door.client(timeout=7, **SECRETIVE)
    ai.chat_history = ["Hi", {"role": "assistant", "content": "Hello!"}]
    app = App(ai, ai.config, [ai.conversation(messages=["One"])])
    as_data = dataclasses.asdict(app)
    twins = [
        copy.deepcopy(app).ai,
        as_data["ai"],
        copy.deepcopy({"x": [ai]})["x"][0],
        copy.copy(ai),
    ]
    for twin in twins:
        assert twin is not ai
        assert twin._shared is ai._shared  # token and connections
        assert (twin._throttle, twin.config, twin.chat_history) == (
            ai._throttle,
            ai.config,
            ai.chat_history,
        )
        twin.chat_history.clear()
        twin.config.headers["X-Team"] = "red"
    assert len(ai.chat_history) == 2
    assert ai.config.headers["X-Team"] == "blue"
    talk = copy.deepcopy(app).talks[0]
    assert talk.messages == app.talks[0].messages
    assert talk.messages is not app.talks[0].messages
    data = pickle.dumps(app)
    assert b"hush" not in data
    assert b"test-token-secret" not in data
    again = pickle.loads(data)
    assert (again.ai.chat_history, again.ai.config.timeout) == (ai.chat_history, 7)
    assert again.talks[0].messages == talk.messages


def test_a_config_as_plain_data_has_no_secret() -> None:
    config = PuterConfig(timeout=7, **SECRETIVE)
    nested = dataclasses.asdict(App(puter.PuterAI(), config, []))["config"]
    for data in (dataclasses.asdict(config), nested):
        assert "hush" not in json.dumps(data)
        assert data["headers"] == {"X-Team": "blue"}
        assert data["proxy"] == "http://proxy.example.org:3128"
        assert data["timeout"] == 7
        assert (type(data["headers"]), type(data["proxy"])) == (dict, str)
    assert "hush" not in repr(config.headers)


def test_model_and_history_can_be_assigned() -> None:
    ai = puter.PuterAI()
    ai.current_model = "claude-haiku-4-5"
    assert ai.config.default_model == ai.current_model == "claude-haiku-4-5"
    with pytest.raises(puter.PuterConfigError, match="default_model"):
        ai.current_model = ""
    live = ai.chat_history
    ai.chat_history = ["One", {"role": "assistant", "content": "Two"}, {"content": "Three"}]
    assert [one["role"] for one in live] == ["user", "assistant", "user"]
    ai.chat_history = ai.chat_history[-2:]
    ai.chat_history += [{"role": "user", "content": "Four"}]
    assert [one["content"] for one in live] == ["Two", "Three", "Four"]
    wrong: list[Any] = ["Hi", 5, None, [5], [{"role": "usr", "content": "x"}], [{"role": "user"}]]
    for one in wrong:
        with pytest.raises(puter.PuterInputError, match="chat_history"):
            ai.chat_history = one
    assert len(live) == 3
    talk = ai.conversation()
    talk.messages = ["One"]
    assert talk.messages == [{"role": "user", "content": "One"}]
    with pytest.raises(puter.PuterInputError, match=r"messages\[0\]"):
        talk.messages = [5]  # type: ignore[list-item]  # wrong on purpose
    ai.chat_history = []
    assert live == []


# ------------------------------------------------------------ taking effect


def test_timeouts_reach_the_request() -> None:
    config = PuterConfig(timeout=1, connect_timeout=2, proxy="", verify=True)
    request = driver_call(config, "puter-chat-completion", "complete", {})
    assert (request.timeout, request.connect_timeout) == (1, 2)
    assert (request.proxy, request.verify) == ("", True)


async def test_an_update_counts_from_the_next_call(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi")
    ai.config.update(
        api_base="https://api.puter.com/v9", headers={"X-Team": "blue"}, default_model="m"
    )
    await door(ai, "chat", "Hi")
    first, second = door.sent
    assert (first.url, second.url) == (
        "https://api.puter.com/drivers/call",
        "https://api.puter.com/v9/drivers/call",
    )
    assert "X-Team" not in first.headers
    assert second.headers["X-Team"] == "blue"
    assert (first.args["model"], second.args["model"]) == ("gpt-5-nano", "m")


async def test_new_limits_resize_the_throttle(door: Door) -> None:
    ai = door.client()
    await door(ai, "chat", "Hi")
    throttle = ai._throttle
    limits = throttle.rate_limit, throttle.period / WINDOW_MARGIN, throttle.max_concurrency
    assert limits == (30, 10.0, 3)
    ai.config.update(rate_limit_requests=5, rate_limit_period=2, max_concurrency=None)
    await door(ai, "chat", "Hi")
    assert ai._throttle is throttle
    limits = throttle.rate_limit, throttle.period / WINDOW_MARGIN, throttle.max_concurrency
    assert limits == (5, 2, float("inf"))


def test_auto_concurrency_begins_with_3_and_goes_up_to_20(monkeypatch: pytest.MonkeyPatch) -> None:
    assert limits_of(PuterConfig()) == (30, 10.0 * WINDOW_MARGIN, 20, 3)
    assert limits_of(PuterConfig(max_concurrency=7))[2:] == (7, 7)
    assert limits_of(PuterConfig(max_concurrency=None))[2:] == (math.inf, math.inf)
    monkeypatch.setenv("PUTER_MAX_CONCURRENCY", "20")
    assert PuterConfig.from_env().max_concurrency == 20


def test_a_copy_shares_the_throttle_unless_its_limits_are_its_own() -> None:
    ai = puter.PuterAI()
    assert ai.with_options(timeout=1)._throttle is ai._throttle
    own = ai.with_options(max_concurrency=1)._throttle
    assert own is not ai._throttle
    assert own.max_concurrency == 1


async def test_the_limits_of_a_copy_are_its_own(door: Door) -> None:
    ai = door.client()
    copied = ai.with_options(timeout=5)
    copied.config.update(max_concurrency=1)
    await door(copied, "chat", "Hi")
    assert (copied._throttle.max_concurrency, ai._throttle.max_concurrency) == (1, 3)
    ai.config.update(max_concurrency=7)
    await door(ai, "chat", "Hi")
    assert (copied._throttle.max_concurrency, ai._throttle.max_concurrency) == (1, 7)
    ai.config.update(max_concurrency=2)
    assert ai.with_options(timeout=1)._throttle is ai._throttle
    assert ai._throttle.max_concurrency == 2


async def test_a_user_agent_of_ones_own_replaces_ours_in_any_case(door: Door) -> None:
    await door(door.client(headers={"user-agent": "mine/1", "Accept": "text/plain"}), "chat", "Hi")
    names = sorted(name.lower() for name in door.sent[0].headers)
    assert (names.count("user-agent"), names.count("accept")) == (1, 1)
    assert door.sent[0].headers["user-agent"] == "mine/1"


def test_only_settings_take_the_place_of_settings() -> None:
    ai: Any = puter.PuterAI(token="t", timeout=7)
    with pytest.raises(puter.PuterConfigError, match=r"must be a PuterConfig, not int.*update"):
        ai.config = 5
    with pytest.raises(puter.PuterConfigError, match="'timeout' cannot be deleted"):
        del ai.config.timeout
    assert ai.config.timeout == 7
    ai.config = PuterConfig(timeout=8)
    assert ai.config.timeout == 8


@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "socks4"])
def test_socks_is_said_not_to_be_supported(scheme: str) -> None:
    with pytest.raises(puter.PuterConfigError, match="proxy: SOCKS is not supported") as told:
        PuterConfig(proxy=f"{scheme}://me:secret@localhost:1")
    assert "secret" not in str(told.value)
    with pytest.raises(puter.PuterConfigError, match="proxy: the value given is not valid"):
        PuterConfig(proxy="ftp://me:secret@localhost:1")
