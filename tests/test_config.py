"""Settings that a restart may change: the file, the environment, and what is wrong with them in one sentence."""

import pytest

import config as ground


def load(tmp_path, text="", **environ):
    """Read a settings file of this text with this environment."""
    if text:
        (tmp_path / "kairan.toml").write_text(text, "utf-8")
    return ground.load_config({"KAIRAN_DATA": str(tmp_path), **environ})


def test_environment_wins_over_the_file(tmp_path):
    found = load(tmp_path, 'rate = 30\nmail_domain = "mail.example.jp"', KAIRAN_RATE="60")
    assert (found.rate, found.mail_domain, found.data) == (60, "mail.example.jp", tmp_path)


@pytest.mark.parametrize(
    "url", ["https://kairan.example.jp", "http://127.0.0.1:8000", "http://[::1]:8000", "https://example.jp/kairan"]
)
def test_web_address_that_stands_in_letters(tmp_path, url):
    assert load(tmp_path, KAIRAN_BASE_URL=f"{url}/").base_url == url


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BASE_URL", "http://["),
        ("BASE_URL", "http://[x]"),
        ("BASE_URL", "http://x y"),
        ("BASE_URL", "http://x:99999"),
        ("BASE_URL", "kairan.example.jp"),
        ("BASE_URL", "https://\u2100.jp"),
        ("MAIL_DOMAIN", "mail example"),
        ("MAIL_DOMAIN", "a@b.jp"),
        ("HTTP", "8000"),
        ("HTTP", "127.0.0.1:0"),
        ("INLET", "smtp://["),
        ("RATE", "x"),
        ("RATE", "-1"),
        ("DOMAIN_RATES", "docomo.ne.jp"),
        ("DOMAIN_RATES", "docomo.ne.jp=-1"),
        ("DOMAIN_RATES", "=30"),
        ("CLOCK_OFFSET_S", "nan"),
        ("CLOCK_OFFSET_S", "1e300"),
    ],
)
def test_wrong_setting_is_named(tmp_path, name, value):
    with pytest.raises(ground.ConfigError, match=f"KAIRAN_{name}"):
        load(tmp_path, **{f"KAIRAN_{name}": value})


@pytest.mark.parametrize("text", ["rate = [1]", "rate = 1e400", "rate = ", "reit = 1"])
def test_file_that_cannot_be_used_is_one_sentence(tmp_path, text):
    with pytest.raises(ground.ConfigError):
        load(tmp_path, text)


def test_folder_in_place_of_the_file_is_one_sentence(tmp_path):
    (tmp_path / "kairan.toml").mkdir()
    with pytest.raises(ground.ConfigError, match="kairan.toml"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("url", "is_here"),
    [
        ("smtp://127.0.0.1:25", True),
        ("smtp://[::1]", True),
        ("smtp://localhost", True),
        ("smtp://mx.example.jp", False),
        ("smtp://[", False),
    ],
)
def test_loopback(url, is_here):
    assert ground.is_loopback(url) is is_here


def test_a_file_of_somebody_else_says_who_must_run_this(tmp_path, monkeypatch):
    def denied(self, *_):
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr(ground.Path, "read_text", denied)
    with pytest.raises(ground.ConfigError, match=r"No right to read .*kairan\.toml.*sudo -u"):
        ground.load_config({"KAIRAN_DATA": str(tmp_path)})
